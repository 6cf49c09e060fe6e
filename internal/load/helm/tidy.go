package helm

import (
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// tidy makes one rendered file readable as YAML, as Helm does when it splits
// it, and blanks the test hooks in it; it returns how many. lines holds the
// template line of each line of content, and may be nil.
//
// Helm takes whatever stands behind --- at the start of a line, even without a
// space, as the first line of the next document.
func tidy(content string, lines []int) (string, []int, int) {
	rows := strings.Split(content, "\n")
	if !strings.Contains(content, "---") && !strings.Contains(content, hookAnnotation) {
		return content, lines, 0
	}
	var text []string
	var where []int
	line := func(i int) int {
		if i < len(lines) {
			return lines[i]
		}
		return 0
	}
	hooks, start := 0, 0
	for i, row := range rows {
		rest, separator := strings.CutPrefix(row, "---")
		if separator {
			hooks += blankTestHook(text[start:])
			start = len(text)
			text, where = append(text, "---"), append(where, line(i))
			if row = strings.TrimLeft(rest, " \t"); strings.TrimSpace(row) == "" {
				continue
			}
		}
		text, where = append(text, row), append(where, line(i))
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
