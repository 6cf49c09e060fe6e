package model

import (
	"slices"
	"testing"
)

func object(t *testing.T, apiVersion, kind, namespace, name string, more map[string]any) *Object {
	t.Helper()
	meta := map[string]any{"name": name}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	content := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": meta}
	for k, v := range more {
		content[k] = v
	}
	o, ok := NewObject(content, nil, Source{})
	if !ok {
		t.Fatal("no object")
	}
	return o
}

func TestNamespaces(t *testing.T) {
	service := object(t, "v1", "Service", "", "a", nil)
	written := object(t, "v1", "Service", "default", "b", nil)
	role := object(t, "rbac.authorization.k8s.io/v1", "ClusterRole", "wrong", "c", nil)
	custom := object(t, "example.com/v1", "Thing", "", "d", nil)
	defined := object(t, "example.com/v1", "Other", "", "e", nil)
	crd := object(t, "apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "others.example.com",
		map[string]any{"spec": map[string]any{"group": "example.com", "scope": "Namespaced", "names": map[string]any{"kind": "Other"}}})
	ns := object(t, "v1", "Namespace", "", "shop", map[string]any{})
	w := NewWorld([]*Object{service, written, role, custom, defined, crd, ns}, WorldOptions{Namespace: "team"})
	for _, c := range []struct {
		o         *Object
		namespace string
		written   bool
	}{{service, "team", false}, {written, "default", true}, {role, "", false}, {custom, "", false}, {defined, "team", false}} {
		if c.o.Namespace != c.namespace || c.o.NamespaceWritten != c.written {
			t.Errorf("%s: namespace %q (written %v), want %q (%v)", c.o.Ref(), c.o.Namespace, c.o.NamespaceWritten, c.namespace, c.written)
		}
	}
	if got := w.Namespaces(); !slices.Equal(got, []string{"shop"}) {
		t.Errorf("an open world may judge the namespaces %v, want only the one that is given", got)
	}
	if w.Closed("team") || !w.Closed("shop") || w.Closed("") {
		t.Error("files are closed only for a namespace whose object is given")
	}
	complete := NewWorld([]*Object{service, ns}, WorldOptions{Complete: true})
	if got := complete.Namespaces(); !slices.Equal(got, []string{"shop", "team"}) {
		t.Errorf("a complete world may judge %v", got)
	}
	if labels, seen := w.NamespaceLabels("shop"); labels["kubernetes.io/metadata.name"] != "shop" || !seen {
		t.Errorf("got labels %v, %v", labels, seen)
	}
	if got := w.KindIn(GroupKind{"", "Service"}, "team"); len(got) != 1 || got[0] != service {
		t.Errorf("KindIn = %v", got)
	}
}

func TestPods(t *testing.T) {
	spec := map[string]any{
		"initContainers":      []any{map[string]any{"name": "i", "restartPolicy": "Always"}, "broken"},
		"containers":          []any{map[string]any{"name": "c"}},
		"ephemeralContainers": []any{map[string]any{"name": "e"}},
	}
	template := map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}, "spec": spec}
	objects := []*Object{
		object(t, "v1", "Pod", "n", "pod", map[string]any{"spec": spec}),
		object(t, "v1", "PodTemplate", "n", "template", map[string]any{"template": template}),
		object(t, "batch/v1", "CronJob", "n", "cron", map[string]any{"spec": map[string]any{"jobTemplate": map[string]any{"spec": map[string]any{"template": template}}}}),
		object(t, "argoproj.io/v1alpha1", "Rollout", "n", "rollout", map[string]any{"spec": map[string]any{"template": template}}),
		object(t, "example.com/v1", "Runner", "n", "runner", map[string]any{"spec": map[string]any{"pod": template}}),
	}
	NewWorld(objects, WorldOptions{PodTemplates: []PodTemplate{{GroupKind{"example.com", "Runner"}, Path(nil).Keys("spec", "pod")}}})
	paths := []string{"spec", "template.spec", "spec.jobTemplate.spec.template.spec", "spec.template.spec", "spec.pod.spec"}
	for i, o := range objects {
		pod := o.Pod()
		if pod == nil {
			t.Errorf("%s has no pod", o.Ref())
			continue
		}
		var names []string
		for c := range pod.Containers() {
			names = append(names, c.Name)
			if v, ok := c.Path.Lookup(o.Content); !ok || Get(v, "name") != c.Name {
				t.Errorf("%s: %s does not lead to container %s", o.Ref(), c.Path, c.Name)
			}
			if c.Sidecar() != (c.Name == "i") {
				t.Errorf("%s: sidecar %v", c.Name, c.Sidecar())
			}
		}
		if !slices.Equal(names, []string{"i", "c", "e"}) || pod.SpecPath().String() != paths[i] {
			t.Errorf("%s: containers %v at %s", o.Ref(), names, pod.SpecPath())
		}
	}
	if objects[1].Pod().Labels()["a"] != "b" {
		t.Error("the labels of a template are lost")
	}
}

func TestFactIsComputedOnce(t *testing.T) {
	calls := 0
	f := NewFact(func(w *World) int { calls++; return len(w.Objects) })
	w := NewWorld(nil, WorldOptions{})
	if f.Of(w)+f.Of(w) != 0 || calls != 1 {
		t.Errorf("computed %d times", calls)
	}
}
