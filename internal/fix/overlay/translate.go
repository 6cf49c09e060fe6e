package overlay

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// errLater is a field that is not there yet where a patch gets the object.
var errLater = errors.New("is not there yet where a patch gets the object")

// translate makes the operations of each item; what has none is refused.
func (p *planner) translate(items []*item) []*item {
	var kept []*item
	for _, it := range items {
		failed, err := it.translate(p.before[it.object])
		for errors.Is(err, errLater) && p.giveUp(it, it.edits[failed:failed+1]) {
			failed, err = it.translate(p.before[it.object])
		}
		if err != nil && p.atEnd(it) {
			failed, err = it.translate(p.before[it.object])
		}
		switch {
		case err != nil:
			p.refuse(it, fmt.Sprintf("%s %s%s", it.edits[failed].Path, err, p.laterSteps()))
		case len(it.edits) > 0:
			kept = append(kept, it)
		}
	}
	return kept
}

// atEnd puts what a patch of an earlier run cannot hold into one of its own, which
// runs after all others. It reports false where it is there already.
func (p *planner) atEnd(it *item) bool {
	if it.entry == nil {
		return false
	}
	it.entry, it.file, it.target, it.stage = nil, "", it.last.target, it.last.stage
	p.name([]*item{it})
	return true
}

// translate makes the operations by which the edits of the built object come
// about on the object that a patch gets. Where that fails it returns which edit
// it was.
func (it *item) translate(built map[string]any) (failed int, err error) {
	w := &writer{built: built, staged: prune(it.stage.content), guards: map[string]any{}}
	if it.entry != nil {
		for _, op := range operations(it.entry.content) {
			w.note(op)
		}
	}
	for i, e := range it.edits {
		if err := w.edit(e); err != nil {
			return i, err
		}
	}
	it.ops = w.ops
	return 0, nil
}

// writer follows edits on both forms of an object.
type writer struct {
	built, staged map[string]any
	ops           []finding.Edit
	// guards are the tests that hold at this point of the patch, by their path.
	guards map[string]any
}

// edit adds the operations for one edit.
func (w *writer) edit(e finding.Edit) error {
	op, guards, err := w.operation(e)
	if err != nil {
		return err
	}
	if w.built, err = finding.Apply(w.built, []finding.Edit{e}); err != nil {
		return err
	}
	if w.staged, err = finding.Apply(w.staged, []finding.Edit{op}); err != nil {
		return err
	}
	for _, g := range guards {
		if known, ok := w.guards[g.Path]; !ok || !equal(known, g.Value) {
			w.ops = append(w.ops, g)
			w.note(g)
		}
	}
	w.ops = append(w.ops, op)
	w.note(op)
	return nil
}

// note keeps account of the tests that hold after an operation.
func (w *writer) note(op finding.Edit) {
	switch op.Op {
	case "test":
		w.guards[op.Path] = op.Value
		return
	case "add", "replace", "remove":
	default: // a person wrote it
		clear(w.guards)
		return
	}
	parent, token := op.Path[:strings.LastIndexByte(op.Path, '/')+1], op.Path[strings.LastIndexByte(op.Path, '/')+1:]
	_, err := strconv.Atoi(token)
	for path := range w.guards {
		// What it writes over is open again, and so is what it moves to another index.
		if path == op.Path || strings.HasPrefix(path, op.Path+"/") || strings.HasPrefix(op.Path, path+"/") || err == nil && strings.HasPrefix(path, parent) {
			delete(w.guards, path)
		}
	}
}

// operation translates one edit, and makes the tests that keep it from another
// item of a list than the one that is meant.
func (w *writer) operation(e finding.Edit) (op finding.Edit, guards []finding.Edit, err error) {
	c := &cursor{built: w.built, staged: w.staged}
	tokens := split(e.Path)
	for i := range tokens {
		op, done, err := c.step(e, tokens[i:])
		if err != nil {
			return op, nil, err
		}
		if done {
			if c.unnamed {
				c.guards = append(c.guards, w.unnamed(c.path, op)...)
			}
			return op, c.guards, nil
		}
	}
	return op, nil, errors.New("is the whole object")
}

// cursor is at one place of both forms of an object.
type cursor struct {
	built, staged any
	// path is the one in the staged form.
	path    []string
	guards  []finding.Edit
	unnamed bool
}

var errForm = errors.New("is of another form where a patch gets the object")

// step goes one token further, of those that are left, or gives the operation.
func (c *cursor) step(e finding.Edit, rest []string) (op finding.Edit, done bool, err error) {
	switch in := c.built.(type) {
	case map[string]any:
		staged, ok := c.staged.(map[string]any)
		if !ok {
			return op, false, errForm
		}
		return c.field(e, in, staged, rest)
	case []any:
		staged, ok := c.staged.([]any)
		if !ok {
			return op, false, errForm
		}
		return c.item(e, in, staged, rest)
	}
	return op, false, errors.New("is in no map or list")
}

