package rbac

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// shortener makes chains of many starts as short as they can be.
type shortener struct {
	graph *graph
	ends  map[*node]*acquired
	// left is how many steps may still be looked at.
	left int
	// parts are sets that led to cuts, and short those that are chains: similar starts have
	// the same.
	parts, short []map[nodeKey]bool
}

// maxShortened bounds how many steps are looked at to make the chains of a world shorter
// that take several identities, maxShortenedAlone those that do not, and maxShortenedOne
// one chain.
const maxShortened, maxShortenedAlone, maxShortenedOne = 10_000_000, 5_000_000, 2_000_000

// maxKept bounds the sets that are kept for similar starts.
const maxKept = 8

// fewestJoint is what no chain that several act in has less steps than: the first step is
// taken by one identity alone, and where that leads to the goal nobody else is asked.
const fewestJoint = 2

// shortenAll makes chains to cluster admin as short as they can be, those of one length
// together. It looks at so many steps. Who has no chain yet may have one of steps that one
// identity takes each: it gets another that is shorter, or that one where it is not known
// whether there is any.
func (g *graph) shortenAll(starts []*node, ends map[*node]*acquired, left int) {
	byLength := map[int][]*node{}
	for _, n := range starts {
		length := n.distance
		if last := ends[n]; last != nil {
			length = last.length()
		}
		if length != unreachable {
			byLength[length] = append(byLength[length], n)
		}
	}
	x := &shortener{graph: g, ends: ends, left: left}
	for _, length := range slices.Sorted(maps.Keys(byLength)) {
		if length > fewestJoint {
			x.some(byLength[length], length)
		}
	}
}

// some makes chains of one length shorter. What all starts together cannot do with fewer
// steps none of them can; where that is not known, each half is looked at.
func (x *shortener) some(starts []*node, length int) {
	s := x.shortening(starts)
	bound := s.nearest(length)
	if bound < length {
		bound = max(bound, s.known(length))
	}
	x.left -= s.spent
	x.bound(starts, length, bound)
	if bound >= length || x.left <= 0 {
		return
	}
	starts = x.reuse(starts, bound)
	switch half := len(starts) / 2; len(starts) {
	case 0:
	case 1:
		x.one(starts[0], length)
	default:
		x.some(starts[:half], length)
		x.some(starts[half:], length)
	}
}

// bound notes what no chain of some has less steps than.
func (x *shortener) bound(starts []*node, length, bound int) {
	for _, n := range starts {
		if x.ends[n] == nil {
			if bound >= length {
				continue
			}
			x.ends[n] = x.graph.toAdmin(n)
		}
		x.ends[n].atLeast = max(x.ends[n].atLeast, bound)
	}
}

// reuse takes chains that are known for similar starts, where none is shorter; it returns
// the starts that have no such chain.
func (x *shortener) reuse(starts []*node, bound int) []*node {
	return slices.DeleteFunc(slices.Clone(starts), func(n *node) bool {
		return slices.ContainsFunc(x.short, func(only map[nodeKey]bool) bool {
			if len(only) > bound {
				return false
			}
			j := x.graph.joinWithin(only, n)
			x.left -= j.spent
			last := j.admin()
			if last != nil {
				x.ends[n] = last
			}
			return last != nil
		})
	})
}

// one makes the chain of one start shorter.
func (x *shortener) one(n *node, length int) {
	s, known := x.shortening([]*node{n}), x.ends[n].atLeast
	end, bound := s.search(length)
	x.left -= s.spent
	if end != nil {
		x.ends[n] = end
		x.short = kept(x.short, whoIn(end))
	}
	x.ends[n].atLeast = max(known, bound)
	x.parts = kept(x.parts, s.found...)
}

func kept(sets []map[nodeKey]bool, more ...map[nodeKey]bool) []map[nodeKey]bool {
	sets = append(sets, more...)
	return sets[max(0, len(sets)-maxKept):]
}

func (x *shortener) shortening(starts []*node) *shortening {
	return &shortening{graph: x.graph, starts: starts, isGoal: (*acquired).isAdmin, limit: min(x.left, maxShortenedOne), parts: x.parts, numbers: map[nodeKey]int{}}
}

