package reach

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// Difference compares two states of a cluster: which workloads, and addresses outside,
// reach which by more ports, or by fewer. A workload reaches another as in Map: where some
// pod of it does. Pairs are never listed: workloads that are of the same classes in both
// states are one party, and so is a piece of addresses that both states tell apart.
type Difference struct {
	Before, After *Engine
	// New are workloads that only the state after has, Gone those that only the one before
	// has. Both are in order.
	New, Gone []*Workload

	parties   []party
	addresses *addresses
	// meetings are parties that receive the same in each of both states.
	meetings []meeting
}

// party are workloads that policies cannot tell apart in either state. Those of a party
// are all in both states, or all in the same one.
type party struct{ before, after []*Workload }

// newest are its workloads as they are last known.
func (p party) newest() []*Workload {
	if len(p.after) > 0 {
		return p.after
	}
	return p.before
}

// meeting are parties and pieces of addresses to which the same is sent.
type meeting struct {
	to            *roaring.Bitmap
	before, after []Cell
}

// Compare compares two states of a cluster. They may be the same one.
func Compare(before, after *Engine) *Difference {
	d := &Difference{Before: before, After: after}
	d.addresses = newAddresses(append(before.Cluster.blocks(), after.Cluster.blocks()...))
	older, newer := newView(before, d.addresses), newView(after, d.addresses)
	d.meet(older, newer)
	older.number(d, func(p party) []*Workload { return p.before })
	newer.number(d, func(p party) []*Workload { return p.after })
	older.connect()
	newer.connect()

	type key struct{ before, after int }
	at := map[key]int{}
	for i := range len(d.parties) + len(d.addresses.starts) {
		k := key{older.received(d, i), newer.received(d, i)}
		n, known := at[k]
		if !known {
			n = len(d.meetings)
			at[k] = n
			d.meetings = append(d.meetings, meeting{roaring.New(), older.rows[k.before], newer.rows[k.after]})
		}
		d.meetings[n].to.Add(uint32(i))
	}
	return d
}

// meet finds the workloads of both states, and which of them are one party.
func (d *Difference) meet(older, newer *view) {
	names := map[string][2]*Workload{}
	for _, w := range older.workloads {
		names[w.String()] = [2]*Workload{w, nil}
	}
	for _, w := range newer.workloads {
		both := names[w.String()]
		both[1] = w
		names[w.String()] = both
	}
	at := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, after := names[name][0], names[name][1]
		key := classKey(before) + "|" + classKey(after)
		n, known := at[key]
		if !known {
			n = len(d.parties)
			at[key] = n
			d.parties = append(d.parties, party{})
		}
		p := &d.parties[n]
		if before != nil {
			p.before = append(p.before, before)
		}
		if after != nil {
			p.after = append(p.after, after)
		}
		switch {
		case before == nil:
			d.New = append(d.New, after)
		case after == nil:
			d.Gone = append(d.Gone, before)
		}
	}
}

// classKey tells sets of classes apart; it is empty for a workload that is not there.
func classKey(w *Workload) string {
	if w == nil {
		return ""
	}
	var key []byte
	w.classes.Iterate(func(c uint32) bool {
		key = binary.BigEndian.AppendUint32(key, c)
		return true
	})
	return string(key)
}

// view is one of the states, told by parties and not by classes.
type view struct {
	*Engine
	workloads []*Workload
	// partiesOf are those of each class, and pieceOf the piece of this state that each
	// common piece is in.
	partiesOf [][]uint32
	classesOf [][]uint32
	pieceOf   []int
	// lists are what each class and piece receives.
	lists [][]Cell
	known map[*roaring.Bitmap]*roaring.Bitmap
	// rows are what parties receive, as cells whose peers do not meet, and rowOf the number
	// of the row of some lists.
	rows  [][]Cell
	rowOf map[string]int
	ids   map[*Cell]uint32
}

func newView(e *Engine, common *addresses) *view {
	v := &view{Engine: e, workloads: e.Workloads(), known: map[*roaring.Bitmap]*roaring.Bitmap{}, rowOf: map[string]int{}, ids: map[*Cell]uint32{}}
	for _, start := range common.starts {
		v.pieceOf = append(v.pieceOf, e.addresses.find(start))
	}
	return v
}

