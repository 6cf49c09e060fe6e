package rbac

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// CutTask says what a cut is to reach.
type CutTask struct {
	// Version is the minor version of Kubernetes 1.
	Version int
	// Allowed may be, and stay, cluster admin; so may whoever Kubernetes puts into a
	// group of them. Nothing is taken from them.
	Allowed []Subject
	// Limit is how long a cheaper cut is looked for; 0 is until there is none. A cut is
	// found in any case.
	Limit time.Duration
}

// Cut is what to take away so that nobody becomes cluster admin who is not allowed to,
// and not meant to.
type Cut struct {
	// Before are the chains of all who are to be kept from it.
	Before []Escalation
	// Changes are by object, in order.
	Changes []CutChange
	// Weight is what the changes break: one for each, and one for each permission that
	// a subject loses by it. No cut of such changes weighs less than Bound.
	Weight, Bound int64
	// Lost are the permissions that subjects lose by all changes together.
	Lost []Loss
	// Remaining become cluster admin by what is not to be changed.
	Remaining []Escalation
	// Unknown says why there may be more.
	Unknown []string
	// Chains counts those that were cut, Rounds how often all were computed anew.
	Chains, Rounds int
	// World is the one with the changes, in which nobody else becomes cluster admin.
	World *model.World
}

// Exact reports whether no other cut weighs less.
func (c *Cut) Exact() bool { return c.Bound == c.Weight }

// CutChange is what is changed of one object.
type CutChange struct {
	Object *model.Object
	// Edits are a JSON Patch of the object's content without the fields that are null;
	// After is that content with the edits.
	Edits []finding.Edit
	After map[string]any
	// Nobody says that the binding binds nobody any more, so that it can be deleted.
	Nobody bool
	Parts  []CutPart
}

// CutPart is one change: a subject that is taken out of a binding, or a verb that is
// taken away in a rule.
type CutPart struct {
	// Subject is nil for a rule.
	Subject *Subject
	// Rule is the number of a rule, from 0; Verb is taken off Resources, which are
	// written with their groups. * is all of the rule's verbs; see WriteOut.
	Rule      int
	Verb      string
	Resources []string
	Weight    int64
	// Stops are those whose chains it cuts.
	Stops []Subject
}

// WriteOut reports whether no verb is taken away, but * is written out as the verbs that
// the resources have.
func (p CutPart) WriteOut() bool { return p.Verb == writeOut }

// AllowedBy reports whether a subject is on a list of who may become cluster admin, by
// itself or by a group that the API server puts it into.
func AllowedBy(allowed []Subject, s Subject) bool {
	return slices.Contains(allowed, s) || slices.ContainsFunc(IdentityOf(s).subjects(), func(who Subject) bool { return slices.Contains(allowed, who) })
}

// cutter looks for a cut by implicit hitting sets: of each chain that is found something
// has to go; the cheapest choice that leaves none of them is made, and the chains are
// computed anew, until there are none. Every chain that was found is one that each cut
// has to end, so that the cheapest choice never weighs more than the best cut.
type cutter struct {
	world   *model.World
	access  *Access
	version int
	task    CutTask
	until   time.Time

	allowed map[Subject]bool
	// meant are powerful in every cluster, in the world as it is.
	meant map[Subject]bool
	// lost are those whom no change keeps from becoming cluster admin.
	lost map[Subject]Escalation

	stored     map[*model.Object][]rbacv1.PolicyRule
	roleOf     map[*model.Object]*role
	bindingOf  map[*model.Object]*binding
	order      map[*model.Object]int
	namespaces int64
	heldBy     map[*role][]*binding
	// keeps says of a role that it is not to be changed.
	keeps map[*role]bool

	changes     []*change
	byKey       map[changeKey]int
	weights     []int64
	byRule      map[ruleKey][]int
	constraints []*constraint
	usedBy      map[ruleKey][]*constraint
	known       map[string]*constraint
	// barest is what is left when all is taken away that may be.
	barest *Escalations
	// unpriced changes are made to see what can be reached at all.
	unpriced bool
	rounds   int
}

type ruleKey struct {
	object *model.Object
	rule   int
}