// shortenHeld makes the chains shorter that lead a start to whom it can become, and lists
// them in their order. Where cluster admin is among them only the chain to there counts:
// who is that needs to become nobody else.
func (g *graph) shortenHeld(j *joined, start *node) []*acquired {
	out := slices.DeleteFunc(slices.Clone(j.held[1:]), func(a *acquired) bool { return a.again != nil })
	x := &shortening{graph: g, starts: []*node{start}, limit: maxShortenedOne}
	longest := 0
	for _, a := range out {
		longest = max(longest, a.length())
	}
	if longest <= fewestJoint {
		return out
	}
	near, admin, spent := x.levels(longest), j.admin(), x.spent
	for i, a := range out {
		length := a.length()
		a.atLeast = near.to(a.who)
		isGoal := func(b *acquired) bool { return b.who == a.who }
		if a == admin {
			isGoal = (*acquired).isAdmin
			a.atLeast = near.nearest(isGoal)
		}
		if a.atLeast >= length || admin != nil && a != admin {
			continue
		}
		s := &shortening{graph: g, starts: []*node{start}, isGoal: isGoal, limit: maxShortenedOne - spent, numbers: map[nodeKey]int{}}
		end, bound := s.search(length)
		spent += s.spent
		if a.atLeast = max(a.atLeast, bound); end == nil {
			continue
		}
		if end.who != a.who {
			// Another is cluster admin by fewer steps.
			i = slices.IndexFunc(out, func(b *acquired) bool { return b.who == end.who })
		}
		if i >= 0 {
			end.atLeast = a.atLeast
			out[i] = end
		}
	}
	return out
}

// shortening looks for a shortest chain of steps that several identities take together,
// of one start or of many at once.
//
// Such a chain is a set of who is held on the way. Somebody may be held once some others
// are, and more of them never take that away. So where everybody is held who can be by
// means of a set alone, and the goal is not, every chain has to leave the set: by one of
// those whom a next step leads to. These are a cut, and a chain has one of each cut. The
// fewest that have one of each are no more than any chain has. If they make up a chain it
// is a shortest; if not, they are part of a set that leads to another cut.
type shortening struct {
	graph  *graph
	starts []*node
	// isGoal says whether a chain may end there.
	isGoal func(*acquired) bool
	// spent is how many steps were looked at, of limit that may be.
	spent, limit int
	// near are those who may be part of a shorter chain than the one that is known, but for
	// its end; those that may be its end are in ends, which is nil until they are looked for.
	near []*acquired
	ends map[nodeKey]bool
	// parts are sets that led to cuts of others, and found those of this one.
	parts, found []map[nodeKey]bool
	// cuts are lists of numbers, which index who.
	cuts    [][]int
	who     []nodeKey
	numbers map[nodeKey]int
}

// maxSmallest bounds the search for the fewest who have one of each cut, maxCuts how many
// cuts there are.
const maxSmallest, maxCuts = 5_000, 200

// known is what no chain has less steps than, as far as the sets say that led to cuts of
// others.
func (s *shortening) known(length int) int {
	defer s.restore(s.graph.cut)
	bound := fewestJoint
	for i := len(s.parts) - 1; i >= 0 && bound < length; i-- {
		j := s.within(s.parts[i])
		if j == nil {
			break
		}
		if s.goal(j) == nil {
			s.addCut(j)
			bound = max(bound, int(s.smallest().bound))
		}
	}
	return min(bound, length)
}

// restore leaves the graph as it was: what is looked at to shorten a chain hides nobody.
func (s *shortening) restore(cut bool) { s.graph.cut = cut }

// length is the number of steps of the chain that ends there.
func (a *acquired) length() int { return len(a.chain()) }

// whoIn are those who are held in a chain, but for who starts it.
func whoIn(last *acquired) map[nodeKey]bool {
	out := map[nodeKey]bool{}
	for _, a := range last.chain() {
		out[a.who] = true
	}
	return out
}

// search returns the end of a chain that is shorter than so many steps, nil where none was
// found, and what none is shorter than.
func (s *shortening) search(length int) (*acquired, int) {
	bound := fewestJoint
	defer s.restore(s.graph.cut)
	if !s.findNear(length - 1) {
		return nil, bound
	}
	if len(s.ends) == 0 {
		return nil, length
	}
	for len(s.cuts) <= maxCuts {
		found := s.smallest()
		if bound = max(bound, int(found.bound)); bound >= length {
			return nil, length
		}
		chosen := map[nodeKey]bool{}
		for _, n := range found.chosen {
			chosen[s.who[n]] = true
		}
		j := s.within(chosen)
		if j == nil {
			break
		}
		if end := s.goal(j); end != nil {
			if end.length() < length {
				return end, min(bound, end.length())
			}
			break // the fewest were not found
		}
		if j = s.grow(chosen); j == nil {
			break
		}
		s.addCut(j)
	}
	return nil, bound
}

// joinWithin follows the steps to some only.
func (g *graph) joinWithin(only map[nodeKey]bool, starts ...*node) *joined {
	j := g.newJoined(starts...)
	j.only = only
	j.run(func() bool { return j.admin() != nil })
	return j
}

// within follows the steps to some only, until the goal is held; nil where too much was
// looked at.
func (s *shortening) within(only map[nodeKey]bool) *joined {
	if s.spent >= s.limit || s.graph.cut {
		return nil // too much to look at, or more ways than can be followed
	}
	j := s.graph.newJoined(s.starts...)
	j.only = only
	j.run(func() bool { return s.spent+j.spent > s.limit || s.goal(j) != nil })
	if s.spent += j.spent; s.spent > s.limit || s.graph.cut {
		return nil
	}
	return j
}

