package network

import (
	"fmt"
	"strings"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// lints are the controls about policies that do not do what they say, or do what others do
// already.
var lints = []check.Control{
	blocksWithoutPods,
	distinctTierPriorities,
	dnsAllowed,
	namedPortsExist,
	networkPoliciesEnforced,
	networkPolicySelectsPods,
	noCoveredNetworkRules,
	noHalfIsolatedNamespaces,
	noMetadataAccess,
	noRedundantNetworkRules,
	noShadowedNetworkRules,
}

// Lints names the controls that bulkhead net lint runs.
func Lints() []string {
	names := make([]string, 0, len(lints))
	for _, c := range lints {
		names = append(names, c.Name)
	}
	return names
}

// eachPolicy judges the NetworkPolicies. One that is not understood is not judged, and
// neither is one in whose place another comes.
func eachPolicy(judge func(w *model.World, p *reach.Policy) check.Judgement) func(*check.Input) []check.Judgement {
	return func(in *check.Input) []check.Judgement {
		known := map[*model.Object]*reach.Policy{}
		for _, p := range clusters.Of(in.World).Policies {
			known[p.Object] = p
		}
		var out []check.Judgement
		for _, o := range in.World.Kind(networkPolicyKind) {
			switch p := known[o]; {
			case p != nil:
				out = append(out, judge(in.World, p))
			case misread.Of(in.World)[o.Ref()] != "":
				out = append(out, check.Unobserved(o, "%s", misread.Of(in.World)[o.Ref()]))
			default:
				out = append(out, check.Inapplicable(o))
			}
		}
		return out
	}
}

// eachTierPolicy judges the policies over namespaces.
func eachTierPolicy(judge func(w *model.World, p *reach.TierPolicy) check.Judgement) func(*check.Input) []check.Judgement {
	return func(in *check.Input) []check.Judgement {
		known := map[*model.Object]*reach.TierPolicy{}
		c := clusters.Of(in.World)
		for _, tier := range [][]*reach.TierPolicy{c.Admin, c.Baseline} {
			for _, p := range tier {
				known[p.Object] = p
			}
		}
		var out []check.Judgement
		for _, gk := range clusterPolicyKinds {
			for _, o := range in.World.Kind(gk) {
				switch p := known[o]; {
				case p != nil:
					out = append(out, judge(in.World, p))
				case misread.Of(in.World)[o.Ref()] != "":
					out = append(out, check.Unobserved(o, "%s", misread.Of(in.World)[o.Ref()]))
				default:
					out = append(out, check.Inapplicable(o))
				}
			}
		}
		return out
	}
}

// rulePath is where a rule of a policy stands, or an item of it.
func rulePath(d reach.Direction, rule int, steps ...model.Step) model.Path {
	return model.Path(nil).Keys("spec", d.String()).Append(model.Index(rule)).Append(steps...)
}

// peersField is what a rule of a direction calls the other side.
func peersField(d reach.Direction) string {
	if d == reach.Egress {
		return "to"
	}
	return "from"
}

// ruleName says which rule of which policy is meant; its own policy is not named.
func ruleName(r reach.RuleRef, own *model.Object) string {
	name := fmt.Sprintf("rule %d", r.Rule.Index+1)
	switch {
	case r.Policy != nil && r.Policy.Object != own:
		name += " of NetworkPolicy " + r.Policy.Name
	case r.Tier != nil && r.Tier.Object != own:
		name += fmt.Sprintf(" of %s %s", r.Tier.Object.Kind, r.Tier.Name)
	}
	return name
}

// ruleNames names the first rules, and says how many others there are.
func ruleNames(of []reach.RuleRef, own *model.Object) string {
	var names []string
	for _, r := range of {
		names = append(names, ruleName(r, own))
	}
	return fewOf(names)
}

// verb is the first form for one thing, and the second for several.
func verb(things, one, several string) string {
	if strings.Contains(things, " and ") {
		return several
	}
	return one
}
