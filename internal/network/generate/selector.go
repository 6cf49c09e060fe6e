package generate

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// choose finds a selector that chooses some pods of a namespace and no others of it: by
// the labels that the workload itself selects by, and what else is needed to tell them
// from the others. Twins are the workloads that it chooses all the same.
func (u *units) choose(pods []int) (*metav1.LabelSelector, []string) {
	common := u.stable(pods)
	s := &metav1.LabelSelector{MatchLabels: own(u.selects[WorkloadOf(u.cluster.Pods[pods[0]])], common)}
	others := u.others(pods, s)
	for len(others) > 0 {
		if key := telling(common, s.MatchLabels, others); key != "" {
			s.MatchLabels[key] = common[key]
		} else if key := u.lacking(pods, others); key != "" {
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpDoesNotExist})
		} else {
			break
		}
		others = u.others(pods, s)
	}
	if len(s.MatchLabels) == 0 {
		s.MatchLabels = nil
	}
	var twins []string
	for _, p := range others {
		twins = append(twins, p.String())
	}
	slices.Sort(twins)
	return s, slices.Compact(twins)
}

// stable are the labels that all of some pods have, and keep.
func (u *units) stable(pods []int) map[string]string {
	out := maps.Clone(u.cluster.Pods[pods[0]].Labels)
	maps.DeleteFunc(out, func(k, v string) bool {
		return unstable(k) || slices.ContainsFunc(pods, func(i int) bool {
			has, ok := u.cluster.Pods[i].Labels[k]
			return !ok || has != v
		})
	})
	if out == nil {
		out = map[string]string{}
	}
	return out
}

// own are the labels to begin with: those that the workload selects its pods by or, where
// it selects by none that all have, all that do not change with a release.
func own(selected, common map[string]string) map[string]string {
	kept := len(selected) > 0
	for k, v := range selected {
		has, ok := common[k]
		kept = kept && ok && has == v
	}
	if kept {
		return maps.Clone(selected)
	}
	out := maps.Clone(common)
	maps.DeleteFunc(out, func(k, _ string) bool { return versioned(k) })
	return out
}

// selectsOf are the labels that the selectors of workloads ask for, but for those of a
// revision.
func selectsOf(w *model.World) map[End]map[string]string {
	out := map[End]map[string]string{}
	if w == nil {
		return out
	}
	for _, o := range w.Objects {
		if o.Pod() == nil {
			continue
		}
		by := map[string]string{}
		for k, v := range model.StringMap(o.Get("spec", "selector", "matchLabels")) {
			if !unstable(k) {
				by[k] = v
			}
		}
		out[End{Workload, o.Namespace, o.Kind + "/" + o.Name}] = by
	}
	return out
}

// others are the pods of the same namespace that a selector chooses as well.
func (u *units) others(pods []int, s *metav1.LabelSelector) (out []*reach.Pod) {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return nil // it is made of labels that the API server took, or will refuse with the pods
	}
	for _, i := range u.in[u.cluster.Pods[pods[0]].Namespace] {
		if p := u.cluster.Pods[i]; !slices.Contains(pods, i) && selector.Matches(labels.Set(p.Labels)) {
			out = append(out, p)
		}
	}
	return out
}

// telling is the label that tells most of the others apart; one of a release only where no
// other does. It is empty where none does.
func telling(common, used map[string]string, others []*reach.Pod) string {
	best, most := "", 0
	for _, key := range slices.SortedFunc(maps.Keys(common), byVersion) {
		if _, ok := used[key]; ok {
			continue
		}
		apart := 0
		for _, p := range others {
			if v, ok := p.Labels[key]; !ok || v != common[key] {
				apart++
			}
		}
		if apart > most && (best == "" || !versioned(key) || versioned(best)) {
			best, most = key, apart
		}
	}
	return best
}

func byVersion(a, b string) int {
	if versioned(a) != versioned(b) {
		if versioned(a) {
			return 1
		}
		return -1
	}
	if a < b {
		return -1
	}
	return 1
}

// lacking is a label that some of the others have and none of the pods.
func (u *units) lacking(pods []int, others []*reach.Pod) string {
	var keys []string
	for _, p := range others {
		for k := range p.Labels {
			if !unstable(k) && !slices.ContainsFunc(pods, func(i int) bool { _, ok := u.cluster.Pods[i].Labels[k]; return ok }) {
				keys = append(keys, k)
			}
		}
	}
	slices.Sort(keys)
	if len(keys) == 0 {
		return ""
	}
	return keys[0]
}