// goal is the end of the chain, if it is held.
func (s *shortening) goal(j *joined) *acquired {
	if i := slices.IndexFunc(j.held, s.isGoal); i >= 0 {
		return j.held[i]
	}
	return nil
}

// findNear looks for those who are part of chains of so many steps, or less: each takes as
// many steps at least as when everybody is held who takes one less.
func (s *shortening) findNear(most int) bool {
	only := map[nodeKey]bool{}
	s.ends = map[nodeKey]bool{}
	for level := 1; level <= most; level++ {
		j := s.within(only)
		if j == nil {
			return false
		}
		before := len(s.near)
		for _, a := range j.beyond {
			switch {
			case s.isGoal(a):
				s.ends[a.who] = true
			case level < most && !only[a.who]:
				only[a.who] = true
				s.near = append(s.near, a)
			}
		}
		if len(s.near) == before {
			break
		}
	}
	return true
}

// grow adds to a set that does not lead to the goal whoever may be added without that it
// does, so that few are left to leave it by.
func (s *shortening) grow(chosen map[nodeKey]bool) *joined {
	only, open := maps.Clone(chosen), map[nodeKey]*acquired{}
	for _, a := range s.near {
		if !only[a.who] {
			only[a.who], open[a.who] = true, a
		}
	}
	var alike []*acquired
	for {
		j := s.within(only)
		if j == nil {
			return nil
		}
		end := s.goal(j)
		if end == nil {
			j = s.regain(j, only, alike, maxRegain)
			s.found = append(s.found, only)
			return j
		}
		out := s.leaving(end, open)
		delete(only, out.who)
		delete(open, out.who)
		// Whoever may do the same would have to leave next.
		kind := out.likeness()
		for _, a := range s.near {
			if open[a.who] != nil && kind != "" && a.likeness() == kind {
				delete(only, a.who)
				delete(open, a.who)
				alike = append(alike, a)
			}
		}
	}
}

// leaving is one of a chain who is to leave a set so that it does not lead to the goal: who
// is in no cut yet makes one that has nothing in common with the others.
func (s *shortening) leaving(end *acquired, open map[nodeKey]*acquired) (out *acquired) {
	fresh := false
	for _, a := range end.chain() {
		if _, known := s.numbers[a.who]; open[a.who] != nil && (!known || !fresh) {
			out, fresh = open[a.who], !known
		}
	}
	return out
}

// maxRegain bounds how often these are halved.
const maxRegain = 3

// regain takes back those who left a set only because they are like others.
func (s *shortening) regain(j *joined, only map[nodeKey]bool, alike []*acquired, deep int) *joined {
	if len(alike) == 0 || deep == 0 {
		return j
	}
	more := maps.Clone(only)
	for _, a := range alike {
		more[a.who] = true
	}
	k := s.within(more)
	switch {
	case k == nil:
		return nil
	case s.goal(k) == nil:
		maps.Copy(only, more)
		return k
	case len(alike) == 1:
		return j
	}
	for _, half := range [][]*acquired{alike[:len(alike)/2], alike[len(alike)/2:]} {
		if j = s.regain(j, only, half, deep-1); j == nil {
			return nil
		}
	}
	return j
}

// likeness says what somebody may do where, the same for whoever may do much the same.
func (a *acquired) likeness() string {
	if a.node.powers == nil {
		return ""
	}
	var out []string
	a.node.powers.all(func(h *holding) {
		if h.has != 0 {
			out = append(out, fmt.Sprintf("%x %s", h.has, h.namespace))
		}
	})
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ",")
}

// addCut notes that every chain has one of those whom a set leads to.
func (s *shortening) addCut(j *joined) {
	near := maps.Clone(s.ends)
	for _, a := range s.near {
		near[a.who] = true
	}
	var cut []int
	for _, a := range j.beyond {
		if s.ends != nil && !near[a.who] {
			continue
		}
		n, known := s.numbers[a.who]
		if !known {
			n = len(s.who)
			s.numbers[a.who], s.who = n, append(s.who, a.who)
		}
		cut = append(cut, n)
	}
	slices.Sort(cut)
	s.cuts = append(s.cuts, slices.Compact(cut))
}

// smallest are the fewest who have one of each cut.
func (s *shortening) smallest() hitSet {
	h := &hitting{sets: s.cuts, nodes: maxSmallest, weights: make([]int64, len(s.who))}
	for i := range h.weights {
		h.weights[i] = 1
	}
	for _, cut := range s.cuts {
		s.spent += len(cut)
		if len(cut) == 0 {
			return hitSet{bound: unreachable} // nobody leads on
		}
	}
	return h.solve()
}