// number notes which parties are of which class.
func (v *view) number(d *Difference, of func(party) []*Workload) {
	v.partiesOf, v.classesOf = make([][]uint32, len(v.classes)), make([][]uint32, len(d.parties))
	for i, p := range d.parties {
		if all := of(p); len(all) > 0 {
			v.classesOf[i] = all[0].classes.ToArray()
		}
		for _, c := range v.classesOf[i] {
			v.partiesOf[c] = append(v.partiesOf[c], uint32(i))
		}
	}
}

func (v *view) connect() {
	v.lists = make([][]Cell, len(v.classes)+len(v.Engine.addresses.starts))
	v.Connections(func(to End, from []Cell) { v.lists[to.number] = from })
}

// received is the number of the row of a party or a common piece.
func (v *view) received(d *Difference, to int) int {
	var lists [][]Cell
	if to >= len(d.parties) {
		lists = [][]Cell{v.lists[len(v.classes)+v.pieceOf[to-len(d.parties)]]}
	} else {
		for _, c := range v.classesOf[to] {
			lists = append(lists, v.lists[c])
		}
	}
	var ids []uint32
	for _, l := range lists {
		if len(l) > 0 {
			if _, known := v.ids[&l[0]]; !known {
				v.ids[&l[0]] = uint32(len(v.ids))
			}
			ids = append(ids, v.ids[&l[0]])
		}
	}
	slices.Sort(ids)
	var key []byte
	for _, id := range slices.Compact(ids) {
		key = binary.BigEndian.AppendUint32(key, id)
	}
	n, known := v.rowOf[string(key)]
	if !known {
		n = len(v.rows)
		v.rowOf[string(key)] = n
		var cells []Cell
		for _, c := range slices.Concat(lists...) {
			cells = append(cells, Cell{c.Ports, v.translate(d, c.Peers)})
		}
		v.rows = append(v.rows, disjoint(join(cells)))
	}
	return n
}

// translate turns classes and pieces of this state into parties and common pieces.
func (v *view) translate(d *Difference, peers *roaring.Bitmap) *roaring.Bitmap {
	if out := v.known[peers]; out != nil {
		return out
	}
	out := roaring.New()
	peers.Iterate(func(n uint32) bool {
		if int(n) >= len(v.classes) {
			return false
		}
		out.AddMany(v.partiesOf[n])
		return true
	})
	for i, piece := range v.pieceOf {
		if peers.Contains(v.numberOf(piece)) {
			out.Add(uint32(len(d.parties) + i))
		}
	}
	v.known[peers] = out
	return out
}

// disjoint turns cells into such as have no peer in common: each peer with all its ports.
func disjoint(cells []Cell) (out []Cell) {
	for _, c := range cells {
		rest := c.Peers.Clone()
		var next []Cell
		for _, o := range out {
			both := roaring.And(o.Peers, rest)
			if both.IsEmpty() {
				next = append(next, o)
				continue
			}
			rest.AndNot(both)
			next = append(next, Cell{o.Ports.Union(c.Ports), both}, Cell{o.Ports, roaring.AndNot(o.Peers, both)})
		}
		out = join(append(next, Cell{c.Ports, rest}))
	}
	return out
}

// minus is what of some cells others do not have; peers of neither meet within a list.
func minus(cells, others []Cell) (out []Cell) {
	for _, c := range cells {
		rest := c.Peers.Clone()
		for _, o := range others {
			if both := roaring.And(c.Peers, o.Peers); !both.IsEmpty() {
				rest.AndNot(both)
				out = append(out, Cell{c.Ports.Minus(o.Ports), both})
			}
		}
		out = append(out, Cell{c.Ports, rest})
	}
	return join(out)
}

// name is the first name of a party, by which parties are ordered.
func (p party) name() string { return p.newest()[0].String() }

// compareParties orders sets by the first who are in them.
func (d *Difference) compareParties(a, b *roaring.Bitmap) int {
	name := func(s *roaring.Bitmap) string {
		if first := s.Minimum(); int(first) < len(d.parties) {
			return d.parties[first].name()
		}
		return "\U0010ffff" // addresses come last
	}
	return strings.Compare(name(a), name(b))
}
