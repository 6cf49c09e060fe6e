package rollout

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Wanted is what is to be done to a cluster, in this order.
type Wanted struct {
	// Apply are whole objects, or Namespaces with labels alone.
	Apply []*unstructured.Unstructured
	// Release are namespaces whose applied labels are given up.
	Release []*unstructured.Unstructured
	// Delete are objects as they were read.
	Delete []*unstructured.Unstructured
}

// ToPolicies has the policies act at the steps, and takes away what was applied before
// beyond them. Labels of namespaces stay as they are.
func (s *State) ToPolicies(policies []Policy, steps *Steps) (*Wanted, error) {
	if s.mutating == "" && slices.ContainsFunc(policies, func(p Policy) bool { return p.Mutating() }) {
		return nil, errors.New("the API server serves no MutatingAdmissionPolicies, which are off by default before Kubernetes 1.36: leave out --mutate")
	}
	bindings, err := Bindings(policies, steps)
	if err != nil {
		return nil, err
	}
	w := &Wanted{}
	for _, p := range policies {
		w.Apply = append(w.Apply, p.Object)
	}
	w.Apply = append(w.Apply, s.ordered(bindings)...)
	w.Delete = s.beyond(w.Apply)
	return w, nil
}

// ToSteps has the policies that were applied act at other steps, and changes nothing
// but bindings.
func (s *State) ToSteps(steps *Steps) (*Wanted, error) {
	bindings, err := Bindings(s.Policies, steps)
	if err != nil {
		return nil, err
	}
	w := &Wanted{Apply: s.ordered(bindings)}
	// A binding of a policy that could not be made out stays as it is.
	w.Delete = slices.DeleteFunc(s.beyond(w.Apply), func(o *unstructured.Unstructured) bool {
		name, _, _ := unstructured.NestedString(o.Object, "spec", "policyName")
		return !slices.ContainsFunc(s.Policies, func(p Policy) bool { return p.Object.GetName() == name })
	})
	return w, nil
}

// ToLabels labels namespaces, and releases those that were labelled before and are not
// among them. Policies stay as they are.
func (s *State) ToLabels(namespaces []*unstructured.Unstructured) (*Wanted, error) {
	w := &Wanted{Apply: namespaces}
	for _, o := range namespaces {
		if s.Namespaces[o.GetName()] == nil {
			return nil, fmt.Errorf("there is no namespace %q: see kubectl get namespaces", o.GetName())
		}
	}
	for _, o := range s.labelled() {
		if !slices.ContainsFunc(namespaces, func(n *unstructured.Unstructured) bool { return n.GetName() == o.GetName() }) {
			w.Release = append(w.Release, o)
		}
	}
	return w, nil
}

// ToNothing takes away all that was applied.
func (s *State) ToNothing() *Wanted { return &Wanted{Release: s.labelled(), Delete: s.beyond(nil)} }

// labelled are the namespaces on which labels were applied. They are told by their
// managed fields, since anyone who may label a namespace could write a label.
func (s *State) labelled() []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, name := range slices.Sorted(maps.Keys(s.Namespaces)) {
		if applied(s.Namespaces[name]) {
			out = append(out, s.Namespaces[name])
		}
	}
	return out
}

// beyond is what was applied and is not to be kept: bindings before policies.
func (s *State) beyond(keep []*unstructured.Unstructured) []*unstructured.Unstructured {
	kept := map[key]bool{}
	for _, o := range keep {
		kept[keyOf(o)] = true
	}
	out := slices.DeleteFunc(s.inOrder(), func(o *unstructured.Unstructured) bool { return kept[keyOf(o)] })
	slices.SortStableFunc(out, func(a, b *unstructured.Unstructured) int { return rank(b.GetKind()) - rank(a.GetKind()) })
	return out
}

// ordered sorts bindings so that no namespace is let go before it is taken up: one that
// loses a namespace comes after the one of the same policy that gains it. Where each
// gains what the other loses, which no move of a rollout does, the order stays.
func (s *State) ordered(bindings []*unstructured.Unstructured) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for len(bindings) > 0 {
		next := slices.IndexFunc(bindings, func(b *unstructured.Unstructured) bool {
			return !slices.ContainsFunc(bindings, func(other *unstructured.Unstructured) bool { return s.takesFrom(other, b) })
		})
		next = max(next, 0)
		out = append(out, bindings[next])
		bindings = slices.Delete(slices.Clone(bindings), next, next+1)
	}
	return out
}

// takesFrom reports whether a binding gains a namespace that another of its policy
// loses.
func (s *State) takesFrom(a, b *unstructured.Unstructured) bool {
	policyA, _, _ := unstructured.NestedString(a.Object, "spec", "policyName")
	policyB, _, _ := unstructured.NestedString(b.Object, "spec", "policyName")
	if a == b || policyA != policyB || a.GetKind() != b.GetKind() {
		return false
	}
	oldA, newA := selectionOf(s.objects[keyOf(a)]), selectionOf(a)
	oldB, newB := selectionOf(s.objects[keyOf(b)]), selectionOf(b)
	for _, s := range []selection{oldA, newA, oldB, newB} {
		for name := range s.names {
			if !oldA.has(name) && newA.has(name) && oldB.has(name) && !newB.has(name) {
				return true
			}
		}
	}
	return false
}

// selection is which namespaces a binding selects by their names.
type selection struct {
	names     map[string]bool
	excluding bool
}

func (s selection) has(name string) bool { return s.names[name] != s.excluding }

// selectionOf is that of a binding, or of none.
func selectionOf(o *unstructured.Unstructured) selection {
	out := selection{names: map[string]bool{}}
	if o == nil {
		return out
	}
	terms, _, _ := unstructured.NestedSlice(o.Object, "spec", "matchResources", "namespaceSelector", "matchExpressions")
	for _, t := range terms {
		term, _ := t.(map[string]any)
		values, _, _ := unstructured.NestedStringSlice(term, "values")
		operator, _, _ := unstructured.NestedString(term, "operator")
		for _, name := range values {
			out.names[name] = true
		}
		out.excluding = operator == string(metav1.LabelSelectorOpNotIn)
	}
	return out
}
