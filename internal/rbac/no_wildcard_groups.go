package rbac

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func findWildcardGroups(r *rbacv1.PolicyRule, _ *reach) []hit {
	i := slices.Index(r.APIGroups, rbacv1.APIGroupAll)
	if i < 0 || len(r.Resources) == 0 || len(r.ResourceNames) > 0 {
		return nil
	}
	return []hit{{"apiGroups", i, "use in any API group " + someOf(r.Resources)}}
}

var noWildcardGroups = check.Control{
	Rule: finding.Rule{
		Name: "no-wildcard-groups", Title: "Roles name their API groups", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A resource of the same name in another API group is another one: pods are metrics too, and events are in two groups. " +
			"* grants those of groups that are added later as well.",
		Remedy:    "List the groups of the resources; that of core is the empty one.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which groups the holder uses; kubectl api-resources tells which there are.",
	Needs:   grantKinds,
	World:   rolesControl{scope: anywhere, find: inAnyVersion(findWildcardGroups), rolesOnly: true}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: viewer
  namespace: shop
rules:
  - apiGroups: ["*"] # want
    resources: [pods, deployments]
    verbs: [get, list]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: viewer
  namespace: shop
rules:
  - apiGroups: ["", apps]
    resources: [pods, deployments]
    verbs: [get, list]
  - apiGroups: ["*"]
    resources: [deployments]
    resourceNames: [web]
    verbs: [get]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: health
rules:
  - nonResourceURLs: [/healthz]
    verbs: [get]
`},
	},
}
