package text

import (
	"bytes"
	"fmt"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// flowEntries removes and adds entries of a collection in brackets. At least one
// entry is kept.
func (p *plan) flowEntries(n *node, kept []bool, added []addition) error {
	f := flowEditor{plan: p, node: n, kept: kept, last: len(kept) - 1}
	for !kept[f.last] {
		f.last--
	}
	for !kept[f.first] {
		f.first++
	}
	f.trailing = f.comma(len(kept)-1) >= 0
	grows := len(added) > 0 && added[len(added)-1].after == f.last
	if f.last < len(kept)-1 && !grows && !f.trailing {
		comma := f.comma(f.last)
		p.splice(comma, comma+1, "")
	}
	for i := range kept {
		if kept[i] {
			continue
		}
		if err := f.remove(i); err != nil {
			return err
		}
	}
	for i := 0; i < len(added); {
		j := i + 1
		for j < len(added) && added[j].after == added[i].after {
			j++
		}
		if err := f.add(added[i:j]); err != nil {
			return err
		}
		i = j
	}
	return nil
}

type flowEditor struct {
	*plan
	node *node
	kept []bool
	// first and last are the outermost entries that are kept; trailing says
	// whether a comma follows the last entry of all.
	first, last int
	trailing    bool
}

// comma is the place of the comma behind entry i, -1 where there is none.
func (f *flowEditor) comma(i int) int {
	if at := skipTrivia(f.text, f.node.entries[i].end()); at < len(f.text) && f.text[at] == ',' {
		return at
	}
	return -1
}

// ownLine reports whether an entry is the first thing on its line.
func (f *flowEditor) ownLine(i int) bool {
	at := f.node.entries[i].start
	begin := f.lineStart(at)
	return begin > f.node.body && blankLine(f.text[begin:at])
}

// remove takes out an entry with the comma behind it.
func (f *flowEditor) remove(i int) error {
	e := f.node.entries[i]
	start, end := e.start, e.end()
	if comma := f.comma(i); comma >= 0 {
		end = comma + 1
	}
	if len(f.within(start, end)) > 0 {
		return fmt.Errorf("line %d: a comment stands in what is to be removed from brackets; remove it by hand", f.node.line)
	}
	line := f.lineEnd(end)
	rest := f.text[end:line]
	switch {
	case f.ownLine(i) && blankLine(rest):
		start, end = f.lineBefore(f.lineStart(start)), line
	case i > f.last && !f.ownLine(i):
		start = f.comma(i-1) + 1
	case i < f.last || f.comma(i) >= 0:
		end += len(rest) - len(bytes.TrimLeft(rest, " \t"))
	}
	f.splice(start, end, "")
	return nil
}

// add writes entries behind one that is kept, or before the first that is.
func (f *flowEditor) add(added []addition) error {
	after := added[0].after
	near := max(after, f.first)
	separator, b := f.separator(near)
	var parts []string
	for _, a := range added {
		var text string
		var err error
		if f.node.kind == list {
			text, err = f.flow(a.value, b, 0)
		} else {
			text, err = f.pair(a.key, a.value, b)
		}
		if err != nil {
			return err
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, ","+separator)
	if after < 0 {
		at := f.node.entries[f.first].start
		f.splice(at, at, text+","+separator)
		return nil
	}
	at := f.comma(after) + 1
	if at == 0 {
		at = f.node.entries[after].end()
		comma := ","
		if at > 0 && f.text[at-1] == ':' { // without a value: a:, would be text to YAML 1.1
			comma = " ,"
		}
		f.splice(at, at, comma)
	} else if after < f.last || f.trailing {
		text += ","
	}
	// An end-of-line comment stays with the entry that it follows.
	if end := f.lineEnd(at); strings.Contains(separator, "\n") {
		if next := skipBlank(f.text, at); next >= end || f.text[next] == '#' {
			at = end
		}
	}
	f.splice(at, at, separator+text)
	return nil
}

// separator is what stands between an entry and the next, its comma aside, and
// how a value is to be written there.
func (f *flowEditor) separator(near int) (string, brackets) {
	b := f.brackets(f.node)
	e := f.node.entries[near]
	if f.ownLine(near) {
		b.around = string(f.text[f.lineStart(e.start):e.start])
		return b.eol + b.around, b
	}
	b.unit = ""
	if len(f.node.entries) > 1 {
		between := string(f.text[f.node.entries[0].end():f.node.entries[1].start])
		if space, ok := strings.CutPrefix(between, ","); ok && strings.Trim(space, " \t") == "" {
			return space, b
		}
	}
	return strings.TrimPrefix(f.style.comma, ","), b
}

// brackets is how values in or beside n are to be written.
func (p *plan) brackets(n *node) brackets {
	b := brackets{quoted: p.json, eol: p.lineBreak(n.start)}
	if n.kind == mapping && len(n.entries) > 0 && n.entries[0].key.style&yaml.DoubleQuotedStyle != 0 {
		b.quoted = true
	}
	if b.quoted {
		b.unit = p.unit
	}
	line := p.text[p.lineStart(n.start):]
	b.around = string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
	return b
}

// replaceFlow writes another value in place of one inside brackets.
func (p *plan) replaceFlow(n *node, want *value) error {
	if len(p.within(n.start, n.end)) > 0 {
		return fmt.Errorf("line %d: a comment stands in what is to be replaced in brackets; replace it by hand", n.line)
	}
	text, err := p.flow(want, p.brackets(n), n.style)
	if err != nil {
		return err
	}
	if n.anchor != "" && n.kind != alias {
		text = "&" + n.anchor + " " + text
	}
	end := n.end
	if n.start == n.end && n.start > 0 {
		for end+1 < len(p.text) && p.text[end] == ' ' && strings.IndexByte(" ,]}", p.text[end+1]) >= 0 {
			end++
		}
		switch p.text[n.start-1] {
		case ':':
			text = " " + text
		case ' ', '\t', '\n', '[', ',':
		default:
			text = ": " + text
		}
	}
	p.splice(n.start, end, text)
	return nil
}
