package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
)

var dryRun = []string{metav1.DryRunAll}

// life is a namespace with a Deployment, of one pod, that offends no-latest-tag and
// was there before the policy.
type life struct {
	*cluster
	mark string
}

func newLife(t *testing.T, mark string) *life {
	t.Helper()
	l := &life{connect(t), mark}
	if _, err := l.kube.AppsV1().Deployments(l.namespace).Create(t.Context(), l.deployment("web", "example.com/web:latest"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	l.awaitPods(t, 1)
	return l
}

func (l *life) pod(name string, images ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{markLabel: l.mark}}}
	for i, image := range images {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", i), Image: image})
	}
	return p
}

func (l *life) deployment(name string, images ...string) *appsv1.Deployment {
	labels := map[string]string{markLabel: l.mark, "app": name}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType // no pod gets ready for others to go
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	d.Spec.Template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: l.pod("", images...).Spec}
	return d
}

func (l *life) enforce(t *testing.T, controls []string, o admission.ExportOptions) {
	t.Helper()
	all, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	selected, err := catalog.Select(all, catalog.Selection{Profile: "all", Only: controls})
	if err != nil {
		t.Fatal(err)
	}
	o.Mode = admission.Deny
	for _, p := range export(t, selected, o).Policies {
		l.install(t, l.mark, p, func() bool {
			_, err := l.kube.CoreV1().Pods(l.namespace).Create(t.Context(), l.pod("probe", "example.com/probe:latest"), metav1.CreateOptions{DryRun: dryRun})
			return refusal(err) != ""
		})
	}
}

// awaitPods waits until the controllers have made as many pods as are wanted.
func (l *life) awaitPods(t *testing.T, want int) []corev1.Pod {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		pods, err := l.kube.CoreV1().Pods(l.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app"})
		if err != nil {
			t.Fatal(err)
		}
		var running []corev1.Pod
		for _, p := range pods.Items {
			if p.DeletionTimestamp == nil {
				running = append(running, p)
			}
		}
		if len(running) == want {
			return running
		}
		if time.Now().After(deadline) {
			t.Fatalf("the controllers have %d pods, want %d", len(running), want)
		}
	}
}

// update changes the Deployment, again where a controller was faster.
func (l *life) update(ctx context.Context, name string, change func(*appsv1.Deployment)) error {
	for {
		d, err := l.kube.AppsV1().Deployments(l.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(d)
		_, err = l.kube.AppsV1().Deployments(l.namespace).Update(ctx, d, metav1.UpdateOptions{})
		if !apierrors.IsConflict(err) {
			return err
		}
	}
}

const latest = "container c%d runs example.com/%s:latest, a tag that moves (spec.template.spec.containers[%d].image)"

// TestLifeUnderDeny does to an offender that was there before the policy what happens
// to every workload, with the controllers of Kubernetes at work.
func TestLifeUnderDeny(t *testing.T) {
	l := newLife(t, "life")
	l.enforce(t, []string{"no-latest-tag"}, admission.ExportOptions{})
	ctx := t.Context()
	deployments, pods := l.kube.AppsV1().Deployments(l.namespace), l.kube.CoreV1().Pods(l.namespace)

	expect := func(what string, err error, want string) {
		t.Helper()
		if got := refusal(err); got != want {
			t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
		}
	}
	_, err := deployments.Create(ctx, l.deployment("new", "example.com/a:1", "example.com/new:latest"), metav1.CreateOptions{})
	expect("a new offender", err, fmt.Sprintf(latest, 1, "new", 1))
	_, err = deployments.Create(ctx, l.deployment("good", "example.com/a:1"), metav1.CreateOptions{DryRun: dryRun})
	expect("a new workload without offence", err, "")
	_, err = deployments.Patch(ctx, "applied", types.ApplyPatchType, []byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"applied","labels":{"conformance":"life"}},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c0","image":"example.com/applied:latest"}]}}}}`), metav1.PatchOptions{FieldManager: "test"})
	expect("a new offender by server-side apply", err, fmt.Sprintf(latest, 0, "applied", 0))

	for _, c := range []struct {
		what, want string
		change     func(*appsv1.Deployment)
	}{
		{"labels, annotations and finalizers", "", func(d *appsv1.Deployment) {
			d.Labels["team"], d.Annotations, d.Finalizers = "a", map[string]string{"a": "b"}, []string{"example.com/wait"}
		}},
		{"replicas", "", func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(2)) }},
		{"another field beside the template", "", func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = 1 }},
		{"an environment variable of the offender", "", func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "B"}}
		}},
		{"a second offence", fmt.Sprintf(latest, 1, "other", 1), func(d *appsv1.Deployment) {
			d.Spec.Template.Spec = l.pod("", "example.com/web:latest", "example.com/other:latest").Spec
		}},
		{"another offence instead", fmt.Sprintf(latest, 0, "other", 0), func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Image = "example.com/other:latest"
		}},
		{"another container before the offender", "", func(d *appsv1.Deployment) {
			containers := d.Spec.Template.Spec.Containers
			d.Spec.Template.Spec.Containers = append([]corev1.Container{{Name: "first", Image: "example.com/first:1"}}, containers...)
		}},
	} {
		expect(c.what, l.update(ctx, "web", c.change), c.want)
	}

	l.awaitPods(t, 2)
	_, err = deployments.Patch(ctx, "web", types.MergePatchType, []byte(`{"spec":{"replicas":3}}`), metav1.PatchOptions{}, "scale")
	expect("scaling", err, "")
	running := l.awaitPods(t, 3)
	err = pods.EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: running[0].Name}})
	expect("eviction", err, "")
	running = l.awaitPods(t, 3)
	_, err = pods.Patch(ctx, running[0].Name, types.MergePatchType, []byte(`{"status":{"message":"here"}}`), metav1.PatchOptions{}, "status")
	expect("a pod's status", err, "")
	_, err = pods.Patch(ctx, running[0].Name, types.MergePatchType, []byte(`{"metadata":{"labels":{"x":"y"}}}`), metav1.PatchOptions{})
	expect("a pod's labels", err, "")

	forged := l.pod("forged", "example.com/forged:latest")
	forged.OwnerReferences = running[0].OwnerReferences
	_, err = pods.Create(ctx, forged, metav1.CreateOptions{})
	expect("a pod that names an owner", err, "container c0 runs example.com/forged:latest, a tag that moves (spec.containers[0].image)")
	ephemeral := running[1].DeepCopy()
	ephemeral.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "example.com/debug:latest"}}}
	_, err = pods.UpdateEphemeralContainers(ctx, ephemeral.Name, ephemeral, metav1.UpdateOptions{DryRun: dryRun})
	expect("an ephemeral container", err, "container debug runs example.com/debug:latest, a tag that moves (spec.ephemeralContainers[0].image)")
	_, err = l.kube.CoreV1().Pods("kube-system").Create(ctx, l.pod("system", "example.com/a:latest"), metav1.CreateOptions{DryRun: dryRun})
	expect("a pod of the system", err, "")

	expect("deletion", deployments.Delete(ctx, "web", metav1.DeleteOptions{}), "")
	expect("a worse offence while it is being deleted", l.update(ctx, "web", func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Image = "example.com/other:latest"
	}), fmt.Sprintf(strings.Replace(latest, "c%d", "first", 1), "other", 0))
	expect("the finalizer's removal", l.update(ctx, "web", func(d *appsv1.Deployment) { d.Finalizers = nil }), "")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := deployments.Get(ctx, "web", metav1.GetOptions{}); apierrors.IsNotFound(err) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the Deployment does not go")
		}
	}
}

