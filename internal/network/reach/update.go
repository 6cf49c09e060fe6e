package reach

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/labels"
)

// Update builds the engine of what a cluster has become, as New does, and takes over what
// no change is about. What is the same in both is known by its pointer: pods, policies and
// nodes that are other pointers have changed, whatever is in them. The engine itself stays
// as it is.
//
// Classes whose pods changed are sorted anew, and rules are asked about new classes only:
// for these, and for new pieces of addresses, sets are made as for a whole cluster, and are
// joined with those that there are. Where much has changed the engine is built anew.
func (e *Engine) Update(c *Cluster) *Engine {
	u := newUpdate(e, c)
	if !u.make() {
		return New(c)
	}
	return u.Engine
}

// update makes an engine out of another.
type update struct {
	*Engine
	before *Engine
	// first says that there was nothing before.
	first bool
	// podsGone and podsCame, of which the latter are numbers, are pods of one state only.
	podsGone []*Pod
	podsCame []int
	// gone and came are policies of one state only, and over are the namespaces that they
	// are about.
	gone, came []ruled
	over       map[string]bool
	// relabelled are namespaces that have other labels than before.
	relabelled map[string]bool
	// resort are the namespaces whose pods are to be sorted into classes.
	resort map[string]bool
	// left are the numbers of classes and pieces that are no more, and met those that rules
	// are to be asked about. A number may be in both.
	left, met *roaring.Bitmap
	// next is where to look for a free number of a class, and blank for that of a group.
	next  int
	blank [directions]int
	// copied are the groups whose members are no longer those of before, and fresh those
	// that there were not.
	copied, fresh [directions][]bool
	known         [directions]map[aboutKey][]int
}

func newUpdate(before *Engine, c *Cluster) *update {
	e := &Engine{Cluster: c, classes: slices.Clone(before.classes), asked: before.asked, addresses: before.addresses, everybody: before.everybody}
	e.index()
	u := &update{Engine: e, before: before, over: map[string]bool{}, relabelled: map[string]bool{}, resort: map[string]bool{}, left: roaring.New(), met: roaring.New()}
	for d := range directions {
		u.groups[d], u.groupOf[d] = slices.Clone(before.groups[d]), slices.Clone(before.groupOf[d])
		u.copied[d], u.fresh[d] = make([]bool, len(u.groups[d])), make([]bool, len(u.groups[d]))
	}
	return u
}

// make makes the engine. It reports false where that is no less than building a new one.
func (u *update) make() bool {
	u.comparePods()
	if !u.comparePolicies() || !u.compareNamespaces() || !u.ask() || !u.classify() {
		return false
	}
	u.number()
	u.regroup()
	u.patch()
	u.fill()
	return true
}

// differ finds what of two lists is in one only; what is in both, by its places in each,
// is visited. Most of it is at the same place from the start, or from the end.
func differ[T comparable](before, after []T, same func(i, j, n int)) (gone []T, came []int) {
	start := 0
	for start < min(len(before), len(after)) && before[start] == after[start] {
		start++
	}
	end := 0
	for end < min(len(before), len(after))-start && before[len(before)-1-end] == after[len(after)-1-end] {
		end++
	}
	same(0, 0, start)
	same(len(before)-end, len(after)-end, end)
	at := map[T]int{}
	for i, x := range before[start : len(before)-end] {
		at[x] = start + i
	}
	for j, x := range after[start : len(after)-end] {
		if i, ok := at[x]; ok {
			same(i, start+j, 1)
			delete(at, x)
		} else {
			came = append(came, start+j)
		}
	}
	for _, x := range before[start : len(before)-end] {
		if _, ok := at[x]; ok {
			gone = append(gone, x)
		}
	}
	return gone, came
}

// comparePods finds the pods that changed; the classes of others are what they were.
func (u *update) comparePods() {
	u.classOf = make([]int, len(u.Cluster.Pods))
	if u.first {
		return
	}
	u.podsGone, u.podsCame = differ(u.before.Cluster.Pods, u.Cluster.Pods, func(i, j, n int) { copy(u.classOf[j:j+n], u.before.classOf[i:i+n]) })
	for _, p := range u.podsGone {
		u.resort[p.Namespace] = true
	}
	for _, i := range u.podsCame {
		u.resort[u.Cluster.Pods[i].Namespace] = true
	}
}

// comparePolicies finds the policies that changed. It reports false where those of a tier
// that did not are asked in another order.
func (u *update) comparePolicies() bool {
	if u.first {
		u.came = u.Cluster.ruled()
		return true
	}
	older, newer := u.before.Cluster, u.Cluster
	gone, came := differ(older.Policies, newer.Policies, func(int, int, int) {})
	for _, p := range gone {
		u.gone = append(u.gone, ruled{p.Subject, p.Rules})
		u.over[p.Namespace] = true
	}
	for _, i := range came {
		p := newer.Policies[i]
		u.came = append(u.came, ruled{p.Subject, p.Rules})
		u.over[p.Namespace] = true
	}
	return u.compareTier(older.Admin, newer.Admin) && u.compareTier(older.Baseline, newer.Baseline)
}

