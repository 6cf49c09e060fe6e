package helm

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRenderTakesSubchartsAsHelmDoes(t *testing.T) {
	sub := func(name string) files {
		return files{
			"charts/" + name + "-dir/Chart.yaml":          "apiVersion: v2\nname: " + name + "\nversion: 0.1.0\n",
			"charts/" + name + "-dir/values.yaml":         "size: 1\nexports:\n  shared:\n    from: " + name + "\n",
			"charts/" + name + "-dir/templates/size.yaml": "name: {{ .Chart.Name }}\nsize: {{ .Values.size }}\n",
			"charts/" + name + "-dir/crds/thing.yaml":     "kind: CustomResourceDefinition\n",
		}
	}
	chart := files{
		"Chart.yaml": chartYAML + `dependencies:
- {name: always, version: 0.x, import-values: [shared]}
- {name: twice, version: 0.x}
- {name: twice, version: 0.x, alias: again}
- {name: disabled, version: 0.x, condition: disabled.enabled}
- {name: tagged, version: 0.x, tags: [slow]}
- {name: missing, version: 0.x, condition: missing.enabled}
`,
		"values.yaml":         "again: {size: 5}\ndisabled: {enabled: false}\ntags: {slow: false}\nmissing: {enabled: false}\n",
		"templates/root.yaml": "from: {{ .Values.from }}\n",
	}
	for _, name := range []string{"always", "twice", "disabled", "tagged"} {
		for path, content := range sub(name) {
			chart[path] = content
		}
	}
	path := chart.write(t)
	c, err := renderPath(t, path, Options{IncludeCRDs: true})
	if err != nil {
		t.Fatal(err)
	}
	for template, want := range map[string]string{
		"templates/root.yaml":               "from: always\n",
		"charts/always/templates/size.yaml": "name: always\nsize: 1\n",
		"charts/twice/templates/size.yaml":  "name: twice\nsize: 1\n",
		"charts/again/templates/size.yaml":  "name: again\nsize: 5\n",
		"charts/again/crds/thing.yaml":      "kind: CustomResourceDefinition\n",
	} {
		if got := c.content(t, template); got != want {
			t.Errorf("%s: got %q, want %q", template, got, want)
		}
	}
	if len(c.Documents) != 7 { // three subcharts with two files each, and the root
		t.Errorf("%d documents", len(c.Documents))
	}
	again := c.document(t, "charts/again/templates/size.yaml")
	if want := filepath.Join(path, "charts", "twice-dir", "templates", "size.yaml"); again.SourceFile != want {
		t.Errorf("source %s, want %s", again.SourceFile, want)
	}
	if again.Line(1) != 1 || again.Line(2) != 2 {
		t.Errorf("lines %d and %d", again.Line(1), again.Line(2))
	}
}

func TestRenderArchive(t *testing.T) {
	inner := string(pack(t,
		entry("redis/Chart.yaml", "apiVersion: v2\nname: redis\nversion: 7.0.0\n"),
		entry("redis/templates/x.yaml", "a: 1\nb: {{ .Release.Name }}\n"),
	))
	path := writeArchive(t,
		tarDir("shop/"),
		entry("shop/Chart.yaml", chartYAML),
		entry("shop/charts/redis-7.0.0.tgz", inner),
		entry("shop/charts/redis-7.0.0.tgz.prov", "signed"),
		entry("shop/charts/README.md", "the charts"),
		entry(`shop\templates\win.yaml`, "\xef\xbb\xbfc: {{ .Release.Namespace }}\n"),
	)
	if !IsChart(path) {
		t.Error("not seen as a chart")
	}
	c, err := renderPath(t, path, Options{ReleaseName: "one", Namespace: "two"})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.content(t, "templates/win.yaml"); got != "c: two\n" {
		t.Errorf("got %q", got)
	}
	d := c.document(t, "charts/redis/templates/x.yaml")
	if string(d.Content) != "a: 1\nb: one\n" || d.SourceFile != "" || d.Line(2) != 2 {
		t.Errorf("got %q of %q, line %d", d.Content, d.SourceFile, d.Line(2))
	}
	if !slices.Contains(c.Warnings, "charts/README.md is not a chart and is left out") {
		t.Errorf("warnings %q", c.Warnings)
	}
}

