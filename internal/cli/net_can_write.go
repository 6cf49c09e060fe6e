package cli

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

// writeCells writes CSV of which no cell is a formula to a spreadsheet.
func writeCells(w io.Writer, head []string, rows [][]string) error {
	out := csv.NewWriter(w)
	if err := out.Write(head); err != nil {
		return err
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, text := range row {
			cells[i] = report.Cell(text)
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// placeCells are the file and the line of a rule, empty where they are not known.
func placeCells(file string, line int) []string {
	if file == "" || line <= 0 {
		return []string{file, ""}
	}
	return []string{file, strconv.Itoa(line)}
}

// decisionRow is a rule that decides about one direction of a pair, or what stands for it
// where there is none.
type decisionRow struct {
	direction, policy, rule, file string
	line                          int
}

// decisions are a row for each rule that decides about the pair; where none does, for each
// policy that has none which allows it, or one that says why no policy is asked.
func (p netPairJSON) decisions() (out []decisionRow) {
	if p.Exempt != "" {
		return []decisionRow{{rule: p.Exempt}}
	}
	for _, d := range []struct {
		name  string
		of    reach.Reason
		shown *netReasonJSON
	}{{"egress", p.why.Egress, p.Egress}, {"ingress", p.why.Ingress, p.Ingress}} {
		rules := slices.Concat(d.of.Passed, d.of.Rules)
		for _, r := range rules {
			row := decisionRow{direction: d.name, policy: policyName(r), rule: strconv.Itoa(r.Rule.Index + 1)}
			if at := r.Locate(); at != nil {
				row.file, row.line = at.File, at.Line
			}
			out = append(out, row)
		}
		if len(d.of.Rules) > 0 {
			continue
		}
		for _, policy := range d.shown.Isolated {
			out = append(out, decisionRow{direction: d.name, policy: "NetworkPolicy " + policy, rule: "no rule allows it"})
		}
		if len(rules)+len(d.shown.Isolated) == 0 {
			out = append(out, decisionRow{direction: d.name, rule: d.shown.Why})
		}
	}
	return out
}

// csv has a line for each rule that decides about each pair.
func (a netAnswer) csv(w io.Writer) error {
	var rows [][]string
	for _, p := range a.Pairs {
		for _, d := range p.decisions() {
			rows = append(rows, append([]string{p.From, p.To, p.Ports, strconv.FormatBool(a.Allowed), d.direction, d.policy, d.rule}, placeCells(d.file, d.line)...))
		}
	}
	return writeCells(w, []string{"from", "to", "ports", "allowed", "direction", "policy", "rule", "file", "line"}, rows)
}

// verdictText is a yes or a no that is seen from afar.
func verdictText(allowed bool) string {
	if allowed {
		return "**yes**"
	}
	return "**no**"
}

// markdown writes a comment for a pull request: the verdict, the rules, the smallest change.
func (a netAnswer) markdown(w io.Writer) error {
	c := &report.Comment{}
	for i, p := range a.Pairs {
		text := p.markdownHead(a.Allowed, "", i == 0)
		var rows [][]string
		for _, d := range p.decisions() {
			rows = append(rows, []string{d.direction, markdown(d.policy), markdown(d.rule), markdownPlace(d.file, d.line)})
		}
		if !c.Add(text, commentReserve) {
			a.more += len(a.Pairs) - i
			break
		}
		c.Table([]string{"Direction", "Policy", "Rule", "Where"}, rows, "rules")
		c.Add(p.markdownTurns(a.Allowed, a.PairsAsked > 1), commentReserve)
	}
	if a.more > 0 {
		c.Add(fmt.Sprintf("\nand %d more pairs\n", a.more), 0)
	}
	_, err := c.WriteTo(w)
	return err
}

// commentReserve is room for what ends a comment.
const commentReserve = 200

func markdownPlace(file string, line int) string {
	if file == "" {
		return ""
	}
	if line > 0 {
		file += ":" + strconv.Itoa(line)
	}
	return report.MarkdownCode(file)
}

// markdownHead is the verdict about a pair, and how sure it is.
func (p netPairJSON) markdownHead(allowed bool, by string, first bool) string {
	var out strings.Builder
	if first {
		out.WriteString("### Who may talk to whom\n")
	}
	fmt.Fprintf(&out, "\n%s: %s → %s", verdictText(allowed), report.MarkdownCode(p.From), report.MarkdownCode(p.To))
	switch {
	case by != "":
		out.WriteString(" by " + by)
	case allowed:
		out.WriteString(", ports: " + p.Ports)
	}
	out.WriteString("\n")
	if len(p.Otherwise) > 0 {
		fmt.Fprintf(&out, "\nAnswered otherwise by %s.\n", markdown(strings.Join(p.Otherwise, ", ")))
	}
	for _, why := range p.Unknown {
		fmt.Fprintf(&out, "\nNot known: %s.\n", markdown(why))
	}
	return out.String()
}

// markdownTurns are the smallest changes that would turn the answer, as a list.
func (p netPairJSON) markdownTurns(allowed, several bool) string {
	if len(p.SmallestChanges) == 0 {
		return ""
	}
	verb, what := "allow", "it"
	if allowed {
		verb = "stop"
	}
	if several {
		what = "this pair"
	}
	out := fmt.Sprintf("\nTo %s %s:\n\n", verb, what)
	for i, t := range p.SmallestChanges {
		if i == maxTurnsShown {
			break
		}
		var texts []string
		for _, e := range t.Edits {
			texts = append(texts, e.Text+checkedAt(e.Location))
		}
		out += fmt.Sprintf("- %s: %s\n", markdown(strings.Join(texts, ", and ")), t.effect())
	}
	return out
}
