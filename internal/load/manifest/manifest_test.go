package manifest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	sigsyaml "sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/model"
)

func decode(text string) File {
	return NewDecoder().Decode(model.Source{File: "f.yaml"}, []byte(text))
}

func TestLocate(t *testing.T) {
	const text = `# a comment
apiVersion: v1
kind: Pod
metadata: {name: a, labels: {z: "1", b: "2"}}
---
# second
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
      - name: x
        image: nginx
      - name: y
        securityContext:
          privileged: true
`
	f := decode(text)
	if len(f.Problems) > 0 || len(f.Objects) != 2 {
		t.Fatalf("got %d objects, problems %v", len(f.Objects), f.Problems)
	}
	for _, c := range []struct {
		object       int
		path         string
		line, column int
	}{
		{0, "kind", 3, 1},
		{0, "metadata.labels.z", 4, 30},
		{0, "metadata.labels.absent", 4, 21},
		{1, "metadata.name", 10, 3},
		{1, "spec.template.spec.containers[1].securityContext.privileged", 19, 11},
		{1, "spec.template.spec.containers[1]", 17, 9},
		{1, "spec.template.spec.containers[0].securityContext.runAsUser", 15, 9},
		{1, "spec.template.spec.hostPID", 13, 5},
		{1, "", 7, 1},
	} {
		path, err := model.ParsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		l := f.Objects[c.object].Locate(path)
		if l.Line != c.line || l.Column != c.column {
			t.Errorf("%s: got %d:%d, want %d:%d", c.path, l.Line, l.Column, c.line, c.column)
		}
	}
}

func TestLocateJSON(t *testing.T) {
	f := decode("{\n \"kind\": \"List\", \"apiVersion\": \"v1\",\n \"items\": [\n  {\"apiVersion\":\"v1\",\"kind\":\"Pod\",\n   \"spec\": {\"hostPID\": true, \"a\": [1,\n 2]}}\n ]\n}\n{\"apiVersion\":\"v1\",\"kind\":\"Service\"}\n")
	if len(f.Objects) != 2 || len(f.Problems) > 0 {
		t.Fatalf("got %d objects, problems %v", len(f.Objects), f.Problems)
	}
	for path, want := range map[string]string{"spec.hostPID": "5:13", "spec.a[1]": "6:2", "kind": "4:22", "spec": "5:4"} {
		p, _ := model.ParsePath(path)
		l := f.Objects[0].Locate(p)
		if got := fmt.Sprintf("%d:%d", l.Line, l.Column); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if l := f.Objects[1].Locate(nil); l.Line != 9 {
		t.Errorf("second document: got line %d, want 9", l.Line)
	}
}

// TestProblems holds inputs that cannot be read: each names its line, and what
// else the file holds is read all the same.
func TestProblems(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: ok}\n"
	deepYAML := strings.Repeat("[", 300) + strings.Repeat("]", 300)
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 12; i++ {
		ref := fmt.Sprintf("*a%d", i-1)
		fmt.Fprintf(&laughs, "a%d: &a%d [%s]\n", i, i, strings.Join([]string{ref, ref, ref, ref, ref, ref, ref, ref, ref}, ","))
	}
	for name, c := range map[string]struct {
		text, message string
		line, objects int
	}{
		"malformed":        {pod + "---\na: [1\nb: 2\n---\n" + pod, "malformed YAML", 6, 2},
		"tab":              {pod + "---\na:\n\tb: 2\n", "use spaces", 6, 1},
		"template":         {"kind: Pod\nname: {{ .Values.name }}\n", "template action", 2, 0},
		"duplicate":        {pod + "---\na: 1\nb: 2\na: 3\n", `key "a" is given twice, first in line 5`, 7, 1},
		"duplicate json":   {`{"a": 1,` + "\n" + `"a": 2}`, "given twice", 2, 0},
		"malformed json":   {"{\"a\": 1,\n\"b\" 2}", "malformed JSON", 2, 0},
		"short json":       {"{\"a\": 1,\n\"b\":", "ends before", 2, 0},
		"not utf-8":        {pod + "# \xff\n", "not UTF-8", 4, 0},
		"binary":           {"\x7fELF\x00\x01", "binary", 1, 0},
		"deep":             {"a:\n  " + deepYAML, "nested deeper than", 2, 0},
		"deep json":        {"{\"a\":\n" + deepYAML + "}", "nested deeper than", 2, 0},
		"very deep":        {strings.Repeat("{\"a\":", 10000), "", 1, 0},
		"very deep yaml":   {strings.Repeat("- ", 20000) + "a", "", 1, 0},
		"laughs":           {laughs.String(), "aliases are expanded", 0, 0},
		"self":             {"a: &a [*a]\n", "contains itself", 1, 0},
		"self merge":       {"a: &a\n  <<: *a\n  b: 1\n", "", 0, 0},
		"bad alias":        {"a: *nowhere\n", "nowhere", 1, 0},
		"no kind":          {"apiVersion: v1\nkind: 5\nmetadata: {}\n", "no apiVersion and kind", 1, 0},
		"merge bomb":       {mergeBomb(), "aliases are expanded", 0, 0},
		"list item":        {"apiVersion: v1\nkind: List\nitems:\n- 5\n- {apiVersion: v1, kind: Pod}\n", "item 0", 4, 1},
		"infinity":         {"a: .inf\n", "no form in JSON", 1, 0},
		"complex key":      {"? [a, b]\n: c\n", "key must be", 1, 0},
		"merge of a word":  {"a: b\n<<: c\n", "merge key", 2, 0},
		"disputed colon":   {"a: 1\nb: [c:]\n", "quote the text", 2, 0},
		"wrong tag":        {"a: !!int x\n", "does not fit its tag", 1, 0},
		"json second fail": {`{"apiVersion":"v1","kind":"Pod"}` + "\n{", "ends before", 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := decode(c.text)
			if len(f.Problems) != 1 {
				t.Fatalf("got problems %v, want one", f.Problems)
			}
			p := f.Problems[0]
			if !strings.Contains(p.Message, c.message) {
				t.Errorf("got %q, want it to say %q", p.Message, c.message)
			}
			if c.line != 0 && p.Location.Line != c.line {
				t.Errorf("got line %d, want %d (%s)", p.Location.Line, c.line, p.Message)
			}
			if len(f.Objects) != c.objects {
				t.Errorf("got %d objects, want %d", len(f.Objects), c.objects)
			}
		})
	}
}

