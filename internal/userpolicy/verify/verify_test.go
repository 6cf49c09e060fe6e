package verify

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

func decode(file string, text []byte) ([]*model.Object, error) {
	f := manifest.NewDecoder().Decode(model.Source{File: file}, text)
	if len(f.Problems) > 0 {
		return nil, fmt.Errorf("line %d: %s", f.Problems[0].Location.Line, f.Problems[0].Message)
	}
	return f.Objects, nil
}

// control is a control with one bad and one good example, and a fix.
func control(bad, good, fix string) string {
	indented := func(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n      ") }
	return `
apiVersion: bulkhead.dev/v1
kind: Control
metadata: {name: few-replicas}
spec:
  title: Replicas are few
  severity: low
  layer: workload
  since: v0.1
  why: Many cost much.
  remedy: Ask for fewer.
  match: {kinds: [apps/Deployment]}
  violations: |
    object.?spec.?replicas.orValue(1) > 3 ? [{"path": "spec.replicas", "detail": "too many"}] : []
  fix:
    safety: risky
    note: There are fewer.
    jsonPatch: |
      ` + fix + `
  examples:
    bad:
    - |
      ` + indented(bad) + `
    good:
    - |
      ` + indented(good) + "\n"
}

const (
	many = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  replicas: 4 # want"
	few  = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  replicas: 3"
	mend = `[JSONPatch{op: "replace", path: "/spec/replicas", value: 3}]`
	miss = `[JSONPatch{op: "replace", path: "/spec/replicas", value: 5}]`
)

// TestControls tries controls whose examples hold, and each way in which they do not.
func TestControls(t *testing.T) {
	for name, c := range map[string]struct{ text, bad, good string }{
		"all is well":          {control(many, few, mend), "", ""},
		"nothing is wanted":    {control(strings.TrimSuffix(many, " # want"), few, mend), "no line ends in # want", ""},
		"another line":         {control(strings.ReplaceAll(many, " # want", "")+"\n  paused: true # want", few, mend), "findings at lines [5], and they were wanted at [6]", ""},
		"not bad":              {control(strings.Replace(many, "4", "2", 1), few, mend), "findings at lines [], and they were wanted at [5]", ""},
		"not good":             {control(many, many, mend), "", "line 5: fail: too many"},
		"good of another kind": {control(many, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}", mend), "", "judged nothing"},
		"not mended":           {control(many, few, miss), "after the fix", ""},
		"malformed":            {control("kind: [ # want", few, mend), "malformed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := decode("c.yaml", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			results, err := Run(t.Context(), objects, Options{Minor: 37, Decode: decode})
			if err != nil || len(results) != 2 {
				t.Fatalf("%v: %+v", err, results)
			}
			for i, want := range []string{c.bad, c.good} {
				r := results[i]
				if (r.Outcome == Passed) != (want == "") || !strings.Contains(r.Message, want) || r.Location.Line != 2 {
					t.Errorf("%s: got %+v, want %q", r.Test, r, want)
				}
			}
		})
	}
}

// TestSuites looks at what a suite names, and at what is skipped.
func TestSuites(t *testing.T) {
	read := func(path string) ([]*model.Object, error) { return nil, errors.New(path + " is not there") }
	objects, err := decode("dir/suite.yaml", []byte(`
{apiVersion: test.gatekeeper.sh/v1alpha1, kind: Suite, skip: true}
---
{apiVersion: test.gatekeeper.sh/v1alpha1, kind: Suite, tests: [{name: one, skip: true}, {name: two, template: t.yaml}, {name: three, template: /etc/t.yaml}, {name: four}]}
---
{apiVersion: test.gatekeeper.sh/v1alpha1, kind: Suite, tests: {}}
---
{apiVersion: v1, kind: ConfigMap}
`))
	if err != nil {
		t.Fatal(err)
	}
	results, err := Run(t.Context(), objects, Options{Minor: 37, Decode: decode, Read: read})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range results {
		got = append(got, fmt.Sprintf("%s %s %s", r.Test, r.Outcome, r.Message))
	}
	want := []string{"suite dir/suite.yaml skipped ", "one skipped ", "two failed dir/t.yaml is not there", "three failed /etc/t.yaml: a suite names files relative to its own",
		"four failed it names no template", "suite dir/suite.yaml failed the suite: json: cannot unmarshal object"}
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}
