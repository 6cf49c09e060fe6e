package reach

import (
	"slices"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"k8s.io/apimachinery/pkg/labels"
)

// about are the policies that are about a class in a direction, and what the class makes
// of the named ports of their rules, where these are for traffic that it receives.
type about struct {
	policies        []*Policy
	admin, baseline []*TierPolicy
	ports           string
}

func (a *about) empty() bool { return len(a.policies)+len(a.admin)+len(a.baseline) == 0 }

func (a *about) equal(b *about) bool {
	return slices.Equal(a.policies, b.policies) && slices.Equal(a.admin, b.admin) && slices.Equal(a.baseline, b.baseline) && a.ports == b.ports
}

// aboutKey sorts lists of policies that may be the same.
type aboutKey struct {
	policy        *Policy
	tier          *TierPolicy
	policies, all int
	ports         string
}

func (a *about) key() aboutKey {
	k := aboutKey{policies: len(a.policies), all: len(a.policies) + len(a.admin) + len(a.baseline), ports: a.ports}
	if len(a.policies) > 0 {
		k.policy = a.policies[len(a.policies)-1]
	}
	if tiers := a.admin; len(tiers) > 0 {
		k.tier = tiers[len(tiers)-1]
	} else if len(a.baseline) > 0 {
		k.tier = a.baseline[len(a.baseline)-1]
	}
	return k
}

// only returns the namespace that all rules are about, as those of most policies are about
// pods of their own; empty where there is none such.
func (a *about) only(d Direction) string {
	if len(a.policies) == 0 || len(a.admin) > 0 {
		return ""
	}
	for _, p := range a.policies {
		for _, r := range p.Rules[d] {
			if r.AllPeers || slices.ContainsFunc(r.Peers, func(p Peer) bool { return p.Pods == nil || p.Namespaces != nil }) {
				return ""
			}
		}
	}
	return a.policies[0].Namespace
}

// subjects finds the policies that are about classes of some namespaces.
type subjects struct {
	*Engine
	of map[string]*about
}

func newSubjects(e *Engine, namespaces map[string]bool) *subjects {
	s := &subjects{e, map[string]*about{}}
	for ns := range namespaces {
		s.of[ns] = &about{}
		if n := e.Cluster.Namespaces[ns]; n != nil {
			s.of[ns].admin = tiersOver(n, e.Cluster.Admin)
			s.of[ns].baseline = tiersOver(n, e.Cluster.Baseline)
		}
	}
	for _, p := range e.Cluster.Policies {
		if of := s.of[p.Namespace]; of != nil {
			of.policies = append(of.policies, p)
		}
	}
	return s
}

func tiersOver(ns *Namespace, tier []*TierPolicy) (out []*TierPolicy) {
	for _, p := range tier {
		if p.Namespaces.Matches(labels.Set(ns.Labels)) {
			out = append(out, p)
		}
	}
	return out
}

// about are the policies about a class.
func (s *subjects) about(d Direction, n uint32) (out about) {
	c := s.classes[n]
	if c.hostNetwork {
		return out
	}
	of := s.of[c.namespace]
	for _, p := range of.policies {
		if p.Isolates[d] && p.Subject.Matches(c.labels) {
			out.policies = append(out.policies, p)
		}
	}
	tier := func(policies []*TierPolicy) (out []*TierPolicy) {
		for _, p := range policies {
			if len(p.Rules[d]) > 0 && p.Pods.Matches(c.labels) {
				out = append(out, p)
			}
		}
		return out
	}
	out.admin, out.baseline = tier(of.admin), tier(of.baseline)
	if d == Ingress {
		out.ports = c.portsOf(&out)
	}
	return out
}

// portsOf says what a class makes of the named ports that policies allow.
func (c *class) portsOf(of *about) string {
	var key strings.Builder
	add := func(rules []*Rule) {
		for _, r := range rules {
			for _, p := range r.Ports {
				for _, protocol := range p.named() {
					key.WriteString("n" + strconv.Itoa(int(c.named[NamedPort{protocol, p.Name}])))
				}
			}
		}
	}
	for _, p := range of.policies {
		add(p.Rules[Ingress])
	}
	for _, tier := range [][]*TierPolicy{of.admin, of.baseline} {
		for _, p := range tier {
			add(p.Rules[Ingress])
		}
	}
	return key.String()
}

