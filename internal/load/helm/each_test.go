package helm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/load/child"
)

func renderEachOf(t testing.TB, path string, o Options, overrides ...map[string]any) []Rendering {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := RenderEach(t.Context(), self, path, o, overrides)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != len(overrides) {
		t.Fatalf("%d renderings of %d overrides", len(out), len(overrides))
	}
	return out
}

// eachChart has a subchart that a value enables, imported values, a template
// that changes its values, and a schema.
func eachChart() files {
	return files{
		"Chart.yaml": chartYAML + `dependencies:
- {name: redis, version: 0.x, condition: redis.enabled, import-values: [shared]}
- {name: redis, version: 0.x, alias: cache}
`,
		"values.yaml":                      "size: 1\nlabels: {a: b}\nredis: {enabled: true}\nlist: [1, 2]\nnothing: null\nglobal: {zone: x}\n",
		"values.schema.json":               `{"properties": {"size": {"type": "integer"}}}`,
		"charts/redis/Chart.yaml":          "apiVersion: v2\nname: redis\nversion: 0.1.0\n",
		"charts/redis/values.yaml":         "port: 6379\nexports: {shared: {from: redis}}\n",
		"charts/redis/templates/x.yaml":    "port: {{ .Values.port }}\nname: {{ .Chart.Name }}\n",
		"charts/redis/templates/NOTES.txt": "notes",
		"templates/a.yaml":                 "size: {{ .Values.size }}\nfrom: {{ .Values.from }}\nlabels: {{ toJson .Values.labels }}\n{{- $_ := set .Values.labels \"seen\" \"yes\" }}\n",
		"templates/b.yaml":                 "{{- if gt (int .Values.size) 90 }}{{ fail \"too large\" }}{{ end }}\nall: {{ toJson .Values.labels }}\nlist: {{ toJson .Values.list }}\n",
	}
}

// TestRenderEachIsRender: each rendering is what Render says with the override
// in a last values file, whatever was rendered before it.
func TestRenderEachIsRender(t *testing.T) {
	path := eachChart().write(t)
	overrides := []map[string]any{
		{},
		{"size": 2, "labels": map[string]any{"c": "d"}},
		{"labels": nil},
		{"redis": map[string]any{"enabled": false}},
		{"size": "text"},
		{"size": 91},
		{"redis": map[string]any{"port": 1}, "cache": map[string]any{"port": 10_000_000}},
		{"list": []any{3}},
		{"labels": "wrong type"},
		{"redis": "wrong type"},
		{},
	}
	got := renderEachOf(t, path, Options{Set: []string{"labels.set=here"}}, overrides...)
	for i, override := range overrides {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			raw := jsonOf(t, override)
			file := filepath.Join(t.TempDir(), "over.yaml")
			if err := os.WriteFile(file, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			// The flag comes before the override, as a values file.
			first := filepath.Join(t.TempDir(), "first.yaml")
			if err := os.WriteFile(first, []byte("labels: {set: here}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			want, err := renderPath(t, path, Options{ValuesFiles: []string{first, file}})
			if err != nil {
				if got[i].Err == nil || got[i].Err.Error() != err.Error() {
					t.Errorf("got %v, want %v", got[i].Err, err)
				}
				return
			}
			if got[i].Err != nil {
				t.Fatal(got[i].Err)
			}
			for j := range want.Documents {
				want.Documents[j].lines = nil
			}
			if !reflect.DeepEqual(got[i].Documents, want.Documents) {
				t.Errorf("got %v\nwant %v", got[i].Documents, want.Documents)
			}
		})
	}
	if a, b := got[0].Documents[0], got[3].Documents[0]; a.Template == b.Template && &a.Content[0] != &b.Content[0] && string(a.Content) == string(b.Content) {
		t.Error("equal contents are not shared")
	}
}

// TestRenderEachGoesOn: a rendering that breaks a limit is an error of its own.
func TestRenderEachGoesOn(t *testing.T) {
	endless := "{{ range until (int .Values.rounds) }}{{ range until 30000 }}{{ range until 30000 }}{{ end }}{{ end }}{{ end }}"
	path := files{
		"values.yaml":      "rounds: 0\ncopies: 1\nn: 0\n",
		"templates/a.yaml": "n: {{ .Values.n }}\n" + endless + "\n",
		"templates/b.yaml": "text: \"{{ repeat (int .Values.copies) \"x\" }}\"\n",
	}.write(t)
	big := 40 << 20
	for name, tt := range map[string]struct {
		bad  map[string]any
		want error
	}{
		"time":   {map[string]any{"rounds": 100000}, child.ErrTimeout},
		"memory": {map[string]any{"copies": 2 << 30}, child.ErrMemory},
		"output": {map[string]any{"copies": big}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{Limits: Limits{Timeout: 20 * time.Second, OutputBytes: 8 << 20}}
			got := renderEachOf(t, path, o, map[string]any{"n": 1}, tt.bad, map[string]any{"n": 2})
			for i, want := range map[int]string{0: "n: 1", 2: "n: 2"} {
				if got[i].Err != nil || !strings.Contains(string(got[i].Documents[0].Content), want) {
					t.Errorf("rendering %d: %v", i, got[i])
				}
			}
			if got[1].Err == nil || tt.want != nil && !errors.Is(got[1].Err, tt.want) {
				t.Errorf("got %v, want %v", got[1].Err, tt.want)
			}
		})
	}
}

