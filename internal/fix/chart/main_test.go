package chart_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/fix/chart"
	"bulkhead.dev/bulkhead/internal/load/helm"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestMain lets the test binary be the child process that renders charts.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == helm.Verb {
		if err := helm.Child(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func self(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// absolute turns an overlay's paths into absolute ones.
func absolute(t testing.TB, overlay map[string][]byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for name, data := range overlay {
		path, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		out[path] = data
	}
	return out
}

// real renders real charts in child processes. Equal documents are decoded once.
type real struct {
	t       testing.TB
	path    string
	options helm.Options
	decoded map[string][]*model.Object
}

func (r *real) render(ctx context.Context, overlay map[string][]byte, overrides []map[string]any) ([]chart.Rendering, error) {
	o := r.options
	o.Overlay = absolute(r.t, overlay)
	out, err := helm.RenderEach(ctx, self(r.t), r.path, o, overrides)
	if err != nil {
		return nil, err
	}
	result := make([]chart.Rendering, len(out))
	for i, one := range out {
		result[i].Err = one.Err
		for _, d := range one.Documents {
			objects, ok := r.decoded[string(d.Content)]
			if !ok {
				f := manifest.NewDecoder().Decode(model.Source{File: d.SourceFile}, d.Content)
				for _, p := range f.Problems {
					result[i].Err = fmt.Errorf("%s: %s", d.Template, p.Message)
				}
				objects = f.Objects
				r.decoded[string(d.Content)] = objects
			}
			result[i].Objects = append(result[i].Objects, objects...)
		}
	}
	return result, nil
}

// load returns the objects of a chart with their places, as a scan has them.
func load(t testing.TB, path string, o helm.Options, overlay map[string][]byte) *model.World {
	t.Helper()
	o.Overlay = absolute(t, overlay)
	c, err := helm.Render(t.Context(), self(t), path, o)
	if err != nil {
		t.Fatal(err)
	}
	var objects []*model.Object
	for _, d := range c.Documents {
		locate := func(s model.Span) finding.Location {
			return finding.Location{File: d.SourceFile, Line: d.Line(int(s.Line))}
		}
		objects = append(objects, manifest.NewDecoder().Decode(model.Source{File: d.SourceFile, Locate: locate}, d.Content).Objects...)
	}
	return model.NewWorld(objects, model.WorldOptions{Root: path})
}

// newChart is what a command would give the planner: valuesPath is the chart's
// values.yaml, or a file that is given after all others.
func newChart(t testing.TB, path, valuesPath string, o helm.Options) chart.Chart {
	t.Helper()
	values, err := os.ReadFile(valuesPath)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if filepath.Dir(valuesPath) != path || filepath.Base(valuesPath) != "values.yaml" {
		o.ValuesFiles = append(o.ValuesFiles, valuesPath)
	}
	with := o
	with.Overlay = absolute(t, map[string][]byte{valuesPath: values})
	effective, err := helm.Values(t.Context(), self(t), path, with)
	if err != nil {
		t.Fatal(err)
	}
	r := &real{t: t, path: path, options: o, decoded: map[string][]*model.Object{}}
	return chart.Chart{Path: path, ValuesPath: valuesPath, Values: values, Effective: effective, Render: r.render, Template: os.ReadFile}
}

// files are a chart by path.
type files map[string]string

func (f files) write(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	if _, ok := f["Chart.yaml"]; !ok {
		f["Chart.yaml"] = "apiVersion: v2\nname: shop\nversion: 1.2.3\n"
	}
	for name, content := range f {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// want makes a change of an object: the value at each path, nil to remove it.
// Parents that are missing are made.
func want(t testing.TB, w *model.World, object string, values map[string]any) fix.Change {
	t.Helper()
	for _, o := range w.Objects {
		if o.Kind+"/"+o.Name != object {
			continue
		}
		after, _ := copied(o.Content).(map[string]any)
		for name, value := range values {
			path, err := model.ParsePath(name)
			if err != nil {
				t.Fatal(err)
			}
			after, _ = set(after, path, value).(map[string]any)
		}
		return fix.Change{Object: o, After: after}
	}
	t.Fatalf("no object %s", object)
	return fix.Change{}
}

func set(v any, path model.Path, value any) any {
	if len(path) == 0 {
		return value
	}
	if path[0].Key == "" {
		list, _ := v.([]any)
		list[path[0].Index] = set(list[path[0].Index], path[1:], value)
		return list
	}
	m, _ := v.(map[string]any)
	if m == nil {
		m = map[string]any{}
	}
	if next := set(m[path[0].Key], path[1:], value); next == nil {
		delete(m, path[0].Key)
	} else {
		m[path[0].Key] = next
	}
	return m
}

func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = copied(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = copied(e)
		}
		return out
	}
	return v
}

func joined(lines []string) string { return strings.Join(lines, "\n") }
