package reach

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// fewGroups is for how many classes groups are looked for one by one.
const fewGroups = 16

// regroup finds the groups of classes that are new, and of those that other policies are
// about than before.
func (u *update) regroup() {
	for d := range directions {
		for _, n := range u.left.ToArray() {
			u.leave(d, n)
		}
	}
	numbers, namespaces := u.regrouped()
	s := newSubjects(u.Engine, namespaces)
	for d := range directions {
		for _, n := range numbers {
			at := 0
			if int(n) < len(u.classes) {
				about := s.about(d, n)
				if now := u.groupOf[d][n]; now >= 0 && u.groups[d][now].about.equal(&about) {
					continue
				}
				at = u.find(d, about, len(numbers))
				u.leave(d, n)
				u.groupOf[d][n] = int32(at)
			}
			u.copy(d, at).members.Add(n)
		}
		u.clear(d)
	}
}

// regrouped are the numbers to find groups for, and the namespaces of their classes.
func (u *update) regrouped() (numbers []uint32, namespaces map[string]bool) {
	namespaces = map[string]bool{}
	note := func(n uint32) bool {
		numbers = append(numbers, n)
		if int(n) < len(u.classes) {
			namespaces[u.classes[n].namespace] = true
		}
		return true
	}
	if len(u.over) == 0 {
		u.met.Iterate(note)
		return numbers, namespaces
	}
	over := among(u.over)
	for n, c := range u.classes {
		if len(c.pods) > 0 && (over(c.namespace) || u.met.Contains(uint32(n))) {
			note(uint32(n))
		}
	}
	pieces := u.met.Clone()
	pieces.RemoveRange(0, uint64(len(u.classes)))
	pieces.Iterate(note)
	return numbers, namespaces
}

// copy is a group whose members may be changed.
func (u *update) copy(d Direction, at int) *group {
	if !u.copied[d][at] {
		g := *u.groups[d][at]
		g.members = g.members.Clone()
		u.groups[d][at], u.copied[d][at] = &g, true
	}
	return u.groups[d][at]
}

// leave takes a class, or a piece of addresses, out of its group.
func (u *update) leave(d Direction, n uint32) {
	at := 0
	if int(n) < len(u.classes) {
		if at = int(u.groupOf[d][n]); at < 0 {
			return
		}
		u.groupOf[d][n] = -1
	}
	u.copy(d, at).members.Remove(n)
}

// find returns the number of the group of some policies, which may be a new one. It may be
// asked for many.
func (u *update) find(d Direction, a about, many int) int {
	if a.empty() {
		return 0
	}
	if u.known[d] == nil && many > fewGroups {
		u.known[d] = map[aboutKey][]int{}
		for i, g := range u.groups[d] {
			u.known[d][g.about.key()] = append(u.known[d][g.about.key()], i)
		}
	}
	key := a.key()
	if u.known[d] != nil {
		for _, i := range u.known[d][key] {
			if u.groups[d][i].about.equal(&a) {
				return i
			}
		}
	} else {
		for i, g := range u.groups[d] {
			if i > 0 && g.about.equal(&a) {
				return i
			}
		}
	}
	at := max(u.blank[d], 1)
	for !u.first && at < len(u.groups[d]) && !u.groups[d][at].about.empty() {
		at++
	}
	g := &group{members: roaring.New(), about: a, only: a.only(d)}
	if u.first || at == len(u.groups[d]) {
		at = len(u.groups[d])
		u.groups[d] = append(u.groups[d], g)
		u.copied[d], u.fresh[d] = append(u.copied[d], true), append(u.fresh[d], true)
	}
	u.groups[d][at], u.blank[d] = g, at
	u.copied[d][at], u.fresh[d][at] = true, true
	if u.known[d] != nil {
		u.known[d][key] = append(u.known[d][key], at)
	}
	return at
}