// cells are what may be received, or sent, where some policies are about a class.
func (s *scope) cells(d Direction, class uint32, of *about) []Cell {
	undecided := []Cell{{AllPorts, s.all}}
	var allowed []Cell
	if len(of.admin) > 0 {
		v := s.ask(d, class, of.admin, of.ports)
		allowed, undecided = slices.Clone(v.accepted), v.rest
	}
	switch {
	case len(of.policies) > 0:
		var rules []Cell
		for _, p := range of.policies {
			for _, r := range p.Rules[d] {
				rules = append(rules, s.ruleCells(d, int(class), r)...)
			}
		}
		allowed = append(allowed, meet(undecided, rules, len(of.admin) == 0)...)
	case len(of.baseline) > 0:
		v := s.ask(d, class, of.baseline, of.ports)
		allowed = append(allowed, meet(undecided, append(slices.Clone(v.accepted), v.rest...), len(of.admin) == 0)...)
	default:
		allowed = append(allowed, undecided...)
	}
	return join(allowed)
}

// meet is what two lists of cells have in common; all says that the first is everything.
func meet(a, b []Cell, all bool) []Cell {
	if all {
		return b
	}
	var out []Cell
	for _, x := range a {
		for _, y := range b {
			ports := x.Ports.Intersect(y.Ports)
			if ports.Empty() || !x.Peers.Intersects(y.Peers) {
				continue
			}
			out = append(out, Cell{ports, roaring.And(x.Peers, y.Peers)})
		}
	}
	return out
}

// Without are cells but for those of another one: what is left of its ports, or of its
// peers. Cells are shared with the result, and not changed.
func Without(cells []Cell, away Cell) (out []Cell) {
	for _, c := range cells {
		both := c.Ports.Intersect(away.Ports)
		if both.Empty() || !c.Peers.Intersects(away.Peers) {
			out = append(out, c)
			continue
		}
		if ports := c.Ports.Minus(both); !ports.Empty() {
			out = append(out, Cell{ports, c.Peers})
		}
		if peers := roaring.AndNot(c.Peers, away.Peers); !peers.IsEmpty() {
			out = append(out, Cell{both, peers})
		}
	}
	return out
}

// join makes one of cells with the same ports. What is about the same peers stays apart:
// the peers of a rule are shared by all who have it.
func join(cells []Cell) []Cell {
	var out []Cell
	var sets [][]*roaring.Bitmap
	for _, c := range cells {
		if c.Peers.IsEmpty() || c.Ports.Empty() {
			continue
		}
		i := slices.IndexFunc(out, func(o Cell) bool { return o.Ports.Equal(c.Ports) })
		switch {
		case i < 0:
			out, sets = append(out, c), append(sets, nil)
		case len(sets[i]) > 0:
			sets[i] = append(sets[i], c.Peers)
		case out[i].Peers != c.Peers:
			sets[i] = append(sets[i], out[i].Peers, c.Peers)
		}
	}
	for i := range out {
		if len(sets[i]) > 0 {
			out[i].Peers = roaring.FastOr(sets[i]...)
		}
	}
	return out
}

// verdict is what the policies of a tier say: what is accepted, and what none decides or
// is passed on.
type verdict struct {
	direction      Direction
	tier           []*TierPolicy
	ports          string
	accepted, rest []Cell
}

// ask puts all traffic to the rules of a tier, in order. Each peer is in one cell of what
// is undecided, so that what becomes of it does not depend on who else there is.
func (s *scope) ask(d Direction, class uint32, tier []*TierPolicy, ports string) *verdict {
	for _, v := range s.verdicts[tier[0]] {
		if v.direction == d && v.ports == ports && slices.Equal(v.tier, tier) {
			return v
		}
	}
	v := &verdict{direction: d, tier: tier, ports: ports}
	undecided := []Cell{{AllPorts, s.all}}
	for _, p := range tier {
		for _, r := range p.Rules[d] {
			for _, about := range s.ruleCells(d, int(class), r) {
				var left []Cell
				for _, c := range undecided {
					hit := Cell{c.Ports.Intersect(about.Ports), nil}
					if hit.Ports.Empty() || !c.Peers.Intersects(about.Peers) {
						left = append(left, c)
						continue
					}
					hit.Peers = roaring.And(c.Peers, about.Peers)
					switch r.Action {
					case Accept:
						v.accepted = append(v.accepted, hit)
					case Pass:
						v.rest = append(v.rest, hit)
					}
					left = append(left, Cell{c.Ports, roaring.AndNot(c.Peers, about.Peers)}, Cell{c.Ports.Minus(hit.Ports), hit.Peers})
				}
				undecided = join(left)
			}
		}
	}
	v.rest = append(v.rest, undecided...)
	s.verdicts[tier[0]] = append(s.verdicts[tier[0]], v)
	return v
}
