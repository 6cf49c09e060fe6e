package reach

import "github.com/RoaringBitmap/roaring/v2"

// components finds what each class reaches in any number of steps. Places that reach one
// another are one component (R. Tarjan, "Depth-first search and linear graph algorithms",
// 1972), and what a component reaches is its own and that of those it leads to, which are
// found before it. The stack is the heap's: a chain may be as long as there are places.
func (b *blaster) components() {
	t := &tarjan{b: b, index: make([]int, len(b.places)), low: make([]int, len(b.places)), component: make([]int, len(b.places))}
	t.join()
	for p := range b.places {
		t.component[p] = -1
	}
	for p := range b.places {
		if t.index[p] == 0 {
			t.visit(uint32(p))
		}
	}
	b.far = make([]*extent, len(b.toPlaces))
	known := map[*extent]*extent{}
	for c, to := range b.toPlaces {
		x := known[b.direct[c]]
		if x == nil {
			x = t.reached(to)
			known[b.direct[c]] = x
		}
		b.far[c] = x
	}
}

// tarjan walks the places.
type tarjan struct {
	b *blaster
	// next are the places that each leads to.
	next       [][]uint32
	index, low []int
	count      int
	stack      []uint32
	component  []int
	// workloads are what each component reaches, itself among it.
	workloads []*extent
}

// join collects where each place leads to: where some class of it may send. Classes of a
// place that may send to the same are looked at once.
func (t *tarjan) join() {
	t.next = make([][]uint32, len(t.b.places))
	seen := make([]int, len(t.b.places))
	for p, place := range t.b.places {
		known := map[*extent]bool{}
		for _, c := range place.members {
			if known[t.b.direct[c]] {
				continue
			}
			known[t.b.direct[c]] = true
			for _, to := range t.b.toPlaces[c] {
				if seen[to] != p+1 {
					seen[to] = p + 1
					t.next[p] = append(t.next[p], to)
				}
			}
		}
	}
}

// visit finds the components that can be reached from a place.
func (t *tarjan) visit(first uint32) {
	type frame struct {
		place uint32
		at    int
	}
	frames := []frame{{first, 0}}
	t.enter(first)
	for len(frames) > 0 {
		f := &frames[len(frames)-1]
		if f.at < len(t.next[f.place]) {
			to := t.next[f.place][f.at]
			f.at++
			switch {
			case t.index[to] == 0:
				t.enter(to)
				frames = append(frames, frame{to, 0})
			case t.component[to] < 0:
				t.low[f.place] = min(t.low[f.place], t.index[to])
			}
			continue
		}
		done := f.place
		frames = frames[:len(frames)-1]
		if len(frames) > 0 {
			up := frames[len(frames)-1].place
			t.low[up] = min(t.low[up], t.low[done])
		}
		if t.low[done] == t.index[done] {
			t.close(done)
		}
	}
}

func (t *tarjan) enter(place uint32) {
	t.count++
	t.index[place], t.low[place] = t.count, t.count
	t.stack = append(t.stack, place)
}

// close makes a component of what is on the stack down to a place.
func (t *tarjan) close(last uint32) {
	n := len(t.workloads)
	var sets []*roaring.Bitmap
	var members []uint32
	for {
		p := t.stack[len(t.stack)-1]
		t.stack = t.stack[:len(t.stack)-1]
		t.component[p] = n
		members = append(members, p)
		sets = append(sets, t.b.places[p].workloads)
		if p == last {
			break
		}
	}
	known := map[int]bool{n: true}
	for _, p := range members {
		for _, to := range t.next[p] {
			if c := t.component[to]; !known[c] {
				known[c] = true
				sets = append(sets, t.workloads[c].workloads)
			}
		}
	}
	t.workloads = append(t.workloads, t.b.newExtent(roaring.FastOr(sets...)))
}

// reached is what is reached from some places, they themselves among it.
func (t *tarjan) reached(places []uint32) *extent {
	known := map[int]bool{}
	var sets []*roaring.Bitmap
	var one *extent
	for _, p := range places {
		if c := t.component[p]; !known[c] {
			known[c] = true
			one = t.workloads[c]
			sets = append(sets, one.workloads)
		}
	}
	if len(sets) == 1 {
		return one
	}
	all := roaring.FastOr(sets...)
	// One of them often reaches all the others.
	for c := range known {
		if x := t.workloads[c]; x.workloads.GetCardinality() == all.GetCardinality() {
			return x
		}
	}
	return t.b.newExtent(all)
}
