package fix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestDifferenceAgainstLibrary applies the differences of random documents with
// another implementation of JSON Patch, and with Apply.
func TestDifferenceAgainstLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	for range 20_000 {
		before := randomMap(r, 0)
		after := mutated(r, before, 0).(map[string]any)
		edits := Difference(before, after)
		if reflect.DeepEqual(before, after) != (len(edits) == 0) {
			t.Fatalf("%s\n%s\n%v", asJSON(before), asJSON(after), edits)
		}
		patch, err := jsonpatch.DecodePatch([]byte(asJSON(edits)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := patch.Apply([]byte(asJSON(before)))
		if err != nil || !jsonpatch.Equal(got, []byte(asJSON(after))) {
			t.Fatalf("%v\nbefore %s\nafter  %s\nedits  %s\ngot    %s", err, asJSON(before), asJSON(after), asJSON(edits), got)
		}
		own, err := finding.Apply(before, edits)
		if err != nil || !reflect.DeepEqual(own, after) {
			t.Fatalf("%v\nbefore %s\nafter  %s\nedits  %s\ngot    %s", err, asJSON(before), asJSON(after), asJSON(edits), asJSON(own))
		}
	}
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(err)
	}
	if string(b) == "null" {
		return "[]"
	}
	return string(b)
}

func randomValue(r *rand.Rand, depth int) any {
	switch n := r.IntN(6); {
	case n == 0 && depth < 3:
		return randomMap(r, depth+1)
	case n == 1 && depth < 3:
		list := make([]any, r.IntN(4))
		for i := range list {
			if list[i] = randomValue(r, depth+1); r.IntN(2) == 0 {
				list[i] = map[string]any{"name": string(rune('a' + i)), "v": int64(r.IntN(3))}
			}
		}
		return list
	case n == 2:
		return r.IntN(2) == 0
	case n == 3:
		return "s"
	}
	return int64(r.IntN(3))
}

func randomMap(r *rand.Rand, depth int) map[string]any {
	m := map[string]any{}
	for range r.IntN(5) {
		m[[]string{"a", "b", "c/d", "e~f", ""}[r.IntN(5)]] = randomValue(r, depth)
	}
	return m
}

// mutated changes a value here and there.
func mutated(r *rand.Rand, v any, depth int) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			switch r.IntN(5) {
			case 0:
			case 1:
				out[k] = randomValue(r, depth+1)
			default:
				out[k] = mutated(r, e, depth+1)
			}
		}
		if r.IntN(3) == 0 {
			out["new"] = randomValue(r, depth+1)
		}
		return out
	case []any:
		out := []any{}
		for _, e := range v {
			if r.IntN(4) > 0 {
				out = append(out, mutated(r, e, depth+1))
			}
			if r.IntN(6) == 0 {
				out = append(out, randomValue(r, depth+1))
			}
		}
		return out
	}
	if r.IntN(5) == 0 {
		return randomValue(r, depth+1)
	}
	return v
}

func TestDifferenceIsSmall(t *testing.T) {
	c := func(name string, more ...any) map[string]any {
		m := map[string]any{"name": name}
		for i := 0; i < len(more); i += 2 {
			m[more[i].(string)] = more[i+1]
		}
		return m
	}
	for _, tt := range []struct {
		name          string
		before, after any
		want          string
	}{
		{"a field of an item", []any{c("a"), c("b")}, []any{c("a"), c("b", "x", true)}, `[{"op":"add","path":"/l/1/x","value":true}]`},
		{"an item in the middle is gone", []any{c("a"), c("b"), c("d")}, []any{c("a"), c("d")}, `[{"op":"remove","path":"/l/1"}]`},
		{"two gone", []any{c("a"), c("b"), c("d")}, []any{c("b")}, `[{"op":"remove","path":"/l/2"},{"op":"remove","path":"/l/0"}]`},
		{"one gone, one changed", []any{c("a"), c("b")}, []any{c("b", "x", int64(1))}, `[{"op":"remove","path":"/l/0"},{"op":"add","path":"/l/0/x","value":1}]`},
		{"one more", []any{"NET_RAW"}, []any{"NET_RAW", "ALL"}, `[{"op":"add","path":"/l/1","value":"ALL"}]`},
		{"others", []any{"NET_RAW"}, []any{"ALL"}, `[{"op":"replace","path":"/l/0","value":"ALL"}]`},
		{"none left", []any{"NET_RAW"}, []any{}, `[{"op":"replace","path":"/l","value":[]}]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := asJSON(Difference(map[string]any{"l": tt.before}, map[string]any{"l": tt.after})); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestCompose(t *testing.T) {
	o, _ := model.NewObject(map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "x"}, "spec": nil}, nil, model.Source{})
	mutate := func(_ context.Context, control string, o *model.Object) (map[string]any, error) {
		switch control {
		case "broken":
			return nil, errors.New("too expensive")
		case "elsewhere":
			return nil, nil
		}
		return finding.Apply(model.WithoutNulls(o.Content), []finding.Edit{{Op: "add", Path: "/metadata/" + control, Value: o.Get("metadata", "first") != nil}})
	}
	change, failed := Compose(t.Context(), o, []string{"first", "broken", "elsewhere", "second"}, mutate)
	if len(failed) != 1 || failed["broken"] == nil {
		t.Errorf("failed: %v", failed)
	}
	want := `[{"op":"add","path":"/metadata/first","value":false},{"op":"add","path":"/metadata/second","value":true}]`
	if got := asJSON(change.Edits); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if change, _ := Compose(t.Context(), o, []string{"elsewhere"}, mutate); change != nil {
		t.Errorf("a change of nothing: %v", change.Edits)
	}
}
