package rbac

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// edited is an object with the changes that are made of it.
type edited struct {
	object  *model.Object
	changes []*change
	edits   []finding.Edit
	after   map[string]any
	// origin are the numbers that the rules of a role had.
	origin []int
}

// edit groups changes by their objects, in order, and makes edits of them.
func (c *cutter) edit(made []int) ([]*edited, error) {
	byObject := map[*model.Object]*edited{}
	var out []*edited
	for _, id := range made {
		o := c.changes[id].object
		e := byObject[o]
		if e == nil {
			e = &edited{object: o}
			byObject[o] = e
			out = append(out, e)
		}
		e.changes = append(e.changes, c.changes[id])
	}
	slices.SortFunc(out, func(a, b *edited) int {
		return cmp.Or(cmp.Compare(a.object.Kind, b.object.Kind), cmp.Compare(a.object.Namespace, b.object.Namespace), cmp.Compare(a.object.Name, b.object.Name), c.order[a.object]-c.order[b.object])
	})
	for _, e := range out {
		slices.SortFunc(e.changes, func(a, b *change) int {
			return cmp.Or(compareSubjects(a.subject, b.subject), a.rule-b.rule, cmp.Compare(a.changeKey.cells, b.changeKey.cells), cmp.Compare(a.verb, b.verb))
		})
		e.plan(c)
		var err error
		if e.after, err = finding.Apply(model.WithoutNulls(e.object.Content), e.edits); err != nil {
			return nil, fmt.Errorf("change %s: %w", e.object.Ref(), err)
		}
	}
	return out, nil
}

func (e *edited) plan(c *cutter) {
	if e.changes[0].subject != (Subject{}) {
		e.takeSubjects()
		return
	}
	rules := c.stored[e.object]
	byRule := map[int][]*change{}
	for _, ch := range e.changes {
		byRule[ch.rule] = append(byRule[ch.rule], ch)
	}
	e.origin = nil
	split := make([][]rbacv1.PolicyRule, len(rules))
	for i := range rules {
		n := 1
		if of := byRule[i]; of != nil {
			split[i] = narrowed(&rules[i], of)
			n = len(split[i])
		}
		for range n {
			e.origin = append(e.origin, i)
		}
	}
	// From the end, so that what is inserted or removed moves no rule that is still to come.
	for i := len(rules) - 1; i >= 0; i-- {
		if byRule[i] != nil {
			e.edits = append(e.edits, ruleEdits(i, &rules[i], split[i])...)
		}
	}
}

// takeSubjects takes subjects out of a binding. One that binds nobody any more stays:
// where it is applied again, it takes the rights away, which to leave it out would not.
func (e *edited) takeSubjects() {
	subjects := e.object.List("subjects")
	for i := len(subjects) - 1; i >= 0; i-- {
		var s rbacv1.Subject
		if m, ok := subjects[i].(map[string]any); !ok || model.Decode(m, &s) != nil {
			continue
		}
		who := newSubject(s, e.object.Namespace)
		if slices.ContainsFunc(e.changes, func(c *change) bool { return c.subject == who }) {
			e.edits = append(e.edits, finding.Edit{Op: "remove", Path: fmt.Sprintf("/subjects/%d", i)})
		}
	}
	if len(e.edits) == len(subjects) {
		e.edits = []finding.Edit{{Op: "replace", Path: "/subjects", Value: []any{}}}
	}
}

// ruleEdits puts rules in the place of one: the first changes its lists, the others
// follow it.
func ruleEdits(at int, before *rbacv1.PolicyRule, after []rbacv1.PolicyRule) []finding.Edit {
	path := fmt.Sprintf("/rules/%d", at)
	if len(after) == 0 {
		return []finding.Edit{{Op: "remove", Path: path}}
	}
	first := after[0]
	out := listEdits(path+"/verbs", before.Verbs, first.Verbs)
	out = append(out, listEdits(path+"/apiGroups", before.APIGroups, first.APIGroups)...)
	out = append(out, listEdits(path+"/resources", before.Resources, first.Resources)...)
	out = append(out, listEdits(path+"/resourceNames", before.ResourceNames, first.ResourceNames)...)
	out = append(out, listEdits(path+"/nonResourceURLs", before.NonResourceURLs, first.NonResourceURLs)...)
	for i := len(after) - 1; i > 0; i-- {
		out = append(out, finding.Edit{Op: "add", Path: fmt.Sprintf("/rules/%d", at+1), Value: ruleContent(&after[i])})
	}
	return out
}