// TestWaiversUnderDeny: what a waiver names is created while it lasts, by whoever
// writes it and by the controllers, and nothing else is.
func TestWaiversUnderDeny(t *testing.T) {
	l := &life{connect(t), "waived"}
	now := time.Now()
	waiver := func(name string, days int, containers ...string) admission.ExportWaiver {
		return admission.ExportWaiver{Waiver: &check.Waiver{Name: name, Controls: []string{"no-latest-tag"}, Containers: containers, Owner: "team", Reason: "why",
			Resources: []check.WaiverResource{{Kind: "Deployment", Namespace: l.namespace, Name: name}}, Expires: now.UTC().AddDate(0, 0, days)}}
	}
	l.enforce(t, []string{"no-latest-tag"}, admission.ExportOptions{
		Now:     now.AddDate(0, 0, -10), // so that one expires between export and use
		Waivers: []admission.ExportWaiver{waiver("web", 1), waiver("old-*", -3), waiver("part", 1, "c1")},
	})
	deployments := l.kube.AppsV1().Deployments(l.namespace)
	for _, c := range []struct {
		what, want string
		d          *appsv1.Deployment
	}{
		{"waived", "", l.deployment("web", "example.com/web:latest")},
		{"another name", fmt.Sprintf(latest, 0, "web", 0), l.deployment("web2", "example.com/web:latest")},
		{"expired", fmt.Sprintf(latest, 0, "web", 0), l.deployment("old-web", "example.com/web:latest")},
		{"the other container", fmt.Sprintf(latest, 0, "web", 0), l.deployment("part", "example.com/web:latest", "example.com/part:latest")},
		{"the container", "", l.deployment("part", "example.com/web:1", "example.com/part:latest")},
	} {
		_, err := deployments.Create(t.Context(), c.d, metav1.CreateOptions{})
		if got := refusal(err); got != c.want {
			t.Errorf("%s:\ngot  %q\nwant %q", c.what, got, c.want)
		}
	}
	running := l.awaitPods(t, 2) // of web and of part
	forged := l.pod("forged", "example.com/web:latest")
	forged.OwnerReferences = running[0].OwnerReferences
	if _, err := l.kube.CoreV1().Pods(l.namespace).Create(t.Context(), forged, metav1.CreateOptions{}); refusal(err) == "" {
		t.Error("a pod that anyone makes is let through by the waiver of the owner that it names")
	}
	err := l.update(t.Context(), "web", func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers, corev1.Container{Name: "more", Image: "example.com/more:latest"})
	})
	if got := refusal(err); !strings.Contains(got, "container more") || strings.Contains(got, "container c0") {
		t.Errorf("an update of what is waived: %q", got)
	}
}

