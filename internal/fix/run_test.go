package fix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// toy is a world of files with one JSON object each, in which the control x
// finds a field x that is there and true.
type toy struct {
	files map[string]map[string]any
	// mutations by control; without one, the field is removed.
	mutations map[string]func(map[string]any)
	// unreadable are fields that make a file unreadable.
	unreadable string
	refuse     func(c Change) string
	scans      int
}

var toyControls = []string{"a", "b", "c", "d"}

func (w *toy) task() Task {
	t := Task{
		Scan:   w.scan,
		Choose: func(_ *finding.Finding, _ string) (bool, finding.LeftCause, string) { return true, "", "" },
		Mutate: func() Mutate { return w.mutate },
		Plain: func(_ context.Context, file string, changes []Change) (*Result, error) {
			r := &Result{Files: map[string][]byte{}, Refused: map[int]string{}}
			for i, c := range changes {
				if why := w.refuse; why != nil && why(c) != "" {
					r.Refused[i] = why(c)
					continue
				}
				r.Files[file] = []byte(asJSON(c.After))
			}
			return r, nil
		},
	}
	for _, c := range toyControls {
		t.Controls = append(t.Controls, finding.Rule{Name: c})
	}
	return t
}

func (w *toy) scan(_ context.Context, standIns Files) (*Assessment, error) {
	w.scans++
	a := &Assessment{}
	for _, file := range slices.Sorted(maps.Keys(w.files)) {
		content := w.files[file]
		if data, ok := standIns[file]; ok {
			content = map[string]any{}
			if err := json.Unmarshal(data, &content); err != nil {
				return nil, err
			}
		}
		if w.unreadable != "" && content[w.unreadable] != nil {
			a.Problems = append(a.Problems, finding.Problem{Location: finding.Location{File: file}, Message: "cannot be read"})
			continue
		}
		full := maps.Clone(content)
		full["apiVersion"], full["kind"], full["metadata"] = "v1", "Toy", map[string]any{"name": file}
		o, _ := model.NewObject(full, nil, model.Source{File: file})
		for _, c := range toyControls {
			if full[c] == true {
				f := finding.Finding{Control: c, Verdict: finding.Fail, Severity: finding.High, Object: o.Ref(), Fingerprint: c + file}
				if c == "a" && full["covers"] != nil {
					f.Covers = []string{"b"}
				}
				a.Findings = append(a.Findings, Found{f, o})
			}
		}
	}
	return a, nil
}

func (w *toy) mutate(_ context.Context, control string, o *model.Object) (map[string]any, error) {
	content := maps.Clone(o.Content)
	if m := w.mutations[control]; m != nil {
		m(content)
	} else {
		delete(content, control)
	}
	if content["error"] != nil {
		return nil, errors.New("too expensive")
	}
	return content, nil
}

