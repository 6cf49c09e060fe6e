package reach

import (
	"net/netip"
	"slices"

	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/labels"
)

// Redundant is a rule that changes nothing: what it is about others decide already, for all
// pods, those that are not there yet included.
type Redundant struct {
	RuleRef
	Direction Direction
	// By are the rules that cover it. Those of a tier come before it, so that it is never
	// asked.
	By []RuleRef
}

// Redundancies are the rules that change nothing. All of them may be taken away together.
type Redundancies struct {
	Rules []Redundant
	// Unfinished are the namespaces with too many rules to compare them all; it is empty
	// for the policies of tiers.
	Unfinished map[string]bool
}

// maxRedundantSteps is how often rules are compared for one namespace, or for the tiers, and
// maxRedundantTotal for all: together some seconds.
const (
	maxRedundantSteps = 1_000_000
	maxRedundantTotal = 10_000_000
)

// Redundancies finds the rules that change nothing: those that one rule, or several with all
// its ports, cover.
func (c *Cluster) Redundancies() *Redundancies {
	f := &redundancy{c: c, out: &Redundancies{Unfinished: map[string]bool{}}, known: map[*Rule]*ruleExtent{}}
	byNamespace := map[string][]*Policy{}
	var order []string
	for _, p := range c.Policies {
		if byNamespace[p.Namespace] == nil {
			order = append(order, p.Namespace)
		}
		byNamespace[p.Namespace] = append(byNamespace[p.Namespace], p)
	}
	for _, ns := range order {
		f.within(ns, func(d Direction) { f.policies(d, ns, byNamespace[ns]) })
	}
	f.within("", func(d Direction) {
		f.tier(d, c.Admin, nil)
		f.tier(d, c.Baseline, c.Admin)
	})
	return f.out
}

// redundancy finds rules that change nothing.
type redundancy struct {
	c   *Cluster
	out *Redundancies
	// steps are those of the namespace, and total those of all before it.
	steps, total int
	known        map[*Rule]*ruleExtent
	// decides are the rules of the Admin tier that nothing comes after.
	decides [directions]map[*TierPolicy][]candidate
}

// within compares the rules of a namespace as long as there is time.
func (f *redundancy) within(ns string, compare func(Direction)) {
	f.steps = 0
	for d := range directions {
		if f.total < maxRedundantTotal {
			compare(d)
		}
	}
	if f.steps > maxRedundantSteps || f.total >= maxRedundantTotal {
		f.out.Unfinished[ns] = true
	}
	f.total += f.steps
}

// step reports whether there is time for another comparison.
func (f *redundancy) step() bool {
	f.steps++
	return f.steps <= maxRedundantSteps
}

// ruleExtent is what a rule is about, in a form that can be compared.
type ruleExtent struct {
	own     string
	numbers Ports
	names   []PortRule
	peers   []peerExtent
}

// peerExtent is an item of a rule, and whom it chooses.
type peerExtent struct {
	*Peer
	namespaces, pods choice
}

func (f *redundancy) extent(own string, r *Rule) *ruleExtent {
	x := f.known[r]
	if x == nil {
		x = &ruleExtent{own: own}
		if f.known[r] = x; r.AllPorts {
			x.numbers = AllPorts
		}
		for _, p := range r.Ports {
			if p.Name == "" {
				x.numbers = x.numbers.Union(PortRange(p.Protocol, p.From, p.To))
			} else {
				x.names = append(x.names, p)
			}
		}
		for i := range r.Peers {
			p := peerExtent{Peer: &r.Peers[i]}
			if p.Pods != nil {
				p.namespaces, p.pods = choiceOf(inNamespace(own, p.Namespaces)), choiceOf(p.Pods)
			}
			x.peers = append(x.peers, p)
		}
	}
	return x
}

// coversPorts reports whether a rule is about all ports that another is about.
func (x *ruleExtent) coversPorts(of *ruleExtent) bool {
	return of.numbers.Minus(x.numbers).Empty() && !slices.ContainsFunc(of.names, func(name PortRule) bool {
		return !slices.ContainsFunc(x.names, func(has PortRule) bool {
			return has.Name == name.Name && (has.AnyProtocol || !name.AnyProtocol && has.Protocol == name.Protocol)
		}) && slices.ContainsFunc(name.named(), func(p Protocol) bool { return !PortRange(p, 1, lastPort).Minus(x.numbers).Empty() })
	})
}

// candidate is a rule that may cover another, and where it is.
type candidate struct {
	RuleRef
	*ruleExtent
}

// covers reports whether a rule is about all that an item of another is about.
func (c candidate) covers(f *redundancy, own string, p peerExtent) bool {
	return slices.ContainsFunc(c.peers, func(q peerExtent) bool { return f.coversPeer(own, p, q) })
}

