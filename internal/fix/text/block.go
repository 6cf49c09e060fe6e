package text

import (
	"bytes"
	"fmt"
	"strings"
)

// blockEntries removes and adds entries of a collection in block style. At least
// one entry is kept.
func (p *plan) blockEntries(n *node, kept []bool, added []addition) error {
	indent := p.indent(n)
	first := 0
	for !kept[first] {
		first++
	}
	begin := n.entries[0].start
	compact := !blankLine(p.text[p.lineStart(begin):begin])
	if compact && first > 0 {
		p.removeCompact(n, first, indent)
	}
	for i, e := range n.entries {
		if !kept[i] && (!compact || i > first) {
			p.removeLines(e, begin == 0 && i < first)
		}
	}
	for i := 0; i < len(added); {
		j := i + 1
		for j < len(added) && added[j].after == added[i].after {
			j++
		}
		if err := p.addLines(n, added[i:j], first, indent); err != nil {
			return err
		}
		i = j
	}
	return nil
}

// removeCompact removes the first entries of a collection that begins behind the
// dash of another, so that the first one kept moves up to it. Comments stay.
func (p *plan) removeCompact(n *node, first, indent int) {
	start, end := n.entries[0].start, n.entries[first].start
	eol := p.lineBreak(start)
	var text strings.Builder
	for _, c := range p.within(start, end) {
		text.Write(p.text[c.start:c.end])
		text.WriteString(eol + strings.Repeat(" ", indent))
	}
	p.splice(start, end, text.String())
}

// removeLines removes an entry that has lines of its own. Its comments stay, each
// on a line. At the top of a document there is no line before whose end could go
// with it, nor in the first line of the text.
func (p *plan) removeLines(e entry, top bool) {
	begin := p.lineStart(e.start)
	space := string(p.text[begin:e.start])
	end := p.lineEnd(e.end())
	eol := p.lineBreak(e.end())
	comments := p.within(e.start, end)
	if top || begin == 0 {
		end = p.lineAfter(end)
		var text strings.Builder
		for _, c := range comments {
			text.WriteString(space + string(p.text[c.start:c.end]) + eol)
		}
		p.splice(begin, end, text.String())
		return
	}
	var text strings.Builder
	for _, c := range comments {
		text.WriteString(eol + space)
		text.Write(p.text[c.start:c.end])
	}
	p.splice(p.lineBefore(begin), end, text.String())
}

// lineBefore is where the line that ends before begin ends.
func (p *plan) lineBefore(begin int) int {
	if begin == 0 {
		return 0
	}
	return p.lineEnd(p.lineStart(begin - 1))
}

// addLines adds entries behind one that is kept, or before the first that is.
func (p *plan) addLines(n *node, added []addition, first, indent int) error {
	var lines []string
	space := strings.Repeat(" ", indent)
	for _, a := range added {
		var more []string
		var err error
		if n.kind == list {
			more, err = p.item(a.value, indent)
		} else if more, err = p.field(a.key, a.value, indent); err == nil {
			more[0] = space + more[0]
		}
		if err != nil {
			return err
		}
		lines = append(lines, more...)
	}
	after := added[0].after
	if after >= 0 && n.kind == mapping && p.openEnded(n.entries[after]) {
		after--
	}
	if after >= 0 {
		end := p.lineEnd(n.entries[after].end())
		eol := p.lineBreak(end)
		p.splice(end, end, eol+strings.Join(lines, eol))
		return nil
	}
	at := n.entries[first].start
	eol := p.lineBreak(at)
	p.splice(at, at, strings.Join(lines, eol)[indent:]+eol+space)
	return nil
}

// openEnded reports whether an entry ends in a block scalar that ends with the
// file, without a line break: a line behind it would add one to its text.
func (p *plan) openEnded(e entry) bool {
	if !p.unended || e.end() != len(p.text) {
		return false
	}
	n := e.value
	for len(n.entries) > 0 {
		n = n.entries[len(n.entries)-1].value
	}
	return n.header > 0
}

