package creation

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"

	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

// decode reads manifests into a world.
func decode(t *testing.T, text string) *model.World {
	t.Helper()
	f := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text))
	if len(f.Problems) > 0 {
		t.Fatal(f.Problems)
	}
	return model.NewWorld(f.Objects, model.WorldOptions{})
}

// corpus is manifests of many kinds: those of the project, and the good examples of its
// controls.
func corpus(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../../examples/shop/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var out []string
	for _, f := range append(files, "testdata/defaults.yaml") {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(text))
	}
	controls, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range controls {
		out = append(out, c.Examples.Good...)
		out = append(out, c.Examples.Bad...)
	}
	return out
}

// TestDefaults holds objects as they are made here against what the API server makes of
// them in a dry run: field for field, but for what only it can know.
func TestDefaults(t *testing.T) {
	config, _ := testcluster.Config(t)
	kube, client := kubernetes.NewForConfigOrDie(config), dynamic.NewForConfigOrDie(config)
	namespace, err := kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "defaults-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = kube.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), namespace.Name, metav1.DeleteOptions{})
	}()
	waitForAccount(t, kube, namespace.Name)
	compared, refused := map[string]int{}, 0
	for _, text := range corpus(t) {
		for _, o := range decode(t, strings.ReplaceAll(text, "# want", "")).Objects {
			resource, ok := model.BuiltinResource(o.GroupKind)
			known := scheme.Scheme.Recognizes(schema.GroupVersionKind{Group: o.Group, Version: o.Version, Kind: o.Kind})
			if !ok || !known || o.Group == "admissionregistration.k8s.io" || strings.HasSuffix(o.Name, "*") {
				continue
			}
			u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(o.Content)}
			gvr, _ := ResourceOf(model.NewWorld(nil, model.WorldOptions{}), o, nil)
			var target dynamic.ResourceInterface = client.Resource(gvr)
			if resource.Namespaced {
				u.SetNamespace(namespace.Name)
				target = client.Resource(gvr).Namespace(namespace.Name)
			}
			got, err := target.Create(t.Context(), u, metav1.CreateOptions{DryRun: []string{"All"}})
			if err != nil {
				if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsForbidden(err) {
					t.Errorf("%s: %v", o.Ref(), err)
				}
				refused++
				continue
			}
			ours, err := typed(o)
			if err != nil {
				t.Errorf("%s: %v", o.Ref(), err)
				continue
			}
			if diff := cmp.Diff(comparable(got.Object), comparable(ours)); diff != "" {
				t.Errorf("%s (- API server, + ours):\n%s\n", o.Ref(), diff)
			}
			compared[o.Kind]++
		}
	}
	total := 0
	for _, n := range compared {
		total += n
	}
	t.Logf("compared %d objects of %d kinds: %v; the API server refused %d", total, len(compared), compared, refused)
	if total < 200 {
		t.Errorf("only %d objects were compared", total)
	}
}

// waitForAccount waits until pods may be made in a namespace.
func waitForAccount(t *testing.T, kube kubernetes.Interface, namespace string) {
	t.Helper()
	for range 100 {
		if _, err := kube.CoreV1().ServiceAccounts(namespace).Get(t.Context(), "default", metav1.GetOptions{}); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the namespace got no service account")
}

// comparable leaves out of an object what only the API server can know: what it
// allocates or counts, the token's volume, a status.
func comparable(content map[string]any) map[string]any {
	text, _ := json.Marshal(content)
	if uid, _ := model.Get(content, "metadata", "uid").(string); uid != "" {
		text = bytes.ReplaceAll(text, []byte(uid), []byte(UID))
	}
	out := map[string]any{}
	_ = utiljson.Unmarshal(text, &out)
	delete(out, "status")
	metadata, _ := out["metadata"].(map[string]any)
	for _, f := range []string{"uid", "creationTimestamp", "managedFields", "generation", "namespace", "resourceVersion"} {
		delete(metadata, f)
	}
	if rules, ok := out["rules"].([]any); ok && len(rules) == 0 {
		out["rules"] = nil // what is stored has no empty list
	}
	prune(out)
	return out
}

func prune(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, list := range []string{"volumes", "volumeMounts"} {
			items, ok := v[list].([]any)
			if !ok {
				continue
			}
			var kept []any
			for _, e := range items {
				if name, _ := model.Get(e, "name").(string); !strings.HasPrefix(name, "kube-api-access-") {
					kept = append(kept, e)
				}
			}
			if v[list] = kept; len(kept) == 0 {
				delete(v, list)
			}
		}
		for _, f := range []string{"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "nodePort", "healthCheckNodePort"} {
			delete(v, f)
		}
		for _, e := range v {
			prune(e)
		}
	case []any:
		for _, e := range v {
			prune(e)
		}
	}
}