func TestRenderKeepsHooksButNotTests(t *testing.T) {
	hook := func(name, events string) string {
		return "kind: Pod\nmetadata:\n  name: " + name + "\n  annotations:\n    helm.sh/hook: " + events + "\n"
	}
	path := files{
		"templates/NOTES.txt":   `{{ fail "never rendered" }}`,
		"templates/_parts.tpl":  `{{ fail "never rendered" }}`,
		"templates/a.yaml":      hook("before", "pre-install") + "---\n" + hook("try", "test") + "--- \n" + hook("both", `"test, post-upgrade"`),
		"templates/b.yaml":      hook("old", "test-success"),
		"templates/empty.yaml":  "{{ if false }}kind: Pod{{ end }}\n",
		"templates/joined.yaml": "a: 1\n{{ range list 2 3 }}\n---b: {{ . }}\n{{- end }}\n",
	}.write(t)
	c, err := renderPath(t, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.TestHooks != 2 {
		t.Errorf("%d test hooks", c.TestHooks)
	}
	a := c.document(t, "templates/a.yaml")
	if got := string(a.Content); !strings.Contains(got, "before") || strings.Contains(got, "try") || !strings.Contains(got, "both") {
		t.Errorf("got %q", got)
	}
	for i, row := range strings.Split(string(a.Content), "\n") {
		if strings.Contains(row, "both") && a.Line(i+1) != 15 {
			t.Errorf("%q is of line %d", row, a.Line(i+1))
		}
	}
	joined := c.document(t, "templates/joined.yaml")
	if got, want := string(joined.Content), "a: 1\n\n---\nb: 2\n---\nb: 3\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if joined.Line(1) != 1 || joined.Line(3) != 3 || joined.Line(4) != 3 || joined.Line(6) != 3 {
		t.Errorf("lines %v", joined.lines)
	}
	if len(c.Documents) != 2 {
		t.Errorf("%d documents", len(c.Documents))
	}
}

func TestRenderSeesNoClusterAndNoMachine(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "config"))
	path := files{"templates/x.yaml": `
lookup: {{ lookup "v1" "Secret" "default" "x" | len }}
dns: {{ getHostByName "localhost" | quote }}
version: {{ .Capabilities.KubeVersion.Version }}
minor: {{ semverCompare ">=1.37-0" .Capabilities.KubeVersion.Version }}
apps: {{ .Capabilities.APIVersions.Has "apps/v1" }}
monitors: {{ .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}
release: {{ .Release.Name }} {{ .Release.Namespace }} {{ .Release.IsInstall }}
`}.write(t)
	c, err := renderPath(t, path, Options{APIVersions: []string{"monitoring.coreos.com/v1"}})
	if err != nil {
		t.Fatal(err)
	}
	want := `
lookup: 0
dns: ""
version: v1.37.0
minor: true
apps: true
monitors: true
release: release-name default true
`
	if got := c.content(t, "templates/x.yaml"); got != want {
		t.Errorf("got %s", got)
	}
}

func TestRenderChecksTheKubernetesVersion(t *testing.T) {
	path := files{"Chart.yaml": chartYAML + "kubeVersion: <1.30.0-0\n", "templates/x.yaml": "v: {{ .Capabilities.KubeVersion.Minor }}\n"}.write(t)
	c, err := renderPath(t, path, Options{})
	if err != nil || !slices.Contains(c.Warnings, "the chart supports Kubernetes <1.30.0-0, not v1.37.0") {
		t.Errorf("without a version: %v, %+v", err, c)
	}
	if c, err = renderPath(t, path, Options{KubeVersion: "v1.29.3-gke.100"}); err != nil || c.content(t, "templates/x.yaml") != "v: 29\n" {
		t.Errorf("with a version that it supports: %v", err)
	}
	for version, want := range map[string]string{
		"1.36": "the chart supports Kubernetes <1.30.0-0, not v1.36.0; name a version that it supports",
		"new":  "is not a version such as 1.37",
	} {
		if _, err := renderPath(t, path, Options{KubeVersion: version}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", version, err)
		}
	}
}

func TestRenderRefusesALibrary(t *testing.T) {
	path := files{"Chart.yaml": chartYAML + "type: library\n", "templates/_x.tpl": "{{ define \"x\" }}{{ end }}"}.write(t)
	_, err := renderPath(t, path, Options{})
	if !errors.Is(err, ErrLibrary) || !strings.Contains(err.Error(), "scan the chart that uses it") {
		t.Errorf("got %v", err)
	}
}

func TestRenderHonoursHelmignore(t *testing.T) {
	path := files{
		".helmignore":          "*.bak\nscratch/\n",
		"templates/a.yaml":     "files: {{ len (.Files.Glob \"**\") }}\n",
		"templates/a.yaml.bak": "{{ nonsense",
		"scratch/values.yaml":  "[]",
	}.write(t)
	c, err := renderPath(t, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.content(t, "templates/a.yaml"); got != "files: 1\n" { // .helmignore itself
		t.Errorf("got %q", got)
	}
}

func TestIsChart(t *testing.T) {
	chart := files{}.write(t)
	plain := t.TempDir()
	lower := t.TempDir()
	notPacked := filepath.Join(t.TempDir(), "x.tgz")
	for path, content := range map[string]string{filepath.Join(lower, "chart.yaml"): chartYAML, notPacked: "no gzip"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]bool{
		chart:                                 true,
		filepath.Join(chart, "Chart.yaml"):    false,
		plain:                                 false,
		lower:                                 false,
		notPacked:                             false,
		filepath.Join(plain, "missing"):       false,
		writeArchive(t, entry("a/b.txt", "")): false,
		writeArchive(t, entry("a/b.txt", ""), entry("a/Chart.yaml", "")): true,
	} {
		if got := IsChart(path); got != want {
			t.Errorf("IsChart(%s) = %v", path, got)
		}
	}
}
