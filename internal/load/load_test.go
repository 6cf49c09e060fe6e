package load

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/helm"
	"bulkhead.dev/bulkhead/internal/load/kustomize"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestMain lets the test binary be the program that renders.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		child := map[string]func() error{
			helm.Verb:      func() error { return helm.Child(testContext, os.Stdin, os.Stdout) },
			kustomize.Verb: func() error { return kustomize.Child(testContext, os.Stdin, os.Stdout) },
		}[os.Args[1]]
		if child != nil {
			if err := child(); err != nil {
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// tree writes files below a new folder and returns it.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func snapshot(t *testing.T, paths ...string) (*model.Snapshot, error) {
	t.Helper()
	return Snapshot(t.Context(), Options{Paths: paths, Self: os.Args[0], Stdin: strings.NewReader("")})
}

// names lists what each world holds: root: kind/name@file:line ...
func names(s *model.Snapshot, dir string) []string {
	var out []string
	for _, w := range s.Worlds {
		var objects []string
		for _, o := range w.Objects {
			l := o.Locate(model.Path{model.Key("metadata"), model.Key("name")})
			rel, _ := filepath.Rel(dir, l.File)
			objects = append(objects, o.Kind+"/"+o.Name+"@"+filepath.ToSlash(rel))
		}
		slices.Sort(objects)
		root, _ := filepath.Rel(dir, w.Root)
		if w.Root == "" {
			root = ""
		}
		out = append(out, filepath.ToSlash(root)+": "+strings.Join(objects, " "))
	}
	slices.Sort(out)
	return out
}

const service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: NAME\n"

func named(name string) string { return strings.ReplaceAll(service, "NAME", name) }

func TestWorlds(t *testing.T) {
	dir := tree(t, map[string]string{
		"plain/a.yaml":                         named("a"),
		"plain/b.json":                         `{"apiVersion":"v1","kind":"Service","metadata":{"name":"b"}}`,
		"chart/Chart.yaml":                     "apiVersion: v2\nname: chart\nversion: 1.0.0\n",
		"chart/values.yaml":                    "name: c\n",
		"chart/templates/s.yaml":               named("{{ .Values.name }}"),
		"chart/crds/x.yaml":                    named("crd"),
		"base/kustomization.yaml":              "resources: [s.yaml]\n",
		"base/s.yaml":                          named("k"),
		"base/unused.yaml":                     named("unused"),
		"overlay/kustomization.yaml":           "resources: [../base]\nnamePrefix: x-\ncomponents: [../component]\n",
		"component/kustomization.yaml":         "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches: [{path: patch.yaml}]\n",
		"component/patch.yaml":                 named("k") + "spec: {type: NodePort}\n",
		"component-unused/kustomization.yaml":  "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [extra.yaml]\n",
		"component-unused/extra.yaml":          named("extra"),
		".hidden/a.yaml":                       named("hidden"),
		"ignored/a.yaml":                       named("ignored"),
		".bulkheadignore":                      "ignored/\n# a comment\n*.tmp.yaml\n",
		"plain/x.tmp.yaml":                     "a: [",
		"plain/flux.yaml":                      "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: f}\n",
		"docs/values.yaml":                     "a: 1\n",
		"chart/charts/sub/Chart.yaml":          "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
		"chart/charts/sub/templates/deep.yaml": named("sub"),
	})
	s, err := snapshot(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Problems {
		t.Errorf("problem: %s:%d: %s", p.Location.File, p.Location.Line, p.Message)
	}
	want := []string{
		": Kustomization/f@plain/flux.yaml Service/a@plain/a.yaml Service/b@plain/b.json Service/unused@base/unused.yaml",
		"chart: Service/c@chart/templates/s.yaml Service/crd@chart/crds/x.yaml Service/sub@chart/charts/sub/templates/deep.yaml",
		"overlay: Service/x-k@base/s.yaml",
	}
	if got := names(s, dir); !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSamePathTwice(t *testing.T) {
	dir := tree(t, map[string]string{"a.yaml": named("a")})
	s, err := snapshot(t, dir, filepath.Join(dir, "a.yaml"), dir+"/.")
	if err != nil || len(s.Worlds) != 1 || len(s.Worlds[0].Objects) != 1 {
		t.Errorf("got %+v, %v", s, err)
	}
}

// TestCycle: kustomizations that build on each other are said, not lost.
func TestCycle(t *testing.T) {
	dir := tree(t, map[string]string{
		"a/kustomization.yaml": "resources: [../b]\n",
		"b/kustomization.yaml": "resources: [../a]\n",
		"ok.yaml":              named("ok"),
	})
	s, err := snapshot(t, dir)
	if err != nil || len(s.Problems) == 0 || !strings.Contains(s.Problems[0].Message, "leads back") {
		t.Errorf("got %+v, %v", s.Problems, err)
	}
}

func TestRemoteKustomization(t *testing.T) {
	dir := tree(t, map[string]string{"k/kustomization.yaml": "resources:\n- https://github.com/example/repo//base?ref=v1\n", "ok.yaml": named("ok")})
	s, err := snapshot(t, dir)
	if err != nil || len(s.Problems) != 1 || s.Problems[0].Location.Line != 2 || !strings.Contains(s.Problems[0].Message, "remote") {
		t.Errorf("got %+v, %v", s.Problems, err)
	}
	if len(s.Worlds) != 1 || s.Worlds[0].Objects[0].Name != "ok" {
		t.Error("the other file is not read")
	}
}

func TestChartFailure(t *testing.T) {
	dir := tree(t, map[string]string{
		"c/Chart.yaml":       "apiVersion: v2\nname: c\nversion: 1.0.0\n",
		"c/templates/a.yaml": "kind: X\n\nname: {{ fail \"no good\" }}\n",
		"ok.yaml":            named("ok"),
	})
	s, err := snapshot(t, dir)
	if err != nil || len(s.Problems) != 1 {
		t.Fatalf("got %+v, %v", s.Problems, err)
	}
	p := s.Problems[0]
	if filepath.ToSlash(p.Location.File) != filepath.ToSlash(filepath.Join(dir, "c/templates/a.yaml")) || p.Location.Line != 3 || !strings.Contains(p.Message, "no good") {
		t.Errorf("got %+v", p)
	}
}

func TestNothing(t *testing.T) {
	empty := t.TempDir()
	for _, paths := range [][]string{{empty}, {filepath.Join(empty, "nowhere")}, {os.DevNull}} {
		if _, err := snapshot(t, paths...); !errors.Is(err, ErrNothing) {
			t.Errorf("%v: got %v", paths, err)
		}
	}
}

func TestTooLarge(t *testing.T) {
	dir := tree(t, map[string]string{"ok.yaml": named("ok")})
	file, err := os.Create(filepath.Join(dir, "large.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(MaxFileSize + 1); err != nil {
		t.Fatal(err)
	}
	file.Close()
	s, err := snapshot(t, dir)
	if err != nil || len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Message, "larger than 64 MiB") {
		t.Errorf("got %+v, %v", s.Problems, err)
	}
}

// TestReady: a world is handed on while another is still read. Here the plain
// files can be read only once the kustomization was.
func TestReady(t *testing.T) {
	dir := tree(t, map[string]string{
		"kustomization.yaml": "resources: [service.yaml]\n",
		"service.yaml":       named("built"),
	})
	in, out := io.Pipe()
	s, err := Snapshot(t.Context(), Options{Paths: []string{"-", dir}, Self: os.Args[0], Stdin: in, Ready: func(w *model.World) {
		if w.Root != "" {
			go func() {
				_, err := io.WriteString(out, named("plain"))
				out.CloseWithError(err)
			}()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Worlds) != 2 || s.Worlds[0].Root != "" || s.Worlds[1].Root == "" {
		t.Errorf("%d worlds in the wrong order: plain files come first, however late they are", len(s.Worlds))
	}
}
