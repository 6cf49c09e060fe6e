package rollout_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/load/cluster"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rollout"
)

// predictedControls judge pods of every kind, Services, Ingresses, Secrets and
// ConfigMaps.
var predictedControls = []string{
	"no-latest-tag", "no-node-port", "no-external-ips", "ingress-tls", "no-credentials-in-config-maps", "no-credentials-in-env",
	"memory-limit", "cpu-request", "no-sensitive-host-path", "no-debug-containers", "no-ssh-port", "no-long-lived-tokens",
	"short-lived-tokens", "no-service-links", "read-only-root-filesystem", "no-mount-propagation", "no-shared-process-namespace",
}

// TestPrediction stores the examples of controls, and Deployments whose pods the
// controllers make, in a namespace; says what policies would refuse of them; and has
// the API server say it too, of the creation of a copy of each: under warn, with every
// policy's message, and under deny, with the refusal.
func TestPrediction(t *testing.T) {
	l := connect(t, 1)
	namespace := l.namespaces[0]
	controls := controlsNamed(t, predictedControls...)
	for _, c := range controls {
		l.storeExamples(t, c, namespace)
	}
	l.deployment(t, namespace)
	waiver := admission.ExportWaiver{Waiver: &check.Waiver{Name: "some", Controls: []string{"memory-limit", "no-latest-tag", "no-node-port"}, Owner: "o", Reason: "r", Expires: time.Now().UTC(),
		Resources: []check.WaiverResource{{Kind: "*", Namespace: namespace, Name: "*1*"}}}}
	// In the cluster, beside what tests of other packages do there, only this namespace
	// is looked at.
	predicted := map[string]map[string]string{}
	objects := map[string]*model.Object{}
	world := l.read(t, controls)
	for _, o := range world.Objects {
		if o.Namespace == namespace {
			objects[o.Ref().String()] = o
		}
	}
	judge := rollout.Judge{Controls: controls, Waivers: []*check.Waiver{waiver.Waiver}, Now: time.Now()}
	var err error
	if judge.Evaluator, err = admission.Compile(controls, check.Defaults(controls), l.minor); err != nil {
		t.Fatal(err)
	}
	prediction, err := judge.Predict(t.Context(), world)
	if err != nil || len(prediction.Unread) > 0 {
		t.Fatal(prediction, err)
	}
	waived := 0
	for _, r := range prediction.Refusals {
		switch name := r.Object.String(); {
		case r.Object.Namespace != namespace:
		case r.Waived:
			waived++
		case predicted[name] == nil:
			predicted[name] = map[string]string{r.Control: r.Message}
		default:
			predicted[name][r.Control] = r.Message
		}
	}
	policies := l.policies(t, admission.ExportOptions{Waivers: []admission.ExportWaiver{waiver}}, predictedControls...)
	compared, refused, policiesHeard := 0, 0, 0
	for _, step := range []rollout.Step{rollout.Warn, rollout.Deny} {
		l.apply(t, rollout.Options{}, toPolicies(policies, rollout.Steps{Named: map[string]rollout.Step{namespace: step}}))
		l.awaitAll(t, objects, predicted, step)
		for name, o := range objects {
			if o.Name == "kube-root-ca.crt" {
				continue
			}
			compared++
			said, message := l.create(t, o, step)
			if step == rollout.Warn {
				policiesHeard += len(said)
				if fmt.Sprint(said) != fmt.Sprint(shortened(predicted[name])) {
					t.Errorf("%s:\npredicted  %v\nAPI server %v", name, shortened(predicted[name]), said)
				}
				continue
			}
			if (message != "") != (predicted[name] != nil) {
				t.Errorf("%s: predicted %v, and the API server says %q", name, predicted[name], message)
			}
			if message != "" {
				refused++
			}
		}
	}
	t.Logf("compared %d creations: %d warnings, %d refusals; %d waived", compared, policiesHeard, refused, waived)
	if refused < 20 || compared-2*refused < 20 || waived == 0 {
		t.Error("the examples are one-sided")
	}
	for name := range predicted {
		if strings.Contains(name, "Pod/replicated-") || strings.Contains(name, "ReplicaSet/replicated-") {
			t.Errorf("%s is told beside its Deployment", name)
		}
	}
	if predicted[namespace+"/Deployment/replicated"] == nil {
		t.Error("a Deployment with pods is not told")
	}
}

