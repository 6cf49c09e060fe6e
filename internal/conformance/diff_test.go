package conformance

import (
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// diff compares two objects but for what the API server makes anew each time.
func diff(want, got *unstructured.Unstructured) string {
	return cmp.Diff(withoutIdentity(want), withoutIdentity(got))
}

func withoutIdentity(u *unstructured.Unstructured) map[string]any {
	out := runtime.DeepCopyJSON(u.Object)
	meta, _ := out["metadata"].(map[string]any)
	for _, field := range []string{"uid", "creationTimestamp", "managedFields", "resourceVersion", "generation", "selfLink"} {
		delete(meta, field)
	}
	// A Job's selector and labels carry its UID; a pod's token volume a random name.
	for _, path := range [][]string{
		{"spec", "selector", "matchLabels"}, {"spec", "template", "metadata", "labels"}, {"metadata", "labels"},
	} {
		if labels, ok, _ := unstructured.NestedMap(out, path...); ok {
			delete(labels, "batch.kubernetes.io/controller-uid")
			delete(labels, "controller-uid")
			_ = unstructured.SetNestedMap(out, labels, path...)
		}
	}
	replaceTokenVolume(out)
	return out
}

func replaceTokenVolume(v any) {
	switch v := v.(type) {
	case map[string]any:
		if name, ok := v["name"].(string); ok && len(name) > 16 && name[:16] == "kube-api-access-" {
			v["name"] = "kube-api-access"
		}
		for _, e := range v {
			replaceTokenVolume(e)
		}
	case []any:
		for _, e := range v {
			replaceTokenVolume(e)
		}
	}
}
