package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

const authenticationGroup = "authentication.k8s.io"

// choosesAttributes finds uids, and extra fields by whatever key: each is a
// subresource of userextras of its own, of which userextras/* is no wildcard.
func choosesAttributes(int) []power {
	return []power{{verbs: []string{"impersonate"}, group: authenticationGroup, resources: []string{"uids"}, prefix: "userextras/", clusterScoped: true,
		may: "choose the UID or extra fields of who they act as"}}
}

var noImpersonatedAttributes = check.Control{
	Rule: finding.Rule{
		Name: "no-impersonated-attributes", Title: "Nobody chooses the UID and extra fields of who they act as", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Who may act as another may add attributes to the name: the UID, and extra fields such as the scopes of a token or the node that a pod runs on. " +
			"Webhooks and admission policies decide by them, those that hold a node to its own objects for one.",
		Remedy:    "Remove impersonate on uids and userextras, or list the values in resourceNames: scopes that are known, for instance.",
		FixSafety: finding.FixRisky,
	},
	FixNote: "A proxy that passes on extra fields of the users that it acts for is refused: list the values in resourceNames first. " +
		"Where a wildcard of resources grants them, decide what the holder needs.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, find: anyOf(choosesAttributes)}.judge,
	Fix:      keepAttributes(),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: proxy
rules:
  - apiGroups: [""]
    resources: [users]
    resourceNames: [jane]
    verbs: [impersonate]
  - apiGroups: [authentication.k8s.io]
    resources: [userextras/scopes, uids] # want
    verbs: [impersonate]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: proxy
rules:
  - apiGroups: [""]
    resources: [users]
    resourceNames: [jane]
    verbs: [impersonate]
  - apiGroups: [authentication.k8s.io]
    resources: [userextras/scopes]
    resourceNames: [view]
    verbs: [impersonate]
  - apiGroups: [authentication.k8s.io]
    resources: ["userextras/*", userextras]
    verbs: [impersonate]
`},
	},
}