// Cut computes the changes that weigh least. Until the limit it looks for cheaper ones.
func (a *Access) Cut(ctx context.Context, task CutTask) (*Cut, error) {
	c := newCutter(a, task)
	e, err := a.Escalations(task.Version)
	if err != nil {
		return nil, err
	}
	out := &Cut{World: a.index.world}
	for _, x := range e.ToAdmin() {
		switch {
		case x.Meant:
			c.meant[x.From] = true
		case !c.isAllowed(x.From):
			out.Before = append(out.Before, x)
		}
	}
	if len(out.Before) == 0 {
		out.Unknown = e.Unknown()
		return out, nil
	}
	if err := c.findLost(); err != nil {
		return nil, err
	}
	made, bound, err := c.search(ctx)
	if err != nil {
		return nil, err
	}
	return out, c.report(out, made, bound)
}

func newCutter(a *Access, task CutTask) *cutter {
	c := &cutter{world: a.index.world, access: a, version: task.Version, task: task, allowed: map[Subject]bool{}, meant: map[Subject]bool{}, lost: map[Subject]Escalation{},
		stored: map[*model.Object][]rbacv1.PolicyRule{}, roleOf: map[*model.Object]*role{}, bindingOf: map[*model.Object]*binding{}, order: map[*model.Object]int{}, heldBy: map[*role][]*binding{}, keeps: map[*role]bool{},
		byKey: map[changeKey]int{}, byRule: map[ruleKey][]int{}, usedBy: map[ruleKey][]*constraint{}, known: map[string]*constraint{}}
	if task.Limit > 0 {
		c.until = time.Now().Add(task.Limit)
	}
	for _, s := range task.Allowed {
		c.allowed[s] = true
	}
	for i, o := range c.world.Objects {
		c.order[o] = i
	}
	in := map[string]bool{}
	for _, ns := range c.world.Namespaces() {
		in[ns] = true
	}
	for _, b := range a.index.bindings {
		c.bindingOf[b.object] = b
		in[b.namespace] = true
	}
	delete(in, "")
	c.namespaces = max(1, int64(len(in)))
	for _, r := range a.index.roles {
		if r.object != nil {
			c.roleOf[r.object], c.stored[r.object] = r, r.stored
		}
	}
	return c
}

func (c *cutter) ruleOf(o *model.Object, at int) *rbacv1.PolicyRule { return &c.stored[o][at] }

// holders are the bindings that grant what a role says. Following them is bounded for a
// whole world, so that it is done once.
func (c *cutter) holders(r *role) []*binding {
	known, ok := c.heldBy[r]
	if !ok {
		known = c.access.index.holders(r)
		c.heldBy[r] = known
	}
	return known
}

// isAllowed reports whether a subject may become cluster admin, by itself or because it
// is in a group that may.
func (c *cutter) isAllowed(s Subject) bool {
	return c.allowed[s] || slices.ContainsFunc(IdentityOf(s).subjects(), func(who Subject) bool { return c.allowed[who] })
}

// isSpared reports whether nothing is taken from a subject.
func (c *cutter) isSpared(s Subject) bool {
	return c.isAllowed(s) || c.meant[s] || s == Subject{Kind: rbacv1.GroupKind, Name: mastersGroup}
}

// mayRemove reports whether a subject may be taken out of a binding: what the API server
// or the platform would put back is left.
func (c *cutter) mayRemove(b *binding, s Subject) bool {
	if b.object == nil || b.problem != "" || c.isSpared(s) {
		return false
	}
	if c.access.index.defaults.bindings[roleKey{b.namespace, b.ref.Name}] != nil {
		return !c.access.index.defaults.granted[b.role][s]
	}
	return c.world.PlatformOf(b.object) == nil
}

// mayNarrow reports whether the rules of a role may be changed: those of Kubernetes and
// of the platform are left, and those of subjects that are to keep what they have.
func (c *cutter) mayNarrow(r *role) bool {
	keeps, known := c.keeps[r]
	if !known {
		keeps = r.system || c.world.PlatformOf(r.object) != nil
		for _, b := range c.holders(r) {
			keeps = keeps || b.problem == "" && slices.ContainsFunc(b.subjects, c.isSpared)
		}
		c.keeps[r] = keeps
	}
	return !keeps
}

// offenders are those who become cluster admin in a trial and could be kept from it. How
// identities act together is looked at only where nobody becomes it alone: that takes
// much longer.
func (c *cutter) offenders(t *trial) ([]Escalation, error) {
	c.rounds++
	alone, err := c.alone(t.access)
	if err != nil {
		return nil, err
	}
	if found := c.offending(alone); len(found) > 0 {
		return found, nil
	}
	e, err := t.access.Escalations(c.version)
	if err != nil {
		return nil, err
	}
	return c.offending(e), nil
}

