package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	yaml "go.yaml.in/yaml/v4"
)

// readJSON reads one JSON value, which encoding/json found to be valid.
func readJSON(text []byte, doc document) (*tree, error) {
	t := newTree(text)
	t.json = true
	r := &jsonReader{text: text, doc: doc}
	if r.pos = skipBlank(text, 0); r.pos == len(text) {
		return t, nil
	}
	root, err := r.value(0)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", r.line+doc.lines+1, err)
	}
	if skipBlank(text, r.pos) != len(text) {
		return nil, errPlace
	}
	t.root = root
	return t, root.value.withinLimits()
}

type jsonReader struct {
	text   []byte
	doc    document
	pos    int
	values int
	// line and begins are the line of the place counted last, and where it begins.
	line, begins, counted int
}

func (r *jsonReader) begin() *node {
	for ; r.counted < r.pos; r.counted++ {
		if r.text[r.counted] == '\n' {
			r.line++
			r.begins = r.counted + 1
		}
	}
	n := &node{start: r.pos, body: r.pos, line: r.line + r.doc.lines + 1, column: r.pos - r.begins + 1}
	if r.begins == 0 && r.line == 0 {
		n.column += r.doc.column
	}
	return n
}

func (r *jsonReader) value(depth int) (*node, error) {
	if r.values++; r.values > maxValues {
		return nil, fmt.Errorf("the document has more than %d values; split it", maxValues)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	n := r.begin()
	var err error
	switch r.peek() {
	case '{':
		err = r.object(n, depth)
	case '[':
		err = r.list(n, depth)
	case '"':
		var s string
		s, err = r.string()
		n.value, n.style = scalarOf(s), yaml.DoubleQuotedStyle
	default:
		err = r.word(n)
	}
	n.end = r.pos
	return n, err
}

func (r *jsonReader) peek() byte {
	if r.pos < len(r.text) {
		return r.text[r.pos]
	}
	return 0
}

// after moves behind a separator and the white space around it.
func (r *jsonReader) after(c byte) bool {
	r.pos = skipBlank(r.text, r.pos)
	if r.peek() != c {
		return false
	}
	r.pos = skipBlank(r.text, r.pos+1)
	return true
}

func (r *jsonReader) object(n *node, depth int) error {
	n.kind, n.flow = mapping, true
	fields := map[string]*value{}
	r.pos = skipBlank(r.text, r.pos+1)
	for r.peek() != '}' {
		key := r.begin()
		name, err := r.string()
		if err != nil {
			return err
		}
		key.end, key.value, key.style = r.pos, scalarOf(name), yaml.DoubleQuotedStyle
		if _, twice := fields[name]; twice {
			return fmt.Errorf("key %q is given twice; remove one", name)
		}
		if !r.after(':') {
			return errPlace
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		fields[name] = v.value
		n.entries = append(n.entries, entry{start: key.start, name: name, key: key, value: v})
		if !r.after(',') && r.peek() != '}' {
			return errPlace
		}
	}
	r.pos++
	n.value = mapOf(fields)
	return nil
}

func (r *jsonReader) list(n *node, depth int) error {
	n.kind, n.flow = list, true
	var items []*value
	r.pos = skipBlank(r.text, r.pos+1)
	for r.peek() != ']' {
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		items = append(items, v.value)
		n.entries = append(n.entries, entry{start: v.start, value: v})
		if !r.after(',') && r.peek() != ']' {
			return errPlace
		}
	}
	r.pos++
	n.value = listOf(items)
	return nil
}

func (r *jsonReader) string() (string, error) {
	start := r.pos
	if r.peek() != '"' {
		return "", errPlace
	}
	for r.pos++; r.pos < len(r.text) && r.text[r.pos] != '"'; r.pos++ {
		if r.text[r.pos] == '\\' {
			r.pos++
		}
	}
	if r.pos >= len(r.text) {
		return "", errPlace
	}
	r.pos++
	var s string
	err := json.Unmarshal(r.text[start:r.pos], &s)
	return s, err
}

func (r *jsonReader) word(n *node) error {
	start := r.pos
	for r.pos < len(r.text) && bytes.IndexByte([]byte(" \t\r\n,:]}"), r.text[r.pos]) < 0 {
		r.pos++
	}
	var v any
	switch word := string(r.text[start:r.pos]); word {
	case "null":
	case "true", "false":
		v = word == "true"
	default:
		var err error
		if v, err = jsonNumber(word); err != nil {
			return err
		}
	}
	if r.pos == start {
		return errors.New("a value is missing")
	}
	n.value = scalarOf(v)
	return nil
}
