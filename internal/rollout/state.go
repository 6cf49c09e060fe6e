package rollout

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"bulkhead.dev/bulkhead/internal/admission"
)

// State is what stands in a cluster of what was applied.
type State struct {
	// Policies are those that were applied, by name, mutating ones last.
	Policies []Policy
	// Steps are, for each place, the strictest step of any policy there.
	Steps Steps
	// Uneven says, a line each, where policies are at different steps, and what was
	// changed by hand so that it cannot be told: applying again makes it even.
	Uneven []string

	// Namespaces are those of the cluster, by name.
	Namespaces map[string]*unstructured.Unstructured

	// interrupted are the places, as Uneven names them, where policies are at different
	// steps.
	interrupted map[string]bool
	// byControl are the steps of each validating policy.
	byControl map[string]*Steps
	// objects are all policies and bindings, whoever applied them.
	objects map[key]*unstructured.Unstructured
	// mutating is the version in which mutating policies are served; empty where they
	// are not.
	mutating string
}

type key struct{ kind, name string }

func keyOf(o *unstructured.Unstructured) key { return key{o.GetKind(), o.GetName()} }

// owned reports whether an object carries the owner label and was applied by the
// field manager: a copy that somebody makes carries the label too.
func owned(o *unstructured.Unstructured) bool {
	return o.GetLabels()[OwnerLabel] == OwnerValue && applied(o)
}

// applied reports whether the field manager has applied an object.
func applied(o *unstructured.Unstructured) bool {
	return slices.ContainsFunc(o.GetManagedFields(), isOurs)
}

func isOurs(m metav1.ManagedFieldsEntry) bool {
	return m.Manager == FieldManager && m.Operation == metav1.ManagedFieldsOperationApply && m.Subresource == ""
}

