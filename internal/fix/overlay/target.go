package overlay

import (
	"maps"
	"regexp"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
)

// target selects objects for a patch, by group, version, kind, name and
// namespace. The values are regular expressions for the whole text; one that is
// not there fits all.
type target map[string]string

// clusterWide is kustomize's namespace of objects that are in none.
const clusterWide = "_non_namespaceable_"

// literal is the expression for a text, the empty one included.
func literal(text string) string {
	if text == "" {
		return "^$"
	}
	return regexp.QuoteMeta(text)
}

func groupKind(o map[string]any) model.GroupKind {
	apiVersion, _ := o["apiVersion"].(string)
	kind, _ := o["kind"].(string)
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		group = ""
	}
	return model.GroupKind{Group: group, Kind: kind}
}

func version(o map[string]any) string {
	apiVersion, _ := o["apiVersion"].(string)
	return apiVersion[strings.LastIndexByte(apiVersion, '/')+1:]
}

// choose returns the target for an object that fits no other of its kind, the
// shortest that there is, or nil.
func choose(s *stage, kin []*stage) target {
	gk := groupKind(s.content)
	t := target{"version": literal(version(s.content)), "kind": literal(gk.Kind), "name": literal(s.name())}
	if gk.Group != "" {
		t["group"] = literal(gk.Group)
	}
	if ns := s.text("metadata", "namespace"); ns != "" {
		t["namespace"] = literal(ns)
	}
	exact := maps.Clone(t)
	exact["group"] = literal(gk.Group)
	exact["namespace"] = literal(s.namespace())
	for _, t := range []target{t, exact} {
		if t.only(s, kin) {
			return t
		}
	}
	return nil
}

// only reports whether a target fits s, and no other of some objects.
func (t target) only(s *stage, kin []*stage) bool {
	fits := t.compile()
	if fits == nil {
		return false
	}
	for _, k := range kin {
		if k != s && fits(k) {
			return false
		}
	}
	return fits(s)
}

// compile makes a function of a target that goes by kustomize's rules: a name or
// a namespace fits if it is the present or the first one. It is nil where an
// expression is not valid or a field is not known.
func (t target) compile() func(*stage) bool {
	fields := map[string]*regexp.Regexp{}
	for name, value := range t {
		expression, err := regexp.Compile("^(?:" + value + ")$")
		if err != nil {
			return nil
		}
		switch name {
		case "group", "version", "kind", "name", "namespace":
		default:
			return nil
		}
		if value != "" {
			fields[name] = expression
		}
	}
	return func(s *stage) bool {
		gk := groupKind(s.content)
		for name, values := range map[string][]string{
			"group": {gk.Group}, "version": {version(s.content)}, "kind": {gk.Kind},
			"name": {s.originalName, s.name()}, "namespace": {s.originalNamespace, s.namespace()},
		} {
			if e := fields[name]; e != nil && !e.MatchString(values[0]) && !e.MatchString(values[len(values)-1]) {
				return false
			}
		}
		return true
	}
}

// isFor reports whether a patch of an earlier run is for one object alone, s.
func (e *entry) isFor(s *stage, kin []*stage) bool {
	return e.Target["kind"] != "" && e.Target.only(s, kin)
}
