package kustomize

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// over turns files of a tree into an overlay of it.
func (f files) over(root string) map[string][]byte {
	all := map[string][]byte{}
	for name, content := range f {
		all[filepath.Join(root, filepath.FromSlash(name))] = []byte(content)
	}
	return all
}

// relative is a result with paths from root, and the lines that places tell.
func relative(t *testing.T, root string, r *Result) []string {
	t.Helper()
	rel := func(path string) string {
		out, err := filepath.Rel(root, path)
		if err != nil || !filepath.IsLocal(out) {
			t.Errorf("%s is not in %s", path, root)
		}
		return filepath.ToSlash(out)
	}
	var all []string
	for _, d := range r.Documents {
		head := fmt.Sprintf("%s:%d", rel(d.File), d.Line)
		for _, p := range d.Patches {
			head += " " + rel(p)
		}
		for i, row := range strings.Split(string(d.Content), "\n") {
			p := d.Locate(i + 1)
			head += fmt.Sprintf("\n%s  # %s:%d", row, rel(p.File), p.Line)
		}
		all = append(all, head)
	}
	for _, f := range r.Consumed {
		all = append(all, rel(f))
	}
	return append(all, r.Warnings...)
}

// randomTree is a base, an overlay with patches and, sometimes, a component and
// generators; every call gives other values and other parts.
func randomTree(r *rand.Rand) files {
	f := files{}
	var resources, patches []string
	for i := range 1 + r.IntN(3) {
		name := fmt.Sprintf("o%d", i)
		f["base/"+name+".yaml"] = strings.ReplaceAll(service, "name: a", "name: "+name) + fmt.Sprintf("spec: {port: %d}\n", r.IntN(100))
		resources = append(resources, name+".yaml")
		if r.IntN(2) == 0 {
			f["top/p-"+name+".yaml"] = strings.ReplaceAll(service, "name: a", "name: "+name) + fmt.Sprintf("spec: {extra: %d}\n", r.IntN(100))
			patches = append(patches, fmt.Sprintf("{path: p-%s.yaml}", name))
		}
	}
	f["base/kustomization.yaml"] = fmt.Sprintf("resources: [%s]\n", strings.Join(resources, ", "))
	top := "resources: [../base]\n"
	if len(patches) > 0 {
		top += fmt.Sprintf("patches: [%s]\n", strings.Join(patches, ", "))
	}
	if r.IntN(2) == 0 {
		f["top/text.txt"] = fmt.Sprint(r.IntN(100))
		top += "configMapGenerator:\n- {name: text, files: [text.txt]}\n"
	}
	if r.IntN(2) == 0 {
		f["top/part/kustomization.yaml"] = fmt.Sprintf("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nlabels:\n- pairs: {l: \"%d\"}\n", r.IntN(100))
		top += "components: [part]\n"
	}
	if r.IntN(2) == 0 {
		f["top/t.yaml"] = "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: x}\nprefix: x-\nfieldSpecs: [{path: metadata/name}]\n"
		top += "transformers: [t.yaml]\n"
	}
	f["top/"+[]string{"kustomization.yaml", "kustomization.yml", "Kustomization"}[r.IntN(3)]] = top
	return f
}

// TestOverlayIsWhatWritingItWouldGive compares a build of a tree whose files are
// partly in the overlay with a build of the tree where they are written.
func TestOverlayIsWhatWritingItWouldGive(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			whole := randomTree(r)
			disk, overlay := files{}, files{}
			for _, name := range slices.Sorted(maps.Keys(whole)) {
				switch r.IntN(3) {
				case 0: // only on disk
					disk[name] = whole[name]
				case 1: // only in the overlay, in a folder that is there
					disk[filepath.Dir(name)+"/unrelated.txt"] = ""
					overlay[name] = whole[name]
				default: // something else on disk
					disk[name] = "not: [what, is, read\n"
					overlay[name] = whole[name]
				}
			}
			written, laid := whole.write(t), disk.write(t)
			want, err := renderDir(t, filepath.Join(written, "top"), Options{})
			if err != nil {
				t.Fatal(err)
			}
			o := Options{Overlay: overlay.over(laid)}
			got, err := renderDir(t, filepath.Join(laid, "top"), o)
			if err != nil {
				t.Fatalf("disk %v, overlay %v: %v", disk, overlay, err)
			}
			if diff := cmp.Diff(relative(t, written, want), relative(t, laid, got)); diff != "" {
				t.Errorf("written has -, laid over has +:\n%s", diff)
			}
			o.ContentOnly = true
			if only, err := renderDir(t, filepath.Join(laid, "top"), o); err != nil || joined(only) != joined(want) || only.Documents[0].File != "" {
				t.Errorf("the content only: %v, %v", only, err)
			}
			sources, err := Inspect(filepath.Join(laid, "top"), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range got.Consumed {
				if !slices.Contains(sources.Files, f) {
					t.Errorf("Inspect does not name %s", f)
				}
			}
		})
	}
}

