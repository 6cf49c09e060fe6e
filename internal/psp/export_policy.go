package psp

import (
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/admission"
)

const sharedContainers = `object.spec.?initContainers.orValue([]) + object.spec.?containers.orValue([]) + object.spec.?ephemeralContainers.orValue([])`

func (e *exporter) shared(at place) []admissionv1.Variable {
	seccomp := profileText("object.spec.?securityContext.?seccompProfile")
	if at.mutating {
		seccomp = fmt.Sprintf("object.spec.?securityContext.?seccompProfile.hasValue() ? (%s) : %s", seccomp, translated(annotation(quote(seccompPodAnnotation))))
	}
	return []admissionv1.Variable{
		{Name: "sc", Expression: "object.spec.?securityContext.orValue({})"},
		{Name: "containers", Expression: sharedContainers},
		{Name: "volumes", Expression: "object.spec.?volumes.orValue([])"},
		{Name: "seccomp", Expression: seccomp},
	}
}

// authorized is the variables that say whether the service account of the pod, or the
// user, may use a policy. 1.24 asked for the service account first, as the more likely.
// They are two, because a single expression may spend what two checks cost.
func (e *exporter) authorized(i int) []admissionv1.Variable {
	groups := []string{policyGroup}
	if e.Extensions {
		groups = append(groups, extensionsGroup)
	}
	check := func(who string) string {
		var out []string
		for _, g := range groups {
			out = append(out, fmt.Sprintf(`%s.group(%s).resource("podsecuritypolicies").namespace(request.namespace).name(%s).check("use").allowed()`, who, quote(g), quote(e.policies[i].Name)))
		}
		return strings.Join(out, " ||\n")
	}
	return []admissionv1.Variable{
		{Name: e.identifiers[i] + "_for_account", Expression: `object.spec.?serviceAccountName.orValue("") != "" && (` + check("authorizer.serviceAccount(request.namespace, object.spec.serviceAccountName)") + ")"},
		{Name: e.identifiers[i] + "_for_user", Expression: check("authorizer")},
	}
}

// sum of CEL lists. Additions nest, and the parser allows only so many levels.
func sum(lists []string) string {
	if len(lists) == 0 {
		return "[]"
	}
	return strings.Join(lists, " +\n")
}

// judgement is the variables that say what a policy makes of a pod.
func (e *exporter) judgement(i int, at place) []admissionv1.Variable {
	id, rules := e.identifiers[i], e.policies[i].rules(at)
	var refusals, missing []string
	for _, field := range sortedKeys(rules) {
		r := rules[field]
		refusals = append(refusals, r.refusals...)
		missing = append(missing, r.missingMessages(field)...)
	}
	out := append(e.authorized(i), admissionv1.Variable{Name: id + "_refuses", Expression: sum(refusals)})
	admits := fmt.Sprintf("size(variables.%s_refuses) == 0 && ", id)
	if e.strict() && !at.mutating {
		out = append(out, admissionv1.Variable{Name: id + "_misses", Expression: sum(missing)})
		admits += fmt.Sprintf("size(variables.%s_misses) == 0 && ", id)
	}
	return append(out, admissionv1.Variable{Name: id + "_admits", Expression: admits + fmt.Sprintf("(variables.%[1]s_for_account || variables.%[1]s_for_user)", id)})
}

// onlyOwners lets through what the garbage collector does to pods, as 1.24 did.
const onlyOwners = `request.operation != "UPDATE" || object.spec != oldObject.spec ||
object.metadata.?labels != oldObject.metadata.?labels || object.metadata.?annotations != oldObject.metadata.?annotations ||
object.metadata.?deletionTimestamp != oldObject.metadata.?deletionTimestamp ||
object.metadata.?deletionGracePeriodSeconds != oldObject.metadata.?deletionGracePeriodSeconds`

func (e *exporter) validating() error {
	at := place{}
	variables := e.shared(at)
	hint := fmt.Sprintf("object.metadata.?annotations[?%s].orValue(\"\")", quote(policyAnnotation))
	var first, all, messages []string
	for i, p := range e.policies {
		id := e.identifiers[i]
		variables = append(variables, e.judgement(i, at)...)
		first = append(first, fmt.Sprintf("%s == %s && variables.%s_admits", hint, quote(p.Name), id))
		all = append(all, fmt.Sprintf("variables.%s_admits", id))
		reasons := fmt.Sprintf("variables.%s_refuses", id)
		if e.strict() {
			reasons += fmt.Sprintf(" + variables.%s_misses", id)
		}
		messages = append(messages, fmt.Sprintf("%s + [%s].map(r, size(r) == 0 ? \"neither the user nor the pod's service account may use it\" : r.join(\"; \"))[0]", quote(p.Name+": "), reasons))
	}
	fail := admissionv1.Fail
	policy := &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingAdmissionPolicy"},
		ObjectMeta: e.meta(),
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy:    &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{matchPods("pods", admissionv1.Create, admissionv1.Update)}},
			MatchConditions:  []admissionv1.MatchCondition{{Name: "not-only-owners-and-finalizers", Expression: onlyOwners}},
			Variables:        variables,
			Validations: []admissionv1.Validation{{
				// The policy that the pod was admitted by is asked first; what it says is
				// remembered.
				Expression:        strings.Join(append(first, all...), " ||\n"),
				Message:           "no PodSecurityPolicy that may be used admits the pod",
				MessageExpression: fmt.Sprintf("[[%s].join(\" | \")].map(m, \"no PodSecurityPolicy admits the pod: \" + (size(m) > %[2]d ? m.substring(0, %[2]d) + \"...\" : m))[0]", strings.Join(messages, ",\n"), messageLimit),
			}},
		},
	}
	if e.Ephemeral {
		rules := &policy.Spec.MatchConstraints.ResourceRules
		*rules = append(*rules, matchPods("pods/ephemeralcontainers", admissionv1.Update))
	}
	if _, err := admission.CompileNative(&policy.Spec, e.Minor); err != nil {
		return err
	}
	e.out.Validating = policy
	e.out.ValidatingBinding = &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: policy.APIVersion, Kind: "ValidatingAdmissionPolicyBinding"},
		ObjectMeta: e.meta(),
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: policy.Name, ValidationActions: e.Mode.Actions(), MatchResources: e.bound()},
	}
	return nil
}

// messageLimit is in characters, of which the API server takes 5 KiB.
const messageLimit = 4000
