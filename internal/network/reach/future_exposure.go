package reach

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Future are pods that do not exist yet, by what their labels have to be.
type Future struct {
	// Namespaces are those that exist and in which they may be made; none where it is one
	// that does not exist yet.
	Namespaces []string
	// Namespace is what the labels of a new namespace have to be, and Pod those of the pod;
	// of keys that are not named it does not matter.
	Namespace, Pod map[string]Values
	Ports          Ports
	// Like counts the pods that are such ones already.
	Like int
}

// Exposure says who could reach pods, and be reached by them, if it were made. Pods in the
// network of their node are left out: no policy isolates them. New pods are taken to give no
// names to ports.
type Exposure struct {
	From, To []Future
	// Bounded says that there is more: some selectors cut labels into more regions than are
	// looked at.
	Bounded bool
	// Doubts say why the answer may be wrong.
	Doubts []string
}

// Exposure is that of all pods of a workload.
func (e *Engine) Exposure(w *Workload) (out Exposure) {
	seen := map[string]bool{}
	for _, n := range w.Pods {
		p := e.Cluster.Pods[n]
		if key := fmt.Sprint(p.Labels, p.Named, p.HostNetwork, p.Addresses); !seen[key] && len(seen) < maxTried {
			seen[key] = true
			one := e.ExposureOf(p)
			out.From, out.To = append(out.From, one.From...), append(out.To, one.To...)
			out.Bounded, out.Doubts = out.Bounded || one.Bounded, joinValues(out.Doubts, one.Doubts)
		}
	}
	out.Bounded = out.Bounded || len(seen) == maxTried
	out.From, out.To = uniqueFutures(out.From), uniqueFutures(out.To)
	return out
}

func uniqueFutures(of []Future) (out []Future) {
	seen := map[string]bool{}
	for _, f := range of {
		if key := f.String() + strings.Join(f.Namespaces, ","); !seen[key] {
			seen[key] = true
			out = append(out, f)
		}
	}
	return out
}

// ExposureOf is that of one pod.
func (e *Engine) ExposureOf(p *Pod) (out Exposure) {
	d := newDecider(e.Cluster)
	out.From = d.futures(p, true)
	out.To = d.futures(p, false)
	out.Bounded, out.Doubts = d.bounded, slices.Sorted(maps.Keys(d.doubts))
	return out
}

// futures are the pods that may be made and that reach a pod, or that it reaches.
func (d *decider) futures(p *Pod, from bool) (out []Future) {
	there := futureEnd{side: Side{Pod: p}}
	ask := func(namespace string, inNew bool) []answered {
		made := d.future(namespace, inNew, from)
		if from {
			return d.simplify(d.between(made, there, cube{}))
		}
		return d.simplify(d.between(there, made, cube{}))
	}
	at := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(d.Namespaces)) {
		for _, a := range ask(name, false) {
			f := newFuture(a)
			key := a.text() + a.ports.String()
			n, known := at[key]
			if !known {
				n = len(out)
				at[key] = n
				out = append(out, f)
			}
			out[n].Namespaces = append(out[n].Namespaces, name)
		}
	}
	for i := range out {
		out[i].Like = d.like(out[i])
	}
	for _, a := range ask("", true) {
		if f, ok := d.newFutureIn(a); ok {
			out = append(out, f)
		}
	}
	return out
}

func newFuture(a answered) Future {
	f := Future{Namespace: map[string]Values{}, Pod: map[string]Values{}, Ports: a.ports}
	for key, v := range a.cube {
		if key.of == fromNamespace || key.of == toNamespace {
			f.Namespace[key.key] = v
		} else {
			f.Pod[key.key] = v
		}
	}
	return f
}

// newFutureIn is about a namespace that does not exist yet: it has a name, which none has
// that does.
func (d *decider) newFutureIn(a answered) (Future, bool) {
	f := newFuture(a)
	name, ok := f.Namespace[corev1.LabelMetadataName]
	if !ok {
		return f, true
	}
	name.Absent = false
	if !name.Not {
		name.Listed = slices.DeleteFunc(slices.Clone(name.Listed), func(v string) bool { return d.Namespaces[v] != nil })
	}
	f.Namespace[corev1.LabelMetadataName] = name
	if name.Not && len(name.Listed) == 0 {
		delete(f.Namespace, corev1.LabelMetadataName)
	}
	return f, !name.empty()
}

