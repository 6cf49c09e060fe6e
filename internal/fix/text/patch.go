package text

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"bulkhead.dev/bulkhead/internal/finding"
)

// patcher makes edits. What holds a change is copied once, however many there are:
// copies that nobody else has are changed in place, until they are settled.
type patcher struct {
	own map[*value]bool
	// undo takes back the edits of the change that is being made.
	undo []func()
}

func newPatcher() *patcher { return &patcher{own: map[*value]bool{}} }

// apply returns v with all the edits made, or with none of them. A field that is
// null counts as absent.
func (p *patcher) apply(v *value, edits []finding.Edit) (*value, error) {
	p.undo = p.undo[:0]
	for _, e := range edits {
		next, err := p.one(v, e)
		if err != nil {
			for _, back := range slices.Backward(p.undo) {
				back()
			}
			return nil, fmt.Errorf("%s %s: %w", e.Op, e.Path, err)
		}
		v = next
	}
	return v, nil
}

func (p *patcher) one(v *value, e finding.Edit) (*value, error) {
	var now *value
	switch e.Op {
	case "add", "replace":
		var err error
		if now, err = valueOf(e.Value, 0); err != nil {
			return nil, err
		}
	case "remove":
	default:
		return nil, errors.New("only add, replace and remove can be made in a file")
	}
	steps, err := finding.SplitPointer(e.Path)
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 {
		if e.Op == "remove" || now.kind != mapping {
			return nil, errors.New("an object can only be replaced by a map, and not removed")
		}
		return changed(v, now), nil
	}
	return p.edit(v, steps, e.Op, now)
}

// mine is v, or a copy that may be changed in place.
func (p *patcher) mine(v *value) *value {
	if p.own[v] {
		return v
	}
	copied := &value{kind: v.kind, fields: maps.Clone(v.fields), items: slices.Clone(v.items), origin: v}
	p.own[copied] = true
	return copied
}

// settle counts what was changed in place. From then on it is as any other value.
func (p *patcher) settle(v *value) {
	if !p.own[v] {
		return
	}
	delete(p.own, v)
	v.size, v.depth = 1, 0
	for _, f := range v.fields {
		p.settle(f)
		v.count(f)
	}
	for _, i := range v.items {
		p.settle(i)
		v.count(i)
	}
}

// changed marks now as what became of was.
func changed(was, now *value) *value {
	copied := *now
	copied.origin = was
	return &copied
}

// edit makes one edit below v.
func (p *patcher) edit(v *value, steps []string, op string, now *value) (*value, error) {
	switch v.kind {
	case mapping:
		return p.editField(v, steps, op, now)
	case list:
		return p.editItem(v, steps, op, now)
	}
	return nil, fmt.Errorf("there is no map or list to hold %q", steps[0])
}

func (p *patcher) editField(v *value, steps []string, op string, now *value) (*value, error) {
	name := steps[0]
	field, had := v.fields[name]
	absent := field == nil || field.null()
	if absent && (len(steps) > 1 || op != "add") {
		return nil, fmt.Errorf("there is no field %q", name)
	}
	if len(steps) > 1 {
		inner, err := p.edit(field, steps[1:], op, now)
		if err != nil || inner == field {
			return v, err
		}
		now = inner
	} else if had && op != "remove" {
		now = changed(field, now)
	}
	v = p.mine(v)
	p.undo = append(p.undo, func() {
		if v.fields[name] = field; !had {
			delete(v.fields, name)
		}
	})
	if v.fields[name] = now; now == nil {
		delete(v.fields, name)
	}
	return v, nil
}

func (p *patcher) editItem(v *value, steps []string, op string, now *value) (*value, error) {
	i, err := index(steps[0], len(v.items))
	if err != nil {
		return nil, err
	}
	if i == len(v.items) && (op != "add" || len(steps) > 1) {
		return nil, fmt.Errorf("the list has no item %s", steps[0])
	}
	if len(steps) > 1 {
		inner, err := p.edit(v.items[i], steps[1:], op, now)
		if err != nil || inner == v.items[i] {
			return v, err
		}
		op, now = "replace", inner
	} else if op == "replace" {
		now = changed(v.items[i], now)
	}
	v = p.mine(v)
	switch op {
	case "remove":
		gone := v.items[i]
		v.items = slices.Delete(v.items, i, i+1)
		p.undo = append(p.undo, func() { v.items = slices.Insert(v.items, i, gone) })
	case "add":
		v.items = slices.Insert(v.items, i, now)
		p.undo = append(p.undo, func() { v.items = slices.Delete(v.items, i, i+1) })
	default:
		was := v.items[i]
		v.items[i] = now
		p.undo = append(p.undo, func() { v.items[i] = was })
	}
	return v, nil
}

// index reads a reference token as a place in a list of n items: n itself, also
// written -, is past the end (RFC 6901, 4).
func index(token string, n int) (int, error) {
	if token == "-" {
		return n, nil
	}
	i, err := strconv.Atoi(token)
	if err != nil || i < 0 || strconv.Itoa(i) != token {
		return 0, fmt.Errorf("%q is no index of a list", token)
	}
	if i > n {
		return 0, fmt.Errorf("the list has no item %s", token)
	}
	return i, nil
}

// at is the value at a place; nil where there is none.
func (v *value) at(place []step) *value {
	for _, s := range place {
		switch {
		case v == nil:
		case v.kind == mapping:
			v = v.fields[s.key]
		case v.kind == list && s.index < len(v.items):
			v = v.items[s.index]
		default:
			return nil
		}
	}
	return v
}

// step is a key of a map or an index of a list on the way to a value.
type step struct {
	key   string
	index int
}

// graft is a value and the place where it belongs.
type graft struct {
	place []step
	value *value
}

// grafted returns v with all the grafts, of which none lies inside another. What
// holds them is copied once, however many they are.
func grafted(v *value, grafts []graft, depth int) *value {
	if len(grafts[0].place) == depth {
		return grafts[0].value
	}
	groups := map[step][]graft{}
	for _, g := range grafts {
		groups[g.place[depth]] = append(groups[g.place[depth]], g)
	}
	if v.kind == mapping {
		fields := maps.Clone(v.fields)
		for s, group := range groups {
			fields[s.key] = grafted(fields[s.key], group, depth+1)
		}
		return changed(v, mapOf(fields))
	}
	items := slices.Clone(v.items)
	for s, group := range groups {
		items[s.index] = grafted(items[s.index], group, depth+1)
	}
	return changed(v, listOf(items))
}
