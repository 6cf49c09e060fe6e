package reach

import (
	"encoding/binary"

	"github.com/RoaringBitmap/roaring/v2"
)

// Groups are ends of which the same is told: nobody can tell those of a group apart by
// what is said in some changes.
type Groups struct {
	// Workloads are of one namespace each, and in the same states.
	Workloads []Set
	// Senders and Receivers are addresses outside the cluster that reach, or are reached.
	Senders, Receivers []Set
}

// Groups sorts the ends of changes. Workloads that no change is about are groups as well.
func (d *Difference) Groups(changes []Change) Groups {
	ends := len(d.parties) + len(d.addresses.starts)
	from, to := make([][]byte, ends), make([][]byte, ends)
	for i, c := range changes {
		mark := func(of [][]byte, s Set) {
			s.numbers.Iterate(func(n uint32) bool {
				of[n] = binary.AppendUvarint(of[n], uint64(i))
				return true
			})
		}
		mark(from, c.From)
		mark(to, c.To)
	}
	var out Groups
	var key []byte
	d.gather(&out.Workloads, 0, len(d.parties), func(n int) string {
		p := d.parties[n]
		key = append(key[:0], p.newest()[0].Namespace...)
		key = append(key, 0, bit(len(p.before) > 0), bit(len(p.after) > 0))
		key = binary.AppendUvarint(key, uint64(len(from[n])))
		return string(append(append(key, from[n]...), to[n]...))
	})
	d.gather(&out.Senders, len(d.parties), ends, func(n int) string { return string(from[n]) })
	d.gather(&out.Receivers, len(d.parties), ends, func(n int) string { return string(to[n]) })
	return out
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// gather makes a set of all numbers with the same key; those without a key are left out.
func (d *Difference) gather(into *[]Set, first, after int, keyOf func(int) string) {
	at := map[string]int{}
	for n := first; n < after; n++ {
		key := keyOf(n)
		if key == "" {
			continue
		}
		i, known := at[key]
		if !known {
			i = len(*into)
			at[key] = i
			*into = append(*into, Set{d, roaring.New()})
		}
		(*into)[i].numbers.Add(uint32(n))
	}
}

// Has reports whether all of a group of these changes are in one of their sets.
func (s Set) Has(group Set) bool {
	return !group.Empty() && s.numbers.Contains(group.numbers.Minimum())
}

// Key tells sets of a comparison apart.
func (s Set) Key() string { return keyOf(s.numbers, 1<<32-1) }

// In reports whether the workloads of a group are in the state before, and in that after.
func (s Set) In() (before, after bool) {
	for i := range s.partyNumbers() {
		p := s.of.parties[i]
		before, after = before || len(p.before) > 0, after || len(p.after) > 0
	}
	return before, after
}
