// Package report writes a finding.Result in every format that bulkhead knows,
// one file a format, and reads its own JSON and YAML back. It reads nothing but
// the result: a report of a stored result has the same bytes as the report of
// the scan that stored it.
package report

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"

	"bulkhead.dev/bulkhead/internal/finding"
)

// Format is one way to write a result.
type Format struct {
	// Name is what a user gives to -o.
	Name string
	// Description is one line for help texts.
	Description string
	// Write writes the whole result, and does not keep or change it. Callers use
	// the function Write, which buffers, and sees to it that all text is UTF-8.
	Write func(w io.Writer, r *finding.Result, o Options) error
}

// Options say how a format for people is to look. Formats for machines ignore
// them.
type Options struct {
	// Width is the width of the terminal in columns; 0 is 100.
	Width int
	// Color allows ANSI colours.
	Color bool
	// ShowWaived lists waived findings, and what every waiver matched. Without
	// it they are counted, and only waivers that waive nothing because they are
	// expired or invalid are listed.
	ShowWaived bool
	// Command is what was asked, for advice on what to do next; bulkhead scan unless told.
	Command Command
}

// Command is a command as it was given, but for its inputs.
type Command struct {
	// Program is bulkhead, or kubectl bulkhead where kubectl runs it.
	Program string
	// Verb is scan, or rbac lint.
	Verb string
	// InputFlag stands before each input: empty, or -f.
	InputFlag string
}

// Formats lists every format, those for people first.
func Formats() []Format {
	return []Format{
		{"table", "findings by object, worst first, fitted to the terminal", writeTable},
		{"wide", "the table with field, place and fix, nothing cut", writeWide},
		{"json", "the whole result (bulkhead.dev/v1 ScanResult); can be read back", writeJSON},
		{"yaml", "the same as json, in YAML", writeYAML},
		{"sarif", "SARIF 2.1.0 for code scanning", writeSARIF},
		{"junit", "JUnit XML for CI: a suite for each control, a case for each object", writeJUnit},
		{"html", "one self-contained page", writeHTML},
		{"github", "workflow commands that annotate a pull request on GitHub", writeGitHub},
		{"openreports", "openreports.io/v1alpha1 Reports, for kubectl apply", writeOpenReports},
		{"policyreport", "wgpolicyk8s.io/v1alpha2 PolicyReports, for kubectl apply", writePolicyReport},
		{"csv", "one line for each finding, for spreadsheets", writeCSV},
		{"md", "Markdown for a comment on a pull request, the worst first, as much as fits", writeMarkdown},
	}
}

// Write writes r to w in the format of that name. An unknown name is an error
// that lists the names and the nearest one; nothing is written then.
func Write(w io.Writer, name string, r *finding.Result, o Options) error {
	formats := Formats()
	i := slices.IndexFunc(formats, func(f Format) bool { return f.Name == name })
	if i < 0 {
		return unknownFormat(name, formats)
	}
	if err := formats[i].write(w, r, o); err != nil {
		return fmt.Errorf("write the report as %s: %w", name, err)
	}
	return nil
}

func (f Format) write(w io.Writer, r *finding.Result, o Options) error {
	valid, err := validUTF8(r)
	if err != nil {
		return err
	}
	bw := bufio.NewWriterSize(w, 1<<16)
	if err := f.Write(bw, valid, o); err != nil {
		return err
	}
	return bw.Flush()
}

func unknownFormat(name string, formats []Format) error {
	names := make([]string, len(formats))
	nearest, best := "", 0.0
	for i, f := range formats {
		names[i] = f.Name
		if ratio := similarity(name, f.Name); ratio > best {
			nearest, best = f.Name, ratio
		}
	}
	hint := ""
	if best >= 0.6 {
		hint = fmt.Sprintf(" (did you mean %s?)", nearest)
	}
	return fmt.Errorf("unknown output format %q%s: use one of %s", name, hint, strings.Join(names, ", "))
}

// similarity is 1 for equal words and 0 for words without a letter in common.
func similarity(a, b string) float64 {
	if len(a) > 64 {
		return 0 // nobody mistypes this much, and the comparison is quadratic
	}
	letters := func(s string) []string { return strings.Split(strings.ToLower(s), "") }
	return difflib.NewMatcher(letters(a), letters(b)).Ratio()
}
