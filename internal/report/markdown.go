package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"bulkhead.dev/bulkhead/internal/finding"
)

const (
	// MaxComment is how many characters of Markdown are written: GitHub refuses a comment
	// of more than 65,536, and what posts it may add some.
	MaxComment = 60_000
	// maxMarkdownCell and maxMarkdownList bound what one long text, or many inputs that
	// were not read, take from the findings.
	maxMarkdownCell, maxMarkdownList = 400, 10
	// markdownReserve is kept for what comes after the rows of a table.
	markdownReserve = 1_000
)

// Comment is Markdown for a pull request, of at most MaxComment characters.
type Comment struct {
	text strings.Builder
	used int
}

// Add adds text as a whole, or reports that there is no room for it. Reserve characters
// are left free for what is added later.
func (c *Comment) Add(text string, reserve int) bool {
	n := utf8.RuneCountInString(text)
	if c.used+n+reserve > MaxComment {
		return false
	}
	c.used += n
	c.text.WriteString(text)
	return true
}

// Table adds a heading and as many rows of Markdown as there is room for, and says how many
// are left out, in words of which noun is the plural.
func (c *Comment) Table(head []string, rows [][]string, noun string) {
	line := func(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }
	if len(rows) == 0 || !c.Add("\n"+line(head)+"|"+strings.Repeat("---|", len(head))+"\n", markdownReserve) {
		return
	}
	for i, row := range rows {
		if !c.Add(line(row), markdownReserve) {
			c.Add(fmt.Sprintf("\nand %d more %s\n", len(rows)-i, noun), 0)
			return
		}
	}
}

// WriteTo writes what was added.
func (c *Comment) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, c.text.String())
	return int64(n), err
}

// markdownEscapes writes out what Markdown or HTML give a meaning to. A zero-width space
// after @ and #, and within the beginning of an address, keeps GitHub and GitLab from
// notifying people, linking issues and making links (GitHub Flavored Markdown, 6.9).
var markdownEscapes = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "|", `\|`, "~", `\~`,
	"#", `\#&#8203;`, "@", "@&#8203;", "://", ":&#8203;//", "www.", "www&#8203;.")

// Markdown is text that Markdown shows as it is, in a line or a cell of a table: names are
// of whoever makes objects.
func Markdown(s string) string { return markdownEscapes.Replace(printable(s)) }

// MarkdownCode is text as code, in a line or a cell of a table. What would end the code or
// the cell is shown as plain text.
func MarkdownCode(s string) string {
	s = printable(s)
	if s == "" || strings.ContainsAny(s, "`|\\") || strings.TrimSpace(s) != s {
		return markdownEscapes.Replace(s)
	}
	return "`" + s + "`"
}

// writeMarkdown writes a comment for a pull request: the counts, what was not read, and the
// findings that stand, the worst first, as many as fit.
func writeMarkdown(w io.Writer, r *finding.Result, _ Options) error {
	c := &Comment{}
	c.Add("### Bulkhead: "+Markdown(findingCounts(r))+"\n", 0)
	if text := incomplete(r); text != "" {
		c.Add("\n**Incomplete**: "+text+".\n", 0)
	}
	var lines []string
	for _, p := range r.Problems {
		lines = append(lines, "not read: "+problemLine(p))
	}
	for _, u := range r.Unknown {
		lines = append(lines, "not observed: "+unmetLine(u)+" (needed by "+few(u.Controls)+")")
	}
	c.list(lines)
	var rows [][]string
	for _, f := range worstFirst(r.Findings) {
		if f.Waived == nil {
			rows = append(rows, markdownRow(f))
		}
	}
	c.Table([]string{"Severity", "Control", "Object", "Where", "Finding"}, rows, "findings, which -o json lists")
	c.Add("\n"+markdownSummary(r), 0)
	_, err := c.WriteTo(w)
	return err
}

func (c *Comment) list(lines []string) {
	for i, l := range lines {
		if i == 0 {
			c.Add("\n", 0)
		}
		if i == maxMarkdownList {
			c.Add(fmt.Sprintf("- and %d more\n", len(lines)-i), 0)
			return
		}
		c.Add("- "+markdownClipped(l)+"\n", 0)
	}
}

// markdownClipped bounds a text before it is escaped: after it, an escape might be cut.
func markdownClipped(s string) string { return Markdown(clip(printable(s), maxMarkdownCell)) }

func markdownRow(f finding.Finding) []string {
	label, _ := labelOf(f)
	if f.Verdict == finding.Fail && f.Severity >= finding.High {
		label = "**" + label + "**"
	}
	message := f.Message
	if f.Container != "" && !strings.Contains(message, f.Container) {
		message = f.Container + ": " + message
	}
	at := f.Location
	if at != nil { // a column is for editors
		at = &finding.Location{File: at.File, Line: at.Line}
	}
	return []string{label, MarkdownCode(clip(printable(f.Control), maxMarkdownCell)), markdownClipped(object{f.Root, f.Object}.title() + managedBy(f.Managed)),
		MarkdownCode(clip(printable(locationOf(at)), maxMarkdownCell)), markdownClipped(message)}
}

// markdownSummary counts what the table does not list.
func markdownSummary(r *finding.Result) string {
	parts := []string{scanned(r)}
	if n := r.Summary.Unknown; n > 0 {
		parts = append(parts, fmt.Sprintf("%d could not be judged, which is not a pass", n))
	}
	if n := r.Summary.Pass; n > 0 {
		parts = append(parts, fmt.Sprintf("%d passed", n))
	}
	if text := waivedCounts(r, Options{ShowWaived: true}); text != "" {
		parts = append(parts, "waived: "+text)
	}
	if n := r.Summary.Baseline; n > 0 {
		parts = append(parts, fmt.Sprintf("%d known from the baseline", n))
	}
	return Markdown(strings.Join(parts, "; ")) + "\n"
}
