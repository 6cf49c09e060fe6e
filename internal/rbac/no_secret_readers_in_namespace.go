package rbac

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

var noSecretReadersInNamespace = check.Control{
	Rule: finding.Rule{
		Name: "no-secret-readers-in-namespace", Title: "Nobody reads every Secret of a namespace", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A workload that may read all Secrets of its namespace hands over those of its neighbours too when it is broken into, " +
			"and those that are added later.",
		Remedy:    "Name the Secrets that are needed in resourceNames. Or mount them, so that no permission is needed.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide which Secrets the holder needs.",
	Subsumes: slices.Concat(wildcardControls, []string{"no-token-secrets-in-namespace"}),
	Needs:    grantKinds,
	World:    rolesControl{scope: someNamespaces, find: anyOf(readSecrets)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: operator
  namespace: shop
rules:
  - apiGroups: ["", apps]
    resources: ["*"] # want
    verbs: [get, watch]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: backup
rules:
  - apiGroups: [""]
    resources: [secrets] # want
    verbs: ["*"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: backup
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: backup}
subjects:
  - {kind: ServiceAccount, name: backup}
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: operator
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [database]
    verbs: [get, list, watch]
  - apiGroups: [""]
    resources: [secrets/status]
    verbs: [get]
`, `# Nobody is bound to it, and whoever is will be in the same namespace.
apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: unused
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [secrets]
    verbs: [get]
`},
	},
}
