package finding

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Edit is one operation of a JSON Patch (RFC 6902) on the object as written.
type Edit struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	From  string `json:"from,omitempty"`
	Value any    `json:"value,omitempty"`
}

// Apply makes edits on content, which is decoded JSON and not changed; what no
// edit touches is shared with the result. It knows add, replace and remove.
func Apply(content map[string]any, edits []Edit) (map[string]any, error) {
	var v any = content
	for _, e := range edits {
		path, err := SplitPointer(e.Path)
		if err == nil {
			v, err = apply(v, path, e)
		}
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", e.Op, e.Path, err)
		}
	}
	out, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("the edits leave no map")
	}
	return out, nil
}

// apply makes one edit below v, which is copied along the path and no further.
func apply(v any, path []string, e Edit) (any, error) {
	switch e.Op {
	case "add", "replace", "remove":
	default:
		return nil, errors.New("only add, replace and remove are known")
	}
	if len(path) == 0 {
		if e.Op == "remove" {
			return nil, errors.New("the whole cannot be removed")
		}
		return e.Value, nil
	}
	switch at := v.(type) {
	case map[string]any:
		return applyField(at, path, e)
	case []any:
		return applyItem(at, path, e)
	}
	return nil, fmt.Errorf("%s is in no map or list", path[0])
}

func applyField(fields map[string]any, path []string, e Edit) (any, error) {
	name, last := path[0], len(path) == 1
	field, ok := fields[name]
	if !ok && !(last && e.Op == "add") {
		return nil, fmt.Errorf("there is no %s", name)
	}
	out := maps.Clone(fields)
	if last && e.Op == "remove" {
		delete(out, name)
		return out, nil
	}
	changed, err := apply(field, path[1:], e)
	out[name] = changed
	return out, err
}

func applyItem(items []any, path []string, e Edit) (any, error) {
	last := len(path) == 1
	i, err := strconv.Atoi(path[0])
	if path[0] == "-" {
		i, err = len(items), nil
	}
	inserts := last && e.Op == "add"
	if err != nil || i < 0 || i > len(items) || i == len(items) && !inserts {
		return nil, fmt.Errorf("there is no item %s", path[0])
	}
	out := slices.Clone(items)
	switch {
	case inserts:
		return slices.Insert(out, i, e.Value), nil
	case last && e.Op == "remove":
		return slices.Delete(out, i, i+1), nil
	}
	out[i], err = apply(items[i], path[1:], e)
	return out, err
}
