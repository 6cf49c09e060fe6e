package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	yamlv2 "go.yaml.in/yaml/v2"
	yaml "go.yaml.in/yaml/v4"
	sigsyaml "sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/finding"
)

// The oracle shares no code with the package: it splits files with a regular
// expression, reads documents as kubectl does and as YAML 1.2 says, and patches
// JSON with a library.

var documentStart = regexp.MustCompile(`(?m)^---(?:[ \t\r]|$)`)

// chunk is a document as the oracle sees it.
type chunk struct {
	text string
	line int // of its first line, from 0
}

func chunks(file string) []chunk {
	file = strings.TrimPrefix(file, "\ufeff")
	if looksLikeJSON([]byte(file)) {
		return []chunk{{text: file}}
	}
	var out []chunk
	start, line := 0, 0
	cut := func(end int) {
		text := file[start:end]
		out = append(out, chunk{text, line})
		line += strings.Count(text, "\n")
		start = end
	}
	for i, at := range documentStart.FindAllStringIndex(file, -1) {
		only := regexp.MustCompile(`\A(?:\s|#[^\n]*(?:\n|$)|%[^\n]*(?:\n|$))*\z`).MatchString(file[:at[0]])
		if i > 0 || !only {
			cut(at[0])
		}
	}
	cut(len(file))
	return out
}

// decodeOld reads a document as kubectl does.
func decodeOld(text string) (any, error) {
	var v any
	if looksLikeJSON([]byte(text)) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var all []any
		for {
			var v any
			if err := d.Decode(&v); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
		if len(all) == 1 {
			return normal(all[0]), nil
		}
		return jsonValues(all), nil
	}
	err := sigsyaml.Unmarshal([]byte(text), &v)
	return normal(v), err
}

// jsonValues are several JSON values that follow one another.
type jsonValues []any

// decodeNew reads a document as the YAML 1.2 library does.
func decodeNew(text string) (any, error) {
	var v any
	err := yaml.Unmarshal([]byte(text), &v)
	return normal(v), err
}

// normal brings what libraries decode to one form: through JSON, with fields that
// are null left out.
func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if e != nil {
				out[k] = normal(e)
			}
		}
		return out
	case map[any]any:
		out := map[string]any{}
		for k, e := range v {
			if e != nil {
				out[fmt.Sprint(k)] = normal(e)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = normal(e)
		}
		return out
	case string, bool, nil:
		return v
	case json.Number:
		if f, err := v.Float64(); err == nil {
			if _, err := v.Int64(); err != nil {
				return unsigned(json.Number(fmt.Sprint(f)))
			}
		}
		return unsigned(v)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if f := string(data); strings.ContainsAny(f, ".eE") {
		return unsigned(json.Number(fmt.Sprint(reflect.ValueOf(v))))
	}
	n := json.Number(data)
	if _, err := n.Int64(); err != nil { // more than 64 bits: a float on the way through JSON
		if f, err := n.Float64(); err == nil {
			return unsigned(json.Number(fmt.Sprint(f)))
		}
	}
	return unsigned(n)
}

// unsigned is zero without the sign that some libraries leave on it.
func unsigned(n json.Number) json.Number {
	if n == "-0" {
		return "0"
	}
	return n
}

// patched is v with edits made by the library.
func patched(v any, edits []finding.Edit) (any, error) {
	if v == nil {
		v = map[string]any{}
	}
	doc, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	for _, e := range edits {
		value, err := json.Marshal(normal(e.Value))
		if err != nil {
			return nil, err
		}
		if e.Path == "" {
			doc = value
			continue
		}
		path, _ := json.Marshal(e.Path)
		raw := fmt.Sprintf(`[{"op":%q,"path":%s,"value":%s}]`, e.Op, path, value)
		if e.Op == "remove" {
			raw = fmt.Sprintf(`[{"op":"remove","path":%s}]`, path)
		}
		patch, err := jsonpatch.DecodePatch([]byte(raw))
		if err != nil {
			return nil, err
		}
		options := jsonpatch.NewApplyOptions()
		options.SupportNegativeIndices = false
		if doc, err = patch.ApplyWithOptions(doc, options); err != nil {
			return nil, err
		}
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var out any
	err = d.Decode(&out)
	return normal(out), err
}

// sameShape reports whether two documents have the same keys and lengths.
func sameShape(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		if !ok || len(a) != len(m) {
			return false
		}
		for k, v := range a {
			if w, ok := m[k]; !ok || !sameShape(v, w) {
				return false
			}
		}
		return true
	case []any:
		l, ok := b.([]any)
		if !ok || len(a) != len(l) {
			return false
		}
		for i, v := range a {
			if !sameShape(v, l[i]) {
				return false
			}
		}
		return true
	}
	return true
}

