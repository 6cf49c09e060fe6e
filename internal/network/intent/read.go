package intent

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Bounds of a file: far above what people write.
const (
	maxAssertions = 1000
	maxEnds       = 200
	maxText       = 1000
	maxProblems   = 20
)

// dnsLabel is the form of names of namespaces: RFC 1123.
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// reader reads an object field by field and remembers what is wrong. It refuses fields
// that it does not know: an assertion with a mistyped limit must not hold.
type reader struct {
	object   *model.Object
	problems []error
	more     int
}

func (r *reader) fail(at model.Path, format string, args ...any) {
	if len(r.problems) == maxProblems {
		r.more++
		return
	}
	place := ""
	if l := r.object.Locate(at); l != nil && l.File != "" {
		place = fmt.Sprintf("%s:%d: ", l.File, l.Line)
	}
	r.problems = append(r.problems, fmt.Errorf("%s%s %s", place, at, fmt.Sprintf(format, args...)))
}

func (r *reader) err() error {
	if r.more > 0 {
		return errors.Join(append(r.problems, fmt.Errorf("and %d problems more", r.more))...)
	}
	return errors.Join(r.problems...)
}

// fields returns a map that has no other keys than those allowed; nil where it is none.
func (r *reader) fields(at model.Path, v any, allowed ...string) map[string]any {
	m, ok := v.(map[string]any)
	if !ok {
		r.fail(at, "must be a map with %s", strings.Join(allowed, ", "))
		return nil
	}
	var unknown []string
	for key := range m {
		if !slices.Contains(allowed, key) {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	for _, key := range unknown {
		r.fail(at.Keys(shorten(key)), "is no field here: there are %s", strings.Join(allowed, ", "))
	}
	return m
}

// text returns a string that is not blank; advice says what to write.
func (r *reader) text(at model.Path, v any, advice string) string {
	s, ok := v.(string)
	switch {
	case v == nil:
		r.fail(at, "is missing: %s", advice)
	case !ok:
		r.fail(at, "must be a string; put it in quotes")
	case strings.TrimSpace(s) == "":
		r.fail(at, "is empty: %s", advice)
	case len(s) > maxText:
		r.fail(at, "is longer than %d bytes", maxText)
	case strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }):
		r.fail(at, "is %q, with spaces around it or control characters in it: %s", s, advice)
	default:
		return s
	}
	return ""
}

func shorten(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}

// label returns the name of a namespace; empty where there is none.
func (r *reader) label(at model.Path, v any) string {
	s := r.text(at, v, "name a namespace")
	if s != "" && !dnsLabel.MatchString(s) {
		r.fail(at, "is %q: use at most 63 lower-case letters, digits and dashes between them", shorten(s))
		return ""
	}
	return s
}

func (r *reader) items(at model.Path, v any, most int) []any {
	list, ok := v.([]any)
	switch {
	case v != nil && !ok:
		r.fail(at, "must be a list")
	case len(list) > most:
		r.fail(at, "has %d items, and %d are the most", len(list), most)
		return nil
	}
	return list
}

func (r *reader) flag(at model.Path, v any) bool {
	set, ok := v.(bool)
	if v != nil && !ok {
		r.fail(at, "must be true or false")
	}
	return set
}

// header reads what every object has, and returns its spec.
func (r *reader) header(fields ...string) map[string]any {
	if r.object.GroupKind != Kind || r.object.Version != "v1" {
		r.fail(model.Path{model.Key("apiVersion")}, "and kind must be %s %s", finding.APIVersion, Kind.Kind)
		return nil
	}
	r.fields(nil, r.object.Content, "apiVersion", "kind", "metadata", "spec")
	if m := r.object.Content["metadata"]; m != nil {
		at := model.Path{model.Key("metadata")}
		if meta := r.fields(at, m, "name", "labels", "annotations"); meta["name"] != nil {
			r.text(at.Keys("name"), meta["name"], "name the file, or leave it out")
		}
	}
	return r.fields(model.Path{model.Key("spec")}, r.object.Content["spec"], fields...)
}
