package rbac

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

// Escalations says who can become whom in a world, by steps that primitives lists.
//
// A step is taken by one identity: what it needs, that identity may do by itself and by
// by its groups. Where that leads nowhere, or takes more steps, identities that were
// reached act together: one makes a Secret that another reads, and a role that was gained
// is bound to another. In files what every cluster has is part of it: the default
// bindings, and a service account default in each namespace.
//
// It may be used by many goroutines at once.
type Escalations struct {
	access *Access
	mu     sync.Mutex
	graph  *graph
	meant  map[Subject]bool
	// joined are the ends of the chains of those who become cluster admin only so, or by
	// fewer steps; and of those of whom that is not known.
	joined map[*node]*acquired
}

// Escalations computes the escalations for a minor version of Kubernetes 1.
func (a *Access) Escalations(version int) (*Escalations, error) {
	meant, err := meantIn(version)
	if err != nil {
		return nil, err
	}
	g := newGraph(a, version)
	into := g.arcs()
	g.measure(into)
	return &Escalations{access: a, graph: g, meant: meant, joined: g.joinAll(into)}, nil
}

// ToAdmin lists the subjects that become cluster admin, each with a shortest chain:
// first those that are not meant to, then by the length of the chain. A member of a
// group whose first step is the group's is not listed beside it.
func (e *Escalations) ToAdmin() []Escalation {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Escalation
	for _, n := range e.graph.nodes {
		if n.kind == subjectNode && e.becomesAdmin(n) && (e.speaksForItself(n) || !e.asGroup(n)) {
			last := e.joined[n]
			if last == nil {
				last = e.graph.toAdmin(n)
			}
			out = append(out, e.escalation(n.subject(), last))
		}
	}
	slices.SortFunc(out, compareEscalations)
	return out
}

func (e *Escalations) becomesAdmin(n *node) bool {
	return n.distance != unreachable || e.joined[n] != nil
}

// asGroup reports whether a group that the subject is in becomes cluster admin. Of those
// that the API server adds, each is in the wider ones, too: rights of several are those of
// the narrowest.
func (e *Escalations) asGroup(n *node) bool {
	return n.admin != nil || slices.ContainsFunc(n.groups, e.becomesAdmin)
}

// escalation is how a subject becomes the last of a chain.
func (e *Escalations) escalation(s Subject, last *acquired) Escalation {
	steps := e.graph.steps(last)
	out := Escalation{From: s, Steps: steps, AtLeast: cmp.Or(last.atLeast, len(steps)), Meant: e.isMeant(s, steps)}
	if last.node.admin != nil {
		out.Admin = last.node.admin.grantOf()
	}
	return out
}

func compareEscalations(a, b Escalation) int {
	meant := func(e Escalation) int {
		if e.Meant {
			return 1
		}
		return 0
	}
	return cmp.Or(meant(a)-meant(b), len(a.Steps)-len(b.Steps), compareSubjects(a.From, b.From))
}

func compareSubjects(a, b Subject) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// speaksForItself reports whether a shortest chain takes a right of the subject's own, and
// not those of a group only.
func (e *Escalations) speaksForItself(n *node) bool {
	s := n.subject()
	if n.admin != nil {
		return n.admin.holding == nil || n.admin.as == s
	}
	last := e.joined[n]
	if last != nil && last.speaksFor(s) {
		return true
	}
	if last != nil && last.length() != n.distance {
		return false
	}
	return slices.ContainsFunc(n.steps, func(step edge) bool {
		// Who impersonates, constrained, acts in the next step, too.
		return step.to.distance == n.distance-1 && (step.restsOn(s) || step.to.kind == assumedNode && slices.ContainsFunc(step.to.steps, func(next edge) bool {
			return next.to.distance == n.distance-2 && next.restsOn(s)
		}))
	})
}

// From lists everybody whom a subject can become, each with a shortest chain, in order
// of their lengths. Groups are those that the organisation has put it into. The last
// result lists why there may be more, as Unknown does; where the subject becomes cluster
// admin, that is enough to know.
func (e *Escalations) From(s Subject, groups []string) ([]Escalation, []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.graph.node(subjectKey(s))
	if len(groups) > 0 {
		n = e.graph.inGroups(s, groups)
	}
	e.graph.expand()
	if n.admin != nil {
		return []Escalation{e.escalation(s, &acquired{node: n})}, nil
	}
	var out []Escalation
	j := e.graph.join(true, n)
	for _, a := range e.graph.shortenHeld(j, n) {
		out = append(out, e.escalation(s, a))
	}
	unknown := e.unread()
	maps.Copy(unknown, j.unknown)
	slices.SortStableFunc(out, func(a, b Escalation) int { return len(a.Steps) - len(b.Steps) })
	if slices.ContainsFunc(out, Escalation.ToAdmin) {
		unknown = e.unread()
	}
	return out, slices.Sorted(maps.Keys(unknown))
}

