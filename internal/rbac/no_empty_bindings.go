package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

var noEmptyBindings = check.Control{
	Rule: finding.Rule{
		Name: "no-empty-bindings", Title: "Bindings bind somebody", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A binding without subjects grants nothing and is forgotten, until somebody adds a name to it " +
			"and with the name comes a role that nobody looked at.",
		Remedy:    "Name a subject, or delete the binding.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide whether the binding is still needed.",
	Needs:   grantKinds,
	World: eachBinding(func(_ *check.Input, _ *index, b *binding) check.Judgement {
		if len(b.subjects) > 0 {
			return check.Passed(b.object)
		}
		return check.Failed(b.object, check.Violation{Path: model.Path(nil).Keys("subjects"), Detail: "nobody is bound to " + b.what()})
	}),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1 # want
kind: ClusterRoleBinding
metadata:
  name: former
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: former
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [] # want
`},
		Good: []string{`# Kubernetes itself leaves this one empty: nodes are authorized by other means.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: system:node
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:node"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: viewers
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
`},
	},
}
