package persona

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// Bounds of a file: far above what a person answers for.
const (
	maxItems    = 2000
	maxProblems = 20
	maxText     = 253
)

// dnsLabel is the form of names of namespaces, and of our own names: RFC 1123.
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// reader reads an object field by field and remembers what is wrong. It refuses fields
// that it does not know: who mistypes a limit must not get more than was meant.
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
	r.problems = append(r.problems, fmt.Errorf("%s%s %s", place(r.object.Locate(at)), at, fmt.Sprintf(format, args...)))
}

// place is a location before a message.
func place(l *finding.Location) string {
	if l == nil || l.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", l.File, l.Line)
}

func (r *reader) err() error {
	if r.more > 0 {
		return errors.Join(append(r.problems, fmt.Errorf("and %d problems more", r.more))...)
	}
	return errors.Join(r.problems...)
}

// header reads what every object has, and returns its name and its spec.
func (r *reader) header(kind model.GroupKind, fields ...string) (string, map[string]any) {
	if r.object.GroupKind != kind || r.object.Version != "v1" {
		r.fail(model.Path{model.Key("apiVersion")}, "and kind must be %s %s", finding.APIVersion, kind.Kind)
		return "", nil
	}
	r.fields(nil, r.object.Content, "apiVersion", "kind", "metadata", "spec")
	meta := model.Path{model.Key("metadata")}
	r.fields(meta, r.object.Content["metadata"], "name", "labels", "annotations")
	name := r.label(meta.Keys("name"), r.object.Get("metadata", "name"), "name the file's organisation, like acme")
	if name == "system" || name == "kubeadm" || name == "cluster-admin" {
		r.fail(meta.Keys("name"), "is %q, which Kubernetes keeps for its own roles: choose another", name)
	}
	return name, r.fields(model.Path{model.Key("spec")}, r.object.Content["spec"], fields...)
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
		r.fail(at.Keys(key), "is no field here: there are %s", strings.Join(allowed, ", "))
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
	case strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }):
		r.fail(at, "is %q, with spaces around it or control characters in it: %s", cut(s), advice)
	default:
		return s
	}
	return ""
}

func cut(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "..."
	}
	return s
}

// label returns a name of the form of RFC 1123.
func (r *reader) label(at model.Path, v any, advice string) string {
	s := r.text(at, v, advice)
	if s != "" && !dnsLabel.MatchString(s) {
		r.fail(at, "is %q: use at most 63 lower-case letters, digits and dashes between them", cut(s))
		return ""
	}
	return s
}

func (r *reader) items(at model.Path, v any) []any {
	list, ok := v.([]any)
	switch {
	case v != nil && !ok:
		r.fail(at, "must be a list")
	case len(list) > maxItems:
		r.fail(at, "has %d items, and %d are the most: make several files of it", len(list), maxItems)
		return nil
	}
	return list
}

// labels returns a list of names, each once.
func (r *reader) labels(at model.Path, v any, advice string) []string {
	var out []string
	for i, item := range r.items(at, v) {
		here := at.Append(model.Index(i))
		s := r.label(here, item, advice)
		if s != "" && slices.Contains(out, s) {
			r.fail(here, "is %q a second time", s)
		} else if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (r *reader) actions(at model.Path, v any) []placed {
	var out []placed
	for i, item := range r.items(at, v) {
		here := at.Append(model.Index(i))
		text := r.text(here, item, "write a verb and a resource, like get pods")
		if text == "" {
			continue
		}
		a, err := ParseAction(text)
		if err != nil {
			r.fail(here, "%s", err)
			continue
		}
		out = append(out, placed{a, here})
	}
	return out
}

// placed is an action with where it is written.
type placed struct {
	Action
	at model.Path
}

// named returns a user or group that is none of Kubernetes' own.
func (r *reader) named(at model.Path, kind string, v any) (rbac.Subject, bool) {
	s := r.text(at, v, "name a "+strings.ToLower(kind)+" as the identity provider does")
	if s == "" {
		return rbac.Subject{}, false
	}
	if len(s) > maxText {
		r.fail(at, "is longer than %d bytes", maxText)
		return rbac.Subject{}, false
	}
	if strings.HasPrefix(s, "system:") || strings.HasPrefix(s, "kubeadm:") {
		r.fail(at, "is %q, which is Kubernetes' own: %s", s, map[string]string{
			rbacv1.UserKind:  "a service account belongs under serviceAccounts, and a part of Kubernetes to no persona",
			rbacv1.GroupKind: "name a group of the organisation; system:authenticated would be everybody, and system:masters is let through before RBAC is asked"}[kind])
		return rbac.Subject{}, false
	}
	return rbac.Subject{Kind: kind, Name: s}, true
}

// account returns a service account, written NAMESPACE/NAME.
func (r *reader) account(at model.Path, v any) (rbac.Subject, bool) {
	s := r.text(at, v, "write NAMESPACE/NAME")
	if s == "" {
		return rbac.Subject{}, false
	}
	ns, name, ok := strings.Cut(s, "/")
	switch {
	case !ok || !dnsLabel.MatchString(ns) || name == "" || strings.ContainsAny(name, "/:% ") || len(name) > maxText:
		r.fail(at, "is %q: write NAMESPACE/NAME", cut(s))
		return rbac.Subject{}, false
	case name == "default":
		r.fail(at, "is %q, the account of every pod of %s that names no other: make one that only the persona has", s, ns)
		return rbac.Subject{}, false
	}
	return rbac.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: name}, true
}
