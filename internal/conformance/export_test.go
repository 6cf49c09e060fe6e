package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestOneVerdictExported sends every example of every control that can be exported to
// the API server with what export writes under deny: as a creation, and as an update
// of each other example of its kind, which was there before the policy. Verdict and
// message must be those of the offline evaluator; for an update, of what that makes
// worse.
func TestOneVerdictExported(t *testing.T) {
	connect(t)
	controls, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	var total tally
	for _, control := range controls {
		if control.Object == nil || control.Object.Violations == "" {
			continue
		}
		t.Run(control.Name, func(t *testing.T) {
			t.Parallel()
			connect(t).compareExported(t, control, &total)
		})
	}
	t.Cleanup(func() {
		t.Logf("compared %d creations, %d of them refused, and %d updates, %d of them refused and %d admitted though the object offends; the API's own validation refused %d creations and %d updates first",
			total.creations.Load(), total.refusedCreations.Load(), total.updates.Load(), total.refusedUpdates.Load(), total.ratcheted.Load(),
			total.invalidCreations.Load(), total.invalidUpdates.Load())
		if !t.Failed() && (total.refusedUpdates.Load() == 0 || total.ratcheted.Load() == 0) {
			t.Error("the updates are one-sided")
		}
	})
}

type tally struct {
	creations, refusedCreations, invalidCreations      atomic.Int64
	updates, refusedUpdates, ratcheted, invalidUpdates atomic.Int64
}

func (c *cluster) compareExported(t *testing.T, control *check.Control, total *tally) {
	mark := "export-" + control.Name
	var objects []*model.Object
	for _, o := range examples(t, control) {
		o = marked(o, mark)
		if _, err := c.create(t.Context(), o); err != nil {
			total.invalidCreations.Add(1)
			continue
		}
		objects = append(objects, o)
	}
	before := c.store(t, objects)
	exported := export(t, []*check.Control{control}, admission.ExportOptions{Mode: admission.Deny})
	if len(exported.Policies) != 1 {
		t.Fatalf("exported %d policies: %v", len(exported.Policies), exported.LeftOut)
	}
	policy := exported.Policies[0]
	policy.ValidatingBinding.Spec.MatchResources = nil // examples are of the system's namespaces too
	evaluator, err := admission.Compile([]*check.Control{control}, check.Defaults([]*check.Control{control}), apiServerMinor)
	if err != nil {
		t.Fatal(err)
	}
	c.install(t, mark, policy, func() bool {
		return slices.ContainsFunc(objects, func(o *model.Object) bool {
			_, err := c.create(t.Context(), o)
			return refusal(err) != ""
		})
	})
	for _, o := range objects {
		want := offline(t, evaluator, o)
		_, err := c.create(t.Context(), o)
		if got := refusal(err); got != want {
			t.Errorf("create %s:\nAPI server %q\noffline    %q", o.Ref(), got, want)
		}
		total.creations.Add(1)
		if want != "" {
			total.refusedCreations.Add(1)
		}
	}
	for _, old := range before {
		for _, o := range objects {
			if o.GroupKind == old.GroupKind {
				c.compareUpdate(t, evaluator, old, o, total)
			}
		}
	}
}

// compareUpdate makes one object into another, in a dry run.
func (c *cluster) compareUpdate(t *testing.T, e *admission.Evaluator, old, example *model.Object, total *tally) {
	t.Helper()
	current, err := c.resource(old).Get(t.Context(), old.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	changed := becoming(current, example)
	_, err = c.resource(old).Update(t.Context(), changed.DeepCopy(), metav1.UpdateOptions{DryRun: []string{"All"}})
	if err != nil && !strings.Contains(err.Error(), "denied request: ") {
		total.invalidUpdates.Add(1)
		return
	}
	was, is := violations(t, e, asObject(current)), violations(t, e, asObject(changed))
	want := admission.Message(worse(was, is))
	if got := refusal(err); got != want {
		t.Errorf("update %s to be %s:\nAPI server %q\noffline    %q", old.Ref(), example.Ref(), got, want)
	}
	total.updates.Add(1)
	if want != "" {
		total.refusedUpdates.Add(1)
	} else if len(is) > 0 {
		total.ratcheted.Add(1)
	}
}

// worse is what an update is refused for: each violation that there are more of than
// before, whatever its path.
func worse(was, is []check.Violation) []check.Violation {
	count := func(list []check.Violation, v check.Violation) (n int) {
		for _, o := range list {
			if o.Container == v.Container && o.Detail == v.Detail {
				n++
			}
		}
		return n
	}
	return slices.DeleteFunc(slices.Clone(is), func(v check.Violation) bool { return count(is, v) <= count(was, v) })
}

func violations(t *testing.T, e *admission.Evaluator, o *model.Object) []check.Violation {
	t.Helper()
	judgements, err := e.Evaluate(t.Context(), o)
	if err != nil {
		t.Fatalf("%s: %v", o.Ref(), err)
	}
	var out []check.Violation
	for _, j := range judgements {
		out = append(out, j.Violations...)
	}
	return out
}

// becoming is an object with the content of another and the identity, and what cannot
// change, of its own.
func becoming(current *unstructured.Unstructured, example *model.Object) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(example.Content)}
	for _, path := range [][]string{
		{"metadata", "name"}, {"metadata", "namespace"}, {"metadata", "resourceVersion"}, {"metadata", "uid"},
		{"metadata", "creationTimestamp"}, {"metadata", "labels", markLabel},
		{"spec", "selector"}, {"spec", "template", "metadata", "labels"}, {"spec", "serviceName"}, {"spec", "volumeClaimTemplates"},
	} {
		if len(path) > 1 && path[0] == "spec" && current.GetKind() == "Service" {
			continue
		}
		value, found, _ := unstructured.NestedFieldCopy(current.Object, path...)
		if !found {
			unstructured.RemoveNestedField(out.Object, path...)
			continue
		}
		_ = unstructured.SetNestedField(out.Object, value, path...)
	}
	return out
}

