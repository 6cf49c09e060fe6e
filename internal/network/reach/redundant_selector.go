package reach

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// domain are the values that a selector lets a label have.
type domain struct {
	// absent says that the label may be missing, and present that it may be there.
	absent, present bool
	// limited says that its value is one of in; otherwise it is any but those of out.
	limited bool
	in, out map[string]bool
	// odd is a requirement of a form that label selectors of the API do not have.
	odd bool
}

// choice is what a selector chooses: the domains of the labels that it asks for.
type choice struct {
	of map[string]*domain
	// nothing says that it chooses nothing.
	nothing bool
}

// choiceOf reads a selector.
func choiceOf(s labels.Selector) choice {
	requirements, selectable := s.Requirements()
	if !selectable {
		return choice{nothing: true}
	}
	of := map[string]*domain{}
	for _, r := range requirements {
		d := of[r.Key()]
		if d == nil {
			d = &domain{absent: true, present: true, in: map[string]bool{}, out: map[string]bool{}}
			of[r.Key()] = d
		}
		d.require(r)
	}
	for _, d := range of {
		if d.limited {
			maps.DeleteFunc(d.in, func(v string, _ bool) bool { return d.out[v] })
			d.present = d.present && len(d.in) > 0
		}
		if !d.absent && !d.present {
			return choice{nothing: true}
		}
	}
	return choice{of: of}
}

func (d *domain) require(r labels.Requirement) {
	values := map[string]bool{}
	for v := range r.Values() {
		values[v] = true
	}
	switch r.Operator() {
	case selection.Exists:
		d.absent = false
	case selection.DoesNotExist:
		d.present = false
	case selection.NotIn, selection.NotEquals:
		maps.Copy(d.out, values)
	case selection.In, selection.Equals, selection.DoubleEquals:
		d.absent = false
		if d.limited {
			maps.DeleteFunc(d.in, func(v string, _ bool) bool { return !values[v] })
		} else {
			d.limited, d.in = true, values
		}
	default:
		d.odd = true
	}
}

// within reports whether what a domain lets a label have another lets it have too.
func (d *domain) within(e *domain) bool {
	switch {
	case e.odd, d.absent && !e.absent:
		return false
	case !d.present:
		return true
	case !e.present:
		return false
	case d.limited:
		return !containsKey(d.in, func(v string) bool { return e.out[v] || e.limited && !e.in[v] })
	}
	return !e.limited && !containsKey(e.out, func(v string) bool { return !d.out[v] })
}

func containsKey(of map[string]bool, is func(string) bool) bool {
	for v := range of {
		if is(v) {
			return true
		}
	}
	return false
}

// anything is the domain of a label that is not asked for.
var anything = &domain{absent: true, present: true}

// within reports whether one choice has whatever another has, labels that nobody has yet
// included.
func (c choice) within(wide choice) bool {
	if c.nothing || wide.nothing {
		return c.nothing
	}
	for key, e := range wide.of {
		d := c.of[key]
		if d == nil {
			d = anything
		}
		if !d.within(e) {
			return false
		}
	}
	return true
}

// implies reports whether one selector chooses whatever another does.
func implies(narrow, wide labels.Selector) bool {
	return wide.Empty() || choiceOf(narrow).within(choiceOf(wide))
}

// mayMeet reports whether there may be labels that two selectors both choose.
func mayMeet(a, b labels.Selector) bool {
	first, selectable := a.Requirements()
	second, alsoSelectable := b.Requirements()
	if !selectable || !alsoSelectable {
		return false
	}
	return !choiceOf(labels.NewSelector().Add(slices.Concat(first, second)...)).nothing
}

// inNamespace are selectors of namespaces and pods as one: of its own namespace, where none
// is named, the name is known.
func inNamespace(own string, namespaces labels.Selector) labels.Selector {
	if namespaces != nil {
		return namespaces
	}
	return labels.SelectorFromSet(labels.Set{corev1.LabelMetadataName: own})
}