func TestRun(t *testing.T) {
	one := func(fields ...string) map[string]map[string]any {
		content := map[string]any{}
		for _, f := range fields {
			content[f] = true
		}
		return map[string]map[string]any{"f": content}
	}
	for _, c := range []struct {
		name  string
		toy   toy
		fixed string
		left  string
	}{
		{"all", toy{files: one("a", "b")}, "af bf", ""},
		{"nothing", toy{files: one()}, "", ""},
		{"a fix that changes nothing", toy{files: one("a"), mutations: map[string]func(map[string]any){"a": func(map[string]any) {}}}, "", "af: the fix changes nothing in this object"},
		{"a fix that leaves its finding", toy{files: one("a", "b"), mutations: map[string]func(map[string]any){"a": func(m map[string]any) { m["x"] = true }}},
			"bf", "af: the finding is still there after the change"},
		{"a fix that brings another finding", toy{files: one("a"), mutations: map[string]func(map[string]any){"a": func(m map[string]any) { delete(m, "a"); m["c"] = true }, "c": func(map[string]any) {}}},
			"", "af: the change brings another finding: c: "},
		{"a fix that brings a finding that can be fixed", toy{files: one("a"), mutations: map[string]func(map[string]any){"a": func(m map[string]any) { delete(m, "a"); m["c"] = true }}}, "af", ""},
		{"what was covered is no new finding", toy{files: map[string]map[string]any{"f": {"a": true, "covers": true}}, mutations: map[string]func(map[string]any){
			"a": func(m map[string]any) { delete(m, "a"); delete(m, "covers"); m["b"] = true }, "b": func(map[string]any) {}}}, "af", ""},
		{"what is covered is fixed too", toy{files: map[string]map[string]any{"f": {"a": true, "covers": true}}, mutations: map[string]func(map[string]any){
			"a": func(m map[string]any) { delete(m, "a"); m["b"] = true }}}, "af", ""},
		{"one of several fixes that brings another finding", toy{files: one("a", "b", "d"), mutations: map[string]func(map[string]any){"b": func(m map[string]any) { delete(m, "b"); m["c"] = true }, "c": func(map[string]any) {}}},
			"af df", "bf: the change brings another finding: c: "},
		{"two of several fixes that bring another finding", toy{files: one("a", "b", "c"), mutations: map[string]func(map[string]any){"a": func(m map[string]any) { delete(m, "a"); m["d"] = true },
			"b": func(m map[string]any) { delete(m, "b"); m["d"] = true }, "d": func(map[string]any) {}}}, "cf", "af: the change brings another finding: d:  bf: the change brings another finding: d: "},
		{"two fixes that only together bring another finding", toy{files: one("a", "b"), mutations: map[string]func(map[string]any){"a": func(m map[string]any) { delete(m, "a"); delete(m, "d") },
			"b": func(m map[string]any) {
				delete(m, "b")
				if m["a"] == nil {
					m["d"] = true
				}
			}, "d": func(map[string]any) {}}}, "af", "bf: the change brings another finding: d: "},
		{"a fix that fails", toy{files: one("a", "b"), mutations: map[string]func(map[string]any){"a": func(m map[string]any) { m["error"] = true }}}, "bf", "af: too expensive"},
		{"a fix that makes the file unreadable", toy{files: one("a"), unreadable: "d", mutations: map[string]func(map[string]any){"a": func(m map[string]any) { delete(m, "a"); m["d"] = int64(1) }}},
			"", "af: the changed file cannot be read: f: cannot be read"},
		{"one fix that cannot be written", toy{files: one("a", "b", "c"), refuse: func(c Change) string {
			if c.After["b"] == nil {
				return "anchored"
			}
			return ""
		}}, "af cf", "bf: anchored"},
		{"no fix that can be written", toy{files: one("a"), refuse: func(Change) string { return "generated" }}, "", "af: generated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := Run(t.Context(), c.toy.task())
			if err != nil {
				t.Fatal(err)
			}
			var fixed, left []string
			for _, f := range out.Fixed() {
				fixed = append(fixed, f.Fingerprint)
			}
			for _, l := range out.Left {
				left = append(left, l.Fingerprint+": "+l.Reason)
			}
			if got := strings.Join(fixed, " "); got != c.fixed {
				t.Errorf("fixed %q, want %q", got, c.fixed)
			}
			if got := strings.Join(left, " "); got != c.left {
				t.Errorf("left %q, want %q", got, c.left)
			}
			if (len(out.Files) > 0) != (c.fixed != "") {
				t.Errorf("files %v", out.Files.Paths())
			}
			if len(out.Files) > 0 && out.Objects != 1 {
				t.Errorf("%d objects", out.Objects)
			}
		})
	}
}

