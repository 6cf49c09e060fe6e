package kustomize

import (
	"regexp"
	"strconv"
)

// Error is what is wrong with a kustomization.
type Error struct {
	// Dir is the kustomization that was to be built.
	Dir string `json:"dir"`
	// File is the file that the fault is in, "" where that is not known.
	File string `json:"file,omitempty"`
	// Line counts from 1; 0 where it is not known.
	Line int `json:"line,omitempty"`
	// Message is one line without control characters.
	Message string `json:"message"`

	err error
}

// Error names file and line, and what is wrong.
func (e *Error) Error() string {
	place := e.Dir
	if e.File != "" {
		place = e.File
	}
	if e.Line > 0 {
		place += ":" + strconv.Itoa(e.Line)
	}
	return place + ": " + e.Message
}

// Unwrap returns what the error is a case of, such as child.ErrTimeout.
func (e *Error) Unwrap() error { return e.err }

var (
	lineNumber = regexp.MustCompile(`\bline (\d+)\b`)
	// kustomize quotes the configuration of what failed, literals of Secrets
	// included.
	quotedConfig = regexp.MustCompile("(?s) with config: `.*?`")
	literals     = regexp.MustCompile(`(?s)(literal sources?) .*?(: |, expected)`)
	malformed    = regexp.MustCompile(`(?s)MalformedYAMLError: (yaml: (?:line (\d+): )?.*?) in File: (\S+)`)
	nested       = regexp.MustCompile(`(?s)^.*accumulat(?:ion err|ing (?:resources|components)).*?: `)
	// ofFile is kustomize's error about one file of resources. One about the
	// same path as a folder follows, which says nothing.
	ofFile   = regexp.MustCompile(`(?s)^(?:.*)(?:accumulating|merging) resources from '([^']+)': (.*?)': must build at directory: `)
	lastPath = regexp.MustCompile(`recursed accumulation of path '([^']+)'`)
)

// yamlLine returns the line that a YAML library named in its error, or 0.
func yamlLine(err error) int {
	m := lineNumber.FindStringSubmatch(err.Error())
	if m == nil {
		return 0
	}
	line, _ := strconv.Atoi(m[1])
	return line
}
