package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/rollout"
)

// TestSteps goes through the steps and back, in one of two namespaces.
func TestSteps(t *testing.T) {
	l := connect(t, 2)
	a, b := l.namespaces[0], l.namespaces[1]
	policies := l.policies(t, admission.ExportOptions{}, "no-latest-tag", "no-node-port")
	steps := rollout.Steps{Named: map[string]rollout.Step{a: rollout.Warn, b: rollout.Audit}}
	if made := l.apply(t, rollout.Options{}, toPolicies(policies, steps)); len(made) != 6 {
		t.Errorf("made %v", made)
	}
	for name, verb := range l.apply(t, rollout.Options{}, toPolicies(policies, steps)) {
		if verb != rollout.Unchanged {
			t.Errorf("again: %s %s", name, verb)
		}
	}
	l.await(t, "example.com/a:latest", map[string]string{a: "warn", b: ""})
	move := func(to func(rollout.Step) rollout.Step) map[string]rollout.Verb {
		return l.apply(t, rollout.Options{}, func(s *rollout.State) (*rollout.Wanted, error) {
			after := s.Steps.Moved(rollout.Target{Namespaces: []string{a}}, to)
			return s.ToSteps(&after)
		})
	}
	made := move(rollout.Step.Next)
	if made["validatingadmissionpolicybinding/no-latest-tag.deny.bulkhead.dev"] != rollout.Created ||
		made["validatingadmissionpolicybinding/no-latest-tag.warn.bulkhead.dev"] != rollout.Deleted || len(made) != 6 {
		t.Errorf("to deny: %v", made)
	}
	l.await(t, "example.com/a:latest", map[string]string{a: "deny", b: ""})
	const message = "container c runs example.com/a:latest, a tag that moves (spec.containers[0].image)"
	if _, text := l.outcome(t, a, "example.com/a:latest"); !strings.Contains(text, message) {
		t.Errorf("the refusal says %q", text)
	}
	l.await(t, "example.com/a:1", map[string]string{a: "", b: ""})
	for _, want := range []string{"warn", "", ""} {
		move(rollout.Step.Back)
		l.await(t, "example.com/a:latest", map[string]string{a: want, b: ""})
	}
	s, err := l.Read(t.Context())
	if err != nil || s.Steps.Of(a) != rollout.Off || s.Steps.Of(b) != rollout.Audit || len(s.Uneven) > 0 {
		t.Errorf("ends at %+v: %v", s.Steps, err)
	}
}

// TestMutatingActsUnderDeny: fixes change nothing where the step is milder.
func TestMutatingActsUnderDeny(t *testing.T) {
	l := connect(t, 2)
	if l.minor < 36 {
		t.Skip("mutating policies are served from Kubernetes 1.36 on")
	}
	a, b := l.namespaces[0], l.namespaces[1]
	policies := l.policies(t, admission.ExportOptions{Mutate: true}, "no-service-links")
	l.apply(t, rollout.Options{}, toPolicies(policies, rollout.Steps{Named: map[string]rollout.Step{a: rollout.Deny, b: rollout.Warn}}))
	links := func(namespace string) bool {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example.com/a:1"}}}}
		got, err := l.kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil || *got.Spec.EnableServiceLinks
	}
	for deadline := time.Now().Add(30 * time.Second); links(a); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is mutated under deny")
		}
	}
	if !links(b) {
		t.Error("a pod is mutated under warn")
	}
	l.mended(t, a, "no-service-links")
	made := l.apply(t, rollout.Options{}, toPolicies(l.policies(t, admission.ExportOptions{}, "no-service-links"), rollout.Steps{Named: map[string]rollout.Step{a: rollout.Warn, b: rollout.Warn}}))
	if made["mutatingadmissionpolicy/no-service-links.bulkhead.dev"] != rollout.Deleted || made["mutatingadmissionpolicybinding/no-service-links.deny.bulkhead.dev"] != rollout.Deleted {
		t.Errorf("without the fixes: %v", made)
	}
}

// mended: what a fix forestalls is not refused, and is said to be so.
func (l *live) mended(t *testing.T, namespace, control string) {
	t.Helper()
	config := &corev1.PodTemplate{ObjectMeta: metav1.ObjectMeta{Name: "before"}}
	config.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "example.com/a:1"}}
	config.Template.Spec.EnableServiceLinks = new(true)
	stored, err := l.kube.CoreV1().PodTemplates(namespace).Create(t.Context(), config, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("what is mended is refused: %v", err)
	}
	if *stored.Template.Spec.EnableServiceLinks {
		t.Error("what is created is not mended")
	}
	milder := l.namespaces[1]
	if _, err := l.kube.CoreV1().PodTemplates(milder).Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	controls := controlsNamed(t, control)
	judge := rollout.Judge{Controls: controls, Now: time.Now(), Parameters: check.Defaults(controls)}
	if judge.Evaluator, err = admission.Compile(controls, judge.Parameters, l.minor); err != nil {
		t.Fatal(err)
	}
	for _, fixes := range [][]*check.Control{nil, controls} {
		judge.Fixes = fixes
		p, err := judge.Predict(t.Context(), l.read(t, controls))
		if err != nil {
			t.Fatal(err)
		}
		mine := slices.DeleteFunc(p.Refusals, func(r rollout.Refusal) bool { return r.Object.Namespace != milder })
		if len(mine) != 1 || mine[0].Mended != (fixes != nil) {
			t.Errorf("with %d fixes: predicted %+v", len(fixes), mine)
		}
	}
}

