package model

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestPath(t *testing.T) {
	for text, want := range map[string]Path{
		"":                                     nil,
		"spec":                                 {Key("spec")},
		"spec.containers[12].image":            {Key("spec"), Key("containers"), Index(12), Key("image")},
		`metadata.annotations["a.b/c"]`:        {Key("metadata"), Key("annotations"), Key("a.b/c")},
		`metadata.annotations["a\"]b"].x[0]`:   {Key("metadata"), Key("annotations"), Key(`a"]b`), Key("x"), Index(0)},
		`metadata.labels["b"]`:                 {Key("metadata"), Key("labels"), Key("b")},
		`[3]["a b"]`:                           {Index(3), Key("a b")},
		"webhooks[0].rules[1].apiGroups[2]":    {Key("webhooks"), Index(0), Key("rules"), Index(1), Key("apiGroups"), Index(2)},
		"spec.template.spec.volumes[0].$patch": {Key("spec"), Key("template"), Key("spec"), Key("volumes"), Index(0), Key("$patch")},
	} {
		got, err := ParsePath(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParsePath(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{".a", "a.", "a..b", "a[", "a[x]", "a[-1]", `a["b]`, `a["b"`, `a[""]`, "a[1"} {
		if got, err := ParsePath(text); err == nil {
			t.Errorf("ParsePath(%q) = %v, want an error", text, got)
		}
	}
	if got := (Path{Key("a/b"), Index(1), Key("c~d")}).Pointer(); got != "/a~1b/1/c~0d" {
		t.Errorf("Pointer() = %s", got)
	}
}

// FuzzPath makes sure that whatever String writes, ParsePath reads.
func FuzzPath(f *testing.F) {
	f.Add("spec", "a.b/c", 3)
	f.Add(`"]`, "\x00\xff", 0)
	f.Fuzz(func(t *testing.T, a, b string, i int) {
		if a == "" || b == "" || i < 0 {
			t.Skip()
		}
		p := Path{Key(a), Index(i), Key(b), Key(a)}
		got, err := ParsePath(p.String())
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Fatalf("%#v became %q, which reads as %#v, %v", p, p.String(), got, err)
		}
	})
}

// TestSpans compares lookups with a plain walk that carries places along, on
// random values.
func TestSpans(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		content, spans := randomValue(r, 0), Spans(nil)
		places := map[string]Span{}
		var all []Path
		var walk func(v any, p Path)
		walk = func(v any, p Path) {
			s := Span{uint32(len(spans) + 1), 1}
			spans = append(spans, s)
			places[p.String()] = s
			all = append(all, p)
			switch v := v.(type) {
			case map[string]any:
				for _, k := range slices.Sorted(maps.Keys(v)) {
					walk(v[k], p.Append(Key(k)))
				}
			case []any:
				for i, e := range v {
					walk(e, p.Append(Index(i)))
				}
			}
		}
		walk(content, nil)
		if Count(content) != len(spans) {
			t.Fatalf("Count = %d, want %d", Count(content), len(spans))
		}
		for _, p := range all {
			if got, depth := spans.At(content, p); got != places[p.String()] || depth != len(p) {
				t.Fatalf("%v: got %v at depth %d, want %v", p, got, depth, places[p.String()])
			}
			if got, depth := spans.At(content, p.Append(Key("absent"), Index(9))); got != places[p.String()] || depth != len(p) {
				t.Fatalf("below %v: got %v at depth %d", p, got, depth)
			}
			v, _ := p.Lookup(content)
			if sub := spans.Sub(content, p); len(sub) != Count(v) || sub[0] != places[p.String()] {
				t.Fatalf("Sub(%v) has %d spans from %v", p, len(sub), sub[0])
			}
		}
	}
}

func randomValue(r *rand.Rand, depth int) any {
	switch n := r.IntN(6); {
	case depth > 4 || n < 2:
		return "x"
	case n < 4:
		m := map[string]any{}
		for range r.IntN(5) {
			m[strings.Repeat(string(rune('a'+r.IntN(4))), 1+r.IntN(2))] = randomValue(r, depth+1)
		}
		return m
	default:
		l := make([]any, r.IntN(4))
		for i := range l {
			l[i] = randomValue(r, depth+1)
		}
		return l
	}
}
