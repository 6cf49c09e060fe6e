package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"bulkhead.dev/bulkhead/internal/finding"
)

// FixFormats lists the names of the formats of a FixResult.
func FixFormats() []string { return []string{"table", "wide", "json", "sarif"} }

// WriteFix writes what a fix did. An unknown format is an error, and nothing is
// written then.
func WriteFix(w io.Writer, format string, r *finding.FixResult, o Options) error {
	bw := bufio.NewWriterSize(w, 1<<16)
	var err error
	switch format {
	case "table":
		err = writeFixTable(bw, r, &printer{width: max(cmp.Or(o.Width, defaultWidth), narrowest), color: o.Color})
	case "wide":
		err = writeFixTable(bw, r, &printer{color: o.Color})
	case "json":
		err = writeFixJSON(bw, r)
	case "sarif":
		err = writeFixSARIF(bw, r)
	default:
		return fmt.Errorf("unknown output format %q: use one of %s", format, strings.Join(FixFormats(), ", "))
	}
	if err != nil {
		return fmt.Errorf("write the report as %s: %w", format, err)
	}
	return bw.Flush()
}

func writeFixJSON(w io.Writer, r *finding.FixResult) error {
	whole := *r
	whole.Inputs, whole.Fixed, whole.Left, whole.Files, whole.Rules = list(r.Inputs), list(r.Fixed), list(r.Left), list(r.Files), list(r.Rules)
	b, err := marshalJSON(&whole, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// writeFixSARIF writes the findings that can be fixed, each with its fix where
// that is a change of the file that the finding is in (SARIF 3.55), and those
// that are left.
func writeFixSARIF(w io.Writer, r *finding.FixResult) error {
	s := sarifWriter{rules: map[string]int{}}
	run := sarif.NewRun()
	driver := sarif.NewToolComponent().WithName(cmp.Or(r.Tool.Name, "bulkhead")).WithFullName("Bulkhead for Kubernetes")
	if r.Tool.Version != "" {
		driver.WithVersion(r.Tool.Version)
	}
	for _, rule := range r.Rules {
		s.addRule(driver, rule)
	}
	for _, f := range r.Fixed {
		result := s.result(f.Finding)
		if len(f.Replacements) > 0 {
			result.AddFixe(s.fix(f))
		}
		run.AddResult(result)
	}
	for _, f := range r.Left {
		run.AddResult(s.result(f.Finding))
	}
	run.WithTool(sarif.NewTool().WithDriver(driver))
	run.WithOriginalUriBaseIds(s.bases())
	b, err := marshalJSON(sarif.NewReport().AddRun(run), "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

func (s *sarifWriter) fix(f finding.FixedFinding) *sarif.Fix {
	change := sarif.NewArtifactChange().WithArtifactLocation(s.artifact(f.Replacements[0].File))
	for _, r := range f.Replacements {
		region := sarif.NewRegion().WithStartLine(r.Line).WithStartColumn(1).WithEndLine(r.Line + r.Lines).WithEndColumn(1)
		change.AddReplacement(sarif.NewReplacement().WithDeletedRegion(region).WithInsertedContent(sarif.NewArtifactContent().WithText(r.Text)))
	}
	return sarif.NewFix().WithDescription(sarif.NewTextMessage("Change " + f.Control)).AddArtifactChange(change)
}

// writeFixTable writes what a reviewer wants to know: what was changed, why, for
// which control, and what is left.
func writeFixTable(w io.Writer, r *finding.FixResult, p *printer) error {
	titles := map[string]string{}
	for _, rule := range r.Rules {
		titles[rule.Name] = rule.Title
	}
	fixed := "Fixed"
	if !r.Written {
		fixed = "Can be fixed"
	}
	var rows []section
	if tallied := tallyFixed(r.Fixed); len(tallied) > 0 {
		rows = append(rows, section{title: fixed, rows: controlRows(tallied, titles)})
	}
	p.sections([]string{"SEVERITY", "CONTROL", "FINDINGS", "WHY"}, rows)
	for _, c := range []struct {
		cause finding.LeftCause
		title string
	}{
		{finding.LeftRisky, "Left, because the fix may break something (--risky makes it)"},
		{finding.LeftDecision, "Left for a person to decide"},
		{finding.LeftRefused, "Left, because it cannot be written"},
		{finding.LeftUnproven, "Left, because the second scan did not confirm the change, which was taken back"},
		{finding.LeftDeclined, "Left, because it was not wanted"},
	} {
		p.list(c.title, leftLines(r.Left, c.cause, p.wide()))
	}
	p.list("Notes", r.Notes)
	var problems []string
	for _, problem := range r.Problems {
		problems = append(problems, fmt.Sprintf("%s:%d: %s", problem.Location.File, problem.Location.Line, problem.Message))
	}
	p.list("Not read", problems)
	var unknown []string
	for _, u := range r.Unknown {
		unknown = append(unknown, fmt.Sprintf("%s: %s (needed by %s)", u.What, u.Reason, strings.Join(u.Controls, ", ")))
	}
	p.list("Not observed, and so not fixed", unknown)
	p.line("")
	p.line(fixOutcome(r))
	_, err := io.WriteString(w, p.b.String())
	return err
}

// fixOutcome is the last line: what was changed, and how that was proven.
func fixOutcome(r *finding.FixResult) string {
	sum := r.Summary
	objects := fmt.Sprintf("%d of %s, in %s", sum.Fixed, count(sum.Found, "finding"), count(sum.Objects, "object"))
	again := count(sum.New, "new finding")
	switch {
	case sum.Found == 0:
		return "Nothing to fix."
	case r.Proof == finding.ProofOffline:
		return fmt.Sprintf("Can fix %s. Judged with the changes: %s. The API server was not asked; --dry-run asks it, --apply makes the changes.", objects, again)
	case r.Proof == finding.ProofDryRun:
		return fmt.Sprintf("Can fix %s. Judged as the API server would have them: %s. Nothing was changed.", objects, again)
	case r.Proof == finding.ProofReadBack:
		return fmt.Sprintf("Fixed %s. Read again and judged: %s.", objects, again)
	case r.Written:
		return fmt.Sprintf("Fixed %s and %s. Scanned again: %s.", objects, count(sum.Files, "file"), again)
	}
	return fmt.Sprintf("Can fix %s and %s. Scanned with the changes: %s. Nothing was written.", objects, count(sum.Files, "file"), again)
}

// controlTally counts the findings of a control.
type controlTally struct {
	control  string
	severity finding.Severity
	n        int
}

func tallyFixed(fixed []finding.FixedFinding) []controlTally {
	var out []controlTally
	at := map[string]int{}
	for _, f := range fixed {
		i, ok := at[f.Control]
		if !ok {
			i = len(out)
			at[f.Control] = i
			out = append(out, controlTally{control: f.Control})
		}
		out[i].n++
		out[i].severity = max(out[i].severity, f.Severity)
	}
	slices.SortStableFunc(out, func(a, b controlTally) int {
		return cmp.Or(cmp.Compare(b.severity, a.severity), cmp.Compare(b.n, a.n), cmp.Compare(a.control, b.control))
	})
	return out
}

func controlRows(tallied []controlTally, titles map[string]string) []row {
	rows := make([]row, len(tallied))
	for i, t := range tallied {
		rows[i] = row{style: severityStyle(t.severity), cells: []string{t.severity.String(), t.control, fmt.Sprint(t.n), titles[t.control]}}
	}
	return rows
}

// leftLines tells why findings are left, those of one control and reason
// together. A narrow table has one line for each control.
func leftLines(left []finding.LeftFinding, cause finding.LeftCause, all bool) []string {
	type reason struct{ control, text string }
	var order []reason
	objects := map[reason][]string{}
	reasons := map[string][]string{}
	for _, l := range left {
		if l.Cause != cause {
			continue
		}
		k := reason{l.Control, l.Reason}
		if !slices.Contains(reasons[l.Control], l.Reason) {
			reasons[l.Control] = append(reasons[l.Control], l.Reason)
		}
		if !all {
			k.text = reasons[l.Control][0]
		}
		if objects[k] == nil {
			order = append(order, k)
		}
		if name := l.Object.String(); !slices.Contains(objects[k], name) {
			objects[k] = append(objects[k], name)
		}
	}
	var lines []string
	for _, k := range order {
		who, more := objects[k][0], ""
		if n := len(objects[k]); n > 1 {
			who = fmt.Sprintf("%s and %d more", who, n-1)
		}
		if n := len(reasons[k.control]); !all && n > 1 {
			more = fmt.Sprintf(" (-o wide has %s)", count(n-1, "more reason"))
		}
		lines = append(lines, fmt.Sprintf("%s (%s): %s%s", k.control, who, k.text, more))
	}
	return lines
}
