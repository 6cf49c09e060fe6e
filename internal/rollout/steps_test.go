package rollout

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
)

// testPolicy is a policy for resources of the core group.
func testPolicy(control string, resources ...any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": validatingPolicy,
		"metadata": map[string]any{"name": control + domain, "labels": map[string]any{ControlLabel: control, OwnerLabel: OwnerValue}},
		"spec": map[string]any{"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{
			"apiGroups": []any{""}, "apiVersions": []any{"*"}, "operations": []any{"CREATE"}, "resources": resources}}}},
	}}
	return u
}

func testPolicies(t *testing.T) []Policy {
	t.Helper()
	var out []Policy
	for _, o := range []*unstructured.Unstructured{testPolicy("a", "pods", "pods/ephemeralcontainers"), testPolicy("b", "services"), testPolicy("c", "persistentvolumes")} {
		p, err := policyOf(o)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, *p)
	}
	return out
}

// stateWith is a state in which objects have been applied.
func stateWith(objects ...*unstructured.Unstructured) *State {
	s := &State{objects: map[key]*unstructured.Unstructured{}}
	for _, o := range objects {
		o = &unstructured.Unstructured{Object: runtime.DeepCopyJSON(o.Object)}
		o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: FieldManager, Operation: metav1.ManagedFieldsOperationApply}})
		s.objects[keyOf(o)] = o
	}
	s.interpret()
	return s
}

var testNames = []string{"blog", "ci", "kube-system", "shop", "web"}

func randomSteps(r *rand.Rand) Steps {
	s := Steps{Named: map[string]Step{}, Others: Step(r.IntN(4)), Cluster: Step(r.IntN(4))}
	for _, name := range testNames {
		if r.IntN(2) == 0 {
			s.Named[name] = Step(r.IntN(4))
		}
	}
	return s
}

// acting is the step at which bindings judge a namespace, as the API server matches
// labels.
func acting(t *testing.T, bindings map[key]*unstructured.Unstructured, policy, namespace string) (strictest Step, matching int) {
	t.Helper()
	for _, o := range bindings {
		name, _, _ := unstructured.NestedString(o.Object, "spec", "policyName")
		if o.GetKind() != validatingBinding || name != policy {
			continue
		}
		content, found, _ := unstructured.NestedMap(o.Object, "spec", "matchResources", "namespaceSelector")
		selector := labels.Everything()
		if found {
			var typed metav1.LabelSelector
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &typed); err != nil {
				t.Fatal(err)
			}
			var err error
			if selector, err = metav1.LabelSelectorAsSelector(&typed); err != nil {
				t.Fatal(err)
			}
		}
		if !selector.Matches(labels.Set{namespaceLabel: namespace}) {
			continue
		}
		actions, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "validationActions")
		step := Audit
		if slices.Contains(actions, "Warn") {
			step = Warn
		}
		if slices.Contains(actions, "Deny") {
			step = Deny
		}
		strictest = max(strictest, step)
		matching++
	}
	return strictest, matching
}

// TestBindingsSayTheSteps: whatever the steps, one binding and no more acts in each
// namespace, as strictly as the step says; and the steps can be read out of them.
func TestBindingsSayTheSteps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	policies := testPolicies(t)
	for range 500 {
		steps := randomSteps(r)
		bindings, err := Bindings(policies, &steps)
		if err != nil {
			t.Fatal(err)
		}
		byKey := map[key]*unstructured.Unstructured{}
		objects := slices.Clone(bindings)
		for _, b := range bindings {
			byKey[keyOf(b)] = b
		}
		for _, p := range policies {
			objects = append(objects, p.Object)
		}
		for _, name := range append([]string{"new", "kube-public"}, testNames...) {
			for _, control := range []string{"a", "b"} {
				want := min(1, int(steps.Of(name)))
				if step, n := acting(t, byKey, control+domain, name); step != steps.Of(name) || n != want {
					t.Fatalf("%+v: %s is judged at %s by %d bindings of %s", steps, name, step, n, control)
				}
			}
		}
		if step, _ := acting(t, byKey, "c"+domain, ""); step != steps.Cluster {
			t.Fatalf("%+v: the cluster is judged at %s", steps, step)
		}
		read := stateWith(objects...)
		if len(read.Uneven) > 0 {
			t.Fatalf("%+v: %q", steps, read.Uneven)
		}
		if steps.Others == Off {
			// There is no binding that could say that a namespace is off.
			maps.DeleteFunc(steps.Named, func(_ string, s Step) bool { return s == Off })
			maps.DeleteFunc(read.Steps.Named, func(_ string, s Step) bool { return s == Off })
		}
		if steps.Named["kube-system"] == Off {
			delete(steps.Named, "kube-system") // as it is anyway
		}
		if got, want := fmt.Sprint(read.Steps), fmt.Sprint(steps); got != want {
			t.Fatalf("read %s\nof   %s", got, want)
		}
	}
}