// store makes the objects for good, under names of their own, before there is a
// policy. They are kept from doing anything: no pods are run, no webhook is called, and
// an owner that does not exist takes no object with it.
func (c *cluster) store(t *testing.T, objects []*model.Object) []*model.Object {
	t.Helper()
	var out []*model.Object
	for i, o := range objects {
		if o.List("spec", "ephemeralContainers") != nil {
			continue
		}
		u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(o.Content)}
		u.SetName(fmt.Sprintf("%s-%d-%s", u.GetName(), i, c.namespace))
		if len(u.GetOwnerReferences()) > 0 {
			continue
		}
		disarm(u)
		object := asObject(u)
		if object.Namespace != "" && !slices.Contains(systemNamespaces, object.Namespace) || object.Namespace == "" && namespaced(object) {
			u.SetNamespace(c.namespace)
			object = asObject(u)
		}
		if _, err := c.resource(object).Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
			t.Logf("%s cannot be stored: %v", object.Ref(), err)
			continue
		}
		t.Cleanup(func() {
			_ = c.resource(object).Delete(context.WithoutCancel(t.Context()), object.Name, metav1.DeleteOptions{})
		})
		out = append(out, object)
	}
	return out
}

func disarm(u *unstructured.Unstructured) {
	switch u.GetKind() {
	case "Deployment", "ReplicaSet", "StatefulSet", "ReplicationController":
		_ = unstructured.SetNestedField(u.Object, int64(0), "spec", "replicas")
	case "Job", "CronJob":
		_ = unstructured.SetNestedField(u.Object, true, "spec", "suspend")
	}
	webhooks, _, _ := unstructured.NestedSlice(u.Object, "webhooks")
	for _, w := range webhooks {
		w.(map[string]any)["matchConditions"] = []any{map[string]any{"name": "never", "expression": "false"}}
	}
	if webhooks != nil {
		_ = unstructured.SetNestedSlice(u.Object, webhooks, "webhooks")
	}
	ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
	for _, p := range ports {
		delete(p.(map[string]any), "nodePort") // a creation in a dry run wants it too
	}
	if ports != nil {
		_ = unstructured.SetNestedSlice(u.Object, ports, "spec", "ports")
	}
}

func namespaced(o *model.Object) bool {
	r, _ := model.BuiltinResource(o.GroupKind)
	return r.Namespaced
}

// resource is the client for an object's kind, in its namespace.
func (c *cluster) resource(o *model.Object) dynamic.ResourceInterface {
	r, _ := model.BuiltinResource(o.GroupKind)
	client := c.dynamic.Resource(schema.GroupVersionResource{Group: o.Group, Version: o.Version, Resource: r.Name})
	if !r.Namespaced {
		return client
	}
	return client.Namespace(o.Namespace)
}

func export(t *testing.T, controls []*check.Control, o admission.ExportOptions) *admission.Exported {
	t.Helper()
	o.Minor = apiServerMinor
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Parameters == nil {
		o.Parameters = check.Defaults(controls)
	}
	out, err := admission.Export(controls, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// install creates an exported policy for objects with the mark, under a name of its own,
// and waits until the API server enforces it.
func (c *cluster) install(t *testing.T, mark string, p admission.ExportedPolicy, enforced func() bool) {
	t.Helper()
	policy, binding := p.Validating.DeepCopy(), p.ValidatingBinding.DeepCopy()
	policy.Name = strings.ToLower(mark) + "." + c.namespace
	binding.Name, binding.Spec.PolicyName = policy.Name, policy.Name
	policy.Spec.MatchConstraints = selecting(policy.Spec.MatchConstraints, mark)
	policies, bindings := c.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies(), c.kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	if _, err := policies.Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatalf("the API server refuses the policy: %v", err)
	}
	t.Cleanup(func() { _ = policies.Delete(context.WithoutCancel(t.Context()), policy.Name, metav1.DeleteOptions{}) })
	if _, err := bindings.Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatalf("the API server refuses the binding: %v", err)
	}
	t.Cleanup(func() { _ = bindings.Delete(context.WithoutCancel(t.Context()), binding.Name, metav1.DeleteOptions{}) })
	for deadline := time.Now().Add(30 * time.Second); !enforced(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the API server does not enforce the policy")
		}
	}
	// The status controller type-checks what is stored, a little later.
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		stored, err := policies.Get(t.Context(), policy.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if stored.Status.ObservedGeneration == stored.Generation && stored.Status.TypeChecking != nil {
			if w := stored.Status.TypeChecking.ExpressionWarnings; len(w) > 0 {
				t.Errorf("type-checking warns: %v", w)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the policy was not type-checked: %+v", stored.Status)
		}
	}
}
