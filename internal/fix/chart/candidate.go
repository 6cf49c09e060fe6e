package chart

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"bulkhead.dev/bulkhead/internal/model"
)

// node is a value of the chart, by its path.
type node struct {
	path  model.Path
	value any
}

// maxNodes bounds the values that are looked at, and maxDepth how deep.
const (
	maxNodes = 20_000
	maxDepth = 24
)

// nodes lists all values in order, maps and lists before what they hold.
func nodes(values map[string]any) []node {
	var out []node
	var visit func(path model.Path, v any)
	visit = func(path model.Path, v any) {
		if len(out) >= maxNodes || len(path) > maxDepth {
			return
		}
		out = append(out, node{path, v})
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				if k != "" { // no path has a name for it
					visit(path.Keys(k), v[k])
				}
			}
		case []any:
			for i, e := range v {
				if _, scalar := e.(map[string]any); scalar {
					visit(path.Append(model.Index(i)), e)
				}
			}
		}
	}
	visit(nil, values)
	return out
}

// candidate are assignments that may make a field what is wanted.
type candidate struct {
	assignments []assignment
	score       int
	field       *field
}

// How many candidates by name are tried for one field, at first and where none
// of these does.
const (
	fewNamed = 8
	maxNamed = 40
)

// named lists the candidates for a field whose names resemble it, best first.
// The value at .../containerSecurityContext may take the field
// securityContext.capabilities.drop at capabilities.drop below it.
func named(values []node, switches map[string]assignment, f *field) []candidate {
	var out []candidate
	for _, n := range values {
		if len(n.path) == 0 || n.path[len(n.path)-1].Key == "" {
			continue
		}
		for i, step := range f.tail {
			fit := resemblance(n.path[len(n.path)-1].Key, step.Key)
			if fit == 0 {
				continue
			}
			score := 10*fit + i + nearness(n.path, f)
			for _, a := range below(n, f, len(f.path)-len(f.tail)+i+1) {
				out = append(out, candidate{[]assignment{a}, score, f})
				if s, ok := switches[n.path.Pointer()]; ok {
					out = append(out, candidate{[]assignment{s, a}, score - 1, f})
				}
			}
			if s, ok := switches[n.path.Pointer()]; ok {
				out = append(out, candidate{[]assignment{s}, score, f})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b candidate) int { return cmp.Compare(b.score, a.score) })
	return out[:min(len(out), maxNamed)]
}

// below are the assignments to a value that stands for the first depth steps of
// a field's path: the field alone, and all that is wanted around it, for
// templates that write defaults only where the value is empty.
func below(n node, f *field, depth int) []assignment {
	rest := f.path[depth:]
	if len(rest) == 0 {
		value, ok := fitting(n.value, f.want)
		if !ok {
			return nil
		}
		return []assignment{{n.path, value}}
	}
	if _, isMap := n.value.(map[string]any); !isMap && orNil(n.value) != nil && n.value != "" {
		return nil
	}
	out := []assignment{{n.path.Append(rest...), f.want}}
	if whole, ok := f.path[:depth].Lookup(f.after); ok && f.want != nil {
		if whole, ok := whole.(map[string]any); ok {
			out = append(out, assignment{n.path, clone(whole)})
		}
	}
	return out
}

// fitting returns the content to give a value that is to render as wanted. What
// a value is (a map, a list, a boolean) it stays, unless it is empty: a switch is
// no place for a text, however well that works. A text may say true.
func fitting(value, want any) (any, bool) {
	if orNil(value) == nil || value == "" || want == nil {
		return want, true
	}
	switch value.(type) {
	case map[string]any:
		return nil, false
	case []any:
		_, list := want.([]any)
		return want, list
	case bool:
		_, boolean := want.(bool)
		return want, boolean
	case string:
		if b, ok := want.(bool); ok {
			return strconv.FormatBool(b), true
		}
	default: // numbers: quantities may be written as either
		if _, boolean := want.(bool); boolean {
			return nil, false
		}
	}
	return want, scalar(want)
}

// switchNames are the names of values that switch their siblings on.
var switchNames = []string{"enabled", "enable", "create"}

// switches finds the values that are false and switch on what is in their map,
// by the pointer of that map.
func switches(values []node) map[string]assignment {
	out := map[string]assignment{}
	for _, n := range values {
		if last := len(n.path) - 1; last >= 0 && n.value == false && slices.Contains(switchNames, n.path[last].Key) {
			out[n.path[:last].Pointer()] = assignment{n.path, true}
		}
	}
	return out
}

// resemblance says how well the name of a value fits a field's: 3 for the same,
// 2 where one ends in the other (containerSecurityContext), 1 where one begins
// with the other.
func resemblance(value, field string) int {
	v, f := letters(value), letters(field)
	switch {
	case v == "" || f == "":
		return 0
	case v == f:
		return 3
	case strings.HasSuffix(v, f), len(v) >= 4 && strings.HasSuffix(f, v):
		return 2
	case strings.HasPrefix(v, f), len(v) >= 4 && strings.HasPrefix(f, v):
		return 1
	}
	return 0
}

func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// nearness counts the steps of a value's path that the names of the object and
// the container of a field have a part of.
func nearness(path model.Path, f *field) int {
	where := letters(f.name) + " " + letters(f.container) + " " + letters(f.Kind)
	n := 0
	for _, s := range path[:len(path)-1] {
		if k := letters(s.Key); len(k) > 1 && strings.Contains(where, strings.TrimSuffix(k, "s")) {
			n += 3
		}
	}
	return n
}
