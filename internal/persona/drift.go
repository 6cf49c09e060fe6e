package persona

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// DifferenceKind is what is not as a check says.
type DifferenceKind string

const (
	// Forbidden is something that a subject must not do, and may.
	Forbidden DifferenceKind = "forbidden"
	// Extra is something that a subject may do, and that is listed nowhere.
	Extra DifferenceKind = "extra"
	// Escalation is somebody whom a subject may become, and should not.
	Escalation DifferenceKind = "escalation"
	// UnknownHolder is who is bound to a role, and should not be.
	UnknownHolder DifferenceKind = "holder"
	// Missing is something that a subject should be able to do, and may not.
	Missing DifferenceKind = "missing"
)

// order is that of reports: what is worst comes first.
var order = []DifferenceKind{Forbidden, Escalation, Extra, UnknownHolder, Missing}

// Difference is one thing that is not as a check says.
type Difference struct {
	Kind    DifferenceKind
	Subject rbac.Subject
	// About is the entry's.
	About string
	// Namespace is empty for the whole cluster.
	Namespace string
	// What is the permission, or whom the subject becomes, or the role it is bound to.
	What string
	// Grants are by what it is allowed; none where it is missing.
	Grants []rbac.Grant
	// Chain is how the subject becomes somebody else.
	Chain *rbac.Escalation
	// Binding is by what an unknown holder is bound, and BoundAt where that is written.
	Binding *finding.Ref
	BoundAt *finding.Location
	// At is the place in the check; nil where that has none.
	At *finding.Location
}

// Result is what a check finds.
type Result struct {
	Differences []Difference
	// Unknown lists why there may be more.
	Unknown []string
	// Subjects and Things count what was held against the check: things are single verbs
	// on single resources, in each namespace.
	Subjects, Things int
}

// expected is what all entries of one subject say together.
type expected struct {
	subject      rbac.Subject
	groups       []string
	may          scope
	entries      []said
	nothingElse  bool
	becomes      bool
	accountsOf   []string
	nothing, who *Entry
}

// Compare holds a world against the check, for a minor version of Kubernetes 1.
func (c *Check) Compare(w *model.World, version int) (*Result, error) {
	known, err := readCatalogue()
	if err != nil {
		return nil, err
	}
	a := rbac.AccessOf(w)
	d := &comparison{access: a, world: w, everyone: known.everyone, result: &Result{}, unknown: map[string]bool{}}
	all := c.expectations()
	var escalations *rbac.Escalations
	if slices.ContainsFunc(all, func(e *expected) bool { return e.becomes }) {
		if escalations, err = a.Escalations(version); err != nil {
			return nil, err
		}
	}
	d.result.Subjects = len(all)
	for _, e := range all {
		d.subject(e)
		if e.becomes {
			d.becomes(e, escalations)
		}
	}
	d.holders(c)
	for _, ns := range append(c.namespaces(w), "") {
		if why := a.Unobserved(ns); why != "" {
			d.unknown[why] = true
		}
	}
	d.result.Unknown = slices.Sorted(maps.Keys(d.unknown))
	slices.SortStableFunc(d.result.Differences, func(a, b Difference) int {
		return cmp.Or(slices.Index(order, a.Kind)-slices.Index(order, b.Kind), compareSubjects(a.Subject, b.Subject),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.What, b.What))
	})
	return d.result, nil
}

