package kustomize

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n"

// faults returns the errors of an inspection one by one.
func faults(err error) []*Error {
	var all []*Error
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			all = append(all, faults(one)...)
		}
		return all
	}
	var e *Error
	if errors.As(err, &e) {
		all = append(all, e)
	}
	return all
}

// TestInspectRefusesRemoteReferences puts each remote form into each field that
// kustomize reads from.
func TestInspectRefusesRemoteReferences(t *testing.T) {
	remote := []string{
		"https://example.com/a.yaml", "http://example.com/a.yaml", "HTTPS://example.com/a", "https:example.com",
		"github.com/org/repo", "GitHub.com/org/repo//base?ref=v1", "github.com:org/repo.git", "git@github.com:org/repo",
		"git@example.com:org/repo.git//x", "ssh://git@example.com/org/repo", "git::https://example.com/org/repo",
		"git::git@example.com:org/repo", "https://dev.azure.com/o/p/_git/r/x", "file:///srv/repo.git", "oci://example.com/x",
		"s3::https://s3.amazonaws.com/x", "git://example.com/org/repo",
	}
	fields := map[string]string{
		"resources": "resources:\n- a.yaml\n- %s\n", "bases": "bases:\n- base\n- %s\n", "components": "components:\n- part\n- %s\n",
		"crds": "crds:\n- a.yaml\n- %s\n", "configurations": "configurations:\n- a.yaml\n- %s\n",
		"generators": "generators:\n- builtin.yaml\n- %s\n", "transformers": "transformers:\n- builtin.yaml\n- %s\n", "validators": "validators:\n- builtin.yaml\n- %s\n",
		"patches": "patches:\n- path: a.yaml\n- path: %s\n", "patchesStrategicMerge": "patchesStrategicMerge:\n- a.yaml\n- %s\n",
		"patchesJson6902": "patchesJson6902:\n- path: a.yaml\n- path: %s\n", "replacements": "replacements:\n- path: a.yaml\n- path: %s\n",
		"configMapGenerator": "configMapGenerator:\n- name: x\n  files: [a.yaml, \"%s\"]\n", "secretGenerator": "secretGenerator:\n- name: x\n  envs: [\"%s\"]\n\n",
		"openapi": "openapi:\n\n  path: %s\n",
	}
	for name, text := range fields {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := files{
				"top/kustomization.yaml":      "resources: [../mid]\n",
				"mid/a.yaml":                  service,
				"mid/builtin.yaml":            "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: x}\nprefix: x\n",
				"mid/base/kustomization.yaml": "namePrefix: x\n",
				"mid/part/kustomization.yaml": "kind: Component\nnamePrefix: x\n",
			}.write(t)
			file := filepath.Join(root, "mid", "kustomization.yaml")
			for _, ref := range remote {
				if err := os.WriteFile(file, []byte(fmt.Sprintf(text, ref)), 0o600); err != nil {
					t.Fatal(err)
				}
				_, err := Inspect(filepath.Join(root, "top"), Options{})
				all := faults(err)
				if len(all) != 1 || all[0].Line != 3 || all[0].File != file || !strings.HasPrefix(all[0].Message, name+": "+ref+" is remote") {
					t.Errorf("%s: %s: got %v", name, ref, err)
				}
			}
		})
	}
}

func TestIsRemote(t *testing.T) {
	for _, local := range []string{
		"a.yaml", "./a.yaml", "../base", "base/", "a b.yaml", "github.com", "github.company/x", "dir@2/x.yaml", "a:b.yaml",
		"example.com/org/repo", "gitlab.com/org/repo.git", "c:/x", `c:\x`, "_git/x", "a//b", "repo.git/x", "a?ref=b", "",
	} {
		if isRemote(local) {
			t.Errorf("%q is taken as remote", local)
		}
	}
}

