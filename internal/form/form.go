// Package form reads objects of the project's own kinds, which people write: waivers,
// personas, checks. It reads field by field, remembers all that is wrong with its file and
// line, and refuses fields that it does not know: who mistypes a limit must not get more
// than was meant.
package form

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Bounds of a form, far above what people write: a text has at most MaxText bytes, and of
// what is wrong maxProblems are told.
const (
	MaxText     = 10_000
	maxProblems = 20
	maxQuoted   = 100
)

// dnsLabel is the form of names of namespaces: RFC 1123.
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// IsLabel reports whether a text is a name as RFC 1123 has it.
func IsLabel(s string) bool { return dnsLabel.MatchString(s) }

// Reader reads an object.
type Reader struct {
	Object *model.Object
	// Problems is what is wrong, in the order in which it was found.
	Problems []Problem
	more     int
}

// Problem is what is wrong with a field.
type Problem struct {
	Path model.Path
	// Text names the field, too.
	Text string
}

// Fail remembers that something is wrong with a field; the text goes on from its name.
func (r *Reader) Fail(at model.Path, format string, args ...any) {
	if len(r.Problems) == maxProblems {
		r.more++
		return
	}
	r.Problems = append(r.Problems, Problem{at, at.String() + " " + fmt.Sprintf(format, args...)})
}

// Failed reports whether something is wrong.
func (r *Reader) Failed() bool { return len(r.Problems) > 0 }

// Err is all that is wrong, a line each with file and line; nil where nothing is.
func (r *Reader) Err() error {
	var all []error
	for i, text := range r.Texts() {
		if i < len(r.Problems) {
			text = Place(r.Object.Locate(r.Problems[i].Path)) + text
		}
		all = append(all, errors.New(text))
	}
	return errors.Join(all...)
}

// Texts is all that is wrong, and last how much more there is.
func (r *Reader) Texts() []string {
	var out []string
	for _, p := range r.Problems {
		out = append(out, p.Text)
	}
	if r.more > 0 {
		out = append(out, fmt.Sprintf("and %d problems more", r.more))
	}
	return out
}

// Place is a location before a message; empty where it is not known.
func Place(l *finding.Location) string {
	if l == nil || l.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", l.File, l.Line)
}

// Header reports whether the object is of a kind, in version v1.
func (r *Reader) Header(kind model.GroupKind) bool {
	if r.Object.GroupKind == kind && r.Object.Version == "v1" {
		return true
	}
	r.Fail(model.Path{model.Key("apiVersion")}, "and kind must be %s %s", finding.APIVersion, kind.Kind)
	return false
}

// Fields returns a map that has no other keys than those allowed; nil where it is none.
func (r *Reader) Fields(at model.Path, v any, allowed ...string) map[string]any {
	m, ok := v.(map[string]any)
	if !ok {
		r.Fail(at, "must be a map with %s", strings.Join(allowed, ", "))
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
		r.Fail(at.Keys(Cut(key)), "is no field here: there are %s", strings.Join(allowed, ", "))
	}
	return m
}

// Text returns a string that is not blank, and empty where there is none; advice says what
// to write.
func (r *Reader) Text(at model.Path, v any, advice string) string {
	s, ok := v.(string)
	switch {
	case v == nil:
		r.Fail(at, "is missing: %s", advice)
	case !ok:
		r.Fail(at, "must be a string; put it in quotes")
	case strings.TrimSpace(s) == "":
		r.Fail(at, "is empty: %s", advice)
	case len(s) > MaxText:
		r.Fail(at, "is longer than %d bytes", MaxText)
	default:
		return s
	}
	return ""
}

// Name returns a text on one line that has no spaces around it.
func (r *Reader) Name(at model.Path, v any, advice string) string {
	s := r.Text(at, v, advice)
	if strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		r.Fail(at, "is %q, with spaces around it or control characters in it: %s", Cut(s), advice)
		return ""
	}
	return s
}

// Label returns a name of the form of RFC 1123.
func (r *Reader) Label(at model.Path, v any, advice string) string {
	s := r.Name(at, v, advice)
	if s != "" && !IsLabel(s) {
		r.Fail(at, "is %q: use at most 63 lower-case letters, digits and dashes between them", Cut(s))
		return ""
	}
	return s
}

// Labels returns a list of at most so many names of the form of RFC 1123, each once.
func (r *Reader) Labels(at model.Path, v any, most int, advice string) []string {
	var out []string
	for i, item := range r.Items(at, v, most) {
		here := at.Append(model.Index(i))
		s := r.Label(here, item, advice)
		if s != "" && slices.Contains(out, s) {
			r.Fail(here, "is %q a second time", s)
		} else if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// Items returns a list of at most so many items.
func (r *Reader) Items(at model.Path, v any, most int) []any {
	list, ok := v.([]any)
	switch {
	case v != nil && !ok:
		r.Fail(at, "must be a list")
	case len(list) > most:
		r.Fail(at, "has %d items, and %d are the most: make several files of it", len(list), most)
		return nil
	}
	return list
}

// Flag returns whether something is so; it is not where nothing is written.
func (r *Reader) Flag(at model.Path, v any) bool {
	set, ok := v.(bool)
	if v != nil && !ok {
		r.Fail(at, "must be true or false")
	}
	return set
}

// Cut is the beginning of a text that may be long, for a message.
func Cut(s string) string {
	if len(s) > maxQuoted {
		return s[:maxQuoted] + "..."
	}
	return s
}
