package check

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// ParseWaiver reads an object of WaiverKind. The error says all that is wrong
// with it, with file and line; such a waiver must waive nothing. known tells
// whether there is a control of a name, be it selected for a run or not.
func ParseWaiver(o *model.Object, known func(control string) bool) (*Waiver, error) {
	r := readWaiver(o, known)
	if len(r.problems) == 0 {
		return r.waiver, nil
	}
	where := "waiver " + o.Ref().String()
	if l := r.location(); l != nil {
		where = fmt.Sprintf("%s:%d: %s", l.File, l.Line, where)
	}
	return nil, fmt.Errorf("%s: %w", where, errors.New(strings.Join(r.texts(), "; ")))
}

// waiverReader reads a waiver field by field and remembers what is wrong. It
// refuses fields that it does not know: a mistyped scope would widen a waiver.
type waiverReader struct {
	object   *model.Object
	known    func(string) bool
	waiver   *Waiver
	problems []waiverProblem
}

type waiverProblem struct {
	path model.Path
	text string
}

func (r *waiverReader) fail(at model.Path, format string, args ...any) {
	r.problems = append(r.problems, waiverProblem{at, at.String() + " " + fmt.Sprintf(format, args...)})
}

func (r *waiverReader) texts() []string {
	var out []string
	for _, p := range r.problems {
		out = append(out, p.text)
	}
	return out
}

// location is that of the first problem, else that of the waiver.
func (r *waiverReader) location() *finding.Location {
	if len(r.problems) > 0 {
		return r.object.Locate(r.problems[0].path)
	}
	return r.waiver.Location
}

func readWaiver(o *model.Object, known func(string) bool) *waiverReader {
	r := &waiverReader{object: o, known: known, waiver: &Waiver{Name: o.Text("metadata", "name"), Location: o.Locate(nil)}}
	if o.NamespaceWritten {
		r.waiver.namespace = o.Namespace
	}
	if o.GroupKind != WaiverKind || o.Version != "v1" {
		r.fail(model.Path{model.Key("apiVersion")}, "and kind must be %s %s", finding.APIVersion, WaiverKind.Kind)
	}
	switch name := model.Path(nil).Keys("metadata", "name"); r.waiver.Name {
	case "":
		r.fail(name, "is missing")
	case ByAnnotation:
		r.fail(name, "is what reports call waivers by annotation; choose another")
	}
	r.fields(nil, o.Content, "apiVersion", "kind", "metadata", "spec", "status")
	at := model.Path{model.Key("spec")}
	spec := r.fields(at, o.Content["spec"], "control", "controls", "resources", "containers", "owner", "reason", "ticket", "expires")
	if spec == nil {
		return r
	}
	r.controls(at, spec)
	r.resources(at.Keys("resources"), spec["resources"])
	if _, ok := spec["containers"]; ok {
		r.waiver.Containers = r.list(at.Keys("containers"), spec["containers"], "leave it out to accept every failure of the resources")
		r.patterns(at.Keys("containers"), r.waiver.Containers)
	}
	r.waiver.Owner = r.text(at.Keys("owner"), spec["owner"], "name who answers for it")
	r.waiver.Reason = r.text(at.Keys("reason"), spec["reason"], "say why the failure is acceptable")
	if _, ok := spec["ticket"]; ok {
		r.waiver.Ticket = r.text(at.Keys("ticket"), spec["ticket"], "or leave it out")
	}
	if text := r.text(at.Keys("expires"), spec["expires"], "say until when, like 2027-01-31"); text != "" {
		r.expires(at.Keys("expires"), text)
	}
	return r
}

func (r *waiverReader) controls(spec model.Path, fields map[string]any) {
	_, one := fields["control"]
	_, many := fields["controls"]
	switch {
	case one && many:
		r.fail(spec.Keys("controls"), "stands beside control; give one of them")
	case many:
		at := spec.Keys("controls")
		for i, name := range r.list(at, fields["controls"], "name the controls to waive") {
			r.control(at.Append(model.Index(i)), name)
		}
	default:
		at := spec.Keys("control")
		if name := r.text(at, fields["control"], "name the control to waive"); name != "" {
			r.control(at, name)
		}
	}
}

func (r *waiverReader) control(at model.Path, name string) {
	switch {
	case isPattern(name):
		r.fail(at, "is %q, but controls are waived by name; list them", name)
	case !r.known(name):
		r.fail(at, "is %q, and there is no such control; see bulkhead controls", name)
	case !slices.Contains(r.waiver.Controls, name):
		r.waiver.Controls = append(r.waiver.Controls, name)
	}
}

