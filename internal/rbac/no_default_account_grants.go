package rbac

import (
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func defaultAccountGrant(_ *check.Input, _ *index, b *binding, s Subject) string {
	if s.Kind == rbacv1.ServiceAccountKind && s.Name == "default" {
		return fmt.Sprintf("every pod of namespace %s that names no account of its own has %s", s.Namespace, b.what())
	}
	if ns, ok := s.wholeNamespace(); ok {
		return fmt.Sprintf("every pod of namespace %s has %s", ns, b.what())
	}
	return ""
}

var noDefaultAccountGrants = check.Control{
	Rule: finding.Rule{
		Name: "no-default-account-grants", Title: "Default service accounts have no rights", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A pod that names no service account runs as default. What one workload was given by way of it, or of the group of the namespace's accounts, " +
			"every other pod there has as well, those of tomorrow included.",
		Remedy:    "Make a ServiceAccount for the workload that needs the role, name it in the pod and bind that.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which workload needs the role.",
	Needs:   grantKinds,
	World:   eachSubject(defaultAccountGrant),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: config
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: config}
subjects:
  - kind: ServiceAccount
    name: default # want
  - kind: Group
    name: system:serviceaccounts:shop # want
    apiGroup: rbac.authorization.k8s.io
  - kind: User
    name: system:serviceaccount:jobs:default # want
    apiGroup: rbac.authorization.k8s.io
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: config
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: config}
subjects:
  - {kind: ServiceAccount, name: web, namespace: shop}
  - {kind: User, name: default, apiGroup: rbac.authorization.k8s.io}
`},
	},
}
