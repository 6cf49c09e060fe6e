package model

import (
	"cmp"
	"slices"
	"sync"

	"bulkhead.dev/bulkhead/internal/finding"
)

// Snapshot is everything that one assessment reads.
type Snapshot struct {
	Worlds []*World
	// Inputs are the paths or the cluster that were asked for.
	Inputs []string
	// Files counts the files that were read.
	Files int
	// Problems are inputs that could not be read, in whole or in part.
	Problems []finding.Problem
}

// World is one rendered root. Names, selectors and references resolve in it.
type World struct {
	// Root is the path of the chart or kustomization; empty for plain files and
	// for a cluster.
	Root string
	// Live says that the world is a cluster, or the record of one.
	Live bool
	// Complete says that what is not in the world does not exist: true for a
	// cluster, and for files when the user says so.
	Complete bool
	Objects  []*Object

	byKind     map[GroupKind][]*Object
	namespaces map[string]*Object
	coverage   map[coverageKey]string
	record     *Record
	facts      sync.Map
}

// WorldOptions are what a world is told beside its objects.
type WorldOptions struct {
	Root           string
	Live, Complete bool
	// Namespace is given to namespaced objects that name none; "default" if empty.
	Namespace string
	// PodTemplates are custom resources that carry a pod, beside those of
	// PodTemplates and CustomPodTemplates.
	PodTemplates []PodTemplate
	// Unobserved are kinds that could not be read, with the reason. An empty
	// namespace means the whole cluster.
	Unobserved []Unobserved
	// Record is what a snapshot has beside the objects.
	Record *Record
}

// Unobserved is a kind that could not be read completely.
type Unobserved struct {
	GroupKind
	Namespace string
	Reason    string
}

type coverageKey struct {
	kind      GroupKind
	namespace string
}

// NewWorld makes a world of objects, which belong to it from then on.
func NewWorld(objects []*Object, o WorldOptions) *World {
	w := &World{Root: o.Root, Live: o.Live, Complete: o.Complete || o.Live, Objects: objects,
		byKind: map[GroupKind][]*Object{}, namespaces: map[string]*Object{}, coverage: map[coverageKey]string{}, record: o.Record}
	defaultNamespace := cmp.Or(o.Namespace, "default")
	scope := newScopes(objects)
	templates := map[GroupKind]Path{}
	for _, t := range slices.Concat(PodTemplates(), CustomPodTemplates(), o.PodTemplates) {
		templates[t.GroupKind] = t.Path
	}
	for _, obj := range objects {
		path, makesPod := templates[obj.GroupKind]
		in := scope.of(obj.GroupKind)
		if in == unknownScope && makesPod {
			in = namespaced // pods live in namespaces, and so does what makes them
		}
		switch in {
		case clusterScoped:
			obj.Namespace, obj.NamespaceWritten = "", false
		case namespaced:
			obj.Namespace = cmp.Or(obj.Namespace, defaultNamespace)
		}
		if makesPod {
			obj.pod = newPod(obj, path)
		}
		w.byKind[obj.GroupKind] = append(w.byKind[obj.GroupKind], obj)
		if obj.GroupKind == (GroupKind{"", "Namespace"}) {
			w.namespaces[obj.Name] = obj
		}
	}
	for _, u := range o.Unobserved {
		w.coverage[coverageKey{u.GroupKind, u.Namespace}] = u.Reason
	}
	return w
}

// Kind lists the objects of a kind, in the order they were read.
func (w *World) Kind(gk GroupKind) []*Object { return w.byKind[gk] }

// KindIn lists the objects of a kind in one namespace.
func (w *World) KindIn(gk GroupKind, namespace string) []*Object {
	return inNamespace.Of(w)[coverageKey{gk, namespace}]
}

var inNamespace = NewFact(func(w *World) map[coverageKey][]*Object {
	index := map[coverageKey][]*Object{}
	for _, o := range w.Objects {
		k := coverageKey{o.GroupKind, o.Namespace}
		index[k] = append(index[k], o)
	}
	return index
})

// Namespace returns the Namespace object of that name; nil where none is given.
func (w *World) Namespace(name string) *Object { return w.namespaces[name] }

// NamespaceLabels are the labels that a namespace has, with the one that the
// platform adds: kubernetes.io/metadata.name. The second result says whether the
// Namespace object was seen, so that its other labels are known.
func (w *World) NamespaceLabels(name string) (map[string]string, bool) {
	ns := w.namespaces[name]
	labels := map[string]string{}
	if ns != nil {
		for k, v := range ns.Labels() {
			labels[k] = v
		}
	}
	labels["kubernetes.io/metadata.name"] = name
	return labels, ns != nil
}

// Namespaces lists the namespaces that a control about something missing may
// judge: those whose Namespace object is given, and in a complete world those
// that an object lives in. Sorted by name.
func (w *World) Namespaces() []string {
	names := map[string]bool{}
	for name := range w.namespaces {
		names[name] = true
	}
	if w.Complete {
		for _, o := range w.Objects {
			if o.Namespace != "" {
				names[o.Namespace] = true
			}
		}
	}
	out := make([]string, 0, len(names))
	for name := range names {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Closed reports whether what is not seen in a namespace does not exist: in a
// complete world, and in files for a namespace whose Namespace object is given.
// An empty name asks for the whole cluster.
func (w *World) Closed(namespace string) bool {
	return w.Complete || namespace != "" && w.namespaces[namespace] != nil
}

// Unobserved returns why objects of a kind could not all be read; empty where
// they were, and for files, which are an open world instead.
func (w *World) Unobserved(gk GroupKind, namespace string) string {
	if reason := w.coverage[coverageKey{gk, ""}]; reason != "" {
		return reason
	}
	return w.coverage[coverageKey{gk, namespace}]
}

// Coverage lists what could not be read completely, in order.
func (w *World) Coverage() []Unobserved {
	out := make([]Unobserved, 0, len(w.coverage))
	for k, reason := range w.coverage {
		out = append(out, Unobserved{k.kind, k.namespace, reason})
	}
	slices.SortFunc(out, func(a, b Unobserved) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace))
	})
	return out
}

// Fact is something computed once for a world and shared by all who ask.
type Fact[T any] struct {
	compute func(*World) T
}

// NewFact declares a fact. Its function must be pure.
func NewFact[T any](compute func(*World) T) *Fact[T] { return &Fact[T]{compute} }

// Of returns the fact of a world, computing it the first time.
func (f *Fact[T]) Of(w *World) T {
	once, _ := w.facts.LoadOrStore(f, sync.OnceValue(func() T { return f.compute(w) }))
	return once.(func() T)()
}
