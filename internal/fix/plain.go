package fix

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"bulkhead.dev/bulkhead/internal/fix/text"
)

// Plain plans changes of objects that stand in a file themselves. A file that a
// header calls generated is refused unless generated files are allowed.
func Plain(file string, data []byte, changes []Change, generated bool) *Result {
	r := &Result{Files: map[string][]byte{}, Refused: map[int]string{}}
	if err := ByHand(file, data); err != nil && !generated {
		for i := range changes {
			r.Refused[i] = err.Error()
		}
		return r
	}
	edits := make([]text.Change, len(changes))
	for i, c := range changes {
		edits[i] = text.Change{Edits: c.Edits}
		if at := c.Object.Locate(nil); at != nil {
			edits[i].Line, edits[i].Column = at.Line, at.Column
		}
	}
	edited, refused, notes := text.Edit(data, edits)
	for i, err := range refused {
		if err != nil {
			r.Refused[i] = fmt.Sprintf("%s: %v", file, err)
		}
	}
	for _, n := range notes {
		r.Notes = append(r.Notes, file+": "+n)
	}
	if !bytes.Equal(edited, data) {
		r.Files[file] = edited
	}
	return r
}

var (
	generatedMark = regexp.MustCompile(`(?i)\b(auto-?)?generated\b`)
	notByHand     = regexp.MustCompile(`(?i)\bdo not\b.{0,20}\b(edit|modify|change)|\bauto-?generated\b`)
	helmSource    = regexp.MustCompile(`^# Source: (\S+/(templates|charts|crds)/\S+)`)
)

// ByHand says why a file is not to be changed by hand, nil where it may be.
func ByHand(file string, data []byte) error {
	if why := Generated(data); why != "" {
		return fmt.Errorf("%s %s; change its source, or allow it with --generated", file, why)
	}
	return nil
}

// Generated says, of a file that another one makes, what its header tells of
// that; empty for a file that people keep. It looks at the comments before the
// first value.
func Generated(data []byte) string {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	for line := range strings.Lines(string(data[:min(len(data), 8<<10)])) {
		line = strings.TrimSpace(line)
		if line == "" || line == "---" || strings.HasPrefix(line, "%") {
			continue
		}
		if !strings.HasPrefix(line, "#") {
			return ""
		}
		if m := helmSource.FindStringSubmatch(line); m != nil {
			return "is rendered from the chart's " + m[1]
		}
		if generatedMark.MatchString(line) && notByHand.MatchString(line) || notByHand.MatchString(line) && strings.Contains(strings.ToLower(line), "generated") {
			return fmt.Sprintf("is generated (%q)", strings.TrimSpace(strings.TrimLeft(line, "# ")))
		}
	}
	return ""
}
