package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

// cluster is a real API server with a namespace for one test.
type cluster struct {
	kube      kubernetes.Interface
	dynamic   dynamic.Interface
	namespace string
}

func connect(t *testing.T) *cluster {
	t.Helper()
	config, _ := testcluster.Config(t)
	c := &cluster{kube: kubernetes.NewForConfigOrDie(config), dynamic: dynamic.NewForConfigOrDie(config)}
	ns, err := c.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "conformance-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.namespace = ns.Name
	t.Cleanup(func() {
		_ = c.kube.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), ns.Name, metav1.DeleteOptions{})
	})
	return c
}

// marked gives an object the label that the policies of one test select by, so
// that tests that run at once do not meet in the namespaces of the system.
func marked(o *model.Object, control string) *model.Object {
	content := runtime.DeepCopyJSON(o.Content)
	if err := unstructured.SetNestedField(content, control, "metadata", "labels", markLabel); err != nil {
		panic(err) // examples have maps where maps belong
	}
	out, _ := model.NewObject(content, nil, model.Source{})
	model.NewWorld([]*model.Object{out}, model.WorldOptions{})
	return out
}

const markLabel = "conformance"

func selecting(m *admissionv1.MatchResources, control string) *admissionv1.MatchResources {
	m.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{markLabel: control}}
	return m
}

// systemNamespaces exist in every cluster; what is written into another
// namespace is sent to that of the test.
var systemNamespaces = []string{"default", "kube-system", "kube-public", "kube-node-lease"}

// create sends an object in a dry run: admission runs in full, and defaulting,
// and nothing is stored.
func (c *cluster) create(ctx context.Context, o *model.Object) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(o.Content)}
	if o.Kind == "Pod" && o.List("spec", "ephemeralContainers") != nil {
		return c.debug(ctx, u)
	}
	r, ok := model.BuiltinResource(o.GroupKind)
	if !ok {
		return nil, fmt.Errorf("kind %s is not served", o.GroupKind)
	}
	client := c.dynamic.Resource(schema.GroupVersionResource{Group: o.Group, Version: o.Version, Resource: r.Name})
	if !r.Namespaced {
		return client.Create(ctx, u, metav1.CreateOptions{DryRun: []string{"All"}})
	}
	if !slices.Contains(systemNamespaces, u.GetNamespace()) {
		u.SetNamespace(c.namespace)
	}
	in := client.Namespace(u.GetNamespace())
	made, err := in.Create(ctx, u, metav1.CreateOptions{DryRun: []string{"All"}})
	if apierrors.IsAlreadyExists(err) && o.Kind == "ServiceAccount" && o.Name == "default" {
		// Every namespace is given one.
		return in.Update(ctx, u, metav1.UpdateOptions{DryRun: []string{"All"}})
	}
	return made, err
}

// debug adds a pod's ephemeral containers in a dry run, to the same pod without
// them, which is made the first time: they cannot be set when a pod is created.
func (c *cluster) debug(ctx context.Context, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &pod); err != nil {
		return nil, err
	}
	pods := c.kube.CoreV1().Pods(c.namespace)
	running, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		plain := pod.DeepCopy()
		plain.Namespace, plain.Spec.EphemeralContainers = c.namespace, nil
		running, err = pods.Create(ctx, plain, metav1.CreateOptions{})
	}
	if err != nil {
		return nil, err
	}
	running.Spec.EphemeralContainers = pod.Spec.EphemeralContainers
	updated, err := pods.UpdateEphemeralContainers(ctx, pod.Name, running, metav1.UpdateOptions{DryRun: []string{"All"}})
	if err != nil {
		return nil, err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(updated)
	out := &unstructured.Unstructured{Object: content}
	out.SetGroupVersionKind(u.GroupVersionKind())
	return out, err
}

