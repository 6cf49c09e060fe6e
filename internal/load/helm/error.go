package helm

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"bulkhead.dev/bulkhead/internal/load/child"
)

// ErrLibrary is a chart of type library: it renders nothing of its own.
var ErrLibrary = errors.New("library chart")

// Error is what is wrong with a chart or with the values for it.
type Error struct {
	// Chart is the path that Render was given.
	Chart string `json:"chart"`
	// File is the file on disk that the fault is in, "" where that is not known
	// or is inside an archive.
	File string `json:"file,omitempty"`
	// Template is the path inside the chart tree, where the fault is in one.
	Template string `json:"template,omitempty"`
	// Line counts from 1; 0 where it is not known.
	Line int `json:"line,omitempty"`
	// Message is one line without control characters.
	Message string `json:"message"`

	err error
}

// Error names file and line, and what is wrong.
func (e *Error) Error() string {
	place := e.Chart
	switch {
	case e.File != "":
		place = e.File
	case e.Template != "":
		place = e.Chart + ": " + e.Template
	}
	if e.Line > 0 {
		place += ":" + strconv.Itoa(e.Line)
	}
	return place + ": " + e.Message
}

// Unwrap returns what the error is a case of, such as [ErrLibrary].
func (e *Error) Unwrap() error { return e.err }

// errorf is a fault of the chart as a whole.
func (r request) errorf(format string, args ...any) *Error {
	return &Error{Chart: r.Path, Message: child.OneLine(fmt.Sprintf(format, args...))}
}

// The forms of Helm's errors about templates, see engine.go of the SDK.
var (
	headed     = regexp.MustCompile(`(?s)^(?:parse|execution) error (?:at|in) \((.+?)(?::(\d+))?(?::\d+)?\): (.*)$`)
	location   = regexp.MustCompile(`^(?:template: )?([^\s:][^:\n]*):(\d+)(?::\d+)?(?::(.*))?$`)
	tplText    = regexp.MustCompile(`(error during tpl function execution for|cannot parse template) "(?:[^"\\]|\\.)*"`)
	executing  = regexp.MustCompile(`^executing ".*?" at <.*?>: ?`)
	called     = regexp.MustCompile(`template: ([^\s:]+):(\d+)(?::\d+)?: executing ".*?" at <.*?>: `)
	panicTrace = regexp.MustCompile(`^rendering template failed: `)
	noMap      = regexp.MustCompile(`^type mismatch on ([^\s:]+): `)
)

// fault is a template error taken apart: where the outermost template was, and
// where it went wrong.
type fault struct {
	template, inner string
	line, innerLine int
	message         string
}

// readFault takes one of Helm's template errors apart. Helm writes a stack,
// outermost template first, over several lines.
func readFault(text string) fault {
	text = tplText.ReplaceAllString(text, "$1 a template")
	text = panicTrace.ReplaceAllString(text, "")
	if m := headed.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[2])
		return fault{template: m[1], line: line, message: child.OneLine(m[3])}
	}
	var f fault
	for row := range strings.SplitSeq(text, "\n") {
		if m := location.FindStringSubmatch(strings.TrimRight(row, " ")); m != nil {
			f.inner = m[1]
			f.innerLine, _ = strconv.Atoi(m[2])
			if f.template == "" {
				f.template, f.line = f.inner, f.innerLine
			}
			row = m[3]
		}
		row = executing.ReplaceAllString(strings.TrimSpace(row), "")
		// What failed inside of include or tpl comes as one row.
		if all := called.FindAllStringSubmatchIndex(row, -1); all != nil {
			last := all[len(all)-1]
			if name := row[last[2]:last[3]]; strings.Contains(name, "/") { // and not tpl's own
				f.inner = name
				f.innerLine, _ = strconv.Atoi(row[last[4]:last[5]])
			}
			row = row[last[1]:]
		}
		if row != "" {
			f.message = child.OneLine(row)
		}
	}
	if f.message == "" {
		f.message = child.OneLine(text)
	}
	return f
}

// templateError makes one readable error of one of Helm's.
func (r request) templateError(t *tree, err error) *Error {
	f := readFault(err.Error())
	e := &Error{Chart: r.Path, Message: f.message}
	if f.template == "" {
		return e
	}
	e.Template, e.Line = t.path(f.template), f.line
	e.File = t.disk[f.template]
	if f.inner != "" && (f.inner != f.template || f.innerLine != f.line) {
		e.Message += fmt.Sprintf(" (in %s:%d)", t.path(f.inner), f.innerLine)
	}
	return e
}

// valuesError makes a readable error of one about values that cannot be merged;
// Helm's prints the value.
func (r request) valuesError(err error) *Error {
	if m := noMap.FindStringSubmatch(err.Error()); m != nil {
		return r.errorf("the values for the subchart %s must be a map of names to values", m[1])
	}
	return r.errorf("the values cannot be merged: %s", err)
}
