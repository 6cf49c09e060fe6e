package reach

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"go4.org/netipx"
)

// Part says which part of a comparison connections are in.
type Part uint8

// The parts: what only the state after allows, what only the one before does, and what
// both do.
const (
	Gained Part = iota
	Lost
	Kept
)

// Change says that each of some ends reaches each of others by ports that it did not
// reach them by before, or does no longer, or still does.
type Change struct {
	Part     Part
	From, To Set
	Ports    Ports
}

// Set are ends of a comparison: workloads, and addresses outside the cluster.
type Set struct {
	of      *Difference
	numbers *roaring.Bitmap
}

// Changes are the connections of a part. No two of them are about the same port between
// the same two ends.
func (d *Difference) Changes(part Part) []Change {
	type key struct{ ports, from string }
	at := map[key]int{}
	var out []Change
	for _, m := range d.meetings {
		for _, c := range m.cells(part) {
			k := key{c.Ports.String(), keyOf(c.Peers, 1<<32-1)}
			n, known := at[k]
			if !known {
				n = len(out)
				at[k] = n
				out = append(out, Change{part, Set{d, c.Peers}, Set{d, roaring.New()}, c.Ports})
			}
			out[n].To.numbers.Or(m.to)
		}
	}
	out = d.inside(out)
	slices.SortStableFunc(out, func(a, b Change) int {
		return cmp.Or(d.compareParties(a.To.numbers, b.To.numbers), d.compareParties(a.From.numbers, b.From.numbers), cmp.Compare(a.Ports.String(), b.Ports.String()))
	})
	return out
}

func (m meeting) cells(part Part) []Cell {
	switch part {
	case Gained:
		return minus(m.after, m.before)
	case Lost:
		return minus(m.before, m.after)
	}
	var both []Cell
	for _, a := range m.after {
		for _, b := range m.before {
			both = append(both, Cell{a.Ports.Intersect(b.Ports), roaring.And(a.Peers, b.Peers)})
		}
	}
	return join(both)
}

// inside leaves out what addresses outside the cluster send to one another.
func (d *Difference) inside(changes []Change) (out []Change) {
	for _, c := range changes {
		all := c.To
		pods, outside := all.divide(d.pods())
		if !pods.Empty() {
			c.To = pods
			out = append(out, c)
		}
		if from, _ := c.From.divide(d.pods()); !from.Empty() && !outside.Empty() {
			if c.From.Equal(from) && !pods.Empty() {
				out[len(out)-1].To = all
				continue
			}
			c.From, c.To = from, outside
			out = append(out, c)
		}
	}
	return out
}

// pods are all parties.
func (d *Difference) pods() *roaring.Bitmap {
	out := roaring.New()
	out.AddRange(0, uint64(len(d.parties)))
	return out
}

// divide splits a set into those that are in another, and the rest.
func (s Set) divide(by *roaring.Bitmap) (in, rest Set) {
	return Set{s.of, roaring.And(s.numbers, by)}, Set{s.of, roaring.AndNot(s.numbers, by)}
}

// Select splits a set by its workloads; addresses are of the rest. Workloads that no
// policy tells apart in either state are asked about once, by their namespace and whether
// they are in both states.
func (s Set) Select(is func(w *Workload, before, after bool) bool) (in, rest Set) {
	chosen := roaring.New()
	for i := range s.partyNumbers() {
		p := s.of.parties[i]
		if is(p.newest()[0], len(p.before) > 0, len(p.after) > 0) {
			chosen.Add(uint32(i))
		}
	}
	return s.divide(chosen)
}

func (s Set) partyNumbers() iter.Seq[int] {
	return func(yield func(int) bool) {
		s.numbers.Iterate(func(n uint32) bool { return int(n) < len(s.of.parties) && yield(int(n)) })
	}
}

// Workloads are those of the set, as they are last known.
func (s Set) Workloads() iter.Seq[*Workload] {
	return func(yield func(*Workload) bool) {
		for i := range s.partyNumbers() {
			for _, w := range s.of.parties[i].newest() {
				if !yield(w) {
					return
				}
			}
		}
	}
}

// Len is the number of workloads in the set.
func (s Set) Len() (n int) {
	for i := range s.partyNumbers() {
		n += len(s.of.parties[i].newest())
	}
	return n
}

// Addresses are those of the set, as blocks.
func (s Set) Addresses() []netip.Prefix {
	var b netipx.IPSetBuilder
	s.numbers.Iterate(func(n uint32) bool {
		if i := int(n) - len(s.of.parties); i >= 0 {
			b.AddRange(s.of.addresses.Range(i))
		}
		return true
	})
	set, err := b.IPSet()
	if err != nil {
		return nil // pieces are valid ranges
	}
	return set.Prefixes()
}

// HasAddresses reports whether there are addresses in the set.
func (s Set) HasAddresses() bool {
	return !s.numbers.IsEmpty() && int(s.numbers.Maximum()) >= len(s.of.parties)
}

// Empty reports whether nobody is in the set.
func (s Set) Empty() bool { return s.numbers.IsEmpty() }

// Equal reports whether two sets of a comparison are the same.
func (s Set) Equal(t Set) bool { return s.numbers.Equals(t.numbers) }

// Whole reports whether the set has all workloads of the state that the part is about,
// of both states for what both allow; addresses do not matter.
func (s Set) Whole(part Part) bool {
	for i, p := range s.of.parties {
		there := len(p.after) > 0
		switch part {
		case Lost:
			there = len(p.before) > 0
		case Kept:
			there = there && len(p.before) > 0
		}
		if there && !s.numbers.Contains(uint32(i)) {
			return false
		}
	}
	return len(s.of.parties) > 0
}

// Connections is the number of pairs of ends that the change is about; addresses count as
// one end.
func (c Change) Connections() int {
	from, to := c.From.Len(), c.To.Len()
	n := from * to
	if c.From.HasAddresses() {
		n += to
	}
	if c.To.HasAddresses() {
		n += from
	}
	return n
}

// Fresh splits a change into that between ends which are in both states, and that of
// workloads which are new or gone. What is kept is all of the first.
func (c Change) Fresh() (old, fresh []Change) {
	there := func(_ *Workload, before, after bool) bool { return !before || !after }
	freshTo, to := c.To.Select(there)
	if !freshTo.Empty() {
		one := c
		one.To = freshTo
		fresh = append(fresh, one)
	}
	if !to.Empty() {
		freshFrom, from := c.From.Select(there)
		for _, half := range []struct {
			from Set
			out  *[]Change
		}{{from, &old}, {freshFrom, &fresh}} {
			if one := c; !half.from.Empty() {
				one.From, one.To = half.from, to
				*half.out = append(*half.out, one)
			}
		}
	}
	return old, fresh
}

// Within are the parts of a change of which some end is in a namespace.
func (c Change) Within(namespace string) (out []Change) {
	in := func(w *Workload, _, _ bool) bool { return w.Namespace == namespace }
	to, elsewhere := c.To.Select(in)
	if !to.Empty() {
		one := c
		one.To = to
		out = append(out, one)
	}
	if from, _ := c.From.Select(in); !from.Empty() && !elsewhere.Empty() {
		one := c
		one.From, one.To = from, elsewhere
		out = append(out, one)
	}
	return out
}
