package check

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/form"
	"bulkhead.dev/bulkhead/internal/model"
)

// ParseWaiver reads an object of WaiverKind. The error says all that is wrong
// with it, with file and line; such a waiver must waive nothing. known tells
// whether there is a control of a name, be it selected for a run or not.
func ParseWaiver(o *model.Object, known func(control string) bool) (*Waiver, error) {
	r := readWaiver(o, known)
	if !r.Failed() {
		return r.waiver, nil
	}
	where := "waiver " + o.Ref().String()
	if l := r.location(); l != nil {
		where = fmt.Sprintf("%s:%d: %s", l.File, l.Line, where)
	}
	return nil, fmt.Errorf("%s: %w", where, errors.New(strings.Join(r.Texts(), "; ")))
}

// waiverReader reads a waiver field by field.
type waiverReader struct {
	form.Reader
	known  func(string) bool
	waiver *Waiver
}

// location is that of the first problem, else that of the waiver.
func (r *waiverReader) location() *finding.Location {
	if r.Failed() {
		return r.Object.Locate(r.Problems[0].Path)
	}
	return r.waiver.Location
}

func readWaiver(o *model.Object, known func(string) bool) *waiverReader {
	r := &waiverReader{Reader: form.Reader{Object: o}, known: known, waiver: &Waiver{Name: o.Text("metadata", "name"), Location: o.Locate(nil)}}
	if o.NamespaceWritten {
		r.waiver.namespace = o.Namespace
	}
	r.Header(WaiverKind)
	switch name := model.Path(nil).Keys("metadata", "name"); r.waiver.Name {
	case "":
		r.Fail(name, "is missing")
	case ByAnnotation:
		r.Fail(name, "is what reports call waivers by annotation; choose another")
	}
	r.Fields(nil, o.Content, "apiVersion", "kind", "metadata", "spec", "status")
	at := model.Path{model.Key("spec")}
	spec := r.Fields(at, o.Content["spec"], "control", "controls", "resources", "containers", "owner", "reason", "ticket", "expires")
	if spec == nil {
		return r
	}
	r.controls(at, spec)
	r.resources(at.Keys("resources"), spec["resources"])
	if _, ok := spec["containers"]; ok {
		r.waiver.Containers = r.list(at.Keys("containers"), spec["containers"], "leave it out to accept every failure of the resources")
		r.patterns(at.Keys("containers"), r.waiver.Containers)
	}
	r.waiver.Owner = r.Text(at.Keys("owner"), spec["owner"], "name who answers for it")
	r.waiver.Reason = r.Text(at.Keys("reason"), spec["reason"], "say why the failure is acceptable")
	if _, ok := spec["ticket"]; ok {
		r.waiver.Ticket = r.Text(at.Keys("ticket"), spec["ticket"], "or leave it out")
	}
	if text := r.Text(at.Keys("expires"), spec["expires"], "say until when, like 2027-01-31"); text != "" {
		r.expires(at.Keys("expires"), text)
	}
	return r
}

func (r *waiverReader) controls(spec model.Path, fields map[string]any) {
	_, one := fields["control"]
	_, many := fields["controls"]
	switch {
	case one && many:
		r.Fail(spec.Keys("controls"), "stands beside control; give one of them")
	case many:
		at := spec.Keys("controls")
		for i, name := range r.list(at, fields["controls"], "name the controls to waive") {
			r.control(at.Append(model.Index(i)), name)
		}
	default:
		at := spec.Keys("control")
		if name := r.Text(at, fields["control"], "name the control to waive"); name != "" {
			r.control(at, name)
		}
	}
}

func (r *waiverReader) control(at model.Path, name string) {
	switch {
	case isPattern(name):
		r.Fail(at, "is %q, but controls are waived by name; list them", name)
	case !r.known(name):
		r.Fail(at, "is %q, and there is no such control; see bulkhead controls", name)
	case !slices.Contains(r.waiver.Controls, name):
		r.waiver.Controls = append(r.waiver.Controls, name)
	}
}

func (r *waiverReader) resources(at model.Path, v any) {
	items, _ := v.([]any)
	if len(items) == 0 {
		r.Fail(at, "must list what the waiver is for, each with kind, name, and namespace where it has one")
	}
	for i, item := range items {
		at := at.Append(model.Index(i))
		fields := r.Fields(at, item, "kind", "namespace", "name")
		if fields == nil {
			continue
		}
		res := WaiverResource{
			Kind: r.Text(at.Keys("kind"), fields["kind"], "name a kind, like Deployment"),
			Name: r.Text(at.Keys("name"), fields["name"], "name the object; * is every one of that kind"),
		}
		if _, ok := fields["namespace"]; ok {
			res.Namespace = r.Text(at.Keys("namespace"), fields["namespace"], "name a namespace; leave it out only for objects of the whole cluster")
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
		r.Fail(at.Keys("kind"), "is %q; write Deployment, or a group and a kind like argoproj.io/Rollout", res.Kind)
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
		r.Fail(at.Keys("kind"), "is %q, and Kubernetes has no such kind; write it as kubectl explain does, Deployment, and any other with its group, like argoproj.io/Rollout", kind)
	case namespaced && !clusterWide && res.Namespace == "":
		r.Fail(at.Keys("namespace"), "is missing: a %s has one; * is every namespace", kind)
	case clusterWide && !namespaced && res.Namespace != "":
		r.Fail(at.Keys("namespace"), "must be left out: a %s belongs to the whole cluster", kind)
	}
}

func (r *waiverReader) expires(at model.Path, text string) {
	date, err := time.Parse(day, text)
	if err != nil {
		r.Fail(at, "is %q, and not a day like 2027-01-31 (RFC 3339)", text)
		return
	}
	r.waiver.Expires = date
}

func (r *waiverReader) patterns(at model.Path, patterns []string) {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			r.Fail(at, "has a malformed pattern %q; close its bracket, or write \\ before a special character", p)
		}
	}
}

// list returns a list of strings that are not blank; advice says what to do
// about an empty one.
func (r *waiverReader) list(at model.Path, v any, advice string) []string {
	items, ok := v.([]any)
	if v != nil && !ok {
		r.Fail(at, "must be a list of strings")
		return nil
	}
	if len(items) == 0 {
		r.Fail(at, "is empty: %s", advice)
	}
	out := make([]string, 0, len(items))
	for i, item := range items {
		if s := r.Text(at.Append(model.Index(i)), item, "leave it out"); s != "" {
			out = append(out, s)
		}
	}
	return out
}