// mergeBomb merges one large mapping many times over.
func mergeBomb() string {
	var b strings.Builder
	b.WriteString("a: &a\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "  k%d: 1\n", i)
	}
	b.WriteString("b:\n  <<: [" + strings.Repeat("*a, ", 5000) + "*a]\n")
	return b.String()
}

func TestHarmless(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "comments": "# a\n# b\n", "markers": "---\n---\n# x\n---\n", "byte order mark": "\xef\xbb\xbf# x\n",
		"null": "---\nnull\n", "crlf": "# a\r\n---\r\n",
	} {
		if f := decode(text); len(f.Problems)+len(f.Objects) > 0 {
			t.Errorf("%s: got %+v", name, f)
		}
	}
	if f := decode("%YAML 1.1\n---\napiVersion: v1\nkind: Pod\n...\n--- {apiVersion: v1, kind: Pod}\n--- # c\napiVersion: v1\r\nkind: Pod\n"); len(f.Objects) != 3 {
		t.Errorf("directives and markers: got %d objects, %v", len(f.Objects), f.Problems)
	}
}

// scalarCases are scalars whose meaning differs between versions of YAML.
var scalarCases = strings.Fields(`yes no on off y n Y N true True TRUE false null Null ~ 0 -0 007 010 0o17 0x1F 0b11
	1_000 1e3 1.5 -1.5e-3 .5 5. +7 1e400 9223372036854775807 9223372036854775808 18446744073709551616 -9223372036854775809
	2001-01-01 2001-01-01T00:00:00Z 12:30:45 1.2.3 v1 10m 100Mi 0.5 -- - . .. +. 1,2 12e03 --- ---x .... -.- << = "yes" 'no' !!str\ 5 NULL nULL
	10.0 1e2 0.1e1 123456789012345678901234567890 1.0 -0.0 0.0`)

// TestScalars compares every scalar with kubectl's own way: sigs.k8s.io/yaml to
// JSON, then the API machinery's JSON reader.
func TestScalars(t *testing.T) {
	for _, s := range scalarCases {
		compareWithKubectl(t, "v: "+strings.ReplaceAll(s, `\ `, " ")+"\nw: [a, "+strings.ReplaceAll(s, `\ `, " ")+"]\n")
	}
	for _, text := range []string{
		"a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n", "a: |\n  text\n   more\nb: >-\n  folded\n  text\n",
		"1: a\ntrue: b\n1.5: c\nyes: d\n", "a:\nb: ''\nc: \"\\u00e9\\n\"\n", "a: !!binary aGVsbG8=\n", "a: !custom x\n",
		"x: &m {a: 1, b: 2}\ny: &n {b: 3, c: 4}\nz: {<<: [*m, *n], d: 5}\n", "a: - b\n", "key with space: v\n? long\n: v\n", "a: ! 5\nb: !\n", "a: [b: c, \"d:\"]\n",
	} {
		compareWithKubectl(t, text)
	}
}