// field goes into a field of a map, or gives the operation on it.
func (c *cursor) field(e finding.Edit, built, staged map[string]any, rest []string) (op finding.Edit, done bool, err error) {
	next, there := staged[rest[0]]
	c.path = append(c.path, rest[0])
	switch {
	case len(rest) > 1 && !there:
		op, err = parents(e, c.path, rest[1:], built[rest[0]])
		return op, true, err
	case len(rest) > 1:
		c.built, c.staged = built[rest[0]], next
		return op, false, nil
	case e.Op == "remove" && !there:
		return op, false, errLater
	case e.Op == "replace" && !there:
		return finding.Edit{Op: "add", Path: finding.JoinPointer(c.path...), Value: e.Value}, true, nil
	}
	return finding.Edit{Op: e.Op, Path: finding.JoinPointer(c.path...), Value: e.Value}, true, nil
}

// item goes into an item of a list, or gives the operation on it.
func (c *cursor) item(e finding.Edit, built, staged []any, rest []string) (op finding.Edit, done bool, err error) {
	last := len(rest) == 1
	index, existing, err := counterpart(built, staged, rest[0], last && e.Op == "add")
	if err != nil {
		return op, false, err
	}
	c.path = append(c.path, index)
	if !existing {
		return finding.Edit{Op: "add", Path: finding.JoinPointer(c.path...), Value: e.Value}, true, nil
	}
	n, err := strconv.Atoi(index)
	if err != nil {
		return op, false, err
	}
	if name := nameOf(staged[n]); name != nil {
		value, _ := at(staged[n], name)
		c.guards = append(c.guards, finding.Edit{Op: "test", Path: finding.JoinPointer(slices.Concat(c.path, name)...), Value: value})
	} else {
		c.unnamed = true
	}
	if last {
		return finding.Edit{Op: e.Op, Path: finding.JoinPointer(c.path...), Value: e.Value}, true, nil
	}
	i, err := strconv.Atoi(rest[0])
	if err != nil {
		return op, false, err
	}
	c.built, c.staged = built[i], staged[n]
	return op, false, nil
}

// parents is the operation on a field whose parents something later makes: it
// makes those that lead to it. Only maps can be made like that.
func parents(e finding.Edit, path, rest []string, built any) (finding.Edit, error) {
	if e.Op == "remove" {
		return e, errLater
	}
	for i := range rest {
		if _, ok := built.(map[string]any); !ok {
			return e, errLater
		}
		built, _ = at(built, rest[i:i+1])
	}
	value := e.Value
	for _, token := range slices.Backward(rest) {
		value = map[string]any{token: value}
	}
	return finding.Edit{Op: "add", Path: finding.JoinPointer(path...), Value: value}, nil
}

// counterpart finds the item of a built list in the list that a patch gets: by
// its name, or else by what it holds. It returns the index there, and whether
// that is of an item: an insertion may be behind all.
func counterpart(built, staged []any, token string, insert bool) (index string, existing bool, err error) {
	if insert && (token == "-" || token == strconv.Itoa(len(built))) {
		return "-", false, nil
	}
	i, err := strconv.Atoi(token)
	if err != nil || i < 0 || i >= len(built) {
		return "", false, errors.New("is not in the list")
	}
	same := func(n int) bool {
		if nameOf(built[i]) != nil || nameOf(staged[n]) != nil {
			return sameName(built[i], staged[n])
		}
		return equal(built[i], staged[n])
	}
	if i < len(staged) && same(i) {
		return token, !insert, nil
	}
	found := -1
	for n := range staged {
		if same(n) && found >= 0 {
			return "", false, errors.New("is one of several items alike")
		} else if same(n) {
			found = n
		}
	}
	if found < 0 {
		return "", false, errLater
	}
	return strconv.Itoa(found), !insert, nil
}

// nameOf returns where the name of an item is, nil if it has none.
func nameOf(v any) []string {
	for _, path := range [][]string{{"name"}, {"metadata", "name"}} {
		if name, _ := model.Get(v, path...).(string); name != "" {
			return path
		}
	}
	return nil
}

func sameName(a, b any) bool {
	path := nameOf(a)
	return path != nil && slices.Equal(path, nameOf(b)) && model.Get(a, path...) == model.Get(b, path...)
}

// unnamed are the tests for an operation on or in an item without a name: of the
// value that it takes the place of, or where there is none of the item.
func (w *writer) unnamed(path []string, op finding.Edit) []finding.Edit {
	if op.Op == "add" {
		for i := range path {
			v, _ := at(w.staged, path[:i])
			if list, ok := v.([]any); ok && i < len(path)-1 {
				if n, err := strconv.Atoi(path[i]); err == nil && n < len(list) && nameOf(list[n]) == nil {
					return []finding.Edit{{Op: "test", Path: finding.JoinPointer(path[:i+1]...), Value: list[n]}}
				}
			}
		}
		return nil
	}
	if v, ok := at(w.staged, path); ok {
		return []finding.Edit{{Op: "test", Path: finding.JoinPointer(path...), Value: v}}
	}
	return nil
}
