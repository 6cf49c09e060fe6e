package vap

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/testcluster"
	"bulkhead.dev/bulkhead/internal/userpolicy/access"
	"bulkhead.dev/bulkhead/internal/userpolicy/creation"
)

func decodeObjects(t *testing.T, text string) []*model.Object {
	t.Helper()
	f := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text))
	if len(f.Problems) > 0 {
		t.Fatal(f.Problems)
	}
	return f.Objects
}

// oracle is a real API server with namespaces for one test.
type oracle struct {
	client dynamic.Interface
	config *rest.Config
	// suffix is in the names of all that the test makes.
	suffix string
	user   user.Info
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	config, _ := testcluster.Config(t)
	config.WarningHandler = rest.NoWarnings{}
	o := &oracle{client: dynamic.NewForConfigOrDie(config), config: config, suffix: fmt.Sprintf("x%d", rand.IntN(1e9))}
	who, err := kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), selfReview(), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o.user = &user.DefaultInfo{Name: who.Status.UserInfo.Username, Groups: who.Status.UserInfo.Groups, UID: who.Status.UserInfo.UID}
	return o
}

// create makes an object, for good or in a dry run.
func (o *oracle) create(ctx context.Context, w *model.World, obj *model.Object, dry bool) error {
	u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(obj.Content)}
	gvr, namespaced := creation.ResourceOf(w, obj, nil)
	var target dynamic.ResourceInterface = o.client.Resource(gvr)
	if namespaced {
		u.SetNamespace(obj.Namespace)
		target = o.client.Resource(gvr).Namespace(obj.Namespace)
	}
	options := metav1.CreateOptions{}
	if dry {
		options.DryRun = []string{"All"}
	}
	_, err := target.Create(ctx, u, options)
	return err
}

func (o *oracle) remove(ctx context.Context, w *model.World, obj *model.Object) {
	gvr, namespaced := creation.ResourceOf(w, obj, nil)
	var target dynamic.ResourceInterface = o.client.Resource(gvr)
	if namespaced {
		target = o.client.Resource(gvr).Namespace(obj.Namespace)
	}
	_ = target.Delete(ctx, obj.Name, metav1.DeleteOptions{})
}

// refusal is what a policy said; empty where the object was let through.
func refusal(err error) (string, error) {
	if err == nil {
		return "", nil
	}
	var status *apierrors.StatusError
	if !errors.As(err, &status) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy '") {
		return "", err
	}
	_, message, _ := strings.Cut(status.ErrStatus.Message, " denied request: ")
	return message, nil
}

