package rbac

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// trial is the world with some changes made.
type trial struct {
	*cutter
	access *Access
	made   map[int]bool
	// was are the objects of the world that the changed ones stand for, and rules the
	// numbers that the rules of a changed role had.
	was      map[*model.Object]*model.Object
	rules    map[*model.Object][]int
	bindings map[*finding.Ref]*binding
	roles    map[*finding.Ref]*role
}

// index finds roles and bindings by what grants name them with.
func (t *trial) index() {
	t.bindings, t.roles = map[*finding.Ref]*binding{}, map[*finding.Ref]*role{}
	for _, b := range t.access.index.bindings {
		t.bindings[b.ref] = b
	}
	for _, r := range t.access.index.roles {
		t.roles[r.ref] = r
	}
}

// original is the object as the world has it.
func (t *trial) original(o *model.Object) *model.Object {
	if was := t.was[o]; was != nil {
		return was
	}
	return o
}

// usesOf lists everything that a chain rests on: nothing else of roles and bindings can
// end it. A use too many does no harm but to the bound, one that is missing makes it wrong.
func (t *trial) usesOf(x Escalation) []use {
	var out []use
	actors := []Subject{x.From}
	for i := range x.Steps {
		s := &x.Steps[i]
		for _, n := range s.Needs {
			if n.Grant != nil {
				out = t.grantUses(out, *n.Grant, n.Request)
			} else if n.Given != nil {
				out = t.roleUses(out, t.roles[n.Given], n.Request)
			}
		}
		out = t.gainedUses(out, s)
		out = t.rewrittenUses(out, s, actors)
		if to := s.To.Subject; to != nil {
			out = t.knownUses(out, &x, i, *to)
			actors = append(actors, *to)
		}
	}
	if x.Admin != nil {
		out = t.grantUses(out, *x.Admin, everythingRequest)
	}
	return out
}

var everythingRequest = Request{Verb: rbacv1.VerbAll, Group: rbacv1.APIGroupAll, Resource: rbacv1.ResourceAll}

// grantUses are those of one grant: the subject in its binding, and the rule.
func (t *trial) grantUses(out []use, g Grant, r Request) []use {
	b := t.bindings[g.Binding]
	if b == nil {
		return out // system:masters, and what every cluster binds
	}
	for _, s := range g.Subjects {
		out = append(out, use{object: t.original(b.object), subject: s})
	}
	if written := t.roles[g.Written]; written != nil {
		out = t.ruleUse(out, written, g.Rule, r)
	}
	return out
}

// roleUses are those of every rule of a role that allows a request: which of them a
// chain means is not said.
func (t *trial) roleUses(out []use, r *role, request Request) []use {
	if r == nil {
		return out
	}
	for _, written := range t.access.index.written(r) {
		for i := range written.stored {
			if h := (heldRule{&written.stored[i], r, written, i}); h.allows(&request) {
				out = t.ruleUse(out, written, i, request)
			}
		}
	}
	return out
}

// ruleUse is the use of a rule. Those of an aggregated role that is stored are written
// by a controller, from the roles that it selects.
func (t *trial) ruleUse(out []use, written *role, at int, request Request) []use {
	if written.aggregation != nil && written.object != nil {
		for _, leaf := range written.leaves {
			for i := range leaf.stored {
				if h := (heldRule{&leaf.stored[i], leaf, leaf, i}); h.allows(&request) {
					out = t.ruleUse(out, leaf, i, request)
				}
			}
		}
		return out
	}
	if written.object == nil {
		return out
	}
	object := t.original(written.object)
	if rules := t.rules[object]; rules != nil {
		at = rules[at]
	}
	u := use{object: object, rule: at, verb: request.Verb}
	for _, c := range cellsOf(t.ruleOf(object, at)) {
		if c.matches(request.Group, request.combined()) {
			u.cells = append(u.cells, c)
		}
	}
	return append(out, u)
}

