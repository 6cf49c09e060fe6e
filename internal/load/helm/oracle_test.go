package helm

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader"
	"helm.sh/helm/v4/pkg/cli/values"
	release "helm.sh/helm/v4/pkg/release/v1"
	"sigs.k8s.io/yaml"
)

// TestRenderIsHelmTemplate compares with the SDK's own action behind
// `helm template --include-crds`, for every values file of a real chart.
func TestRenderIsHelmTemplate(t *testing.T) {
	path := filepath.Join(inputs(t), "ingress-nginx", "charts", "ingress-nginx")
	valuesFiles, err := filepath.Glob(filepath.Join(path, "ci", "*.yaml"))
	if err != nil || len(valuesFiles) == 0 {
		t.Fatalf("no values files: %v", err)
	}
	for _, file := range append(valuesFiles, "") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			o := Options{
				Set:         []string{"controller.metrics.enabled=true", "controller.extraEnvs[0].name=A"},
				SetString:   []string{"controller.podAnnotations.number=7"},
				SetJSON:     []string{`controller.nodeSelector={"disk":"ssd"}`},
				SetLiteral:  []string{"controller.podAnnotations.odd=a,b[c]"},
				APIVersions: []string{"monitoring.coreos.com/v1"},
				IncludeCRDs: true, KubeVersion: "1.31.2", ReleaseName: "edge", Namespace: "web",
			}
			if file != "" {
				o.ValuesFiles = []string{file}
			}
			got, err := renderPath(t, path, o)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Documents) < 10 {
				t.Errorf("only %d documents", len(got.Documents))
			}
			if diff := cmp.Diff(helmTemplate(t, path, o), objects(t, got)); diff != "" {
				t.Errorf("helm template has -, Render has +:\n%s", diff)
			}
		})
	}
}

// objects returns all objects of c by template and name.
func objects(t *testing.T, c *Chart) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, d := range c.Documents {
		add(t, all, d.Template, string(d.Content))
	}
	return all
}

// add parses the documents of a file into all.
func add(t *testing.T, all map[string]any, name, content string) {
	t.Helper()
	for document := range strings.SplitSeq("\n"+content, "\n---") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, document)
		}
		if len(object) == 0 {
			continue
		}
		metadata, _ := object["metadata"].(map[string]any)
		key := fmt.Sprint(name, " ", object["kind"], " ", metadata["name"])
		if _, twice := all[key]; twice {
			t.Fatalf("%s twice", key)
		}
		all[key] = object
	}
}

// helmTemplate renders with the SDK's install action as a client-side dry run.
// It leaves out test hooks.
func helmTemplate(t *testing.T, path string, o Options) map[string]any {
	t.Helper()
	install := action.NewInstall(&action.Configuration{})
	install.DryRunStrategy = action.DryRunClient
	install.Replace = true
	install.ReleaseName, install.Namespace = o.ReleaseName, o.Namespace
	install.IncludeCRDs, install.APIVersions = o.IncludeCRDs, o.APIVersions
	version, err := common.ParseKubeVersion(o.KubeVersion)
	if err != nil {
		t.Fatal(err)
	}
	install.KubeVersion = version
	chart, err := loader.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	merge := values.Options{
		ValueFiles: o.ValuesFiles, Values: o.Set, StringValues: o.SetString,
		FileValues: o.SetFile, JSONValues: o.SetJSON, LiteralValues: o.SetLiteral,
	}
	merged, err := merge.MergeValues(nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := install.RunWithContext(t.Context(), chart, merged)
	if err != nil {
		t.Fatal(err)
	}
	r := out.(*release.Release)
	all := map[string]any{}
	inTree := func(name string) string { return strings.TrimPrefix(name, r.Chart.Name()+"/") }
	for part := range strings.SplitSeq(r.Manifest, "---\n# Source: ") {
		name, content, _ := strings.Cut(part, "\n")
		add(t, all, inTree(name), content)
	}
	for _, hook := range r.Hooks {
		if !slices.Equal(hook.Events, []release.HookEvent{release.HookTest}) {
			add(t, all, inTree(hook.Path), hook.Manifest)
		}
	}
	return all
}

// TestLinesOfARealChart checks the lines of every rendered line against the
// text of the template line: where that is no action, both are the same text.
func TestLinesOfARealChart(t *testing.T) {
	path := filepath.Join(inputs(t), "ingress-nginx", "charts", "ingress-nginx")
	valuesFiles, _ := filepath.Glob(filepath.Join(path, "ci", "*.yaml"))
	for _, file := range valuesFiles {
		c, err := renderPath(t, path, Options{ValuesFiles: []string{file}})
		if err != nil {
			t.Fatal(err)
		}
		known, all := 0, 0
		for _, d := range c.Documents {
			source, err := os.ReadFile(d.SourceFile)
			if err != nil {
				t.Fatal(err)
			}
			rows := strings.Split(string(source), "\n")
			for i, row := range strings.Split(string(d.Content), "\n") {
				if strings.TrimSpace(row) == "" || row == "---" {
					continue
				}
				all++
				line := d.Line(i + 1)
				if line == 0 {
					continue
				}
				known++
				if line > len(rows) {
					t.Fatalf("%s:%d: line %d of %d", d.Template, i+1, line, len(rows))
				}
				if written := rows[line-1]; !strings.Contains(written, "{{") && !strings.Contains(written, "}}") && strings.TrimSpace(written) != strings.TrimSpace(row) {
					t.Errorf("%s: %q comes from line %d, which is %q", d.Template, row, line, written)
				}
			}
		}
		if known*100 < all*99 {
			t.Errorf("%s: the lines of %d of %d are known", filepath.Base(file), known, all)
		}
	}
}

// BenchmarkRender measures one chart in one child process: start, both
// renderings and the way back.
func BenchmarkRender(b *testing.B) {
	path := filepath.Join(inputs(b), "ingress-nginx", "charts", "ingress-nginx")
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		start := time.Now()
		c, err := Render(b.Context(), self, path, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if len(c.Documents) == 0 {
			b.Fatalf("nothing rendered in %s", time.Since(start))
		}
	}
}