// TestNoGap: while namespaces move up or down together, none is judged, at any moment,
// more mildly than before and after.
func TestNoGap(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	policies := testPolicies(t)
	moves := []func(Step) Step{Step.Next, Step.Back}
	for _, step := range []Step{Off, Audit, Warn, Deny} {
		moves = append(moves, func(Step) Step { return step })
	}
	for range 500 {
		before := randomSteps(r)
		bindings, err := Bindings(policies, &before)
		if err != nil {
			t.Fatal(err)
		}
		objects := slices.Clone(bindings)
		for _, p := range policies {
			objects = append(objects, p.Object)
		}
		s := stateWith(objects...)
		target := Target{Others: r.IntN(3) == 0, Cluster: r.IntN(3) == 0}
		for _, name := range testNames {
			if r.IntN(2) == 0 {
				target.Namespaces = append(target.Namespaces, name)
			}
		}
		after := s.Steps.Moved(target, moves[r.IntN(len(moves))])
		wanted, err := s.ToSteps(&after)
		if err != nil {
			t.Fatal(err)
		}
		now := maps.Clone(s.objects)
		check := func(when string) {
			for _, name := range append([]string{"new"}, testNames...) {
				least := min(s.Steps.Of(name), after.Of(name))
				if step, _ := acting(t, now, "a"+domain, name); step < least {
					t.Fatalf("from %+v to %+v, after %s: %s is judged at %s", s.Steps, after, when, name, step)
				}
			}
		}
		for _, o := range wanted.Apply {
			now[keyOf(o)] = o
			check(o.GetName())
		}
		for _, o := range wanted.Delete {
			delete(now, keyOf(o))
			check("deleting " + o.GetName())
		}
		for _, name := range append([]string{"new"}, testNames...) {
			if step, _ := acting(t, now, "a"+domain, name); step != after.Of(name) {
				t.Fatalf("from %+v to %+v: %s ends at %s", s.Steps, after, name, step)
			}
		}
	}
}

// TestUneven: what was interrupted counts as strictly as any policy does, and is said.
func TestUneven(t *testing.T) {
	policies := testPolicies(t)
	of := func(p Policy, s Steps) *unstructured.Unstructured {
		bindings, err := Bindings([]Policy{p}, &s)
		if err != nil || len(bindings) != 1 {
			t.Fatal(bindings, err)
		}
		return bindings[0]
	}
	s := stateWith(policies[0].Object, policies[1].Object, policies[2].Object,
		of(policies[0], Steps{Named: map[string]Step{"shop": Deny}}), of(policies[1], Steps{Named: map[string]Step{"shop": Warn}}))
	if s.Steps.Of("shop") != Deny || s.Of("b", "shop") != Warn || s.Of("c", "") != Off {
		t.Errorf("read %+v", s.Steps)
	}
	if len(s.Uneven) != 1 || s.Uneven[0] != "namespace shop: 1 policy at warn and not at deny" {
		t.Errorf("uneven: %q", s.Uneven)
	}
	if next := s.Next(Target{Namespaces: []string{"shop", "blog"}, Others: true, Cluster: true}); next.Of("shop") != Deny || next.Of("blog") != Audit || next.Cluster != Audit {
		t.Errorf("next: %+v", next)
	}
	s = stateWith(policies[0].Object, policies[1].Object, of(policies[0], Steps{Others: Warn}), of(policies[1], Steps{Others: Audit}))
	if next := s.Next(Target{Namespaces: []string{"shop"}, Others: true}); next.Others != Warn || next.Of("shop") != Warn {
		t.Errorf("next, where a move was interrupted: %+v", next)
	}
}

