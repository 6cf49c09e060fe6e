package text

import (
	"bytes"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// style is how a document is written, so that what is added looks like the rest.
type style struct {
	// step is how far the fields of a map are indented below their key; dash, how
	// far the dashes of a list are.
	step, dash int
	// quote is the mark that strings are quoted with.
	quote byte
	// colon and comma are the separators inside brackets on one line.
	colon, comma string
	// unit is the indentation of what stands in brackets over several lines; empty
	// where all of it is on one line.
	unit string
	// unended says that the last line has no line break, so that a text that ends
	// in one cannot stand there over several lines.
	unended bool
}

// styleOf finds the style that most of a document has.
func styleOf(t *tree) style {
	s := style{step: 2, quote: '"', colon: ": ", comma: ", "}
	c := &styleCounts{tree: t, steps: map[int]int{}, items: map[int]int{}, colons: map[string]int{}, commas: map[string]int{}}
	if t.root != nil {
		c.node(t.root)
	}
	s.step = most(c.steps, s.step)
	s.dash = most(c.items, s.dash)
	s.colon = most(c.colons, s.colon)
	s.comma = most(c.commas, s.comma)
	s.unit = c.unit
	s.unended = len(t.text) > 0 && t.text[len(t.text)-1] != '\n'
	if c.single > c.double {
		s.quote = '\''
	}
	if t.json {
		s.jsonSeparators(c)
	}
	return s
}

// jsonSeparators settles what a JSON document is too small to show: one that is
// written without a space after a colon has none after a comma, and the reverse.
func (s *style) jsonSeparators(c *styleCounts) {
	s.quote = '"'
	if len(c.commas) == 0 && !strings.HasSuffix(s.colon, " ") {
		s.comma = ","
	}
	if len(c.colons) == 0 && s.comma == "," {
		s.colon = ":"
	}
}

type styleCounts struct {
	*tree
	steps, items   map[int]int
	colons, commas map[string]int
	single, double int
	unit           string
}

// most is the key with the highest count, the smaller one of two.
func most[K int | string](counts map[K]int, otherwise K) K {
	best := 0
	for k, n := range counts {
		if n > best || n == best && k < otherwise {
			best, otherwise = n, k
		}
	}
	return otherwise
}

func (c *styleCounts) node(n *node) {
	switch {
	case n.style&yaml.SingleQuotedStyle != 0:
		c.single++
	case n.style&yaml.DoubleQuotedStyle != 0:
		c.double++
	}
	if n.flow && len(n.entries) > 0 {
		c.flow(n)
	}
	for _, e := range n.entries {
		if e.key != nil {
			c.field(n, e)
		}
		c.node(e.value)
	}
}

func (c *styleCounts) field(n *node, e entry) {
	v := e.value
	if n.flow {
		if colon := bytes.IndexByte(c.text[e.key.end:v.start], ':'); colon >= 0 && blankLine(c.text[e.key.end+colon+1:v.start]) {
			c.colons[string(c.text[e.key.end:v.start])]++
		}
		return
	}
	if v.flow || len(v.entries) == 0 {
		return
	}
	if below := c.indent(v) - c.indent(n); v.kind == list {
		c.items[below]++
	} else if below > 0 {
		c.steps[below]++
	}
}

func (c *styleCounts) flow(n *node) {
	for i := range n.entries[1:] {
		between := string(c.text[n.entries[i].end():n.entries[i+1].start])
		if strings.Trim(between, ", \t") == "" {
			c.commas[between]++
		}
	}
	if n.bare || c.unit != "" {
		return
	}
	first := n.entries[0].start
	if bytes.IndexByte(c.text[n.body:first], '\n') < 0 {
		return
	}
	if begin := c.lineStart(first); begin > n.start {
		around := c.text[c.lineStart(n.body):]
		around = around[:len(around)-len(bytes.TrimLeft(around, " \t"))]
		inside := c.text[begin:first]
		if blankLine(inside) && bytes.HasPrefix(inside, around) {
			c.unit = string(inside[len(around):])
		}
	}
}

func blankLine(text []byte) bool { return len(bytes.Trim(text, " \t\r\n")) == 0 }
