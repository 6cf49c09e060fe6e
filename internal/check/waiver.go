package check

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// WaiverKind is the kind of a waiver that is an object: bulkhead.dev/v1 Waiver.
var WaiverKind = model.GroupKind{Group: "bulkhead.dev", Kind: "Waiver"}

const (
	// WaiverAnnotation begins the annotations that waive a control for the object
	// that carries them; the name of the control follows.
	WaiverAnnotation = "waive.bulkhead.dev/"
	// ByAnnotation is the name, in a finding, of a waiver that is an annotation.
	ByAnnotation = "annotation"
)

// Waiver accepts failures of some controls on some objects until a day.
//
// It accepts nothing that it does not name: controls have no wildcard, names are
// compared exactly and by case, and no field that is left empty stands for
// everything. Each waiver is judged alone; two never join into a wider one.
type Waiver struct {
	// Name is the name of the object, or ByAnnotation.
	Name     string
	Controls []string
	// Resources are the objects; empty for an annotation, which waives only for
	// the object that carries it.
	Resources []WaiverResource
	// Containers are patterns (path.Match) of container names. Nil is every
	// failure of the object, whether it is about a container or not.
	Containers []string
	Owner      string
	Reason     string
	Ticket     string
	// Expires is the last day, in UTC, on which the waiver waives.
	Expires time.Time
	// Location is where the waiver is written; nil for a cluster.
	Location *finding.Location

	// carrier is the object of an annotation.
	carrier *model.Object
	// root and namespace narrow a waiver to the rendered root that it came out of
	// and to the namespace that it is written in; empty narrows nothing. A chart
	// from elsewhere must not waive what other roots do, nor a tenant what other
	// namespaces do.
	root, namespace string
}

// WaiverResource names objects. Each field may be a pattern (path.Match).
type WaiverResource struct {
	// Kind is a kind of Kubernetes, Deployment, or any kind with its group,
	// argoproj.io/Rollout. A pattern without a group matches kinds of any group.
	Kind string
	// Namespace is empty for objects that belong to the whole cluster, and matches
	// only those; "*" is every namespace, and none of those.
	Namespace string
	Name      string
}

// AnnotationSettings say where annotations may waive. The zero value allows
// them everywhere.
type AnnotationSettings struct {
	Off bool
	// Namespaces limits them to objects in namespaces that match one of these
	// patterns (path.Match). Nil is no limit; an empty list allows none.
	Namespaces []string
}

// Validate reports malformed patterns.
func (s AnnotationSettings) Validate() error {
	for _, p := range s.Namespaces {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return fmt.Errorf("waivers by annotation: %q is no pattern of namespaces; write a name, or one with * or ?", p)
		}
	}
	return nil
}

// refuses says why an annotation on an object may not waive; empty where it may.
func (s AnnotationSettings) refuses(o *model.Object) string {
	switch {
	case s.Off:
		return "waives nothing: the configuration switches waivers by annotation off"
	case s.Namespaces != nil && (o.Namespace == "" || !matchAny(s.Namespaces, o.Namespace)):
		return "waives nothing: the configuration does not allow waivers by annotation here"
	}
	return ""
}

const day = "2006-01-02"

func (w *Waiver) expired(now time.Time) bool {
	return !now.Before(w.Expires.AddDate(0, 0, 1))
}

// accepts reports whether the waiver names the object and the container of a
// finding. Its controls and its expiry are for the caller.
func (w *Waiver) accepts(f *Judged) bool {
	if w.Containers != nil && (f.Container == "" || !matchAny(w.Containers, f.Container)) {
		return false
	}
	if w.carrier != nil {
		return f.Of == w.carrier
	}
	if w.root != "" && w.root != f.Root || w.namespace != "" && w.namespace != f.Object.Namespace {
		return false
	}
	return slices.ContainsFunc(w.Resources, func(r WaiverResource) bool { return r.matches(f.Object) })
}

func (r WaiverResource) matches(ref finding.Ref) bool {
	if (r.Namespace == "") != (ref.Namespace == "") {
		return false
	}
	return r.matchesKind(ref) && match(r.Name, ref.Name) && (r.Namespace == "" || match(r.Namespace, ref.Namespace))
}

func (r WaiverResource) matchesKind(ref finding.Ref) bool {
	if group, kind, ok := strings.Cut(r.Kind, "/"); ok {
		return match(group, ref.Group) && match(kind, ref.Kind)
	}
	if isPattern(r.Kind) {
		return match(r.Kind, ref.Kind)
	}
	// Service means that of Kubernetes and not, for one, that of Knative.
	_, builtin := model.BuiltinResource(model.GroupKind{Group: ref.Group, Kind: ref.Kind})
	return builtin && r.Kind == ref.Kind
}

func isPattern(s string) bool { return strings.ContainsAny(s, `*?[\`) }

// match compares exactly, or by pattern. Names of Kubernetes hold no slash, so
// that a star of path.Match spans a whole name.
func match(pattern, name string) bool {
	if !isPattern(pattern) {
		return pattern == name
	}
	ok, _ := path.Match(pattern, name)
	return ok
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}
