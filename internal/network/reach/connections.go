package reach

import (
	"encoding/binary"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// layer is what some classes and addresses may send, and to whom.
type layer struct {
	Cell
	from *roaring.Bitmap
}

// layers are what each group may send. Groups that have a rule in common, such as that to
// the resolver, share its layer.
func (e *Engine) layers() (out []*layer) {
	type key struct {
		peers *roaring.Bitmap
		ports string
	}
	known := map[key]*layer{}
	for _, g := range append(slices.Clip(e.groups[Egress]), e.open[Egress]) {
		for _, c := range g.cells {
			k := key{c.Peers, c.Ports.String()}
			l := known[k]
			if l == nil {
				l = &layer{c, roaring.New()}
				known[k] = l
				out = append(out, l)
			}
			l.from.Or(g.members)
		}
	}
	return out
}

// sent is what arrives at some ends, were there no policy for what they receive: cells
// whose ports may meet.
type sent []Cell

// transpose turns what each group may send around: what is sent to each end. Ends that the
// same layers are about share it.
func (e *Engine) transpose() []*sent {
	layers := e.layers()
	ends := len(e.classes) + len(e.addresses.starts)
	about := make([][]uint32, ends)
	for n, l := range layers {
		if l.Peers != e.everybody {
			l.Peers.Iterate(func(to uint32) bool {
				about[to] = append(about[to], uint32(n))
				return true
			})
		}
	}
	var all []uint32
	for n, l := range layers {
		if l.Peers == e.everybody {
			all = append(all, uint32(n))
		}
	}
	out := make([]*sent, ends)
	known := map[string]*sent{}
	var key []byte
	for to, of := range about {
		key = key[:0]
		for _, n := range of {
			key = binary.LittleEndian.AppendUint32(key, n)
		}
		s := known[string(key)]
		if s == nil {
			s = joinLayers(layers, all, of)
			known[string(key)] = s
		}
		out[to] = s
	}
	return out
}

// joinLayers makes one cell of the layers with the same ports.
func joinLayers(layers []*layer, numbers ...[]uint32) *sent {
	var out sent
	var from [][]*roaring.Bitmap
	at := map[string]int{}
	for _, list := range numbers {
		for _, n := range list {
			key := layers[n].Ports.String()
			i, ok := at[key]
			if !ok {
				i = len(out)
				at[key] = i
				out, from = append(out, Cell{Ports: layers[n].Ports}), append(from, nil)
			}
			from[i] = append(from[i], layers[n].from)
		}
	}
	for i, sets := range from {
		if out[i].Peers = sets[0]; len(sets) > 1 {
			out[i].Peers = roaring.FastOr(sets...)
		}
	}
	return &out
}

// Connections visits every class of pods, and every piece of addresses, with who may
// reach it and by which ports: cells whose ports differ, and whose peers may meet.
// Ends that nobody reaches are visited with no cells. Cells are shared between visits, and
// not to be changed.
func (e *Engine) Connections(visit func(to End, from []Cell)) {
	type meeting struct {
		in  *group
		out *sent
	}
	known := map[meeting][]Cell{}
	for to, s := range e.transpose() {
		end := End{uint32(to)}
		m := meeting{e.groupOfEnd(Ingress, end), s}
		cells, ok := known[m]
		if !ok {
			cells = e.received(m.in.cells, *s)
			known[m] = cells
		}
		visit(end, cells)
	}
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
	return join(both)
}

// Pods are the numbers of an end's pods in Cluster.Pods; none for addresses.
func (e *Engine) Pods(of End) []int {
	if int(of.number) >= len(e.classes) {
		return nil
	}
	return e.classes[of.number].pods
}
