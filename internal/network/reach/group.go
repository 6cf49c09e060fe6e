package reach

import (
	"slices"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// about are the policies that are about a class in a direction.
type about struct {
	admin, baseline []*TierPolicy
	policies        []*Policy
}

// group finds the classes that the same policies are about, and what these allow.
func (b *builder) group() {
	for d := range directions {
		b.open[d] = &group{members: roaring.New(), cells: []Cell{{AllPorts, b.everybody}}}
		b.open[d].members.AddRange(uint64(len(b.classes)), uint64(len(b.classes)+len(b.addresses.starts)))
		of := make([]about, len(b.classes))
		keys := make([]strings.Builder, len(b.classes))
		for i, p := range b.cluster.Policies {
			if p.Isolates[d] {
				mark := "p" + strconv.Itoa(i)
				b.pods(p.Namespace, nil, p.Subject, false).Iterate(func(c uint32) bool {
					of[c].policies = append(of[c].policies, p)
					keys[c].WriteString(mark)
					return true
				})
			}
		}
		tier := func(policies []*TierPolicy, name string, add func(*about, *TierPolicy)) {
			for i, p := range policies {
				if len(p.Rules[d]) > 0 {
					mark := name + strconv.Itoa(i)
					b.pods("", p.Namespaces, p.Pods, false).Iterate(func(c uint32) bool {
						add(&of[c], p)
						keys[c].WriteString(mark)
						return true
					})
				}
			}
		}
		tier(b.cluster.Admin, "a", func(a *about, p *TierPolicy) { a.admin = append(a.admin, p) })
		tier(b.cluster.Baseline, "b", func(a *about, p *TierPolicy) { a.baseline = append(a.baseline, p) })
		known := map[string]*group{}
		b.groupOf[d] = make([]*group, len(b.classes))
		for i := range b.classes {
			key := keys[i].String()
			if key == "" {
				b.groupOf[d][i] = b.open[d]
				b.open[d].members.Add(uint32(i))
				continue
			}
			if d == Ingress {
				key += b.namesOf(i, &of[i])
			}
			g := known[key]
			if g == nil {
				g = &group{members: roaring.New(), isolated: len(of[i].policies) > 0, cells: b.cells(d, i, &of[i])}
				known[key] = g
				b.groups[d] = append(b.groups[d], g)
			}
			g.members.Add(uint32(i))
			b.groupOf[d][i] = g
		}
	}
}

// namesOf says what a class makes of the named ports that its policies allow: rules for
// traffic that it receives are about its own.
func (b *builder) namesOf(class int, of *about) string {
	var key strings.Builder
	add := func(rules []*Rule) {
		for _, r := range rules {
			for _, p := range r.Ports {
				for _, protocol := range p.named() {
					key.WriteString("n" + strconv.Itoa(int(b.classes[class].named[NamedPort{protocol, p.Name}])))
				}
			}
		}
	}
	for _, p := range of.policies {
		add(p.Rules[Ingress])
	}
	for _, p := range slices.Concat(of.admin, of.baseline) {
		add(p.Rules[Ingress])
	}
	return key.String()
}

// cells are what may be received, or sent, where some policies are about a class.
func (b *builder) cells(d Direction, class int, of *about) []Cell {
	undecided := []Cell{{AllPorts, b.everybody}}
	var allowed []Cell
	if len(of.admin) > 0 {
		allowed, undecided = b.ask(d, class, of.admin)
	}
	switch {
	case len(of.policies) > 0:
		var rules []Cell
		for _, p := range of.policies {
			for _, r := range p.Rules[d] {
				rules = append(rules, b.ruleCells(d, class, r)...)
			}
		}
		allowed = append(allowed, meet(undecided, rules, len(of.admin) == 0)...)
	case len(of.baseline) > 0:
		accepted, rest := b.ask(d, class, of.baseline)
		allowed = append(allowed, meet(undecided, append(accepted, rest...), len(of.admin) == 0)...)
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

// join makes one of cells with the same ports. What is about the same peers stays apart:
// the peers of a rule are shared by all who have it.
func join(cells []Cell) []Cell {
	var out []Cell
	at := map[string]int{}
	owned := map[int]bool{}
	for _, c := range cells {
		if c.Peers.IsEmpty() || c.Ports.Empty() {
			continue
		}
		key := c.Ports.String()
		i, ok := at[key]
		if !ok {
			at[key] = len(out)
			out = append(out, c)
			continue
		}
		if out[i].Peers == c.Peers {
			continue
		}
		if !owned[i] {
			out[i].Peers, owned[i] = out[i].Peers.Clone(), true
		}
		out[i].Peers.Or(c.Peers)
	}
	return out
}

// ask puts all traffic to the rules of a tier, in order: what is accepted, and what none
// decides or is passed on.
func (b *builder) ask(d Direction, class int, tier []*TierPolicy) (accepted, rest []Cell) {
	undecided := []Cell{{AllPorts, b.everybody}}
	for _, p := range tier {
		for _, r := range p.Rules[d] {
			for _, about := range b.ruleCells(d, class, r) {
				var left []Cell
				for _, c := range undecided {
					ports := c.Ports.Intersect(about.Ports)
					if ports.Empty() || !c.Peers.Intersects(about.Peers) {
						left = append(left, c)
						continue
					}
					hit := Cell{ports, roaring.And(c.Peers, about.Peers)}
					switch r.Action {
					case Accept:
						accepted = append(accepted, hit)
					case Pass:
						rest = append(rest, hit)
					}
					if others := c.Ports.Minus(ports); !others.Empty() {
						left = append(left, Cell{others, c.Peers})
					}
					if others := roaring.AndNot(c.Peers, about.Peers); !others.IsEmpty() {
						left = append(left, Cell{ports, others})
					}
				}
				undecided = left
			}
		}
	}
	return accepted, append(rest, undecided...)
}
