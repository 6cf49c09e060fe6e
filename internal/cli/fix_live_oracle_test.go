package cli

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/fix/apply"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestApplyIsTheSameAsAPatch: for every fix of every example, and for all fixes of it
// together, the API server makes of the configuration that is applied, or of the
// tested patch, what it makes of a plain JSON Patch of the same change.
func TestApplyIsTheSameAsAPatch(t *testing.T) {
	c := connectLive(t)
	namespace := "fix" + c.suffix
	c.apply(t, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}})
	server, err := apply.Connect(c.config)
	if err != nil {
		t.Fatal(err)
	}
	server.Force = true
	controls, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	fixes := map[string]*check.Control{}
	var all []string
	for _, control := range check.FixOrder(controls) {
		if control.FixPolicy() != nil {
			fixes[control.Name] = control
			all = append(all, control.Name)
		}
	}
	_, parameters := (&check.Settings{}).ParametersFor(namespace, controls)
	o := oracle{liveCluster: c, server: server, fixes: fixes, fixer: admission.NewFixer(parameters)}
	for _, name := range all {
		for _, example := range c.examples(t, fixes[name], namespace) {
			if live := c.created(t, example); live != nil {
				o.compare(t, example, live, []string{name})
				o.compare(t, example, live, all)
			}
		}
	}
	t.Logf("%d were applied, %d patched, %d refused either way", o.applied, o.patched, o.refused)
	if o.applied < 60 || o.patched < 10 || o.refused > 10 {
		t.Errorf("%d were applied, %d patched, %d refused either way", o.applied, o.patched, o.refused)
	}
}

// oracle compares what the API server makes of a change in two ways.
type oracle struct {
	*liveCluster
	server                    *apply.Cluster
	fixes                     map[string]*check.Control
	fixer                     *admission.Fixer
	applied, patched, refused int
}

func (c *oracle) compare(t *testing.T, example *unstructured.Unstructured, live map[string]any, controls []string) {
	t.Helper()
	change := c.change(t, controls, live)
	if change == nil {
		return
	}
	ref := change.Object.Ref()
	content := model.WithoutNulls(live)
	after, err := finding.Apply(content, change.Edits)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.server.Patch(t.Context(), ref, content, after, change.Edits)
	if err != nil {
		t.Errorf("%v of %s: %v", controls, ref, err)
		return
	}
	got, err := c.server.Send(t.Context(), ref, p, "", true)
	want, wantErr := c.plainPatch(t, example, change)
	switch {
	case (err == nil) != (wantErr == nil):
		t.Errorf("%v of %s: %v, the plain patch: %v", controls, ref, err, wantErr)
	case err != nil:
		c.refused++
	case !sameObject(got, want):
		t.Errorf("%v of %s: applying it gives another object than patching it\n%v", controls, ref, fix.Difference(want, got))
	case p.Type == types.ApplyPatchType:
		c.applied++
	default:
		c.patched++
	}
}

// examples are the bad examples of a control, in a namespace of the test.
func (c *liveCluster) examples(t *testing.T, control *check.Control, namespace string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for _, text := range control.Examples.Bad {
		for _, o := range manifest.NewDecoder().Decode(model.Source{}, []byte(text)).Objects {
			resource, known := model.BuiltinResource(o.GroupKind)
			if !known || !resource.Namespaced {
				continue
			}
			data, err := json.Marshal(o.Content)
			if err != nil {
				t.Fatal(err)
			}
			u := &unstructured.Unstructured{}
			if err := u.UnmarshalJSON(data); err != nil {
				t.Fatal(err)
			}
			if u.GetKind() == "Pod" {
				u = inDeployment(u)
			}
			u.SetNamespace(namespace)
			out = append(out, u)
		}
	}
	return out
}

// inDeployment is a pod as the template of a Deployment, which can be changed.
func inDeployment(pod *unstructured.Unstructured) *unstructured.Unstructured {
	labels := map[string]any{"app": "x"}
	meta := map[string]any{"labels": labels}
	if annotations := pod.GetAnnotations(); annotations != nil {
		meta["annotations"] = pod.Object["metadata"].(map[string]any)["annotations"]
	}
	spec := pod.Object["spec"].(map[string]any)
	delete(spec, "restartPolicy")
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{},
		"spec": map[string]any{"replicas": int64(0), "selector": map[string]any{"matchLabels": labels}, "template": map[string]any{"metadata": meta, "spec": spec}}}}
}

func (c *liveCluster) resource(u *unstructured.Unstructured) schema.GroupVersionResource {
	gvk := u.GroupVersionKind()
	r, _ := model.BuiltinResource(model.GroupKind{Group: gvk.Group, Kind: gvk.Kind})
	return schema.GroupVersionResource{Group: gvk.Group, Version: gvk.Version, Resource: r.Name}
}

// created is an example as the API server has it; nil where it refuses it.
func (c *liveCluster) created(t *testing.T, u *unstructured.Unstructured) map[string]any {
	t.Helper()
	client := c.dynamic.Resource(c.resource(u)).Namespace(u.GetNamespace())
	u.SetName("x" + c.suffix)
	// The cluster has each port of its nodes once, and tests of other packages want it.
	ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
	for _, p := range ports {
		delete(p.(map[string]any), "nodePort")
	}
	if len(ports) > 0 {
		_ = unstructured.SetNestedSlice(u.Object, ports, "spec", "ports")
	}
	zero := int64(0)
	_ = client.Delete(t.Context(), u.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &zero})
	live, err := client.Create(t.Context(), u, metav1.CreateOptions{FieldManager: "test"})
	if err != nil {
		return nil
	}
	return live.Object
}

// change is what fixes of controls make of the object of the API server.
func (c *oracle) change(t *testing.T, controls []string, live map[string]any) *fix.Change {
	t.Helper()
	o, ok := model.NewObject(model.WithoutNulls(live), nil, model.Source{})
	if !ok {
		t.Fatalf("%v is no object", live)
	}
	model.NewWorld([]*model.Object{o}, model.WorldOptions{Live: true})
	change, failed := fix.Compose(t.Context(), o, controls, func(ctx context.Context, control string, o *model.Object) (map[string]any, error) {
		return c.fixer.Mutate(ctx, c.fixes[control], o)
	})
	for control, err := range failed {
		t.Errorf("%s: %v", control, err)
	}
	return change
}

func (c *liveCluster) plainPatch(t *testing.T, u *unstructured.Unstructured, change *fix.Change) (map[string]any, error) {
	t.Helper()
	var operations []apply.Operation
	for _, e := range change.Edits {
		operations = append(operations, apply.Operation{Op: e.Op, Path: e.Path, Value: e.Value})
	}
	data, err := json.Marshal(operations)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.dynamic.Resource(c.resource(u)).Namespace(u.GetNamespace()).Patch(t.Context(), u.GetName(), types.JSONPatchType, data, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: "other"})
	if err != nil {
		return nil, err
	}
	return got.Object, nil
}

// sameObject compares all but who owns which field, and what controllers write
// meanwhile.
func sameObject(a, b map[string]any) bool {
	for _, m := range []map[string]any{a, b} {
		delete(m, "status")
		meta := m["metadata"].(map[string]any)
		delete(meta, "managedFields")
		delete(meta, "resourceVersion")
		if annotations, ok := meta["annotations"].(map[string]any); ok {
			delete(annotations, "deployment.kubernetes.io/revision")
			if len(annotations) == 0 {
				delete(meta, "annotations")
			}
		}
	}
	return reflect.DeepEqual(a, b)
}