// clear frees the numbers of groups without members.
func (u *update) clear(d Direction) {
	for at, copied := range u.copied[d] {
		if copied && at > 0 && u.groups[d][at].members.IsEmpty() {
			u.groups[d][at] = &group{members: none}
		}
	}
}

// patch makes the sets of groups that there were before right for what is new: numbers that
// are no more are taken out, and what the same rules say of new ones is added.
func (u *update) patch() {
	if u.first || u.left.IsEmpty() && u.met.IsEmpty() {
		return
	}
	part := newScope(u.Engine, u.met)
	part.partial = true
	p := &patcher{stale: roaring.Or(u.left, u.met), about: u.namespacesOf(u.left, u.met), known: map[[2]*roaring.Bitmap]*roaring.Bitmap{
		{u.before.everybody, u.met}: u.everybody}}
	if u.met.IsEmpty() {
		p.known[[2]*roaring.Bitmap{u.before.everybody, none}] = u.everybody
	}
	for d := range directions {
		for at, g := range u.groups[d] {
			if u.fresh[d][at] || g.only != "" && !p.about[g.only] || g.members.IsEmpty() {
				continue
			}
			added := []Cell{{AllPorts, u.met}}
			if at > 0 {
				added = part.cells(d, g.members.Minimum(), &g.about)
			}
			cells, changed := p.cells(g.cells, added)
			if !changed {
				continue
			}
			patched := *g
			patched.cells = cells
			u.groups[d][at] = &patched
		}
	}
}

// namespacesOf are those that classes are of, or were before.
func (u *update) namespacesOf(sets ...*roaring.Bitmap) map[string]bool {
	out := map[string]bool{}
	for _, set := range sets {
		set.Iterate(func(n uint32) bool {
			if int(n) < len(u.classes) {
				out[u.classes[n].namespace], out[u.before.classes[n].namespace] = true, true
			}
			return true
		})
	}
	return out
}

// patcher changes sets. What groups share they share afterwards.
type patcher struct {
	stale *roaring.Bitmap
	// about are the namespaces of what is stale, and of what is added.
	about map[string]bool
	known map[[2]*roaring.Bitmap]*roaring.Bitmap
}

// cells are those of before without what is stale, and with what is added.
func (p *patcher) cells(of, added []Cell) (out []Cell, changed bool) {
	if len(added) == 0 && !slices.ContainsFunc(of, func(c Cell) bool { return c.Peers.Intersects(p.stale) }) {
		return of, false
	}
	taken := make([]bool, len(added))
	for _, c := range of {
		more := none
		for i, a := range added {
			if a.Ports.Equal(c.Ports) {
				more, taken[i] = a.Peers, true
			}
		}
		if c.Peers = p.set(c.Peers, more); !c.Peers.IsEmpty() {
			out = append(out, c)
		}
	}
	for i, c := range added {
		if !taken[i] && !c.Peers.IsEmpty() {
			out = append(out, c)
		}
	}
	return out, true
}

func (p *patcher) set(of, more *roaring.Bitmap) *roaring.Bitmap {
	key := [2]*roaring.Bitmap{of, more}
	if known := p.known[key]; known != nil {
		return known
	}
	out := of
	if !more.IsEmpty() || of.Intersects(p.stale) {
		out = with(less(of.Clone(), p.stale), more)
	}
	p.known[key] = out
	return out
}

// fill computes what groups that are new may receive, and send.
func (u *update) fill() {
	var whole *scope
	for d := range directions {
		for at, g := range u.groups[d] {
			if !u.fresh[d][at] {
				continue
			}
			if at == 0 {
				g.members.RunOptimize()
				g.cells = []Cell{{AllPorts, u.everybody}}
				continue
			}
			if g.members.IsEmpty() {
				continue
			}
			if whole == nil {
				whole = newScope(u.Engine, u.everybody)
			}
			g.cells = whole.cells(d, g.members.Minimum(), &g.about)
		}
	}
}