// compareWithKubectl fails where kubectl reads the text and gets something
// else, or where it refuses and we do not.
func compareWithKubectl(t *testing.T, text string) {
	t.Helper()
	var want any
	asJSON, err := sigsyaml.YAMLToJSONStrict([]byte(text))
	if err == nil {
		err = utiljson.Unmarshal(asJSON, &want)
	}
	f := &file{decoder: NewDecoder(), source: model.Source{File: "f"}}
	got, decoded := decodeOne(f, text)
	if _, isMap := want.(map[string]any); err != nil || !isMap {
		return // no object; what kubectl refuses may be refused later, by what it means
	}
	if !decoded {
		t.Errorf("%q: kubectl reads %s, we say %v", text, asJSON, f.Problems)
		return
	}
	if diff := cmp.Diff(normal(want), normal(got)); diff != "" {
		t.Errorf("%q: differs from kubectl (-kubectl +got):\n%s", text, diff)
	}
}

// normal lets an integer and the same float compare equal: kubectl's own two
// steps write some large floats as integers.
func normal(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	var out any
	_ = json.Unmarshal(b, &out)
	return out
}

func decodeOne(f *file, text string) (any, bool) {
	var got any
	ok := false
	for doc := range documents([]byte(text)) {
		v, _, err := f.parseYAML(doc)
		if err != nil {
			f.fail(err)
			return nil, false
		}
		if !ok {
			got, ok = v, true
		}
	}
	return got, ok || len(f.Problems) == 0
}

// FuzzDecode holds the decoder against kubectl's on whatever text, and makes
// sure that every value has its place.
func FuzzDecode(f *testing.F) {
	for _, s := range scalarCases {
		f.Add("a: " + s)
	}
	f.Add("apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\nspec: {a: [1, {b: c}]}\n---\nkind: List\n")
	f.Add("a: &x {b: 1}\nc: *x\n<<: *x\n")
	f.Add(`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			t.Skip()
		}
		file := decode(text)
		for _, o := range file.Objects {
			if n := model.Count(o.Content); n != o.SpanCount() {
				t.Fatalf("%q: %d values but %d spans", text, n, o.SpanCount())
			}
		}
	})
}

// FuzzMeaning holds what documents mean against kubectl's own way of reading.
func FuzzMeaning(f *testing.F) {
	for _, s := range scalarCases {
		f.Add("a: " + s + "\nb: [" + s + "]\n? c\n: |\n  x\n")
	}
	f.Add("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: !!str 1}\n")
	f.Fuzz(func(t *testing.T, text string) {
		// Several documents, and what only one of the two parsers takes for text,
		// are no question of meaning.
		if len(text) > 1<<12 || strings.Contains(text, "---") || strings.Contains(text, "...") || strings.ContainsAny(text, "\x00\ufeff\u0085\u2028\u2029\r") {
			t.Skip()
		}
		// A refusal is said aloud and harms nobody; another meaning would.
		if f := (&file{decoder: NewDecoder()}); func() bool { _, ok := decodeOne(f, text); return ok }() {
			compareWithKubectl(t, text)
		}
	})
}

// FuzzJSON holds the JSON reader against the API machinery's.
func FuzzJSON(f *testing.F) {
	f.Add(`{"a": [1, 2.5, 1e3, -0, "\ud83d\ude00", null, true], "b": {"c": 9223372036854775808}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var want any
		if len(text) > 1<<12 || utiljson.Unmarshal([]byte(text), &want) != nil || !looksLikeJSON([]byte(text)) || !utf8.ValidString(text) {
			t.Skip()
		}
		content, spans, err := newJSONDecoder([]byte(text), &NewDecoder().scalars).document()
		if err != nil {
			if strings.Contains(err.Error(), "given twice") || strings.Contains(err.Error(), "deeper") {
				return
			}
			t.Fatalf("%q: %v", text, err)
		}
		if diff := cmp.Diff(normal(want), normal(content)); diff != "" || len(spans) != model.Count(content) {
			t.Fatalf("%q (%d spans): %s", text, len(spans), diff)
		}
	})
}