func TestInspectSeesEveryWayToWriteAField(t *testing.T) {
	const url = "https://example.com/x"
	for _, text := range []string{
		"RESOURCES: [" + url + "]\n",
		"resourceſ: [" + url + "]\n", // a letter that folds to s
		"{\"resources\": [\"\\u0068ttps://example.com/x\"]}",
		"configMapGenerator:\n- &g {name: a, files: [" + url + "]}\n",
		"configMapGenerator:\n- <<: {name: a, files: [" + url + "]}\n",
		"resources:\n- >-\n  " + url + "\n",
		"configMapGenerator:\n- {name: x, env: " + url + "}\n",
		"configMapGenerator:\n- {name: x, files: [key=" + url + "]}\n",
		"transformers:\n- |\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: x}\n  path: " + url + "\n",
		"transformers:\n- |\n  apiVersion: builtin\n  kind: PatchStrategicMergeTransformer\n  metadata: {name: x}\n  x: &p [" + url + "]\n  paths: *p\n",
		"generators:\n- |\n  apiVersion: builtin\n  kind: ConfigMapGenerator\n  metadata: {name: x}\n  files: [k=" + url + "]\n",
		"transformers:\n- \"" + url + ": {apiVersion: builtin}\"\n",
	} {
		root := files{"kustomization.yaml": text}.write(t)
		if _, err := Inspect(root, Options{}); err == nil || !strings.Contains(err.Error(), "is remote") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestInspectNamesFileAndLine(t *testing.T) {
	for name, tt := range map[string]struct {
		tree  files
		place string
		want  string
	}{
		"missing":          {files{"kustomization.yaml": "resources:\n- a.yaml\n- gone.yaml\n", "a.yaml": service}, "kustomization.yaml:3: ", "gone.yaml does not exist"},
		"no folder":        {files{"kustomization.yaml": "components:\n- a.yaml\n", "a.yaml": service}, "kustomization.yaml:2: ", "a.yaml is a file; a folder"},
		"no file":          {files{"kustomization.yaml": "crds:\n- d\n", "d/x": ""}, "kustomization.yaml:2: ", "d is a folder; a file"},
		"no base":          {files{"kustomization.yaml": "resources:\n- d\n", "d/x": ""}, "d: ", "holds no kustomization.yaml"},
		"outside":          {files{"kustomization.yaml": "resources: [d]\n", "d/kustomization.yaml": "resources:\n- ../a.yaml\n", "a.yaml": service}, "d/kustomization.yaml:2: ", "lies outside of the kustomization's folder"},
		"absolute":         {files{"kustomization.yaml": "resources:\n- /etc/passwd\n"}, "kustomization.yaml:2: ", "lies outside of the kustomization's folder"},
		"itself":           {files{"kustomization.yaml": "resources:\n- .\n"}, "kustomization.yaml:2: ", "leads back to"},
		"cycle":            {files{"kustomization.yaml": "resources: [a]\n", "a/kustomization.yaml": "resources: [../b]\n", "b/kustomization.yaml": "namePrefix: x\nresources:\n- ../a\n"}, "b/kustomization.yaml:3: ", "leads back to"},
		"parent":           {files{"kustomization.yaml": "resources: [a]\n", "a/kustomization.yaml": "resources:\n- ..\n"}, "a/kustomization.yaml:2: ", "leads back to"},
		"chart":            {files{"kustomization.yaml": "namePrefix: x\nhelmCharts:\n- name: x\n  repo: https://example.com\n"}, "kustomization.yaml:2: ", "scan the chart itself"},
		"old chart":        {files{"kustomization.yaml": "helmChartInflationGenerator:\n- chartName: x\n"}, "kustomization.yaml:1: ", "scan the chart itself"},
		"chart plugin":     {files{"kustomization.yaml": "generators: [g.yaml]\n", "g.yaml": "\napiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: x}\n"}, "g.yaml:2: ", "scan the chart itself"},
		"plugin":           {files{"kustomization.yaml": "transformers: [g.yaml]\n", "g.yaml": "apiVersion: example.com/v1\nkind: Evil\nmetadata: {name: x, annotations: {config.kubernetes.io/function: 'exec: {path: ./evil}'}}\n"}, "g.yaml:1: ", "Evil is a plugin"},
		"inline":           {files{"kustomization.yaml": "validators:\n- |\n  apiVersion: example.com/v1\n  kind: Evil\n"}, "kustomization.yaml:2: ", "Evil is a plugin"},
		"two files":        {files{"kustomization.yaml": "namePrefix: x\n", "Kustomization": "namePrefix: x\n"}, ": ", "are both kustomization files"},
		"empty":            {files{"kustomization.yaml": ""}, "kustomization.yaml: ", "is empty"},
		"nothing":          {files{"kustomization.yaml": "kind: Kustomization\n"}, "kustomization.yaml: ", "is empty"},
		"syntax":           {files{"kustomization.yaml": "resources:\n- a: b: c\n"}, "kustomization.yaml:2: ", "not valid YAML"},
		"list":             {files{"kustomization.yaml": "- a\n"}, "kustomization.yaml: ", "not a kustomization"},
		"unknown":          {files{"kustomization.yaml": "namePrefix: x\nresource: [a]\n"}, "kustomization.yaml:2: ", `there is no field "resource"`},
		"kind":             {files{"kustomization.yaml": "kind: Deployment\nnamePrefix: x\n"}, "kustomization.yaml:1: ", "kind should be Kustomization or Component"},
		"no component":     {files{"kustomization.yaml": "components:\n- a\n", "a/kustomization.yaml": "namePrefix: x\n"}, "kustomization.yaml:2: ", "a is no Component"},
		"component":        {files{"kustomization.yaml": "resources:\n- a\n", "a/kustomization.yaml": "kind: Component\nnamePrefix: x\n"}, "kustomization.yaml:2: ", "a is a Component"},
		"anchors":          {files{"kustomization.yaml": bomb()}, "kustomization.yaml: ", "excessive aliasing"},
		"control":          {files{"kustomization.yaml": "resources: [\"\\e[2Jx\"]\n"}, "kustomization.yaml:1: ", "[2Jx does not exist"},
		"too large":        {files{"kustomization.yaml": "namePrefix: x\n#" + strings.Repeat("x", kustomizationBytes)}, "kustomization.yaml: ", "is larger than 512 KiB"},
		"too large in all": {manyLarge(), "k9/kustomization.yaml: ", "more than 4096 KiB in all"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tt.tree.write(t)
			_, err := Inspect(root, Options{})
			all := faults(err)
			if len(all) != 1 {
				t.Fatalf("got %d faults: %v", len(all), err)
			}
			want := root + tt.place
			if tt.place != ": " {
				want = filepath.Join(root, filepath.FromSlash(tt.place))
			}
			if !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), tt.want) || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("got %v, want %s...%s", err, want, tt.want)
			}
			if _, err := renderDir(t, root, Options{}); err == nil {
				t.Error("it is built all the same")
			}
		})
	}
}

