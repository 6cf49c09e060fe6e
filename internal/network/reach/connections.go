package reach

import (
	"math/rand/v2"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// layer is what some classes and addresses may send, and to whom.
type layer struct {
	Cell
	from *roaring.Bitmap
	// ports is the place of its ports among those of all layers.
	ports int
	// mark tells sets of layers apart: that of a set is what its layers' marks have in
	// excess, bit by bit. Marks are of no use for who does not know them beforehand.
	mark [2]uint64
}

// layers are what each group may send, and the ports that they are about. Groups that have
// a rule in common, such as that to the resolver, share its layer. Those of the same ports
// have no sender in common, since each group has one cell for the same ports.
func (e *Engine) layers() (out []*layer, ports []Ports) {
	type key struct {
		peers *roaring.Bitmap
		ports int
	}
	known, numbers := map[key]*layer{}, map[string]int{}
	for _, g := range e.groups[Egress] {
		for _, c := range g.cells {
			text := c.Ports.String()
			n, ok := numbers[text]
			if !ok {
				n = len(ports)
				numbers[text], ports = n, append(ports, c.Ports)
			}
			l := known[key{c.Peers, n}]
			if l == nil {
				l = &layer{Cell: c, from: roaring.New(), ports: n, mark: [2]uint64{rand.Uint64(), rand.Uint64()}}
				known[key{c.Peers, n}] = l
				out = append(out, l)
			}
			l.from.Or(g.members)
		}
	}
	return out, ports
}

// sent is what arrives at some ends, were there no policy for what they receive: cells
// whose ports may meet.
type sent []Cell

// sweep goes through all ends by their numbers, and knows what is sent to each: from one
// end to the next little changes. It takes time by where sets begin and end, and not by how
// much is in them: that of all addresses but for some is two runs of numbers.
type sweep struct {
	layers []*layer
	ports  []Ports
	// turns are the numbers of layers that begin or end at each end, those of end n being
	// between bounds n and n+1.
	turns, bounds []int32
	mark          [2]uint64
	// on are the layers of which the senders are in now, and pending those that began or
	// ended since.
	on      []bool
	pending map[int32]bool
	now     []*roaring.Bitmap
	// shown are copies of now, nil where it has changed since.
	shown []*roaring.Bitmap
	known map[[2]uint64]*sent
}

func (e *Engine) newSweep() *sweep {
	s := &sweep{pending: map[int32]bool{}, known: map[[2]uint64]*sent{}}
	s.layers, s.ports = e.layers()
	s.on = make([]bool, len(s.layers))
	s.shown = make([]*roaring.Bitmap, len(s.ports))
	for range s.ports {
		s.now = append(s.now, roaring.New())
	}
	ends := len(e.classes) + len(e.addresses.starts)
	s.bounds = make([]int32, ends+2)
	for _, l := range s.layers {
		for first, after := range l.Peers.Ranges() {
			s.bounds[first+1]++
			s.bounds[after+1]++
		}
	}
	for i := range ends + 1 {
		s.bounds[i+1] += s.bounds[i]
	}
	s.turns = make([]int32, s.bounds[ends+1])
	next := slices.Clone(s.bounds)
	for n, l := range s.layers {
		for first, after := range l.Peers.Ranges() {
			for _, at := range [2]uint64{uint64(first), after} {
				s.turns[next[at]] = int32(n)
				next[at]++
			}
		}
	}
	return s
}

// to is what is sent to an end; they are asked for in the order of their numbers.
func (s *sweep) to(end int) *sent {
	for _, n := range s.turns[s.bounds[end]:s.bounds[end+1]] {
		mark := s.layers[n].mark
		s.mark[0], s.mark[1] = s.mark[0]^mark[0], s.mark[1]^mark[1]
		if s.pending[n] {
			delete(s.pending, n)
		} else {
			s.pending[n] = true
		}
	}
	if known := s.known[s.mark]; known != nil {
		return known
	}
	for n := range s.pending {
		l := s.layers[n]
		if s.on[n] {
			s.now[l.ports] = less(s.now[l.ports], l.from)
		} else {
			s.now[l.ports] = with(s.now[l.ports], l.from)
		}
		s.on[n], s.shown[l.ports] = !s.on[n], nil
	}
	clear(s.pending)
	var out sent
	for i, now := range s.now {
		if s.shown[i] == nil {
			s.shown[i] = now.Clone()
			s.shown[i].RunOptimize()
		}
		if !now.IsEmpty() {
			out = append(out, Cell{s.ports[i], s.shown[i]})
		}
	}
	s.known[s.mark] = &out
	return &out
}

// Connections visits every class of pods, and every piece of addresses, with who may
// reach it and by which ports: cells whose ports differ, and whose peers may meet.
// Ends that nobody reaches are visited with no cells. Cells are shared between visits, and
// not to be changed. Pieces come last, in the order of their addresses.
func (e *Engine) Connections(visit func(to End, from []Cell)) {
	type meeting struct {
		in  *group
		out *sent
	}
	known := map[meeting][]Cell{}
	receive := func(end End, s *sent) {
		m := meeting{e.groupOfEnd(Ingress, end), s}
		cells, ok := known[m]
		if !ok {
			cells = e.received(m.in.cells, *s)
			known[m] = cells
		}
		visit(end, cells)
	}
	sweep := e.newSweep()
	for n, c := range e.classes {
		if s := sweep.to(n); len(c.pods) > 0 {
			receive(End{uint32(n)}, s)
		}
	}
	pieces := make([]*sent, len(e.addresses.starts))
	for piece := range pieces {
		pieces[piece] = sweep.to(len(e.classes) + piece)
	}
	for _, piece := range e.addresses.order {
		receive(End{e.numberOf(piece)}, pieces[piece])
	}
}

// Reaching are those who reach one end, as Connections has them.
func (e *Engine) Reaching(to End) []Cell {
	return e.received(e.groupOfEnd(Ingress, to).cells, e.talkingOf(Egress, to))
}

// Reached are those whom one end reaches.
func (e *Engine) Reached(from End) []Cell {
	return e.received(e.groupOfEnd(Egress, from).cells, e.talkingOf(Ingress, from))
}

// talkingOf are those who may send to an end, or receive from it.
func (e *Engine) talkingOf(d Direction, end End) []Cell {
	namespace := ""
	if int(end.number) < len(e.classes) {
		namespace = e.classes[end.number].namespace
	}
	var out []Cell
	for _, g := range e.groups[d] {
		if g.only != "" && g.only != namespace {
			continue
		}
		for _, c := range g.cells {
			if c.Peers.Contains(end.number) {
				out = append(out, Cell{c.Ports, g.members})
			}
		}
	}
	return join(out)
}

// received is what is both sent and may be received.
func (e *Engine) received(in []Cell, out sent) []Cell {
	var both []Cell
	for _, r := range in {
		for _, s := range out {
			ports := r.Ports
			if !s.Ports.All() {
				ports = r.Ports.Intersect(s.Ports)
			}
			switch {
			case ports.Empty():
			case r.Peers == e.everybody:
				both = append(both, Cell{ports, s.Peers})
			default:
				both = append(both, Cell{ports, roaring.And(r.Peers, s.Peers)})
			}
		}
	}
	return sortCells(join(both))
}

// sortCells orders cells by their ports.
func sortCells(cells []Cell) []Cell {
	slices.SortFunc(cells, func(a, b Cell) int { return a.Ports.compare(b.Ports) })
	return cells
}

// Pods are the numbers of an end's pods in Cluster.Pods; none for addresses.
func (e *Engine) Pods(of End) []int {
	if int(of.number) >= len(e.classes) {
		return nil
	}
	return e.members()[of.number]
}
