package fix

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Mutate gives the content that an object has after the fix of a control, nil
// where the fix does not concern it.
type Mutate func(ctx context.Context, control string, o *model.Object) (map[string]any, error)

// Compose makes one change of the fixes of several controls, each made on what
// the one before left. It reports by control why a fix could not be made. The
// change is nil where nothing is to be changed.
func Compose(ctx context.Context, o *model.Object, controls []string, mutate Mutate) (*Change, map[string]error) {
	failed := map[string]error{}
	at := o
	for _, c := range controls {
		content, err := mutate(ctx, c, at)
		switch {
		case err != nil:
			failed[c] = err
		case content != nil:
			at = o.With(content)
		}
	}
	before, after := model.WithoutNulls(o.Content), model.WithoutNulls(at.Content)
	edits := Difference(before, after)
	if len(edits) == 0 {
		return nil, failed
	}
	return &Change{Object: o, Edits: edits, After: after}, failed
}

// Difference is the JSON Patch that turns one content into another. It changes
// as little as it can: fields of maps one by one, items of lists that stay in
// their place one by one, and items that are added or removed at one place.
func Difference(before, after map[string]any) []finding.Edit {
	var d differ
	d.maps("", before, after)
	return d.edits
}

type differ struct{ edits []finding.Edit }

func (d *differ) edit(op, path string, value any) {
	d.edits = append(d.edits, finding.Edit{Op: op, Path: path, Value: value})
}

func (d *differ) maps(path string, before, after map[string]any) {
	keys := maps.Clone(before)
	maps.Copy(keys, after)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		at := path + finding.JoinPointer(k)
		old, had := before[k]
		value, has := after[k]
		switch {
		case !has:
			d.edit("remove", at, nil)
		case !had:
			d.edit("add", at, value)
		default:
			d.values(at, old, value)
		}
	}
}

func (d *differ) values(path string, before, after any) {
	if reflect.DeepEqual(before, after) {
		return
	}
	oldMap, isMap := before.(map[string]any)
	newMap, staysMap := after.(map[string]any)
	if isMap && staysMap {
		d.maps(path, oldMap, newMap)
		return
	}
	oldList, isList := before.([]any)
	newList, staysList := after.([]any)
	if isList && staysList && len(oldList) > 0 && len(newList) > 0 {
		d.lists(path, oldList, newList)
		return
	}
	d.edit("replace", path, after)
}

func (d *differ) lists(path string, before, after []any) {
	item := func(i int) string { return path + "/" + strconv.Itoa(i) }
	if len(before) == len(after) {
		for i := range before {
			d.values(item(i), before[i], after[i])
		}
		return
	}
	// What both begin with and end with stays.
	start := 0
	for start < min(len(before), len(after)) && reflect.DeepEqual(before[start], after[start]) {
		start++
	}
	end := 0
	for end < min(len(before), len(after))-start && reflect.DeepEqual(before[len(before)-1-end], after[len(after)-1-end]) {
		end++
	}
	oldMiddle, newMiddle := before[start:len(before)-end], after[start:len(after)-end]
	switch {
	case len(oldMiddle) == 0:
		for i, v := range newMiddle {
			d.edit("add", item(start+i), v)
		}
	case len(newMiddle) == 0:
		for i := range slices.Backward(oldMiddle) {
			d.edit("remove", item(start+i), nil)
		}
	default:
		d.replaceItems(path, before, after)
	}
}

// replaceItems handles lists of which some items are gone and others changed.
// Items that have names are told by them.
func (d *differ) replaceItems(path string, before, after []any) {
	left := removals(before, after)
	if left == nil {
		d.edit("replace", path, after)
		return
	}
	kept := make([]any, 0, len(after))
	for i, v := range before {
		if !slices.Contains(left, i) {
			kept = append(kept, v)
		}
	}
	for _, i := range slices.Backward(left) {
		d.edit("remove", path+"/"+strconv.Itoa(i), nil)
	}
	for i := range kept {
		d.values(path+"/"+strconv.Itoa(i), kept[i], after[i])
	}
}

// removals are the indexes of named items that are gone, nil where that does not
// explain the lists.
func removals(before, after []any) []int {
	name := func(v any) string { s, _ := model.Get(v, "name").(string); return s }
	var gone []int
	next := 0
	for i, v := range before {
		if n := name(v); n != "" && next < len(after) && name(after[next]) == n {
			next++
			continue
		}
		gone = append(gone, i)
	}
	if next != len(after) {
		return nil
	}
	return gone
}
