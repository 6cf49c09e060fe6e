package reach

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// Radius is how far whoever takes over a workload gets under the policies: its blast
// radius. The workload itself is not counted, by no number.
type Radius struct {
	Workload *Workload
	// Direct are the workloads that some pod of it may talk to, by any port, and Transitive
	// those that may be reached in any number of steps, by way of others.
	Direct, Transitive Extent
}

// Extent counts workloads, and the namespaces other than the own one that they are in.
type Extent struct {
	Workloads, Namespaces int
	set                   *extent
}

// Key is the same for workloads whose pods reach the same ones, themselves among them.
func (x Extent) Key() any { return x.set }

// Blast is the radius of every workload, by namespace and name.
type Blast struct {
	Workloads []*Workload
	Radii     []Radius
}

// Each visits the workloads of an extent of one workload, in order.
func (b *Blast) Each(r Radius, x Extent, visit func(*Workload)) {
	x.set.workloads.Iterate(func(n uint32) bool {
		if w := b.Workloads[n]; w != r.Workload {
			visit(w)
		}
		return true
	})
}

// Worst are the radii, the widest first: by what is reached in any number of steps, then
// directly.
func (b *Blast) Worst() []Radius {
	return slices.SortedStableFunc(slices.Values(b.Radii), func(x, y Radius) int {
		return cmp.Or(cmp.Compare(y.Transitive.Workloads, x.Transitive.Workloads), cmp.Compare(y.Direct.Workloads, x.Direct.Workloads),
			cmp.Compare(y.Direct.Namespaces, x.Direct.Namespaces))
	})
}

// extent is a set of workloads, by their places in Blast.Workloads.
type extent struct {
	workloads *roaring.Bitmap
	// in are the numbers of the namespaces that they are in.
	in []int
}

// Blast computes the radius of every workload. Classes to which the same classes may send
// are one place, of which the others are looked at once.
func (e *Engine) Blast() *Blast {
	b := &blaster{Engine: e, workloads: e.Workloads(), known: map[string]*extent{}}
	b.numberNamespaces()
	b.connect()
	b.components()
	out := &Blast{Workloads: b.workloads}
	for i, w := range b.workloads {
		out.Radii = append(out.Radii, Radius{w, b.count(i, b.union(w, b.direct)), b.count(i, b.union(w, b.far))})
	}
	return out
}

// blaster computes radii.
type blaster struct {
	*Engine
	workloads []*Workload
	// namespaceOf are the numbers of the workloads' namespaces, those of a namespace being
	// together, and endOf is where the workloads of each end.
	namespaceOf []int
	endOf       []uint32
	// places are classes that receive from the same ones; toPlaces are those that a class may
	// send to, and placeOf the one that it is in, -1 where nobody reaches it.
	places   []place
	toPlaces [][]uint32
	placeOf  []int
	// ofClass are the workloads of a class.
	ofClass [][]uint32
	// direct and far are what pods of a class reach.
	direct, far []*extent
	known       map[string]*extent
}

type place struct {
	members   []uint32
	workloads *roaring.Bitmap
}

// connect finds the places, and who may send to them.
func (b *blaster) connect() {
	classes := 0
	for i := range b.Cluster.Pods {
		classes = max(classes, int(b.Number(b.PodEnd(i)))+1)
	}
	b.toPlaces, b.placeOf, b.ofClass = make([][]uint32, classes), make([]int, classes), make([][]uint32, classes)
	for i, w := range b.workloads {
		w.classes.Iterate(func(c uint32) bool {
			b.ofClass[c] = append(b.ofClass[c], uint32(i))
			return true
		})
	}
	at := map[*Cell]int{}
	var from []*roaring.Bitmap
	b.Connections(func(to End, cells []Cell) {
		n := b.Number(to)
		if int(n) >= classes {
			return
		}
		if b.placeOf[n] = -1; len(cells) == 0 {
			return
		}
		p, known := at[&cells[0]]
		if !known {
			p = len(b.places)
			at[&cells[0]] = p
			b.places = append(b.places, place{workloads: roaring.New()})
			sets := make([]*roaring.Bitmap, 0, len(cells))
			for _, c := range cells {
				sets = append(sets, c.Peers)
			}
			from = append(from, roaring.FastOr(sets...))
		}
		b.placeOf[n] = p
		b.places[p].members = append(b.places[p].members, n)
		b.places[p].workloads.AddMany(b.ofClass[n])
	})
	for p, senders := range from {
		senders.Iterate(func(c uint32) bool {
			if int(c) < classes {
				b.toPlaces[c] = append(b.toPlaces[c], uint32(p))
			}
			return int(c) < classes
		})
	}
	b.direct = make([]*extent, classes)
	for c, to := range b.toPlaces {
		b.direct[c] = b.extentOf(to, func() *roaring.Bitmap {
			sets := make([]*roaring.Bitmap, 0, len(to))
			for _, p := range to {
				sets = append(sets, b.places[p].workloads)
			}
			return roaring.FastOr(sets...)
		})
	}
}

// extentOf is the extent of some places, computed once.
func (b *blaster) extentOf(places []uint32, compute func() *roaring.Bitmap) *extent {
	key := make([]byte, 0, 4*len(places))
	for _, p := range places {
		key = binary.LittleEndian.AppendUint32(key, p)
	}
	x := b.known[string(key)]
	if x == nil {
		x = b.newExtent(compute())
		b.known[string(key)] = x
	}
	return x
}

// numberNamespaces numbers the namespaces in the order of their workloads.
func (b *blaster) numberNamespaces() {
	for i, w := range b.workloads {
		if i == 0 || w.Namespace != b.workloads[i-1].Namespace {
			b.endOf = append(b.endOf, 0)
		}
		b.namespaceOf = append(b.namespaceOf, len(b.endOf)-1)
		b.endOf[len(b.endOf)-1] = uint32(i) + 1
	}
}

// newExtent notes the namespaces of workloads.
func (b *blaster) newExtent(of *roaring.Bitmap) *extent {
	of.RunOptimize()
	x := &extent{workloads: of}
	for it := of.Iterator(); it.HasNext(); {
		ns := b.namespaceOf[it.Next()]
		x.in = append(x.in, ns)
		it.AdvanceIfNeeded(b.endOf[ns])
	}
	return x
}

// union is what the pods of a workload reach together.
func (b *blaster) union(w *Workload, of []*extent) *extent {
	var all []*extent
	w.classes.Iterate(func(c uint32) bool {
		if !slices.Contains(all, of[c]) {
			all = append(all, of[c])
		}
		return true
	})
	if len(all) == 1 {
		return all[0]
	}
	sets := make([]*roaring.Bitmap, 0, len(all))
	for _, x := range all {
		sets = append(sets, x.workloads)
	}
	return b.newExtent(roaring.FastOr(sets...))
}

// count leaves the workload itself out.
func (b *blaster) count(i int, x *extent) Extent {
	out := Extent{int(x.workloads.GetCardinality()), len(x.in), x}
	if x.workloads.Contains(uint32(i)) {
		out.Workloads--
	}
	if _, own := slices.BinarySearch(x.in, b.namespaceOf[i]); own {
		out.Namespaces--
	}
	return out
}