func (c *Check) namespaces(w *model.World) []string {
	out := w.Namespaces()
	for _, e := range c.Entries {
		out = append(out, e.Namespaces...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (c *Check) expectations() []*expected {
	by := map[rbac.Subject]*expected{}
	var out []*expected
	for i := range c.Entries {
		e := said{Entry: &c.Entries[i]}
		for _, a := range e.Cannot {
			e.cannot = append(e.cannot, a.things()...)
		}
		for _, s := range e.Subjects {
			x := by[s]
			if x == nil {
				x = &expected{subject: s, may: scope{}}
				by[s], out = x, append(out, x)
			}
			x.entries = append(x.entries, e)
			x.groups = append(x.groups, e.Groups...)
			for _, a := range e.Can {
				x.may.add(e.Namespaces, a)
			}
			if e.NothingElse && !x.nothingElse {
				x.nothingElse, x.nothing = true, e.Entry
			}
			if e.Becomes {
				x.who = cmp.Or(x.who, e.Entry)
				x.becomes, x.accountsOf = true, append(x.accountsOf, e.AccountsOf...)
			}
		}
	}
	return out
}

// said is an entry, and one by one what it forbids.
type said struct {
	*Entry
	cannot []thing
}

type comparison struct {
	access   *rbac.Access
	world    *model.World
	everyone scope
	result   *Result
	unknown  map[string]bool
}

func (d *comparison) report(x Difference) { d.result.Differences = append(d.result.Differences, x) }

// subject compares what a subject may do with what is said of it, both ways.
func (d *comparison) subject(e *expected) {
	who := rbac.IdentityOf(e.subject)
	who.Groups = append(who.Groups, e.groups...)
	d.missing(e, who)
	permissions := d.access.Permissions(who)
	for i := range permissions {
		p := &permissions[i]
		for _, verb := range p.Verbs {
			one := *p
			one.Verbs = []string{verb}
			if entry := e.forbids(&one); entry != nil {
				d.report(Difference{Kind: Forbidden, About: entry.About, At: entry.At, Subject: e.subject, Namespace: p.Namespace, What: permissionText(&one), Grants: d.grants(who, &one)})
				continue
			}
			if e.nothingElse && !d.listed(e.may, &one) {
				d.report(Difference{Kind: Extra, About: e.nothing.About, At: e.nothing.At, Subject: e.subject, Namespace: p.Namespace, What: permissionText(&one), Grants: d.grants(who, &one)})
			}
		}
	}
}

// missing finds what should be allowed, and is not.
func (d *comparison) missing(e *expected, who rbac.Identity) {
	for _, entry := range e.entries {
		namespaces := entry.Namespaces
		if len(namespaces) == 0 {
			namespaces = []string{""}
		}
		for _, ns := range namespaces {
			for _, a := range entry.Can {
				for _, t := range a.things() {
					d.result.Things++
					_, ok, unknown := d.access.Can(who, t.request(ns))
					switch {
					case ok:
					case unknown != "":
						d.unknown[unknown] = true
					default:
						d.report(Difference{Kind: Missing, About: entry.About, At: entry.At, Subject: e.subject, Namespace: ns, What: t.String()})
					}
				}
			}
		}
	}
}

// forbids returns the entry that says that a permission must not be; nil for none.
func (e *expected) forbids(p *rbac.Permission) *Entry {
	for _, entry := range e.entries {
		if len(entry.Namespaces) > 0 && p.Namespace != "" && !slices.Contains(entry.Namespaces, p.Namespace) {
			continue
		}
		if slices.ContainsFunc(entry.cannot, func(t thing) bool { return overlaps(p, t) }) {
			return entry.Entry
		}
	}
	return nil
}

// listed reports whether all of a permission of one verb is expected, or everybody's.
func (d *comparison) listed(may scope, p *rbac.Permission) bool {
	names := p.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, name := range names {
		t := thing{p.Verbs[0], p.Group, p.Resource, name, p.URL}
		if !may.allows(p.Namespace, t) && !covers(d.everyone[""], t) {
			return false
		}
	}
	return true
}

// grants are by what an identity has a permission of one verb.
func (d *comparison) grants(who rbac.Identity, p *rbac.Permission) []rbac.Grant {
	t := thing{p.Verbs[0], p.Group, p.Resource, "", p.URL}
	if len(p.ResourceNames) > 0 {
		t.name = p.ResourceNames[0]
	}
	all, _ := d.access.WhoCan(t.request(p.Namespace), false)
	var out []rbac.Grant
	for _, g := range all {
		g.Subjects = slices.DeleteFunc(slices.Clone(g.Subjects), func(s rbac.Subject) bool { return !is(who, s) })
		if len(g.Subjects) > 0 && g.Binding.Namespace == p.Namespace {
			out = append(out, g)
		}
	}
	if len(out) == 0 {
		return p.Grants
	}
	return out
}

func is(who rbac.Identity, s rbac.Subject) bool {
	if s.Kind == rbacv1.GroupKind {
		return slices.Contains(who.Groups, s.Name)
	}
	return who.User != "" && rbac.IdentityOf(s).User == who.User
}

func permissionText(p *rbac.Permission) string {
	if p.URL != "" {
		return p.Verbs[0] + " " + p.URL
	}
	text := p.Verbs[0] + " " + resourceText(rbac.Resource{Group: p.Group, Name: p.Resource})
	if len(p.ResourceNames) > 0 {
		text += " " + strings.Join(p.ResourceNames, ",")
	}
	return text
}

// maxBecomes bounds whom a report lists that one subject becomes.
const maxBecomes = 10

// becomes finds whom a subject becomes, beside the service accounts that it may.
func (d *comparison) becomes(e *expected, escalations *rbac.Escalations) {
	all, unknown := escalations.From(e.subject, e.groups)
	for _, why := range unknown {
		d.unknown[why] = true
	}
	found := 0
	for i := range all {
		if e.mayBecome(&all[i]) {
			continue
		}
		if found++; found > maxBecomes {
			return
		}
		d.report(Difference{Kind: Escalation, About: e.who.About, At: e.who.At, Subject: e.subject, What: becomesText(&all[i]), Chain: &all[i]})
	}
}

func becomesText(x *rbac.Escalation) string {
	if x.ToAdmin() {
		return "cluster admin"
	}
	return x.Last().String()
}

// mayBecome reports whether a chain ends inside the namespaces of the subject: at an
// account there, or at more rights there.
func (e *expected) mayBecome(x *rbac.Escalation) bool {
	if x.ToAdmin() {
		return false
	}
	to := x.Last()
	if to.Subject != nil {
		return to.Subject.Kind == rbacv1.ServiceAccountKind && slices.Contains(e.accountsOf, to.Subject.Namespace)
	}
	return to.Namespace != "" && slices.Contains(e.accountsOf, to.Namespace)
}

// holders finds who is bound to a role that the check lists, and should not be.
func (d *comparison) holders(c *Check) {
	type place struct{ kind, role, namespace string }
	type role struct{ kind, role, in string }
	allowed, listed := map[place][]rbac.Subject{}, map[role]*Holder{}
	key := func(kind, name, namespace string) role {
		if kind == "ClusterRole" {
			namespace = ""
		}
		return role{kind, name, namespace}
	}
	for i := range c.Holders {
		h := &c.Holders[i]
		at := place{h.RoleKind, h.Role, h.Namespace}
		allowed[at] = append(allowed[at], h.Subjects...)
		if k := key(h.RoleKind, h.Role, h.Namespace); listed[k] == nil {
			listed[k] = h
		}
	}
	for _, kind := range []string{"ClusterRoleBinding", "RoleBinding"} {
		for _, o := range d.world.Kind(model.GroupKind{Group: rbacv1.GroupName, Kind: kind}) {
			roleKind, name := o.Text("roleRef", "kind"), o.Text("roleRef", "name")
			h := listed[key(roleKind, name, o.Namespace)]
			if h == nil {
				continue
			}
			for i, item := range o.List("subjects") {
				s := boundSubject(item, o.Namespace)
				if slices.Contains(allowed[place{roleKind, name, o.Namespace}], s) {
					continue
				}
				ref := o.Ref()
				d.report(Difference{Kind: UnknownHolder, Subject: s, Namespace: o.Namespace, What: fmt.Sprintf("%s %s", roleKind, name), At: h.At,
					Binding: &ref, BoundAt: o.Locate(model.Path{model.Key("subjects"), model.Index(i)})})
			}
		}
	}
}

// boundSubject is a subject of a binding as package rbac names it: a user that is a
// service account is that account.
func boundSubject(v any, namespace string) rbac.Subject {
	text := func(key string) string { s, _ := model.Get(v, key).(string); return s }
	s := rbac.Subject{Kind: text("kind"), Name: text("name")}
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		s.Namespace = cmp.Or(text("namespace"), namespace)
	case rbacv1.UserKind:
		if account, err := rbac.ParseSubject("User/" + s.Name); err == nil {
			return account
		}
	}
	return s
}