// probe is a probe object for which every policy of a suite is at work once it is refused.
func (o *oracle) settle(t *testing.T, w *model.World, namespace string) {
	t.Helper()
	probe := decodeObjects(t, fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: settle, namespace: %s, labels: {settle: %q}}}", namespace, o.suffix))
	model.NewWorld(probe, model.WorldOptions{})
	for range 200 {
		if message, _ := refusal(o.create(t.Context(), w, probe[0], true)); strings.Contains(message, "settled") {
			time.Sleep(300 * time.Millisecond)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the policies are not at work")
}

// TestAgainstTheAPIServer has every policy of testdata/oracle.yaml, with every feature of
// policies, judge every object of testdata/objects.yaml and random ones: here and by the
// API server, with the same refusals and messages.
func TestAgainstTheAPIServer(t *testing.T) {
	o := newOracle(t)
	world, policies := o.prepare(t)
	own := compileAll(t, o, policies)
	objects := candidates(t, o)
	admitted, refused, unknown := 0, 0, 0
	seen := map[string]int{}
	for _, obj := range objects {
		r, err := creation.Of(world, obj, creation.Options{User: o.user, Now: time.Now()})
		if err != nil {
			t.Errorf("%s: %v", obj.Ref(), err)
			continue
		}
		// The first policy that refuses, in the order of names, is the one that the API
		// server tells of; so each object is made for one policy alone, by its label.
		name := obj.Labels()["policy"]
		p := own[name]
		if p == nil {
			t.Fatalf("%s is for the policy %q, which does not exist", obj.Ref(), name)
		}
		result, err := p.Evaluate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		want, other := refusal(o.create(t.Context(), world, obj, true))
		if other != nil {
			t.Errorf("%s: the API server refuses it by itself: %v", obj.Ref(), other)
			continue
		}
		got := ""
		switch {
		case len(result.Denials) > 0:
			// Of several parameters the API server tells of any one.
			got = result.Denials[0].Message
			for _, d := range result.Denials {
				if d.Message == want {
					got = want
				}
			}
			refused++
		case len(result.Unknown) > 0:
			unknown++
			seen[name+" unknown"]++
			errorful := want != "" || strings.Contains(result.Unknown[0], "let the object through")
			if !errorful || want != "" && !strings.Contains(result.Unknown[0], strings.Join(strings.Fields(want), " ")) {
				t.Errorf("%s for %s: unknown here: %v\nand the API server says %q", obj.Ref(), name, result.Unknown, want)
			}
			continue
		default:
			admitted++
		}
		if got != want {
			t.Errorf("%s for %s:\nours       %q %v\nAPI server %q\n%v", obj.Ref(), name, got, result.Unknown, want, obj.Content)
		}
		seen[fmt.Sprintf("%s refused=%v", name, want != "")]++
	}
	t.Logf("compared %d objects with %d policies: %d admitted, %d refused, %d errors; %v", len(objects), len(own), admitted, refused, unknown, seen)
	for name := range own {
		if name != "settle" && (seen[name+" refused=true"]+seen[name+" unknown"] == 0 || seen[name+" refused=false"]+seen[name+" unknown"] == 0) {
			t.Errorf("policy %s was not seen both ways", name)
		}
	}
}

// prepare makes the namespaces, parameters, accounts and policies of testdata/oracle.yaml,
// under names of this test's own.
func (o *oracle) prepare(t *testing.T) (*model.World, []*model.Object) {
	t.Helper()
	text, err := os.ReadFile("testdata/oracle.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := decodeObjects(t, strings.ReplaceAll(string(text), "SUFFIX", o.suffix))
	world := model.NewWorld(all, model.WorldOptions{Complete: true})
	ctx := context.WithoutCancel(t.Context())
	for _, obj := range all {
		if err := o.create(t.Context(), world, obj, false); err != nil {
			t.Fatalf("%s: %v", obj.Ref(), err)
		}
		t.Cleanup(func() { o.remove(ctx, world, obj) })
	}
	waitForAccounts(t, o.config, world)
	o.settle(t, world, "a-"+o.suffix)
	return world, all
}

func waitForAccounts(t *testing.T, config *rest.Config, w *model.World) {
	t.Helper()
	kube := kubernetes.NewForConfigOrDie(config)
	for _, ns := range w.Kind(model.GroupKind{Kind: "Namespace"}) {
		for i := 0; ; i++ {
			if _, err := kube.CoreV1().ServiceAccounts(ns.Name).Get(t.Context(), "default", metav1.GetOptions{}); err == nil {
				break
			}
			if i > 100 {
				t.Fatalf("namespace %s got no service account", ns.Name)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// compileAll compiles the policies by their names without the suffix.
func compileAll(t *testing.T, o *oracle, all []*model.Object) map[string]*Policy {
	t.Helper()
	own := map[string]*Policy{}
	for _, obj := range all {
		if obj.GroupKind != PolicyKind {
			continue
		}
		var bindings []*model.Object
		for _, b := range all {
			if b.GroupKind == BindingKind && PolicyName(b) == obj.Name {
				bindings = append(bindings, b)
			}
		}
		p, err := Compile(obj, bindings, Options{Minor: 37, Authorizer: in(access.ByReview(o.config))})
		if err != nil {
			t.Fatalf("%s: %v", obj.Ref(), err)
		}
		own[strings.TrimSuffix(obj.Name, "-"+o.suffix)] = p
	}
	return own
}

// candidates are the objects of testdata/objects.yaml, and random variations of each.
func candidates(t *testing.T, o *oracle) []*model.Object {
	t.Helper()
	text, err := os.ReadFile("testdata/objects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out []*model.Object
	random := rand.New(rand.NewPCG(1, 2))
	for _, obj := range decodeObjects(t, strings.ReplaceAll(string(text), "SUFFIX", o.suffix)) {
		out = append(out, obj)
		for i := range 30 {
			content := runtime.DeepCopyJSON(obj.Content)
			vary(random, content, o.suffix, i)
			varied, _ := model.NewObject(content, nil, model.Source{})
			out = append(out, varied)
		}
	}
	model.NewWorld(out, model.WorldOptions{})
	return out
}

// vary changes of an object what policies of the test read.
func vary(r *rand.Rand, content map[string]any, suffix string, n int) {
	u := &unstructured.Unstructured{Object: content}
	u.SetName(fmt.Sprintf("%s-%d", u.GetName(), n))
	if u.GetNamespace() != "" && r.IntN(2) == 0 {
		u.SetNamespace([]string{"a-", "b-", "c-"}[r.IntN(3)] + suffix)
	}
	labels := u.GetLabels()
	for _, key := range []string{"tier", "exempt", "team"} {
		if r.IntN(2) == 0 {
			labels[key] = []string{"gold", "silver", "yes", "no"}[r.IntN(4)]
		}
	}
	u.SetLabels(labels)
	if u.GetKind() == "Deployment" {
		if r.IntN(4) == 0 {
			unstructured.RemoveNestedField(content, "spec", "replicas")
		} else {
			_ = unstructured.SetNestedField(content, int64(r.IntN(8)), "spec", "replicas")
		}
	}
	if u.GetKind() == "Pod" && r.IntN(2) == 0 {
		_ = unstructured.SetNestedField(content, []string{"default", "reader-" + suffix}[r.IntN(2)], "spec", "serviceAccountName")
	}
	if u.GetKind() == "ConfigMap" {
		data := map[string]any{}
		for range r.IntN(4) {
			data[string(rune('a'+r.IntN(4)))] = []string{"", "x", "12", "a\nb"}[r.IntN(4)]
		}
		content["data"] = data
	}
}

func selfReview() *authenticationv1.SelfSubjectReview { return &authenticationv1.SelfSubjectReview{} }