// plainKeys reports whether YAML 1.1 reads all keys of v as strings.
func plainKeys(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			var read any
			if yamlv2.Unmarshal([]byte(k), &read) != nil || read != any(k) || !plainKeys(e) {
				return false
			}
		}
	case []any:
		for _, e := range v {
			if !plainKeys(e) {
				return false
			}
		}
	}
	return true
}

var maybeComment = regexp.MustCompile(`(?m)(?:^|[ \t])(#[^\r\n]*)`)

// commentsOf finds what looks like a comment, anywhere in the text, and drops
// what is part of a value: what a string of the document holds, and what stands
// on a line with quotes.
func commentsOf(text string, v any) []string {
	var values strings.Builder
	strings_(v, &values)
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.ContainsAny(line, `"'`) {
			continue
		}
		if m := maybeComment.FindStringSubmatch(line); m != nil && !strings.Contains(values.String(), strings.TrimRight(m[1], " \t")) {
			out = append(out, m[1])
		}
	}
	slices.Sort(out)
	return out
}

func strings_(v any, b *strings.Builder) {
	switch v := v.(type) {
	case string:
		b.WriteString(v + "\n")
	case map[string]any:
		for k, e := range v {
			b.WriteString(k + "\n")
			strings_(e, b)
		}
	case []any:
		for _, e := range v {
			strings_(e, b)
		}
	}
}

// check compares what Edit did with what the oracle makes of it. The changes are
// all of the roots of documents; documentsOf says of which.
func check(t *testing.T, file string, changes []Change, documentsOf []int) (refused []error) {
	t.Helper()
	edited, refused, _ := Edit([]byte(file), changes)
	describe := func() string {
		js, _ := json.Marshal(changes)
		return fmt.Sprintf("\nchanges %s\nbefore %q\nafter  %q\nrefused %v", js, file, edited, refused)
	}
	if len(refused) != len(changes) {
		t.Fatalf("%d answers for %d changes", len(refused), len(changes))
	}
	before, after := chunks(file), chunks(string(edited))
	if len(before) != len(after) {
		t.Fatalf("%d documents became %d%s", len(before), len(after), describe())
	}
	for d := range before {
		var edits [][]finding.Edit
		for i, c := range changes {
			if documentsOf[i] == d && refused[i] == nil {
				edits = append(edits, c.Edits)
			}
		}
		if len(edits) == 0 {
			if before[d].text != after[d].text {
				t.Fatalf("document %d has no change made and differs%s", d, describe())
			}
			continue
		}
		for name, decode := range map[string]func(string) (any, error){"1.1": decodeOld, "1.2": decodeNew} {
			checkDocument(t, name, decode, before[d].text, after[d].text, edits, describe)
		}
	}
	return refused
}

func checkDocument(t *testing.T, version string, decode func(string) (any, error), before, after string, edits [][]finding.Edit, describe func() string) {
	t.Helper()
	was, err := decode(before)
	if err != nil {
		return // this version of YAML has never read it
	}
	if old, err := decodeOld(before); version == "1.2" && (err == nil && !sameShape(old, was) || err != nil && !plainKeys(was)) {
		return // paths mean something else there: 1.1 reads a key n as false
	}
	is, err := decode(after)
	if err != nil {
		t.Fatalf("YAML %s no longer reads the document: %v%s", version, err, describe())
	}
	target := was
	if list, ok := was.(jsonValues); ok {
		now, ok := is.(jsonValues)
		if !ok || len(now) != len(list) || !reflect.DeepEqual(now[1:], list[1:]) {
			t.Fatalf("another JSON document changed%s", describe())
		}
		target, is = normal(list[0]), normal(now[0])
	}
	want := target
	for _, e := range edits {
		if want, err = patched(want, e); err != nil {
			t.Fatalf("a change was made that cannot be: %v%s", err, describe())
		}
	}
	if want == nil {
		want = map[string]any{}
	}
	if is == nil {
		is = map[string]any{}
	}
	if !reflect.DeepEqual(is, want) {
		t.Fatalf("YAML %s reads\n%v, want\n%v%s", version, is, want, describe())
	}
	if looksLikeJSON([]byte(before)) {
		return
	}
	had := commentsOf(before, was)
	has := maybeComment.FindAllStringSubmatch(after, -1)
	for _, c := range had {
		i := slices.IndexFunc(has, func(m []string) bool { return m[1] == c })
		if i < 0 { // behind a value that itself has what looks like one
			i = slices.IndexFunc(has, func(m []string) bool { return strings.HasSuffix(m[1], " "+c) })
		}
		if i < 0 {
			t.Fatalf("comment %q is gone%s", c, describe())
		}
		has = slices.Delete(has, i, i+1)
	}
}

