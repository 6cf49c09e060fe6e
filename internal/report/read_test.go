package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"bulkhead.dev/bulkhead/internal/finding"
)

func TestReadErrors(t *testing.T) {
	const head = `{"apiVersion":"bulkhead.dev/v1","kind":"ScanResult",`
	for name, tc := range map[string]struct{ in, want string }{
		"empty":             {"", "is empty"},
		"spaces":            {" \n\t ", "is empty"},
		"other version":     {`{"apiVersion":"bulkhead.dev/v2","kind":"ScanResult"}`, `apiVersion "bulkhead.dev/v2" and kind "ScanResult" where bulkhead.dev/v1 and ScanResult are expected`},
		"other kind":        {`{"apiVersion":"bulkhead.dev/v1","kind":"Waiver"}`, `kind "Waiver"`},
		"no type":           {`{}`, `apiVersion "" and kind ""`},
		"a manifest":        {"apiVersion: v1\nkind: Pod\n", `apiVersion "v1" and kind "Pod"`},
		"a long kind":       {`{"kind":"` + strings.Repeat("x", 5000) + `"}`, "…"},
		"cut off":           {head + "\n\"findings\":[{", "malformed at line 2, column 13"},
		"wrong character":   {head + "\n  \"rules\": ?}", "malformed at line 2, column 12"},
		"trailing":          {head + `"rules":[]} more`, "malformed at line 1"},
		"wrong type":        {head + "\n\"inputs\":[1]}", "malformed at line 2, column 11"},
		"severity":          {head + `"findings":[{"verdict":"fail","severity":"worst"}]}`, `unknown severity "worst"`},
		"verdict":           {head + `"findings":[{"verdict":"fail"},{"verdict":"pass"}]}`, `findings[1] has the verdict "pass" where fail or unknown is expected`},
		"null finding":      {head + `"findings":[null]}`, `findings[0] has the verdict ""`},
		"YAML":              {"apiVersion: bulkhead.dev/v1\n\tkind: x", "malformed YAML"},
		"YAML, double key":  {"kind: ScanResult\nkind: ScanResult\n", "malformed YAML"},
		"YAML, list":        {"- a\n- b\n", "malformed"},
		"YAML, text":        {"hello", "malformed"},
		"binary":            {"\x00\x01\x02", "malformed"},
		"HTML":              {"<html>", "malformed"},
		"deep JSON":         {head + `"inputs":` + strings.Repeat("[", 20_000), "malformed"},
		"deep YAML":         {"a: " + strings.Repeat("[", 20_000), "malformed"},
		"growing YAML":      {growingYAML(), "malformed YAML"},
		"too long":          {head + `"inputs":["` + strings.Repeat("x", 300_000) + `"]}`, "longer than 200000 bytes"},
		"too long for YAML": {"a: " + strings.Repeat("x", 150_000), "longer than 100000 bytes, which is the limit for YAML"},
	} {
		r, err := read(strings.NewReader(tc.in), 200_000, 100_000)
		if err == nil || r != nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: the error is %q, want %q in it", name, err, tc.want)
		}
		if len(err.Error()) > 1000 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
	broken := errors.New("cable")
	if _, err := Read(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// growingYAML doubles with every line.
func growingYAML() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 20 {
		from, to := string(rune('a'+i)), string(rune('a'+i+1))
		b.WriteString(to + "0: &" + to + "0 [*" + from + "0, *" + from + "0, *" + from + "0, *" + from + "0, *" + from + "0, *" + from + "0, *" + from + "0, *" + from + "0]\n")
	}
	return b.String()
}

func TestReadAccepts(t *testing.T) {
	for name, in := range map[string]string{
		"a byte order mark":    "\ufeff" + `{"apiVersion":"bulkhead.dev/v1","kind":"ScanResult"}`,
		"spaces before":        "\n\n  " + `{"apiVersion":"bulkhead.dev/v1","kind":"ScanResult"}`,
		"fields of the future": `{"apiVersion":"bulkhead.dev/v1","kind":"ScanResult","novel":{"a":[1]}}`,
		"YAML":                 "kind: ScanResult\napiVersion: bulkhead.dev/v1\nfindings: []\n",
		"YAML after a marker":  "---\nkind: ScanResult\napiVersion: bulkhead.dev/v1\n",
	} {
		if _, err := Read(strings.NewReader(in)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The value of an edit is any JSON: digits, order and nothing of it may be lost.
func TestReadKeepsEditValues(t *testing.T) {
	for _, value := range []any{
		json.Number("12345678901234567890"), json.Number("0.10"), json.Number("1e400"), true, false, "1", "", []any{json.Number("1"), nil}, map[string]any{"b": nil, "a": map[string]any{}},
	} {
		r := sampleResult()
		r.Findings[0].Fix = &finding.Fix{Safety: finding.FixSafe, Edits: []finding.Edit{{Op: "add", Path: "/a", Value: value}}}
		written := render(t, "json", r, Options{})
		back, err := Read(bytes.NewReader(written))
		if err != nil {
			t.Fatalf("%v: %v", value, err)
		}
		if again := render(t, "json", back, Options{}); !bytes.Equal(written, again) {
			t.Errorf("%v: %s", value, firstDifference(written, again))
		}
	}
}

// TestJSONIsAsIfEncodedAtOnce: findings are encoded one by one, to the same bytes.
func TestJSONIsAsIfEncodedAtOnce(t *testing.T) {
	for _, r := range []*finding.Result{{}, {Findings: []finding.Finding{{Control: "a", Message: "\n  \"findings\": []"}, {Control: "b", Location: &finding.Location{File: "f"}}}}} {
		var got bytes.Buffer
		if err := writeJSON(&got, r, Options{}); err != nil {
			t.Fatal(err)
		}
		want, err := marshalJSON(complete(r), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
		}
	}
}