// TestRemoveLeavesTheRest: what was there before, of others and of the same name or
// label, is there afterwards as it was.
func TestRemoveLeavesTheRest(t *testing.T) {
	l := connect(t, 2)
	a, b := l.namespaces[0], l.namespaces[1]
	foreign := l.policies(t, admission.ExportOptions{}, "no-host-path-volumes")[0].Object
	foreign.SetName("foreign-" + a)
	copied := foreign.DeepCopy() // with the owner label, as a copy would have it
	copied.SetName("copied-" + a)
	foreign.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "bulkhead"})
	for _, o := range []*unstructured.Unstructured{foreign, copied} {
		if _, err := l.dynamic.Resource(gvrs[0]).Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "kubectl"}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = l.dynamic.Resource(gvrs[0]).Delete(context.WithoutCancel(t.Context()), o.GetName(), metav1.DeleteOptions{})
		})
	}
	label := func(manager, namespace string, labels map[string]string) error {
		o := namespaceWith(namespace, labels)
		_, err := l.dynamic.Resource(gvrs[4]).Apply(t.Context(), namespace, o, metav1.ApplyOptions{FieldManager: manager})
		return err
	}
	const warn, audit = "pod-security.kubernetes.io/warn", "pod-security.kubernetes.io/audit"
	if err := label("tenant", a, map[string]string{"team": "a", warn: "baseline"}); err != nil {
		t.Fatal(err)
	}
	before := l.everything(t, false)
	policies := l.policies(t, admission.ExportOptions{}, "no-latest-tag", "no-host-path-volumes")
	l.apply(t, rollout.Options{}, toPolicies(policies, rollout.Steps{Named: map[string]rollout.Step{a: rollout.Deny}, Cluster: rollout.Audit}))
	labels := func(s *rollout.State) (*rollout.Wanted, error) {
		return s.ToLabels([]*unstructured.Unstructured{namespaceWith(a, map[string]string{warn: "baseline", audit: "restricted"}), namespaceWith(b, map[string]string{audit: "restricted"})})
	}
	if made := l.apply(t, rollout.Options{}, labels); made["namespace/"+a] != rollout.Configured || made["namespace/"+b] != rollout.Configured {
		t.Errorf("labelled %v", made)
	}
	if changed := diff(before, l.everything(t, false)); strings.Count(changed, "\n")+1 != 6 {
		t.Errorf("applied:\n%s", changed)
	}
	toNothing := func(s *rollout.State) (*rollout.Wanted, error) { return s.ToNothing(), nil }
	versions := l.everything(t, true)
	plan, err := l.plan(t, rollout.Options{}, toNothing)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, c := range plan.Changes {
		order = append(order, strings.Split(c.Object(), ".")[0])
	}
	if got := strings.Join(order[2:], " "); got != "validatingadmissionpolicybinding validatingadmissionpolicybinding validatingadmissionpolicy validatingadmissionpolicy" {
		t.Errorf("removed in the order %s", order)
	}
	if changed := diff(versions, l.everything(t, true)); changed != "" {
		t.Errorf("the dry run changed\n%s", changed)
	}
	if _, err := l.Apply(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if changed := diff(before, l.everything(t, false)); changed != "" {
		t.Errorf("after the removal:\n%s", changed)
	}
	if made := l.apply(t, rollout.Options{}, toNothing); len(made) > 0 {
		t.Errorf("a second removal: %v", made)
	}
}

func namespaceWith(name string, labels map[string]string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	o.SetName(name)
	o.SetLabels(labels)
	return o
}

