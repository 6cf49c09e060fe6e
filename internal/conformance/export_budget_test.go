package conformance

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestOverBudget: what is too large to be judged is unknown offline and refused under
// deny. Under warn it is admitted, and said; and one that was there before may be
// labelled and deleted.
func TestOverBudget(t *testing.T) {
	l := &life{connect(t), "budget"}
	all, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	control := all[slices.IndexFunc(all, func(c *check.Control) bool { return c.Name == "no-credentials-in-env" })]
	evaluator, err := admission.Compile([]*check.Control{control}, check.Defaults([]*check.Control{control}), apiServerMinor)
	if err != nil {
		t.Fatal(err)
	}
	large := l.deployment("large", "example.com/a:1")
	large.Spec.Replicas = new(int32(0))
	for reason := ""; reason == ""; {
		env := &large.Spec.Template.Spec.Containers[0].Env
		for range 500 {
			*env = append(*env, corev1.EnvVar{Name: fmt.Sprintf("API_TOKEN_%d", len(*env)), Value: strings.Repeat("aB3$", 20)})
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(large)
		if err != nil {
			t.Fatal(err)
		}
		content["apiVersion"], content["kind"] = "apps/v1", "Deployment"
		o, _ := model.NewObject(content, nil, model.Source{})
		model.NewWorld([]*model.Object{o}, model.WorldOptions{})
		judgements, err := evaluator.Evaluate(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if judgements[0].Verdict == finding.Unknown {
			reason = judgements[0].Reason
			t.Logf("offline, with %d variables: %s", len(*env), reason)
		}
	}
	deployments := l.kube.AppsV1().Deployments(l.namespace)
	if _, err := deployments.Create(t.Context(), large, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	exported := export(t, []*check.Control{control}, admission.ExportOptions{Mode: admission.Deny}).Policies[0]
	bad := l.pod("bad", "example.com/a:1")
	bad.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PASSWORD", Value: "pa55w0rd-of-somebody"}}
	l.install(t, l.mark, exported, func() bool {
		_, err := l.kube.CoreV1().Pods(l.namespace).Create(t.Context(), bad, metav1.CreateOptions{DryRun: dryRun})
		return refusal(err) != ""
	})
	again := large.DeepCopy()
	again.Name = "again"
	_, err = deployments.Create(t.Context(), again, metav1.CreateOptions{})
	if got := refusal(err); !strings.Contains(got, "cost") && !strings.Contains(got, "budget") {
		t.Errorf("what is unknown offline is not refused for its cost: %q", got)
	} else {
		t.Logf("API server: %s", got)
	}
	for what, patch := range map[string]string{
		"labels":     `{"metadata":{"labels":{"team":"a"}}}`,
		"finalizers": `{"metadata":{"finalizers":["example.com/a"]}}`,
		"replicas":   `{"spec":{"replicas":1}}`,
	} {
		if _, err := deployments.Patch(t.Context(), "large", types.MergePatchType, []byte(patch), metav1.PatchOptions{DryRun: dryRun}); err != nil {
			t.Errorf("%s of what is too large to be judged: %v", what, err)
		}
	}
	if err := deployments.Delete(t.Context(), "large", metav1.DeleteOptions{}); err != nil {
		t.Errorf("deletion: %v", err)
	}
	l.warned(t, control, large, bad)
}

// warned exports the control under warn: the large object is created, and what could
// not be judged is said.
func (l *life) warned(t *testing.T, control *check.Control, large *appsv1.Deployment, bad *corev1.Pod) {
	t.Helper()
	heard := &warningCluster{cluster: l.cluster}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("BULKHEAD_TEST_KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	config.WarningHandler = heard
	client := kubernetes.NewForConfigOrDie(config)
	const mark = "budget-warned"
	bad, large = bad.DeepCopy(), large.DeepCopy()
	bad.Labels[markLabel], large.Labels[markLabel] = mark, mark
	exported := export(t, []*check.Control{control}, admission.ExportOptions{Mode: admission.Warn}).Policies[0]
	l.install(t, mark, exported, func() bool {
		if _, err := client.CoreV1().Pods(l.namespace).Create(t.Context(), bad, metav1.CreateOptions{DryRun: dryRun}); err != nil {
			t.Fatalf("refused under warn: %v", err)
		}
		return slices.ContainsFunc(heard.warnings, func(w string) bool { return strings.Contains(w, "Validation failed") })
	})
	heard.warnings = nil
	large.Name = "warned"
	if _, err := client.AppsV1().Deployments(l.namespace).Create(t.Context(), large, metav1.CreateOptions{DryRun: dryRun}); err != nil {
		t.Errorf("what cannot be judged is refused under warn: %v", err)
	}
	if !slices.ContainsFunc(heard.warnings, func(w string) bool { return strings.Contains(w, "cost limit exceeded") }) {
		t.Errorf("what cannot be judged is not said under warn: %q", heard.warnings)
	}
}
