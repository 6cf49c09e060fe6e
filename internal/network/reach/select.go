package reach

import (
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// scope makes the sets that rules are about: of all classes and pieces of addresses, or of
// those only that a change is about.
type scope struct {
	*Engine
	// all are the classes and pieces that sets are made of.
	all *roaring.Bitmap
	// partial says that they are not all that there are.
	partial bool
	numbers []uint32
	// in are the classes of each namespace that has some, and names those namespaces.
	in    map[string][]uint32
	names []string
	hosts *roaring.Bitmap

	selected   map[chosenBy]*roaring.Bitmap
	namespaces map[string][]string
	// namesBy are namespaces by a label and its value.
	namesBy  map[[2]string][]string
	labelled map[string]labelled
	rules    map[*Rule][]Cell
	// verdicts are what tiers say, by their first policy.
	verdicts map[*TierPolicy][]*verdict
	places   *places
}

// newScope makes the scope of some classes and pieces.
func newScope(e *Engine, all *roaring.Bitmap) *scope {
	s := &scope{Engine: e, all: all, in: map[string][]uint32{}, hosts: roaring.New(), selected: map[chosenBy]*roaring.Bitmap{}, namespaces: map[string][]string{},
		rules: map[*Rule][]Cell{}, verdicts: map[*TierPolicy][]*verdict{}}
	s.numbers = make([]uint32, 0, all.Rank(uint32(len(e.classes))))
	all.Iterate(func(n uint32) bool {
		if int(n) >= len(e.classes) {
			return false
		}
		s.numbers = append(s.numbers, n)
		return true
	})
	for first := 0; first < len(s.numbers); {
		// Those of a namespace mostly follow one another: no list is made of them.
		ns, end := e.classes[s.numbers[first]].namespace, first
		for ; end < len(s.numbers) && e.classes[s.numbers[end]].namespace == ns; end++ {
			if e.classes[s.numbers[end]].hostNetwork {
				s.hosts.Add(s.numbers[end])
			}
		}
		if known, ok := s.in[ns]; ok {
			s.in[ns] = append(slices.Clip(known), s.numbers[first:end]...)
		} else {
			s.in[ns] = s.numbers[first:end]
			s.names = append(s.names, ns)
		}
		first = end
	}
	slices.Sort(s.names)
	return s
}

// none is the empty set.
var none = roaring.New()

// few is how many numbers are added to a set, or removed, one by one: to join two sets takes
// longer, however few are in one of them.
const few = 32

// with adds what is in another set, and returns the set, which may be another one.
func with(to, more *roaring.Bitmap) *roaring.Bitmap {
	if more.GetCardinality() > few {
		return roaring.Or(to, more) // in place, runs would be joined number by number
	}
	more.Iterate(func(n uint32) bool { to.Add(n); return true })
	return to
}

// less removes what is in another set, and returns the set, which may be another one.
func less(from, gone *roaring.Bitmap) *roaring.Bitmap {
	if gone.GetCardinality() > few {
		return roaring.AndNot(from, gone)
	}
	gone.Iterate(func(n uint32) bool { from.Remove(n); return true })
	return from
}

// addAll adds sorted numbers, which mostly follow one another.
func addAll(to *roaring.Bitmap, numbers []uint32) {
	if n := len(numbers); n > 0 && int(numbers[n-1]-numbers[0]) == n-1 {
		to.AddRange(uint64(numbers[0]), uint64(numbers[n-1])+1)
		return
	}
	to.AddMany(numbers)
}

// fewClasses is how many are looked at one by one: for more, the lists of each label
// are joined.
const fewClasses = 32

// chosenBy is what tells sets of pods apart: the namespace where it is a rule's own.
type chosenBy struct {
	own, choice string
	hosts       bool
}

// pods are the classes that selectors choose: of a namespace, or of those that
// namespaces chooses. Pods in the network of their node are among them only if hosts is true.
func (s *scope) pods(own string, namespaces, pods labels.Selector, hosts bool) *roaring.Bitmap {
	return s.peerPods(own, Peer{Namespaces: namespaces, Pods: pods}, hosts)
}

// peerPods are the classes that a peer's selectors choose.
func (s *scope) peerPods(own string, p Peer, hosts bool) *roaring.Bitmap {
	namespaces, pods := p.Namespaces, p.Pods
	key := chosenBy{own, p.chosen, hosts}
	if namespaces != nil {
		key.own = ""
	} else if len(s.in[own]) == 0 {
		return none
	}
	if key.choice == "" {
		key.choice = selectionOf(namespaces, pods)
	}
	if known := s.selected[key]; known != nil {
		return known
	}
	out := roaring.New()
	var in [][]uint32
	count := 0
	for _, ns := range s.chosen(own, namespaces) {
		if numbers := s.in[ns]; len(numbers) > 0 {
			in = append(in, numbers)
			count += len(numbers)
		}
	}
	requirements, selectable := pods.Requirements()
	switch {
	case !selectable:
	case len(requirements) == 0:
		for _, numbers := range in {
			addAll(out, numbers)
		}
	case count <= fewClasses || len(in) == 1 && count <= 8*fewClasses:
		for _, numbers := range in {
			for _, n := range numbers {
				if pods.Matches(s.classes[n].labels) {
					out.Add(n)
				}
			}
		}
	default:
		for _, numbers := range in {
			addAll(out, numbers)
		}
		for _, r := range requirements {
			s.require(out, r)
		}
	}
	if !hosts {
		out.AndNot(s.hosts)
	}
	s.selected[key] = out
	return out
}

// chosen are the namespaces that a selector chooses.
func (s *scope) chosen(own string, namespaces labels.Selector) []string {
	if namespaces == nil {
		return []string{own}
	}
	key := namespaces.String()
	known, ok := s.namespaces[key]
	if !ok {
		for _, name := range s.candidates(namespaces) {
			if ns := s.Cluster.Namespaces[name]; ns != nil && namespaces.Matches(labels.Set(ns.Labels)) {
				known = append(known, name)
			}
		}
		s.namespaces[key] = known
	}
	return known
}

// candidates are the namespaces that a selector may choose: of the labels that it asks for
// by value, those with the one that fewest have. Many policies name one namespace.
func (s *scope) candidates(namespaces labels.Selector) []string {
	if s.namesBy == nil {
		s.namesBy = map[[2]string][]string{}
		for _, name := range s.names {
			if ns := s.Cluster.Namespaces[name]; ns != nil {
				for k, v := range ns.Labels {
					s.namesBy[[2]string{k, v}] = append(s.namesBy[[2]string{k, v}], name)
				}
			}
		}
	}
	fewest := s.names
	requirements, _ := namespaces.Requirements()
	for _, r := range requirements {
		if op := r.Operator(); op != selection.In && op != selection.Equals && op != selection.DoubleEquals {
			continue
		}
		var with []string
		for v := range r.Values() {
			with = append(with, s.namesBy[[2]string{r.Key(), v}]...)
		}
		if len(with) < len(fewest) {
			fewest = with
		}
	}
	return fewest
}

// require keeps what meets a requirement.
func (s *scope) require(of *roaring.Bitmap, r labels.Requirement) {
	values := s.byLabel()[r.Key()]
	switch r.Operator() {
	case selection.Exists:
		of.And(values.any())
	case selection.DoesNotExist:
		of.AndNot(values.any())
	case selection.NotIn, selection.NotEquals:
		for v := range r.Values() {
			if has := values[v]; has != nil {
				of.AndNot(has)
			}
		}
	default:
		meet := roaring.New()
		for v := range r.Values() {
			if has := values[v]; has != nil {
				meet.Or(has)
			}
		}
		of.And(meet)
	}
}

// labelled are the classes that have a label, by its value.
type labelled map[string]*roaring.Bitmap

func (l labelled) any() *roaring.Bitmap {
	return roaring.FastOr(slices.Collect(maps.Values(l))...)
}

// byLabel lists the classes by the labels that are asked for.
func (s *scope) byLabel() map[string]labelled {
	if s.labelled != nil {
		return s.labelled
	}
	s.labelled = map[string]labelled{}
	for _, k := range s.asked.labels {
		s.labelled[k] = labelled{}
	}
	for _, n := range s.numbers {
		for k, values := range s.labelled {
			if v, ok := s.classes[n].labels[k]; ok {
				if values[v] == nil {
					values[v] = roaring.New()
				}
				values[v].Add(n)
			}
		}
	}
	return s.labelled
}
