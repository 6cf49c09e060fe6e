package chart_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/fix/chart"
	"bulkhead.dev/bulkhead/internal/load/helm"
)

const web = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      automountServiceAccountToken: {{ .Values.gain }}
      containers: [{name: web}]
`

const automount = "spec.template.spec.automountServiceAccountToken"

// TestEndlessRendering: a value that makes the chart render for ever, or fill
// the memory, does not keep others from being found.
func TestEndlessRendering(t *testing.T) {
	t.Parallel()
	path := files{
		"values.yaml": "automountServiceAccountToken: true\nsize: 1\nloop: false\ngain: true\n",
		"templates/loop.yaml": `{{- if or .Values.loop (not .Values.automountServiceAccountToken) }}{{ range until 30000 }}{{ range until 30000 }}{{ end }}{{ end }}{{ end }}
{{- if gt (int .Values.size) 1 }}{{ repeat 2000000000 "x" }}{{ end }}`,
		"templates/web.yaml": web,
	}.write(t)
	o := helm.Options{Limits: helm.Limits{Timeout: 15 * time.Second}}
	before := load(t, path, o, nil)
	c := newChart(t, path, filepath.Join(path, "values.yaml"), o)
	result, err := chart.New(c).Plan(t.Context(), []fix.Change{want(t, before, "Deployment/web", map[string]any{automount: false})})
	if err != nil || len(result.Refused) > 0 || !strings.Contains(string(result.Files[c.ValuesPath]), "gain: false") {
		t.Errorf("got %v, %v", result, err)
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	path := files{"values.yaml": "gain: true\n", "templates/web.yaml": web + "---\n" + strings.ReplaceAll(web, "name: web", "name: twin") + "---\n" + strings.ReplaceAll(web, "name: web", "name: twin")}.write(t)
	before := load(t, path, helm.Options{}, nil)
	wanted := []fix.Change{want(t, before, "Deployment/web", map[string]any{automount: false})}
	valid := newChart(t, path, filepath.Join(path, "values.yaml"), helm.Options{})
	for name, tt := range map[string]struct {
		change func(*chart.Chart)
		want   string
	}{
		"archive":       {func(c *chart.Chart) { c.Path = "shop-1.2.3.tgz" }, "unpack it"},
		"list":          {func(c *chart.Chart) { c.Values = []byte("- a\n- b\n") }, "must be a map"},
		"text":          {func(c *chart.Chart) { c.Values = []byte("just text") }, "must be a map"},
		"no YAML":       {func(c *chart.Chart) { c.Values = []byte("a: [\n") }, "not valid YAML"},
		"no file":       {func(c *chart.Chart) { c.ValuesPath = "" }, "no values file"},
		"cannot render": {func(c *chart.Chart) { c.Values = []byte("gain: {{") }, "YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			c := valid
			tt.change(&c)
			result, err := chart.New(c).Plan(t.Context(), wanted)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v, want %s", result, err, tt.want)
			}
		})
	}

	// A value that the chart needs and does not have.
	needy := files{"templates/web.yaml": "a: {{ required \"name the shop\" .Values.name }}\n"}.write(t)
	if _, err := chart.New(newChart(t, needy, filepath.Join(needy, "values.yaml"), helm.Options{})).Plan(t.Context(), wanted); err == nil || !strings.Contains(err.Error(), "name the shop") {
		t.Errorf("got %v", err)
	}

	twin := want(t, before, "Deployment/twin", map[string]any{automount: false})
	other := want(t, before, "Deployment/web", map[string]any{"metadata.name": "gone"})
	other.Object = load(t, files{"templates/x.yaml": strings.ReplaceAll(web, "name: web", "name: stranger")}.write(t), helm.Options{}, nil).Objects[0]
	result, err := chart.New(valid).Plan(t.Context(), []fix.Change{twin, other, {Object: twin.Object}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"renders Deployment/twin twice", "does not render Deployment/stranger", "not known what is wanted"} {
		if !strings.Contains(result.Refused[i], want) {
			t.Errorf("got %q, want %s", result.Refused[i], want)
		}
	}
	if len(result.Files) > 0 {
		t.Errorf("files %v", result.Files)
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := chart.New(valid).Plan(ended, wanted); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestSearchIsBounded: a chart with thousands of values that do nothing.
func TestSearchIsBounded(t *testing.T) {
	t.Parallel()
	var values strings.Builder
	for i := range 2500 {
		fmt.Fprintf(&values, "v%d: {automountServiceAccountToken: %d}\n", i, i)
	}
	path := files{"values.yaml": values.String() + "gain: true\n", "templates/web.yaml": strings.ReplaceAll(web, ".Values.gain", "true")}.write(t)
	before := load(t, path, helm.Options{}, nil)
	p := chart.New(newChart(t, path, filepath.Join(path, "values.yaml"), helm.Options{}))
	result, err := p.Plan(t.Context(), []fix.Change{want(t, before, "Deployment/web", map[string]any{automount: false})})
	if err != nil {
		t.Fatal(err)
	}
	if p.Rendered() > 2100 || !strings.Contains(result.Refused[0], "no value was found that reaches it, in 2") {
		t.Errorf("%d renderings: %v", p.Rendered(), result.Refused)
	}
}

// TestHostileNames: what a chart calls its values does not reach the terminal,
// nor leave the values file.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	path := files{
		"values.yaml":        "\"a/b~c\":\n  \"\\e[2Jx\": true\n  secret: hunter2\n\"\": {x: 1}\n",
		"templates/web.yaml": strings.ReplaceAll(web, ".Values.gain", `index .Values "a/b~c" "\x1b[2Jx"`),
	}.write(t)
	before := load(t, path, helm.Options{}, nil)
	c := newChart(t, path, filepath.Join(path, "values.yaml"), helm.Options{})
	result, err := chart.New(c).Plan(t.Context(), []fix.Change{want(t, before, "Deployment/web", map[string]any{automount: false})})
	if err != nil || len(result.Refused) > 0 {
		t.Fatalf("got %v, %v", result, err)
	}
	if notes := joined(result.Notes); strings.ContainsAny(notes, "\x1b") || strings.Contains(notes, "hunter2") {
		t.Errorf("notes %q", notes)
	}
	after := load(t, path, helm.Options{}, result.Files)
	if got := after.Objects[0].Get("spec", "template", "spec", "automountServiceAccountToken"); got != false {
		t.Errorf("got %v", got)
	}
	if data, err := os.ReadFile(c.ValuesPath); err != nil || strings.Contains(string(data), "false") {
		t.Errorf("the file was written: %q, %v", data, err)
	}
}
