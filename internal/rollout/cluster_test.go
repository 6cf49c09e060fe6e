package rollout_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/load/cluster"
	"bulkhead.dev/bulkhead/internal/rollout"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

// live is a real API server with namespaces of one test.
type live struct {
	*rollout.Cluster
	config     *rest.Config
	kube       kubernetes.Interface
	dynamic    dynamic.Interface
	minor      int
	namespaces []string

	mu       sync.Mutex
	warnings []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (l *live) HandleWarningHeader(_ int, _ string, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.warnings = append(l.warnings, text)
}

func (l *live) heard() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.warnings
	l.warnings = nil
	return out
}

func connect(t *testing.T, namespaces int) *live {
	t.Helper()
	config, _ := testcluster.Config(t)
	testcluster.Exclusive(t, "policies")
	l := &live{config: config}
	config.WarningHandler = l
	l.kube, l.dynamic = kubernetes.NewForConfigOrDie(config), dynamic.NewForConfigOrDie(config)
	l.Cluster = rollout.NewCluster(l.dynamic)
	var err error
	if l.minor, err = cluster.Version(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	for range namespaces {
		ns, err := l.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "rollout-"}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		l.namespaces = append(l.namespaces, ns.Name)
		t.Cleanup(func() {
			_ = l.kube.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), ns.Name, metav1.DeleteOptions{})
		})
	}
	l.removeAll(t) // of a run that was broken off
	t.Cleanup(func() { l.removeAll(t) })
	return l
}

func (l *live) removeAll(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	s, err := l.Read(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	p, err := l.Plan(ctx, s, s.ToNothing(), rollout.Options{})
	if err == nil {
		_, err = l.Apply(ctx, p)
	}
	if err != nil {
		t.Error(err)
	}
}

func controlsNamed(t *testing.T, names ...string) []*check.Control {
	t.Helper()
	all, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	selected, err := catalog.Select(all, catalog.Selection{Profile: "all", Only: names})
	if err != nil {
		t.Fatal(err)
	}
	return selected
}

func (l *live) policies(t *testing.T, o admission.ExportOptions, names ...string) []rollout.Policy {
	t.Helper()
	controls := controlsNamed(t, names...)
	o.Mode, o.Minor, o.Now, o.Parameters = admission.Warn, l.minor, time.Now(), check.Defaults(controls)
	out, err := admission.Export(controls, o)
	if err != nil || len(out.LeftOut) > 0 {
		t.Fatal(out, err)
	}
	policies, err := rollout.Policies(out.Policies)
	if err != nil {
		t.Fatal(err)
	}
	return policies
}

// apply plans and applies what is wanted of the state, and returns what changed.
func (l *live) apply(t *testing.T, o rollout.Options, want func(*rollout.State) (*rollout.Wanted, error)) map[string]rollout.Verb {
	t.Helper()
	plan, err := l.plan(t, o, want)
	if err != nil {
		t.Fatal(err)
	}
	done, err := l.Apply(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	planned, made := verbs(plan.Changes), verbs(done)
	if fmt.Sprint(planned) != fmt.Sprint(made) {
		t.Errorf("planned %v\nmade    %v", planned, made)
	}
	return made
}

func (l *live) plan(t *testing.T, o rollout.Options, want func(*rollout.State) (*rollout.Wanted, error)) (*rollout.Plan, error) {
	t.Helper()
	s, err := l.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w, err := want(s)
	if err != nil {
		t.Fatal(err)
	}
	return l.Plan(t.Context(), s, w, o)
}

func verbs(changes []rollout.Change) map[string]rollout.Verb {
	out := map[string]rollout.Verb{}
	for i := range changes {
		kind, name, _ := strings.Cut(changes[i].Object(), "/")
		kind, _, _ = strings.Cut(kind, ".")
		out[kind+"/"+name] = changes[i].Verb
	}
	return out
}

func toPolicies(policies []rollout.Policy, steps rollout.Steps) func(*rollout.State) (*rollout.Wanted, error) {
	return func(s *rollout.State) (*rollout.Wanted, error) { return s.ToPolicies(policies, &steps) }
}

// outcome is what becomes of the creation of a pod.
func (l *live) outcome(t *testing.T, namespace, image string) (string, string) {
	t.Helper()
	l.heard()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}}}
	_, err := l.kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return "deny", err.Error()
	}
	if i := slices.IndexFunc(l.heard(), func(w string) bool { return strings.Contains(w, "Validation failed") }); i >= 0 {
		return "warn", ""
	}
	return "", ""
}

// await waits until a pod with the image is treated so in each namespace.
func (l *live) await(t *testing.T, image string, want map[string]string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		got := map[string]string{}
		for namespace := range want {
			got[namespace], _ = l.outcome(t, namespace, image)
		}
		if fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a pod of %s: %v, want %v", image, got, want)
		}
	}
}

var gvrs = []schema.GroupVersionResource{
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingadmissionpolicies"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingadmissionpolicybindings"},
	{Version: "v1", Resource: "namespaces"},
}

// everything is each policy, binding and namespace of this test's concern: its labels
// and its spec, or with versions its resourceVersion. What other tests make at the
// same time is left out.
func (l *live) everything(t *testing.T, versions bool) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, gvr := range gvrs {
		list, err := l.dynamic.Resource(gvr).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			foreign := gvr.Resource == "namespaces" && !slices.Contains(l.namespaces, o.GetName()) || gvr.Resource != "namespaces" && strings.Contains(o.GetName(), "conformance-")
			if foreign {
				continue
			}
			text := fmt.Sprint(o.GetLabels(), o.GetAnnotations(), o.Object["spec"])
			if versions {
				text = o.GetResourceVersion()
			}
			out[gvr.Resource+"/"+o.GetName()] = text
		}
	}
	return out
}

func diff(a, b map[string]string) string {
	var out []string
	for k, v := range a {
		if b[k] != v {
			out = append(out, fmt.Sprintf("%s: %q became %q", k, v, b[k]))
		}
	}
	for k, v := range b {
		if _, ok := a[k]; !ok {
			out = append(out, fmt.Sprintf("%s is new: %q", k, v))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