// TestPredictionOfAnnotations: an annotation waives in what is said as it does in
// policies that honour it, and in no others.
func TestPredictionOfAnnotations(t *testing.T) {
	l := connect(t, 1)
	namespace := l.namespaces[0]
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "waived", Annotations: map[string]string{"waive.bulkhead.dev/no-latest-tag": "why; owner=o; expires=2999-01-31"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example.com/a:latest"}}}}
	if _, err := l.kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	controls := controlsNamed(t, "no-latest-tag")
	world := l.read(t, controls)
	evaluator, err := admission.Compile(controls, check.Defaults(controls), l.minor)
	if err != nil {
		t.Fatal(err)
	}
	for _, annotations := range []*check.AnnotationSettings{nil, {}, {Off: true}, {Namespaces: []string{"elsewhere"}}} {
		judge := rollout.Judge{Controls: controls, Evaluator: evaluator, Now: time.Now(), Annotations: annotations}
		p, err := judge.Predict(t.Context(), world)
		if err != nil {
			t.Fatal(err)
		}
		mine := slices.DeleteFunc(p.Refusals, func(r rollout.Refusal) bool { return r.Object.Namespace != namespace })
		if len(mine) != 1 {
			t.Fatalf("predicted %+v", mine)
		}
		policies := l.policies(t, admission.ExportOptions{Annotations: annotations}, "no-latest-tag")
		l.apply(t, rollout.Options{}, toPolicies(policies, rollout.Steps{Named: map[string]rollout.Step{namespace: rollout.Deny}}))
		again := pod.DeepCopy()
		again.Name, again.ResourceVersion = "again", ""
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			_, err := l.kube.CoreV1().Pods(namespace).Create(t.Context(), again, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if (err == nil) == mine[0].Waived {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("annotations %+v: predicted %+v, and the API server says %v", annotations, mine[0], err)
			}
		}
	}
}

func (l *live) read(t *testing.T, controls []*check.Control) *model.World {
	t.Helper()
	snapshot, err := cluster.Read(t.Context(), l.config, cluster.Options{Name: "test", Kinds: slices.DeleteFunc(check.Kinds(controls, nil), func(gk model.GroupKind) bool { return gk.Group == "extensions" })})
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Worlds[0]
}

// storeExamples creates the examples of a control in a namespace, as far as the API
// takes them, and keeps them from making pods.
func (l *live) storeExamples(t *testing.T, c *check.Control, namespace string) {
	t.Helper()
	stored := 0
	for i, text := range slices.Concat(c.Examples.Bad, c.Examples.Good) {
		for n, o := range manifest.NewDecoder().Decode(model.Source{File: "example.yaml"}, []byte(text)).Objects {
			r, ok := model.BuiltinResource(o.GroupKind)
			if !ok || !r.Namespaced || o.Group == "extensions" {
				continue
			}
			u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(o.Content)}
			u.SetNamespace(namespace)
			u.SetName(fmt.Sprintf("%s-%d-%d", c.Name, i, n))
			switch o.Kind {
			case "Deployment", "ReplicaSet", "StatefulSet", "ReplicationController":
				_ = unstructured.SetNestedField(u.Object, int64(0), "spec", "replicas")
			case "Job", "CronJob":
				_ = unstructured.SetNestedField(u.Object, true, "spec", "suspend")
			case "DaemonSet":
				_ = unstructured.SetNestedField(u.Object, "nowhere", "spec", "template", "spec", "nodeName")
			case "Service":
				// The cluster has each port once, and tests of other packages want it too.
				unstructured.RemoveNestedField(u.Object, "spec", "healthCheckNodePort")
				ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
				for _, p := range ports {
					delete(p.(map[string]any), "nodePort")
				}
				_ = unstructured.SetNestedSlice(u.Object, ports, "spec", "ports")
			}
			if _, err := l.resource(o).Create(t.Context(), u, metav1.CreateOptions{}); err == nil {
				stored++
			}
		}
	}
	if stored == 0 {
		t.Errorf("no example of %s can be stored", c.Name)
	}
}

func (l *live) resource(o *model.Object) dynamic.ResourceInterface {
	r, _ := model.BuiltinResource(o.GroupKind)
	return l.dynamic.Resource(schema.GroupVersionResource{Group: o.Group, Version: o.Version, Resource: r.Name}).Namespace(l.namespaces[0])
}