// gainedUses are the rules that make everything of a role which a step binds.
func (t *trial) gainedUses(out []use, s *Step) []use {
	for _, n := range s.Needs {
		if n.Verb != "bind" {
			continue
		}
		key := roleKey{"", n.Name}
		if n.Resource == "roles" {
			key.namespace = n.Namespace
		}
		if r := t.access.index.roles[key]; r != nil && r.full {
			out = t.roleUses(out, r, everythingRequest)
		}
	}
	return out
}

// rewrittenUses are the bindings to the role that a step rewrites: whoever acts has to
// be bound to it, which is no request.
func (t *trial) rewrittenUses(out []use, s *Step, actors []Subject) []use {
	if !slices.ContainsFunc(s.Needs, func(n Needed) bool { return n.Verb == "escalate" }) {
		return out
	}
	for _, actor := range actors {
		for _, who := range IdentityOf(actor).subjects() {
			t.access.bySubject[who].all(func(b *binding) {
				r := t.access.index.roles[b.role]
				for _, n := range s.Needs {
					if r.name == n.Name || r.aggregation != nil {
						out = append(out, use{object: t.original(b.object), subject: who})
						return
					}
				}
			})
		}
	}
	return out
}

// all visits every binding.
func (t *boundTo) all(visit func(*binding)) {
	if t == nil {
		return
	}
	for _, b := range t.everywhere {
		visit(b)
	}
	for _, in := range t.in {
		for _, b := range in {
			visit(b)
		}
	}
}

// knownUses are the bindings by which it is known that somebody is there to be reached,
// where what follows is granted to groups alone.
func (t *trial) knownUses(out []use, x *Escalation, at int, to Subject) []use {
	own := func(g *Grant) bool { return g != nil && slices.Contains(g.Subjects, to) }
	if own(x.Admin) {
		return out
	}
	for _, s := range x.Steps[at+1:] {
		if slices.ContainsFunc(s.Needs, func(n Needed) bool { return own(n.Grant) }) {
			return out
		}
	}
	bound := func(s Subject) {
		t.access.bySubject[s].all(func(b *binding) { out = append(out, use{object: t.original(b.object), subject: s}) })
	}
	bound(to)
	if to.Kind == rbacv1.ServiceAccountKind && to.Name == "default" {
		// An account default is in every namespace that is heard of.
		for s := range t.access.bySubject {
			if ns, _ := s.wholeNamespace(); s.Namespace == to.Namespace || ns == to.Namespace {
				bound(s)
			}
		}
	}
	return out
}

// alternatives lists the chain once more for each other grant by which one of its
// requests is allowed: all of them have to be cut.
func (t *trial) alternatives(x Escalation, visit func(Escalation)) {
	swap := func(i, n int, g Grant) {
		other := x
		other.Steps = slices.Clone(x.Steps)
		other.Steps[i].Needs = slices.Clone(x.Steps[i].Needs)
		other.Steps[i].Needs[n].Grant = &g
		visit(other)
	}
	for i, s := range x.Steps {
		for n, needed := range s.Needs {
			if needed.Grant != nil && needed.Grant.Binding != nil {
				t.otherGrants(*needed.Grant, needed.Request, func(g Grant) { swap(i, n, g) })
			}
		}
	}
	if x.Admin != nil && x.Admin.Binding != nil {
		t.otherGrants(*x.Admin, everythingRequest, func(g Grant) {
			other := x
			other.Admin = &g
			visit(other)
		})
	}
}

// maxAlternatives bounds the other grants of one request that are looked at.
const maxAlternatives = 20

// otherGrants visits the other grants of a request to the same subject, or to the groups
// that the API server puts it into.
func (t *trial) otherGrants(g Grant, r Request, visit func(Grant)) {
	found := 0
	for _, s := range IdentityOf(g.Subjects[0]).subjects() {
		t.access.bySubject[s].each(r.Namespace, func(b *binding) bool {
			rule := t.access.rules[t.access.index.roles[b.role]].find(&r)
			if rule != nil && (b.ref != g.Binding || s != g.Subjects[0]) {
				found++
				visit(rule.grant(b, []Subject{s}))
			}
			return found < maxAlternatives
		})
	}
}
