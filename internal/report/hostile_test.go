package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/finding"
)

// hostileStrings are what a manifest's author may put into a name, a label or a
// file name to harm who reads the report.
var hostileStrings = []string{
	"\x1b[2J\x1b]0;owned\x07\x1b[31mred", "\u009b2J\u009d0;owned\u009c", "line\nbreak\r\nand\rreturn", "tab\tand\x00nul\x7fdel\x08",
	"<script>alert(1)</script>&amp;\"'`", "]]>", "<![CDATA[", "--><!--", "=HYPERLINK(\"http://evil\")", "+1+1", "-2+3", "@SUM(A1)", "  =1+1", "＝1+1",
	"\xff\xfe not \xc3\x28 utf-8 \xed\xa0\x80", "%0A::error::injected", "\n::stop-commands::x", "##[error]injected", "a,b:c=d;e%25",
	"\u202egnp.exe\u2066", "\ufeff\ufffe\uffff\U000e0001", "e\u0301\u0301\u0301", "漢字かな交じり文", "👩‍👩‍👧 family", strings.Repeat("long", 3000),
	"[click](http://evil)", "{0} {{1}}", "---\n- a: b", "!!binary x", "&a *a", "? : - #", "null", "~", "1e3", "0x10", "NO", "$(rm -rf /)", "..", "/", "//x", "a b/c d", "C:\\x", "http://x/y", "",
}

// hostileResult puts every hostile string into every string field somewhere.
func hostileResult() *finding.Result {
	r := &finding.Result{APIVersion: finding.APIVersion, Kind: finding.ResultKind}
	next := 0
	str := func() string {
		next++
		return hostileStrings[(next*5+next/len(hostileStrings))%len(hostileStrings)]
	}
	fill(reflect.ValueOf(&r.Tool).Elem(), str)
	r.Inputs = hostileStrings
	for i := range 4 * len(hostileStrings) {
		var f finding.Finding
		fill(reflect.ValueOf(&f).Elem(), str)
		f.Severity = finding.Severity(i % 5)
		f.Verdict = finding.Fail
		switch i % 4 {
		case 1:
			f.Location, f.Waived = nil, nil
		case 2:
			f.Waived, f.Verdict = nil, finding.Unknown
		case 3:
			f.Waived = nil
		}
		r.Findings = append(r.Findings, f)
		var rule finding.Rule
		fill(reflect.ValueOf(&rule).Elem(), str)
		r.Rules = append(r.Rules, rule)
		var p finding.PassRecord
		fill(reflect.ValueOf(&p).Elem(), str)
		r.Passes = append(r.Passes, p)
		var problem finding.Problem
		fill(reflect.ValueOf(&problem).Elem(), str)
		r.Problems = append(r.Problems, problem)
		var u finding.Unmet
		fill(reflect.ValueOf(&u).Elem(), str)
		r.Unknown = append(r.Unknown, u)
		var w finding.WaiverUse
		fill(reflect.ValueOf(&w).Elem(), str)
		r.Waivers = append(r.Waivers, w)
		var fw finding.Framework
		fill(reflect.ValueOf(&fw).Elem(), str)
		r.Frameworks = append(r.Frameworks, fw)
	}
	r.Summary.Kinds = map[string]int{"\x1b[31m": 1, "a\nb": 2}
	r.Summary.BySeverity = map[finding.Severity]int{finding.Critical: 3}
	return r
}

// fill sets every string that v holds, and gives every pointer and slice one
// element.
func fill(v reflect.Value, str func() string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(str())
	case reflect.Int:
		if v.Type() != reflect.TypeFor[finding.Severity]() {
			v.SetInt(7)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), str)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), str)
	case reflect.Interface:
		v.Set(reflect.ValueOf(map[string]any{"key": str(), "large": json.Number("12345678901234567890"), "no": false}))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), str)
		}
	}
}

func TestHostileStrings(t *testing.T) {
	r := hostileResult()
	for _, f := range Formats() {
		for _, o := range []Options{{}, {Width: 1}, {Width: 33, ShowWaived: true}} {
			out := render(t, f.Name, r, o)
			if err := unreadable(f.Name, out); err != nil {
				t.Errorf("%s %+v: %v", f.Name, o, err)
			}
			if err := parses(f.Name, out); err != nil {
				t.Errorf("%s %+v: %v", f.Name, o, err)
			}
		}
	}
}

