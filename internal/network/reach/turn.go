package reach

import (
	"cmp"
	"slices"

	"bulkhead.dev/bulkhead/internal/model"
)

// Turn is a change to policies, or to the labels of pods, that turns an answer: by which
// all of some traffic arrives that did not, or none of it that did.
type Turn struct {
	// Edits are made together, in as few objects as there are in Objects.
	Edits   []Edit
	Objects int
	Effect
}

// Bounds of what is tried.
const (
	// maxTurns is how many changes are told.
	maxTurns = 12
	// maxLabels is how many labels are tried on each end.
	maxLabels = 64
	// maxOneWay is how many changes of each direction are tried together with those of the
	// other, and maxCounted of how many in all it is counted what else they change.
	maxOneWay, maxCounted = 5, 24
	// maxCandidates is about how many changes are tried of one direction, and maxTogether
	// how many pairs of them.
	maxCandidates, maxTogether = 400, 2000
)

// turner looks for changes that turn one answer.
type turner struct {
	*asker
	from, to Side
	// ports are asked about; allow says that they are to arrive, all of them.
	ports Ports
	allow bool
}

// Turn finds the changes that would turn the answer about some ports: the fewest objects
// first, then the fewest edits, then those that change least beside. Each one is tried on a
// copy of the cluster. Where some of the ports arrive, they are changes by which none does.
// There are none for traffic that no policy is about.
func (c *Cluster) Turn(from, to Side, ports Ports) []Turn {
	t := &turner{asker: newAsker(c), from: from, to: to, ports: ports}
	if ports.Empty() || c.Exempt(from, to) {
		return nil
	}
	t.allow = t.asker.ports(from, to).Intersect(ports).Empty()
	singles := t.candidates()
	var found [][]Edit
	for _, edits := range singles {
		if t.turns(edits) {
			found = append(found, edits)
		}
	}
	if t.allow && len(found) == 0 {
		found = t.together(singles)
	}
	return t.rank(found)
}

// candidates are changes that may turn the answer by themselves, or that open one direction.
func (t *turner) candidates() (out [][]Edit) {
	if t.allow {
		for d := range directions {
			for _, e := range t.openings(d) {
				out = append(out, []Edit{e})
			}
		}
		for _, e := range t.labelEdits() {
			out = append(out, []Edit{e})
		}
		return out
	}
	return slices.Concat(t.closings(Ingress), t.closings(Egress))
}

// turns reports whether the answer is another after some edits.
func (t *turner) turns(edits []Edit) bool {
	e, err := t.edit(edits)
	if err != nil {
		return false
	}
	now := e.Ports(e.side(t.from), e.side(t.to))
	if t.allow {
		return now.has(t.ports)
	}
	return now.Intersect(t.ports).Empty()
}

// together joins what opens one direction with what opens the other.
func (t *turner) together(singles [][]Edit) (out [][]Edit) {
	var opening [directions][][]Edit
	for d := range directions {
		opening[d] = t.opening(d, singles)
	}
	tried := 0
	for i, a := range opening[Egress] {
		for j, b := range opening[Ingress] {
			both := slices.Concat(a, b)
			// Of those that change one object, such as a policy that both ends have, all are tried.
			if i >= maxOneWay || j >= maxOneWay {
				if tried++; tried > maxTogether || countObjects(both) != 1 {
					continue
				}
			}
			if t.turns(both) {
				out = append(out, both)
			}
		}
	}
	return out
}

// opening are the changes after which one direction lets the traffic through: none where it
// does already, one edit or, where a tier and then NetworkPolicies are in the way, two.
func (t *turner) opening(d Direction, singles [][]Edit) (out [][]Edit) {
	subject, peer := t.sides(d)
	if t.direction(d, subject, peer, t.to).has(t.ports) {
		return [][]Edit{nil}
	}
	for _, edits := range singles {
		if t.opens(d, edits) {
			out = append(out, edits)
		}
	}
	for _, first := range singles {
		if len(out) > 0 || len(first[0].pods) > 0 || first[0].direction != d {
			continue
		}
		e, err := t.edit(first)
		if err != nil {
			continue
		}
		next := &turner{asker: newAsker(e.Cluster), from: t.from, to: t.to, ports: t.ports, allow: true}
		for _, second := range next.openings(d) {
			if both := append(slices.Clip(first), second); len(out) < maxOneWay && !e.changed(second.Object) && t.opens(d, both) {
				out = append(out, both)
			}
		}
	}
	return out
}

// opens reports whether one direction lets all of the traffic through after some edits.
func (t *turner) opens(d Direction, edits []Edit) bool {
	e, err := t.edit(edits)
	if err != nil {
		return false
	}
	now := &turner{asker: newAsker(e.Cluster), from: e.side(t.from), to: e.side(t.to)}
	subject, peer := now.sides(d)
	return now.direction(d, subject, peer, now.to).has(t.ports)
}

func (t *turner) rank(found [][]Edit) (out []Turn) {
	for _, edits := range found {
		out = append(out, Turn{Edits: edits, Objects: countObjects(edits)})
	}
	byEdits := func(a, b Turn) int {
		return cmp.Or(cmp.Compare(a.Objects, b.Objects), cmp.Compare(len(a.Edits), len(b.Edits)))
	}
	slices.SortStableFunc(out, byEdits)
	out = out[:min(len(out), maxCounted)]
	before := t.indexed()
	ends := t.ends()
	for i := range out {
		out[i].Effect = before.effect(out[i].Edits, t, ends)
	}
	slices.SortStableFunc(out, func(a, b Turn) int {
		return cmp.Or(byEdits(a, b), compareBool(a.Bounded, b.Bounded), cmp.Compare(a.Gained+a.Lost, b.Gained+b.Lost))
	})
	return out[:min(len(out), maxTurns)]
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func countObjects(edits []Edit) int {
	seen := map[*model.Object]bool{}
	for _, e := range edits {
		seen[e.Object] = true
	}
	return len(seen)
}