func (u *update) compareTier(before, after []*TierPolicy) bool {
	if slices.Equal(before, after) {
		return true
	}
	last, sorted := -1, true
	gone, came := differ(before, after, func(int, int, int) {})
	kept := slices.DeleteFunc(slices.Clone(after), func(p *TierPolicy) bool { return !slices.Contains(before, p) })
	for _, p := range kept {
		at := slices.Index(before, p)
		sorted, last = sorted && at > last, at
	}
	changed := func(p *TierPolicy) ruled {
		for _, ns := range u.Cluster.Namespaces {
			if p.Namespaces.Matches(labels.Set(ns.Labels)) {
				u.over[ns.Name] = true
			}
		}
		return ruled{p.Pods, p.Rules}
	}
	for _, p := range gone {
		u.gone = append(u.gone, changed(p))
	}
	for _, i := range came {
		u.came = append(u.came, changed(after[i]))
	}
	return sorted
}

// compareNamespaces finds those whose labels changed. It reports false where the profile is
// another one.
func (u *update) compareNamespaces() bool {
	older, newer := u.before.Cluster, u.Cluster
	if u.first {
		return true
	}
	for name, ns := range newer.Namespaces {
		if was := older.Namespaces[name]; was != ns && (was == nil || !maps.Equal(was.Labels, ns.Labels)) {
			u.relabelled[name] = true
		}
	}
	for name := range older.Namespaces {
		if newer.Namespaces[name] == nil {
			u.relabelled[name] = true
		}
	}
	return older.Profile == newer.Profile
}

// ask finds what is asked for now, and the pods that it concerns. It reports false where
// nodes changed, and matter.
func (u *update) ask() bool {
	if u.first {
		u.asked = newAsked()
		for _, p := range u.came {
			u.asked.count(u.Cluster, p, 1)
		}
		u.asked.sortLabels()
		if u.asked.nodes > 0 {
			for _, b := range u.Cluster.nodeBlocks() {
				for _, bound := range boundsOf(b) {
					u.asked.bounds.add(bound, 1)
				}
			}
		}
		u.addresses = cutAt(slices.Collect(maps.Keys(u.asked.bounds)))
		return true
	}
	changed := newAsked()
	if len(u.gone)+len(u.came) > 0 {
		u.asked, changed = u.before.asked.change(u.Cluster, u.gone, u.came)
	}
	before, after := u.before.asked, u.asked
	if (before.nodes > 0) != (after.nodes > 0) || after.nodes > 0 && !maps.Equal(u.before.Cluster.Nodes, u.Cluster.Nodes) {
		return false
	}
	all := (len(before.bounds) > 0) != (len(after.bounds) > 0)
	where := u.recut(changed)
	if !all && len(changed.labels)+len(changed.names) == 0 && where == nil {
		return true
	}
	for _, p := range u.Cluster.Pods {
		if all || changed.of(p) || where != nil && slices.ContainsFunc(p.Addresses, where.Contains) {
			u.resort[p.Namespace] = true
		}
	}
	return true
}

// recut cuts addresses where blocks begin or end now, and returns those whose piece is
// another one; nil where there are none.
func (u *update) recut(changed *asked) *netipx.IPSet {
	var came, gone []netip.Addr
	for bound := range changed.bounds {
		if u.asked.bounds[bound] > 0 {
			came = append(came, bound)
		} else {
			gone = append(gone, bound)
		}
	}
	if len(came)+len(gone) == 0 {
		return nil
	}
	slices.SortFunc(came, netip.Addr.Compare)
	slices.SortFunc(gone, netip.Addr.Compare)
	cuts, added, freed := u.addresses.recut(came, gone)
	var where netipx.IPSetBuilder
	for _, piece := range freed {
		where.AddRange(u.before.addresses.Range(piece))
		u.left.Add(u.before.numberOf(piece))
	}
	for _, piece := range added {
		where.AddRange(cuts.Range(piece))
		u.met.Add(u.before.numberOf(piece))
	}
	u.addresses = cuts
	set, err := where.IPSet()
	if err != nil {
		return nil // pieces are valid ranges
	}
	return set
}

// among reports whether names are in a set. Those that are asked for mostly come in runs.
func among(set map[string]bool) func(string) bool {
	last, is := "", set[""]
	return func(name string) bool {
		if name != last {
			last, is = name, set[name]
		}
		return is
	}
}