// TestDryRunChangesNothing: planning leaves no trace, neither of what is new nor of
// what would change.
func TestDryRunChangesNothing(t *testing.T) {
	l := connect(t, 1)
	a := l.namespaces[0]
	policies := l.policies(t, admission.ExportOptions{}, "no-latest-tag", "no-node-port")
	l.apply(t, rollout.Options{}, toPolicies(policies, rollout.Steps{Named: map[string]rollout.Step{a: rollout.Audit}}))
	before := l.everything(t, true)
	for _, o := range []rollout.Options{{}, {Offline: true}} {
		plan, err := l.plan(t, o, toPolicies(l.policies(t, admission.ExportOptions{}, "no-latest-tag", "no-external-ips"), rollout.Steps{Named: map[string]rollout.Step{a: rollout.Deny}}))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]rollout.Verb{
			"validatingadmissionpolicy/no-latest-tag.bulkhead.dev":               rollout.Unchanged,
			"validatingadmissionpolicy/no-external-ips.bulkhead.dev":             rollout.Created,
			"validatingadmissionpolicy/no-node-port.bulkhead.dev":                rollout.Deleted,
			"validatingadmissionpolicybinding/no-latest-tag.deny.bulkhead.dev":   rollout.Created,
			"validatingadmissionpolicybinding/no-external-ips.deny.bulkhead.dev": rollout.Created,
			"validatingadmissionpolicybinding/no-latest-tag.audit.bulkhead.dev":  rollout.Deleted,
			"validatingadmissionpolicybinding/no-node-port.audit.bulkhead.dev":   rollout.Deleted,
		}
		if got := verbs(plan.Changes); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("offline %v: planned\n%v, want\n%v", o.Offline, got, want)
		}
	}
	if changed := diff(before, l.everything(t, true)); changed != "" {
		t.Errorf("a plan changed\n%s", changed)
	}
}

