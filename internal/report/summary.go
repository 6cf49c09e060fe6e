package report

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
)

// summary ends the table: what is missing first, because it qualifies all
// that follows, then the counts, then what to do.
func (p *printer) summary(r *finding.Result, o Options) {
	p.heading("Summary")
	const indent = 12
	item := func(key string, s style, text string) {
		if text != "" {
			p.entry(key, s, indent, text)
		}
	}
	item("Incomplete", boldRed, incomplete(r))
	item("Findings", "", findingCounts(r))
	if n := r.Summary.Unknown; n > 0 {
		item("Unknown", magenta, fmt.Sprintf("%d could not be judged, which is not a pass", n))
	}
	if n := r.Summary.Managed; n > 0 {
		item("Managed", "", fmt.Sprintf("%d of them in objects that the platform manages (--skip-managed leaves them out)", n))
	}
	if n := r.Summary.SkippedManaged; n > 0 {
		item("Managed", "", fmt.Sprintf("%s in objects that the platform manages left out by --skip-managed", count(n, "finding")))
	}
	item("Waived", "", waivedCounts(r, o))
	if n := r.Summary.Baseline; n > 0 {
		item("Baseline", "", fmt.Sprintf("%d known from the baseline and not listed", n))
	}
	item("Passed", "", passCounts(r))
	item("Layers", "", layers(r))
	item("Scanned", "", scanned(r))
	for _, f := range r.Frameworks {
		if f.Assessed > 0 { // of one that the controls of this run are not about, there is nothing to say
			item("Framework", "", framework(f))
		}
	}
	p.next(r, o.Command)
}

func incomplete(r *finding.Result) string {
	var parts []string
	if n := len(r.Problems); n > 0 {
		parts = append(parts, count(n, "input")+" not read in whole")
	}
	if n := len(r.Unknown); n > 0 {
		parts = append(parts, count(n, "observation")+" not made")
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, " and ") + ": of those this result says nothing"
}

func findingCounts(r *finding.Result) string {
	var parts []string
	for _, s := range severities() {
		if n := r.Summary.BySeverity[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	switch {
	case len(parts) > 0:
	case r.Summary.Objects == 0:
		return "none, because no object was assessed"
	default:
		return "no failures"
	}
	objects := map[object]bool{}
	for _, f := range r.Findings {
		if f.Waived == nil && f.Verdict == finding.Fail {
			objects[object{f.Root, f.Object}] = true
		}
	}
	return strings.Join(parts, ", ") + " in " + count(len(objects), "object")
}

func waivedCounts(r *finding.Result, o Options) string {
	states := map[string]int{}
	for _, u := range r.Waivers {
		states[u.State]++
	}
	text := ""
	if n := r.Summary.Waived; n > 0 {
		text = count(n, "finding")
	}
	for _, state := range []string{"unused", "expired", "invalid"} {
		if n := states[state]; n > 0 {
			if text != "" {
				text += ", "
			}
			text += count(n, state+" waiver")
		}
	}
	if text != "" && !o.ShowWaived {
		text += " (--audit-waivers lists them)"
	}
	return text
}

func passCounts(r *finding.Result) string {
	n := r.Summary.Pass
	switch {
	case n == 0:
		return ""
	case len(r.Passes) == 0:
		return fmt.Sprintf("%d (--show-pass lists them)", n)
	}
	return fmt.Sprint(n)
}

// layers names those with failures, in the order of the result.
func layers(r *finding.Result) string {
	var parts []string
	for _, l := range r.Summary.ByLayer {
		if l.Fail > 0 {
			parts = append(parts, fmt.Sprintf("%s %d of %d failed", l.Layer, l.Fail, l.Fail+l.Pass))
		}
	}
	return strings.Join(parts, ", ")
}

func scanned(r *finding.Result) string {
	s := r.Summary
	text := count(s.Objects, "object")
	if s.Files > 0 {
		text += " from " + count(s.Files, "file")
	}
	text += ", " + count(s.Namespaces, "namespace") + ", " + count(s.Workloads, "workload") + ", " + count(s.Controls, "control")
	if s.UnknownKinds > 0 {
		text += fmt.Sprintf("; %s of kinds that no control knows", count(s.UnknownKinds, "object"))
	}
	return text
}

func framework(f finding.Framework) string {
	title := f.Title
	if title == "" {
		title = f.Name
	}
	return fmt.Sprintf("%s: %d of %d requirements assessed, %d passed, %d failed", title, f.Assessed, f.Total, f.Passed, f.Failed)
}

// next says what to do with the result.
func (p *printer) next(r *finding.Result, command Command) {
	type step struct{ command, why string }
	var steps []step
	program := cmp.Or(command.Program, "bulkhead")
	scan := command.again(r.Inputs)
	control, severity, n := worstControl(r)
	if control != "" {
		steps = append(steps, step{program + " explain " + control,
			fmt.Sprintf("why it matters and what to do: %s, %s", severity, count(n, "finding"))})
		steps = append(steps, step{scan + " -o html=report.html", "the same as a page with the fixes, filters and search"})
	}
	if r.Summary.Fail > 2*listLines && r.Summary.Baseline == 0 {
		steps = append(steps, step{scan + " -o json=baseline.json", "then --baseline baseline.json fails on new findings only"})
	}
	if control == "" && len(r.Passes) == 0 && r.Summary.Pass > 0 {
		steps = append(steps, step{scan + " --show-pass", "what was judged, and on what evidence"})
	}
	if len(steps) == 0 {
		return
	}
	indent := 0
	for _, s := range steps {
		indent = max(indent, columns(s.command)+4)
	}
	p.heading("Next")
	for _, s := range steps {
		if !p.wide() && p.width-indent < narrowestMessage {
			p.line("  " + s.command)
			p.entry("", "", 6, s.why)
			continue
		}
		p.entry("  "+s.command, "", indent, s.why)
	}
}

// worstControl is the control of the worst severity, among those the one with
// the most findings.
func worstControl(r *finding.Result) (name string, severity finding.Severity, findings int) {
	counts := map[string]int{}
	for _, f := range r.Findings {
		if f.Verdict != finding.Fail || f.Waived != nil {
			continue
		}
		if name == "" || f.Severity > severity {
			clear(counts)
			name, severity = f.Control, f.Severity
		}
		if f.Severity < severity {
			continue
		}
		counts[f.Control]++
		if n := counts[f.Control]; n > counts[name] || n == counts[name] && f.Control < name {
			name = f.Control
		}
	}
	if !plainWord.MatchString(name) {
		return "", severity, 0
	}
	return name, severity, counts[name]
}

// plainWord is what a shell takes as it stands. What is shown to be copied into
// a shell must be nothing else.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./-]*$`)

// again repeats the command where its inputs are few plain paths.
func (c Command) again(inputs []string) string {
	command := cmp.Or(c.Program, "bulkhead") + " " + cmp.Or(c.Verb, "scan")
	text := command
	for _, input := range inputs {
		if c.InputFlag != "" {
			text += " " + c.InputFlag
		}
		text += " " + input
		if !plainWord.MatchString(input) || len(text) > 60 {
			return command + " ..."
		}
	}
	return text
}
