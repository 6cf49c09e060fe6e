package psp

import (
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/admission"
)

// mutating writes what fills pods in: of the policy that admits the pod as it is, or
// else of the first, by name, that admits it filled in.
//
// What 1.24 did to every pod, whatever the policies, is done first: profiles in
// annotations of seccomp become fields.
func (e *exporter) mutating() error {
	if !e.strict() || e.Minor < mutatingMinor {
		return nil
	}
	at := place{mutating: true}
	variables := append(e.shared(at), e.translation()...)
	for i := range e.policies {
		variables = append(variables, e.fillings(i, at)...)
		variables = append(variables, e.judgement(i, at)...)
	}
	variables = append(variables, e.choice()...)
	fail := admissionv1.Fail
	version := "v1"
	if e.Minor < mutatingV1 {
		version = "v1beta1"
	}
	policy := &admissionv1.MutatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.GroupName + "/" + version, Kind: "MutatingAdmissionPolicy"},
		ObjectMeta: e.meta(),
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy:      &fail,
			ReinvocationPolicy: admissionv1.IfNeededReinvocationPolicy,
			MatchConstraints:   &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{matchPods("pods", admissionv1.Create)}},
			Variables:          variables,
			Mutations:          []admissionv1.Mutation{{PatchType: admissionv1.PatchTypeJSONPatch, JSONPatch: &admissionv1.JSONPatch{Expression: patchExpression}}},
		},
	}
	if _, err := admission.CompileNative(&policy.Spec, e.Minor); err != nil {
		return err
	}
	e.out.Mutating = policy
	e.out.MutatingBinding = &admissionv1.MutatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: policy.APIVersion, Kind: "MutatingAdmissionPolicyBinding"},
		ObjectMeta: e.meta(),
		Spec:       admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: policy.Name, MatchResources: e.bound()},
	}
	return nil
}

// translation is the variables with the fields that annotations of seccomp become.
func (e *exporter) translation() []admissionv1.Variable {
	value := func(text string) string {
		return fmt.Sprintf(`%[1]s.startsWith(%[2]s) ? {"type": "Localhost", "localhostProfile": %[1]s.substring(%[3]d)} : {"type": %[1]s == %[4]s ? "Unconfined" : "RuntimeDefault"}`,
			text, quote(localhost), len(localhost), quote(unconfined))
	}
	pod := filling{pointer: "/spec/securityContext/seccompProfile", missing: constant(`variables.seccomp != "" && !variables.sc.?seccompProfile.hasValue()`),
		value: constant(value("variables.seccomp"))}
	text := func(k string) string {
		return translated(annotation(quote(seccompContainerAnnotation) + " + " + k + ".name"))
	}
	container := filling{pointer: "/seccompProfile", missing: func(k string) string { return text(k) + ` != "" && !` + own(k, "seccompProfile") + ".hasValue()" },
		value: func(k string) string { return fmt.Sprintf("[%s].map(t, %s)[0]", text(k), value("t")) }}
	pointers := func(list string) string {
		return fmt.Sprintf(`object.spec.?%[1]s.orValue([]).transformList(i, c, "/spec/%[1]s/" + string(i) + "/securityContext")`, list)
	}
	return []admissionv1.Variable{
		{Name: "pointers", Expression: sum([]string{pointers("initContainers"), pointers("containers"), pointers("ephemeralContainers")})},
		{Name: "translated", Expression: pod.set("")},
		{Name: "translated_in", Expression: containers + ".map(c, " + container.set("c") + ")"},
	}
}

// fillings is the variables with what a policy fills in: in the pod, and in each of
// its containers.
func (e *exporter) fillings(i int, at place) []admissionv1.Variable {
	rules := e.policies[i].rules(at)
	var pod, container []string
	for _, field := range sortedKeys(rules) {
		for _, f := range rules[field].pod {
			pod = append(pod, f.set(""))
		}
		for _, f := range rules[field].container {
			container = append(container, f.set("c"))
		}
	}
	id := e.identifiers[i]
	return []admissionv1.Variable{
		{Name: id + "_fills", Expression: sum(pod)},
		{Name: id + "_fills_in", Expression: containers + ".map(c, " + sum(container) + ")"},
		{Name: id + "_changes", Expression: fmt.Sprintf("size(variables.%[1]s_fills) > 0 || variables.%[1]s_fills_in.exists(l, size(l) > 0)", id)},
	}
}

// asked tells a pod whose seccomp profile is a field and no annotation. 1.24 wrote the
// annotation then, under every policy, so that no policy left such a pod as it was.
const asked = `variables.sc.?seccompProfile.hasValue() && variables.seccomp != "" && !object.metadata.?annotations[?"` + seccompPodAnnotation + `"].hasValue()`

// choice is the variables with the policy that a pod is admitted by and what that
// fills in.
func (e *exporter) choice() []admissionv1.Variable {
	var unchanged, changed, fills, fillsIn strings.Builder
	for i, p := range e.policies {
		id, name := e.identifiers[i], quote(p.Name)
		fmt.Fprintf(&unchanged, "!variables.always_changed && !variables.%[1]s_changes && variables.%[1]s_admits ? %[2]s :\n", id, name)
		fmt.Fprintf(&changed, "(variables.always_changed || variables.%[1]s_changes) && variables.%[1]s_admits ? %[2]s :\n", id, name)
		fmt.Fprintf(&fills, "variables.chosen == %s ? variables.%s_fills :\n", name, id)
		fmt.Fprintf(&fillsIn, "variables.chosen == %s ? variables.%s_fills_in :\n", name, id)
	}
	return []admissionv1.Variable{
		{Name: "always_changed", Expression: asked},
		{Name: "chosen", Expression: unchanged.String() + changed.String() + `""`},
		{Name: "fills", Expression: "variables.translated + (" + fills.String() + "[])"},
		{Name: "chosen_in", Expression: fillsIn.String() + "[]"},
		{Name: "fills_in", Expression: "variables.translated_in.transformList(i, t, t + (variables.chosen == \"\" ? [] : variables.chosen_in[i]))"},
	}
}

// patchExpression writes what is filled in, with what holds it, and the name of the
// policy as 1.24 did. A pod that no policy admits gets fields for its
// annotations and no more, and is refused after.
const patchExpression = `(variables.fills.exists(f, f.path.startsWith("/spec/securityContext/")) && !has(object.spec.securityContext) ?
  [JSONPatch{op: "add", path: "/spec/securityContext", value: dyn({})}] : []) +
variables.fills.map(f, JSONPatch{op: "add", path: f.path, value: f.value}) +
variables.fills_in.transformList(i, l,
  (size(l) > 0 && !has(variables.containers[i].securityContext) ?
    [JSONPatch{op: "add", path: variables.pointers[i], value: dyn({})}] : []) +
  l.map(f, JSONPatch{op: "add", path: variables.pointers[i] + f.path, value: f.value})).flatten() +
(variables.chosen == "" ? [] : has(object.metadata.annotations) ?
  [JSONPatch{op: "add", path: "/metadata/annotations/kubernetes.io~1psp", value: dyn(variables.chosen)}] :
  [JSONPatch{op: "add", path: "/metadata/annotations", value: dyn({"kubernetes.io/psp": variables.chosen})}])`
