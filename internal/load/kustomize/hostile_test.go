package kustomize

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/load/child"
)

func link(t *testing.T, target string, name ...string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(name...)); err != nil {
		t.Skip(err)
	}
}

func TestRenderFollowsNoLinkOutOfTheTree(t *testing.T) {
	tree := files{
		"repo/app/kustomization.yaml":  "resources: [a.yaml]\n",
		"repo/base/kustomization.yaml": "resources: [a.yaml]\n",
		"repo/base/a.yaml":             service,
		"outside/kustomization.yaml":   "resources: [a.yaml]\n",
		"outside/a.yaml":               "apiVersion: v1\nkind: Secret\nmetadata:\n  name: hunter2\n",
	}
	const leadsOut = "is a symbolic link that leads out of"
	for name, tt := range map[string]struct {
		ref, target, want string
		inRepo            bool // whether the user gave the whole repository
	}{
		"file out":               {"a.yaml", "../../outside/a.yaml", leadsOut, true},
		"folder out":             {"linked", "../../outside", leadsOut, true},
		"device":                 {"a.yaml", "/dev/zero", leadsOut, true},
		"file out of the folder": {"a.yaml", "../base/a.yaml", "lies outside of the kustomization's folder", true},
		"folder in the tree":     {"linked", "../base", "", true},
		"folder, small tree":     {"linked", "../base", leadsOut, false},
		"dangling":               {"a.yaml", "gone.yaml", "does not exist", true},
		"loop":                   {"a.yaml", "a.yaml", "cannot be read", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree.write(t)
			app := filepath.Join(root, "repo", "app")
			if err := os.WriteFile(filepath.Join(app, "kustomization.yaml"), []byte("resources:\n- "+tt.ref+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			link(t, tt.target, app, tt.ref)
			o := Options{}
			if tt.inRepo {
				o.Boundary = filepath.Join(root, "repo")
			}
			r, err := renderDir(t, app, o)
			if tt.want == "" {
				if err != nil || len(r.Documents) != 1 {
					t.Errorf("got %+v, %v", r, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), "kustomization.yaml:2: resources: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v", r, err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v tells what is outside", err)
			}
		})
	}
}

func TestLinkedKustomizationFile(t *testing.T) {
	root := files{"app/x": "", "secret/kustomization.yaml": "namePrefix: hunter2\n"}.write(t)
	link(t, "../secret/kustomization.yaml", root, "app", "kustomization.yaml")
	if _, err := renderDir(t, filepath.Join(root, "app"), Options{}); err == nil || !strings.Contains(err.Error(), "leads out of") {
		t.Errorf("got %v", err)
	}
}

// TestTheFolderItselfMayBeALink: what the user names is what the user means.
func TestTheFolderItselfMayBeALink(t *testing.T) {
	root := files{"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": service}.write(t)
	link(t, "app", root, "named")
	r, err := renderDir(t, filepath.Join(root, "named"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(root, "named", "a.yaml"); r.Documents[0].File != want {
		t.Errorf("the file is %s, want %s", r.Documents[0].File, want)
	}
}

func TestRenderOpensNoPipe(t *testing.T) {
	mkfifo, err := exec.LookPath("mkfifo")
	if err != nil {
		t.Skip("no mkfifo")
	}
	root := files{"kustomization.yaml": "resources: [a.yaml]\n"}.write(t)
	if err := exec.Command(mkfifo, filepath.Join(root, "a.yaml")).Run(); err != nil {
		t.Skip(err)
	}
	if _, err := renderDir(t, root, Options{}); err == nil || !strings.Contains(err.Error(), "a.yaml is not a regular file") {
		t.Errorf("got %v", err)
	}
}

func TestRenderStopsWhatCostsTooMuch(t *testing.T) {
	diamonds := files{}
	for i := range 24 {
		for _, side := range []string{"a", "b"} {
			diamonds[fmt.Sprintf("%s%d/kustomization.yaml", side, i)] = fmt.Sprintf("namePrefix: %s\nresources: [../a%d, ../b%d]\n", side, i+1, i+1)
		}
	}
	for _, side := range []string{"a", "b"} {
		diamonds[side+"24/kustomization.yaml"] = "namePrefix: " + side + "\nresources: [x.yaml]\n"
		diamonds[side+"24/x.yaml"] = service
	}
	for name, tt := range map[string]struct {
		tree   files
		dir    string
		limits Limits
		want   []error
	}{
		"anchors": {files{"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": service + bomb()}, "", Limits{MemoryBytes: 128 << 20}, []error{child.ErrMemory}},
		"time":    {diamonds, "a0", Limits{Timeout: 2 * time.Second}, []error{child.ErrTimeout, child.ErrMemory}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := renderDir(t, filepath.Join(tt.tree.write(t), tt.dir), tt.limits.options())
			stopped := false
			for _, want := range tt.want {
				stopped = stopped || errors.Is(err, want)
			}
			if !stopped || !strings.Contains(err.Error(), "look for anchors") {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func (l Limits) options() Options { return Options{Limits: l} }

func TestRenderLimitsFiles(t *testing.T) {
	tree := files{"kustomization.yaml": "resources: [a.yaml, b.yaml]\n", "a.yaml": service, "b.yaml": strings.ReplaceAll(service, "name: a", "name: b") + "#" + strings.Repeat("x", 2<<20)}
	root := tree.write(t)
	for want, l := range map[string]Limits{
		"b.yaml: is larger than 1024 KiB": {FileBytes: 1 << 20},
		"the build reads more than 1 MiB": {TotalBytes: 1 << 20},
		"is one of more than 2 files":     {Files: 2},
	} {
		if _, err := renderDir(t, root, l.options()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := renderDir(t, root, Options{}); err != nil {
		t.Error(err)
	}
}

// TestBuildErrors: what kustomize itself refuses is named with its file.
func TestBuildErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		tree        files
		place, want string
	}{
		"twice":    {files{"kustomization.yaml": "resources: [base]\n", "base/kustomization.yaml": "resources: [a.yaml, b.yaml]\n", "base/a.yaml": service, "base/b.yaml": service}, "base/b.yaml: ", "already registered id"},
		"syntax":   {files{"kustomization.yaml": "resources: [base]\n", "base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": service + "x: a: b\n"}, "base/a.yaml:5: ", "not valid YAML"},
		"tab":      {files{"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": service + "\tx: 1\n"}, "a.yaml:4: ", "tab"},
		"no name":  {files{"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": "kind: X\n"}, "a.yaml: ", "missing metadata.name"},
		"patch":    {files{"kustomization.yaml": "resources: [a.yaml]\npatches: [{path: p.yaml}]\n", "a.yaml": service, "p.yaml": strings.ReplaceAll(service, "name: a", "name: b")}, "kustomization.yaml: ", "no resource matches"},
		"panic":    {files{"kustomization.yaml": "crds: [a.yaml]\n", "a.yaml": ""}, "kustomization.yaml: ", "stopped by a fault of the library"},
		"literal":  {files{"kustomization.yaml": "secretGenerator:\n- name: x\n  literals: [password=hunter2, hunter2]\n"}, "kustomization.yaml: ", "expected key=value"},
		"literals": {files{"kustomization.yaml": "secretGenerator:\n- name: x y\n  literals: ['password=\"hunter2\"', 'password=x']\n"}, "kustomization.yaml: ", "password"},
		"config":   {files{"kustomization.yaml": "secretGenerator:\n- name: x\n  literals: [password=hunter2]\n  options: {immutable: 3}\n"}, "kustomization.yaml", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tt.tree.write(t)
			_, err := renderDir(t, root, Options{})
			if err == nil || !strings.HasPrefix(err.Error(), filepath.Join(root, filepath.FromSlash(tt.place))) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("not fit to print: %v", err)
			}
		})
	}
}
