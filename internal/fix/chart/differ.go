package chart

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
)

// key names an object of a rendering. A chart may render the same name twice;
// ordinal then counts.
type key struct {
	model.GroupKind
	namespace, name string
	ordinal         int
}

func (k key) String() string {
	s := k.Kind + "/" + k.name
	if k.namespace != "" {
		s = k.namespace + "/" + s
	}
	return s
}

// keyOf names an object by what is written in it: the namespace that it gets
// otherwise is the same for all renderings.
func keyOf(content map[string]any) key {
	text := func(keys ...string) string {
		s, _ := model.Get(content, keys...).(string)
		return s
	}
	group, _, found := strings.Cut(text("apiVersion"), "/")
	if !found {
		group = ""
	}
	return key{model.GroupKind{Group: group, Kind: text("kind")}, text("metadata", "namespace"),
		cmp.Or(text("metadata", "name"), text("metadata", "generateName")), 0}
}

// index returns the contents of objects by their keys.
func index(objects []*model.Object) map[key]map[string]any {
	out := make(map[key]map[string]any, len(objects))
	for _, o := range objects {
		k := keyOf(o.Content)
		for out[k] != nil {
			k.ordinal++
		}
		out[k] = o.Content
	}
	return out
}

// place is a field of an object: its path as a JSON pointer.
type place struct {
	key
	pointer string
}

// change is a field that differs between two renderings. What is empty is nil: a
// map or list without anything in it says as much as none.
type change struct {
	key
	path          model.Path
	before, after any
}

// compare calls emit for each value that differs, as deep down as it can be
// told: lists are compared item by item only where they are equally long and of
// maps.
func compare(before, after any, path model.Path, emit func(path model.Path, before, after any)) {
	before, after = orNil(before), orNil(after)
	b, bMap := before.(map[string]any)
	a, aMap := after.(map[string]any)
	if (bMap || before == nil) && (aMap || after == nil) {
		for k, v := range b {
			compare(v, a[k], path.Keys(k), emit)
		}
		for k, v := range a {
			if _, both := b[k]; !both {
				compare(nil, v, path.Keys(k), emit)
			}
		}
		return
	}
	bl, bList := before.([]any)
	al, aList := after.([]any)
	if bList && aList && len(al) == len(bl) && ofMaps(al) && ofMaps(bl) {
		for i := range al {
			compare(bl[i], al[i], path.Append(model.Index(i)), emit)
		}
		return
	}
	if !equal(before, after) {
		emit(path, before, after)
	}
}

// orNil returns nil for what is empty, at any depth.
func orNil(v any) any {
	switch w := v.(type) {
	case map[string]any:
		for _, e := range w {
			if orNil(e) != nil {
				return v
			}
		}
		return nil
	case []any:
		if len(w) == 0 {
			return nil
		}
	}
	return v
}

func ofMaps(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool { _, ok := v.(map[string]any); return !ok })
}

// equal compares decoded values; 1 and 1.0 are the same number, and what is
// empty is the same as nothing.
func equal(a, b any) bool {
	a, b = orNil(a), orNil(b)
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			return false
		}
		for k, v := range a {
			if !equal(v, b[k]) {
				return false
			}
		}
		for k, v := range b {
			if _, both := a[k]; !both && orNil(v) != nil {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	x, isNumber := number(a)
	y, areNumbers := number(b)
	if isNumber && areNumbers {
		return x == y
	}
	return a == b
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// differences lists what a rendering has otherwise than the base, in no
// particular order. An object that is there in only one of them is a change with
// an empty path.
func differences(b *base, objects map[key]map[string]any) []change {
	var out []change
	for k, content := range b.objects {
		other, ok := objects[k]
		switch {
		case !ok:
			out = append(out, change{key: k, before: content})
		case !same(content, other):
			compare(content, other, nil, func(path model.Path, before, after any) {
				if !b.volatile[place{k, path.Pointer()}] && !consequence(path) {
					out = append(out, change{k, path, before, after})
				}
			})
		}
	}
	for k, content := range objects {
		if b.objects[k] == nil {
			out = append(out, change{key: k, after: content})
		}
	}
	return out
}

// consequence reports whether a field follows from others: charts write the
// checksum of a ConfigMap into the annotations of the pods that read it.
func consequence(path model.Path) bool {
	return len(path) >= 2 && path[len(path)-2].Key == "annotations" && strings.Contains(path[len(path)-1].Key, "checksum")
}

// tail is the end of a path that tells which field it is, whatever object or
// container it is in: securityContext.readOnlyRootFilesystem.
func tail(path model.Path) model.Path {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i].Key == "" || path[i].Key == "spec" && i < len(path)-1 {
			return path[i+1:]
		}
	}
	return path
}

// same reports whether two contents are one and the same map.
func same(a, b map[string]any) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}
