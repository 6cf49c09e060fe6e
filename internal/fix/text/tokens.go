package text

import (
	"bytes"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"
)

// scalarEnd finds where a scalar ends, which the library does not say.
func (r *reader) scalarEnd(out *node, n *yaml.Node, parent *node) error {
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return r.blockEnd(out, parent)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return r.quotedEnd(out, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		return r.quotedEnd(out, '\'')
	case n.Value == "":
		// Nothing is written, but for an anchor or a tag.
		out.body = max(out.start, out.end)
		out.end = out.body
		return nil
	}
	return r.plainEnd(out, n.Value)
}

func (r *reader) quotedEnd(out *node, quote byte) error {
	pos := out.body
	if pos >= len(r.text) || r.text[pos] != quote {
		return errPlace
	}
	for pos++; pos < len(r.text); pos++ {
		switch {
		case r.text[pos] == '\\' && quote == '"':
			pos++
		case r.text[pos] != quote:
		case quote == '\'' && pos+1 < len(r.text) && r.text[pos+1] == quote:
			pos++
		default:
			out.end = pos + 1
			return nil
		}
	}
	return errPlace
}

// plainEnd follows the value of a plain scalar through its text. The two differ
// in line breaks only: one is read as a space, more as one less.
func (r *reader) plainEnd(out *node, value string) error {
	pos := out.body
	for i := 0; i < len(value); {
		space := pos
		breaks := 0
		for space < len(r.text) && bytes.IndexByte([]byte(" \t\r\n"), r.text[space]) >= 0 {
			if r.text[space] == '\n' {
				breaks++
			}
			space++
		}
		switch {
		case breaks == 1 && value[i] == ' ':
			i++
			pos = space
		case breaks > 1:
			for ; breaks > 1; breaks-- {
				if i >= len(value) || value[i] != '\n' {
					return errPlace
				}
				i++
			}
			pos = space
		case breaks == 0 && pos < len(r.text) && r.text[pos] == value[i]:
			_, size := utf8.DecodeRuneInString(value[i:])
			for ; size > 0 && pos < len(r.text) && i < len(value) && r.text[pos] == value[i]; size-- {
				i++
				pos++
			}
		default:
			return errPlace
		}
	}
	out.end = pos
	return nil
}

// blockEnd finds the end of a literal or folded scalar (YAML 1.2, 8.1): the first
// line that is indented less than its content.
func (r *reader) blockEnd(out *node, parent *node) error {
	pos := out.body
	if pos >= len(r.text) || r.text[pos] != '|' && r.text[pos] != '>' {
		return errPlace
	}
	keep, digit := false, 0
	for pos++; pos < len(r.text) && bytes.IndexByte([]byte("+-123456789"), r.text[pos]) >= 0; pos++ {
		switch c := r.text[pos]; c {
		case '+':
			keep = true
		case '-':
		default:
			digit = int(c - '0')
		}
	}
	out.header, out.end = pos, pos
	around := -1 // how far the parent is indented
	if parent != nil {
		around = r.tree.indent(parent)
	}
	indent := max(around, 0) + digit
	out.text = lineAfter(r.text, pos)
	for pos = out.text; pos < len(r.text); pos = lineAfter(r.text, pos) {
		spaces := pos
		for spaces < len(r.text) && r.text[spaces] == ' ' {
			spaces++
		}
		blank := spaces == len(r.text) || r.text[spaces] == '\n' || r.text[spaces] == '\r'
		if digit == 0 && !blank {
			// The first line with content says how far all are indented.
			digit, indent = 1, max(spaces-pos, around+1)
		}
		switch {
		case blank && (digit == 0 || spaces-pos <= indent):
			if keep {
				out.end = lineEnd(r.text, pos)
			}
		case spaces-pos < indent:
			return nil
		default:
			out.end = lineEnd(r.text, pos)
		}
	}
	return nil
}

// findComments looks for comments in what no scalar takes up.
func (r *reader) findComments() {
	pos := 0
	for _, n := range r.nodes {
		if n.header > 0 {
			r.commentsIn(pos, n.body)
			r.commentsIn(n.header, min(n.text, len(r.text)))
			pos = max(n.text, n.end)
			continue
		}
		r.commentsIn(pos, n.body)
		pos = n.end
	}
	r.commentsIn(pos, len(r.text))
}

func (r *reader) commentsIn(pos, end int) {
	for pos < end {
		i := bytes.IndexByte(r.text[pos:end], '#')
		if i < 0 {
			return
		}
		pos += i
		if pos > 0 && bytes.IndexByte([]byte(" \t\n"), r.text[pos-1]) < 0 {
			pos++ // within a tag or a directive
			continue
		}
		stop := lineEnd(r.text, pos)
		r.tree.comments = append(r.tree.comments, place{pos, stop})
		pos = stop
	}
}