func (r *waiverReader) resources(at model.Path, v any) {
	items, _ := v.([]any)
	if len(items) == 0 {
		r.fail(at, "must list what the waiver is for, each with kind, name, and namespace where it has one")
	}
	for i, item := range items {
		at := at.Append(model.Index(i))
		fields := r.fields(at, item, "kind", "namespace", "name")
		if fields == nil {
			continue
		}
		res := WaiverResource{
			Kind: r.text(at.Keys("kind"), fields["kind"], "name a kind, like Deployment"),
			Name: r.text(at.Keys("name"), fields["name"], "name the object; * is every one of that kind"),
		}
		if _, ok := fields["namespace"]; ok {
			res.Namespace = r.text(at.Keys("namespace"), fields["namespace"], "name a namespace; leave it out only for objects of the whole cluster")
		}
		r.patterns(at, []string{res.Namespace, res.Name})
		r.kind(at, res)
		r.waiver.Resources = append(r.waiver.Resources, res)
	}
}

// kind refuses a kind that could match nothing, and a namespace that does not
// go with it.
func (r *waiverReader) kind(at model.Path, res WaiverResource) {
	group, kind, qualified := strings.Cut(res.Kind, "/")
	if !qualified {
		group, kind = "*", res.Kind
	}
	r.patterns(at.Keys("kind"), []string{group, kind})
	if qualified && (kind == "" || strings.Contains(kind, "/")) {
		r.fail(at.Keys("kind"), "is %q; write Deployment, or a group and a kind like argoproj.io/Rollout", res.Kind)
		return
	}
	if res.Kind == "" || isPattern(res.Kind) {
		return
	}
	var namespaced, clusterWide bool
	for _, b := range model.BuiltinResources() {
		if b.Kind == kind && match(group, b.Group) {
			namespaced = namespaced || b.Namespaced
			clusterWide = clusterWide || !b.Namespaced
		}
	}
	switch {
	case !namespaced && !clusterWide && !qualified:
		r.fail(at.Keys("kind"), "is %q, and Kubernetes has no such kind; write it as kubectl explain does, Deployment, and any other with its group, like argoproj.io/Rollout", kind)
	case namespaced && !clusterWide && res.Namespace == "":
		r.fail(at.Keys("namespace"), "is missing: a %s has one; * is every namespace", kind)
	case clusterWide && !namespaced && res.Namespace != "":
		r.fail(at.Keys("namespace"), "must be left out: a %s belongs to the whole cluster", kind)
	}
}

func (r *waiverReader) expires(at model.Path, text string) {
	date, err := time.Parse(day, text)
	if err != nil {
		r.fail(at, "is %q, and not a day like 2027-01-31 (RFC 3339)", text)
		return
	}
	r.waiver.Expires = date
}

func (r *waiverReader) patterns(at model.Path, patterns []string) {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			r.fail(at, "has a malformed pattern %q; close its bracket, or write \\ before a special character", p)
		}
	}
}

// fields returns a map that has no other keys than those allowed; nil where it
// is no map.
func (r *waiverReader) fields(at model.Path, v any, allowed ...string) map[string]any {
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
		r.fail(at.Keys(key), "is no field of a waiver; the fields here are %s", strings.Join(allowed, ", "))
	}
	return m
}

// text returns a string that is not blank; advice says what to write.
func (r *waiverReader) text(at model.Path, v any, advice string) string {
	s, ok := v.(string)
	switch {
	case v == nil:
		r.fail(at, "is missing: %s", advice)
	case !ok:
		r.fail(at, "must be a string; put it in quotes")
	case strings.TrimSpace(s) == "":
		r.fail(at, "is empty: %s", advice)
	default:
		return s
	}
	return ""
}

// list returns a list of strings that are not blank; advice says what to do
// about an empty one.
func (r *waiverReader) list(at model.Path, v any, advice string) []string {
	items, ok := v.([]any)
	if v != nil && !ok {
		r.fail(at, "must be a list of strings")
		return nil
	}
	if len(items) == 0 {
		r.fail(at, "is empty: %s", advice)
	}
	out := make([]string, 0, len(items))
	for i, item := range items {
		if s := r.text(at.Append(model.Index(i)), item, "leave it out"); s != "" {
			out = append(out, s)
		}
	}
	return out
}
