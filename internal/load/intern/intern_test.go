package intern_test

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/intern"
)

// TestValue: random documents mean the same afterwards, one pool for all of them.
func TestValue(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := intern.NewPool()
	for range 20000 {
		v := random(r, 3)
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var want any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(p.Value(v)); err != nil || string(got) != string(text) {
			t.Fatalf("%s became %s (%v)", text, got, err)
		}
	}
}

func random(r *rand.Rand, depth int) any {
	texts := []string{"", "a", "b", "\x01s", "sa", strings.Repeat("x", 64), strings.Repeat("x", 65)}
	switch n := r.IntN(8); {
	case n < 2 && depth > 0:
		m := map[string]any{}
		for range r.IntN(4) {
			m[texts[r.IntN(len(texts))]] = random(r, depth-1)
		}
		return m
	case n == 2 && depth > 0:
		l := []any{}
		for range r.IntN(3) {
			l = append(l, random(r, depth-1))
		}
		return l
	case n == 3:
		return int64(r.IntN(3) - 1)
	case n == 4:
		return r.IntN(2) == 0
	case n == 5:
		return []any{nil, 0.5, 1.0}[r.IntN(3)]
	}
	return texts[r.IntN(len(texts))]
}

func TestShared(t *testing.T) {
	p := intern.NewPool()
	doc := func() map[string]any {
		return p.Value(map[string]any{"labels": map[string]any{"app": "web", "n": int64(1)}, "list": []any{map[string]any{"on": true, "in": []any{"x"}}}}).(map[string]any)
	}
	a, b := doc(), doc()
	for _, path := range []func(map[string]any) any{
		func(m map[string]any) any { return m["labels"] },
		func(m map[string]any) any { return m["list"] },
		func(m map[string]any) any { return m },
	} {
		if reflect.ValueOf(path(a)).Pointer() != reflect.ValueOf(path(b)).Pointer() {
			t.Errorf("%v is there twice", path(a))
		}
	}
	if reflect.ValueOf(a["labels"]).Pointer() != reflect.ValueOf(p.Leaf([]string{"app", "n"}, []any{"web", int64(1)})).Pointer() {
		t.Error("Leaf and Value do not share")
	}
}