// TestAnnotationsUnderDeny: where the platform lets annotations waive, an object is
// created with them while they last, and what the controllers make of it.
func TestAnnotationsUnderDeny(t *testing.T) {
	l := &life{connect(t), "annotated"}
	l.enforce(t, []string{"no-latest-tag"}, admission.ExportOptions{Annotations: &check.AnnotationSettings{Namespaces: []string{"conformance-*"}}})
	today := time.Now().UTC()
	waiver := func(days int, more string) map[string]string {
		return map[string]string{check.WaiverAnnotation + "no-latest-tag": "why; owner=team; expires=" + today.AddDate(0, 0, days).Format(time.DateOnly) + more}
	}
	for _, c := range []struct {
		name, want           string
		onObject, onTemplate map[string]string
	}{
		{"object", "", waiver(1, ""), nil},
		{"template", "", nil, waiver(1, "; container=c*")},
		{"other-container", fmt.Sprintf(latest, 0, "web", 0), nil, waiver(1, "; container=d")},
		{"expired", fmt.Sprintf(latest, 0, "web", 0), waiver(-2, ""), nil},
		{"malformed", fmt.Sprintf(latest, 0, "web", 0), waiver(1, "; because"), nil},
	} {
		d := l.deployment(c.name, "example.com/web:latest")
		d.Annotations, d.Spec.Template.Annotations = c.onObject, c.onTemplate
		_, err := l.kube.AppsV1().Deployments(l.namespace).Create(t.Context(), d, metav1.CreateOptions{})
		if got := refusal(err); got != c.want {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, c.want)
		}
	}
	l.awaitPods(t, 2)
}

// TestExportedMutation: what export writes changes an object when it is created, by
// whoever writes it, and neither what a waiver names nor what is there.
func TestExportedMutation(t *testing.T) {
	l := &life{connect(t), "mutated"}
	all, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	selected, err := catalog.Select(all, catalog.Selection{Profile: "all", Only: []string{"no-service-links"}})
	if err != nil {
		t.Fatal(err)
	}
	waiver := &check.Waiver{Name: "web", Controls: []string{"no-service-links"}, Owner: "team", Reason: "why", Expires: time.Now().UTC(),
		Resources: []check.WaiverResource{{Kind: "Deployment", Namespace: "*", Name: "waived"}}}
	exported := export(t, selected, admission.ExportOptions{Mode: admission.Deny, Mutate: true, Waivers: []admission.ExportWaiver{{Waiver: waiver}}})
	if len(exported.Policies) != 2 || exported.Policies[1].Mutating == nil {
		t.Fatalf("exported %+v", exported)
	}
	l.mutateBy(t, exported.Policies[1])
	links := func(d *appsv1.Deployment) (bool, error) {
		created, err := l.kube.AppsV1().Deployments(l.namespace).Create(t.Context(), d, metav1.CreateOptions{DryRun: dryRun})
		if err != nil {
			return false, err
		}
		l := created.Spec.Template.Spec.EnableServiceLinks
		return l == nil || *l, nil
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		linked, err := links(l.deployment("web", "example.com/a:1"))
		if err != nil {
			t.Fatal(err)
		}
		if !linked {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is mutated")
		}
	}
	if linked, err := links(l.deployment("waived", "example.com/a:1")); err != nil || !linked {
		t.Errorf("what is waived is mutated: %v", err)
	}
	// A pod that the controllers make is as its workload was written.
	if _, err := l.kube.AppsV1().Deployments(l.namespace).Create(t.Context(), l.deployment("waived", "example.com/a:1"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if links := l.awaitPods(t, 1)[0].Spec.EnableServiceLinks; links != nil && !*links {
		t.Error("a pod of what is waived is mutated")
	}
}

func (l *life) mutateBy(t *testing.T, p admission.ExportedPolicy) {
	t.Helper()
	policy, binding := p.Mutating.DeepCopy(), p.MutatingBinding.DeepCopy()
	policy.Name = l.mark + "." + l.namespace
	binding.Name, binding.Spec.PolicyName = policy.Name, policy.Name
	policy.Spec.MatchConstraints = selecting(policy.Spec.MatchConstraints, l.mark)
	policies, bindings := l.kube.AdmissionregistrationV1().MutatingAdmissionPolicies(), l.kube.AdmissionregistrationV1().MutatingAdmissionPolicyBindings()
	if _, err := policies.Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatalf("the API server refuses the policy: %v", err)
	}
	t.Cleanup(func() { _ = policies.Delete(context.WithoutCancel(t.Context()), policy.Name, metav1.DeleteOptions{}) })
	if _, err := bindings.Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatalf("the API server refuses the binding: %v", err)
	}
	t.Cleanup(func() { _ = bindings.Delete(context.WithoutCancel(t.Context()), binding.Name, metav1.DeleteOptions{}) })
}