// TestRenderEachIsBounded: all renderings together write as much as one may.
func TestRenderEachIsBounded(t *testing.T) {
	path := files{"values.yaml": "n: 0\n", "templates/a.yaml": "n: {{ .Values.n }}\ntext: \"{{ repeat 1000000 \"x\" }}\"\n"}.write(t)
	var overrides []map[string]any
	for i := range 8 {
		overrides = append(overrides, map[string]any{"n": i})
	}
	got := renderEachOf(t, path, Options{Limits: Limits{OutputBytes: 3 << 20}}, overrides...)
	for i, r := range got {
		if ok := i < 3; ok != (r.Err == nil) || !ok && !errors.Is(r.Err, child.ErrOutput) {
			t.Errorf("rendering %d: %v", i, r.Err)
		}
	}
}

func TestEffectiveValues(t *testing.T) {
	path := eachChart().write(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Values(t.Context(), self, path, Options{Set: []string{"cache.port=7"}})
	if err != nil {
		t.Fatal(err)
	}
	redis, _ := got["redis"].(map[string]any)
	cache, _ := got["cache"].(map[string]any)
	_, null := got["nothing"]
	if redis["port"] != int64(6379) || cache["port"] != int64(7) || !null || got["from"] != "redis" || !reflect.DeepEqual(redis["global"], got["global"]) {
		t.Errorf("got %v", got)
	}
	if _, err := Values(t.Context(), self, path, Options{Set: []string{"redis=7"}}); err == nil || !strings.Contains(err.Error(), "must be a map") {
		t.Errorf("got %v", err)
	}
}

func TestOverlay(t *testing.T) {
	path := files{
		".helmignore":                 "secret.yaml\n/templates/no\n",
		"values.yaml":                 "a: 1\n",
		"templates/x.yaml":            "a: {{ .Values.a }}\nb: {{ .Values.b }}\n",
		"templates/big.yaml":          "c: 1\n",
		"charts/sub/Chart.yaml":       "apiVersion: v2\nname: sub\nversion: 0.1.0\n",
		"charts/sub/templates/s.yaml": "s: 1\n",
		"charts/packed.tgz":           string(pack(t, entry("p/Chart.yaml", "apiVersion: v2\nname: p\nversion: 0.1.0\n"))),
	}.write(t)
	at := func(name string) string { return filepath.Join(path, filepath.FromSlash(name)) }
	o := Options{
		ValuesFiles: []string{at("new-values.yaml")},
		Overlay: map[string][]byte{
			at("values.yaml"):                 []byte("\xef\xbb\xbfa: 2\n"),
			at("new-values.yaml"):             []byte("b: 3\n"),
			at("templates/new.yaml"):          []byte("n: {{ .Values.a }}\n"),
			at("templates/no/new.yaml"):       []byte("ignored: true\n"),
			at("templates/secret.yaml"):       []byte("ignored: true\n"),
			at("charts/sub/templates/s.yaml"): []byte("s: 2\n"),
			filepath.Join(path, "..", "else"): []byte("not of the chart"),
		},
	}
	c, err := renderPath(t, path, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Documents) != 4 {
		t.Errorf("%d documents", len(c.Documents))
	}
	for template, want := range map[string]string{
		"templates/x.yaml": "a: 2\nb: 3\n", "templates/new.yaml": "n: 2\n", "charts/sub/templates/s.yaml": "s: 2\n",
	} {
		if got := c.content(t, template); got != want {
			t.Errorf("%s: got %q, want %q", template, got, want)
		}
	}
	if d := c.document(t, "templates/new.yaml"); d.Line(1) != 1 || d.SourceFile != at("templates/new.yaml") {
		t.Errorf("line %d of %s", d.Line(1), d.SourceFile)
	}
	got := renderEachOf(t, path, o, map[string]any{"b": 4})
	if d := got[0].Documents; got[0].Err != nil || len(d) != 4 || string(d[3].Content) != "a: 2\nb: 4\n" {
		t.Errorf("got %v", got)
	}
}

func TestOverlayIsBounded(t *testing.T) {
	path := files{"templates/x.yaml": "a: 1\n", "charts/p.tgz": string(pack(t, entry("p/Chart.yaml", "apiVersion: v2\nname: p\nversion: 0.1.0\n")))}.write(t)
	at := func(name string) string { return filepath.Join(path, filepath.FromSlash(name)) }
	for want, overlay := range map[string]map[string][]byte{
		"larger than 1 MiB": {at("templates/x.yaml"): make([]byte, 2<<20)},
		"unpack it":         {at("charts/p.tgz/values.yaml"): nil},
		"absolute path":     {"templates/x.yaml": nil},
	} {
		if e := refused(t, path, Options{Overlay: overlay, Limits: Limits{FileBytes: 1 << 20}}); !strings.Contains(e.Error(), want) {
			t.Errorf("got %v, want %s", e, want)
		}
	}
	// What is in an archive is not replaced.
	archive := writeArchive(t, entry("shop/Chart.yaml", chartYAML), entry("shop/templates/x.yaml", "a: 1\n"))
	c, err := renderPath(t, archive, Options{Overlay: map[string][]byte{filepath.Join(archive, "templates", "x.yaml"): []byte("a: 2\n")}})
	if err != nil || c.content(t, "templates/x.yaml") != "a: 1\n" {
		t.Errorf("got %v, %v", c, err)
	}
}

// BenchmarkRenderEach measures one rendering of ingress-nginx, of 200 in one
// child process.
func BenchmarkRenderEach(b *testing.B) {
	path := filepath.Join(inputs(b), "ingress-nginx", "charts", "ingress-nginx")
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	var overrides []map[string]any
	for i := range 200 {
		overrides = append(overrides, map[string]any{"controller": map[string]any{"minReadySeconds": i}})
	}
	for b.Loop() {
		out, err := RenderEach(b.Context(), self, path, Options{}, overrides)
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range out {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N)/float64(len(overrides)), "ms/rendering")
}