// listEdits removes what is gone from a list, or replaces it where there is something new.
func listEdits(path string, before, after []string) []finding.Edit {
	if slices.Equal(before, after) {
		return nil
	}
	if len(after) == 0 {
		return []finding.Edit{{Op: "remove", Path: path}}
	}
	var out []finding.Edit
	n := len(after) - 1
	for i := len(before) - 1; i >= 0; i-- {
		if n >= 0 && before[i] == after[n] {
			n--
			continue
		}
		out = append(out, finding.Edit{Op: "remove", Path: fmt.Sprintf("%s/%d", path, i)})
	}
	if n < 0 {
		return out
	}
	return []finding.Edit{{Op: "replace", Path: path, Value: anyList(after)}}
}

func anyList(of []string) []any {
	out := make([]any, len(of))
	for i, s := range of {
		out[i] = s
	}
	return out
}

func ruleContent(r *rbacv1.PolicyRule) map[string]any {
	out := map[string]any{"verbs": anyList(r.Verbs)}
	for field, list := range map[string][]string{"apiGroups": r.APIGroups, "resources": r.Resources, "resourceNames": r.ResourceNames, "nonResourceURLs": r.NonResourceURLs} {
		if len(list) > 0 {
			out[field] = anyList(list)
		}
	}
	return out
}

// try is the world with changes made.
func (c *cutter) try(made []int) (*trial, error) {
	t := &trial{cutter: c, made: map[int]bool{}, was: map[*model.Object]*model.Object{}, rules: map[*model.Object][]int{}}
	for _, id := range made {
		t.made[id] = true
	}
	objects, err := c.edit(made)
	if err != nil {
		return nil, err
	}
	by := map[*model.Object]*model.Object{}
	for _, e := range objects {
		by[e.object] = e.object.With(e.after)
		t.was[by[e.object]] = e.object
		t.rules[e.object] = e.origin
	}
	for parent, content := range c.aggregated(objects) {
		by[parent] = parent.With(content)
		t.was[by[parent]] = parent
	}
	t.access = AccessOf(c.world.Replaced(by))
	t.index()
	return t, nil
}

// aggregated is what the controller of the cluster makes of stored aggregated roles once
// roles that they select are changed.
func (c *cutter) aggregated(objects []*edited) map[*model.Object]map[string]any {
	out := map[*model.Object]map[string]any{}
	if !c.world.Live {
		return out
	}
	changed := map[*model.Object]*edited{}
	var parents []*role
	for _, e := range objects {
		if e.origin == nil {
			continue
		}
		changed[e.object] = e
		for _, parent := range c.access.index.walk(c.roleOf[e.object], func(r *role) []*role { return r.parents })[1:] {
			if parent.object != nil && !slices.Contains(parents, parent) {
				parents = append(parents, parent)
			}
		}
	}
	for _, parent := range parents {
		var rules []any
		for i := range parent.stored {
			rules = append(rules, c.controlled(parent, &parent.stored[i], changed)...)
		}
		content := map[string]any{}
		for k, v := range parent.object.Content {
			content[k] = v
		}
		content["rules"] = rules
		out[parent.object] = content
	}
	return out
}

// controlled is what becomes of a stored rule of an aggregated role: it stays while some
// role that is not changed has it.
func (c *cutter) controlled(parent *role, rule *rbacv1.PolicyRule, changed map[*model.Object]*edited) []any {
	var out []any
	found := false
	for _, leaf := range parent.leaves {
		for i := range leaf.stored {
			if !reflect.DeepEqual(leaf.stored[i], *rule) {
				continue
			}
			e := changed[leaf.object]
			if leaf.object == nil || e == nil {
				return []any{ruleContent(rule)}
			}
			found = true
			var of []*change
			for _, ch := range e.changes {
				if ch.rule == i {
					of = append(of, ch)
				}
			}
			if of == nil {
				return []any{ruleContent(rule)}
			}
			for _, r := range narrowed(rule, of) {
				out = append(out, ruleContent(&r))
			}
		}
	}
	if !found {
		return []any{ruleContent(rule)}
	}
	return out
}
