package reach

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Choice are pods by their labels, of one namespace or, where it is empty, of all.
type Choice struct {
	Namespace string
	Pods      labels.Selector
}

// Prospects are pods that do not exist yet: those that one of Of chooses, and none of But.
// Pods in the network of their node are none, and new pods give no names to ports.
type Prospects struct{ Of, But []Choice }

// Party is one side of what is looked for: somebody who is there, or prospects.
type Party struct {
	Side Side
	New  *Prospects
}

// FutureTraffic is an example of traffic to or from a pod that does not exist yet.
type FutureTraffic struct {
	// Cluster has the namespaces of the ends too, where these do not exist yet.
	Cluster  *Cluster
	From, To Side
	Ports    Ports
	// made are the namespaces that do not exist yet.
	made map[string]bool
}

// Foresight looks for traffic of pods that do not exist yet. It is for one goroutine.
type Foresight struct {
	d     *decider
	names []string
	// left is how many pairs of namespaces and ends are still looked at.
	left int
	// placed are where prospects may be, as senders or as receivers.
	placed map[placeKey][]placed
}

type placeKey struct {
	of   *Prospects
	from bool
}

// maxForeseen bounds how many pairs of ends, or of namespaces, are looked at.
const maxForeseen = 200_000

// NewForesight looks into the future of a cluster.
func NewForesight(c *Cluster) *Foresight {
	return &Foresight{newDecider(c), slices.Sorted(maps.Keys(c.Namespaces)), maxForeseen, map[placeKey][]placed{}}
}

// Unknown says why what was found may not be all; empty where it is.
func (f *Foresight) Unknown() []string {
	out := slices.Sorted(maps.Keys(f.d.doubts))
	if f.d.bounded || f.left <= 0 {
		out = append(out, "there are more kinds of pods that may be made than are looked at: name fewer ends")
	}
	return out
}

// placed is an end, and the labels that it may have there.
type placed struct {
	futureEnd
	cubes []cube
}

// Arrives visits traffic by some of the ports that arrives or, where stopped is true, that
// does not, an example for each kind of pods. One of the parties at least is of prospects.
func (f *Foresight) Arrives(from, to Party, ports Ports, stopped bool, visit func(FutureTraffic) (more bool)) {
	senders, receivers := f.place(from, true), f.place(to, false)
	for _, s := range senders {
		for _, r := range receivers {
			if f.left--; f.left <= 0 {
				return
			}
			for _, a := range s.cubes {
				for _, b := range r.cubes {
					if !f.pair(s.futureEnd, r.futureEnd, a.meet(b), ports, stopped, visit) {
						return
					}
				}
			}
		}
	}
}

// place lists where a party may be.
func (f *Foresight) place(p Party, from bool) (out []placed) {
	if p.New == nil {
		return []placed{{futureEnd{side: p.Side}, []cube{{}}}}
	}
	if known, ok := f.placed[placeKey{p.New, from}]; ok {
		return known
	}
	add := func(namespace string, inNew bool) {
		end := f.d.future(namespace, inNew, from)
		var cubes []cube
		for _, c := range p.New.Of {
			if c.Namespace == "" || c.Namespace == namespace && !inNew {
				if of := cubeOf(end.ofPod, c.Pods); of != nil {
					cubes = append(cubes, of)
				}
			}
		}
		for _, c := range p.New.But {
			if c.Namespace != "" && (inNew || c.Namespace != namespace) {
				continue
			}
			if but := cubeOf(end.ofPod, c.Pods); but != nil {
				var left []cube
				for _, of := range cubes {
					left = append(left, of.minus(but)...)
				}
				cubes = left
			}
		}
		if len(cubes) > 0 {
			out = append(out, placed{end, cubes})
		}
	}
	for _, name := range f.names {
		add(name, false)
	}
	add("", true)
	f.placed[placeKey{p.New, from}] = out
	return out
}

