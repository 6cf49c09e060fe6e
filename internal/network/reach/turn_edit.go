package reach

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
)

// Operation is what an edit does at a path.
type Operation string

// The operations. Add puts an item into a list, before the one of its index, or sets a key
// of a map.
const (
	Add     Operation = "add"
	Replace Operation = "replace"
	Remove  Operation = "remove"
	Create  Operation = "create"
)

// Edit is one change to one object.
type Edit struct {
	Operation Operation
	// Object is what is changed as it is now or, where it is created, as it will be.
	Object *model.Object
	// Path and Value say what is written where; there are none for an object that is created.
	Path  model.Path
	Value any
	// Text says it in words.
	Text string
	// pods are those whose labels change: all of a workload.
	pods []*Pod
	// label is what they get.
	label [2]string
	// direction is that of the rules that change, or both.
	direction Direction
	both      bool
}

// edited is a cluster after some edits; a policy that the API server would refuse then is
// an error. Pods that are changed are others then, which moved has.
type edited struct {
	*Cluster
	moved map[*Pod]*Pod
	// objects are those that were changed, as they are now, in place of those before; those
	// that were created stand for themselves.
	objects map[*model.Object]*model.Object
}

func (c *Cluster) edit(edits []Edit) (*edited, error) {
	copied := *c
	copied.Problems = nil
	out := &edited{&copied, map[*Pod]*Pod{}, map[*model.Object]*model.Object{}}
	copied.Policies, copied.Admin, copied.Baseline = slices.Clone(c.Policies), slices.Clone(c.Admin), slices.Clone(c.Baseline)
	byObject := map[*model.Object][]Edit{}
	var order []*model.Object
	for _, e := range edits {
		if len(byObject[e.Object]) == 0 {
			order = append(order, e.Object)
		}
		byObject[e.Object] = append(byObject[e.Object], e)
	}
	for _, o := range order {
		of := byObject[o]
		if len(of[0].pods) > 0 {
			if err := out.relabel(of); err != nil {
				return nil, err
			}
			continue
		}
		changed, err := rewritten(o, of)
		if err != nil {
			return nil, err
		}
		if err := out.replace(o, changed); err != nil {
			return nil, err
		}
		out.objects[o] = changed
	}
	return out, nil
}

// side is a side after the edits.
func (e *edited) side(s Side) Side {
	if now := e.moved[s.Pod]; now != nil {
		s.Pod = now
	}
	return s
}

// changed reports whether an object is one that edits made of another.
func (e *edited) changed(o *model.Object) bool {
	for _, now := range e.objects {
		if now == o {
			return true
		}
	}
	return false
}

// rewritten is an object with what some edits write. Those further behind in a list come
// first, so that the others find their places.
func rewritten(o *model.Object, edits []Edit) (*model.Object, error) {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b Edit) int { return comparePaths(b.Path, a.Path) })
	content := o.Content
	for _, e := range edits {
		if e.Operation == Create {
			continue
		}
		next, err := writeAt(content, e.Path, e.Operation, e.Value)
		if err != nil {
			return nil, fmt.Errorf("%s %s of %s: %w", e.Operation, e.Path, o.Ref(), err)
		}
		content, _ = next.(map[string]any)
	}
	return o.With(content), nil
}

func comparePaths(a, b model.Path) int {
	for i := range min(len(a), len(b)) {
		if c := cmp.Or(strings.Compare(a[i].Key, b[i].Key), cmp.Compare(a[i].Index, b[i].Index)); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// writeAt returns content with something else at a path; content itself is not changed.
func writeAt(content any, path model.Path, op Operation, value any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	step, last := path[0], len(path) == 1
	if step.Key != "" {
		m, ok := content.(map[string]any)
		if content != nil && !ok {
			return nil, fmt.Errorf("%s is in no map", step.Key)
		}
		m = maps.Clone(m)
		if m == nil {
			m = map[string]any{}
		}
		if last && op == Remove {
			delete(m, step.Key)
			return m, nil
		}
		child, err := writeAt(m[step.Key], path[1:], op, value)
		m[step.Key] = child
		return m, err
	}
	list, _ := content.([]any)
	if step.Index < 0 || step.Index > len(list) || step.Index == len(list) && (!last || op != Add) {
		return nil, fmt.Errorf("there is no item %d", step.Index)
	}
	list = slices.Clone(list)
	switch {
	case last && op == Add:
		return slices.Insert(list, step.Index, value), nil
	case last && op == Remove:
		return slices.Delete(list, step.Index, step.Index+1), nil
	}
	child, err := writeAt(list[step.Index], path[1:], op, value)
	list[step.Index] = child
	return list, err
}

// replace puts what is read of an object in the place of what was read of it before.
func (e *edited) replace(before, now *model.Object) error {
	if now.GroupKind == networkPolicyKind {
		read := e.readPolicy(now)
		if len(read) != 1 {
			return fmt.Errorf("%s is not valid: %s", now.Ref(), e.Problems[len(e.Problems)-1].Reason)
		}
		if i := slices.IndexFunc(e.Policies, func(p *Policy) bool { return p.Object == before }); i >= 0 {
			e.Policies[i] = read[0]
		} else {
			e.Policies = append(e.Policies, read[0])
		}
		return nil
	}
	read, baseline, path, err := newTierPolicy(now)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", path, now.Ref(), err)
	}
	read.Object, read.Name = now, now.Name
	tier := &e.Admin
	if baseline {
		tier = &e.Baseline
	}
	if i := slices.IndexFunc(*tier, func(p *TierPolicy) bool { return p.Object == before }); i >= 0 {
		(*tier)[i] = read
	} else {
		*tier = append(*tier, read)
	}
	slices.SortStableFunc(*tier, func(a, b *TierPolicy) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), strings.Compare(a.Name, b.Name))
	})
	return nil
}

// relabel gives labels to all pods of a workload.
func (e *edited) relabel(edits []Edit) error {
	e.Pods = slices.Clone(e.Pods)
	for _, p := range edits[0].pods {
		now := *p
		now.Labels = maps.Clone(p.Labels)
		if now.Labels == nil {
			now.Labels = map[string]string{}
		}
		for _, edit := range edits {
			now.Labels[edit.label[0]] = edit.label[1]
		}
		if p.Object != nil {
			var written []Edit
			for _, edit := range edits {
				edit.Path = labelPath(p.Object, edit.label[0])
				written = append(written, edit)
			}
			object, err := rewritten(p.Object, written)
			if err != nil {
				return err
			}
			now.Object = object
			e.objects[p.Object] = object
		}
		e.moved[p] = &now
	}
	for i, p := range e.Pods {
		if now := e.moved[p]; now != nil {
			e.Pods[i] = now
		}
	}
	return nil
}

func labelPath(o *model.Object, key string) model.Path {
	var at model.Path
	if p := o.Pod(); p != nil {
		at = p.Path
	}
	return at.Keys("metadata", "labels", key)
}
