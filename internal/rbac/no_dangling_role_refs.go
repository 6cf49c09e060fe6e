package rbac

import (
	"fmt"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func judgeRoleRef(in *check.Input, ix *index, b *binding) check.Judgement {
	w := in.World
	if ix.roles[b.role] != nil {
		return check.Passed(b.object)
	}
	kind := clusterRoleKind
	if b.role.namespace != "" {
		kind = roleKind
	}
	if !w.Closed(b.role.namespace) || w.Unobserved(kind, b.role.namespace) != "" || reservedName(b.role.name) {
		return check.Inapplicable(b.object)
	}
	return check.Failed(b.object, check.Violation{Path: roleRefName,
		Detail: fmt.Sprintf("%s %s does not exist; whoever makes it decides what %s may do", kind.Kind, b.role.name, enumerate(b.subjects))})
}

var noDanglingRoleRefs = check.Control{
	Rule: finding.Rule{
		Name: "no-dangling-role-refs", Title: "Bindings name roles that exist", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A binding to a role that is not there grants nothing today, so the workload fails; " +
			"when a role of that name is made for another purpose, it is granted without anybody having decided so.",
		Remedy:    "Make the role, or delete the binding and make one that names the right role: a roleRef cannot be changed.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which role was meant.",
	Needs:   grantKinds,
	World:   eachBinding(judgeRoleRef),
	Examples: check.Examples{
		Bad: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: reader
  namespace: default
rules: []
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: reader
  namespace: shop
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: reader # want
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
`},
		Good: []string{`# Built-in roles exist though no file has them, and other ClusterRoles may.
apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: editors
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: prometheus
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: prometheus}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
`},
	},
}