// covering are the rules that cover another: one of them or, if joint is true, several
// together; nil where they do not.
func (f *redundancy) covering(own string, r *Rule, by []candidate, joint bool) []RuleRef {
	x := f.extent(own, r)
	by = slices.DeleteFunc(slices.Clone(by), func(c candidate) bool { return !c.coversPorts(x) })
	if len(by) == 0 || !r.AllPeers && len(r.Peers) == 0 {
		return nil
	}
	if i := slices.IndexFunc(by, func(c candidate) bool { return c.Rule.AllPeers }); i >= 0 {
		return []RuleRef{by[i].RuleRef}
	}
	if all := f.allAddresses(by); all != nil {
		return all
	}
	if r.AllPeers {
		return nil
	}
	for _, c := range by {
		if !slices.ContainsFunc(x.peers, func(p peerExtent) bool { return !c.covers(f, own, p) }) {
			return []RuleRef{c.RuleRef}
		}
	}
	if !joint {
		return nil
	}
	var out []RuleRef
	for _, p := range x.peers {
		refs := f.coveringPeer(own, p, by)
		if refs == nil {
			return nil
		}
		for _, ref := range refs {
			if !slices.Contains(out, ref) {
				out = append(out, ref)
			}
		}
	}
	return out
}

// coveringPeer are the rules that cover an item of a rule: one of them or, for addresses,
// several together.
func (f *redundancy) coveringPeer(own string, p peerExtent, by []candidate) []RuleRef {
	for _, c := range by {
		if c.covers(f, own, p) {
			return []RuleRef{c.RuleRef}
		}
	}
	if !p.Block.IsValid() {
		return nil
	}
	rest, ok := p.set()
	if !ok {
		return nil
	}
	var out []RuleRef
	for _, c := range by {
		for _, q := range c.Rule.Peers {
			set, ok := q.set()
			if !ok || q.Tier != p.Tier || !rest.Overlaps(set) {
				continue
			}
			if out = append(out, c.RuleRef); len(out) > 64 {
				return nil // nobody reads that
			}
			var b netipx.IPSetBuilder
			b.AddSet(rest)
			b.RemoveSet(set)
			if rest, _ = b.IPSet(); len(rest.Ranges()) == 0 {
				return out
			}
		}
	}
	return nil
}

// set are the addresses of a block; false where it is none.
func (p *Peer) set() (*netipx.IPSet, bool) {
	if !p.Block.IsValid() {
		return nil, false
	}
	var b netipx.IPSetBuilder
	b.AddPrefix(p.Block)
	for _, e := range p.Except {
		b.RemovePrefix(e)
	}
	set, err := b.IPSet()
	return set, err == nil
}

// allAddresses are rules of tiers that are about all addresses of both families, which pods
// have too.
func (f *redundancy) allAddresses(by []candidate) []RuleRef {
	var four, six *RuleRef
	for _, c := range by {
		for _, p := range c.Rule.Peers {
			if p.Tier && p.Block.IsValid() && p.Block.Bits() == 0 {
				if p.Block.Addr().Is4() {
					four = &c.RuleRef
				} else {
					six = &c.RuleRef
				}
			}
		}
	}
	switch {
	case four == nil || six == nil:
		return nil
	case *four == *six:
		return []RuleRef{*four}
	}
	return []RuleRef{*four, *six}
}

// coversPeer reports whether an item of a rule is about all that another is about.
func (f *redundancy) coversPeer(own string, p, q peerExtent) bool {
	switch {
	case p.Block.IsValid():
		return q.Block.IsValid() && q.Tier == p.Tier && q.Block.Bits() <= p.Block.Bits() && q.Block.Contains(p.Block.Addr()) &&
			!slices.ContainsFunc(q.Except, func(e netip.Prefix) bool {
				return e.Overlaps(p.Block) && !slices.ContainsFunc(p.Except, func(x netip.Prefix) bool { return x.Bits() <= e.Bits() && x.Contains(e.Addr()) })
			})
	case p.Nodes != nil:
		return q.Nodes != nil && implies(p.Nodes, q.Nodes)
	case len(p.Names) > 0:
		return !slices.ContainsFunc(p.Names, func(n string) bool { return !slices.Contains(q.Names, n) })
	case p.Pods == nil || q.Pods == nil:
		return false
	case f.c.Profile.SelectorsMatchHostPods && p.Labelled && !p.Tier && (!q.Labelled || q.Tier):
		return false // of a namespace without podSelector hosts are none
	}
	return p.pods.within(q.pods) && f.coversNamespaces(own, p, q)
}

// coversNamespaces reports whether one item is about all namespaces that another is about.
// Labels of the own one count as they are.
func (f *redundancy) coversNamespaces(own string, p, q peerExtent) bool {
	if ns := f.c.Namespaces[own]; p.Namespaces == nil && q.Namespaces != nil && ns != nil && ns.Seen {
		return q.Namespaces.Matches(labels.Set(ns.Labels))
	}
	return p.namespaces.within(q.namespaces)
}