// TestConflicts: what others own is not taken without being asked, and what others
// applied under the same name not at all.
func TestConflicts(t *testing.T) {
	l := connect(t, 2)
	a, b := l.namespaces[0], l.namespaces[1]
	policies := l.policies(t, admission.ExportOptions{}, "no-latest-tag", "no-node-port")
	steps := func(to ...string) rollout.Steps {
		s := rollout.Steps{Named: map[string]rollout.Step{}}
		for _, name := range to {
			s.Named[name] = rollout.Audit
		}
		return s
	}
	l.apply(t, rollout.Options{}, toPolicies(policies, steps(a)))
	const name = "no-latest-tag.audit.bulkhead.dev"
	bindings := l.dynamic.Resource(gvrs[1])
	edited, err := bindings.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_ = unstructured.SetNestedSlice(edited.Object, []any{map[string]any{"key": "kubernetes.io/metadata.name", "operator": "In", "values": []any{b}}},
		"spec", "matchResources", "namespaceSelector", "matchExpressions")
	if _, err := bindings.Update(t.Context(), edited, metav1.UpdateOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	before := l.everything(t, true)
	_, err = l.plan(t, rollout.Options{}, toPolicies(policies, steps(a)))
	if err == nil || !strings.Contains(err.Error(), `conflict with "somebody"`) || !strings.Contains(err.Error(), "--force-conflicts") || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("a conflict says %v", err)
	}
	if changed := diff(before, l.everything(t, true)); changed != "" {
		t.Errorf("a refused plan changed\n%s", changed)
	}
	if made := l.apply(t, rollout.Options{Force: true}, toPolicies(policies, steps(a))); made["validatingadmissionpolicybinding/"+name] != rollout.Configured {
		t.Errorf("forced: %v", made)
	}

	// A set is merged, so that force alone could not make it what is wanted.
	edited, err = bindings.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_ = unstructured.SetNestedStringSlice(edited.Object, []string{"Audit", "Warn"}, "spec", "validationActions")
	if _, err := bindings.Update(t.Context(), edited, metav1.UpdateOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	if _, err = l.plan(t, rollout.Options{Force: true}, toPolicies(policies, steps(a))); err == nil || !strings.Contains(err.Error(), "others have added to what is applied") {
		t.Errorf("another action in a binding: %v", err)
	}

	exported := l.policies(t, admission.ExportOptions{}, "no-external-ips")[0].Object
	labels := exported.GetLabels()
	delete(labels, rollout.OwnerLabel)
	exported.SetLabels(labels)
	if _, err := l.dynamic.Resource(gvrs[0]).Apply(t.Context(), exported.GetName(), exported, metav1.ApplyOptions{FieldManager: "kubectl"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.dynamic.Resource(gvrs[0]).Delete(context.WithoutCancel(t.Context()), exported.GetName(), metav1.DeleteOptions{})
	})
	_, err = l.plan(t, rollout.Options{Force: true}, toPolicies(l.policies(t, admission.ExportOptions{}, "no-external-ips"), steps(a)))
	if err == nil || !strings.Contains(err.Error(), "no-external-ips.bulkhead.dev is there and was applied in another way") {
		t.Errorf("a policy of others of the same name: %v", err)
	}
}

// TestChangedMeanwhile: what is deleted is what was read.
func TestChangedMeanwhile(t *testing.T) {
	l := connect(t, 1)
	a := l.namespaces[0]
	l.apply(t, rollout.Options{}, toPolicies(l.policies(t, admission.ExportOptions{}, "no-latest-tag"), rollout.Steps{Named: map[string]rollout.Step{a: rollout.Audit}}))
	plan, err := l.plan(t, rollout.Options{}, func(s *rollout.State) (*rollout.Wanted, error) { return s.ToNothing(), nil })
	if err != nil {
		t.Fatal(err)
	}
	policies := l.dynamic.Resource(gvrs[0])
	o, err := policies.Get(t.Context(), "no-latest-tag.bulkhead.dev", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o.SetAnnotations(map[string]string{"note": "mine"})
	if _, err := policies.Update(t.Context(), o, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	done, err := l.Apply(t.Context(), plan)
	if !apierrors.IsConflict(err) || len(done) != 1 || done[0].Verb != rollout.Deleted {
		t.Errorf("deleted %v: %v", verbs(done), err)
	}
	// Rolling on goes on from there.
	l.removeAll(t)
	if _, err := policies.Get(t.Context(), "no-latest-tag.bulkhead.dev", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after the second removal: %v", err)
	}
}

// TestWaiversComeAndGo: the variables of a policy change in number and order, which
// server-side apply merges by name.
func TestWaiversComeAndGo(t *testing.T) {
	l := connect(t, 1)
	a := l.namespaces[0]
	waiver := admission.ExportWaiver{Waiver: &check.Waiver{Name: "w", Controls: []string{"no-latest-tag"}, Owner: "o", Reason: "r", Expires: time.Now().UTC(),
		Resources: []check.WaiverResource{{Kind: "Pod", Namespace: a, Name: "*"}}}}
	for i, waivers := range [][]admission.ExportWaiver{nil, {waiver}, {waiver, waiver}, nil} {
		policies := l.policies(t, admission.ExportOptions{Waivers: waivers}, "no-latest-tag")
		l.apply(t, rollout.Options{}, toPolicies(policies, rollout.Steps{Named: map[string]rollout.Step{a: rollout.Deny}}))
		want := "deny"
		if waivers != nil {
			want = ""
		}
		l.await(t, "example.com/a:latest", map[string]string{a: want})
		stored, err := l.dynamic.Resource(gvrs[0]).Get(t.Context(), "no-latest-tag.bulkhead.dev", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		applied, _, _ := unstructured.NestedSlice(policies[0].Object.Object, "spec", "variables")
		got, _, _ := unstructured.NestedSlice(stored.Object, "spec", "variables")
		if fmt.Sprint(got) != fmt.Sprint(applied) {
			t.Errorf("%d: variables are stored in another order:\n%v\n%v", i, got, applied)
		}
	}
}

// failing lets so many changes through that are no dry runs, and then fails.
type failing struct {
	http.RoundTripper
	left *atomic.Int64
	fail func() error
}

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && !strings.Contains(r.URL.RawQuery, "dryRun") && f.left.Add(-1) < 0 {
		return nil, f.fail()
	}
	return f.RoundTripper.RoundTrip(r)
}

// TestInterrupted: where the API server is lost, or the user ends it, what was done by
// then is told, and to apply again goes on from there.
func TestInterrupted(t *testing.T) {
	l := connect(t, 1)
	a := l.namespaces[0]
	policies := l.policies(t, admission.ExportOptions{}, "no-latest-tag", "no-node-port")
	steps := rollout.Steps{Named: map[string]rollout.Step{a: rollout.Audit}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, fail := range []func() error{
		func() error { return io.ErrUnexpectedEOF },
		func() error { cancel(); return context.Canceled },
	} {
		left := &atomic.Int64{}
		left.Store(3)
		config := rest.CopyConfig(l.config)
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return failing{next, left, fail} })
		c := rollout.NewCluster(dynamic.NewForConfigOrDie(config))
		s, err := c.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		wanted, err := s.ToPolicies(policies, &steps)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := c.Plan(ctx, s, wanted, rollout.Options{})
		if err != nil {
			t.Fatal(err)
		}
		done, err := c.Apply(ctx, plan)
		if len(done) != 3 || err == nil {
			t.Errorf("done %v: %v", verbs(done), err)
		}
		if ctx.Err() != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
		s, err = l.Read(t.Context())
		if err != nil || len(s.Policies) != 2 || len(s.Uneven) != 1 {
			t.Errorf("half applied: %q, %v", s.Uneven, err)
		}
		made := l.apply(t, rollout.Options{}, func(s *rollout.State) (*rollout.Wanted, error) { return s.ToPolicies(policies, &s.Steps) })
		created := 0
		for _, verb := range made {
			if verb == rollout.Created {
				created++
			}
		}
		if s, err = l.Read(t.Context()); err != nil || created != 1 || len(s.Uneven) > 0 || s.Steps.Of(a) != rollout.Audit {
			t.Errorf("applied again: %v, %+v, %v", made, s.Steps, err)
		}
		l.removeAll(t)
	}
}
