package chart

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"unicode"

	"bulkhead.dev/bulkhead/internal/model"
)

// assignment gives a value, by its path in the values, another content: nil
// removes it, a map is merged into one that is there.
type assignment struct {
	path  model.Path
	value any
}

// override are values that make the assignments. A list is replaced whole by
// Helm, so one that an assignment goes into is taken over from the values that
// the chart has.
func override(effective map[string]any, assignments []assignment) map[string]any {
	out := map[string]any{}
	for _, a := range assignments {
		out, _ = put(out, effective, a.path, a.value).(map[string]any)
	}
	return out
}

// put returns v with value at path. was is what the chart has in the place of v.
func put(v, was any, path model.Path, value any) any {
	if len(path) == 0 {
		if add, ok := value.(map[string]any); ok {
			if have, ok := v.(map[string]any); ok {
				return merged(have, add)
			}
		}
		return clone(value)
	}
	inner, _ := model.Path{path[0]}.Lookup(was)
	if path[0].Key == "" {
		list, ok := v.([]any)
		if !ok {
			original, _ := was.([]any)
			list, _ = clone(original).([]any)
		}
		if i := path[0].Index; i < len(list) {
			// What is beside the assignment must stay, as the list is replaced.
			list[i] = put(list[i], inner, path[1:], value)
		}
		return list
	}
	m, ok := v.(map[string]any)
	if !ok {
		m = map[string]any{}
	}
	m[path[0].Key] = put(m[path[0].Key], inner, path[1:], value)
	return m
}

// merged returns a copy of a with b over it, maps merged.
func merged(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	for k, v := range b {
		if inner, ok := v.(map[string]any); ok {
			if have, ok := out[k].(map[string]any); ok {
				v = merged(have, inner)
			}
		}
		out[k] = clone(v)
	}
	return out
}

// clone copies decoded JSON.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}

// shownBytes is how much of a value is shown.
const shownBytes = 120

// String shows the assignment as --set would have it; of values that are not
// small only what they are, as lists that are replaced whole may hold secrets.
func (a assignment) String() string {
	text, err := json.Marshal(a.value)
	shown := string(text)
	_, list := a.value.([]any)
	if err != nil || len(text) > shownBytes || list && strings.Contains(shown, "{") {
		shown = "(a list or map)"
	}
	return printable(fmt.Sprintf("%s: %s", a.path, shown))
}

// printable takes out what a terminal would act on.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