var newKeys = []string{"a", "b", "securityContext", "a b", "yes", "1", "x/y", "~", "k: v", "é", "<<", "#c", "a #b", "- a", "[a]", "null", "?", "\"q\"", "1e3", "name"}

var newValues = []any{
	nil, true, false, int64(0), int64(-5), 1.5, 1e21, "plain", "", "yes", "NO", "on", "010", "1e3", "0x1f", "~", "null", "2001-01-01",
	"12:30:45", "a: b", "a #b", "#c", "- a", "*a", "&a", "!a", "%a", "@a", "`a`", "{a}", "[a]", "a, b", "trailing ", " leading", "it's",
	"\"q\"", "\\", "tab\tbed", "two\nlines", "two\nlines\n", "\n", "a\n\n", "  indented\nlines", "# no\n# comment", "é", "\u2028", "\u0085", "\x7f", "🙂",
	"\ufeff", "---", "--- a\n--- b", "...", "? a", "key:", "<<", "=", ".5", "1_000", "+1", ".inf", "0o7", "y", "a\tb", "nginx:1.25@sha256:0a",
	map[string]any{}, []any{}, map[string]any{"x": int64(1)}, []any{"x"}, []any{[]any{"a", "b"}, map[string]any{"c": "d", "e": nil}},
	map[string]any{"m": map[string]any{"n": []any{int64(1), map[string]any{"o": "multi\nline", "p": []any{}}}}, "name": "y"},
	[]any{map[string]any{}, map[string]any{"a": []any{[]any{}}}}, map[string]any{"no": "no", "a b": "c: d", "~": ""},
}

// chooser derives choices from bytes, none left means 0.
type chooser struct{ data []byte }

func (c *chooser) upTo(n int) int {
	if len(c.data) == 0 || n <= 1 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % n
}

// edits derives up to three edits that fit v.
func (c *chooser) edits(v any) []finding.Edit {
	var out []finding.Edit
	for range 1 + c.upTo(3) {
		e := c.edit(v)
		if strings.Contains(e.Path+"/", "//") {
			continue // the library does not know a key that is empty
		}
		next, err := patched(v, []finding.Edit{e})
		if err == nil {
			v = next
		}
		out = append(out, e)
	}
	return out
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

func (c *chooser) edit(v any) finding.Edit {
	path := ""
	for {
		switch w := v.(type) {
		case map[string]any:
			names := make([]string, 0, len(w))
			for k := range w {
				names = append(names, k)
			}
			slices.Sort(names)
			i := c.upTo(len(names) + 1)
			if i == len(names) {
				return finding.Edit{Op: "add", Path: path + "/" + escape.Replace(newKeys[c.upTo(len(newKeys))]), Value: newValues[c.upTo(len(newValues))]}
			}
			path += "/" + escape.Replace(names[i])
			v = w[names[i]]
		case []any:
			i := c.upTo(len(w) + 1)
			if i == len(w) {
				return finding.Edit{Op: "add", Path: path + "/-", Value: newValues[c.upTo(len(newValues))]}
			}
			path += fmt.Sprintf("/%d", i)
			v = w[i]
		default:
			return c.op(path)
		}
		if c.upTo(4) == 1 {
			return c.op(path)
		}
	}
}

func (c *chooser) op(path string) finding.Edit {
	switch c.upTo(4) {
	case 0:
		return finding.Edit{Op: "replace", Path: path, Value: newValues[c.upTo(len(newValues))]}
	case 1:
		return finding.Edit{Op: "add", Path: path, Value: newValues[c.upTo(len(newValues))]}
	}
	return finding.Edit{Op: "remove", Path: path}
}

// changesOf derives changes of the roots of a file's documents.
func changesOf(file string, choices []byte) (changes []Change, documents []int) {
	c := chooser{choices}
	all := chunks(file)
	for range 1 + c.upTo(3) {
		d := c.upTo(len(all))
		text := all[d].text
		v, err := decodeOld(text)
		if err != nil {
			if v, err = decodeNew(text); err != nil {
				return nil, nil
			}
		}
		change := Change{}
		if looksLikeJSON([]byte(text)) {
			if l, ok := v.(jsonValues); ok && len(l) > 0 {
				v = normal(l[0])
			}
		} else if d > 0 || c.upTo(2) == 1 {
			var root yaml.Node
			if yaml.Unmarshal([]byte(text), &root) != nil || root.Kind == 0 || len(root.Content) == 0 {
				continue
			}
			change.Line, change.Column = root.Content[0].Line+all[d].line, root.Content[0].Column
		}
		if v == nil {
			v = map[string]any{}
		}
		change.Edits = c.edits(v)
		changes, documents = append(changes, change), append(documents, d)
	}
	return changes, documents
}

// randomBytes are n choices.
func randomBytes(r *rand.Rand, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}
