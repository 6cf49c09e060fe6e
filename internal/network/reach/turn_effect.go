package reach

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// Effect is what a change does beside what it is made for.
type Effect struct {
	// Gained and Lost count pairs of workloads that may talk by more ports, or by fewer;
	// all addresses outside are one.
	Gained, Lost int
	// Examples are some of them.
	Examples []string
	// Bounded says that there are too many pairs of pods to look at them all, so that there
	// may be more.
	Bounded bool
}

// maxLooked bounds how many pairs of pods are looked at for the effect of one change.
const maxLooked = 100_000

// maxExamples is how many pairs an effect names.
const maxExamples = 3

// ends are all who may talk: pods, and an address of each piece that policies tell apart.
func (t *turner) ends() (out []Side) {
	for _, p := range t.Pods {
		out = append(out, Side{Pod: p})
	}
	blocks := t.blocks()
	for _, s := range []Side{t.from, t.to} {
		for _, a := range addressesOfSide(s) { // a change may be about them
			blocks = append(blocks, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	for _, a := range newAddresses(blocks).starts {
		out = append(out, Side{Address: a})
	}
	return out
}

// effect compares all pairs that edits may be about.
func (a *asker) effect(edits []Edit, t *turner, ends []Side) (out Effect) {
	e, err := t.edit(edits)
	if err != nil {
		return out
	}
	c := &comparer{before: a, after: newAsker(e.Cluster).indexed(), edited: e, t: t, gained: map[[2]string]bool{}, lost: map[[2]string]bool{}}
	for _, edit := range edits {
		c.of(edit, ends)
	}
	out.Gained, out.Lost, out.Bounded, out.Examples = len(c.gained), len(c.lost), c.looked > maxLooked, c.examples
	return out
}

// comparer counts pairs whose ports differ.
type comparer struct {
	before, after *asker
	*edited
	t            *turner
	gained, lost map[[2]string]bool
	examples     []string
	looked       int
}

// of looks at all pairs that an edit may be about.
func (c *comparer) of(edit Edit, ends []Side) {
	if edit.both {
		for _, p := range edit.pods {
			for _, other := range ends {
				c.compare(Side{Pod: p}, other)
				c.compare(other, Side{Pod: p})
			}
		}
		return
	}
	isSubject, rules := c.scope(edit)
	touched := ends
	if len(rules) > 0 {
		touched = slices.DeleteFunc(slices.Clone(ends), func(s Side) bool {
			return !slices.ContainsFunc(rules, func(r *Rule) bool { return c.before.matchesPeer(edit.Object.Namespace, r, s) })
		})
	}
	for _, subject := range ends {
		if subject.Pod == nil || subject.Pod.HostNetwork || !isSubject(subject.Pod) {
			continue
		}
		for _, peer := range touched {
			if edit.direction == Egress {
				c.compare(subject, peer)
			} else {
				c.compare(peer, subject)
			}
			if c.looked > maxLooked {
				return
			}
		}
	}
}

// scope is whom an edit of a policy is about: its subjects, and the rules that come, go or
// change; without rules it is about every peer.
func (c *comparer) scope(edit Edit) (func(*Pod) bool, []*Rule) {
	var now *Policy
	for _, p := range c.edited.Policies {
		if p.Object == edit.Object || p.Object == c.objects[edit.Object] && p.Object != nil {
			now = p
		}
	}
	if now != nil {
		is := func(p *Pod) bool {
			return p.Namespace == now.Namespace && now.Subject.Matches(labels.Set(p.Labels))
		}
		if edit.Operation == Create {
			return is, nil
		}
		rules := changedRules(rulesOf(c.before.Policies, func(p *Policy) bool { return p.Object == edit.Object }, edit.direction), now.Rules[edit.direction])
		return is, rules
	}
	for _, p := range slices.Concat(c.edited.Admin, c.edited.Baseline) {
		if p.Object != edit.Object && p.Object != c.objects[edit.Object] {
			continue
		}
		is := func(pod *Pod) bool { return c.edited.selects(p.Namespaces, p.Pods, pod) }
		var before []*Rule
		for _, q := range slices.Concat(c.before.Admin, c.before.Baseline) {
			if q.Object == edit.Object {
				before = q.Rules[edit.direction]
			}
		}
		return is, changedRules(before, p.Rules[edit.direction])
	}
	return func(*Pod) bool { return true }, nil
}

func rulesOf(policies []*Policy, is func(*Policy) bool, d Direction) []*Rule {
	if i := slices.IndexFunc(policies, is); i >= 0 {
		return policies[i].Rules[d]
	}
	return nil
}

// changedRules are those of two lists between what both begin and end with.
func changedRules(before, after []*Rule) []*Rule {
	same := func(a, b *Rule) bool {
		return a.text() == b.text()
	}
	for len(before) > 0 && len(after) > 0 && same(before[0], after[0]) {
		before, after = before[1:], after[1:]
	}
	for len(before) > 0 && len(after) > 0 && same(before[len(before)-1], after[len(after)-1]) {
		before, after = before[:len(before)-1], after[:len(after)-1]
	}
	return slices.Concat(before, after)
}

// text tells rules of one list apart by what they say.
func (r *Rule) text() string {
	var out strings.Builder
	fmt.Fprint(&out, r.Action, r.AllPeers, r.AllPorts, r.Ports)
	for _, p := range r.Peers {
		for _, s := range []labels.Selector{p.Namespaces, p.Pods, p.Nodes} {
			if s != nil {
				out.WriteString(s.String())
			}
			out.WriteString("|")
		}
		fmt.Fprint(&out, p.Block, p.Except, p.Names, ";")
	}
	return out.String()
}

// compare notes what becomes of one pair.
func (c *comparer) compare(from, to Side) {
	if from.Pod == nil && to.Pod == nil || c.looked > maxLooked {
		return
	}
	c.looked++
	before, after := c.before.ports(from, to), c.after.ports(c.side(from), c.side(to))
	if before.Equal(after) {
		return
	}
	gained, lost := after.Minus(before), before.Minus(after)
	names := [2]string{c.name(from), c.name(to)}
	if names == [2]string{c.name(c.t.from), c.name(c.t.to)} {
		gained, lost = gained.Minus(c.t.ports), lost.Minus(c.t.ports)
	}
	note := func(in map[[2]string]bool, what Ports, verb string) {
		if what.Empty() || in[names] {
			return
		}
		in[names] = true
		if len(c.examples) < maxExamples {
			c.examples = append(c.examples, verb+" "+names[0]+" -> "+names[1]+": "+what.String())
		}
	}
	note(c.gained, gained, "opens")
	note(c.lost, lost, "closes")
}

// name is a workload, the address that is asked about, or all others.
func (c *comparer) name(s Side) string {
	switch {
	case s.Pod != nil:
		return s.Pod.String()
	case s == c.t.from || s == c.t.to:
		return s.Address.String()
	}
	return "other addresses"
}
