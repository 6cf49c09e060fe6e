package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func mintTokens(int) []power {
	return []power{{verbs: []string{"create"}, resources: []string{"serviceaccounts/token"}, may: "issue tokens of every ServiceAccount"}}
}

var noTokenMinting = check.Control{
	Rule: finding.Rule{
		Name: "no-token-minting", Title: "Nobody issues tokens of service accounts at will", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A token for a service account is that service account: who may request one for any account of a namespace " +
			"has the rights of all of them, and leaves no pod behind.",
		Remedy:    "Name the accounts in resourceNames; a token request carries the account's name.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whose tokens the holder needs.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: anywhere, find: anyOf(mintTokens)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: login
  namespace: shop
rules:
  - apiGroups: [""]
    resources:
      - serviceaccounts
      - serviceaccounts/token # want
    verbs: [get, create]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: login
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: login}
subjects:
  - {kind: Group, name: developers, apiGroup: rbac.authorization.k8s.io}
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: login
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [serviceaccounts/token]
    resourceNames: [vault-auth]
    verbs: [create]
  - apiGroups: [""]
    resources: [serviceaccounts]
    verbs: [create]
`},
	},
}
