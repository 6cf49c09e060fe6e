package admission

import (
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// MessageExpression renders the violations of an exported policy into the
// message of its refusal. Message does the same offline.
const MessageExpression = `variables.violations.map(v, v.detail + " (" + v.path + ")").join("; ")`

// Message is what the API server would say of violations.
func Message(violations []check.Violation) string {
	parts := make([]string, len(violations))
	for i, v := range violations {
		parts[i] = fmt.Sprintf("%s (%s)", v.Detail, v.Path)
	}
	return strings.Join(parts, "; ")
}

// ValidatingPolicy writes a control as a ValidatingAdmissionPolicy, with the
// values of its parameters compiled in.
func ValidatingPolicy(c *check.Control, values map[string]any) (*admissionv1.ValidatingAdmissionPolicy, error) {
	if c.Object == nil || c.Object.Violations == "" {
		return nil, fmt.Errorf("control %s is no policy of single objects", c.Name)
	}
	violations := c.Object.Violations
	if c.Object.Linux {
		violations = `variables.podSpec.?os.?name.orValue("linux") == "windows" ? [] : (` + violations + ")"
	}
	fail := admissionv1.Fail
	return &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingAdmissionPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: policyName(c)},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy:    &fail,
			MatchConstraints: matchResources(c.Object, admissionv1.Create, admissionv1.Update),
			Variables:        append(policyVariables(c, c.Object, values, violations, false), admissionv1.Variable{Name: "violations", Expression: violations}),
			Validations: []admissionv1.Validation{{
				Expression:        "size(variables.violations) == 0",
				Message:           c.Title,
				MessageExpression: MessageExpression,
			}},
		},
	}, nil
}

// MutatingPolicy writes a control's fix as a MutatingAdmissionPolicy. Pods are
// mutated when they are created and not later, because nearly all of a running
// pod's spec cannot change.
//
// The fix of a control of whole worlds is meant for objects that have a finding: as
// a policy it changes every object that could have one.
func MutatingPolicy(c *check.Control, values map[string]any) (*admissionv1.MutatingAdmissionPolicy, error) {
	policy := c.FixPolicy()
	if policy == nil {
		return nil, fmt.Errorf("control %s has no mutation", c.Name)
	}
	mutation := policy.Mutation
	if policy.Linux {
		mutation = `variables.podSpec.?os.?name.orValue("linux") == "windows" ? [] : (` + mutation + ")"
	}
	fail := admissionv1.Fail
	return &admissionv1.MutatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingAdmissionPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: policyName(c)},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy:      &fail,
			ReinvocationPolicy: admissionv1.IfNeededReinvocationPolicy,
			MatchConstraints:   matchResources(policy, admissionv1.Create),
			Variables:          policyVariables(c, policy, values, mutation, true),
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch,
				JSONPatch: &admissionv1.JSONPatch{Expression: mutation},
			}},
		},
	}, nil
}

func policyName(c *check.Control) string { return c.Name + ".bulkhead.dev" }

// policyVariables are the variables that the expression uses, in the order in
// which they use each other.
func policyVariables(c *check.Control, policy *check.ObjectPolicy, values map[string]any, expression string, fix bool) []admissionv1.Variable {
	var all []check.Variable
	if policy.Pods {
		all = sharedVariables(anyBuiltin, fix)
	}
	if len(c.Parameters) > 0 {
		all = append(all, check.Variable{Name: "params", Expression: literal(values)})
	}
	all = append(all, policy.Variables...)
	used := map[string]bool{}
	var mark func(string)
	mark = func(text string) {
		for _, m := range variableUse.FindAllStringSubmatch(text, -1) {
			for _, v := range all {
				if v.Name == m[1] && !used[v.Name] {
					used[v.Name] = true
					mark(v.Expression)
				}
			}
		}
	}
	mark(expression)
	var out []admissionv1.Variable
	for _, v := range all {
		if used[v.Name] {
			out = append(out, admissionv1.Variable{Name: v.Name, Expression: v.Expression})
		}
	}
	return out
}

// matchResources selects the resources that a policy is about. Ephemeral
// containers are added to a pod through a subresource, by an update, and so are
// matched by a rule of their own.
func matchResources(p *check.ObjectPolicy, operations ...admissionv1.OperationType) *admissionv1.MatchResources {
	out := &admissionv1.MatchResources{}
	byGroup := map[string][]string{}
	var groups []string
	add := func(gk model.GroupKind) {
		r, ok := model.BuiltinResource(gk)
		if !ok || gk.Group == "extensions" {
			return
		}
		if byGroup[gk.Group] == nil {
			groups = append(groups, gk.Group)
		}
		byGroup[gk.Group] = append(byGroup[gk.Group], r.Name)
	}
	if p.Pods {
		for _, t := range model.PodTemplates() {
			add(t.GroupKind)
		}
	}
	for _, gk := range p.Kinds {
		add(gk)
	}
	for _, g := range groups {
		out.ResourceRules = append(out.ResourceRules, resourceRule(g, byGroup[g], operations))
	}
	if p.Pods && len(operations) > 1 {
		out.ResourceRules = append(out.ResourceRules, resourceRule("", []string{"pods/ephemeralcontainers"}, []admissionv1.OperationType{admissionv1.Update}))
	}
	return out
}

func resourceRule(group string, resources []string, operations []admissionv1.OperationType) admissionv1.NamedRuleWithOperations {
	return admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: operations,
		Rule:       admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: resources},
	}}
}
