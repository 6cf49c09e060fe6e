package text

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"bulkhead.dev/bulkhead/internal/finding"
)

var update = flag.Bool("update", false, "write what Edit does to the files in testdata")

// TestFiles runs the cases of testdata/*.txtar. A case NAME has files NAME.edits
// and NAME.before, and NAME.after, NAME.refused and NAME.notes as far as there is
// anything to say. An edit is a line "op path value"; a line "at LINE:COLUMN"
// begins a change.
func TestFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no cases", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			archive.Files = runCases(t, archive.Files)
			if *update {
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func runCases(t *testing.T, files []txtar.File) (now []txtar.File) {
	for len(files) > 0 {
		name, ok := strings.CutSuffix(files[0].Name, ".edits")
		if !ok || len(files) < 2 || files[1].Name != name+".before" {
			t.Fatalf("%s is no case", files[0].Name)
		}
		n := 2
		for n < len(files) && strings.HasPrefix(files[n].Name, name+".") {
			n++
		}
		changes := parseChanges(t, string(files[0].Data))
		before := files[1].Data
		edited, refused, notes := Edit(before, changes)
		got := slices.Clone(files[:2])
		if !bytes.Equal(edited, before) {
			got = append(got, txtar.File{Name: name + ".after", Data: edited})
		}
		var why strings.Builder
		for i, err := range refused {
			if err != nil {
				fmt.Fprintf(&why, "%d: %v\n", i, err)
			}
		}
		if why.Len() > 0 {
			got = append(got, txtar.File{Name: name + ".refused", Data: []byte(why.String())})
		}
		if len(notes) > 0 {
			got = append(got, txtar.File{Name: name + ".notes", Data: []byte(strings.Join(notes, "\n") + "\n")})
		}
		want := &txtar.Archive{Files: files[:n]}
		if diff := cmp.Diff(string(txtar.Format(want)), string(txtar.Format(&txtar.Archive{Files: got}))); diff != "" && !*update {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
		again, _, _ := Edit(edited, changes)
		if len(changes) == 1 && why.Len() == 0 && onlySets(changes) && !bytes.Equal(again, edited) {
			t.Errorf("%s: made a second time, the change changes something:\n%s", name, again)
		}
		now = append(now, got...)
		files = files[n:]
	}
	return now
}

// onlySets reports whether edits can be made again without effect.
func onlySets(changes []Change) bool {
	return !slices.ContainsFunc(changes[0].Edits, func(e finding.Edit) bool {
		last := e.Path[strings.LastIndex(e.Path, "/")+1:]
		return e.Op == "remove" || e.Op == "add" && (last == "-" || last != "" && last[0] >= '0' && last[0] <= '9')
	})
}

func parseChanges(t *testing.T, text string) []Change {
	t.Helper()
	changes := []Change{{}}
	for line := range strings.Lines(text) {
		words := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if words[0] == "at" {
			var c Change
			if _, err := fmt.Sscanf(words[1], "%d:%d", &c.Line, &c.Column); err != nil {
				t.Fatal(err)
			}
			if len(changes) == 1 && len(changes[0].Edits) == 0 {
				changes = nil
			}
			changes = append(changes, c)
			continue
		}
		e := finding.Edit{Op: words[0]}
		if len(words) > 1 {
			e.Path = strings.Trim(words[1], `"`)
		}
		if len(words) > 2 {
			d := json.NewDecoder(strings.NewReader(words[2]))
			d.UseNumber()
			if err := d.Decode(&e.Value); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		last := &changes[len(changes)-1]
		last.Edits = append(last.Edits, e)
	}
	return changes
}

// set is a change of the first document.
func set(op, path string, value any) Change {
	return Change{Edits: []finding.Edit{{Op: op, Path: path, Value: value}}}
}

// TestBytes has what a text file of cases cannot show: line breaks, marks, and
// ends of files.
func TestBytes(t *testing.T) {
	deep := map[string]any{"b": []any{"x", map[string]any{"c": "two\nlines"}}}
	tests := map[string]struct {
		before string
		change Change
		after  string
	}{
		"CRLF, add":                 {"a: 1\r\nb: 2\r\n", set("add", "/new", deep), "a: 1\r\nb: 2\r\nnew:\r\n  b:\r\n  - x\r\n  - c: |-\r\n      two\r\n      lines\r\n"},
		"CRLF, replace and comment": {"a: 1 # c\r\nb: 2\r\n", set("replace", "/a", "x"), "a: x # c\r\nb: 2\r\n"},
		"CRLF, remove":              {"a: 1\r\nb: # c\r\n  d: 1 # e\r\nf: 2\r\n", set("remove", "/b", nil), "a: 1\r\n# c\r\n# e\r\nf: 2\r\n"},
		"CRLF, JSON":                {"{\r\n  \"a\": 1\r\n}\r\n", set("add", "/b", []any{true}), "{\r\n  \"a\": 1,\r\n  \"b\": [\r\n    true\r\n  ]\r\n}\r\n"},
		"mixed line breaks":         {"a: 1\nb: 2\r\nc: 3\n", set("add", "/new", 1), "a: 1\nb: 2\r\nc: 3\nnew: 1\n"},
		"byte order mark":           {"\ufeffa: 1\n", set("add", "/b", 2), "\ufeffa: 1\nb: 2\n"},
		"byte order mark, JSON":     {"\ufeff{\"a\":1}", set("remove", "/a", nil), "\ufeff{}"},
		"no final line break, add":  {"a: 1\nb: 2", set("add", "/c", 3), "a: 1\nb: 2\nc: 3"},
		"no final line break, last": {"a: 1\nb: 2", set("remove", "/b", nil), "a: 1\n"},
		"no final line break, text": {"a: 1\nb: |\n  x", set("add", "/c", 3), "a: 1\nc: 3\nb: |\n  x"},
		"no final line break, only": {"a: |\n  x", set("add", "/c", 3), "c: 3\na: |\n  x"},
		"trailing blanks stay":      {"a: 1  \nb: 2\t\n", set("replace", "/a", 3), "a: 3  \nb: 2\t\n"},
		"empty file":                {"", set("add", "/a", 1), "a: 1\n"},
		"blank lines only":          {"\n\n", set("add", "/a", 1), "\n\na: 1\n"},
		"comment without line end":  {"# c", set("add", "/a", 1), "# c\na: 1\n"},
		"whole document":            {"", Change{Edits: []finding.Edit{{Op: "add", Value: map[string]any{"a": 1}}}}, "a: 1\n"},
		"int64 and float":           {"a: 1\n", set("replace", "/a", 2.0), "a: 2\n"},
		"large float":               {"a: 1\n", set("replace", "/a", 1e21), "a: 1e+21\n"},
		"empty key":                 {"a: 1\n", set("add", "/", 2), "a: 1\n\"\": 2\n"},
		"escaped path":              {"a/b: {c~d: 1}\n", set("replace", "/a~1b/c~0d", 2), "a/b: {c~d: 2}\n"},
		"minified JSON":             {`{"a":{"b":[1]},"c":"x"}`, set("add", "/a/d", deep), `{"a":{"b":[1],"d":{"b":["x",{"c":"two\nlines"}]}},"c":"x"}`},
		"JSON with tabs":            {"{\n\t\"a\": {\n\t\t\"b\": 1\n\t}\n}\n", set("add", "/a/c", map[string]any{"d": "é\u2028"}), "{\n\t\"a\": {\n\t\t\"b\": 1,\n\t\t\"c\": {\n\t\t\t\"d\": \"é\\u2028\"\n\t\t}\n\t}\n}\n"},
		"JSON with four spaces":     {"{\n    \"a\": []\n}", set("add", "/a/-", map[string]any{"d": nil}), "{\n    \"a\": [\n        {\n            \"d\": null\n        }\n    ]\n}"},
		"JSON on one line":          {`{"a": 1, "b": [1, 2]}`, set("add", "/b/1", map[string]any{"c": 1, "d": 2}), `{"a": 1, "b": [1, {"c": 1, "d": 2}, 2]}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			edited, refused, _ := Edit([]byte(test.before), []Change{test.change})
			if refused[0] != nil || string(edited) != test.after {
				t.Errorf("got  %q\nwant %q\nrefused: %v", edited, test.after, refused[0])
			}
		})
	}
}

// TestRefused has what must be refused, with the bytes as they were.
func TestRefused(t *testing.T) {
	nested := any("x")
	for range 300 {
		nested = []any{nested}
	}
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), ", "))
	}
	at := func(line, column int) Change {
		c := set("add", "/n", 1)
		c.Line, c.Column = line, column
		return c
	}
	tests := map[string]struct {
		before string
		change Change
		why    string
	}{
		"binary":                      {"a: \x00", set("add", "/n", 1), "binary"},
		"not UTF-8":                   {"a: \xff", set("add", "/n", 1), "UTF-8"},
		"malformed YAML":              {"a: [", set("add", "/n", 1), "malformed YAML"},
		"template":                    {"a: {{ .Values.x }}\n", set("add", "/n", 1), "a key must be"},
		"malformed JSON":              {`{"a": 1,}`, set("add", "/n", 1), "malformed JSON"},
		"after malformed JSON":        {"{\"a\":1}\n{\"b\":}", at(2, 1), "malformed JSON"},
		"key given twice":             {"a: 1\na: 2\n", set("add", "/n", 1), "given twice"},
		"JSON key given twice":        {`{"a":1,"a":2}`, set("add", "/n", 1), "given twice"},
		"carriage returns":            {"a: 1\rb: 2\n", set("add", "/n", 1), "carriage return"},
		"NEL":                         {"a: x\u0085\n", set("add", "/n", 1), "U+0085"},
		"after an odd document":       {"a: 1\r---\n---\nb: 1\n", at(3, 1), "carriage return"},
		"alias bomb":                  {bomb, set("add", "/n", 1), "more than 1000000 values"},
		"deep nesting":                {strings.Repeat("[", 5000) + strings.Repeat("]", 5000), set("add", "/n", 1), "deeper than 256"},
		"deep nesting in YAML":        {"a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), set("add", "/n", 1), "deeper than 256"},
		"new value too deep":          {"a: 1\n", set("add", "/n", nested), "deeper than 256"},
		"alias that contains itself":  {"a: &a\n  b: *a\n", set("add", "/n", 1), "contains itself"},
		"no such object":              {"a: 1\n", at(1, 2), "no object begins"},
		"line past the end":           {"a: 1\n", at(99, 1), "no object begins"},
		"object replaced":             {"a: 1\n", Change{1, 1, []finding.Edit{{Op: "replace", Path: "", Value: map[string]any{}}}}, "as a whole"},
		"object in a repeated list":   {"l: &l\n- a: 1\nm: *l\n", at(2, 3), "an alias repeats"},
		"document becomes text":       {"a: 1\n", set("replace", "", "x"), "replaced by a map"},
		"document removed":            {"a: 1\n", set("remove", "", nil), "not removed"},
		"unknown op":                  {"a: 1\n", set("move", "/a", nil), "only add, replace and remove"},
		"path without slash":          {"a: 1\n", set("add", "a", nil), "begin with a slash"},
		"path with a lone tilde":      {"a: 1\n", set("add", "/a~2", nil), "followed by neither"},
		"no such field":               {"a: 1\n", set("replace", "/b", 1), "no field \"b\""},
		"null counts as absent":       {"a: null\n", set("remove", "/a", nil), "no field \"a\""},
		"below a null":                {"a:\n", set("add", "/a/b", nil), "no field \"a\""},
		"below a text":                {"a: x\n", set("add", "/a/b", nil), "no map or list"},
		"index past the end":          {"a: [1]\n", set("add", "/a/2", nil), "no item 2"},
		"index with a zero":           {"a: [1]\n", set("replace", "/a/00", nil), "no index"},
		"no item there":               {"a: [1]\n", set("replace", "/a/-", nil), "no item -"},
		"merge key":                   {"a: 1\n", set("add", "/<<", map[string]any{}), "merge key"},
		"text that is not UTF-8":      {"a: 1\n", set("replace", "/a", "\xff"), "not UTF-8"},
		"not a number":                {"a: 1\n", set("replace", "/a", json.Number("x")), "no number"},
		"a type that is none of JSON": {"a: 1\n", set("replace", "/a", struct{}{}), "cannot write"},
		"question marks":              {"? a\n: b\n", set("add", "/n", 1), "question marks"},
		"no braces":                   {"a: [b: c]\n", set("add", "/a/0/n", 1), "without braces"},
		"comment in brackets":         {"a: [\n  {b: 1, # c\n   d: 2},\n  e\n]\n", set("remove", "/a/0", nil), "a comment stands"},
		"would look like JSON":        {"a: 1\n---\nb: 1\n", set("remove", "/a", nil), "taken for JSON"},
		"merged map replaced":         {"a: &a {x: 1}\nb:\n  <<: *a\n", set("replace", "/a", "text"), "would be gone"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			edited, refused, notes := Edit([]byte(test.before), []Change{test.change})
			if refused[0] == nil || !strings.Contains(refused[0].Error(), test.why) {
				t.Errorf("refused: %v, want %q", refused[0], test.why)
			}
			if string(edited) != test.before || notes != nil {
				t.Errorf("refused, and yet %q became %q, with notes %q", test.before, edited, notes)
			}
		})
	}
}

// TestSome makes sure that changes of one document that cannot be made take no
// other with them.
func TestSome(t *testing.T) {
	before := "a: &a {x: 1}\nb:\n  <<: *a\nc: 1\n"
	changes := []Change{set("add", "/d", 1), set("replace", "/a", "text"), set("replace", "/nothing", 1), set("replace", "/c", 2)}
	edited, refused, _ := Edit([]byte(before), changes)
	if want := "a: &a {x: 1}\nb:\n  <<: *a\nc: 2\nd: 1\n"; string(edited) != want {
		t.Errorf("got %q, want %q", edited, want)
	}
	for i, want := range []bool{false, true, true, false} {
		if (refused[i] != nil) != want {
			t.Errorf("change %d: %v", i, refused[i])
		}
	}
}