// pair visits what two ends have of the traffic, for labels in a cube.
func (f *Foresight) pair(from, to futureEnd, in cube, ports Ports, stopped bool, visit func(FutureTraffic) bool) bool {
	found := f.d.between(from, to, in)
	var wanted []answered
	if !stopped {
		for _, a := range found {
			wanted = append(wanted, answered{a.cube, a.ports.Intersect(ports)})
		}
	} else {
		var some []cube
		for _, a := range found {
			some = append(some, a.cube)
			wanted = append(wanted, answered{a.cube, ports.Minus(a.ports)})
		}
		for _, c := range subtract(in, some) {
			wanted = append(wanted, answered{c, ports})
		}
	}
	for _, a := range wanted {
		if a.ports.Empty() {
			continue
		}
		if t, ok := f.example(from, to, a); ok && !visit(t) {
			return false
		}
	}
	return true
}

// example makes pods of the labels; false where no namespace can have them.
func (f *Foresight) example(from, to futureEnd, a answered) (FutureTraffic, bool) {
	out := FutureTraffic{Cluster: f.d.Cluster, From: from.side, To: to.side, Ports: a.ports}
	labelsOf := func(of space) map[string]Values {
		set := map[string]Values{}
		for key, v := range a.cube {
			if key.of == of {
				set[key.key] = v
			}
		}
		return set
	}
	first, second := labelsOf(fromNamespace), labelsOf(toNamespace)
	sender, receiver := from.side.Pod, to.side.Pod
	fromName, toName := nameOfPod(sender), nameOfPod(receiver)
	var ok bool
	if from.inNew {
		if out.Cluster, fromName, ok = f.namespace(out.Cluster, first); !ok {
			return out, false
		}
	}
	if to.inNew {
		with, name, apart := f.namespace(out.Cluster, second)
		switch {
		case apart:
			out.Cluster, toName = with, name
		case from.inNew: // both may be the same one
			both := maps.Clone(first)
			for key, v := range second {
				if has, ok := both[key]; ok {
					v = v.meet(has)
				}
				both[key] = v
			}
			if out.Cluster, fromName, ok = f.namespace(f.d.Cluster, both); !ok {
				return out, false
			}
			toName = fromName
		default:
			return out, false
		}
	}
	out.made = map[string]bool{fromName: from.inNew, toName: to.inNew}
	if from.open {
		out.From = Side{Pod: f.d.futurePod(fromName, exampleOf(labelsOf(fromPod)))}
	}
	if to.open {
		out.To = Side{Pod: f.d.futurePod(toName, exampleOf(labelsOf(toPod)))}
	}
	return out, true
}

func nameOfPod(p *Pod) string {
	if p == nil {
		return ""
	}
	return p.Namespace
}

// namespace adds one with such labels; false where there can be none.
func (f *Foresight) namespace(c *Cluster, of map[string]Values) (*Cluster, string, bool) {
	of = maps.Clone(of)
	if name, named := of[corev1.LabelMetadataName]; named {
		name.Absent = false
		if !name.Not {
			name.Listed = slices.DeleteFunc(slices.Clone(name.Listed), func(v string) bool { return c.Namespaces[v] != nil })
			of[corev1.LabelMetadataName] = name
		} else {
			delete(of, corev1.LabelMetadataName) // a name that is made up is none of those listed
		}
	}
	for _, v := range of {
		if v.empty() {
			return nil, "", false
		}
	}
	with, name, err := c.withNamespace(exampleOf(of))
	return with, name, err == nil
}

// Describe names a side; a pod that does not exist yet as WithFuture reads it.
func (t FutureTraffic) Describe(s Side) string {
	if s.Pod == nil || s.Pod.Kind != futureKind {
		return s.String()
	}
	set := labels.Set(s.Pod.Labels).String()
	if !t.made[s.Pod.Namespace] {
		return FuturePrefix + s.Pod.Namespace + "/" + set
	}
	own := maps.Clone(t.Cluster.Namespaces[s.Pod.Namespace].Labels)
	if strings.HasPrefix(own[corev1.LabelMetadataName], madeUpName) {
		delete(own, corev1.LabelMetadataName)
	}
	return FuturePrefix + "{" + labels.Set(own).String() + "}/" + set
}
