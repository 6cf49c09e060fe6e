package reach

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// turnCounts are what was tried.
type turnCounts struct {
	asked, exempt, allow, deny, two, none, effects int
	// kinds are the first words of what edits do.
	kinds map[string]int
}

// TestTurn asks for changes in random clusters. Each is written into the objects, which are
// read again, and the engine that is built of them gives the other answer. No change with
// fewer edits does.
func TestTurn(t *testing.T) {
	n := turnCounts{kinds: map[string]int{}}
	for seed := range uint64(220) {
		d := deal(seed, Profiles[seed%uint64(len(Profiles))])
		if len(d.w.pods) > 20 {
			continue
		}
		c := NewCluster(model.NewWorld(d.objects, model.WorldOptions{Live: true}), d.w.profile)
		all := []Side{{Address: netip.MustParseAddr("8.8.8.8")}, {Address: netip.MustParseAddr("10.1.2.3")}, {Address: netip.MustParseAddr("fd00:1::3")}, {Address: netip.MustParseAddr("192.168.1.20")}}
		for _, p := range c.Pods {
			all = append(all, Side{Pod: p})
		}
		for range 8 {
			from, to := pick(d, all), pick(d, all)
			if from.Pod == nil && to.Pod == nil {
				continue
			}
			ports := OnePort(pick(d, []Protocol{TCP, TCP, UDP, SCTP}), uint16(pick(d, dealtPorts)))
			if d.chance(10) {
				ports = AllPorts
			}
			if !turnsFor(t, d, c, from, to, ports, &n) {
				t.Fatalf("seed %d, %s: %v to %v by %s", seed, d.w.profile.Name, from, to, ports)
			}
		}
	}
	t.Logf("%+v", n)
	if n.allow < 100 || n.deny < 100 || n.two < 5 || n.effects < 100 {
		t.Error("too little was tried")
	}
	for _, kind := range []string{"add", "put", "remove", "label", "take", "except"} {
		if n.kinds[kind] == 0 {
			t.Errorf("nothing was proposed that begins with %q", kind)
		}
	}
}

func turnsFor(t *testing.T, d *dealer, c *Cluster, from, to Side, ports Ports, n *turnCounts) bool {
	n.asked++
	before := New(c)
	if got, want := c.Ports(from, to), before.Between(from, to); !got.Equal(want) {
		t.Errorf("asked one by one %v, of the engine %v", got, want)
		return false
	}
	turns := c.Turn(from, to, ports)
	if c.Exempt(from, to) {
		n.exempt++
		return len(turns) == 0
	}
	arrives := !before.Between(from, to).Intersect(ports).Empty()
	if len(turns) == 0 {
		n.none++
		return noTurn(t, c, from, to, ports, arrives)
	}
	for i, turn := range turns {
		e, err := c.edit(turn.Edits)
		if err != nil {
			t.Error(err)
			return false
		}
		for _, edit := range turn.Edits {
			kind, _, _ := strings.Cut(edit.Text, " ")
			n.kinds[kind]++
		}
		objects := slices.Clone(d.objects)
		for old, now := range e.objects {
			if i := slices.Index(objects, old); i >= 0 {
				objects[i] = now
			} else {
				objects = append(objects, now)
			}
		}
		again := NewCluster(model.NewWorld(objects, model.WorldOptions{Live: true}), c.Profile)
		after := New(again)
		now := after.Between(sideIn(c, again, from), sideIn(c, again, to))
		if arrives && !now.Intersect(ports).Empty() || !arrives && !now.has(ports) {
			t.Errorf("%s does not turn it: %v", turn.Edits[0].Text, now)
			return false
		}
		if turn.Objects != countObjects(turn.Edits) || i > 0 && turns[i-1].Objects > turn.Objects {
			t.Errorf("not in order: %d objects", turn.Objects)
		}
		if !turn.Bounded && i < 3 {
			n.effects++
			if !sameEffect(t, before, after, turn, from, to, ports) {
				return false
			}
		}
	}
	fewest := len(turns[0].Edits)
	for _, turn := range turns {
		fewest = min(fewest, len(turn.Edits))
	}
	if arrives {
		n.deny++
	} else {
		n.allow++
	}
	if fewest > 1 {
		n.two++
		return noneSmaller(t, c, from, to, ports, fewest, arrives)
	}
	return true
}

// sideIn is a side in a cluster that was read again.
func sideIn(before, after *Cluster, s Side) Side {
	if i := slices.Index(before.Pods, s.Pod); i >= 0 {
		return Side{Pod: after.Pods[i]}
	}
	return s
}

