package rbac

import (
	"cmp"
	"slices"
)

// hitting asks for the cheapest elements of which every set has one: the minimum-weight
// hitting set. Elements are numbers, and index weights, which are above 0.
type hitting struct {
	weights []int64
	sets    [][]int
	// nodes is how many choices the search may try; 0 is no limit. ended says that it has to
	// end before; nil is never.
	nodes int
	ended func() bool
}

// hitSet is what a search has found.
type hitSet struct {
	chosen []int
	weight int64
	// bound is what no solution can be cheaper than. It is the weight where the search
	// was finished.
	bound int64
}

func (h hitSet) exact() bool { return h.bound == h.weight }

// solve reduces the problem, takes it apart where parts have nothing to do with each
// other, and searches each by branch and bound.
func (h *hitting) solve() hitSet {
	r := newReduction(h)
	r.run()
	out := hitSet{chosen: r.forced}
	for _, e := range r.forced {
		out.weight += h.weights[e]
	}
	out.bound = out.weight
	for _, part := range parts(r.sets) {
		found := (&branching{hitting: h, left: h.nodes}).solve(part)
		out.chosen = append(out.chosen, found.chosen...)
		out.weight, out.bound = out.weight+found.weight, out.bound+found.bound
	}
	slices.Sort(out.chosen)
	return out
}

// parts groups sets that share elements, directly or by others.
func parts(sets [][]int) [][][]int {
	group := map[int]int{}
	var find func(int) int
	find = func(e int) int {
		up, known := group[e]
		if !known || up == e {
			group[e] = e
			return e
		}
		root := find(up)
		group[e] = root
		return root
	}
	for _, s := range sets {
		for _, e := range s[1:] {
			group[find(e)] = find(s[0])
		}
	}
	index := map[int]int{}
	var out [][][]int
	for _, s := range sets {
		root := find(s[0])
		i, known := index[root]
		if !known {
			i = len(out)
			index[root] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], s)
	}
	return out
}

// reduction makes a problem smaller without changing what its best solution costs.
type reduction struct {
	*hitting
	sets   [][]int
	forced []int
}

func newReduction(h *hitting) *reduction {
	r := &reduction{hitting: h}
	for _, s := range h.sets {
		s = slices.Clone(s)
		slices.Sort(s)
		r.sets = append(r.sets, slices.Compact(s))
	}
	return r
}

func (r *reduction) run() {
	for {
		r.dropSupersets()
		changed := r.dropDominated()
		if r.force() {
			changed = true
		}
		if !changed {
			return
		}
	}
}

// force takes the elements that are the only ones of a set.
func (r *reduction) force() bool {
	only := map[int]bool{}
	for _, s := range r.sets {
		if len(s) == 1 {
			only[s[0]] = true
		}
	}
	if len(only) == 0 {
		return false
	}
	for e := range only {
		r.forced = append(r.forced, e)
	}
	r.sets = slices.DeleteFunc(r.sets, func(s []int) bool { return slices.ContainsFunc(s, func(e int) bool { return only[e] }) })
	return true
}

// dropSupersets drops sets that are hit whenever another one is.
func (r *reduction) dropSupersets() {
	slices.SortFunc(r.sets, func(a, b []int) int { return cmp.Or(len(a)-len(b), slices.Compare(a, b)) })
	kept := r.sets[:0:0]
	first := map[int][]int{} // of the sets that are kept, by their first element
	mark := map[int]bool{}
	for _, s := range r.sets {
		clear(mark)
		for _, e := range s {
			mark[e] = true
		}
		covered := slices.ContainsFunc(s, func(e int) bool {
			return slices.ContainsFunc(first[e], func(i int) bool {
				return !slices.ContainsFunc(kept[i], func(o int) bool { return !mark[o] })
			})
		})
		if !covered {
			first[s[0]] = append(first[s[0]], len(kept))
			kept = append(kept, s)
		}
	}
	r.sets = kept
}

// dropDominated drops elements in whose place another one hits the same sets and more,
// at no higher price.
func (r *reduction) dropDominated() bool {
	in := map[int][]int{}
	for i, s := range r.sets {
		for _, e := range s {
			in[e] = append(in[e], i)
		}
	}
	dropped := map[int]bool{}
	for e, of := range in {
		smallest := slices.MinFunc(of, func(a, b int) int { return len(r.sets[a]) - len(r.sets[b]) })
		for _, f := range r.sets[smallest] {
			same := len(in[f]) == len(of) && r.weights[f] == r.weights[e]
			if f != e && r.weights[f] <= r.weights[e] && len(in[f]) >= len(of) && (!same || f < e) && includes(in[f], of) {
				dropped[e] = true
				break
			}
		}
	}
	for i, s := range r.sets {
		r.sets[i] = slices.DeleteFunc(s, func(e int) bool { return dropped[e] })
	}
	return len(dropped) > 0
}

// includes reports whether all of a sorted list are in another.
func includes(all, some []int) bool {
	i := 0
	for _, s := range some {
		for i < len(all) && all[i] < s {
			i++
		}
		if i == len(all) || all[i] != s {
			return false
		}
	}
	return true
}

