package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
)

// writeCSV writes RFC 4180: a header, CRLF line ends, and a record for each
// finding, worst first, then for each pass that was asked for. Control
// characters, which the RFC has no place for, are escaped as everywhere else,
// so a record is one line.
func writeCSV(w io.Writer, r *finding.Result, _ Options) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	header := []string{
		"verdict", "severity", "control", "title", "layer", "namespace", "kind", "name", "group", "root",
		"container", "path", "file", "line", "column", "message", "fix",
		"waiver", "waiver_owner", "waiver_reason", "waiver_expires", "fingerprint", "managed_by", "managed_sign",
	}
	if err := out.Write(header); err != nil {
		return err
	}
	rules := ruleIndex(r)
	for _, f := range worstFirst(r.Findings) {
		if err := out.Write(cells(findingRecord(f, rules[f.Control]))); err != nil {
			return err
		}
	}
	for _, p := range r.Passes {
		f := finding.Finding{Verdict: finding.Pass, Control: p.Control, Object: p.Object, Root: p.Root, Location: p.Location}
		rule := rules[p.Control]
		if rule != nil {
			f.Severity = rule.Severity
		}
		if err := out.Write(cells(findingRecord(f, rule))); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func findingRecord(f finding.Finding, rule *finding.Rule) []string {
	var title, layer, fix string
	if rule != nil {
		title, layer = rule.Title, string(rule.Layer)
	}
	if f.Fix != nil {
		fix = string(f.Fix.Safety)
	}
	var at finding.Location
	if f.Location != nil {
		at = *f.Location
	}
	var waived finding.Waived
	if f.Waived != nil {
		waived = *f.Waived
	}
	var managed finding.Managed
	if f.Managed != nil {
		managed = *f.Managed
	}
	return []string{
		string(f.Verdict), f.Severity.String(), f.Control, title, layer,
		f.Object.Namespace, f.Object.Kind, f.Object.Name, f.Object.Group, f.Root,
		f.Container, f.Path, at.File, positive(at.Line), positive(at.Column), f.Message, fix,
		waived.Waiver, waived.Owner, waived.Reason, waived.Expires, f.Fingerprint, managed.By, managed.Sign,
	}
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func cells(record []string) []string {
	for i, field := range record {
		record[i] = cell(printable(field))
	}
	return record
}

// cell puts an apostrophe before what a spreadsheet would take for a formula:
// what begins, after spaces, with =, +, -, @ or one of their fullwidth forms
// (OWASP, "CSV Injection"). Tabs and line breaks, which the same list names,
// are escaped before.
func cell(field string) string {
	if strings.IndexAny(strings.TrimLeft(field, " "), "=+-@＝＋－＠") == 0 {
		return "'" + field
	}
	return field
}
