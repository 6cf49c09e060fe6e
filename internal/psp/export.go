package psp

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/admission"
)

// ExportOptions say what policies are to do, and for which API server.
type ExportOptions struct {
	Mode admission.Mode
	// Minor is the minor version of Kubernetes 1 that is to take the policies.
	Minor int
	// Namespaces are those in which the policies act; all, but for ExcludeNamespaces
	// and those of the system, where it is nil. Names, no patterns.
	Namespaces, ExcludeNamespaces []string
	// Extensions honours grants of use in the API group extensions too, as 1.24 did.
	Extensions bool
	// Ephemeral judges ephemeral containers when they are added to a pod, which 1.24
	// did not.
	Ephemeral bool
}

// MaxPolicies is how many policies fit into one binding: each may cost two
// authorization checks, or four with Extensions, of 350,000 of the 10,000,000 that the
// API server lets an evaluation spend.
func MaxPolicies(extensions bool) int {
	if extensions {
		return 7
	}
	return 14
}

// mutatingMinor is the first minor version of Kubernetes 1 whose CEL can do what fills
// pods in: in that of the release before, lists can be flattened and sorted.
const mutatingMinor = 35

// mutatingV1 is the first minor version that serves v1 of MutatingAdmissionPolicy.
const mutatingV1 = 36

// Exported is what policies became.
type Exported struct {
	Validating        *admissionv1.ValidatingAdmissionPolicy
	ValidatingBinding *admissionv1.ValidatingAdmissionPolicyBinding
	// Mutating is nil where nothing is to be filled in.
	Mutating        *admissionv1.MutatingAdmissionPolicy
	MutatingBinding *admissionv1.MutatingAdmissionPolicyBinding
	// NotKept says what the admission policies do not do as 1.24 did.
	NotKept []string
}

// Objects are the policies and bindings, in the order in which they are best created:
// what fills pods in before what refuses those that are not.
func (e *Exported) Objects() []any {
	var out []any
	if e.Mutating != nil {
		out = append(out, e.Mutating, e.MutatingBinding)
	}
	return append(out, e.Validating, e.ValidatingBinding)
}

// ErrUnusable means that there is no policy by which 1.24 admitted anything.
var ErrUnusable = errors.New("none of the PodSecurityPolicies could be used by Kubernetes 1.24 either")

// ErrTooMany means that the policies do not fit into one binding's budget.
var ErrTooMany = errors.New("too many PodSecurityPolicies for one admission policy")

// Export writes policies, which Sort has ordered, as one ValidatingAdmissionPolicy and,
// under deny, one MutatingAdmissionPolicy that fills pods in. They have to be one,
// because which policy a pod is admitted by decides how it is filled in. Both are
// compiled as the API server that is meant will.
//
// Under audit and warn nothing is filled in: what the policy would have filled in
// counts as there.
func Export(policies []*Policy, o ExportOptions) (*Exported, error) {
	limits := admission.ExportOptions{Mode: o.Mode, Minor: o.Minor, Namespaces: o.Namespaces, ExcludeNamespaces: o.ExcludeNamespaces}
	if err := limits.Validate(); err != nil {
		return nil, err
	}
	e := &exporter{ExportOptions: o, out: &Exported{}}
	for _, p := range policies {
		if p.Unusable != "" {
			e.notKept("policy %s: %s; 1.24 admitted no pod by it, and it is left out", p.Name, p.Unusable)
			continue
		}
		e.policies = append(e.policies, p)
	}
	if len(e.policies) == 0 {
		return nil, ErrUnusable
	}
	if most := MaxPolicies(o.Extensions); len(e.policies) > most {
		return nil, fmt.Errorf("%w: %d, and the checks of who may use them fit its budget for at most %d. Convert those that the same namespaces use, with --namespaces, each group by itself; take fewer, for many are alike but for their names; or enforce a level of Pod Security instead",
			ErrTooMany, len(e.policies), most)
	}
	e.name()
	if err := e.validating(); err != nil {
		return nil, err
	}
	if err := e.mutating(); err != nil {
		return nil, err
	}
	e.explain()
	return e.out, nil
}