// replace writes another value in place of n. Its anchor and all comments stay.
func (p *plan) replace(n *node, want *value, at spot) error {
	if !at.block {
		return p.replaceFlow(n, want)
	}
	if at.lead < 0 {
		return p.replaceRoot(n, want)
	}
	f, err := p.block(want, at.indent, at.dash, n.style)
	if err != nil {
		return err
	}
	below := p.lineStart(n.start) > at.lead
	if f.verbatim && p.hindered(n, at, below) {
		f = form{head: jsonString(want.scalar.(string))}
	}
	childIndent := at.indent + 2
	if !at.dash && want.kind != list {
		childIndent = at.indent + p.step
	} else if !at.dash {
		childIndent = at.indent + p.dash
	}
	head := ""
	if n.anchor != "" && n.kind != alias {
		head = " &" + n.anchor
	}
	if f.head != "" {
		head += " " + f.head
	}
	if below {
		p.replaceBelow(n, at, f, head, childIndent)
		return nil
	}
	end := p.lineEnd(n.end)
	eol := p.lineBreak(end)
	if n.header > 0 {
		// A comment behind the indicators of a block scalar stays where it is.
		p.splice(at.lead, n.header, head)
		text := strings.Join(append([]string{""}, f.lines...), eol)
		p.splice(p.lineEnd(n.header), max(p.lineEnd(n.header), n.end), text)
		return nil
	}
	if len(p.within(at.lead, n.end)) > 0 {
		lines := append(p.commentLines(at.lead, end, childIndent), f.lines...)
		p.splice(at.lead, end, head+eol+strings.Join(lines, eol))
		return nil
	}
	if at.dash && f.head == "" && head == "" && end == n.end {
		// - a: 1, rather than a dash alone on its line.
		p.splice(at.lead, n.end, " "+strings.Join(f.lines, eol)[childIndent:])
		return nil
	}
	p.splice(at.lead, n.end, head)
	if len(f.lines) > 0 {
		p.splice(end, end, eol+strings.Join(f.lines, eol))
	}
	return nil
}

// replaceBelow replaces a value whose text begins on a line below its key or dash.
func (p *plan) replaceBelow(n *node, at spot, f form, head string, indent int) {
	begin, end := p.lineStart(n.start), p.lineEnd(n.end)
	eol := p.lineBreak(n.start)
	comments := p.commentLines(begin, end, indent)
	p.splice(at.lead, at.lead, head)
	text := strings.Join(append(comments, f.lines...), eol)
	if text != "" {
		text = eol + text
	}
	p.splice(p.lineBefore(begin), end, text)
}

// hindered reports whether comments stand where the lines of a block scalar would
// have to.
func (p *plan) hindered(n *node, at spot, below bool) bool {
	if below {
		return len(p.within(p.lineEnd(at.lead), p.lineEnd(n.end))) > 0
	}
	return n.header == 0 && len(p.within(at.lead, n.end)) > 0
}

// commentLines are the comments between two places, each as a line.
func (p *plan) commentLines(from, to, indent int) []string {
	var lines []string
	for _, c := range p.within(from, to) {
		lines = append(lines, strings.Repeat(" ", indent)+string(p.text[c.start:c.end]))
	}
	return lines
}

// replaceRoot writes another value in place of the whole document.
func (p *plan) replaceRoot(n *node, want *value) error {
	end := p.lineEnd(n.end)
	eol := p.lineBreak(end)
	lines := p.commentLines(n.start, end, 0)
	switch {
	case want.kind == scalar:
		return fmt.Errorf("line %d: a document cannot become a plain value", n.line)
	case want.size == 1:
		lines = append(lines, map[kind]string{mapping: "{}", list: "[]"}[want.kind])
	default:
		more, err := p.lines(want, 0)
		if err != nil {
			return err
		}
		lines = append(lines, more...)
	}
	text := strings.Join(lines, eol)
	start := n.start
	if begin := p.lineStart(start); !blankLine(p.text[begin:start]) {
		text = eol + text
		start = begin + len(bytes.TrimRight(p.text[begin:start], " \t"))
	}
	p.splice(start, end, text)
	return nil
}