// unreadable finds what may act on a terminal or deceive a reader: no format
// has it in its bytes; those for machines may escape it. Line breaks are the
// format's own; CSV ends its lines with a carriage return. YAML and a browser
// see formatting characters as they are, and no format escapes those of the
// planes beyond the first, which do nothing.
func unreadable(name string, out []byte) error {
	for i, c := range string(out) {
		switch {
		case c == '\n', c == '\r' && name == "csv", c == '\t' && name == "html":
		case unicode.IsPrint(c):
		case (name == "json" || name == "sarif") && c > 0xffff:
		case name == "yaml" && !unicode.IsControl(c):
		case name == "html" && c >= 0x80:
		default:
			return fmt.Errorf("the unprintable %U at byte %d: %q", c, i, out[max(0, i-40):min(len(out), i+40)])
		}
	}
	if name == "html" && bytes.Contains(out, []byte("<script>alert")) {
		return errors.New("markup is not escaped")
	}
	return nil
}

// parses reads a structured format with a parser that is not ours.
func parses(name string, out []byte) error {
	switch name {
	case "json":
		if !json.Valid(out) {
			return errors.New("not JSON")
		}
		_, err := Read(bytes.NewReader(out))
		return err
	case "yaml":
		_, err := Read(bytes.NewReader(out))
		return err
	case "sarif":
		report, err := sarif.FromBytes(out, sarif.WithStrictValidation())
		if err != nil {
			return err
		}
		return report.Validate()
	case "junit":
		return parsesXML(out)
	case "csv":
		return parsesCSV(out)
	case "openreports", "policyreport":
		for doc := range bytes.SplitSeq(out, []byte("\n---\n")) {
			var o reportObject
			if err := yaml.UnmarshalStrict(doc, &o); err != nil {
				return err
			}
		}
	case "github":
		return parsesGitHub(out)
	case "md":
		return parsesMarkdown(out)
	}
	return nil
}

func parsesXML(out []byte) error {
	dec := xml.NewDecoder(bytes.NewReader(out))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func parsesCSV(out []byte) error {
	records, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil {
		return err
	}
	for _, record := range records {
		for _, field := range record {
			if formula.MatchString(field) {
				return fmt.Errorf("a spreadsheet would run %.40q", field)
			}
		}
	}
	return nil
}

var formula = regexp.MustCompile(`^\s*[=+\-@＝＋－＠]`)

// parsesGitHub accepts lines that the runner takes for the commands we mean or
// for text.
func parsesGitHub(out []byte) error {
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		command, properties, _, ok := runnerCommand(line)
		if !ok {
			if !strings.HasPrefix(line, "- ") {
				return fmt.Errorf("%.60q is neither a command nor a line of text", line)
			}
			continue
		}
		switch command {
		case "group", "endgroup":
		case "error", "warning", "notice":
			for key := range properties {
				if key != "file" && key != "line" && key != "title" {
					return fmt.Errorf("%.60q: property %q", line, key)
				}
			}
		default:
			return fmt.Errorf("%.60q runs the command %q", line, command)
		}
	}
	return nil
}

// runnerCommand reads a line as the runner does, in both of its notations.
func runnerCommand(line string) (command string, properties map[string]string, data string, ok bool) {
	if rest, found := strings.CutPrefix(strings.TrimLeft(line, " \t"), "::"); found {
		info, data, found := strings.Cut(rest, "::")
		if !found {
			return "", nil, "", false
		}
		command, list, _ := strings.Cut(info, " ")
		properties = map[string]string{}
		for pair := range strings.SplitSeq(list, ",") {
			if key, value, ok := strings.Cut(pair, "="); ok {
				properties[key] = strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%").Replace(value)
			}
		}
		return command, properties, strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%").Replace(data), true
	}
	if _, rest, found := strings.Cut(line, "##["); found {
		if info, data, found := strings.Cut(rest, "]"); found {
			command, _, _ := strings.Cut(info, " ")
			return command, nil, data, true
		}
	}
	return "", nil, "", false
}

// 25,001 is one more than GitHub takes in a run.
func TestManyFindings(t *testing.T) {
	r := manyFindings(25_001)
	for _, f := range Formats() {
		start := time.Now()
		out := render(t, f.Name, r, Options{})
		t.Logf("%-12s %8d KiB in %v", f.Name, len(out)>>10, time.Since(start).Round(time.Millisecond))
		switch f.Name {
		case "sarif", "yaml", "policyreport":
			continue // slow to parse, and parsed where there is less or the same elsewhere
		}
		if err := parses(f.Name, out); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

// Numbers that no scan gives must not make a format panic. JSON may refuse them.
func TestOddNumbers(t *testing.T) {
	r := sampleResult()
	r.Findings[0].Severity = 99
	r.Findings[1].Severity = -3
	r.Findings[2].Location = &finding.Location{File: "x", Line: -1, Column: -1}
	r.Findings[3].Verdict = "weird"
	r.Summary.Fail = -1
	for _, f := range Formats() {
		var b bytes.Buffer
		if err := Write(&b, f.Name, r, Options{Width: -5}); err != nil && f.Name != "json" && f.Name != "yaml" && f.Name != "html" {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}
