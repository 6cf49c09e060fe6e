package reach

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// Values is what a label may be: one of Listed or, where Not is true, any other; Absent says
// that it may be missing. Values of labels are without number, so that there is always
// another.
type Values struct {
	Not    bool
	Listed []string
	Absent bool
}

// anyValue is no requirement at all.
var anyValue = Values{Not: true, Absent: true}

func (v Values) empty() bool { return !v.Not && len(v.Listed) == 0 && !v.Absent }

func (v Values) all() bool { return v.Not && len(v.Listed) == 0 && v.Absent }

func (v Values) has(value string, there bool) bool {
	if !there {
		return v.Absent
	}
	return slices.Contains(v.Listed, value) != v.Not
}

func (v Values) complement() Values { return Values{!v.Not, v.Listed, !v.Absent} }

func (v Values) meet(w Values) Values {
	out := Values{Absent: v.Absent && w.Absent}
	switch {
	case v.Not && w.Not:
		out.Not, out.Listed = true, joinValues(v.Listed, w.Listed)
	case v.Not:
		out.Listed = lessValues(w.Listed, v.Listed)
	case w.Not:
		out.Listed = lessValues(v.Listed, w.Listed)
	default:
		out.Listed = lessValues(v.Listed, lessValues(v.Listed, w.Listed))
	}
	return out
}

func joinValues(a, b []string) []string {
	out := append(slices.Clone(a), b...)
	slices.Sort(out)
	return slices.Compact(out)
}

func lessValues(of, others []string) []string {
	if len(others) == 0 {
		return of
	}
	return slices.DeleteFunc(slices.Clone(of), func(v string) bool {
		_, found := slices.BinarySearch(others, v)
		return found
	})
}

// example is a value that it may be; false where it is best missing.
func (v Values) example(other string) (string, bool) {
	switch {
	case !v.Not && len(v.Listed) > 0:
		return v.Listed[0], true
	case v.Absent:
		return "", false
	}
	value := other
	for i := 2; slices.Contains(v.Listed, value); i++ {
		value = fmt.Sprint(other, "-", i)
	}
	return value, true
}

// text is the requirement as a selector has it, as far as selectors can say it.
func (v Values) text(key string) string {
	list := strings.Join(v.Listed, ",")
	switch {
	case v.Not && v.Absent:
		return fmt.Sprintf("%s notin (%s)", key, list)
	case v.Not && len(v.Listed) == 0:
		return key
	case v.Not:
		return fmt.Sprintf("%s,%s notin (%s)", key, key, list)
	case len(v.Listed) == 0:
		return "!" + key
	case v.Absent:
		return fmt.Sprintf("(!%s or %s in (%s))", key, key, list)
	case len(v.Listed) == 1:
		return key + "=" + list
	}
	return fmt.Sprintf("%s in (%s)", key, list)
}

// space is what a label is one of.
type space uint8

const (
	fromNamespace space = iota
	fromPod
	toNamespace
	toPod
)

type labelKey struct {
	of  space
	key string
}

// cube are all labels that meet a requirement for each key; without any it is everything.
type cube map[labelKey]Values

// with is what of a cube meets another requirement as well; nil for nothing.
func (c cube) with(key labelKey, v Values) cube {
	if has, ok := c[key]; ok {
		v = has.meet(v)
	}
	if v.empty() {
		return nil
	}
	out := maps.Clone(c)
	if out == nil {
		out = cube{}
	}
	if v.all() {
		delete(out, key)
	} else {
		out[key] = v
	}
	return out
}

// meet is what two cubes have in common; nil for nothing.
func (c cube) meet(o cube) cube {
	out := c
	for key, v := range o {
		if out = out.with(key, v); out == nil {
			return nil
		}
	}
	return out
}

// minus is what of a cube is not in another, in parts that do not meet.
func (c cube) minus(o cube) (out []cube) {
	rest := c
	for _, key := range o.keys() {
		if part := rest.with(key, o[key].complement()); part != nil {
			out = append(out, part)
		}
		if rest = rest.with(key, o[key]); rest == nil {
			return []cube{c}
		}
	}
	return out
}

func (c cube) keys() []labelKey {
	return slices.SortedFunc(maps.Keys(c), func(a, b labelKey) int {
		if a.of != b.of {
			return int(a.of) - int(b.of)
		}
		return strings.Compare(a.key, b.key)
	})
}

// text tells cubes apart.
func (c cube) text() string {
	var out strings.Builder
	for _, k := range c.keys() {
		fmt.Fprintf(&out, "%d %q %t %q %t;", k.of, k.key, c[k].Not, c[k].Listed, c[k].Absent)
	}
	return out.String()
}

// cubeOf is what a selector chooses; nil for nothing.
func cubeOf(of space, s labels.Selector) cube {
	requirements, selectable := s.Requirements()
	if !selectable {
		return nil
	}
	out := cube{}
	for _, r := range requirements {
		values := slices.Sorted(slices.Values(r.ValuesUnsorted()))
		v := anyValue
		switch r.Operator() {
		case selection.In, selection.Equals, selection.DoubleEquals:
			v = Values{Listed: values}
		case selection.NotIn, selection.NotEquals:
			v = Values{Not: true, Listed: values, Absent: true}
		case selection.Exists:
			v = Values{Not: true}
		case selection.DoesNotExist:
			v = Values{Absent: true}
		}
		if out = out.with(labelKey{of, r.Key()}, v); out == nil {
			return nil
		}
	}
	return out
}
