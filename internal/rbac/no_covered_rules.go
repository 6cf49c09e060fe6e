package rbac

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// covers reports whether a rule allows every request that another one allows, as the
// authorizer compares them.
func covers(a, b *rbacv1.PolicyRule) bool {
	all := func(items []string, in func(string) bool) bool {
		return !slices.ContainsFunc(items, func(item string) bool { return !in(item) })
	}
	return all(b.Verbs, func(v string) bool { return verbIndex(a, v) >= 0 }) &&
		all(b.APIGroups, func(g string) bool { return groupIndex(a, g) >= 0 }) &&
		all(b.Resources, func(s string) bool { return resourceIndex(a, s) >= 0 }) &&
		(len(a.ResourceNames) == 0 || len(b.ResourceNames) > 0 && all(b.ResourceNames, func(n string) bool { return slices.Contains(a.ResourceNames, n) })) &&
		all(b.NonResourceURLs, func(url string) bool {
			return slices.ContainsFunc(a.NonResourceURLs, func(pattern string) bool { return urlMatches(pattern, url) })
		})
}

// matchesSomething reports whether there is a request that a rule allows.
func matchesSomething(r *rbacv1.PolicyRule) bool {
	return len(r.Verbs) > 0 && (len(r.NonResourceURLs) > 0 || len(r.APIGroups) > 0 && len(r.Resources) > 0) &&
		(len(r.Resources) == 0 || len(r.APIGroups) > 0)
}

// maxCoveredSteps bounds the comparisons in one role, which grow with the square of
// its rules: 10,000 of them are compared in full.
const maxCoveredSteps = 50_000_000

func findCovered(_ *check.Input, r *role) []check.Violation {
	var out []check.Violation
	same := map[string]int{}
	var distinct []int
	note := func(rule, by int) {
		out = append(out, check.Violation{Path: rulePath(rule), Part: rulePath(rule).String(),
			Detail: fmt.Sprintf("rule %d grants nothing that rule %d does not: %s", rule+1, by+1, inShort(&r.stored[by]))})
	}
	for i := range r.stored {
		if !matchesSomething(&r.stored[i]) {
			continue
		}
		key := canonicalRule(&r.stored[i])
		if first, ok := same[key]; ok {
			note(i, first)
			continue
		}
		same[key] = i
		distinct = append(distinct, i)
	}
	steps := 0
	for _, i := range distinct {
		for _, j := range distinct {
			if steps++; steps > maxCoveredSteps {
				return out
			}
			if i != j && covers(&r.stored[j], &r.stored[i]) && (j < i || !covers(&r.stored[i], &r.stored[j])) {
				note(i, j)
				break
			}
		}
	}
	return out
}

// inShort says what a rule grants in a line.
func inShort(r *rbacv1.PolicyRule) string {
	of := r.Resources
	if len(r.NonResourceURLs) > 0 {
		of = r.NonResourceURLs
	}
	return strings.Join(r.Verbs, ", ") + " on " + someOf(of)
}

// removeCovered is the fix that removes the rules that others cover. What takes too
// many comparisons, or a URL that ends in several stars, is left to a person.
func removeCovered() *check.ObjectPolicy {
	const covers = `%[2]s.?verbs.orValue([]).all(v, v in %[1]s.?verbs.orValue([]) || "*" in %[1]s.?verbs.orValue([])) &&
      %[2]s.?apiGroups.orValue([]).all(g, g in %[1]s.?apiGroups.orValue([]) || "*" in %[1]s.?apiGroups.orValue([])) &&
      %[2]s.?resources.orValue([]).all(x, x in %[1]s.?resources.orValue([]) || "*" in %[1]s.?resources.orValue([]) ||
        x.contains("/") && ("*" + x.substring(x.indexOf("/"))) in %[1]s.?resources.orValue([])) &&
      (size(%[1]s.?resourceNames.orValue([])) == 0 || size(%[2]s.?resourceNames.orValue([])) > 0 &&
        %[2]s.resourceNames.all(n, n in %[1]s.resourceNames)) &&
      %[2]s.?nonResourceURLs.orValue([]).all(u, %[1]s.?nonResourceURLs.orValue([]).exists(p, p == u || p == "*" ||
        p.endsWith("*") && !p.endsWith("**") && u.startsWith(p.substring(0, size(p) - 1))))`
	condition := `size($verbs) > 0 && (size($resources) == 0 || size($groups) > 0) && size($resources) + size(r.?nonResourceURLs.orValue([])) > 0 &&
    object.rules.exists(j, s, i != j && ` + fmt.Sprintf(covers, "s", "r") + ` && (j < i || !(` + fmt.Sprintf(covers, "r", "s") + `)))`
	return ruleFix("verbs", condition, `[]`, clusterRoleKind, roleKind)
}

var noCoveredRules = check.Control{
	Rule: finding.Rule{
		Name: "no-covered-rules", Title: "Every rule of a role grants something", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A rule that another rule of the role covers grants nothing. Whoever narrows it believes that a right is gone, " +
			"and the other rule still grants it.",
		Remedy:    "Remove the rule; or narrow the one that covers it, where that is too wide.",
		FixSafety: finding.FixSafe,
	},
	Needs: grantKinds,
	World: eachWrittenRule(findCovered),
	Fix:   removeCovered(),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [""] # want
    resources: [pods, pods/exec]
    verbs: [get]
  - apiGroups: ["", apps]
    resources: ["*"]
    verbs: [get, list]
  - verbs: [get] # want
    nonResourceURLs: [/metrics, /healthz/ready]
  - verbs: ["*"]
    nonResourceURLs: [/metrics, /healthz/*]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: election
  namespace: shop
rules:
  - apiGroups: [coordination.k8s.io]
    resources: [leases, "*/scale"]
    verbs: [get, update]
  - apiGroups: [coordination.k8s.io] # want
    resources: [leases]
    resourceNames: [shop]
    verbs: [update, get]
  - apiGroups: [coordination.k8s.io] # want
    resources: ["*/scale", leases]
    verbs: [update, get]
  - apiGroups: [coordination.k8s.io] # want
    resources: [leases/scale]
    verbs: [get]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  # A name is a limit, and so is a group.
  - apiGroups: [""]
    resources: [pods]
    verbs: [get, list]
  - apiGroups: [""]
    resources: [pods]
    resourceNames: [web]
    verbs: [get, delete]
  - apiGroups: [apps]
    resources: [pods]
    verbs: [get]
  # pods does not stand for its subresources, and pods/* for nothing.
  - apiGroups: [""]
    resources: [pods/log, pods/*]
    verbs: [get]
  - verbs: [get]
    nonResourceURLs: [/metrics]
  - verbs: [get]
    nonResourceURLs: [/metrics/*]
`},
	},
}