// TestOverlayNeedsWhatFilesNeed: a file that is in the overlay only is no
// different from others, and nothing gets to where no file could be.
func TestOverlayNeedsWhatFilesNeed(t *testing.T) {
	tree := files{"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": service, "outside/x": "", "folder/a.yaml/x": ""}
	for name, tt := range map[string]struct {
		overlay files
		limits  Limits
		want    string
	}{
		"remote":            {files{"app/kustomization.yaml": "resources: [a.yaml, https://example.com/a.yaml]\n"}, Limits{}, "kustomization.yaml:1: resources: https://example.com/a.yaml is remote"},
		"other folder":      {files{"app/kustomization.yaml": "resources: [../outside/b.yaml]\n", "outside/b.yaml": service}, Limits{}, "lies outside of the kustomization's folder"},
		"through a link":    {files{"app/kustomization.yaml": "resources: [out/b.yaml]\n", "outside/b.yaml": service}, Limits{}, "leads out of"},
		"laid through link": {files{"app/out/b.yaml": service}, Limits{}, "leads out of"},
		"link to nothing":   {files{"app/dangling": service}, Limits{}, "does not exist"},
		"link's target":     {files{"app/kustomization.yaml": "resources: [dangling]\n", "outside/gone": service}, Limits{}, "does not exist"},
		"no folder":         {files{"app/new/b.yaml": service}, Limits{}, "does not exist"},
		"folder":            {files{"folder/a.yaml": service}, Limits{}, "is no regular file"},
		"two files":         {files{"app/kustomization.yml": "resources: [a.yaml]\n"}, Limits{}, "are both kustomization files"},
		"large file":        {files{"app/a.yaml": service + "#" + strings.Repeat("x", 2<<20)}, Limits{FileBytes: 1 << 20}, "a.yaml: is larger than 1024 KiB"},
		"large in all":      {files{"app/a.yaml": service + "#" + strings.Repeat("x", 2<<20)}, Limits{TotalBytes: 1 << 20}, "the build reads more than 1 MiB"},
		"large build file":  {files{"app/kustomization.yaml": "resources: [a.yaml]\n#" + strings.Repeat("x", 1<<20)}, Limits{}, "is larger than 512 KiB"},
		"not valid":         {files{"app/a.yaml": "a: b: c\n"}, Limits{}, "a.yaml: not valid YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree.write(t)
			link(t, "../outside", root, "app", "out")
			link(t, "../outside/gone", root, "app", "dangling")
			_, err := renderDir(t, filepath.Join(root, "app"), Options{Overlay: tt.overlay.over(root), Limits: tt.limits})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := Inspect(tree.write(t), Options{Overlay: map[string][]byte{"a.yaml": nil}}); err == nil || !strings.Contains(err.Error(), "is not absolute") {
		t.Errorf("a relative path: got %v", err)
	}
}

// TestOverlayOfLinks: content stands in for the file that a path leads to.
func TestOverlayOfLinks(t *testing.T) {
	root := files{"app/kustomization.yaml": "resources: [linked.yaml]\n", "app/a.yaml": service, "app/kept/k.yaml": "resources: [gone.yaml]\n"}.write(t)
	app := filepath.Join(root, "app")
	link(t, "a.yaml", app, "linked.yaml")
	link(t, "app", root, "named")
	if err := os.Remove(filepath.Join(app, "kustomization.yaml")); err != nil {
		t.Fatal(err)
	}
	link(t, "kept/k.yaml", app, "kustomization.yaml")
	r, err := renderDir(t, filepath.Join(root, "named"), Options{Overlay: map[string][]byte{
		filepath.Join(root, "named", "kustomization.yaml"): []byte("resources: [linked.yaml, new.yaml]\n"),
		filepath.Join(root, "named", "linked.yaml"):        []byte(service + "spec: {x: 1}\n"),
		filepath.Join(root, "named", "new.yaml"):           []byte(strings.ReplaceAll(service, "name: a", "name: new")),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if text := joined(r); !strings.Contains(text, "x: 1") || !strings.Contains(text, "name: new") {
		t.Errorf("got %s", text)
	}
	if want := filepath.Join(root, "named", "new.yaml"); r.Documents[1].File != want {
		t.Errorf("the file is %s, want %s", r.Documents[1].File, want)
	}
}
