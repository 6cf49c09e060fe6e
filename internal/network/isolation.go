package network

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// isolated says for which directions NetworkPolicies are about a pod.
type isolated [2]bool

// isolations say it of each pod of each namespace, in the order of podsIn. A namespace with
// too many policies and pods to compare them all has none.
var isolations = model.NewFact(func(w *model.World) map[string][]isolated {
	out := map[string][]isolated{}
	for ns, pods := range podsIn.Of(w) {
		own := policies.Of(w)[ns]
		keys := subjectKeys(own)
		known := map[string]isolated{}
		of := make([]isolated, 0, len(pods))
		for _, p := range pods {
			key := projected(p.Labels, keys)
			is, ok := known[key]
			if !ok {
				if len(known) >= maxComparisons/max(1, len(own)) {
					of = nil
					break
				}
				for _, policy := range own {
					if policy.Subject.Matches(labels.Set(p.Labels)) {
						for d := range is {
							is[d] = is[d] || policy.Isolates[d]
						}
					}
				}
				known[key] = is
			}
			of = append(of, is)
		}
		out[ns] = of
	}
	return out
})

// maxComparisons is how often selectors are held against labels in one namespace: ten
// million take about a second.
const maxComparisons = 10_000_000

// subjectKeys are the labels that the policies of a namespace choose by.
func subjectKeys(of []*reach.Policy) []string {
	var keys []string
	for _, p := range of {
		requirements, _ := p.Subject.Requirements()
		for _, r := range requirements {
			keys = append(keys, r.Key())
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// projected is the same text for pods that selectors of some labels cannot tell apart.
func projected(of map[string]string, keys []string) string {
	var out strings.Builder
	for _, k := range keys {
		if v, ok := of[k]; ok {
			out.WriteString(v)
			out.WriteByte(1)
		}
		out.WriteByte(0)
	}
	return out.String()
}

// openWorkloads are the workloads of a namespace with pods that no NetworkPolicy isolates
// in a direction.
func openWorkloads(w *model.World, namespace string, d reach.Direction) []string {
	pods, of := podsIn.Of(w)[namespace], isolations.Of(w)[namespace]
	var open []*reach.Pod
	for i, is := range of {
		if !is[d] {
			open = append(open, pods[i])
		}
	}
	return workloadNames(open)
}

// workloadNames are the names of the workloads of some pods, each once, in order.
func workloadNames(pods []*reach.Pod) []string {
	out := make([]string, 0, len(pods))
	for _, p := range pods {
		out = append(out, p.Workload())
	}
	slices.Sort(out)
	return slices.Compact(out)
}
