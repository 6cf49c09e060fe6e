package rbac

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// escalate finds the verbs that lift the rule that nobody grants what they do
// not have, and the one that makes a request as somebody else.
func escalate(int) []power {
	escalate, bind, impersonate := []string{"escalate"}, []string{"bind"}, []string{"impersonate"}
	// Who may bind view and edit, and no more, hands out no more than those.
	clusterAdmin := func(names []string) bool { return slices.Contains(names, "cluster-admin") }
	return []power{
		// A role that is named can be filled with anything just as well.
		{verbs: escalate, group: apiGroup, resources: []string{"roles"}, named: ofAnyName, byVerb: true, may: "write roles that grant more than they have"},
		{verbs: escalate, group: apiGroup, resources: []string{"clusterroles"}, named: ofAnyName, byVerb: true, clusterScoped: true, may: "write roles that grant more than they have"},
		// In a namespace too a RoleBinding may bind a ClusterRole.
		{verbs: bind, group: apiGroup, resources: []string{"roles", "clusterroles"}, named: clusterAdmin, byVerb: true, may: "bind roles that grant more than they have"},
		{verbs: impersonate, resources: []string{"users", "groups"}, named: systemNames, byVerb: true, clusterScoped: true, may: "act as any user"},
		{verbs: impersonate, resources: []string{"serviceaccounts"}, byVerb: true, may: "act as any ServiceAccount"},
	}
}

// lesserImpersonation is what a rule may grant that lets its holder act as anybody.
var lesserImpersonation = []string{"no-constrained-impersonation", "no-impersonated-attributes"}

const escalationNote = "A controller that hands out roles with more rights than it has, or acts for others, is refused: operators that install others, " +
	"proxies that log users in. Let it bind roles, or act for accounts, that resourceNames lists. " +
	"Where a wildcard of resources or a role of Kubernetes grants the verbs, decide what the holder needs."

var noEscalationVerbs = check.Control{
	Rule: finding.Rule{
		Name: "no-escalation-verbs", Title: "Nobody gives themselves more rights in the cluster", Severity: finding.Critical, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Kubernetes lets nobody grant what they do not have themselves, but for holders of escalate and bind; " +
			"and impersonate makes a request with the rights of another. Each of the three is one step from cluster-admin.",
		Remedy: "Remove escalate, bind and impersonate. Where a controller hands out roles, let it bind those by resourceNames; " +
			"where it acts for others, name the accounts.",
		FixSafety: finding.FixRisky,
	},
	FixNote:  escalationNote,
	Subsumes: slices.Concat(wildcardControls, lesserImpersonation),
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, find: anyOf(escalate)}.judge,
	Fix:      takeEscalation(),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: tenant-controller
rules:
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [clusterroles]
    verbs:
      - get
      - escalate # want
      - bind
  - apiGroups: [""]
    resources: [users, groups, serviceaccounts]
    verbs: [impersonate] # want
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [clusterroles]
    resourceNames: [view, cluster-admin]
    verbs: [bind] # want
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: tenant-controller
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: tenant-controller}
subjects:
  - {kind: ServiceAccount, name: controller, namespace: tenants}
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: tenant-controller
rules:
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [rolebindings, clusterrolebindings, roles]
    verbs: [create, update, patch]
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [clusterroles]
    resourceNames: [view, edit]
    verbs: [bind]
  - apiGroups: [""]
    resources: [users]
    resourceNames: [jane]
    verbs: [impersonate]
`},
	},
}
