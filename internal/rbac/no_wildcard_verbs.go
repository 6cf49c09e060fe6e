package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// kubernetesGroups are the API groups whose verbs mean more than reading and
// writing. A wildcard in the group of a controller's own resources opens nothing
// of the cluster.
var kubernetesGroups = func() map[string]bool {
	out := map[string]bool{rbacv1.APIGroupAll: true, "authentication.k8s.io": true, "authorization.k8s.io": true}
	for _, r := range model.BuiltinResources() {
		out[r.Group] = true
	}
	return out
}()

func inKubernetesGroups(r *rbacv1.PolicyRule) bool {
	return slices.ContainsFunc(r.APIGroups, func(g string) bool { return kubernetesGroups[g] })
}

// findWildcardVerbs leaves rules for all resources to no-wildcard-resources and
// no-full-access-roles, and rules for single objects alone.
func findWildcardVerbs(r *rbacv1.PolicyRule, _ *reach) []hit {
	i := slices.Index(r.Verbs, rbacv1.VerbAll)
	if i < 0 || len(r.Resources) == 0 || len(r.ResourceNames) > 0 || slices.Contains(r.Resources, rbacv1.ResourceAll) || !inKubernetesGroups(r) {
		return nil
	}
	return []hit{{"verbs", i, "use every verb there is or will be on " + someOf(r.Resources)}}
}

// someOf lists the first three of some names.
func someOf(names []string) string {
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + " and others"
	}
	return strings.Join(names, ", ")
}

var noWildcardVerbs = check.Control{
	Rule: finding.Rule{
		Name: "no-wildcard-verbs", Title: "Roles name their verbs", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "* grants verbs that nobody thinks of: deletecollection, and where they exist escalate, bind, impersonate and approve; " +
			"and every verb that a later Kubernetes adds.",
		Remedy:    "List the verbs that are used: get, list, watch, create, update, patch, delete.",
		FixSafety: finding.FixRisky,
	},
	FixNote: "The holder keeps get, list, watch, create, update, patch and delete, and is refused deletecollection and the verbs of single resources, " +
		"such as bind, escalate, impersonate, approve and use: add the one that it needs. It may still do more than it does; the audit log tells.",
	Subsumes: []string{"no-collection-deletion", "no-wildcard-groups"},
	Needs:    grantKinds,
	World:    rolesControl{scope: anywhere, find: inAnyVersion(findWildcardVerbs), rolesOnly: true}.judge,
	Fix:      nameVerbs(),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: settings
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [configmaps]
    verbs:
      - get
      - "*" # want
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: settings
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [get, update]
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames: [settings]
    verbs: ["*"]
  - apiGroups: [shop.example.com]
    resources: [orders]
    verbs: ["*"]
`},
	},
}
