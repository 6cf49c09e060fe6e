package rbac

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// readSecrets counts list and watch too: both return the data.
func readSecrets(int) []power {
	return []power{{verbs: []string{"get", "list", "watch"}, resources: []string{"secrets"}, may: "read every Secret"}}
}

var noSecretReaders = check.Control{
	Rule: finding.Rule{
		Name: "no-secret-readers", Title: "Nobody reads the Secrets of the whole cluster", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Among the Secrets of a cluster are passwords, TLS keys and the tokens of service accounts that may do more. " +
			"Who reads them all, by get, list or watch, can become any of those accounts.",
		Remedy:    "Grant get on the Secrets that are needed, by resourceNames, with a Role in their namespace.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide which Secrets the holder needs, in which namespaces.",
	Subsumes: slices.Concat(wildcardControls, []string{"no-token-secrets"}),
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, find: anyOf(readSecrets)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: backup
rules:
  - apiGroups: [""]
    resources:
      - configmaps
      - secrets # want
    verbs: [list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: backup
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: backup}
subjects:
  - {kind: ServiceAccount, name: backup, namespace: tools}
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: kubelets
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: system:node # want
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
`},
		Good: []string{`# A Role reads its own namespace only, and a ClusterRole where it is bound.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: backup
rules:
  - apiGroups: [""]
    resources: [secrets]
    verbs: [get, list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: backup
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: backup}
subjects:
  - {kind: ServiceAccount, name: backup, namespace: shop}
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: licence
rules:
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [licence]
    verbs: [get]
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create]
  - apiGroups: [example.com]
    resources: [secrets]
    verbs: [get]
`},
	},
}
