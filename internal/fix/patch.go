package fix

import (
	"fmt"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Patch is the change of a file as git and patch read it; before is nil for a
// file that is new. Path is written with slashes.
func Patch(path string, before, after []byte) string {
	if string(before) == string(after) {
		return ""
	}
	d := difflib.UnifiedDiff{A: lines(before), B: lines(after), FromFile: "a/" + path, ToFile: "b/" + path, Context: 3}
	header := fmt.Sprintf("diff --git a/%s b/%s\n", path, path)
	if before == nil {
		d.FromFile = "/dev/null"
		header += "new file mode 100644\n"
	}
	text, err := difflib.GetUnifiedDiffString(d)
	if err != nil { // it writes to memory, which does not fail
		return ""
	}
	return header + text
}

// lines splits a text into lines with their ends. A last line without one is
// followed by the mark that says so.
func lines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	out := strings.SplitAfter(string(text), "\n")
	if last := len(out) - 1; out[last] == "" {
		return out[:last]
	} else if last >= 0 {
		out[last] += "\n\\ No newline at end of file\n"
	}
	return out
}

// Replacements are the change of a file by whole lines, from the first to the
// last.
func Replacements(path string, before, after []byte) []finding.Replacement {
	a, b := strings.SplitAfter(string(before), "\n"), strings.SplitAfter(string(after), "\n")
	// A change is small: what is alike around it need not be compared.
	start := 0
	for start < min(len(a), len(b)) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < min(len(a), len(b))-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	var out []finding.Replacement
	old, changed := a[start:len(a)-end], b[start:len(b)-end]
	for _, op := range difflib.NewMatcher(old, changed).GetOpCodes() {
		if op.Tag != 'e' {
			out = append(out, finding.Replacement{File: path, Line: start + op.I1 + 1, Lines: op.I2 - op.I1, Text: strings.Join(changed[op.J1:op.J2], "")})
		}
	}
	return out
}

// ContentDiff shows a change as a unified diff of the object's YAML, for people.
func ContentDiff(c *Change) (string, error) {
	before, err := yaml.Marshal(model.WithoutNulls(c.Object.Content))
	if err != nil {
		return "", err
	}
	after, err := yaml.Marshal(c.After)
	if err != nil {
		return "", err
	}
	return difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: lines(before), B: lines(after), FromFile: "before", ToFile: "after", Context: 3})
}
