package rbac

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

var serviceAccountKind = model.GroupKind{Kind: "ServiceAccount"}

var serviceAccounts = model.NewFact(func(w *model.World) map[Subject]bool {
	out := map[Subject]bool{}
	for _, o := range w.Kind(serviceAccountKind) {
		out[Subject{rbacv1.ServiceAccountKind, o.Namespace, o.Name}] = true
	}
	return out
})

// missingSubject judges service accounts only: Kubernetes keeps no list of users
// and groups. Every namespace has the account default.
func missingSubject(in *check.Input, _ *index, _ *binding, s Subject) string {
	w := in.World
	if s.Kind != rbacv1.ServiceAccountKind || s.Name == "default" || !w.Closed(s.Namespace) || w.Unobserved(serviceAccountKind, s.Namespace) != "" {
		return ""
	}
	if serviceAccounts.Of(w)[s] {
		return ""
	}
	return fmt.Sprintf("%s does not exist; whoever makes it has the role", s)
}

var noMissingSubjects = check.Control{
	Rule: finding.Rule{
		Name: "no-missing-subjects", Title: "Bindings name service accounts that exist", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A binding outlives the service account that it names. Whoever may make service accounts in that namespace, " +
			"and has few rights otherwise, makes it again and has the role.",
		Remedy:    "Remove the subject, or correct its name and namespace.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide whether the account was removed or misspelt.",
	Needs:   slices.Concat(grantKinds, []model.GroupKind{serviceAccountKind}),
	World:   eachSubject(missingSubject),
	Examples: check.Examples{
		Bad: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
  namespace: shop
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: viewers
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - kind: ServiceAccount
    name: wbe # want
    namespace: shop
  - kind: ServiceAccount
    name: web
    namespace: shop
`},
		Good: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: viewers
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - {kind: ServiceAccount, name: default, namespace: shop}
  # Of other namespaces these files say nothing.
  - {kind: ServiceAccount, name: runner, namespace: ci}
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
`},
	},
}
