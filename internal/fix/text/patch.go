package text

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
)

// apply returns v with the edits made. A field that is null counts as absent.
func apply(v *value, edits []finding.Edit) (*value, error) {
	for _, e := range edits {
		next, err := applyOne(v, e)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", e.Op, e.Path, err)
		}
		v = next
	}
	return v, nil
}

func applyOne(v *value, e finding.Edit) (*value, error) {
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
	steps, err := pointer(e.Path)
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 {
		if e.Op == "remove" || now.kind != mapping {
			return nil, errors.New("an object can only be replaced by a map, and not removed")
		}
		return changed(v, now), nil
	}
	return edit(v, steps, e.Op, now)
}

// pointer splits an RFC 6901 pointer into its reference tokens.
func pointer(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	if path[0] != '/' {
		return nil, errors.New("the path does not begin with a slash")
	}
	steps := strings.Split(path[1:], "/")
	for i, s := range steps {
		for j := strings.IndexByte(s, '~'); j >= 0; j = next(s, j) {
			if j+1 >= len(s) || s[j+1] != '0' && s[j+1] != '1' {
				return nil, errors.New("the path has a ~ that is followed by neither 0 nor 1")
			}
		}
		steps[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
	}
	return steps, nil
}

func next(s string, after int) int {
	if i := strings.IndexByte(s[after+1:], '~'); i >= 0 {
		return after + 1 + i
	}
	return -1
}

// changed marks now as what became of was.
func changed(was, now *value) *value {
	copied := *now
	copied.origin = was
	return &copied
}

// edit makes one edit below v, which is copied along the path and no further.
func edit(v *value, steps []string, op string, now *value) (*value, error) {
	switch v.kind {
	case mapping:
		return editField(v, steps, op, now)
	case list:
		return editItem(v, steps, op, now)
	}
	return nil, fmt.Errorf("there is no map or list to hold %q", steps[0])
}

func editField(v *value, steps []string, op string, now *value) (*value, error) {
	name := steps[0]
	field := v.fields[name]
	absent := field == nil || field.null()
	if absent && (len(steps) > 1 || op != "add") {
		return nil, fmt.Errorf("there is no field %q", name)
	}
	fields := maps.Clone(v.fields)
	switch {
	case len(steps) > 1:
		inner, err := edit(field, steps[1:], op, now)
		if err != nil {
			return nil, err
		}
		fields[name] = inner
	case op == "remove":
		delete(fields, name)
	case field != nil:
		fields[name] = changed(field, now)
	default:
		fields[name] = now
	}
	return changed(v, mapOf(fields)), nil
}

func editItem(v *value, steps []string, op string, now *value) (*value, error) {
	i, err := index(steps[0], len(v.items))
	if err != nil {
		return nil, err
	}
	if i == len(v.items) && (op != "add" || len(steps) > 1) {
		return nil, fmt.Errorf("the list has no item %s", steps[0])
	}
	items := slices.Clone(v.items)
	switch {
	case len(steps) > 1:
		inner, err := edit(items[i], steps[1:], op, now)
		if err != nil {
			return nil, err
		}
		items[i] = inner
	case op == "remove":
		items = slices.Delete(items, i, i+1)
	case op == "add":
		items = slices.Insert(items, i, now)
	default:
		items[i] = changed(items[i], now)
	}
	return changed(v, listOf(items)), nil
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
