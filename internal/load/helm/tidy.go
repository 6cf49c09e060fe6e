package helm

import (
	"slices"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// tidy makes one rendered file readable as YAML, as Helm does when it splits
// it, and blanks the test hooks in it; it returns how many. lines holds the
// template line of each line of content, and may be nil.
//
// Helm takes whatever stands behind --- at the start of a line, even without a
// space, as the first line of the next document, and forgives white space
// before the first line of a document.
func tidy(content string, lines []int) (string, []int, int) {
	var text []string
	var where []int
	hooks, start := 0, 0
	top, first := true, true // no text yet, in the file and in the document
	for i, row := range strings.Split(content, "\n") {
		line := 0
		if i < len(lines) {
			line = lines[i]
		}
		if top {
			row = strings.TrimLeftFunc(row, unicode.IsSpace)
			top = row == ""
		}
		if rest, separator := strings.CutPrefix(row, "---"); separator {
			hooks += blankTestHook(text[start:])
			start, first = len(text), true
			text, where = append(text, "---"), append(where, line)
			if row = rest; strings.TrimSpace(row) == "" {
				continue
			}
		}
		if first {
			row = strings.TrimLeftFunc(row, unicode.IsSpace)
			first = row == ""
		}
		text, where = append(text, row), append(where, line)
	}
	hooks += blankTestHook(text[start:])
	return strings.Join(text, "\n"), where, hooks
}

// The annotation and the events of hooks, see release/v1/hook.go of the SDK.
const hookAnnotation = "helm.sh/hook"

var testEvents = []string{"test", "test-success", "test-failure"}

// blankTestHook empties rows where they are one document whose only hook events
// are tests, and returns how many documents that are. Rows keep their number,
// so that lines stay right.
func blankTestHook(rows []string) int {
	if len(rows) > 0 && rows[0] == "---" {
		rows = rows[1:]
	}
	document := strings.Join(rows, "\n")
	if !strings.Contains(document, hookAnnotation) {
		return 0
	}
	var head struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if yaml.Unmarshal([]byte(document), &head) != nil {
		return 0 // whoever parses the document will say so
	}
	events, found := head.Metadata.Annotations[hookAnnotation]
	if !found {
		return 0
	}
	for event := range strings.SplitSeq(events, ",") {
		if !slices.Contains(testEvents, strings.ToLower(strings.TrimSpace(event))) {
			return 0
		}
	}
	for i := range rows {
		rows[i] = ""
	}
	return 1
}
