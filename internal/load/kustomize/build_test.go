package kustomize

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// plainBuild is kustomize on the real file system, nothing added.
func plainBuild(t *testing.T, dir string) (string, error) {
	t.Helper()
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return "", err
	}
	out, err := objects.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return string(out), nil
}

func joined(r *Result) string {
	var all []string
	for _, d := range r.Documents {
		all = append(all, string(d.Content))
	}
	return strings.Join(all, "---\n")
}

// TestRenderIsKustomizeBuild compares with kustomize itself on every real
// kustomization, and checks that each place holds what it is said to hold.
func TestRenderIsKustomizeBuild(t *testing.T) {
	root := filepath.Join(inputs(t), "online-boutique", "kustomize")
	built := 0
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.IsDir() || !IsKustomization(path) {
			return err
		}
		want, wantErr := plainBuild(t, path)
		got, err := renderDir(t, path, Options{})
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%s: got %v, kustomize %v", path, err, wantErr)
		}
		if err != nil || wantErr != nil {
			return nil
		}
		built++
		if diff := cmp.Diff(want, joined(got)); diff != "" {
			t.Errorf("%s: kustomize has -, Render has +:\n%s", path, diff)
		}
		checkPlaces(t, path, got)
		checkConsumed(t, path, got)
		return nil
	})
	if err != nil || built < 8 {
		t.Errorf("built %d, %v", built, err)
	}
}

// checkPlaces reads every place: a scalar stands on its line in the source,
// unless a transformer changed it, which those of images, names and namespaces
// do.
func checkPlaces(t *testing.T, dir string, r *Result) {
	t.Helper()
	known, all := 0, 0
	sources := map[string][]string{}
	for _, d := range r.Documents {
		for i, row := range strings.Split(strings.TrimRight(string(d.Content), "\n"), "\n") {
			all++
			p := d.Locate(i + 1)
			if p.Line == 0 {
				t.Errorf("%s: nothing is known of %q of %s", dir, row, d.File)
				continue
			}
			if sources[p.File] == nil {
				data, err := os.ReadFile(p.File)
				if err != nil {
					t.Fatal(err)
				}
				sources[p.File] = strings.Split(string(data), "\n")
			}
			if strings.HasPrefix(strings.TrimSpace(row), "- ") && p.File == d.File {
				known++ // an item is where it begins, with whatever field that is
				continue
			}
			key, value, _ := strings.Cut(strings.TrimLeft(row, " -"), ":")
			if strings.Contains(row, "image:") {
				value = ""
			}
			value = strings.Trim(strings.TrimSpace(value), `"'|-`)
			if source := sources[p.File][p.Line-1]; strings.Contains(source, strings.Trim(key, `"`)) && strings.Contains(source, value) {
				known++
			}
		}
	}
	if known*100 < all*97 { // the rest are lines inside of texts of several lines
		t.Errorf("%s: %d of %d lines are where they are said to be", dir, known, all)
	}
}

