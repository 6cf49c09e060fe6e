package rbac

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

var noEscalationVerbsInNamespace = check.Control{
	Rule: finding.Rule{
		Name: "no-escalation-verbs-in-namespace", Title: "Nobody gives themselves more rights in a namespace", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "With escalate or bind a holder grants itself everything in the namespace; with impersonate it acts as any service account there, " +
			"which may have rights elsewhere.",
		Remedy:    "Remove escalate, bind and impersonate, or limit bind and impersonate to what is needed by resourceNames.",
		FixSafety: finding.FixRisky,
	},
	FixNote:  escalationNote,
	Subsumes: slices.Concat(wildcardControls, lesserImpersonation),
	Needs:    grantKinds,
	World:    rolesControl{scope: someNamespaces, find: anyOf(escalate)}.judge,
	Fix:      takeEscalation(),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: team-lead
  namespace: shop
rules:
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [roles, rolebindings]
    verbs: ["*"] # want
  - apiGroups: [""]
    resources: [serviceaccounts]
    verbs: [get, impersonate] # want
`},
		Good: []string{`# Neither users nor ClusterRoles belong to a namespace.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: team-lead
  namespace: shop
rules:
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [roles, rolebindings]
    verbs: [get, create, update]
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [clusterroles]
    verbs: [escalate]
  - apiGroups: [""]
    resources: [users]
    verbs: [impersonate]
`},
	},
}
