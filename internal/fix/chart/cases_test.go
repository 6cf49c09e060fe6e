package chart_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/fix/chart"
	"bulkhead.dev/bulkhead/internal/load/helm"
	"bulkhead.dev/bulkhead/internal/model"
)

var update = flag.Bool("update", false, "write the files that testdata wants")

// testCase is an archive of testdata. Its comment says what is wanted; the files
// below want/ are those that come out.
type testCase struct {
	chart, want files
	valuesFile  string
	options     helm.Options
	templates   bool
	// wants are paths with their values by object, in the order of objects.
	objects        []string
	wants          map[string]map[string]any
	refused, notes []string
}

func readCase(t *testing.T, archive *txtar.Archive) *testCase {
	t.Helper()
	c := &testCase{chart: files{}, want: files{}, valuesFile: "values.yaml", wants: map[string]map[string]any{}}
	for _, f := range archive.Files {
		if name, golden := strings.CutPrefix(f.Name, "want/"); golden {
			c.want[name] = string(f.Data)
		} else {
			c.chart[f.Name] = string(f.Data)
		}
	}
	for line := range strings.Lines(string(archive.Comment)) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch verb {
		case "want":
			object, rest, _ := strings.Cut(rest, " ")
			path, value, ok := strings.Cut(rest, " = ")
			var decoded any
			if err := json.Unmarshal([]byte(value), &decoded); err != nil || !ok {
				t.Fatalf("%s: %v", line, err)
			}
			if f, ok := decoded.(float64); ok {
				decoded = int64(f)
			}
			if c.wants[object] == nil {
				c.wants[object] = map[string]any{}
				c.objects = append(c.objects, object)
			}
			c.wants[object][path] = decoded
		case "refused":
			c.refused = append(c.refused, rest)
		case "note":
			c.notes = append(c.notes, rest)
		case "set":
			c.options.Set = append(c.options.Set, rest)
		case "values-file":
			c.valuesFile = rest
		case "templates":
			c.templates = true
		}
	}
	return c
}

// TestCases plans the changes of each archive in testdata, renders the chart
// with the files that come out, and compares every object with what is wanted.
func TestCases(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			c := readCase(t, archive)
			result := c.run(t)
			if *update {
				archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, "want/") })
				for _, path := range slices.Sorted(keys(result)) {
					archive.Files = append(archive.Files, txtar.File{Name: "want/" + path, Data: []byte(result[path])})
				}
				if err := os.WriteFile(name, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !reflect.DeepEqual(result, c.want) {
				t.Errorf("files %v\nwant %v", result, c.want)
			}
		})
	}
}

func keys(f files) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range f {
			if !yield(k) {
				return
			}
		}
	}
}

// run returns the files that come out, by their path in the chart.
func (c *testCase) run(t *testing.T) files {
	t.Helper()
	path := c.chart.write(t)
	valuesPath := filepath.Join(path, c.valuesFile)
	before := load(t, path, c.options, nil)
	var wanted []fix.Change
	for _, object := range c.objects {
		wanted = append(wanted, want(t, before, object, c.wants[object]))
	}
	planned := newChart(t, path, valuesPath, c.options)
	planned.EditTemplates = c.templates
	p := chart.New(planned)
	result, err := p.Plan(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d renderings", p.Rendered())
	again, err := p.Plan(t.Context(), wanted)
	if err != nil || !reflect.DeepEqual(again, result) {
		t.Errorf("a second plan is another: %v, %v\nfirst %v", again, err, result)
	}
	c.checkRefused(t, result)
	for _, note := range c.notes {
		if !strings.Contains(strings.Join(result.Notes, "\n"), note) {
			t.Errorf("notes %q\nwant %q among them", result.Notes, note)
		}
	}
	with := c.options
	if c.valuesFile != "values.yaml" {
		with.ValuesFiles = []string{valuesPath}
		if result.Files[valuesPath] == nil {
			result.Files[valuesPath] = []byte{}
		}
	}
	c.checkObjects(t, before, load(t, path, with, result.Files), wanted, result)
	out := files{}
	for name, data := range result.Files {
		inner, err := filepath.Rel(path, name)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.ToSlash(inner)] = string(data)
	}
	return out
}

func (c *testCase) checkRefused(t *testing.T, result *fix.Result) {
	t.Helper()
	var reasons []string
	for _, i := range slices.Sorted(func(yield func(int) bool) {
		for i := range result.Refused {
			if !yield(i) {
				return
			}
		}
	}) {
		reasons = append(reasons, result.Refused[i])
	}
	if len(reasons) != len(c.refused) {
		t.Errorf("refused %q, want %q", reasons, c.refused)
		return
	}
	for i, pattern := range c.refused {
		if !regexp.MustCompile(pattern).MatchString(reasons[i]) {
			t.Errorf("refused %q\nwant %q", reasons[i], pattern)
		}
	}
}

// checkObjects: an object whose change is not refused is what is wanted, save
// for what the notes tell; one that is to stay as it is did.
func (c *testCase) checkObjects(t *testing.T, before, after *model.World, wanted []fix.Change, result *fix.Result) {
	t.Helper()
	also := strings.Contains(strings.Join(result.Notes, "\n"), "also set")
	if len(before.Objects) != len(after.Objects) {
		t.Fatalf("%d objects, there were %d", len(after.Objects), len(before.Objects))
	}
	for i, o := range before.Objects {
		goal := o.Content
		refused := false
		for j, w := range wanted {
			if w.Object == o {
				goal, refused = w.After, result.Refused[j] != ""
			}
		}
		got := after.Objects[i].Content
		if !refused && !also && !reflect.DeepEqual(steady(got), steady(goal)) {
			t.Errorf("%s: got %v\nwant %v", o.Ref(), got, goal)
		}
	}
}

// steady is content without what differs from rendering to rendering, and
// without fields whose absence means what they say.
func steady(content map[string]any) any {
	v, _ := copied(content).(map[string]any)
	if annotations, ok := model.Get(v, "spec", "template", "metadata").(map[string]any); ok {
		delete(annotations, "annotations")
	}
	if pod, ok := model.Get(v, "spec", "template", "spec").(map[string]any); ok && pod["hostNetwork"] == false {
		delete(pod, "hostNetwork")
	}
	return v
}
