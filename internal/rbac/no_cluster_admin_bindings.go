package rbac

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// mastersOnly reports whether a binding grants nothing that its subjects lack:
// system:masters is allowed everything before roles are asked.
func mastersOnly(b *binding) bool {
	return !slices.ContainsFunc(b.subjects, func(s Subject) bool { return s != Subject{Kind: rbacv1.GroupKind, Name: "system:masters"} })
}

func judgeClusterAdmin(_ *check.Input, ix *index, b *binding) check.Judgement {
	r := ix.roles[b.role]
	if b.namespace != "" || r == nil || mastersOnly(b) {
		return check.Inapplicable(b.object)
	}
	why := ""
	switch {
	case r.full:
		why = "may do everything"
	case r.name == "admin" || r.name == "edit":
		why = "may read every Secret, enter every pod and start pods as any ServiceAccount"
	default:
		return check.Passed(b.object)
	}
	return check.Failed(b.object, check.Violation{Path: roleRefName, Part: wholeBinding,
		Detail: fmt.Sprintf("%s %s in the whole cluster by the role %s", enumerate(b.subjects), why, r.name)})
}

var noClusterAdminBindings = check.Control{
	Rule: finding.Rule{
		Name: "no-cluster-admin-bindings", Title: "Nobody beside the system is bound to cluster-admin or its like", Severity: finding.Critical, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Whoever gets hold of one such account, a token in a pod or a laptop, owns the cluster. " +
			"admin and edit amount to the same where they are bound in the whole cluster: they start pods in kube-system with any account there.",
		Remedy: "Bind a role that lists what the holder does, in the namespaces where it does it. " +
			"Keep cluster-admin for an account that is used in emergencies, and waive this control for it.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide what the holder has to do, and where.",
	Subsumes: []string{"no-default-account-grants", "no-missing-subjects"},
	Needs:    grantKinds,
	World:    eachBinding(judgeClusterAdmin),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: tiller
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: cluster-admin # want
subjects:
  - {kind: ServiceAccount, name: tiller, namespace: kube-system}
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: superuser
rules:
  - apiGroups: ["", apps]
    resources: ["*"]
    verbs: ["*"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: superusers
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: superuser # want
subjects:
  - {kind: Group, name: oncall, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: system:ci
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: edit # want
subjects:
  - {kind: ServiceAccount, name: runner, namespace: ci}
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: viewers
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - {kind: Group, name: developers, apiGroup: rbac.authorization.k8s.io}
`, `# The binding that Kubernetes makes by itself.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: cluster-admin
  labels: {kubernetes.io/bootstrapping: rbac-defaults}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
  - {kind: Group, name: "system:masters", apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: admins
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects:
  - {kind: Group, name: shop-admins, apiGroup: rbac.authorization.k8s.io}
`},
	},
}
