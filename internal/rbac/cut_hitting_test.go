package rbac

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// cheapestOf tries every choice of elements.
func cheapestOf(h *hitting) int64 {
	best := int64(1) << 62
	for choice := range 1 << len(h.weights) {
		var weight int64
		for e, w := range h.weights {
			if choice>>e&1 == 1 {
				weight += w
			}
		}
		if weight < best && !slices.ContainsFunc(h.sets, func(s []int) bool {
			return !slices.ContainsFunc(s, func(e int) bool { return choice>>e&1 == 1 })
		}) {
			best = weight
		}
	}
	return best
}

// TestHitting compares the search with one that tries everything: where it is finished
// the choice is the cheapest, and where it is ended early the bound holds.
func TestHitting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	ended := 0
	for range 3000 {
		h := &hitting{}
		for range 1 + r.IntN(11) {
			h.weights = append(h.weights, 1+r.Int64N(6))
		}
		for range 1 + r.IntN(12) {
			var s []int
			for range 1 + r.IntN(4) {
				s = append(s, r.IntN(len(h.weights)))
			}
			h.sets = append(h.sets, s)
		}
		want := cheapestOf(h)
		for _, nodes := range []int{0, 1, 3} {
			h.nodes = nodes
			got := h.solve()
			var weight int64
			for _, e := range got.chosen {
				weight += h.weights[e]
			}
			hit := !slices.ContainsFunc(h.sets, func(s []int) bool {
				return !slices.ContainsFunc(s, func(e int) bool { return slices.Contains(got.chosen, e) })
			})
			if !hit || weight != got.weight || got.bound > want || got.weight < want || nodes == 0 && got.weight != want || nodes == 0 && !got.exact() {
				t.Fatalf("%+v: %+v, but the cheapest weighs %d", h, got, want)
			}
			if !got.exact() {
				ended++
			}
		}
	}
	if ended == 0 {
		t.Error("no search was ended early")
	}
}

// TestLargeHitting: many sets that have little to do with each other are no matter.
func TestLargeHitting(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	h := &hitting{nodes: maxChoices}
	for range 3000 {
		h.weights = append(h.weights, 1+r.Int64N(20))
	}
	for range 6000 {
		at := r.IntN(300) * 10
		h.sets = append(h.sets, []int{at + r.IntN(10), at + r.IntN(10), at + r.IntN(10)})
	}
	if got := h.solve(); !got.exact() {
		t.Errorf("weight %d, bound %d", got.weight, got.bound)
	}
}
