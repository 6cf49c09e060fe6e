package model

import (
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
)

// Object is one Kubernetes object as it was written or stored. Nobody changes
// it, or anything that it refers to, after it is made.
type Object struct {
	// Content is the object as JSON has it: map[string]any, []any, string,
	// int64, float64, bool, nil.
	Content map[string]any
	GroupKind
	Version string
	// Namespace is the effective one: the written one, or the default that kubectl
	// would use. Empty for objects that belong to the whole cluster.
	Namespace string
	Name      string
	// NamespaceWritten says whether the object names its namespace itself.
	NamespaceWritten bool
	Source           Source

	spans Spans
	pod   *Pod
}

// GroupKind names a kind. The group of the core API is empty.
type GroupKind struct{ Group, Kind string }

func (gk GroupKind) String() string {
	if gk.Group == "" {
		return gk.Kind
	}
	return gk.Group + "/" + gk.Kind
}

// ParseGroupKind reads what String writes: "Service", "apps/Deployment".
func ParseGroupKind(s string) GroupKind {
	if group, kind, ok := strings.Cut(s, "/"); ok {
		return GroupKind{Group: group, Kind: kind}
	}
	return GroupKind{Kind: s}
}

// Source is where an object was read.
type Source struct {
	// File is the file as the user would name it; empty for a cluster.
	File string
	// Locate maps a place in rendered text to the place in the source that a
	// person edits. Nil where the text is the source itself.
	Locate func(Span) finding.Location
}

// NewObject makes an object of decoded content. It reports false where the
// content has no apiVersion, kind and so is no Kubernetes object.
func NewObject(content map[string]any, spans Spans, source Source) (*Object, bool) {
	apiVersion, _ := content["apiVersion"].(string)
	kind, _ := content["kind"].(string)
	if apiVersion == "" || kind == "" {
		return nil, false
	}
	o := &Object{Content: content, Source: source, spans: spans}
	o.Kind = kind
	if group, version, ok := strings.Cut(apiVersion, "/"); ok {
		o.Group, o.Version = group, version
	} else {
		o.Version = apiVersion
	}
	meta := o.Map("metadata")
	o.Name, _ = meta["name"].(string)
	if o.Name == "" {
		if g, _ := meta["generateName"].(string); g != "" {
			o.Name = g + "*"
		}
	}
	o.Namespace, _ = meta["namespace"].(string)
	o.NamespaceWritten = o.Namespace != ""
	return o, true
}

// With returns the object with other content, such as that of a fix, and no
// places: the content stands in no file yet.
func (o *Object) With(content map[string]any) *Object {
	changed := *o
	changed.Content, changed.spans, changed.pod = content, nil, nil
	if o.pod != nil {
		changed.pod = newPod(&changed, o.pod.Path)
	}
	return &changed
}

// Ref names the object in findings.
func (o *Object) Ref() finding.Ref {
	return finding.Ref{Group: o.Group, Version: o.Version, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

// Locate returns where the field at path is written, or its nearest ancestor
// that is. It is nil for objects that come from no file.
func (o *Object) Locate(path Path) *finding.Location {
	if o.Source.File == "" {
		return nil
	}
	span, _ := o.spans.At(o.Content, path)
	if o.Source.Locate != nil {
		l := o.Source.Locate(span)
		return &l
	}
	return &finding.Location{File: o.Source.File, Line: int(span.Line), Column: int(span.Column)}
}

// SpanCount is the number of values whose place is known; all of them, for an
// object that was read from text.
func (o *Object) SpanCount() int { return len(o.spans) }

// Get returns the value at a chain of map keys, nil where there is none.
func (o *Object) Get(keys ...string) any { return Get(o.Content, keys...) }

// Map returns the map at a chain of keys; nil where there is none.
func (o *Object) Map(keys ...string) map[string]any {
	m, _ := o.Get(keys...).(map[string]any)
	return m
}

// List returns the list at a chain of keys; nil where there is none.
func (o *Object) List(keys ...string) []any {
	l, _ := o.Get(keys...).([]any)
	return l
}

// Text returns the string at a chain of keys; empty where there is none.
func (o *Object) Text(keys ...string) string {
	s, _ := o.Get(keys...).(string)
	return s
}

// Labels returns metadata.labels; values that are no strings are left out.
func (o *Object) Labels() map[string]string { return StringMap(o.Get("metadata", "labels")) }

// Annotations returns metadata.annotations; values that are no strings are left out.
func (o *Object) Annotations() map[string]string { return StringMap(o.Get("metadata", "annotations")) }

// Ended reports whether the object is a pod or a Job that has ended, and runs or makes
// no pod any more.
func (o *Object) Ended() bool {
	switch o.GroupKind {
	case GroupKind{Kind: "Pod"}:
		phase := o.Text("status", "phase")
		return phase == "Succeeded" || phase == "Failed"
	case GroupKind{Group: "batch", Kind: "Job"}:
		return slices.ContainsFunc(o.List("status", "conditions"), func(c any) bool {
			kind := Get(c, "type")
			return (kind == "Complete" || kind == "Failed") && Get(c, "status") == "True"
		})
	}
	return false
}

// Get follows map keys into decoded JSON.
func Get(v any, keys ...string) any {
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

// StringMap returns the string values of a decoded map.
func StringMap(v any) map[string]string {
	m, ok := v.(map[string]any)
	if !ok || len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, e := range m {
		if s, ok := e.(string); ok {
			out[k] = s
		}
	}
	return out
}

// Strings returns the strings of a decoded list.
func Strings(v any) []string {
	l, ok := v.([]any)
	if !ok {
		return nil
	}
	out := make([]string, 0, len(l))
	for _, e := range l {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
