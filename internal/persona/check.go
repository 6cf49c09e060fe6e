package persona

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/form"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// CheckKind is that of files that say who may do what, and is to do no more.
var CheckKind = model.GroupKind{Group: "bulkhead.dev", Kind: "AccessCheck"}

// Check is what a cluster is held against: generated with a set, or written by hand.
type Check struct {
	Name    string
	Entries []Entry
	Holders []Holder
}

// Entry says what subjects may do, each of them, in namespaces; none is the whole cluster
// for what they may, and everywhere for what they must not.
type Entry struct {
	// About is for people: developer of shop.
	About    string
	Subjects []rbac.Subject
	// Groups are those that the organisation has put the subjects into.
	Groups      []string
	Namespaces  []string
	Can, Cannot []Action
	// NothingElse says that all entries of a subject together list all that it may do,
	// beside what everybody may.
	NothingElse bool
	// Becomes says that the subject may become the service accounts of AccountsOf and
	// nobody else. Without it, whom the subject becomes is not looked at.
	Becomes    bool
	AccountsOf []string
	At         *finding.Location
}

// Holder says who may be bound to a role in a namespace, or in the whole cluster where
// that is empty.
type Holder struct {
	RoleKind, Role string
	Namespace      string
	Subjects       []rbac.Subject
	At             *finding.Location
}