// TestOneVerdict sends every example to the API server with the exported policy
// and compares verdict and message with the offline ones.
func TestOneVerdict(t *testing.T) {
	connect(t)
	controls, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	var compared, refusedFirst atomic.Int64
	for _, control := range controls {
		if control.Object == nil || control.Object.Violations == "" {
			continue
		}
		t.Run(control.Name, func(t *testing.T) {
			t.Parallel()
			n, refused := connect(t).compare(t, control)
			compared.Add(int64(n))
			refusedFirst.Add(int64(refused))
		})
	}
	t.Cleanup(func() {
		t.Logf("compared %d verdicts; %d examples were refused by the API's own validation first", compared.Load(), refusedFirst.Load())
	})
}

func (c *cluster) compare(t *testing.T, control *check.Control) (compared, refusedFirst int) {
	values := check.Defaults([]*check.Control{control})[control.Name]
	objects := examples(t, control)
	plain := make([]*unstructured.Unstructured, len(objects)) // after defaulting
	for i, o := range objects {
		u, err := c.create(t.Context(), o)
		if err != nil {
			t.Logf("%s: refused without the policy: %v", o.Ref(), err)
			refusedFirst++
			continue
		}
		plain[i] = u
	}
	c.enforce(t, control, values, objects, plain)
	evaluator, err := admission.Compile([]*check.Control{control}, check.Parameters{control.Name: values}, 37)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range objects {
		if plain[i] == nil {
			continue
		}
		want := offline(t, evaluator, o)
		if defaulted, _ := model.NewObject(plain[i].Object, nil, model.Source{}); defaulted != nil {
			model.NewWorld([]*model.Object{defaulted}, model.WorldOptions{})
			if after := offline(t, evaluator, defaulted); after != want {
				t.Errorf("%s: the verdict changes with defaulting:\nbefore %q\nafter  %q", o.Ref(), want, after)
			}
		}
		_, err := c.create(t.Context(), o)
		got := refusal(err)
		if got != want {
			t.Errorf("%s:\nAPI server %q\noffline    %q", o.Ref(), got, want)
		}
		compared++
	}
	return compared, refusedFirst
}

// enforce creates the policy and waits until the API server refuses what it must.
func (c *cluster) enforce(t *testing.T, control *check.Control, values map[string]any, objects []*model.Object, plain []*unstructured.Unstructured) {
	t.Helper()
	policy, err := admission.ValidatingPolicy(control, values)
	if err != nil {
		t.Fatal(err)
	}
	policy.Spec.MatchConstraints = selecting(policy.Spec.MatchConstraints, control.Name)
	policies, bindings := c.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies(), c.kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	if _, err := policies.Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatalf("the API server refuses the policy: %v", err)
	}
	t.Cleanup(func() { _ = policies.Delete(context.WithoutCancel(t.Context()), policy.Name, metav1.DeleteOptions{}) })
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: policy.Name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: policy.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}}}
	if _, err := bindings.Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bindings.Delete(context.WithoutCancel(t.Context()), binding.Name, metav1.DeleteOptions{}) })
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		for i, o := range objects {
			if plain[i] == nil {
				continue
			}
			if _, err := c.create(t.Context(), o); refusal(err) != "" {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Error("the API server admits every bad example")
			return
		}
	}
}

// examples decodes all examples of a control, bad ones first.
func examples(t *testing.T, control *check.Control) []*model.Object {
	t.Helper()
	var out []*model.Object
	for _, text := range append(append([]string(nil), control.Examples.Bad...), control.Examples.Good...) {
		f := manifest.NewDecoder().Decode(model.Source{File: "example.yaml"}, []byte(text))
		for _, o := range f.Objects {
			if o.Text("metadata", "name") != "" {
				out = append(out, marked(o, control.Name))
			}
		}
	}
	return out
}