// inOrder are the objects that were applied: policies before bindings, by name.
func (s *State) inOrder() []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, o := range s.objects {
		if owned(o) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(rank(a.GetKind())-rank(b.GetKind()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return out
}

// rank orders kinds as they are applied; they are deleted the other way round.
func rank(kind string) int {
	return slices.Index([]string{validatingPolicy, mutatingPolicy, "Namespace", validatingBinding, mutatingBinding}, kind)
}

// Of is the step at which a control judges an object in a namespace; the empty name is
// the whole cluster.
func (s *State) Of(control, namespace string) Step {
	if steps := s.byControl[control]; steps != nil {
		return steps.Of(namespace)
	}
	return Off
}

// Next are the steps with those of the target one on. Where policies are at different
// steps, as a move leaves them that was interrupted, it is that move which is finished:
// they all get to the strictest.
func (s *State) Next(t Target) Steps {
	even := Target{Others: t.Others && !s.interrupted[placeOthers], Cluster: t.Cluster && !s.interrupted[placeCluster]}
	for _, name := range t.Namespaces {
		place := placeOf(name)
		if _, named := s.Steps.Named[name]; !named {
			place = placeOthers
		}
		if !s.interrupted[place] {
			even.Namespaces = append(even.Namespaces, name)
		}
	}
	return s.Steps.Moved(even, Step.Next)
}

// Differing lists the policies that were applied and are not as they would be now:
// their waivers, parameters or expressions are others.
func (s *State) Differing(policies []Policy) []string {
	var out []string
	for _, p := range policies {
		if have := s.objects[keyOf(p.Object)]; have != nil && owned(have) && !covers(have.Object["spec"], p.Object.Object["spec"]) {
			out = append(out, p.Object.GetName())
		}
	}
	return out
}

// interpret reads the steps out of what was applied.
func (s *State) interpret() {
	byPolicy := map[string]*Steps{}
	for _, o := range s.inOrder() {
		switch o.GetKind() {
		case validatingPolicy, mutatingPolicy:
			p, err := policyOf(o)
			if err != nil {
				s.Uneven = append(s.Uneven, err.Error())
				continue
			}
			s.Policies = append(s.Policies, *p)
			if !p.Mutating() {
				byPolicy[o.GetName()] = &Steps{Named: map[string]Step{}}
			}
		case validatingBinding:
			if err := readBinding(o, byPolicy); err != nil {
				s.Uneven = append(s.Uneven, err.Error())
			}
		}
	}
	s.byControl = map[string]*Steps{}
	for _, p := range s.Policies {
		if steps := byPolicy[p.Object.GetName()]; steps != nil && !p.Mutating() {
			s.byControl[p.Control] = steps
		}
	}
	s.merge(byPolicy)
}

// readBinding adds what a binding says to the steps of its policy.
func readBinding(o *unstructured.Unstructured, byPolicy map[string]*Steps) error {
	var b admissionv1.ValidatingAdmissionPolicyBinding
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &b); err != nil {
		return fmt.Errorf("binding %s cannot be read: %w", o.GetName(), err)
	}
	steps := byPolicy[b.Spec.PolicyName]
	if steps == nil {
		return fmt.Errorf("binding %s is of policy %q, which was not applied with it", b.Name, b.Spec.PolicyName)
	}
	step := stepOfActions(b.Spec.ValidationActions)
	var terms []metav1.LabelSelectorRequirement
	if r := b.Spec.MatchResources; r != nil && r.NamespaceSelector != nil {
		terms = r.NamespaceSelector.MatchExpressions
		if len(r.NamespaceSelector.MatchLabels) > 0 || len(terms) > 1 || len(terms) == 1 && terms[0].Key != namespaceLabel {
			return fmt.Errorf("binding %s selects namespaces by more than their names: it was changed by hand", b.Name)
		}
	}
	if len(terms) == 0 {
		steps.Cluster = step
		return nil
	}
	switch term := terms[0]; term.Operator {
	case metav1.LabelSelectorOpIn:
		for _, name := range term.Values {
			steps.Named[name] = max(steps.Named[name], step)
		}
	case metav1.LabelSelectorOpNotIn:
		steps.Others = step
		for _, name := range term.Values {
			if !slices.Contains(admission.SystemNamespaces(), name) {
				steps.Named[name] = max(steps.Named[name], Off)
			}
		}
	default:
		return fmt.Errorf("binding %s selects namespaces by more than their names: it was changed by hand", b.Name)
	}
	return nil
}

func stepOfActions(actions []admissionv1.ValidationAction) Step {
	switch {
	case slices.Contains(actions, admissionv1.Deny):
		return Deny
	case slices.Contains(actions, admissionv1.Warn):
		return Warn
	case len(actions) > 0:
		return Audit
	}
	return Off
}

// merge takes, of the steps of all policies, the strictest of each place: what was
// interrupted on its way up goes on when it is applied again, and nothing is let go
// because one policy is new.
func (s *State) merge(byPolicy map[string]*Steps) {
	s.Steps, s.interrupted = Steps{Named: map[string]Step{}}, map[string]bool{}
	for _, p := range s.Policies {
		steps := byPolicy[p.Object.GetName()]
		if steps == nil || p.Mutating() {
			continue
		}
		for name := range steps.Named {
			s.Steps.Named[name] = Off
		}
	}
	s.Steps.Others = s.strictest(placeOthers, true, byPolicy, func(p *Steps) Step { return p.Others })
	s.Steps.Cluster = s.strictest(placeCluster, false, byPolicy, func(p *Steps) Step { return p.Cluster })
	for _, name := range slices.Sorted(maps.Keys(s.Steps.Named)) {
		s.Steps.Named[name] = s.strictest(placeOf(name), true, byPolicy, func(p *Steps) Step { return p.Of(name) })
	}
}

// strictest is the strictest step of a place, and notes where policies differ there.
func (s *State) strictest(place string, namespaced bool, byPolicy map[string]*Steps, of func(*Steps) Step) Step {
	counts := map[Step]int{}
	for _, p := range s.Policies {
		if steps := byPolicy[p.Object.GetName()]; steps != nil && !p.Mutating() && p.Namespaced == namespaced {
			counts[of(steps)]++
		}
	}
	top := Off
	for step := range counts {
		top = max(top, step)
	}
	for _, step := range slices.Sorted(maps.Keys(counts)) {
		if step != top {
			s.interrupted[place] = true
			s.Uneven = append(s.Uneven, fmt.Sprintf("%s: %s at %s and not at %s", place, countOf(counts[step], "policy", "policies"), step, top))
		}
	}
	return top
}

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
