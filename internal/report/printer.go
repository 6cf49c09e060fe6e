package report

import (
	"fmt"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
)

// style is an ANSI SGR sequence (ECMA-48, 8.3.117); empty changes nothing.
type style string

const (
	bold    style = "\x1b[1m"
	faint   style = "\x1b[2m"
	boldRed style = "\x1b[1;31m"
	red     style = "\x1b[31m"
	green   style = "\x1b[32m"
	yellow  style = "\x1b[33m"
	blue    style = "\x1b[34m"
	magenta style = "\x1b[35m"
	reset         = "\x1b[0m"
)

func severityStyle(s finding.Severity) style {
	switch s {
	case finding.Critical:
		return boldRed
	case finding.High:
		return red
	case finding.Medium:
		return yellow
	case finding.Low:
		return blue
	}
	return faint
}

// printer lays text out for a terminal. Every string from a result goes through
// printable here and nowhere before, so that nothing is escaped twice.
type printer struct {
	b strings.Builder
	// width is the width of the terminal in cells; 0 cuts and wraps nothing.
	width int
	color bool
}

// section is the rows about one object.
type section struct {
	title, place string
	rows         []row
}

// row is one line of a table; its last cell is the one that wraps. The first
// cell has the style.
type row struct {
	style style
	cells []string
}

const (
	gap = "  "
	// widestColumn and widestPadding bound what one long cell does to all others:
	// in a table it wraps, in a wide one it overflows.
	widestColumn  = 36
	widestPadding = 100
	// narrowestMessage is the width of the last column below which a row becomes
	// two: the other cells, and under them the last one.
	narrowestMessage = 36
)

func (p *printer) wide() bool { return p.width == 0 }

func (p *printer) line(s string) {
	p.b.WriteString(strings.TrimRight(s, " "))
	p.b.WriteByte('\n')
}

func (p *printer) paint(s style, text string) string {
	if !p.color || s == "" || text == "" {
		return text
	}
	return string(s) + text + reset
}

// heading begins a part of the report, after an empty line.
func (p *printer) heading(title string) {
	if p.b.Len() > 0 {
		p.line("")
	}
	p.line(p.paint(bold, title))
}

// sections prints rows under the titles of their objects, with columns that
// are as wide in every section.
func (p *printer) sections(header []string, sections []section) {
	if len(sections) == 0 {
		return
	}
	for _, s := range sections {
		for _, r := range s.rows {
			for i := range r.cells {
				r.cells[i] = printable(r.cells[i])
			}
		}
	}
	widest := widestColumn
	if p.wide() {
		widest = widestPadding
	}
	widths := columnWidths(header, sections, widest)
	indent := 0
	for _, w := range widths {
		indent += w + len(gap)
	}
	stacked := !p.wide() && p.width-indent < narrowestMessage
	if header != nil && !stacked {
		p.line(p.paint(faint, strings.TrimRight(p.join(header, widths), " ")))
	}
	for _, s := range sections {
		if p.b.Len() > 0 {
			p.line("")
		}
		p.title(s)
		for _, r := range s.rows {
			switch {
			case p.wide():
				p.line(p.styled(r, p.join(r.cells, widths)))
			case stacked:
				p.stack(r)
			default:
				p.wrapped(r, widths, p.width-indent)
			}
		}
	}
}

// columnWidths measures every column but the last.
func columnWidths(header []string, sections []section, widest int) []int {
	var widths []int
	measure := func(cells []string) {
		for i, cell := range cells[:len(cells)-1] {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], min(columns(cell), widest))
		}
	}
	if header != nil {
		measure(header)
	}
	for _, s := range sections {
		for _, r := range s.rows {
			measure(r.cells)
		}
	}
	return widths
}

// title prints the object and, on the same line where there is room, its file.
func (p *printer) title(s section) {
	title, place := printable(s.title), printable(s.place)
	if p.wide() || columns(title)+len(gap)+columns(place) <= p.width {
		p.line(p.paint(bold, title) + gap + p.paint(faint, place))
		return
	}
	for _, part := range []struct {
		style style
		text  string
	}{{bold, title}, {faint, place}} {
		for _, l := range wrap(part.text, p.width) {
			p.line(p.paint(part.style, l))
		}
	}
}

// join pads every cell but the last.
func (p *printer) join(cells []string, widths []int) string {
	var b strings.Builder
	for i, cell := range cells {
		if i < len(widths) {
			cell = pad(cell, widths[i]) + gap
		}
		b.WriteString(cell)
	}
	return b.String()
}

// styled paints the first cell of a line that begins with it.
func (p *printer) styled(r row, line string) string {
	label := r.cells[0]
	if !strings.HasPrefix(line, label) {
		return line
	}
	return p.paint(r.style, label) + line[len(label):]
}

// wrapped prints a row whose cells wrap within their columns.
func (p *printer) wrapped(r row, widths []int, rest int) {
	last := len(r.cells) - 1
	cells := make([][]string, len(r.cells))
	height := 0
	for i, cell := range r.cells {
		if i == last {
			cells[i] = wrapAtMost(cell, rest, messageLines)
		} else {
			cells[i] = wrap(cell, widths[i])
		}
		height = max(height, len(cells[i]))
	}
	for n := range height {
		line := make([]string, len(cells))
		for i, c := range cells {
			if n < len(c) {
				line[i] = c[n]
			}
		}
		text := p.join(line, widths)
		if n == 0 {
			text = p.styled(r, text)
		}
		p.line(text)
	}
}

// stack prints a row on a narrow terminal: the last cell under the others.
func (p *printer) stack(r row) {
	last := len(r.cells) - 1
	label := pad(r.cells[0], len("critical"))
	head := wrap(strings.Join(r.cells[1:last], " "), p.width-len(label)-len(gap))
	for i, l := range head {
		if i == 0 {
			p.line(p.styled(r, label+gap+l))
		} else {
			p.line(pad("", len(label)) + gap + l)
		}
	}
	indent := len(label) + len(gap)
	if p.width-indent < narrowestMessage {
		indent = 4
	}
	for _, l := range wrapAtMost(r.cells[last], p.width-indent, messageLines) {
		p.line(strings.Repeat(" ", indent) + l)
	}
}

// list prints a heading and lines, each wrapped under its own beginning.
func (p *printer) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.heading(fmt.Sprintf("%s (%d)", title, len(lines)))
	more := 0
	if !p.wide() && len(lines) > listLines {
		more = len(lines) - listLines
		lines = lines[:listLines]
	}
	for _, l := range lines {
		p.entry("- ", "", 2, l)
	}
	if more > 0 {
		p.entry("- ", "", 2, fmt.Sprintf("and %d more: -o wide or -o json has all of them", more))
	}
}

// entry prints key and text; further lines of the text align with its first.
func (p *printer) entry(key string, s style, indent int, text string) {
	text = printable(text)
	lines := []string{text}
	if !p.wide() {
		lines = wrap(text, max(p.width-indent, 10))
	}
	for i, l := range lines {
		if i == 0 {
			p.line(p.paint(s, key) + strings.Repeat(" ", max(0, indent-columns(key))) + l)
		} else {
			p.line(strings.Repeat(" ", indent) + l)
		}
	}
}
