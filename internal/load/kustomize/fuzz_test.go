package kustomize

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// requests counts what kustomize tried to fetch.
type requests struct{ atomic.Int64 }

func (r *requests) RoundTrip(q *http.Request) (*http.Response, error) {
	r.Add(1)
	return nil, errors.New("refused")
}

// FuzzInspect takes any kustomization file. What is inspected without a fault is
// built by kustomize itself, which must then not try to fetch or clone anything.
func FuzzInspect(f *testing.F) {
	for _, text := range []string{
		"resources: [a.yaml, base]\nnamePrefix: x-\ncomponents: [part]\n",
		"RESOURCES: [https://example.com/a.yaml]\n",
		"bases: [github.com/org/repo//x?ref=v1]\n",
		"patches:\n- path: patch.yaml\n- patch: '[{op: add, path: /x, value: 1}]'\n  target: {kind: Service, name: a}\nresources: [a.yaml]\n",
		"patchesStrategicMerge:\n- patch.yaml\n- |\n  apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n",
		"configMapGenerator:\n- {name: c, files: [k=a.yaml, a.yaml], envs: [e.env]}\nsecretGenerator:\n- {name: s, literals: [a=b], env: e.env}\n",
		"generators:\n- |\n  apiVersion: builtin\n  kind: ConfigMapGenerator\n  metadata: {name: x}\n  files: [https://example.com/x]\n",
		"transformers: [t.yaml]\nvalidators: [t.yaml]\nconfigurations: [c.yaml]\ncrds: [a.yaml]\nopenapi: {path: c.yaml}\n",
		"replacements:\n- path: c.yaml\n- source: {kind: Service}\nhelmCharts: [{name: x}]\nhelmChartInflationGenerator: [{chartName: x}]\n",
		"a: &a [git@example.com:org/repo]\nresources: *a\n", "- x\n", "{}", "resources: [., .., /, '']\n", "kind: Component\nresources: [part]\n",
	} {
		f.Add(text)
	}
	root := f.TempDir()
	for name, content := range map[string]string{
		"a.yaml": service, "patch.yaml": service, "e.env": "a=b\n", "c.yaml": "namePrefix: []\n",
		"t.yaml":                  "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: x}\nprefix: x\n",
		"base/kustomization.yaml": "resources: [b.yaml]\n", "base/b.yaml": strings.ReplaceAll(service, "name: a", "name: b"),
		"part/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -x\n",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	// No git can be found, and no request gets through: what is tried is seen.
	f.Setenv("PATH", "")
	network := &requests{}
	http.DefaultTransport = network
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		f.Fatal(err)
	}
	for _, remote := range []string{"github.com/org/repo", "http://127.0.0.1/x"} { // does it see anything at all?
		if err := os.WriteFile(filepath.Join(root, "kustomization.yaml"), []byte("resources: ["+remote+"]\n"), 0o600); err != nil {
			f.Fatal(err)
		}
		if err := tryBuild(root, null); network.Swap(0) == 0 && (err == nil || !strings.Contains(err.Error(), "git")) {
			f.Fatalf("kustomize does not try to fetch %s: %v", remote, err)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(root, "kustomization.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Inspect(root, Options{})
		if err != nil {
			all := faults(err)
			if len(all) == 0 {
				t.Errorf("%q: an error of another kind, %v", text, err)
			}
			for _, e := range all {
				if strings.ContainsAny(e.Error(), "\n\x1b") || e.Line > lineBreaks(text)+2 {
					t.Errorf("%q: got %q", text, e)
				}
			}
			return
		}
		if err := tryBuild(root, null); err != nil && strings.Contains(err.Error(), "git") {
			t.Errorf("%q: kustomize wants to clone: %v", text, err)
		}
		if n := network.Swap(0); n > 0 {
			t.Errorf("%q: kustomize made %d requests", text, n)
		}
	})
}

// tryBuild is kustomize on the real file system; what it prints goes to null.
func tryBuild(dir string, null *os.File) (err error) {
	stderr := os.Stderr
	os.Stderr = null
	defer func() {
		os.Stderr = stderr
		if r := recover(); r != nil {
			err = fmt.Errorf("kustomize: %v", r)
		}
	}()
	_, err = krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	return err
}

// FuzzAlign walks any two objects side by side: every place is a line of the
// source, and a line of an equal source is itself.
func FuzzAlign(f *testing.F) {
	f.Add(service, service)
	f.Add("a: [{name: x, v: 1}, {name: y}]\n", "a:\n- name: y\n  v: &v 2\n- *v\n")
	f.Add("a: |\n  x\n  y\nb: {}\n", "b: {}\na: z\n")
	f.Add("- 1\n", "a: &a {b: *a}\n")
	f.Fuzz(func(t *testing.T, built, source string) {
		objects, err := parseNodes([]byte(built))
		if err != nil || len(objects) != 1 {
			return
		}
		sources, err := parseNodes([]byte(source))
		if err != nil || len(sources) != 1 {
			return
		}
		for _, override := range []bool{false, true} {
			a := &aligner{places: make([]Place, strings.Count(built, "\n")+1)}
			a.source("source", 0, override)
			a.node(objects[0], sources[0], 0)
			(&patch{ops: sources[0].Content}).align(a, objects[0])
			for i, p := range a.places {
				if p.Line < 0 || p.Line > lineBreaks(source)+1 {
					t.Errorf("line %d of %q is line %d of %q", i+1, built, p.Line, source)
				}
			}
		}
	})
}

// lineBreaks counts what YAML 1.1 takes as the end of a line.
func lineBreaks(text string) int {
	n := 0
	for _, c := range text {
		if strings.ContainsRune("\n\r\u0085\u2028\u2029", c) {
			n++
		}
	}
	return n
}
