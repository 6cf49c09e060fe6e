package report

import (
	"fmt"
	"io"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
)

// githubPerLevel is how many annotations of one level GitHub shows for a step;
// it drops later ones without a word.
const githubPerLevel = 10

// annotation is one workflow command.
type annotation struct {
	level          string
	at             *finding.Location
	title, message string
}

// writeGitHub writes workflow commands, the worst ten of each level, then all
// others as a folded part of the log, then a summary. Waived findings are in
// none of it.
func writeGitHub(w io.Writer, r *finding.Result, _ Options) error {
	left := map[string]int{"error": githubPerLevel, "warning": githubPerLevel, "notice": githubPerLevel - 1}
	var b strings.Builder
	var rest []annotation
	all := annotations(r)
	for _, a := range all {
		if left[a.level] == 0 {
			rest = append(rest, a)
			continue
		}
		left[a.level]--
		b.WriteString(a.command())
	}
	if len(rest) > 0 {
		fmt.Fprintf(&b, "::group::%d more\n", len(rest))
		for _, a := range rest {
			b.WriteString(a.logLine())
		}
		b.WriteString("::endgroup::\n")
	}
	summary := findingCounts(r)
	if n := r.Summary.Unknown; n > 0 {
		summary += fmt.Sprintf(", %d unknown", n)
	}
	if text := incomplete(r); text != "" {
		summary += "; " + text
	}
	if len(rest) > 0 {
		summary += fmt.Sprintf("; %d are annotated, %d more are in the log of the step", len(all)-len(rest), len(rest))
	}
	if len(all) > 0 {
		b.WriteString(annotation{level: "notice", title: "Bulkhead", message: summary}.command())
	} else {
		b.WriteString(logSafe("Bulkhead: "+summary) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// annotations are what was not read, then the findings worst first, then what
// was not observed.
func annotations(r *finding.Result) []annotation {
	var all []annotation
	for _, p := range r.Problems {
		all = append(all, annotation{"error", &p.Location, "Not read", p.Message})
	}
	rules := ruleIndex(r)
	for _, f := range worstFirst(r.Findings) {
		if f.Waived != nil {
			break // they are last
		}
		title := f.Control
		if rule := rules[f.Control]; rule != nil && rule.Title != "" {
			title = rule.Title
		}
		label, _ := labelOf(f)
		message := f.Object.String()
		if f.Container != "" {
			message += ", container " + f.Container
		}
		message += ": " + f.Message + " (" + f.Control + ")"
		all = append(all, annotation{githubLevel(f), f.Location, label + ": " + title, message})
	}
	for _, u := range r.Unknown {
		all = append(all, annotation{"warning", nil, "Not observed", unmetLine(u) + " (needed by " + few(u.Controls) + ")"})
	}
	return all
}

func githubLevel(f finding.Finding) string {
	if f.Verdict == finding.Fail {
		switch clampSeverity(f.Severity) {
		case finding.Critical, finding.High:
			return "error"
		case finding.Medium:
			return "warning"
		}
	}
	return "notice"
}

// command is ::level key=value,...::message, escaped as actions/toolkit does
// it (packages/core/src/command.ts).
func (a annotation) command() string {
	var properties []string
	add := func(key, value string) {
		if value != "" {
			properties = append(properties, key+"="+githubProperty.Replace(printable(value)))
		}
	}
	if a.at != nil && a.at.File != "" {
		add("file", a.at.File)
		add("line", positive(a.at.Line))
	}
	add("title", a.title)
	return "::" + a.level + " " + strings.Join(properties, ",") + "::" + githubData.Replace(printable(a.message)) + "\n"
}

var (
	githubData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func (a annotation) logLine() string {
	parts := []string{a.title}
	if at := locationOf(a.at); at != "" {
		parts = append(parts, at)
	}
	return logSafe(strings.Join(append(parts, a.message), " | ")) + "\n"
}

// logSafe is a line that the runner takes for text: one that does not begin
// with :: and has no ##[, which starts a command anywhere in a line
// (actions/runner, ActionCommand.cs).
func logSafe(s string) string {
	return "- " + strings.ReplaceAll(printable(s), "##[", "## [")
}
