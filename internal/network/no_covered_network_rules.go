package network

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// redundancies are the rules that change nothing, by the object of their policy.
type redundancies struct {
	of         map[*model.Object][]reach.Redundant
	unfinished map[string]bool
}

var redundant = model.NewFact(func(w *model.World) redundancies {
	found := clusters.Of(w).Redundancies()
	out := redundancies{map[*model.Object][]reach.Redundant{}, found.Unfinished}
	for _, r := range found.Rules {
		o := objectOf(r.RuleRef)
		out.of[o] = append(out.of[o], r)
	}
	for _, list := range out.of {
		slices.SortFunc(list, func(a, b reach.Redundant) int {
			if a.Direction != b.Direction {
				return int(a.Direction) - int(b.Direction)
			}
			return a.Rule.Index - b.Rule.Index
		})
	}
	return out
})

// objectOf is the policy of a rule.
func objectOf(r reach.RuleRef) *model.Object {
	if r.Policy != nil {
		return r.Policy.Object
	}
	return r.Tier.Object
}

// ownCover reports whether the rules that cover another are all of its own policy.
func ownCover(r reach.Redundant) bool {
	return !slices.ContainsFunc(r.By, func(by reach.RuleRef) bool { return objectOf(by) != objectOf(r.RuleRef) })
}

// judgeRedundant tells the rules of a policy that change nothing.
func judgeRedundant(w *model.World, o *model.Object, namespace string, is func(reach.Redundant) bool, detail func(reach.Redundant) string) check.Judgement {
	all := redundant.Of(w)
	var out []check.Violation
	for _, r := range all.of[o] {
		if is(r) {
			path := rulePath(r.Direction, r.Rule.Index)
			out = append(out, check.Violation{Path: path, Part: path.String(), Detail: detail(r)})
		}
	}
	if len(out) == 0 && all.unfinished[namespace] {
		return check.Unobserved(o, "there are too many rules beside it to compare them all")
	}
	return check.Failed(o, out...)
}

func judgeCovered(w *model.World, p *reach.Policy) check.Judgement {
	return judgeRedundant(w, p.Object, p.Namespace, ownCover, func(r reach.Redundant) string {
		by := ruleNames(r.By, p.Object)
		return fmt.Sprintf("rule %d of %s allows nothing that %s %s not", r.Rule.Index+1, r.Direction, by, verb(by, "does", "do"))
	})
}

// removeCovered is the fix that removes the rules of which another of the policy has all
// peers and ports, as they are written. What is covered in another way is left to a person.
func removeCovered() *check.ObjectPolicy {
	p := &check.ObjectPolicy{Kinds: []model.GroupKind{networkPolicyKind}}
	var mutations []string
	for _, d := range []struct{ field, peers, applies string }{
		{"ingress", "from", `size(object.spec.?policyTypes.orValue([])) == 0 || "Ingress" in object.spec.policyTypes`},
		{"egress", "to", `size(object.spec.?policyTypes.orValue([])) == 0 || "Egress" in object.spec.policyTypes`},
	} {
		// No peers are all peers, and no ports all ports.
		covers := func(a, b string) string {
			var parts []string
			for _, field := range []string{d.peers, "ports"} {
				parts = append(parts, fmt.Sprintf(`(size(%[1]s.?%[3]s.orValue([])) == 0 || size(%[2]s.?%[3]s.orValue([])) > 0 && %[2]s.%[3]s.all(x, x in %[1]s.%[3]s))`, a, b, field))
			}
			return strings.Join(parts, " && ")
		}
		rules, kept := d.field, d.field+"Kept"
		p.Variables = append(p.Variables,
			check.Variable{Name: rules, Expression: fmt.Sprintf(`%s ? object.spec.?%s.orValue([]) : []`, d.applies, d.field)},
			check.Variable{Name: kept, Expression: fmt.Sprintf(`variables.%[1]s.transformList(i, r, !variables.%[1]s.exists(j, s, i != j && %[2]s && (j < i || !(%[3]s))), r)`,
				rules, covers("s", "r"), covers("r", "s"))})
		mutations = append(mutations, fmt.Sprintf(`(size(variables.%[1]s) == size(variables.%[2]s) ? [] :
  [JSONPatch{op: "replace", path: "/spec/%[3]s", value: variables.%[2]s}])`, rules, kept, d.field))
	}
	p.Mutation = strings.Join(mutations, " +\n")
	return p
}

var noCoveredNetworkRules = check.Control{
	Rule: finding.Rule{
		Name: "no-covered-network-rules", Title: "Every rule of a network policy allows something", Severity: finding.Low, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "A rule that another rule of the policy covers allows nothing. Whoever removes or narrows it believes that a connection is closed, " +
			"and the other rule still allows it.",
		Remedy:    "Remove the rule; or narrow the one that covers it, where that is too wide.",
		FixSafety: finding.FixSafe,
	},
	Needs: []model.GroupKind{networkPolicyKind},
	World: eachPolicy(judgeCovered),
	Fix:   removeCovered(),
	Examples: check.Examples{
		Bad: []string{`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: web}
  ingress:
    - from: # want
        - podSelector: {matchLabels: {app: front}}
      ports:
        - {port: 8080}
    - from:
        - podSelector: {matchLabels: {app: front}}
        - podSelector: {matchLabels: {app: jobs}}
      ports:
        - {port: 8080}
        - {port: 9090}
    - from: # want
        - podSelector: {matchLabels: {app: jobs}}
        - podSelector: {matchLabels: {app: front}}
      ports:
        - {port: 9090}
        - {port: 8080}
  egress:
    - {}
    - to: # want
        - podSelector: {matchLabels: {app: database}}
`},
		Good: []string{`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: web}
  ingress:
    - from:
        - podSelector: {matchLabels: {app: front}}
      ports:
        - {port: 8080}
    # Another port, another protocol, and pods of another namespace.
    - from:
        - podSelector: {matchLabels: {app: front}}
      ports:
        - {port: 9090}
        - {port: 8080, protocol: UDP}
    - from:
        - podSelector: {matchLabels: {app: front}}
          namespaceSelector: {matchLabels: {team: web}}
      ports:
        - {port: 8080}
---
# Rules for egress that policyTypes leaves out.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: odd
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Ingress]
  egress:
    - {}
    - {}
`},
	},
}