func (c *cutter) offending(e *Escalations) []Escalation {
	var out []Escalation
	for _, x := range e.ToAdmin() {
		if _, lost := c.lost[x.From]; !lost && !x.Meant && !c.meant[x.From] && !c.isAllowed(x.From) {
			out = append(out, x)
		}
	}
	return out
}

// alone are the escalations by steps that each takes by itself.
func (c *cutter) alone(a *Access) (*Escalations, error) {
	meant, err := meantIn(c.version)
	if err != nil {
		return nil, err
	}
	g := newGraph(a, c.version)
	g.measure(g.arcs())
	return &Escalations{access: a, graph: g, meant: meant}, nil
}

// findLost takes away all that may be taken away. Who becomes cluster admin even so is
// left alone.
func (c *cutter) findLost() error {
	c.unpriced = true
	var all []int
	for _, o := range c.world.Objects {
		if b := c.bindingOf[o]; b != nil {
			for i, s := range b.subjects {
				if !slices.Contains(b.subjects[:i], s) && c.mayRemove(b, s) {
					all = append(all, c.number(use{object: o, subject: s}))
				}
			}
		}
		if r := c.roleOf[o]; r != nil && r.aggregation == nil && c.mayNarrow(r) {
			for i := range r.stored {
				if cells := cellsOf(&r.stored[i]); len(cells) > 0 {
					all = append(all, c.number(use{object: o, rule: i, verb: rbacv1.VerbAll, cells: cells}))
				}
			}
		}
	}
	t, err := c.try(all)
	if err != nil {
		return err
	}
	if c.barest, err = c.alone(t.access); err != nil {
		return err
	}
	for _, x := range c.offending(c.barest) {
		c.lost[x.From] = x
	}
	// What was tried is no part of the search, unless a chain needs it.
	c.unpriced, c.changes, c.weights, c.byKey, c.byRule = false, nil, nil, map[changeKey]int{}, map[ruleKey][]int{}
	return nil
}

// report says what a cut changes, and who loses what by it.
func (c *cutter) report(out *Cut, made []int, bound int64) error {
	objects, err := c.edit(made)
	if err != nil {
		return err
	}
	t, err := c.try(made)
	if err != nil {
		return err
	}
	e, err := t.access.Escalations(c.version)
	if err != nil {
		return err
	}
	for _, x := range e.ToAdmin() {
		if !x.Meant && !c.meant[x.From] && !c.isAllowed(x.From) {
			if _, lost := c.lost[x.From]; !lost {
				return fmt.Errorf("the changes leave %s cluster admin: please report this", x.From)
			}
			out.Remaining = append(out.Remaining, x)
		}
	}
	stops := c.stops(made)
	for _, e := range objects {
		ch := CutChange{Object: e.object, Edits: e.edits, After: e.after, Nobody: e.origin == nil && noSubjects(e.after)}
		for _, part := range e.changes {
			ch.Parts = append(ch.Parts, c.partOf(part, stops))
		}
		out.Changes = append(out.Changes, ch)
	}
	for _, id := range made {
		out.Weight += c.weights[id]
	}
	out.Bound, out.Lost, out.Unknown = min(bound, out.Weight), c.lossesOf(made, t), e.Unknown()
	out.Chains, out.Rounds, out.World = len(c.constraints), c.rounds, t.access.index.world
	return nil
}

// stops says whose chains each change cuts.
func (c *cutter) stops(made []int) map[int]map[Subject]bool {
	out := map[int]map[Subject]bool{}
	for _, id := range made {
		out[id] = map[Subject]bool{}
	}
	for _, k := range c.constraints {
		for _, id := range k.elements {
			if stopped := out[id]; stopped != nil {
				maps.Copy(stopped, k.of)
			}
		}
	}
	return out
}

func (c *cutter) partOf(ch *change, stops map[int]map[Subject]bool) CutPart {
	p := CutPart{Rule: ch.rule, Verb: ch.verb, Weight: ch.weight}
	if s := ch.subject; s != (Subject{}) {
		p.Subject = &s
	}
	for _, at := range ch.cells {
		p.Resources = append(p.Resources, Qualified(at.group, at.resource))
	}
	p.Stops = slices.SortedFunc(maps.Keys(stops[c.byKey[ch.changeKey]]), compareSubjects)
	return p
}

func noSubjects(content map[string]any) bool {
	subjects, _ := content["subjects"].([]any)
	return len(subjects) == 0
}