// checkConsumed: the inspection names what the build reads, and the build reads
// what its documents came from.
func checkConsumed(t *testing.T, dir string, r *Result) {
	t.Helper()
	sources, err := Inspect(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Consumed {
		if !slices.Contains(sources.Files, f) {
			t.Errorf("%s: the build read %s, which Inspect does not name", dir, f)
		}
	}
	for _, d := range r.Documents {
		for _, f := range append(d.Patches, d.File) {
			if !slices.Contains(r.Consumed, f) {
				t.Errorf("%s: %s is not among the files read", dir, f)
			}
		}
	}
}

// shop is an overlay over a base, with every kind of patch and a generator. The
// comments number the lines that the test expects.
var shop = files{
	"base/kustomization.yaml": "resources: [web.yaml, all.yaml]\n",
	"base/web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  template:
    spec:
      containers:
      - name: app
        image: app:1
        securityContext:
          privileged: false
        ports:
        - containerPort: 80
      - name: side
        image: side:1
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-admin}
spec: {replicas: 1}
`,
	"base/all.yaml": `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata:
    name: web
  spec:
    type: ClusterIP
- apiVersion: v1
  kind: Service
  metadata:
    name: metrics
`,
	"prod/kustomization.yaml": `resources: [../base]
namePrefix: prod-
namespace: shop
images:
- {name: side, newTag: "2"}
secretGenerator:
- name: first
  literals: [a=1]
- name: first-second
  literals: [password=hunter2]
patches:
- path: replicas.yaml
- target: {kind: Service, name: web}
  path: service.json
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: web
    spec:
      template:
        spec:
          containers:
          - name: app
            securityContext:
              privileged: true
`,
	"prod/replicas.yaml": "# more of it\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 3\n  paused: true\n",
	"prod/service.json":  "[\n  {\"op\": \"replace\", \"path\": \"/spec/type\",\n   \"value\": \"NodePort\"},\n  {\"op\": \"add\", \"path\": \"/metadata/annotations\", \"value\": {\n    \"example.com~1note\": \"x\"}}\n]\n",
}

func TestRenderTracesFields(t *testing.T) {
	root := shop.write(t)
	r, err := renderDir(t, filepath.Join(root, "prod"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	type want struct {
		object, row, file string
		line              int
	}
	for _, w := range []want{
		{"Deployment prod-web", "kind: Deployment", "base/web.yaml", 2},
		{"Deployment prod-web", "name: prod-web", "base/web.yaml", 4},
		{"Deployment prod-web", "namespace: shop", "base/web.yaml", 1}, // added: the object's own line
		{"Deployment prod-web", "replicas: 3", "prod/replicas.yaml", 7},
		{"Deployment prod-web", "paused: true", "prod/replicas.yaml", 8},
		{"Deployment prod-web", "image: app:1", "base/web.yaml", 11},
		{"Deployment prod-web", "securityContext:", "base/web.yaml", 12},
		{"Deployment prod-web", "privileged: true", "prod/kustomization.yaml", 26},
		{"Deployment prod-web", "- containerPort: 80", "base/web.yaml", 15},
		{"Deployment prod-web", "image: side:2", "base/web.yaml", 17},
		{"Deployment prod-web-admin", "kind: Deployment", "base/web.yaml", 20},
		{"Deployment prod-web-admin", "replicas: 1", "base/web.yaml", 22},
		{"Service prod-web", "kind: Service", "base/all.yaml", 5},
		{"Service prod-web", "type: NodePort", "prod/service.json", 3},
		{"Service prod-web", "annotations:", "prod/service.json", 4},
		{"Service prod-metrics", "name: prod-metrics", "base/all.yaml", 13},
		{"Secret prod-first-second-", "kind: Secret", "prod/kustomization.yaml", 9},
		{"Secret prod-first-", "kind: Secret", "prod/kustomization.yaml", 7},
	} {
		place, found := find(r, w.object, w.row)
		if !found {
			t.Errorf("no %q in %s", w.row, w.object)
			continue
		}
		if place != (Place{filepath.Join(root, filepath.FromSlash(w.file)), w.line}) {
			t.Errorf("%s: %q is at %v, want %s:%d", w.object, w.row, place, w.file, w.line)
		}
	}
	for _, d := range r.Documents {
		if strings.Contains(string(d.Content), "config.kubernetes.io/origin") {
			t.Errorf("an annotation was left in:\n%s", d.Content)
		}
		var patches []string
		for _, p := range d.Patches {
			patches = append(patches, filepath.Base(p))
		}
		if strings.Contains(string(d.Content), "name: prod-web\n") && strings.Contains(string(d.Content), "kind: Deployment") &&
			!slices.Equal(patches, []string{"replicas.yaml", "kustomization.yaml"}) {
			t.Errorf("the patches of the Deployment are %q", patches)
		}
	}
	checkConsumed(t, filepath.Join(root, "prod"), r)
	plain, err := plainBuild(t, filepath.Join(root, "prod"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain, joined(r)); diff != "" {
		t.Error(diff)
	}
}

// find returns the place of the first row of the first object whose kind and
// name begin as named. A row may begin a list item.
func find(r *Result, object, row string) (Place, bool) {
	kind, name, _ := strings.Cut(object, " ")
	best, place := "", Place{}
	for _, d := range r.Documents {
		text := string(d.Content)
		_, rest, _ := strings.Cut(text, "\n  name: ")
		has, _, _ := strings.Cut(rest, "\n")
		if !strings.Contains(text, "kind: "+kind+"\n") || !strings.HasPrefix(has, name) || best != "" && len(has) >= len(best) {
			continue
		}
		for i, line := range strings.Split(text, "\n") {
			if line = strings.TrimSpace(line); line == row || line == "- "+row {
				best, place = has, d.Locate(i+1)
				break
			}
		}
	}
	return place, best != ""
}

// TestRenderKeepsWhatTheUserAskedFor: annotations of origin stay where the
// kustomization asks for them itself.
func TestRenderKeepsWhatTheUserAskedFor(t *testing.T) {
	for _, ask := range []string{"buildMetadata: [originAnnotations]\n", "BuildMetadata: [managedByLabel]\n", "buildMetadata: [transformerAnnotations, originAnnotations]\nnamePrefix: x-\n", "{}\n"} {
		if ask == "{}\n" {
			ask = ""
		}
		root := files{"kustomization.yaml": ask + "resources: [a.yaml]\n", "a.yaml": "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n"}.write(t)
		want, err := plainBuild(t, root)
		if err != nil {
			t.Fatal(err)
		}
		r, err := renderDir(t, root, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, joined(r)); diff != "" {
			t.Errorf("%q: kustomize has -, Render has +:\n%s", ask, diff)
		}
	}
}

func TestRenderWarnsOfDeprecatedFields(t *testing.T) {
	root := files{
		"kustomization.yaml":  "bases: [b]\ncommonLabels: {a: b}\n",
		"b/kustomization.yml": "resources: [a.yaml]\n",
		"b/a.yaml":            "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n",
	}.write(t)
	r, err := renderDir(t, root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		filepath.Join(root, "kustomization.yaml") + ": 'bases' is deprecated. Please use 'resources' instead.",
		filepath.Join(root, "kustomization.yaml") + ": 'commonLabels' is deprecated. Please use 'labels' instead.",
	}
	if diff := cmp.Diff(want, r.Warnings); diff != "" {
		t.Error(diff)
	}
}

func TestIsKustomization(t *testing.T) {
	root := files{
		"yaml/kustomization.yaml": "resources: []\n", "yml/kustomization.yml": "", "plain/Kustomization": "resources: []\n",
		"component/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n",
		"flux/kustomization.yaml":      "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n",
		"broken/kustomization.yaml":    "a: b: c\n",
		"two/kustomization.yaml":       "", "two/kustomization.yml": "",
		"none/x.yaml": "", "folder/kustomization.yaml/x": "",
	}.write(t)
	for dir, want := range map[string]bool{
		"yaml": true, "yml": true, "plain": true, "component": true, "broken": true, "two": true,
		"flux": false, "none": false, "folder": false, "missing": false,
	} {
		if got := IsKustomization(filepath.Join(root, dir)); got != want {
			t.Errorf("IsKustomization(%s) = %v", dir, got)
		}
		if got := IsComponent(filepath.Join(root, dir)); got != (dir == "component") {
			t.Errorf("IsComponent(%s) = %v", dir, got)
		}
	}
}

// BenchmarkRender measures one kustomization of 33 objects in one child
// process: start, inspection twice, build and provenance.
func BenchmarkRender(b *testing.B) {
	dir := filepath.Join(inputs(b), "online-boutique", "kustomize")
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Render(b.Context(), self, dir, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
