package reach

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// layer is what some classes and addresses may send, and to whom.
type layer struct {
	Cell
	from *roaring.Bitmap
}

// transposed are the layers by who receives: those about everybody, and those of single
// ends.
type transposed struct {
	all []*layer
	to  map[uint32][]*layer
}

// transpose turns what each group may send around. Groups that have a rule in common,
// such as that to the resolver, share its layer.
func (e *Engine) transpose() *transposed {
	type key struct {
		peers *roaring.Bitmap
		ports string
	}
	known := map[key]*layer{}
	var layers []*layer
	for _, g := range append(slices.Clip(e.groups[Egress]), e.open[Egress]) {
		for _, c := range g.cells {
			k := key{c.Peers, c.Ports.String()}
			l := known[k]
			if l == nil {
				l = &layer{c, roaring.New()}
				known[k] = l
				layers = append(layers, l)
			}
			l.from.Or(g.members)
		}
	}
	t := &transposed{to: map[uint32][]*layer{}}
	for _, l := range layers {
		if l.Peers == e.everybody {
			t.all = append(t.all, l)
			continue
		}
		l.Peers.Iterate(func(to uint32) bool {
			t.to[to] = append(t.to[to], l)
			return true
		})
	}
	return t
}

// Connections visits every class of pods, and every piece of addresses, with who may
// reach it and by which ports: cells whose ports differ, and whose peers may meet.
// Ends that nobody reaches are visited with no cells.
func (e *Engine) Connections(visit func(to End, from []Cell)) {
	t := e.transpose()
	for to := range uint32(len(e.classes) + len(e.addresses.starts)) {
		end := End{to}
		var out []Cell
		at := map[string]int{}
		owned := map[int]bool{}
		each := func(in Cell, l *layer) {
			ports := in.Ports
			if !l.Ports.All() {
				ports = in.Ports.Intersect(l.Ports)
			}
			if ports.Empty() || !in.Peers.Intersects(l.from) {
				return
			}
			from := l.from
			own := false
			if in.Peers != e.everybody {
				from, own = roaring.And(in.Peers, l.from), true
			}
			key := ports.String()
			i, ok := at[key]
			if !ok {
				at[key], owned[len(out)] = len(out), own
				out = append(out, Cell{ports, from})
				return
			}
			if !owned[i] {
				out[i].Peers, owned[i] = out[i].Peers.Clone(), true
			}
			out[i].Peers.Or(from)
		}
		for _, in := range e.groupOfEnd(Ingress, end).cells {
			for _, l := range t.all {
				each(in, l)
			}
			for _, l := range t.to[to] {
				each(in, l)
			}
		}
		visit(end, out)
	}
}

// Pods are the numbers of an end's pods in Cluster.Pods; none for addresses.
func (e *Engine) Pods(of End) []int {
	if int(of.number) >= len(e.classes) {
		return nil
	}
	return e.classes[of.number].pods
}