// like counts pods that are there.
func (d *decider) like(f Future) (n int) {
	for _, p := range d.Pods {
		if _, in := slices.BinarySearch(f.Namespaces, p.Namespace); in && !p.HostNetwork && matchesValues(f.Pod, p.Labels) {
			n++
		}
	}
	return n
}

func matchesValues(of map[string]Values, set map[string]string) bool {
	for key, v := range of {
		if value, there := set[key]; !v.has(value, there) {
			return false
		}
	}
	return true
}

// Contains reports whether a pod with some labels, in a namespace that exists, or in a new
// one with labels of its own, is among them.
func (f Future) Contains(namespace string, namespaceLabels, pod map[string]string) bool {
	if namespace == "" {
		return len(f.Namespaces) == 0 && matchesValues(f.Namespace, namespaceLabels) && matchesValues(f.Pod, pod)
	}
	return slices.Contains(f.Namespaces, namespace) && matchesValues(f.Pod, pod)
}

// Witness is one of them, in the form that WithFuture reads.
func (f Future) Witness() string {
	pod := labels.Set(exampleOf(f.Pod)).String()
	if len(f.Namespaces) > 0 {
		return FuturePrefix + f.Namespaces[0] + "/" + pod
	}
	return FuturePrefix + "{" + labels.Set(exampleOf(f.Namespace)).String() + "}/" + pod
}

func exampleOf(of map[string]Values) map[string]string {
	out := map[string]string{}
	for key, v := range of {
		if value, there := v.example("other"); there {
			out[key] = value
		}
	}
	return out
}

// fewNamespaces is how many a text names.
const fewNamespaces = 4

// String says who they are, without the ports: "any pod of shop labelled app=web".
func (f Future) String() string {
	text := "any pod"
	if l := valuesText(f.Pod); l != "" {
		text += " labelled " + l
	}
	switch {
	case len(f.Namespaces) > fewNamespaces:
		return fmt.Sprintf("%s of %d namespaces: %s and others", text, len(f.Namespaces), strings.Join(f.Namespaces[:fewNamespaces-1], ", "))
	case len(f.Namespaces) > 0:
		return text + " of " + strings.Join(f.Namespaces, ", ")
	case len(f.Namespace) > 0:
		return text + " of a new namespace with " + valuesText(f.Namespace)
	}
	return text + " of any new namespace"
}

func valuesText(of map[string]Values) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(of)) {
		out = append(out, of[key].text(key))
	}
	return strings.Join(out, ",")
}

// maxSimplified bounds how many regions are made simpler: the work grows with the square.
const maxSimplified = 64

// simplify says the same with fewer and larger regions, which may meet: of each, all pods
// have its ports at least, and what a pod has is all that is said of it together.
func (d *decider) simplify(of []answered) []answered {
	if len(of) > maxSimplified {
		return of
	}
	var out []answered
	for _, a := range of {
		if slices.ContainsFunc(out, func(o answered) bool { return o.ports.Equal(a.ports) && len(subtract(a.cube, []cube{o.cube})) == 0 }) {
			continue
		}
		var with []cube // all that has these ports
		for _, o := range of {
			if o.ports.has(a.ports) {
				with = append(with, o.cube)
			}
		}
		for _, key := range a.keys() {
			wider := maps.Clone(a.cube)
			if delete(wider, key); len(subtract(wider, with)) == 0 {
				a.cube = wider
			}
		}
		out = append(out, a)
	}
	// What others say together need not be said again.
	for i := len(out) - 1; i >= 0; i-- {
		left := out[i].ports
		for j, o := range out {
			if j != i && len(subtract(out[i].cube, []cube{o.cube})) == 0 {
				left = left.Minus(o.ports)
			}
		}
		if left.Empty() {
			out = slices.Delete(out, i, i+1)
		}
	}
	return out
}

// subtract is what of a cube is in none of others.
func subtract(c cube, others []cube) []cube {
	left := []cube{c}
	for _, o := range others {
		var next []cube
		for _, l := range left {
			if l.meet(o) == nil {
				next = append(next, l)
			} else {
				next = append(next, l.minus(o)...)
			}
		}
		if left = next; len(left) == 0 || len(left) > maxRegions {
			return left
		}
	}
	return left
}