type exporter struct {
	ExportOptions
	policies []*Policy
	// identifiers are names for variables, one for each policy.
	identifiers []string
	out         *Exported
}

func (e *exporter) notKept(format string, args ...any) {
	e.out.NotKept = append(e.out.NotKept, fmt.Sprintf(format, args...))
}

// strict reports whether pods have to have what a policy fills in.
func (e *exporter) strict() bool { return e.Mode == admission.Deny }

// name gives each policy a name that can be part of a CEL variable's.
func (e *exporter) name() {
	for i, p := range e.policies {
		id := "psp_" + strings.Join(strings.FieldsFunc(p.Name, func(r rune) bool { return r == '-' || r == '.' }), "_")
		if slices.Contains(e.identifiers, id) {
			id = fmt.Sprintf("%s_%d", id, i)
		}
		e.identifiers = append(e.identifiers, id)
	}
}

// name of everything that is exported. Policies for some namespaces have names of
// their own, so that those of others stay.
func (e *exporter) objectName() string {
	name := "pod-security-policies"
	if len(e.Namespaces) > 0 {
		namespaces := slices.Sorted(slices.Values(e.Namespaces))
		name += "." + strings.Join(namespaces, ".")
		if len(name) > 200 {
			name = fmt.Sprintf("pod-security-policies.%s.and-%d-more", namespaces[0], len(namespaces)-1)
		}
	}
	return name + ".bulkhead.dev"
}

func (e *exporter) meta() metav1.ObjectMeta {
	names := make([]string, len(e.policies))
	for i, p := range e.policies {
		names[i] = p.Name
	}
	return metav1.ObjectMeta{Name: e.objectName(), Labels: map[string]string{"app.kubernetes.io/managed-by": "bulkhead"},
		Annotations: map[string]string{"bulkhead.dev/pod-security-policies": strings.Join(names, ",")}}
}

// bound selects namespaces by the label that the API server itself keeps.
func (e *exporter) bound() *admissionv1.MatchResources {
	term := metav1.LabelSelectorRequirement{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpIn, Values: e.Namespaces}
	if e.Namespaces == nil {
		term.Operator, term.Values = metav1.LabelSelectorOpNotIn, slices.Compact(slices.Sorted(slices.Values(slices.Concat(e.ExcludeNamespaces, admission.SystemNamespaces()))))
	} else if len(e.ExcludeNamespaces) > 0 {
		term.Values = slices.DeleteFunc(slices.Clone(e.Namespaces), func(n string) bool { return slices.Contains(e.ExcludeNamespaces, n) })
	}
	return &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{term}}}
}

func matchPods(resource string, operations ...admissionv1.OperationType) admissionv1.NamedRuleWithOperations {
	return admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: operations,
		Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}},
	}}
}

// explain says what is not as it was.
func (e *exporter) explain() {
	if e.Namespaces == nil {
		e.notKept("the namespaces of the system (%s) are exempt, which 1.24 knew nothing of; --namespaces can name them", strings.Join(admission.SystemNamespaces(), ", "))
	}
	if !e.Extensions {
		e.notKept("grants of use in the API group extensions, which 1.24 honoured beside policy, are not looked at; --extensions-group does, for at most %d policies", MaxPolicies(true))
	}
	switch {
	case !e.strict():
		e.notKept("nothing is filled in under %s: a pod is judged as if the policy had filled it in", e.Mode)
	case e.out.Mutating == nil && e.fills():
		e.notKept("nothing is filled in before Kubernetes 1.%d: pods must have it themselves, and are refused otherwise", mutatingMinor)
	}
	if slices.ContainsFunc(e.policies, func(p *Policy) bool { return slices.Contains(p.Spec.Volumes, "*") }) {
		e.notKept("types of volume newer than 1.24, such as image, are allowed by \"*\" and by nothing else")
	}
	e.notKept("the audit annotations that named the policy of a pod; the pod's own annotation %s is written under deny", policyAnnotation)
}

// fills reports whether some policy fills anything in.
func (e *exporter) fills() bool {
	for _, p := range e.policies {
		for _, r := range p.rules(place{mutating: true}) {
			if len(r.pod)+len(r.container) > 0 {
				return true
			}
		}
	}
	return false
}
