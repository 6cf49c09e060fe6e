package rollout

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/model"
)

const (
	// FieldManager owns, in server-side apply, the fields that this package sets.
	FieldManager = "bulkhead-policy"
	// OwnerLabel is on every object that this package applies, with OwnerValue. What
	// policy export writes has no such label, whoever applies it.
	OwnerLabel = "bulkhead.dev/applied-by"
	// OwnerValue is the value of OwnerLabel.
	OwnerValue = "bulkhead-policy"
	// ControlLabel names the control of a policy and of its bindings.
	ControlLabel = "bulkhead.dev/control"

	group  = admissionv1.GroupName
	domain = ".bulkhead.dev"
	// namespaceLabel is kept by the API server on every namespace, and is its name.
	namespaceLabel = "kubernetes.io/metadata.name"
)

// Kinds of what is applied.
const (
	validatingPolicy  = "ValidatingAdmissionPolicy"
	validatingBinding = "ValidatingAdmissionPolicyBinding"
	mutatingPolicy    = "MutatingAdmissionPolicy"
	mutatingBinding   = "MutatingAdmissionPolicyBinding"
)

// Policy is a policy as it is to be applied, or as it stands in a cluster.
type Policy struct {
	Control string
	// Object has no status, and no managed fields.
	Object *unstructured.Unstructured
	// Namespaced says that it judges objects in namespaces, and otherwise objects that
	// belong to none.
	Namespaced bool
}

// Mutating reports whether the policy changes objects. It does so where the step is
// Deny: what is milder changes nothing.
func (p *Policy) Mutating() bool { return p.Object.GetKind() == mutatingPolicy }

// Policies are exported policies with the owner label, in their order. Which
// namespaces and which mode they were exported for is of no concern.
func Policies(exported []admission.ExportedPolicy) ([]Policy, error) {
	var out []Policy
	for i := range exported {
		object, err := contentOf(exported[i].Objects()[0])
		if err != nil {
			return nil, err
		}
		labels := object.GetLabels()
		labels[OwnerLabel] = OwnerValue
		object.SetLabels(labels)
		p, err := policyOf(object)
		if err != nil {
			return nil, err
		}
		out = append(out, *p)
	}
	return out, nil
}

// contentOf is a typed object without what only the API server sets.
func contentOf(o any) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	delete(u.Object, "status")
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	return u, nil
}

// policyOf reads what bindings of a policy depend on.
func policyOf(o *unstructured.Unstructured) (*Policy, error) {
	p := &Policy{Control: o.GetLabels()[ControlLabel], Object: o}
	var constraints admissionv1.MatchResources
	content, _, err := unstructured.NestedMap(o.Object, "spec", "matchConstraints")
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(content, &constraints)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: spec.matchConstraints: %w", o.GetKind(), o.GetName(), err)
	}
	beyond := false
	for _, rule := range constraints.ResourceRules {
		for _, name := range rule.Resources {
			name, _, _ = strings.Cut(name, "/")
			if slices.ContainsFunc(rule.APIGroups, func(g string) bool { return inNamespaces(g, name) }) {
				p.Namespaced = true
			} else {
				beyond = true
			}
		}
	}
	// A namespaceSelector lets through no object that is in no namespace.
	if p.Namespaced && beyond {
		return nil, fmt.Errorf("%s %s judges objects in namespaces and objects in none: no step could hold for both", o.GetKind(), o.GetName())
	}
	return p, nil
}

// inNamespaces reports whether a step of a namespace holds for a resource: a Namespace
// is selected by its own labels.
func inNamespaces(group, resource string) bool {
	if group == "" && resource == "namespaces" {
		return true
	}
	return slices.ContainsFunc(model.BuiltinResources(), func(r model.Resource) bool {
		return r.Group == group && r.Name == resource && r.Namespaced
	})
}

// Names that bindings have beside those of steps.
const (
	forOthers  = "others"
	forCluster = "cluster"
)

// Bindings are those that have policies act at the steps. A policy has one for each
// step that some named namespaces are at, one for all others, or, where it judges what
// is in no namespace, one for the cluster: CONTROL.deny.bulkhead.dev,
// CONTROL.others.bulkhead.dev, CONTROL.cluster.bulkhead.dev.
func Bindings(policies []Policy, steps *Steps) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for i := range policies {
		p := &policies[i]
		add := func(name string, step Step, selector *metav1.LabelSelector) error {
			if step == Off || p.Mutating() && step != Deny {
				return nil
			}
			b, err := contentOf(p.binding(name, step, selector))
			out = append(out, b)
			return err
		}
		if !p.Namespaced {
			if err := add(forCluster, steps.Cluster, nil); err != nil {
				return nil, err
			}
			continue
		}
		for _, step := range []Step{Deny, Warn, Audit} {
			if names := steps.At(step); len(names) > 0 {
				if err := add(step.String(), step, byName(metav1.LabelSelectorOpIn, names)); err != nil {
					return nil, err
				}
			}
		}
		excluded := slices.Concat(admission.SystemNamespaces(), slices.Collect(maps.Keys(steps.Named)))
		slices.Sort(excluded)
		if err := add(forOthers, steps.Others, byName(metav1.LabelSelectorOpNotIn, slices.Compact(excluded))); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func byName(operator metav1.LabelSelectorOperator, names []string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: namespaceLabel, Operator: operator, Values: names}}}
}

func (p *Policy) binding(name string, step Step, selector *metav1.LabelSelector) any {
	meta := metav1.ObjectMeta{Name: p.Control + "." + name + domain, Labels: maps.Clone(p.Object.GetLabels())}
	var resources *admissionv1.MatchResources
	if selector != nil {
		resources = &admissionv1.MatchResources{NamespaceSelector: selector}
	}
	if p.Mutating() {
		return &admissionv1.MutatingAdmissionPolicyBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: p.Object.GetAPIVersion(), Kind: mutatingBinding},
			ObjectMeta: meta,
			Spec:       admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: p.Object.GetName(), MatchResources: resources},
		}
	}
	return &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: p.Object.GetAPIVersion(), Kind: validatingBinding},
		ObjectMeta: meta,
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: p.Object.GetName(),
			ValidationActions: step.mode().Actions(), MatchResources: resources},
	}
}