// ParseCheck reads an object of CheckKind. The error says all that is wrong with it, a
// line for each, with file and line.
func ParseCheck(o *model.Object) (*Check, error) {
	r := &reader{form.Reader{Object: o}}
	c := &Check{}
	var spec map[string]any
	if c.Name, spec = r.header(CheckKind, "checks", "holders"); spec != nil {
		at := model.Path{model.Key("spec")}
		things := 0
		for i, item := range r.items(at.Keys("checks"), spec["checks"]) {
			if e := r.entry(at.Keys("checks").Append(model.Index(i)), item); e != nil {
				for _, a := range slices.Concat(e.Can, e.Cannot) {
					things += len(a.Verbs) * max(1, len(a.Resources), len(a.URLs)) * max(1, len(a.Names)) * max(1, len(e.Namespaces)) * len(e.Subjects)
				}
				c.Entries = append(c.Entries, *e)
			}
		}
		for i, item := range r.items(at.Keys("holders"), spec["holders"]) {
			r.holder(at.Keys("holders").Append(model.Index(i)), item, c)
		}
		switch {
		case r.Failed():
		case len(c.Entries)+len(c.Holders) == 0:
			r.Fail(at, "checks nothing: list checks, each with a subject and what it can and cannot do")
		case things > maxChecked:
			r.Fail(at, "lists %d things, and %d are the most: make several files of it", things, maxChecked)
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// maxChecked bounds what one file asks.
const maxChecked = 10_000_000

func (r *reader) entry(at model.Path, v any) *Entry {
	m := r.Fields(at, v, "about", "subject", "subjects", "inGroups", "namespaces", "can", "cannot", "nothingElse", "becomesAccountsOf")
	if m == nil {
		return nil
	}
	e := &Entry{At: r.Object.Locate(at)}
	if m["about"] != nil {
		e.About = r.Name(at.Keys("about"), m["about"], "say in words who it is, or leave it out")
	}
	switch one, many := m["subject"], m["subjects"]; {
	case one != nil && many != nil:
		r.Fail(at.Keys("subjects"), "stands beside subject: give one of them")
	case one != nil:
		e.Subjects = r.subject(at.Keys("subject"), one, nil)
	default:
		e.Subjects = r.subjectList(at.Keys("subjects"), many)
	}
	for i, item := range r.items(at.Keys("inGroups"), m["inGroups"]) {
		if g := r.Name(at.Keys("inGroups").Append(model.Index(i)), item, "name a group"); g != "" {
			e.Groups = append(e.Groups, g)
		}
	}
	if e.Namespaces = r.labels(at.Keys("namespaces"), m["namespaces"], "name a namespace"); m["namespaces"] != nil && len(e.Namespaces) == 0 {
		r.Fail(at.Keys("namespaces"), "is empty: leave it out for the whole cluster")
	}
	for _, a := range r.actions(at.Keys("can"), m["can"]) {
		if len(e.Namespaces) > 0 {
			r.fits(a)
		}
		e.Can = append(e.Can, a.Action)
	}
	for _, a := range r.actions(at.Keys("cannot"), m["cannot"]) {
		e.Cannot = append(e.Cannot, a.Action)
	}
	if v := m["nothingElse"]; v != nil {
		only, ok := v.(bool)
		if !ok {
			r.Fail(at.Keys("nothingElse"), "must be true or false")
		}
		e.NothingElse = only
	}
	if v, ok := m["becomesAccountsOf"]; ok {
		e.Becomes, e.AccountsOf = true, r.labels(at.Keys("becomesAccountsOf"), v, "name a namespace; an empty list is nobody")
	}
	if len(e.Can)+len(e.Cannot) == 0 && !e.NothingElse && !e.Becomes {
		r.Fail(at, "checks nothing: say what they can and cannot do")
	}
	return e
}

// fits refuses in a namespace what belongs to the whole cluster.
func (r *reader) fits(a placed) {
	if len(a.URLs) > 0 {
		r.Fail(a.at, "is %q: a URL lies in no namespace; put it into an entry without namespaces", a.Action)
	}
	for _, res := range a.Resources {
		if res.Known && !res.Namespaced && (res.Name != "namespaces" || res.Group != "") {
			r.Fail(a.at, "is %q: %s belong to the whole cluster; put them into an entry without namespaces", a.Action, res.Name)
		}
	}
}

func (r *reader) subjectList(at model.Path, v any) []rbac.Subject {
	var out []rbac.Subject
	for i, item := range r.items(at, v) {
		out = r.subject(at.Append(model.Index(i)), item, out)
	}
	if len(out) == 0 && !r.Failed() {
		r.Fail(at, "is nobody: write User/NAME, Group/NAME or ServiceAccount/NAMESPACE/NAME")
	}
	return out
}

func (r *reader) subject(at model.Path, v any, known []rbac.Subject) []rbac.Subject {
	text := r.Name(at, v, "write User/NAME, Group/NAME or ServiceAccount/NAMESPACE/NAME")
	if text == "" {
		return known
	}
	s, err := rbac.ParseSubject(text)
	switch {
	case err != nil:
		r.Fail(at, "%s", err)
	case slices.Contains(known, s):
		r.Fail(at, "is %s a second time", s)
	default:
		return append(known, s)
	}
	return known
}

func (r *reader) holder(at model.Path, v any, c *Check) {
	m := r.Fields(at, v, "role", "namespace", "subjects")
	if m == nil {
		return
	}
	h := Holder{At: r.Object.Locate(at)}
	kind, name, ok := strings.Cut(r.Name(at.Keys("role"), m["role"], "write ClusterRole/NAME or Role/NAME"), "/")
	if !ok || kind != "ClusterRole" && kind != "Role" || name == "" {
		r.Fail(at.Keys("role"), "must be ClusterRole/NAME or Role/NAME")
	}
	h.RoleKind, h.Role = kind, name
	if m["namespace"] != nil {
		h.Namespace = r.Label(at.Keys("namespace"), m["namespace"], "name a namespace, or leave it out for the whole cluster")
	} else if kind == "Role" {
		r.Fail(at.Keys("namespace"), "is missing: a Role is in one")
	}
	h.Subjects = r.subjectList(at.Keys("subjects"), m["subjects"])
	c.Holders = append(c.Holders, h)
}

// subjectText is a subject as rbac.ParseSubject reads it.
func subjectText(s rbac.Subject) string {
	if s.Kind == rbacv1.ServiceAccountKind {
		return fmt.Sprintf("%s/%s/%s", s.Kind, s.Namespace, s.Name)
	}
	return s.Kind + "/" + s.Name
}

// Content is the check as an object.
func (c *Check) Content() map[string]any {
	var entries, holders []any
	for _, e := range c.Entries {
		m := map[string]any{"subjects": texts(e.Subjects, subjectText)}
		for key, list := range map[string][]any{"inGroups": texts(e.Groups, self), "namespaces": texts(e.Namespaces, self), "can": texts(e.Can, Action.String), "cannot": texts(e.Cannot, Action.String)} {
			if len(list) > 0 {
				m[key] = list
			}
		}
		if e.About != "" {
			m["about"] = e.About
		}
		if e.NothingElse {
			m["nothingElse"] = true
		}
		if e.Becomes {
			m["becomesAccountsOf"] = texts(e.AccountsOf, self)
		}
		entries = append(entries, m)
	}
	for _, h := range c.Holders {
		m := map[string]any{"role": h.RoleKind + "/" + h.Role, "subjects": texts(h.Subjects, subjectText)}
		if h.Namespace != "" {
			m["namespace"] = h.Namespace
		}
		holders = append(holders, m)
	}
	spec := map[string]any{}
	if len(entries) > 0 {
		spec["checks"] = entries
	}
	if len(holders) > 0 {
		spec["holders"] = holders
	}
	return map[string]any{"apiVersion": finding.APIVersion, "kind": CheckKind.Kind, "metadata": map[string]any{"name": c.Name}, "spec": spec}
}

func self(s string) string { return s }

func texts[T any](list []T, text func(T) string) []any {
	out := make([]any, 0, len(list))
	for _, v := range list {
		out = append(out, text(v))
	}
	return out
}

func compareHolders(a, b Holder) int {
	return cmp.Or(cmp.Compare(a.RoleKind, b.RoleKind), cmp.Compare(a.Role, b.Role), cmp.Compare(a.Namespace, b.Namespace))
}
