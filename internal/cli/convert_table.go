package cli

import (
	"fmt"
	"io"
	"strings"

	"bulkhead.dev/bulkhead/internal/psp"
	"bulkhead.dev/bulkhead/internal/report"
)

// Widths of the columns of a comparison: field, policy, level, difference.
var comparisonColumns = []int{32, 24, 24, 44}

// namedMost is how many things that fare differently are named in a row.
const namedMost = 6

// comparison is a policy beside the levels of Pod Security.
type comparison struct {
	policy  *psp.Policy
	levels  []*psp.Comparison
	nearest int
}

// shown is the level that was asked for, or else the nearest.
func (c *comparison) shown(level string) (*psp.Comparison, error) {
	if level == "" {
		return c.levels[c.nearest], nil
	}
	for _, l := range c.levels {
		if string(l.Level) == level {
			return l, nil
		}
	}
	return nil, fmt.Errorf("%q is no level of Pod Security: use privileged, baseline or restricted", level)
}

// write shows a level beside the policy, with what fares the same counted or, if all
// are wanted, shown.
func (c *comparison) write(w io.Writer, level *psp.Comparison, all bool) {
	fmt.Fprintf(w, "PodSecurityPolicy %s: the nearest level of Pod Security is %s\n", report.Printable(c.policy.Name), c.levels[c.nearest].Level)
	counts := make([]string, len(c.levels))
	for i, l := range c.levels {
		counts[i] = fmt.Sprintf("%s %d", l.Level, l.Differing())
	}
	fmt.Fprintf(w, "Fields that differ, of %d: %s.\n", len(level.Rows), strings.Join(counts, ", "))
	fmt.Fprintln(w)
	writeRow(w, []string{"FIELD", "POLICY", strings.ToUpper(string(level.Level)), "THE LEVEL"})
	for i := range level.Rows {
		if r := &level.Rows[i]; all || r.Differs() {
			writeRow(w, []string{r.Field, r.Policy, r.Level, differences(r)})
		}
	}
}

func differences(r *psp.Row) string {
	var out []string
	if len(r.Loosens) > 0 {
		out = append(out, "loosens: "+named(r.Loosens))
	}
	if len(r.Tightens) > 0 {
		out = append(out, "tightens: "+named(r.Tightens))
	}
	if r.Fills != "" {
		out = append(out, "does not fill in "+r.Fills)
	}
	if len(out) == 0 {
		return "same"
	}
	return strings.Join(out, "\n")
}

func named(list []string) string {
	if n := len(list) - namedMost; n > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:namedMost], "; "), n)
	}
	return strings.Join(list, "; ")
}

// writeRow writes cells side by side, each wrapped to its column.
func writeRow(w io.Writer, cells []string) {
	columns := make([][]string, len(cells))
	height := 0
	for i, cell := range cells {
		for _, line := range strings.Split(cell, "\n") {
			columns[i] = append(columns[i], strings.Split(wrap(report.Printable(line), comparisonColumns[i]), "\n")...)
		}
		height = max(height, len(columns[i]))
	}
	for n := range height {
		var line strings.Builder
		for i, c := range columns {
			text := ""
			if n < len(c) {
				text = c[n]
			}
			fmt.Fprintf(&line, "%-*s  ", comparisonColumns[i], text)
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// notKept says what the admission policies do not do as the PodSecurityPolicies did.
func notKept(list, roles []string) string {
	var b strings.Builder
	fmt.Fprint(&b, "Kept as they are: Roles and bindings that grant the verb use; policies ask for it by name.\n\nNot kept by the admission policies (-o yaml):\n")
	for _, n := range list {
		fmt.Fprintf(&b, "%s\n", indent(wrap(report.Printable("- "+n), 96), "  "))
	}
	if len(roles) > 0 {
		fmt.Fprintf(&b, "%s\n", indent(wrap(report.Printable("- these grant use in the group extensions alone: "+strings.Join(roles, ", ")), 96), "  "))
	}
	b.WriteByte('\n')
	return b.String()
}