// sameEffect counts all pairs by the engines of both states.
func sameEffect(t *testing.T, before, after *Engine, turn Turn, from, to Side, ports Ports) bool {
	name := func(s Side) string {
		switch {
		case s.Pod != nil:
			return s.Pod.String()
		case s == from || s == to:
			return s.Address.String()
		}
		return "other addresses"
	}
	ends := []Side{}
	for _, p := range before.Cluster.Pods {
		ends = append(ends, Side{Pod: p})
	}
	cuts := slices.Concat(before.Cluster.blocks(), after.Cluster.blocks())
	for _, s := range []Side{from, to} {
		if s.Pod == nil {
			cuts = append(cuts, netip.PrefixFrom(s.Address, s.Address.BitLen()))
		}
	}
	for _, a := range newAddresses(cuts).starts {
		ends = append(ends, Side{Address: a})
	}
	gained, lost := map[string]bool{}, map[string]bool{}
	for _, f := range ends {
		for _, r := range ends {
			if f.Pod == nil && r.Pod == nil {
				continue
			}
			was, is := before.Between(f, r), after.Between(sideIn(before.Cluster, after.Cluster, f), sideIn(before.Cluster, after.Cluster, r))
			more, less := is.Minus(was), was.Minus(is)
			key := name(f) + " -> " + name(r)
			if key == name(from)+" -> "+name(to) {
				more, less = more.Minus(ports), less.Minus(ports)
			}
			if !more.Empty() {
				gained[key] = true
			}
			if !less.Empty() {
				lost[key] = true
			}
		}
	}
	if len(gained) != turn.Gained || len(lost) != turn.Lost {
		t.Errorf("%s: counted %d gained and %d lost, there are %v and %v", turn.Edits[0].Text, turn.Gained, turn.Lost, gained, lost)
		return false
	}
	return true
}

// vocabulary are all edits of the kinds that Turn makes, of the whole cluster: whether they
// are about the traffic or not.
func vocabulary(c *Cluster, from, to Side, ports Ports, allow bool) (out []Edit) {
	t := &turner{asker: newAsker(c), from: from, to: to, ports: ports, allow: allow}
	for d := range directions {
		subject, peer := t.sides(d)
		for _, p := range c.Policies {
			list := model.Path{}.Keys("spec", d.String())
			for _, r := range p.Rules[d] {
				if !allow {
					out = append(out, Edit{Operation: Remove, Object: p.Object, Path: list.Append(model.Index(r.Index)), direction: d, Text: fmt.Sprint("remove ", r.Index)})
				}
			}
			if allow && p.Isolates[d] {
				for _, peers := range peerContents(p.Namespace, peer) {
					rules, _ := p.Object.Get("spec", d.String()).([]any)
					out = append(out, Edit{Operation: Replace, Object: p.Object, Path: list, Value: append(slices.Clone(rules), ruleContent(d, peers, ports)), direction: d, Text: "add"})
				}
			}
		}
		for _, tier := range [][]*TierPolicy{c.Admin, c.Baseline} {
			for _, p := range tier {
				for _, r := range p.Rules[d] {
					out = append(out, Edit{Operation: Remove, Object: p.Object, Path: model.Path{}.Keys("spec", d.String()).Append(model.Index(r.Index)), direction: d, Text: "remove"})
				}
			}
			if subject.Pod != nil {
				if allow {
					out = append(out, t.precede(d, tier, Accept, Pass)...)
				} else {
					out = append(out, t.precede(d, tier, Deny)...)
				}
			}
		}
		if subject.Pod != nil && allow {
			out = append(out, t.newPolicy(d)...)
		} else if subject.Pod != nil {
			out = append(out, t.isolating(d)...)
		}
	}
	if allow {
		out = append(out, t.labelEdits()...)
	}
	return out
}

// noneSmaller tries all sets of edits that are fewer than those found.
func noneSmaller(t *testing.T, c *Cluster, from, to Side, ports Ports, fewest int, arrives bool) bool {
	all := vocabulary(c, from, to, ports, !arrives)
	turner := &turner{asker: newAsker(c), from: from, to: to, ports: ports, allow: !arrives}
	var try func(chosen []Edit, rest []Edit) bool
	try = func(chosen, rest []Edit) bool {
		if len(chosen) > 0 && turner.turns(chosen) {
			t.Errorf("%d edits are enough, and %d are told: %s %s of %s", len(chosen), fewest, chosen[0].Text, chosen[0].Path, chosen[0].Object.Ref())
			return false
		}
		if len(chosen) == fewest-1 {
			return true
		}
		for i, e := range rest {
			if !try(append(slices.Clone(chosen), e), rest[i+1:]) {
				return false
			}
		}
		return true
	}
	return try(nil, all)
}

// noTurn tries all single edits, and for what is to arrive all pairs of them.
func noTurn(t *testing.T, c *Cluster, from, to Side, ports Ports, arrives bool) bool {
	return noneSmaller(t, c, from, to, ports, 3, arrives)
}

// TestRewrittenInOrder: edits name items as they are before any of them.
func TestRewrittenInOrder(t *testing.T) {
	o, _ := model.NewObject(map[string]any{"apiVersion": "v1", "kind": "X", "spec": map[string]any{"ingress": []any{"a", "b", "c", "d"}}}, nil, model.Source{})
	at := func(i int) model.Path { return model.Path{}.Keys("spec", "ingress").Append(model.Index(i)) }
	now, err := rewritten(o, []Edit{{Operation: Remove, Path: at(0)}, {Operation: Replace, Path: at(2), Value: "C"}, {Operation: Remove, Path: at(1)}, {Operation: Add, Path: at(4), Value: "e"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(now.List("spec", "ingress"), o.List("spec", "ingress")); got != "[C d e] [a b c d]" {
		t.Error(got)
	}
	if _, err := rewritten(o, []Edit{{Operation: Remove, Path: at(4)}}); err == nil {
		t.Error("there is no such item")
	}
}