// isMeant reports whether a subject is powerful in every cluster: it is a controller of
// the control plane that becomes cluster admin by nothing but what every cluster has, or
// whose first step is by what every cluster grants it.
func (e *Escalations) isMeant(s Subject, steps []Step) bool {
	if e.meant[s] {
		return true
	}
	if !s.system() || len(steps) == 0 {
		return false
	}
	return !slices.ContainsFunc(steps[0].Needs, func(n Needed) bool {
		if n.Grant == nil || n.Grant.Binding == nil {
			return true
		}
		role := roleKey{n.Grant.Role.Namespace, n.Grant.Role.Name}
		given := e.graph.index.defaults.granted[role]
		return e.graph.index.defaults.bindings[roleKey{n.Grant.Binding.Namespace, n.Grant.Binding.Name}] == nil || !given[n.Grant.Subjects[0]]
	})
}

// Unknown lists why more subjects may become cluster admin than were found.
func (e *Escalations) Unknown() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	found := e.unread()
	for _, n := range e.graph.nodes {
		if n.kind != subjectNode || e.becomesAdmin(n) {
			continue
		}
		n.allSteps(func(step *edge) bool {
			if step.to.unknown != "" {
				found[step.to.unknown] = true
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// unread says why roles and bindings are missing, or steps between them.
func (e *Escalations) unread() map[string]bool {
	found := map[string]bool{}
	w := e.access.index.world
	for _, ns := range append(w.Namespaces(), "") {
		if why := e.access.Unobserved(ns); why != "" {
			found[why] = true
		}
	}
	if e.graph.cut {
		found["there are more ways to bind roles, to impersonate or to act together than can be followed"] = true
	}
	return found
}

// meantByVersion holds what meantIn has computed.
var meantByVersion sync.Map

// meantIn lists the subjects that become cluster admin in a cluster that has the default
// roles and bindings and nothing else: the controllers of the control plane. Bound are
// also the administrators of kubeadm. Groups that stand for everybody never are.
func meantIn(version int) (map[Subject]bool, error) {
	if known, ok := meantByVersion.Load(version); ok {
		return known.(map[Subject]bool), nil
	}
	if _, err := readDefaults(); err != nil {
		return nil, err
	}
	g := newGraph(AccessOf(model.NewWorld(nil, model.WorldOptions{})), version)
	g.measure(g.arcs())
	out := map[Subject]bool{{Kind: rbacv1.GroupKind, Name: "kubeadm:cluster-admins"}: true}
	for _, n := range g.nodes {
		if s := n.subject(); n.kind == subjectNode && n.distance != unreachable && s.system() {
			out[s] = true
		}
	}
	meantByVersion.Store(version, out)
	return out, nil
}

// EscalationKinds are what of a cluster is read beside roles and bindings.
func EscalationKinds() []model.GroupKind {
	kinds := []model.GroupKind{serviceAccountKind, podKind, secretKind, webhookKind, policyKind}
	for _, c := range changeable {
		kinds = append(kinds, c.kind)
	}
	return kinds
}

// defaultBindings are the bindings that every cluster has.
func defaultBindings(ix *index) []*binding {
	var out []*binding
	for _, o := range ix.defaults.bindings {
		subjects := make([]any, 0, len(o.Subjects))
		for _, s := range o.Subjects {
			subjects = append(subjects, map[string]any{"kind": s.Kind, "name": s.Name, "namespace": s.Namespace, "apiGroup": s.APIGroup})
		}
		object, _ := model.NewObject(map[string]any{"apiVersion": apiGroup + "/v1", "kind": o.Kind,
			"metadata": map[string]any{"name": o.Name, "namespace": o.Namespace}, "subjects": subjects,
			"roleRef": map[string]any{"apiGroup": o.RoleRef.APIGroup, "kind": o.RoleRef.Kind, "name": o.RoleRef.Name}}, nil, model.Source{})
		out = append(out, newBinding(object))
	}
	slices.SortFunc(out, func(a, b *binding) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.ref.Name, b.ref.Name))
	})
	return out
}
