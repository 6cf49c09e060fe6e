package admission_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// compare applies a mutation in both ways, and reports whether both fail.
func compare(t *testing.T, m *admission.Mutation, o *model.Object, name string) (failed bool) {
	t.Helper()
	before, err := json.Marshal(o.Content)
	if err != nil {
		t.Fatal(err)
	}
	got, gotErr := m.Apply(t.Context(), o)
	want, wantErr := m.Patched(t.Context(), o)
	if (gotErr == nil) != (wantErr == nil) {
		t.Fatalf("%s of %s: %v, the patch package says %v", name, o.Ref(), gotErr, wantErr)
	}
	if !reflect.DeepEqual(decoded(t, got), decoded(t, want)) {
		t.Fatalf("%s of %s:\n%v\nthe patch package has\n%v", name, o.Ref(), got, want)
	}
	if after, _ := json.Marshal(o.Content); string(after) != string(before) {
		t.Fatalf("%s changed the object itself", name)
	}
	return wantErr != nil
}

// decoded is a value as JSON has it, where 1.0 is 1.
func decoded(t *testing.T, v any) (out any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestApply compares every fix on every example of every control with what the API
// server's patch package makes of it.
func TestApply(t *testing.T) {
	controls, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	var objects []*model.Object
	for _, c := range controls {
		for _, text := range append(c.Examples.Bad, c.Examples.Good...) {
			file := manifest.NewDecoder().Decode(model.Source{File: "example.yaml"}, []byte(text))
			objects = append(objects, model.NewWorld(file.Objects, model.WorldOptions{}).Objects...)
		}
	}
	n := 0
	for _, c := range controls {
		if c.FixPolicy() == nil {
			continue
		}
		m, err := admission.CompileMutation(c, check.Defaults(controls)[c.Name])
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if m.Concerns(o) {
				compare(t, m, o, c.Name)
				n++
			}
		}
	}
	if n < 1000 {
		t.Errorf("only %d were compared", n)
	}
	t.Logf("compared %d", n)
}

// TestApplyRandomly compares patches that hold anything, right or wrong.
func TestApplyRandomly(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	ops := []string{"add", "add", "add", "remove", "replace", "replace", "test", "move", "copy", "nothing"}
	paths := []string{"/data", "/data/a", "/data/b", "/data/b/0", "/data/b/-", "/data/b/1", "/data/b/-1", "/data/b/9", "/data/b/01", "/data/b/x", "/data/c/d", "/data/c/d/e",
		"/data/x~1y", "/data/x~0y", "/data/x~2y", "/data/x", "/data/x/y", "/data/", "/data//", "data", "", "/", "/data/n", "/data/n/m"}
	values := []string{"1", "1.5", "2.0", "'text'", "''", "true", "null", "[]", "{}", "[1, 2]", "{'k': 'v'}", "{'k': [1, {'l': null}]}", "9007199254740993", "-0.0", "1e300", "'\\u2028<>&'", "b'x'", "timestamp('2020-01-01T00:00:00Z')"}
	const content = `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": 1, "b": [1, {"c": null}, 3.0], "c": {"d": {"e": "f"}}, "x/y": 1, "x~y": 2, "n": null}}`
	var object map[string]any
	if err := json.Unmarshal([]byte(content), &object); err != nil {
		t.Fatal(err)
	}
	o, _ := model.NewObject(object, nil, model.Source{})
	failed, compared := 0, 0
	for range 1500 {
		var patch []string
		for range 1 + r.IntN(3) {
			op := pick(ops)
			fields := fmt.Sprintf("op: %q, path: %q", op, pick(paths))
			switch op {
			case "move", "copy":
				fields += fmt.Sprintf(", from: %q", pick(paths))
			case "remove":
			default:
				if r.IntN(20) > 0 {
					fields += ", value: dyn(" + pick(values) + ")"
				}
			}
			patch = append(patch, "JSONPatch{"+fields+"}")
		}
		c := &check.Control{Object: &check.ObjectPolicy{Kinds: []model.GroupKind{o.GroupKind}, Mutation: "[" + strings.Join(patch, ", ") + "]"}}
		c.Name = "random"
		m, err := admission.CompileMutation(c, nil)
		if err != nil {
			continue // a value that CEL does not put beside another
		}
		compared++
		if compare(t, m, o, c.Object.Mutation) {
			failed++
		}
	}
	if compared < 500 || failed == 0 || failed == compared {
		t.Errorf("compared %d, of which %d failed: too few to say anything", compared, failed)
	}
	t.Logf("compared %d, of which %d failed in both ways", compared, failed)
}
