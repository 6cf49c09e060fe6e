package network

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// worstRadii is how many radii are told.
const worstRadii = 10

// makers are the objects that pods are of: what people wrote, by namespace, kind and name.
var makers = model.NewFact(func(w *model.World) map[string]*model.Object {
	out := map[string]*model.Object{}
	for _, o := range w.Objects {
		if o.Pod() != nil {
			out[o.Namespace+"/"+o.Kind+"/"+o.Name] = o
		}
	}
	return out
})

// makerOf is the object that a finding about a workload points at: what makes its pods, or
// one of them.
func makerOf(w *model.World, p *reach.Pod) *model.Object {
	if o := makers.Of(w)[p.String()]; o != nil {
		return o
	}
	return p.Object
}

// judgeRadii judges how many other namespaces a workload may talk into. Those that may talk
// to the same ones are told as one.
func judgeRadii(in *check.Input) []check.Judgement {
	w := in.World
	c, e := clusters.Of(w), engines.Of(w)
	if len(c.Pods) == 0 {
		return nil
	}
	for _, p := range c.Pods {
		if !w.Closed(p.Namespace) {
			return []check.Judgement{check.Inapplicable(makerOf(w, p))} // its policies may be in other files
		}
	}
	if len(c.Unknown) > 0 {
		return []check.Judgement{check.Unobserved(c.Unknown[0], "policies of network plugins are not judged, so that it is not known how far a workload reaches")}
	}
	var out []check.Judgement
	var wide [][]reach.Radius
	at := map[any]int{}
	for _, r := range e.Blast().Worst() {
		limit, _ := in.Parameter("namespaces", r.Workload.Namespace).(int64)
		first := c.Pods[r.Workload.Pods[0]]
		switch i, known := at[r.Direct.Key()]; {
		case first.HostNetwork:
			out = append(out, check.Inapplicable(makerOf(w, first)))
		case int64(r.Direct.Namespaces) <= limit:
			out = append(out, check.Passed(makerOf(w, first)))
		case known:
			wide[i] = append(wide[i], r)
			out = append(out, check.Inapplicable(makerOf(w, first)))
		default:
			at[r.Direct.Key()] = len(wide)
			wide = append(wide, []reach.Radius{r})
		}
	}
	return append(out, tellRadii(w, wide)...)
}

// tellRadii makes findings of the worst radii; the last one says how many others there are.
func tellRadii(w *model.World, wide [][]reach.Radius) (out []check.Judgement) {
	c, total := clusters.Of(w), len(engines.Of(w).Workloads())-1
	rest := 0
	for i, of := range wide {
		r := of[0]
		o := makerOf(w, c.Pods[r.Workload.Pods[0]])
		if i >= worstRadii {
			rest += len(of)
			out = append(out, check.Inapplicable(o))
			continue
		}
		detail := fmt.Sprintf("it may talk to %d of %d other workloads, in %d other namespaces; in several steps %d are reached, in %d",
			r.Direct.Workloads, total, r.Direct.Namespaces, r.Transitive.Workloads, r.Transitive.Namespaces)
		if len(of) > 1 {
			detail += fmt.Sprintf("; %s may as much", count(len(of)-1, "other workload", "other workloads"))
		}
		out = append(out, check.Failed(o, check.Violation{Path: model.Path(nil).Keys("metadata", "name"), Detail: detail}))
	}
	if rest > 0 {
		for i := range out {
			if out[i].Verdict == finding.Fail && out[i].Object == makerOf(w, c.Pods[wide[worstRadii-1][0].Workload.Pods[0]]) {
				out[i].Violations[0].Detail += fmt.Sprintf("; %s reach too many namespaces and are not told: bulkhead net blast", count(rest, "workload more", "workloads more"))
			}
		}
	}
	return out
}

// count is a number and what it counts.
func count(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

var limitedBlastRadius = check.Control{
	Rule: finding.Rule{
		Name: "limited-blast-radius", Title: "A workload reaches few other namespaces", Severity: finding.Medium, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "Whoever takes over a workload goes on from it to all that it may talk to, and from there further. " +
			"How far that is decides what one broken program costs. The worst ten are told; those that reach the same are told together.",
		Remedy: "Deny ingress by default in every namespace, and allow what is wanted by pods and ports. bulkhead net blast shows the radius of each workload, " +
			"before and after a change.",
		FixSafety: finding.FixManual,
	},
	FixNote:    "Decide which connections between namespaces are wanted. Monitoring and ingress controllers reach many, and may be waived.",
	Parameters: []check.Parameter{{Name: "namespaces", Description: "How many other namespaces a workload may talk into; the resolver's is one.", Default: int64(3)}},
	Needs:      reachNeeds,
	World:      judgeRadii,
	Examples: check.Examples{
		Bad:  []string{radiusExample(" # want")},
		Good: []string{radiusExample("", "a", "c", "e"), webPod},
	},
}

// radiusExample is a pod in each of five namespaces, some of which let only their own pods in.
func radiusExample(want string, closed ...string) (text string) {
	for _, ns := range []string{"a", "b", "c", "d", "e"} {
		text += strings.ReplaceAll(`apiVersion: v1
kind: Namespace
metadata:
  name: NS
---
apiVersion: v1
kind: Pod
metadata:
  name: web`+want+`
  namespace: NS
spec:
  containers:
    - name: web
      image: example.com/web:1
---
`, "NS", ns)
		if want = ""; slices.Contains(closed, ns) {
			text += strings.ReplaceAll(`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: own
  namespace: NS
spec:
  podSelector: {}
  ingress:
    - from:
        - podSelector: {}
---
`, "NS", ns)
		}
	}
	return text
}
