package vap

import (
	"errors"
	"fmt"
	"slices"

	v1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"bulkhead.dev/bulkhead/internal/model"
)

// Group is the API group of policies and bindings.
const Group = "admissionregistration.k8s.io"

// PolicyKind and BindingKind are the kinds that this package reads.
var (
	PolicyKind  = model.GroupKind{Group: Group, Kind: "ValidatingAdmissionPolicy"}
	BindingKind = model.GroupKind{Group: Group, Kind: "ValidatingAdmissionPolicyBinding"}
)

// parsePolicy reads a policy, with the defaults of the API.
func parsePolicy(o *model.Object) (*v1.ValidatingAdmissionPolicy, error) {
	p := &v1.ValidatingAdmissionPolicy{}
	if err := decode(o, p); err != nil {
		return nil, err
	}
	s := &p.Spec
	if s.MatchConstraints == nil || len(s.MatchConstraints.ResourceRules) == 0 {
		return nil, errors.New("spec.matchConstraints.resourceRules is missing: a policy must say what it is about")
	}
	if len(s.Validations) == 0 && len(s.AuditAnnotations) == 0 {
		return nil, errors.New("spec.validations is missing: a policy must have one, or auditAnnotations")
	}
	if s.ParamKind != nil && (s.ParamKind.APIVersion == "" || s.ParamKind.Kind == "") {
		return nil, errors.New("spec.paramKind must name an apiVersion and a kind")
	}
	if s.FailurePolicy == nil {
		s.FailurePolicy = new(v1.FailurePolicyType)
		*s.FailurePolicy = v1.Fail
	}
	if !slices.Contains([]v1.FailurePolicyType{v1.Fail, v1.Ignore}, *s.FailurePolicy) {
		return nil, fmt.Errorf("spec.failurePolicy is %q: it must be Fail or Ignore", *s.FailurePolicy)
	}
	return p, defaultResources("spec.matchConstraints", s.MatchConstraints)
}

// parseBinding reads a binding, with the defaults of the API.
func parseBinding(o *model.Object) (*v1.ValidatingAdmissionPolicyBinding, error) {
	b := &v1.ValidatingAdmissionPolicyBinding{}
	if err := decode(o, b); err != nil {
		return nil, err
	}
	s := &b.Spec
	if s.PolicyName == "" {
		return nil, errors.New("spec.policyName is missing")
	}
	if len(s.ValidationActions) == 0 {
		return nil, errors.New("spec.validationActions is missing: it must have Deny, Warn or Audit")
	}
	for _, a := range s.ValidationActions {
		if !slices.Contains([]v1.ValidationAction{v1.Deny, v1.Warn, v1.Audit}, a) {
			return nil, fmt.Errorf("spec.validationActions has %q: it may have Deny, Warn and Audit", a)
		}
	}
	if r := s.ParamRef; r != nil {
		if (r.Name == "") == (r.Selector == nil) {
			return nil, errors.New("spec.paramRef must have either a name or a selector")
		}
		if r.ParameterNotFoundAction == nil || *r.ParameterNotFoundAction != v1.AllowAction && *r.ParameterNotFoundAction != v1.DenyAction {
			return nil, errors.New("spec.paramRef.parameterNotFoundAction must be Allow or Deny")
		}
		if _, err := metav1.LabelSelectorAsSelector(r.Selector); err != nil {
			return nil, fmt.Errorf("spec.paramRef.selector: %w", err)
		}
	}
	if s.MatchResources == nil {
		return b, nil
	}
	return b, defaultResources("spec.matchResources", s.MatchResources)
}

// decode reads an object into its type. A field that the type does not have is an
// error: whoever wrote it meant something by it.
func decode(o *model.Object, into any) error {
	if o.Version != "v1" && o.Version != "v1beta1" {
		return fmt.Errorf("its version is %s: only v1 and v1beta1 are known", o.Version)
	}
	// The two versions have the same fields.
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(model.WithoutNulls(o.Content), into, true); err != nil {
		return fmt.Errorf("the API server would refuse it: %w", err)
	}
	return nil
}

// defaultResources gives match resources what the API server gives them, and reports
// what it would refuse.
func defaultResources(path string, m *v1.MatchResources) error {
	if m.NamespaceSelector == nil {
		m.NamespaceSelector = &metav1.LabelSelector{}
	}
	if m.ObjectSelector == nil {
		m.ObjectSelector = &metav1.LabelSelector{}
	}
	if _, err := metav1.LabelSelectorAsSelector(m.NamespaceSelector); err != nil {
		return fmt.Errorf("%s.namespaceSelector: %w", path, err)
	}
	if _, err := metav1.LabelSelectorAsSelector(m.ObjectSelector); err != nil {
		return fmt.Errorf("%s.objectSelector: %w", path, err)
	}
	if m.MatchPolicy == nil {
		m.MatchPolicy = new(v1.MatchPolicyType)
		*m.MatchPolicy = v1.Equivalent
	}
	for _, list := range []struct {
		field string
		rules []v1.NamedRuleWithOperations
	}{{"resourceRules", m.ResourceRules}, {"excludeResourceRules", m.ExcludeResourceRules}} {
		for i := range list.rules {
			r := &list.rules[i]
			if len(r.APIGroups) == 0 || len(r.APIVersions) == 0 || len(r.Resources) == 0 || len(r.Operations) == 0 {
				return fmt.Errorf("%s.%s[%d] must have apiGroups, apiVersions, operations and resources", path, list.field, i)
			}
			if r.Scope == nil {
				r.Scope = new(v1.ScopeType)
				*r.Scope = v1.AllScopes
			}
		}
	}
	return nil
}