// deployment makes a Deployment that offends, and waits for its pods.
func (l *live) deployment(t *testing.T, namespace string) {
	t.Helper()
	labels := map[string]string{"app": "replicated"}
	replicas := int32(2)
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "replicated"}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example.com/a:latest"}}}}}}
	if _, err := l.kube.AppsV1().Deployments(namespace).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		pods, err := l.kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=replicated"})
		if err != nil {
			t.Fatal(err)
		}
		if len(pods.Items) == 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the controllers make no pods")
		}
	}
}

// awaitAll waits until every policy is heard of, for API servers learn of policies one
// by one.
func (l *live) awaitAll(t *testing.T, objects map[string]*model.Object, predicted map[string]map[string]string, step rollout.Step) {
	t.Helper()
	for name, by := range predicted {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			said, message := l.create(t, objects[name], step)
			if step == rollout.Warn && len(said) >= len(by) || step == rollout.Deny && message != "" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s at %s: predicted %v, and the API server says %v %q", name, step, by, said, message)
			}
		}
	}
}

// makers are the controllers that make objects out of others: what they make they make
// again themselves.
var makers = map[string]string{"ReplicaSet": "deployment-controller", "Pod": "replicaset-controller"}

// as is the client for an object's kind, of whoever makes it.
func (l *live) as(t *testing.T, o *model.Object) dynamic.ResourceInterface {
	t.Helper()
	if len(o.List("metadata", "ownerReferences")) == 0 {
		return l.resource(o)
	}
	config := *l.config
	config.Impersonate.UserName = "system:serviceaccount:kube-system:" + makers[o.Kind]
	config.Impersonate.Groups = []string{"system:serviceaccounts", "system:authenticated"}
	r, _ := model.BuiltinResource(o.GroupKind)
	return dynamic.NewForConfigOrDie(&config).Resource(schema.GroupVersionResource{Group: o.Group, Version: o.Version, Resource: r.Name}).Namespace(l.namespaces[0])
}

// create creates a copy of an object in a dry run. It returns what each policy warns
// of, by control, and the message of a refusal.
func (l *live) create(t *testing.T, o *model.Object, step rollout.Step) (map[string]string, string) {
	t.Helper()
	current, err := l.resource(o).Get(t.Context(), o.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(current.Object)}
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	delete(u.Object, "status")
	switch o.Kind {
	case "Service":
		for _, field := range []string{"clusterIP", "clusterIPs", "healthCheckNodePort"} {
			unstructured.RemoveNestedField(u.Object, "spec", field)
		}
		ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
		for _, p := range ports {
			delete(p.(map[string]any), "nodePort")
		}
		if ports != nil {
			_ = unstructured.SetNestedSlice(u.Object, ports, "spec", "ports")
		}
	case "Job":
		unstructured.RemoveNestedField(u.Object, "spec", "selector")
		unstructured.RemoveNestedField(u.Object, "spec", "template", "metadata", "labels")
	case "Pod":
		unstructured.RemoveNestedField(u.Object, "spec", "nodeName")
		unstructured.RemoveNestedField(u.Object, "spec", "ephemeralContainers")
	}
	u.SetName(o.Name + "-copy")
	l.heard()
	_, err = l.as(t, o).Create(context.WithoutCancel(t.Context()), u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	said := map[string]string{}
	for _, w := range l.heard() {
		rest, ok := strings.CutPrefix(w, "Validation failed for ValidatingAdmissionPolicy '")
		policy, rest, _ := strings.Cut(rest, "' with binding '")
		_, message, _ := strings.Cut(rest, "': ")
		if ok {
			said[strings.TrimSuffix(policy, ".bulkhead.dev")] = short(message)
		}
	}
	if err == nil {
		return said, ""
	}
	if step != rollout.Deny || !strings.Contains(err.Error(), "denied request: ") {
		t.Fatalf("%s cannot be created again: %v", o.Ref(), err)
	}
	return said, err.Error()
}

// short is as much of a message as a warning is sure to have: the API server cuts them
// off.
func short(message string) string {
	if len(message) > 100 {
		return message[:100]
	}
	return message
}

func shortened(by map[string]string) map[string]string {
	out := map[string]string{}
	for control, message := range by {
		out[control] = short(message)
	}
	return out
}
