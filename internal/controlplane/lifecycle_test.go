package controlplane

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

// TestDeclaredLifecycles compares the table with what k8s.io/api declares for
// every type that it still has.
func TestDeclaredLifecycles(t *testing.T) {
	table, err := readLifecycles()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for gvk := range scheme.Scheme.AllKnownTypes() {
		if strings.HasSuffix(gvk.Kind, "List") {
			continue
		}
		object, err := scheme.Scheme.New(gvk)
		if err != nil {
			t.Fatal(err)
		}
		declared, ok := object.(interface {
			APILifecycleDeprecated() (major, minor int)
		})
		if !ok {
			continue
		}
		var want lifecycle
		_, want.deprecated = declared.APILifecycleDeprecated()
		if d, ok := object.(interface {
			APILifecycleRemoved() (major, minor int)
		}); ok {
			_, want.removed = d.APILifecycleRemoved()
		}
		key := versionedKind{gvk.GroupVersion().String(), gvk.Kind}
		got := table.of[key]
		if got.deprecated != want.deprecated || got.removed != want.removed {
			t.Errorf("%v: the table says deprecated 1.%d, removed 1.%d; k8s.io/api says 1.%d and 1.%d", key, got.deprecated, got.removed, want.deprecated, want.removed)
		}
		if d, ok := object.(interface {
			APILifecycleReplacement() schema.GroupVersionKind
		}); ok {
			// Where the replacement is old as well, the table names what replaced that.
			group, _, _ := strings.Cut(got.instead, "/")
			if want := d.APILifecycleReplacement(); got.instead != "" && group != want.Group {
				t.Errorf("%v: the table says to use %q, k8s.io/api %s", key, got.instead, want.GroupVersion())
			}
		}
		compared++
	}
	if compared < 80 {
		t.Errorf("only %d lifecycles were compared", compared)
	}
	t.Logf("compared %d lifecycles", compared)
}

// TestReplacementsStay: what the table says to use is not itself gone or going.
func TestReplacementsStay(t *testing.T) {
	table, err := readLifecycles()
	if err != nil {
		t.Fatal(err)
	}
	for key, l := range table.of {
		next, old := table.of[versionedKind{l.instead, key.kind}]
		if l.instead != "" && old && next.deprecated <= l.removed && next.removed <= l.removed {
			t.Errorf("%v: %s is deprecated in 1.%d itself", key, l.instead, next.deprecated)
		}
		if l.removed != 0 && l.deprecated > l.removed {
			t.Errorf("%v: deprecated in 1.%d after it was removed in 1.%d", key, l.deprecated, l.removed)
		}
	}
}

// TestServedVersions compares the table with what a real API server serves.
func TestServedVersions(t *testing.T) {
	path := os.Getenv("BULKHEAD_TEST_KUBECONFIG")
	if path == "" {
		t.Skip("BULKHEAD_TEST_KUBECONFIG is not set: make test starts a cluster and sets it")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config).Discovery()
	version, err := client.ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	var minor int
	if _, err := fmt.Sscanf(version.Minor, "%d", &minor); err != nil {
		t.Fatal(err)
	}
	_, lists, err := client.ServerGroupsAndResources()
	testcluster.Discovered(t, err)
	table, err := readLifecycles()
	if err != nil {
		t.Fatal(err)
	}
	served := map[versionedKind]bool{}
	for _, list := range lists {
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") {
				continue
			}
			key := versionedKind{list.GroupVersion, r.Kind}
			served[key] = true
			if l := table.of[key]; l.removed != 0 && l.removed <= minor {
				t.Errorf("%v: removed in 1.%d according to the table, served by 1.%d", key, l.removed, minor)
			}
		}
	}
	replaced := 0
	for key, l := range table.of {
		// Scale and Eviction are subresources; beta versions are served where they are
		// switched on.
		if l.instead == "" || l.since > minor || key.kind == "Scale" || key.kind == "Eviction" || strings.Contains(l.instead, "beta") {
			continue
		}
		if !served[versionedKind{l.instead, key.kind}] {
			t.Errorf("%v: %s is to be used instead, but not served", key, l.instead)
		}
		replaced++
	}
	t.Logf("compared %d served kinds and %d replacements with the table of %d", len(served), replaced, len(table.of))
}

