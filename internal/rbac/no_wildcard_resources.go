package rbac

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func findWildcardResources(r *rbacv1.PolicyRule, held *reach) []hit {
	if i := slices.Index(r.NonResourceURLs, rbacv1.NonResourceAll); i >= 0 && held.everywhere {
		return []hit{{"nonResourceURLs", i, "ask for every path of the API server"}}
	}
	i := slices.Index(r.Resources, rbacv1.ResourceAll)
	if i < 0 || len(r.ResourceNames) > 0 || fullAccess(*r) || !inKubernetesGroups(r) {
		return nil
	}
	verbs := someOf(r.Verbs)
	if slices.Contains(r.Verbs, rbacv1.VerbAll) {
		verbs = "do everything with"
	}
	return []hit{{"resources", i, fmt.Sprintf("%s every resource there is or will be in %s", verbs, groupNames(r.APIGroups))}}
}

func groupNames(groups []string) string {
	if slices.Contains(groups, rbacv1.APIGroupAll) {
		return "any API group"
	}
	names := slices.Clone(groups)
	for i, g := range names {
		if g == "" {
			names[i] = "core"
		}
	}
	return "API group " + someOf(names)
}

var noWildcardResources = check.Control{
	Rule: finding.Rule{
		Name: "no-wildcard-resources", Title: "Roles name their resources", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "* covers subresources such as pods/exec and nodes/proxy, Secrets, and every resource that is added later, " +
			"so that a role which was written for little grants much.",
		Remedy:    "List the resources that are used.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide which resources the holder uses; the audit log tells.",
	Subsumes: []string{"no-collection-deletion", "no-wildcard-groups"},
	Needs:    grantKinds,
	World:    rolesControl{scope: anywhere, find: inAnyVersion(findWildcardResources), rolesOnly: true}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: policies
rules:
  - apiGroups: [networking.k8s.io]
    resources: ["*"] # want
    verbs: [get, update]
  - nonResourceURLs:
      - /healthz
      - "*" # want
    verbs: [get]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: policies
rules:
  - apiGroups: [networking.k8s.io]
    resources: [networkpolicies, "*/status"]
    verbs: [get, update]
  - apiGroups: [shop.example.com]
    resources: ["*"]
    verbs: ["*"]
  - nonResourceURLs: [/metrics, "/healthz/*"]
    verbs: [get]
`},
	},
}
