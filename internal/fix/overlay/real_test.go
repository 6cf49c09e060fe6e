package overlay

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/finding"
	"k8s.io/apimachinery/pkg/runtime"

	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/load/kustomize"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// inputs returns the folder of real manifests, and skips where there is none.
func inputs(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("BULKHEAD_INPUTS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "inputs")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no real inputs at %s; set BULKHEAD_INPUTS", dir)
	}
	return dir
}

// onDisk is a kustomization of the disk with some files standing in, built in a
// child process as the program does it.
type onDisk struct {
	dir, root string
	over      map[string][]byte
}

func (d onDisk) build(ctx context.Context, files map[string][]byte) ([]*model.Object, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	overlay := map[string][]byte{}
	for _, standIns := range []map[string][]byte{d.over, files} {
		for path, content := range standIns {
			if path, err = filepath.Abs(path); err != nil {
				return nil, err
			}
			overlay[path] = content
		}
	}
	r, err := kustomize.Render(ctx, self, d.dir, kustomize.Options{Boundary: d.root, Overlay: overlay, ContentOnly: true})
	if err != nil {
		return nil, err
	}
	var all []*model.Object
	decoder := manifest.NewDecoder()
	for _, document := range r.Documents {
		all = append(all, decoder.Decode(model.Source{File: document.File}, document.Content).Objects...)
	}
	return all, nil
}

func (d onDisk) kustomization(t *testing.T) Kustomization {
	t.Helper()
	sources, err := kustomize.Inspect(d.dir, kustomize.Options{Boundary: d.root})
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) ([]byte, bool) {
		if content, ok := d.over[path]; ok {
			return content, true
		}
		content, err := os.ReadFile(path)
		return content, err == nil
	}
	text, _ := read(sources.Files[0])
	return Kustomization{
		Dir: d.dir, File: sources.Files[0], Text: text,
		Existing: func(name string) ([]byte, bool) { return read(filepath.Join(d.dir, name)) },
		Render: func(ctx context.Context, files map[string][]byte) ([]map[string]any, error) {
			objects, err := d.build(ctx, files)
			return contents(objects), err
		},
	}
}

func contents(objects []*model.Object) []map[string]any {
	var all []map[string]any
	for _, o := range objects {
		all = append(all, o.Content)
	}
	return all
}

// harden wants of every container what most workloads lack.
func harden(objects []*model.Object) []fix.Change {
	var wanted []fix.Change
	for _, o := range objects {
		path := "/spec/template/spec"
		spec := o.Map("spec", "template", "spec")
		if o.Kind == "Pod" {
			path, spec = "/spec", o.Map("spec")
		}
		after := runtime.DeepCopyJSON(prune(o.Content))
		for _, list := range []string{"initContainers", "containers"} {
			containers, _ := spec[list].([]any)
			for i := range containers {
				at := []string{list, string(rune('0' + i))}
				for _, e := range []finding.Edit{
					{Path: "securityContext/runAsNonRoot", Value: true},
					{Path: "securityContext/readOnlyRootFilesystem", Value: true},
					{Path: "resources/limits", Value: map[string]any{"cpu": "500m", "memory": "256Mi"}},
				} {
					parent, _, _ := strings.Cut(e.Path, "/")
					if v, _ := at2(after, path, append(at, parent)); v == nil {
						after = apply(after, add(path+finding.JoinPointer(append(at, parent)...), map[string]any{}))
					}
					after = apply(after, add(path+finding.JoinPointer(at...)+"/"+e.Path, e.Value))
				}
			}
		}
		if edits := fix.Difference(prune(o.Content), after); len(edits) > 0 {
			wanted = append(wanted, fix.Change{Object: o, Edits: edits, After: after})
		}
	}
	return wanted
}

func at2(content map[string]any, path string, rest []string) (any, bool) {
	return at(content, append(split(path), rest...))
}

func apply(content map[string]any, e finding.Edit) map[string]any {
	out, err := finding.Apply(content, []finding.Edit{e})
	if err != nil {
		return content
	}
	return out
}

// TestRealKustomizations hardens every workload of every real kustomization.
func TestRealKustomizations(t *testing.T) {
	root := filepath.Join(inputs(t), "online-boutique", "kustomize")
	roots, made, refused := 0, 0, 0
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.IsDir() || !kustomize.IsKustomization(path) || kustomize.IsComponent(path) {
			return err
		}
		d := onDisk{dir: path, root: root}
		objects, err := d.build(t.Context(), nil)
		if err != nil {
			t.Logf("%s is left out: %v", path, err)
			return nil
		}
		roots++
		wanted := harden(objects)
		k := d.kustomization(t)
		renders := 0
		render := k.Render
		k.Render = func(ctx context.Context, files map[string][]byte) ([]map[string]any, error) {
			renders++
			return render(ctx, files)
		}
		r, err := Plan(t.Context(), k, wanted)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		for _, why := range r.Refused {
			t.Logf("%s: %s", path, why)
		}
		made, refused = made+len(wanted)-len(r.Refused), refused+len(r.Refused)
		d.over = maps.Clone(r.Files)
		after, err := d.build(t.Context(), nil)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		verifyObjects(t, contents(objects), contents(after), wanted, r, false)
		if again := harden(after); len(again) > len(r.Refused) {
			t.Errorf("%s: %d changes are still wanted", path, len(again))
		}
		t.Logf("%s: %d objects, %d wanted, %d refused, %d builds", path, len(objects), len(wanted), len(r.Refused), renders)
		return nil
	})
	t.Logf("%d kustomizations: %d changes made, %d refused", roots, made, refused)
	if err != nil || roots < 4 || refused > 0 {
		t.Errorf("%d kustomizations, %d changes made, %d refused, %v", roots, made, refused, err)
	}
}
