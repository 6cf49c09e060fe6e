package reach

import (
	"maps"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// asked is what policies ask of pods and addresses, and by how many: what nobody asks for
// tells no pods apart.
type asked struct {
	// values are labels that selectors name with their value, and keys those that they only
	// ask to be there, or not.
	values counter[[2]string]
	keys   counter[string]
	names  counter[NamedPort]
	bounds counter[netip.Addr]
	// nodes counts what tells nodes from other addresses.
	nodes int
	// labels are all of values and keys, sorted.
	labels []string
}

type counter[K comparable] map[K]int

func (c counter[K]) add(k K, by int) {
	if c[k] += by; c[k] == 0 {
		delete(c, k)
	}
}

// turned are those of some that are counted in one of two, and not in the other.
func turned[K comparable](of, before, after counter[K]) counter[K] {
	out := counter[K]{}
	for k := range of {
		if (before[k] > 0) != (after[k] > 0) {
			out[k] = 1
		}
	}
	return out
}

func newAsked() *asked {
	return &asked{values: counter[[2]string]{}, keys: counter[string]{}, names: counter[NamedPort]{}, bounds: counter[netip.Addr]{}}
}

// ruled is a policy of either kind.
type ruled struct {
	subject labels.Selector
	rules   [directions][]*Rule
}

// policies are all that there are.
func (c *Cluster) ruled() (out []ruled) {
	for _, p := range c.Policies {
		out = append(out, ruled{p.Subject, p.Rules})
	}
	for _, tier := range [][]*TierPolicy{c.Admin, c.Baseline} {
		for _, p := range tier {
			out = append(out, ruled{p.Pods, p.Rules})
		}
	}
	return out
}

// count counts what a policy asks for, or takes it back.
func (a *asked) count(c *Cluster, p ruled, by int) {
	a.selector(p.subject, by)
	for _, rules := range p.rules {
		for _, r := range rules {
			for _, peer := range r.Peers {
				a.selector(peer.Pods, by)
				a.block(c, peer, by)
			}
			for _, port := range r.Ports {
				for _, protocol := range port.named() {
					a.names.add(NamedPort{protocol, port.Name}, by)
				}
			}
		}
	}
}

func (a *asked) selector(s labels.Selector, by int) {
	if s == nil {
		return
	}
	requirements, _ := s.Requirements()
	for _, r := range requirements {
		switch r.Operator() {
		case selection.In, selection.NotIn, selection.Equals, selection.DoubleEquals, selection.NotEquals:
			for v := range r.Values() {
				a.values.add([2]string{r.Key(), v}, by)
			}
		default:
			a.keys.add(r.Key(), by)
		}
	}
}

func (a *asked) block(c *Cluster, p Peer, by int) {
	if p.Nodes != nil || p.Block.IsValid() && !p.Tier && !c.Profile.BlocksMatchNodes {
		a.nodes += by
	}
	if p.Block.IsValid() {
		for _, block := range append(slices.Clip(p.Except), p.Block) {
			for _, bound := range boundsOf(block) {
				a.bounds.add(bound, by)
			}
		}
	}
}

// sortLabels notes the labels once all is counted.
func (a *asked) sortLabels() {
	keys := map[string]bool{}
	for k := range a.values {
		keys[k[0]] = true
	}
	for k := range a.keys {
		keys[k] = true
	}
	a.labels = slices.Sorted(maps.Keys(keys))
}

// clone is a copy that may be changed.
func (a *asked) clone() *asked {
	return &asked{maps.Clone(a.values), maps.Clone(a.keys), maps.Clone(a.names), maps.Clone(a.bounds), a.nodes, a.labels}
}

// change returns what is asked for once some policies are gone and others came, and what
// of it nobody asked for before, or nobody asks for now.
func (a *asked) change(c *Cluster, gone, came []ruled) (after, changed *asked) {
	after = a.clone()
	touched := newAsked()
	for _, p := range gone {
		after.count(c, p, -1)
		touched.count(c, p, 1)
	}
	for _, p := range came {
		after.count(c, p, 1)
		touched.count(c, p, 1)
	}
	changed = &asked{turned(touched.values, a.values, after.values), turned(touched.keys, a.keys, after.keys), turned(touched.names, a.names, after.names), turned(touched.bounds, a.bounds, after.bounds), 0, nil}
	if len(changed.values)+len(changed.keys) > 0 {
		after.sortLabels()
		changed.sortLabels()
	}
	return after, changed
}

// of reports whether a pod has a label, or a name of a port, that is among those asked for.
func (a *asked) of(p *Pod) bool {
	for _, k := range a.labels {
		if v, ok := p.Labels[k]; ok && (a.keys[k] > 0 || a.values[[2]string{k, v}] > 0) {
			return true
		}
	}
	for n := range a.names {
		if _, ok := p.Named[n]; ok {
			return true
		}
	}
	return false
}
