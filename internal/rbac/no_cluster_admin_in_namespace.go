package rbac

import (
	"fmt"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func judgeNamespaceAdmin(_ *check.Input, ix *index, b *binding) check.Judgement {
	r := ix.roles[b.role]
	if b.namespace == "" || r == nil || mastersOnly(b) {
		return check.Inapplicable(b.object)
	}
	userFacing := r.namespace == "" && (r.name == "admin" || r.name == "edit")
	if !r.full && !(userFacing && b.namespace == "kube-system") {
		return check.Passed(b.object)
	}
	return check.Failed(b.object, check.Violation{Path: roleRefName, Part: wholeBinding,
		Detail: fmt.Sprintf("%s may do everything in namespace %s by the role %s", enumerate(b.subjects), b.namespace, r.name)})
}

var noClusterAdminInNamespace = check.Control{
	Rule: finding.Rule{
		Name: "no-cluster-admin-in-namespace", Title: "Namespaces are not administered with cluster-admin", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Within a namespace cluster-admin lifts what is set over it: its holder raises the quota, removes the network policies " +
			"and writes roles without limit. In kube-system admin and edit are enough to take over the cluster.",
		Remedy:    "Bind admin, which is made for whoever runs a namespace, or a role that lists less. Bind nobody in kube-system.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide what the holder has to do in the namespace.",
	Subsumes: []string{"no-default-account-grants", "no-missing-subjects"},
	Needs:    grantKinds,
	World:    eachBinding(judgeNamespaceAdmin),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: owner
  namespace: shop
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: cluster-admin # want
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: addons
  namespace: kube-system
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: edit # want
subjects:
  - {kind: Group, name: developers, apiGroup: rbac.authorization.k8s.io}
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: owner
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: viewers
  namespace: kube-system
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
`},
	},
}