// branching searches one part: it takes a set that is not hit, tries each of its
// elements, and forbids those that it has tried.
type branching struct {
	*hitting
	// left are the choices that may still be tried; below 0 the search was ended.
	left int
	sets [][]int
	in   map[int][]int
	// hits counts for each set the elements that are chosen.
	hits      []int
	forbidden map[int]int
	chosen    []int
	cost      int64
	best      hitSet
	ended     bool
	rest      map[int]int64
}

func (b *branching) solve(sets [][]int) hitSet {
	b.sets, b.in, b.hits, b.forbidden = sets, map[int][]int{}, make([]int, len(sets)), map[int]int{}
	for i, s := range sets {
		for _, e := range s {
			b.in[e] = append(b.in[e], i)
		}
	}
	b.rest = make(map[int]int64, len(b.in))
	b.best = b.greedy()
	bound, _ := b.bound()
	b.best.bound = min(bound, b.best.weight)
	if !b.best.exact() {
		b.branch()
		if !b.ended {
			b.best.bound = b.best.weight
		}
	}
	return b.best
}

// greedy takes the element that hits most for its price, until all sets are hit, and
// then leaves out what was not needed.
func (b *branching) greedy() (out hitSet) {
	hits := make([]int, len(b.sets))
	open := len(b.sets)
	gain := map[int]int{}
	for e, of := range b.in {
		gain[e] = len(of)
	}
	for open > 0 {
		best := -1
		for e, n := range gain {
			if n == 0 {
				continue
			}
			if best >= 0 {
				// n/weight against gain/weight, without fractions.
				order := cmp.Compare(int64(n)*b.weights[best], int64(gain[best])*b.weights[e])
				if order < 0 || order == 0 && e > best {
					continue
				}
			}
			best = e
		}
		out.chosen = append(out.chosen, best)
		for _, i := range b.in[best] {
			if hits[i]++; hits[i] == 1 {
				open--
				for _, e := range b.sets[i] {
					gain[e]--
				}
			}
		}
	}
	slices.SortFunc(out.chosen, func(x, y int) int { return cmp.Or(cmp.Compare(b.weights[y], b.weights[x]), y-x) })
	out.chosen = slices.DeleteFunc(out.chosen, func(e int) bool {
		if slices.ContainsFunc(b.in[e], func(i int) bool { return hits[i] == 1 }) {
			return false
		}
		for _, i := range b.in[e] {
			hits[i]--
		}
		return true
	})
	for _, e := range out.chosen {
		out.weight += b.weights[e]
	}
	return out
}

// bound is what the sets that are not hit cost at least: each pays as much for its
// elements as none of them is paid beyond its price. It returns, too, a set of which
// fewest elements may be taken, -1 where none is left.
func (b *branching) bound() (total int64, next int) {
	clear(b.rest)
	next = -1
	fewest := 0
	for i, s := range b.sets {
		if b.hits[i] > 0 {
			continue
		}
		free, least := 0, int64(-1)
		for _, e := range s {
			if b.forbidden[e] > 0 {
				continue
			}
			free++
			left, seen := b.rest[e]
			if !seen {
				left = b.weights[e]
			}
			if least < 0 || left < least {
				least = left
			}
		}
		if next < 0 || free < fewest {
			next, fewest = i, free
		}
		if free == 0 {
			return 1 << 62, i // nothing may hit it any more
		}
		total += least
		for _, e := range s {
			left, seen := b.rest[e]
			if !seen {
				left = b.weights[e]
			}
			b.rest[e] = left - least
		}
	}
	return total, next
}

func (b *branching) branch() {
	if b.out() {
		return
	}
	bound, next := b.bound()
	if next < 0 {
		if b.cost < b.best.weight {
			b.best = hitSet{slices.Clone(b.chosen), b.cost, b.best.bound}
		}
		return
	}
	if bound >= b.best.weight-b.cost {
		return
	}
	options := slices.DeleteFunc(slices.Clone(b.sets[next]), func(e int) bool { return b.forbidden[e] > 0 })
	open := func(e int) (n int64) {
		for _, i := range b.in[e] {
			if b.hits[i] == 0 {
				n++
			}
		}
		return n
	}
	slices.SortFunc(options, func(x, y int) int {
		return cmp.Or(cmp.Compare(b.weights[x]*open(y), b.weights[y]*open(x)), x-y)
	})
	for _, e := range options {
		b.take(e, 1)
		b.branch()
		b.take(e, -1)
		b.forbidden[e]++
	}
	for _, e := range options {
		b.forbidden[e]--
	}
}

// take chooses an element, or takes the choice back.
func (b *branching) take(e, by int) {
	for _, i := range b.in[e] {
		b.hits[i] += by
	}
	b.cost += int64(by) * b.weights[e]
	if by > 0 {
		b.chosen = append(b.chosen, e)
	} else {
		b.chosen = b.chosen[:len(b.chosen)-1]
	}
}

// out reports whether the search has to end.
func (b *branching) out() bool {
	if b.ended {
		return true
	}
	b.left--
	b.ended = b.hitting.nodes > 0 && b.left < 0 || b.left%256 == 0 && b.hitting.ended != nil && b.hitting.ended()
	return b.ended
}
