package form

import (
	"fmt"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

func TestReader(t *testing.T) {
	many := "[" + strings.Repeat("x, ", 9) + "x]"
	cases := map[string]struct{ spec, want string }{
		"all is well":   {`{name: a b, label: shop, labels: [a, b], items: [1], flag: true}`, ""},
		"unknown":       {`{name: a, lable: shop}`, "f.yaml:4: spec.lable is no field here: there are name, label, labels, items, flag"},
		"no text":       {`{name: 1}`, "spec.name must be a string"},
		"blank":         {`{name: " "}`, "spec.name is empty: say it"},
		"control":       {`{name: "a\eb"}`, `spec.name is "a\x1bb", with spaces around it or control characters in it: say it`},
		"long":          {`{name: ` + strings.Repeat("a", MaxText+1) + `}`, "spec.name is longer than 10000 bytes"},
		"no label":      {`{name: a, label: Shop}`, `spec.label is "Shop": use at most 63 lower-case letters`},
		"twice":         {`{name: a, labels: [a, a]}`, `spec.labels[1] is "a" a second time`},
		"no list":       {`{name: a, items: {}}`, "spec.items must be a list"},
		"too many":      {`{name: a, items: ` + many + `}`, "spec.items has 10 items, and 9 are the most"},
		"no flag":       {`{name: a, flag: "yes"}`, "spec.flag must be true or false"},
		"no map":        {`[]`, "spec must be a map with name, label, labels, items, flag"},
		"missing":       {`{}`, "spec.name is missing: say it"},
		"many mistakes": {"{" + strings.Join(keys(30), ", ") + "}", "and 11 problems more"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := object(t, "apiVersion: bulkhead.dev/v1\nkind: Thing\nmetadata: {name: a}\nspec: "+c.spec+"\n")
			r := &Reader{Object: o}
			if !r.Header(model.GroupKind{Group: "bulkhead.dev", Kind: "Thing"}) {
				t.Fatal("the header is refused")
			}
			at := model.Path{model.Key("spec")}
			if m := r.Fields(at, o.Content["spec"], "name", "label", "labels", "items", "flag"); m != nil {
				r.Name(at.Keys("name"), m["name"], "say it")
				if m["label"] != nil {
					r.Label(at.Keys("label"), m["label"], "name it")
				}
				r.Labels(at.Keys("labels"), m["labels"], 9, "name them")
				r.Items(at.Keys("items"), m["items"], 9)
				r.Flag(at.Keys("flag"), m["flag"])
			}
			err := r.Err()
			if r.Failed() != (err != nil) || c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
	if r := (&Reader{Object: object(t, "apiVersion: v1\nkind: Thing\n")}); r.Header(model.GroupKind{Group: "bulkhead.dev", Kind: "Thing"}) || !r.Failed() {
		t.Error("an object of another kind is taken")
	}
}

func keys(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("k%02d: 1", i))
	}
	return out
}

func object(t *testing.T, text string) *model.Object {
	t.Helper()
	d := manifest.NewDecoder().Decode(model.Source{File: "f.yaml"}, []byte(text))
	if len(d.Objects) != 1 {
		t.Fatalf("%d objects, %v", len(d.Objects), d.Problems)
	}
	return d.Objects[0]
}
