package text

import (
	"errors"
	"fmt"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
)

// locate notes the places of all that can be an object: the root, and maps that
// are items of lists.
func (e *editor) locate() {
	e.places = map[[2]int][]located{}
	if e.tree.root == nil {
		return
	}
	repeated := map[*node]bool{}
	walk(e.tree.root, func(n *node) {
		if n.kind == alias {
			repeated[n.target] = true
		}
	})
	var visit func(n *node, place []step, shared bool)
	visit = func(n *node, place []step, shared bool) {
		if len(place) == 0 || n.value.kind == mapping && place[len(place)-1].key == "" {
			at := [2]int{n.line, n.column}
			e.places[at] = append(e.places[at], located{n, slices.Clone(place), shared})
		}
		shared = shared || repeated[n]
		for i, c := range n.entries {
			s := step{index: i}
			if n.kind == mapping {
				s = step{key: c.name}
			}
			if c.value.kind != scalar && !c.merge {
				visit(c.value, append(place, s), shared)
			}
		}
	}
	visit(e.tree.root, nil, false)
}

func walk(n *node, see func(*node)) {
	see(n)
	for _, e := range n.entries {
		if e.key != nil {
			walk(e.key, see)
		}
		walk(e.value, see)
	}
}

// object finds what a change is about.
func (e *editor) object(c Change) (located, error) {
	if c.Line == 0 {
		return located{node: e.tree.root}, nil
	}
	if slices.ContainsFunc(c.Edits, func(edit finding.Edit) bool { return edit.Path == "" }) {
		return located{}, errors.New("an object of a file cannot be replaced as a whole")
	}
	for _, l := range e.places[[2]int{c.Line, c.Column}] {
		if l.node.value.kind != mapping {
			continue
		}
		if l.shared {
			return located{}, fmt.Errorf("line %d: the object is part of a value that an alias repeats; write the alias out first", c.Line)
		}
		return l, nil
	}
	return located{}, fmt.Errorf("no object begins in line %d, column %d; the file may have changed since it was read", c.Line, c.Column)
}

// objects are the objects of a document while edits are made on them. Each is
// kept apart until all are made, so that a long list is copied once and not for
// every item.
type objects struct {
	*patcher
	root    *value
	changed map[string]graft
	// around are the places that hold one of those changed.
	around map[string]bool
}

func newObjects(root *value) *objects {
	return &objects{patcher: newPatcher(), root: root, changed: map[string]graft{}, around: map[string]bool{}}
}

// change makes edits on one object.
func (o *objects) change(l located, edits []finding.Edit) error {
	keys := placeKeys(l.place)
	key := keys[len(keys)-1]
	g, ok := o.changed[key]
	if !ok {
		if o.around[key] || slices.ContainsFunc(keys, func(k string) bool { _, ok := o.changed[k]; return ok }) {
			o.root = o.whole() // one object lies in the other
			clear(o.changed)
			clear(o.around)
		}
		g = graft{l.place, o.root.at(l.place)}
		if g.value == nil {
			return errors.New("another change of the document has removed the object")
		}
	}
	v, err := o.apply(g.value, edits)
	if err != nil {
		return err
	}
	g.value = v
	o.changed[key] = g
	for _, k := range keys[:len(keys)-1] {
		o.around[k] = true
	}
	return nil
}

// placeKeys name a place and all that it lies in, from the root on.
func placeKeys(place []step) []string {
	keys := []string{""}
	for _, s := range place {
		keys = append(keys, fmt.Sprintf("%s%q%d/", keys[len(keys)-1], s.key, s.index))
	}
	return keys
}

// whole is the document with all that was changed.
func (o *objects) whole() *value {
	if len(o.changed) == 0 {
		return o.root
	}
	grafts := make([]graft, 0, len(o.changed))
	for _, g := range o.changed {
		o.settle(g.value)
		grafts = append(grafts, g)
	}
	return grafted(o.root, grafts, 0)
}