// TestByHand: a binding that was changed by hand is said, and is no step.
func TestByHand(t *testing.T) {
	policies := testPolicies(t)
	for name, change := range map[string]func(map[string]any){
		"label": func(m map[string]any) { m["matchLabels"] = map[string]any{"team": "a"} },
		"exists": func(m map[string]any) {
			m["matchExpressions"] = []any{map[string]any{"key": namespaceLabel, "operator": "Exists"}}
		},
		"another": func(m map[string]any) {
			m["matchExpressions"] = []any{map[string]any{"key": "team", "operator": "In", "values": []any{"a"}}}
		},
	} {
		bindings, err := Bindings(policies[:1], &Steps{Others: Deny})
		if err != nil {
			t.Fatal(err)
		}
		selector, _, _ := unstructured.NestedMap(bindings[0].Object, "spec", "matchResources", "namespaceSelector")
		change(selector)
		if err := unstructured.SetNestedMap(bindings[0].Object, selector, "spec", "matchResources", "namespaceSelector"); err != nil {
			t.Fatal(err)
		}
		s := stateWith(policies[0].Object, bindings[0])
		if len(s.Uneven) != 1 || !strings.Contains(s.Uneven[0], "changed by hand") || s.Steps.Others != Off {
			t.Errorf("%s: %+v %q", name, s.Steps, s.Uneven)
		}
	}
}

// TestMixedScope: no step could hold for a policy of objects in namespaces and in none.
func TestMixedScope(t *testing.T) {
	if _, err := policyOf(testPolicy("mixed", "pods", "nodes")); err == nil {
		t.Error("a policy of pods and nodes is taken")
	}
	for resource, want := range map[string]bool{"pods": true, "namespaces": true, "nodes": false} {
		p, err := policyOf(testPolicy("one", resource))
		if err != nil || p.Namespaced != want {
			t.Errorf("%s: %+v, %v", resource, p, err)
		}
	}
}

// TestOwned: the label alone makes nothing ours, nor does the field manager alone.
func TestOwned(t *testing.T) {
	s := stateWith(testPolicy("a", "pods"))
	o := s.objects[key{validatingPolicy, "a" + domain}]
	if !owned(o) {
		t.Fatal("what was applied is not owned")
	}
	copied := o.DeepCopy()
	copied.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply}, {Manager: FieldManager, Operation: metav1.ManagedFieldsOperationUpdate}})
	unlabelled := o.DeepCopy()
	unlabelled.SetLabels(nil)
	if owned(copied) || owned(unlabelled) {
		t.Error("what others applied is owned")
	}
}

func TestParseStep(t *testing.T) {
	for i, name := range stepNames {
		if s, err := ParseStep(name); err != nil || s != Step(i) || s.String() != name {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	if _, err := ParseStep("enforce"); err == nil {
		t.Error("enforce is a step")
	}
	if Deny.Next() != Deny || Off.Back() != Off || Off.Next() != Audit || Deny.Back() != Warn || StepOf(admission.Deny) != Deny {
		t.Error("the steps are in another order")
	}
}

// TestActionsOfExport: a step does what policy export writes for the mode of its name.
func TestActionsOfExport(t *testing.T) {
	all, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	one := slices.DeleteFunc(all, func(c *check.Control) bool { return c.Name != "no-node-port" })
	for _, mode := range []admission.Mode{admission.Audit, admission.Warn, admission.Deny} {
		out, err := admission.Export(one, admission.ExportOptions{Mode: mode, Minor: 37, Parameters: check.Defaults(one)})
		if err != nil {
			t.Fatal(err)
		}
		policies, err := Policies(out.Policies)
		if err != nil {
			t.Fatal(err)
		}
		binding := policies[0].binding("all", StepOf(mode), nil).(*admissionv1.ValidatingAdmissionPolicyBinding)
		if got, want := binding.Spec.ValidationActions, out.Policies[0].ValidatingBinding.Spec.ValidationActions; !slices.Equal(got, want) {
			t.Errorf("%s: %v, and export writes %v", mode, got, want)
		}
	}
}
