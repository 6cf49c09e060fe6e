package reach

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// classify sorts the pods of some namespaces into classes. A class whose pods are still
// told apart from others, and from others only, keeps its number; it is that of all rules
// that are left. It reports false where no numbers are free.
func (u *update) classify() bool {
	if len(u.resort) == 0 && !u.first {
		return true
	}
	var pods []int
	resort := among(u.resort)
	for i, p := range u.Cluster.Pods {
		if u.first || resort(p.Namespace) {
			pods = append(pods, i)
		}
	}
	byNamespace(u.Cluster.Pods, pods)
	older := map[string][]uint32{}
	for n, c := range u.before.classes {
		if len(c.pods) > 0 && resort(c.namespace) {
			older[c.namespace] = append(older[c.namespace], uint32(n))
		}
	}
	k := newClassifier(u.asked, u.addresses)
	for first := 0; first < len(pods); {
		ns, end := u.Cluster.Pods[pods[first]].Namespace, first
		for end < len(pods) && u.Cluster.Pods[pods[end]].Namespace == ns {
			end++
		}
		if !u.sort(k, pods[first:end], older[ns]) {
			return false
		}
		delete(older, ns)
		first = end
	}
	for _, numbers := range older {
		for _, n := range numbers {
			u.release(n)
		}
	}
	return true
}

// sort sorts the pods of one namespace, whose classes were some numbers.
func (u *update) sort(k *classifier, pods []int, older []uint32) bool {
	at := make(map[string]uint32, len(older)+1)
	for _, n := range older {
		key := k.keyOf(u.before.classes[n].pods[0])
		if _, taken := at[key]; taken {
			u.release(n)
			continue
		}
		at[key] = n
		u.classes[n] = nil
	}
	for _, i := range pods {
		p := u.Cluster.Pods[i]
		key := k.keyOf(p)
		n, ok := at[key]
		if !ok {
			if n, ok = u.take(); !ok {
				return false
			}
			at[key] = n
			u.met.Add(n)
		}
		if u.classes[n] == nil {
			u.classes[n] = k.classOf(p)
		}
		u.classes[n].pods = append(u.classes[n].pods, p)
		u.classOf[i] = int(n)
	}
	for _, n := range older {
		if u.classes[n] == nil {
			u.release(n)
		}
	}
	return true
}

// take returns a free number; false where there are none left. The class of a number that
// is taken is nil until it has a pod.
func (u *update) take() (uint32, bool) {
	if u.first {
		u.classes = append(u.classes, nil)
		return uint32(len(u.classes)) - 1, true
	}
	for ; u.next < len(u.classes); u.next++ {
		if u.classes[u.next] == free {
			u.classes[u.next] = nil
			return uint32(u.next), true
		}
	}
	return 0, false
}

// release makes a number free.
func (u *update) release(n uint32) {
	u.classes[n] = free
	u.left.Add(n)
	u.next = min(u.next, int(n))
}

// number completes the numbers of all who there are. Behind the classes stay some that are
// free: a change may bring new ones, and pieces of addresses keep their numbers.
func (u *update) number() {
	if u.first {
		classes := uint64(len(u.classes))
		u.classes = append(u.classes, slices.Repeat([]*class{free}, len(u.classes)/2+256)...)
		u.everybody.AddRange(0, classes)
		u.everybody.AddRange(uint64(u.numberOf(0)), uint64(u.numberOf(len(u.addresses.starts))))
		u.met = u.everybody
		for d := range directions {
			u.groupOf[d] = slices.Repeat([]int32{-1}, len(u.classes))
			u.groups[d] = []*group{{members: roaring.New()}}
			u.copied[d], u.fresh[d] = []bool{true}, []bool{true}
		}
		return
	}
	if len(u.relabelled) > 0 {
		relabelled := among(u.relabelled)
		for n, c := range u.classes {
			if len(c.pods) > 0 && relabelled(c.namespace) {
				u.met.Add(uint32(n))
			}
		}
	}
	if u.left.IsEmpty() && u.met.IsEmpty() {
		return
	}
	u.everybody = u.everybody.Clone()
	u.everybody.AndNot(u.left)
	u.everybody.Or(u.met)
}