// TestRunManyFiles: what goes wrong in one file takes nothing from the others.
func TestRunManyFiles(t *testing.T) {
	w := toy{files: map[string]map[string]any{}, mutations: map[string]func(map[string]any){"a": func(m map[string]any) {
		if m["stubborn"] == nil {
			delete(m, "a")
		} else {
			m["x"] = true
		}
	}}}
	for i := range 200 {
		content := map[string]any{"a": true, "b": true}
		if i%50 == 0 {
			content["stubborn"] = true
		}
		w.files[fmt.Sprintf("f%03d", i)] = content
	}
	out, err := Run(t.Context(), w.task())
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Found) != 400 || len(out.Left) != 4 || len(out.Fixed()) != 396 || len(out.Files) != 200 || w.scans != 3 {
		t.Errorf("found %d, left %d, fixed %d, files %d, scans %d", len(out.Found), len(out.Left), len(out.Fixed()), len(out.Files), w.scans)
	}
}

func TestConfirm(t *testing.T) {
	w := toy{files: map[string]map[string]any{"f": {"a": true, "b": true}}}
	task := w.task()
	var asked []string
	task.Confirm = func(_ context.Context, control string, f []*Found, c *Change) (bool, error) {
		asked = append(asked, fmt.Sprint(control, len(f), asJSON(c.Edits)))
		return control == "b", nil
	}
	out, err := Run(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(asked, " "); got != `a1[{"op":"remove","path":"/a"}] b1[{"op":"remove","path":"/b"}]` {
		t.Error(got)
	}
	if len(out.Left) != 1 || out.Left[0].Cause != finding.LeftDeclined || len(out.Fixed()) != 1 {
		t.Errorf("%+v", out.Left)
	}
}

// TestRunInstead: a fix that relies on the field of another is made by its own
// field once that one turns out to be out of reach.
func TestRunInstead(t *testing.T) {
	object := map[string]any{"apiVersion": "v1", "kind": "Toy", "metadata": map[string]any{"name": "x"}}
	scan := func(_ context.Context, standIns Files) (*Assessment, error) {
		content := maps.Clone(object)
		if data, ok := standIns["values"]; ok {
			if err := json.Unmarshal(data, &content); err != nil {
				return nil, err
			}
		}
		o, _ := model.NewObject(content, nil, model.Source{})
		a := &Assessment{}
		for control, bad := range map[string]bool{"a": content["hostUsers"] == nil, "b": content["hostUsers"] == nil && content["user"] == nil} {
			if bad {
				a.Findings = append(a.Findings, Found{finding.Finding{Control: control, Verdict: finding.Fail, Object: o.Ref(), Root: "chart", Fingerprint: control}, o})
			}
		}
		a.Sort()
		return a, nil
	}
	mutate := func(_ context.Context, control string, o *model.Object) (map[string]any, error) {
		content := maps.Clone(o.Content)
		if control == "a" {
			content["hostUsers"] = false
		} else if content["hostUsers"] == nil {
			content["user"] = int64(10001)
		}
		return content, nil
	}
	// The values reach all but hostUsers.
	root := func(_ context.Context, _ string, changes []Change) (*Result, error) {
		after := maps.Clone(changes[0].After)
		r := &Result{Files: map[string][]byte{}}
		if _, wanted := after["hostUsers"]; wanted {
			delete(after, "hostUsers")
			r.Refused = map[int]string{0: "hostUsers: no value reaches it"}
			r.Fields = map[int]map[string]string{0: {"/hostUsers": "hostUsers: no value reaches it"}}
		}
		after["drawn"] = true // by some value
		r.Files["values"] = []byte(asJSON(after))
		return r, nil
	}
	out, err := Run(t.Context(), Task{Scan: scan, Root: root, Controls: []finding.Rule{{Name: "a"}, {Name: "b"}}, Mutate: func() Mutate { return mutate },
		Choose: func(*finding.Finding, string) (bool, finding.LeftCause, string) { return true, "", "" }})
	if err != nil {
		t.Fatal(err)
	}
	if fixed := out.Fixed(); len(fixed) != 1 || fixed[0].Control != "b" || len(out.Left) != 1 || out.Left[0].Reason != "hostUsers: no value reaches it" {
		t.Errorf("fixed %v, left %+v", out.Fixed(), out.Left)
	}
}