// manyLarge are kustomizations each of which is below the limit.
func manyLarge() files {
	tree := files{"kustomization.yaml": "resources: [k1, k2, k3, k4, k5, k6, k7, k8, k9]\n"}
	for i := 1; i <= 9; i++ {
		tree[fmt.Sprintf("k%d/kustomization.yaml", i)] = "namePrefix: x\n#" + strings.Repeat("x", kustomizationBytes-100)
	}
	return tree
}

// bomb is YAML that grows tenfold with each of its lines.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		ref, next := fmt.Sprintf("*a%d", i), i+1
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", next, next, strings.Repeat(ref+",", 9)+ref)
	}
	return b.String()
}

func TestInspectReportsAllFaults(t *testing.T) {
	root := files{"kustomization.yaml": "resources:\n- one\n- two\n- https://example.com\n"}.write(t)
	_, err := Inspect(root, Options{})
	if all := faults(err); len(all) != 3 || all[0].Line != 2 || all[1].Line != 3 || all[2].Line != 4 {
		t.Errorf("got %v", err)
	}
	var many strings.Builder
	many.WriteString("resources:\n")
	for i := range 100 {
		fmt.Fprintf(&many, "- gone-%d.yaml\n", i)
	}
	root = files{"kustomization.yaml": many.String()}.write(t)
	if _, err = Inspect(root, Options{}); len(faults(err)) != faultsKept {
		t.Errorf("got %v", err)
	}
}

func TestInspectListsSources(t *testing.T) {
	root := shop.write(t)
	got, err := Inspect(filepath.Join(root, "prod"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	abs := func(names ...string) (all []string) {
		for _, n := range names {
			all = append(all, filepath.Join(root, n))
		}
		return all
	}
	if want := abs("base"); !slices.Equal(got.Dirs, want) {
		t.Errorf("folders %q, want %q", got.Dirs, want)
	}
	want := abs("prod/kustomization.yaml", "base/all.yaml", "base/kustomization.yaml", "base/web.yaml", "prod/replicas.yaml", "prod/service.json")
	if !slices.Equal(got.Files, want) {
		t.Errorf("files %q, want %q", got.Files, want)
	}
}

// TestInspectSharedBases: a base that many take in is looked at once.
func TestInspectSharedBases(t *testing.T) {
	tree := files{}
	for i := range 40 { // 2^40 ways lead to the last one
		tree[fmt.Sprintf("a%d/kustomization.yaml", i)] = fmt.Sprintf("resources: [../a%d, ../b%d]\n", i+1, i+1)
		tree[fmt.Sprintf("b%d/kustomization.yaml", i)] = fmt.Sprintf("resources: [../a%d, ../b%d]\n", i+1, i+1)
	}
	tree["a40/kustomization.yaml"], tree["b40/kustomization.yaml"] = "namePrefix: x\n", "namePrefix: z\n"
	root := tree.write(t)
	got, err := Inspect(filepath.Join(root, "a0"), Options{})
	if err != nil || len(got.Dirs) != 80 {
		t.Errorf("%d folders, %v", len(got.Dirs), err)
	}
	if _, err := Inspect(filepath.Join(root, "a0"), Options{Limits: Limits{Kustomizations: 30}}); err == nil {
		t.Error("more kustomizations than allowed")
	}
}

func TestInspectBoundsDepth(t *testing.T) {
	tree := files{"kustomization.yaml": "resources: [d0]\n"}
	for i := range maxDepth + 5 {
		tree[fmt.Sprintf("d%d/kustomization.yaml", i)] = fmt.Sprintf("resources: [../d%d]\n", i+1)
	}
	if _, err := Inspect(tree.write(t), Options{}); err == nil || !strings.Contains(err.Error(), "more than 64 deep") {
		t.Errorf("got %v", err)
	}
}
