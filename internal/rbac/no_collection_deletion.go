package rbac

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// deletesCollections leaves what * grants to no-wildcard-verbs.
func deletesCollections(r *rbacv1.PolicyRule, _ *reach) []hit {
	i := slices.Index(r.Verbs, "deletecollection")
	if i < 0 || len(r.Resources) == 0 || len(r.ResourceNames) > 0 || !inKubernetesGroups(r) {
		return nil
	}
	return []hit{{"verbs", i, "delete at once all of " + someOf(r.Resources)}}
}

var noCollectionDeletion = check.Control{
	Rule: finding.Rule{
		Name: "no-collection-deletion", Title: "Nobody deletes all objects of a kind at once", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why:       "deletecollection empties every namespace of a kind by a single request, by mistake as well, and no name in resourceNames limits it.",
		Remedy:    "Grant delete, for single objects. Where something has to be cleared away, bind deletecollection in that namespace.",
		FixSafety: finding.FixRisky,
	},
	FixNote: "The holder is refused to delete all at once. Where it has delete it still takes away one object after the other, as kubectl delete --all does; " +
		"grant that first to a program that clears a namespace by one request.",
	Needs: grantKinds,
	World: rolesControl{scope: everyNamespace, find: inAnyVersion(deletesCollections), rolesOnly: true}.judge,
	Fix:   deleteOneByOne(),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: cleaner
rules:
  - apiGroups: [apps]
    resources: [deployments]
    verbs: [delete, deletecollection] # want
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: cleaner
rules:
  - apiGroups: [apps]
    resources: [deployments]
    verbs: [delete]
  - apiGroups: [shop.example.com]
    resources: [orders]
    verbs: [deletecollection]
  - apiGroups: [apps]
    resources: [deployments]
    resourceNames: [web]
    verbs: [deletecollection]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: cleaner
  namespace: shop
rules:
  - apiGroups: [apps]
    resources: [deployments]
    verbs: [deletecollection]
`},
	},
}
