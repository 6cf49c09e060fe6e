package overlay

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/load/kustomize"
	"bulkhead.dev/bulkhead/internal/model"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// TestMain lets the test binary be the child process that builds.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == kustomize.Verb {
		if err := kustomize.Child(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// tree are files by path; it is built in memory by kustomize itself.
type tree map[string]string

// with is the tree after files were written.
func (f tree) with(files map[string][]byte) tree {
	out := maps.Clone(f)
	for path, content := range files {
		out[path] = string(content)
	}
	return out
}

func (f tree) build(dir string) ([]map[string]any, error) {
	disk := filesys.MakeFsInMemory()
	for path, content := range f {
		if err := disk.WriteFile("/"+path, []byte(content)); err != nil {
			return nil, err
		}
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, "/"+dir)
	if err != nil {
		return nil, err
	}
	var objects []map[string]any
	for _, r := range built.Resources() {
		content, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		o := map[string]any{}
		if err := yaml.Unmarshal(content, &o); err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// kustomization is the one in dir, built by building root.
func (f tree) kustomization(t *testing.T, dir, root string) Kustomization {
	t.Helper()
	file := filepath.Join(dir, "kustomization.yaml")
	if f[file] == "" {
		t.Fatalf("no %s", file)
	}
	return Kustomization{
		Dir: dir, File: file, Text: []byte(f[file]),
		Existing: func(name string) ([]byte, bool) {
			content, ok := f[filepath.Join(dir, name)]
			return []byte(content), ok
		},
		Render: func(_ context.Context, files map[string][]byte) ([]map[string]any, error) {
			for path := range files {
				if filepath.Dir(path) != dir {
					t.Errorf("%s is not in %s", path, dir)
				}
			}
			return f.with(files).tryBuild(root)
		},
	}
}

// built finds an object by "Kind name" or "Kind namespace/name".
func built(t *testing.T, objects []map[string]any, which string) map[string]any {
	t.Helper()
	for _, o := range objects {
		if slices.Contains([]string{called(o), fmt.Sprintf("%v %v", o["kind"], model.Get(o, "metadata", "name"))}, which) {
			return o
		}
	}
	t.Fatalf("no %s is built", which)
	return nil
}

func called(o map[string]any) string {
	return fmt.Sprintf("%v %v/%v", o["kind"], model.Get(o, "metadata", "namespace"), model.Get(o, "metadata", "name"))
}

// change is the change that edits make of an object.
func change(t *testing.T, content map[string]any, edits ...finding.Edit) fix.Change {
	t.Helper()
	o, ok := model.NewObject(content, nil, model.Source{})
	if !ok {
		t.Fatalf("no object: %v", content)
	}
	after, err := finding.Apply(prune(content), edits)
	if err != nil {
		t.Fatal(err)
	}
	return fix.Change{Object: o, Edits: edits, After: after}
}

func add(path string, value any) finding.Edit {
	return finding.Edit{Op: "add", Path: path, Value: value}
}

func remove(path string) finding.Edit { return finding.Edit{Op: "remove", Path: path} }

func replace(path string, value any) finding.Edit {
	return finding.Edit{Op: "replace", Path: path, Value: value}
}

// verify builds the tree with the result's files, and compares every object with
// what it was and what is wanted of it. Of a change that is refused nothing is
// made or, where partly is set, some of its edits are.
func verify(t *testing.T, f tree, root string, before []map[string]any, wanted []fix.Change, r *fix.Result, partly bool) {
	t.Helper()
	after, err := f.with(r.Files).tryBuild(root)
	if err != nil {
		t.Errorf("the result does not build: %v", err)
		return
	}
	verifyObjects(t, before, after, wanted, r, partly)
}

func verifyObjects(t *testing.T, before, after []map[string]any, wanted []fix.Change, r *fix.Result, partly bool) {
	t.Helper()
	if len(before) != len(after) {
		t.Errorf("%d objects became %d", len(before), len(after))
		return
	}
	was, changes := map[string]map[string]any{}, map[string]*fix.Change{}
	for _, o := range before {
		was[identity(o)] = prune(o)
	}
	for i, c := range wanted {
		if r.Refused[i] == "" || partly {
			changes[identity(c.Object.Content)] = &wanted[i]
		}
	}
	for _, o := range after {
		o = prune(o)
		expected := was[identity(o)]
		if c := changes[identity(o)]; c != nil {
			var edits []finding.Edit
			for _, e := range c.Edits {
				want, should := at(c.After, split(e.Path))
				if got, is := at(o, split(e.Path)); !partly || should == is && equal(want, got) {
					edits = append(edits, e)
				}
			}
			var err error
			if expected, err = finding.Apply(expected, edits); err != nil {
				t.Errorf("%s: %v", identity(o), err)
			}
		}
		if !equal(o, expected) {
			t.Errorf("%s is\n%s\nwant\n%s", identity(o), dump(o), dump(expected))
		}
	}
}

func dump(v any) string {
	out, err := yaml.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// texts joins the contents of a result's files.
func texts(r *fix.Result) string {
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(r.Files)) {
		fmt.Fprintf(&b, "# %s\n%s\n", path, r.Files[path])
	}
	return b.String()
}