// offline is the message that the offline verdict amounts to; empty is a pass.
func offline(t *testing.T, e *admission.Evaluator, o *model.Object) string {
	t.Helper()
	judgements, err := e.Evaluate(t.Context(), o)
	if err != nil {
		t.Fatalf("%s: %v", o.Ref(), err)
	}
	var messages []string
	for _, j := range judgements {
		if j.Reason != "" {
			t.Errorf("%s: unknown: %s", o.Ref(), j.Reason)
		}
		if len(j.Violations) > 0 {
			messages = append(messages, admission.Message(j.Violations))
		}
	}
	return strings.Join(messages, "; ")
}

// refusal is the message of a policy's refusal without the API server's prefix.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	message := err.Error()
	if status, ok := err.(apierrors.APIStatus); ok {
		message = status.Status().Message
	}
	if _, after, ok := strings.Cut(message, "denied request: "); ok {
		return after
	}
	return "unexpected: " + message
}

// TestOneMutation compares what the API server makes of each bad example under
// the exported MutatingAdmissionPolicy with the offline fix, after defaulting.
func TestOneMutation(t *testing.T) {
	connect(t)
	controls, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	var compared atomic.Int64
	for _, control := range controls {
		if control.FixPolicy() == nil {
			continue
		}
		t.Run(control.Name, func(t *testing.T) {
			t.Parallel()
			compared.Add(int64(connect(t).compareMutation(t, control)))
		})
	}
	t.Cleanup(func() { t.Logf("compared %d mutated objects", compared.Load()) })
}

func (c *cluster) compareMutation(t *testing.T, control *check.Control) int {
	values := check.Defaults([]*check.Control{control})[control.Name]
	mutation, err := admission.CompileMutation(control, values)
	if err != nil {
		t.Fatal(err)
	}
	type pair struct{ object, fixed *model.Object }
	var pairs []pair
	var want []*unstructured.Unstructured
	for _, o := range examples(t, control) {
		if !mutation.Concerns(o) {
			continue
		}
		if _, err := c.create(t.Context(), o); err != nil {
			continue
		}
		content, err := mutation.Apply(t.Context(), o)
		if err != nil {
			t.Errorf("%s: %v", o.Ref(), err)
			continue
		}
		if o.List("spec", "ephemeralContainers") != nil {
			continue // a fix is for creation, where there are none
		}
		fixed, _ := model.NewObject(content, nil, model.Source{})
		u, err := c.create(t.Context(), fixed)
		if err != nil {
			t.Errorf("%s: the API server refuses the fixed object: %v", o.Ref(), err)
			continue
		}
		pairs, want = append(pairs, pair{o, fixed}), append(want, u)
	}
	c.mutate(t, control, values)
	for i, p := range pairs {
		var difference string
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			got, err := c.create(t.Context(), p.object)
			if err != nil {
				difference = err.Error()
			} else {
				difference = diff(want[i], got)
			}
			if difference == "" || time.Now().After(deadline) {
				break
			}
		}
		if difference != "" {
			t.Errorf("%s: the API server's mutation differs from ours (-ours +theirs):\n%s", p.object.Ref(), difference)
		}
	}
	return len(pairs)
}

func (c *cluster) mutate(t *testing.T, control *check.Control, values map[string]any) {
	t.Helper()
	policy, err := admission.MutatingPolicy(control, values)
	if err != nil {
		t.Fatal(err)
	}
	policy.Spec.MatchConstraints = selecting(policy.Spec.MatchConstraints, control.Name)
	policies, bindings := c.kube.AdmissionregistrationV1().MutatingAdmissionPolicies(), c.kube.AdmissionregistrationV1().MutatingAdmissionPolicyBindings()
	if _, err := policies.Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatalf("the API server refuses the policy: %v", err)
	}
	t.Cleanup(func() { _ = policies.Delete(context.WithoutCancel(t.Context()), policy.Name, metav1.DeleteOptions{}) })
	binding := &admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: policy.Name},
		Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: policy.Name}}
	if _, err := bindings.Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bindings.Delete(context.WithoutCancel(t.Context()), binding.Name, metav1.DeleteOptions{}) })
}