func versioned(t *testing.T, apiVersion, kind string, annotations map[string]any) *model.Object {
	t.Helper()
	o, ok := model.NewObject(map[string]any{"apiVersion": apiVersion, "kind": kind,
		"metadata": map[string]any{"name": "x", "annotations": annotations}}, nil, model.Source{})
	if !ok {
		t.Fatal("no object")
	}
	return o
}

func TestVersions(t *testing.T) {
	applied := func(text string) map[string]any { return map[string]any{model.LastApplied: text} }
	for _, test := range []struct {
		name        string
		object      *model.Object
		version     int
		live        bool
		removed     string
		deprecating string
	}{
		{name: "in time", object: versioned(t, "policy/v1beta1", "PodSecurityPolicy", nil), version: 20},
		{name: "deprecated", object: versioned(t, "policy/v1beta1", "PodSecurityPolicy", nil), version: 24,
			deprecating: "policy/v1beta1 PodSecurityPolicy is deprecated since Kubernetes 1.21 and is gone in 1.25; use the labels of Pod Security on namespaces, and admission policies for what they do not cover"},
		{name: "removed", object: versioned(t, "policy/v1beta1", "PodSecurityPolicy", nil), version: 25,
			removed: "policy/v1beta1 PodSecurityPolicy is not served from Kubernetes 1.25 on; use the labels of Pod Security on namespaces, and admission policies for what they do not cover"},
		{name: "replacement not there yet", object: versioned(t, "autoscaling/v2beta1", "HorizontalPodAutoscaler", nil), version: 22,
			deprecating: "autoscaling/v2beta1 HorizontalPodAutoscaler is deprecated since Kubernetes 1.22 and is gone in 1.25; use autoscaling/v2, from Kubernetes 1.23 on"},
		{name: "without an end", object: versioned(t, "v1", "ComponentStatus", nil), version: 37,
			deprecating: "v1 ComponentStatus is deprecated since Kubernetes 1.19; ask the health endpoints of the components"},
		{name: "the version that a cluster serves says nothing", object: versioned(t, "v1", "Endpoints", nil), version: 37, live: true},
		{name: "the manifest that was applied does", object: versioned(t, "networking.k8s.io/v1", "Ingress", applied(`{"apiVersion": "extensions/v1beta1", "kind": "Ingress"}`)), version: 37, live: true,
			removed: "extensions/v1beta1 Ingress is not served from Kubernetes 1.22 on; use networking.k8s.io/v1"},
		{name: "an annotation that is no manifest", object: versioned(t, "networking.k8s.io/v1", "Ingress", applied(`{`)), version: 37, live: true},
		{name: "custom resource", object: versioned(t, "policy.example.com/v1beta1", "PodSecurityPolicy", nil), version: 37},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := model.NewWorld([]*model.Object{test.object}, model.WorldOptions{Live: test.live})
			for control, want := range map[*check.Control]string{&noRemovedAPIs: test.removed, &deprecatedAPIs: test.deprecating} {
				got := ""
				for _, j := range control.World(&check.Input{World: w, Version: test.version}) {
					for _, v := range j.Violations {
						got += v.Detail
					}
				}
				if got != want {
					t.Errorf("%s: got %q, want %q", control.Name, got, want)
				}
			}
		})
	}
}

func TestNamespaceBounds(t *testing.T) {
	quota, _ := model.NewObject(map[string]any{"apiVersion": "v1", "kind": "ResourceQuota", "metadata": map[string]any{"name": "q", "namespace": "shop"},
		"spec": map[string]any{"hard": map[string]any{"pods": "10"}, "scopes": []any{"BestEffort"}}}, nil, model.Source{})
	for _, test := range []struct {
		options model.WorldOptions
		want    string
	}{
		{model.WorldOptions{}, "[]"},
		{model.WorldOptions{Complete: true}, "[Namespace/shop fail ]"},
		{model.WorldOptions{Live: true, Unobserved: []model.Unobserved{{GroupKind: resourceQuotaKind, Namespace: "shop", Reason: "forbidden"}}},
			"[Namespace/shop unknown its ResourceQuotas were not read: forbidden]"},
	} {
		var got []string
		for _, j := range namespaceQuota.World(&check.Input{World: model.NewWorld([]*model.Object{quota}, test.options)}) {
			got = append(got, fmt.Sprintf("%s %s %s", j.Ref, j.Verdict, j.Reason))
		}
		if fmt.Sprint(got) != test.want {
			t.Errorf("got %v, want %v", got, test.want)
		}
	}
}
