package text

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"bulkhead.dev/bulkhead/internal/yaml11"
)

// node is a value as it is written: where its text begins and ends. Places are
// offsets in the text of the document.
type node struct {
	kind kind
	// value is what the node means; an alias means what its target does.
	value  *value
	target *node
	// start is where the node begins, with its anchor and its tag; body is where
	// it begins without them.
	start, body, end int
	// line and column are those that the loader gives it in the file.
	line, column int
	// flow is a collection in brackets; bare is one of those that has none, as the
	// map in [a: b].
	flow, bare bool
	style      yaml.Style
	anchor     string
	entries    []entry
	// merges says that a map takes in others (<<); explicit, that keys are marked
	// with a question mark.
	merges, explicit bool
	// text and header are, of a block scalar, where its content begins and where
	// its indicators end.
	header, text int
}

// entry is an item of a list, or a key and a value of a map. It starts with its
// dash in a list in block style, else with its key or item.
type entry struct {
	start int
	name  string
	merge bool
	key   *node
	value *node
}

func (e entry) end() int {
	if e.key != nil {
		return max(e.key.end, e.value.end)
	}
	return max(e.start, e.value.end)
}

var errPlace = errors.New("the text could not be matched to its values")

// reader turns YAML nodes into nodes that know where they end.
type reader struct {
	text     []byte
	doc      document
	scalars  *scalars
	anchored map[*yaml.Node]*node
	tree     *tree
	values   int
	// The place last looked up, so that places in order cost no more than the text.
	line, column, offset int
	nodes                []*node // scalars and aliases, in the order of the text
}

// readYAML reads the text of one document.
func readYAML(text []byte, doc document, s *scalars) (*tree, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("malformed YAML: %w", err)
	}
	t := newTree(text)
	r := &reader{text: text, doc: doc, scalars: s, anchored: map[*yaml.Node]*node{}, tree: t}
	if root.Kind != 0 && len(root.Content) > 0 {
		n, err := r.node(root.Content[0], nil, 0)
		if err != nil {
			return nil, err
		}
		if err := n.value.withinLimits(); err != nil {
			return nil, err
		}
		t.root = n
	}
	r.findComments()
	return t, nil
}

// find is the offset of a line and column, counted as the library does: from 1,
// columns in characters.
func (r *reader) find(line, column int) (int, error) {
	if line < 1 || line > len(r.tree.starts) || column < 1 {
		return 0, errPlace
	}
	if line != r.line || column < r.column {
		r.line, r.column, r.offset = line, 1, r.tree.starts[line-1]
	}
	for r.column < column {
		if r.offset >= len(r.text) || r.text[r.offset] == '\n' {
			return 0, errPlace
		}
		r.offset++
		for r.offset < len(r.text) && r.text[r.offset]&0xc0 == 0x80 {
			r.offset++
		}
		r.column++
	}
	return r.offset, nil
}

func (r *reader) errorf(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", n.Line+r.doc.lines, fmt.Errorf(format, args...))
}

// node reads n, which stands in parent.
func (r *reader) node(n *yaml.Node, parent *node, depth int) (*node, error) {
	if r.values++; r.values > maxValues {
		return nil, r.errorf(n, "the document has more than %d values; split it", maxValues)
	}
	if depth > maxDepth {
		return nil, r.errorf(n, "nested deeper than %d levels", maxDepth)
	}
	start, err := r.find(n.Line, n.Column)
	if err != nil {
		return nil, r.errorf(n, "%w", err)
	}
	out := &node{start: start, body: start, style: n.Style, anchor: n.Anchor, line: n.Line + r.doc.lines, column: n.Column}
	if !plainAnchor(n.Anchor) {
		return nil, r.errorf(n, "programs disagree about where the name of the anchor &%s ends; use letters and digits only", n.Anchor)
	}
	if n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 || n.Tag == "!" {
		r.properties(out)
	}
	switch n.Kind {
	case yaml.AliasNode:
		err = r.alias(out, n)
	case yaml.ScalarNode:
		err = r.scalar(out, n, parent)
	case yaml.MappingNode, yaml.SequenceNode:
		err = r.collection(out, n, depth)
	default:
		err = errors.New("cannot read this kind of YAML node")
	}
	if err != nil {
		return nil, err
	}
	if out.end < out.body || out.end > len(r.text) {
		return nil, r.errorf(n, "%w", errPlace)
	}
	if n.Anchor != "" {
		r.anchored[n] = out
	}
	return out, nil
}

// plainAnchor reports whether the name of an anchor is one to the YAML 1.1 library
// as well, to which &a:b is the anchor a before the value :b.
func plainAnchor(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// properties moves the body of n behind its anchor and its tag.
func (r *reader) properties(n *node) {
	for n.body < len(r.text) && (r.text[n.body] == '&' || r.text[n.body] == '!') {
		end := n.body
		for end < len(r.text) && bytes.IndexByte([]byte(" \t\r\n"), r.text[end]) < 0 &&
			(r.text[end] != ',' && r.text[end] != ']' && r.text[end] != '}' || r.text[n.body] == '!' && r.text[n.body+1] == '<') {
			end++
		}
		n.end = end // of a value that is empty
		n.body = r.skip(end)
	}
}

// skip moves over white space and comments.
func (r *reader) skip(pos int) int { return skipTrivia(r.text, pos) }

func skipTrivia(text []byte, pos int) int {
	for pos < len(text) {
		switch c := text[pos]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			pos++
		case c == '#' && (pos == 0 || bytes.IndexByte([]byte(" \t\n"), text[pos-1]) >= 0):
			pos = lineEnd(text, pos)
		default:
			return pos
		}
	}
	return pos
}

func (r *reader) alias(out *node, n *yaml.Node) error {
	out.kind, out.target = alias, r.anchored[n.Alias]
	if out.target == nil {
		return r.errorf(n, "alias *%s contains itself", n.Value)
	}
	out.value = out.target.value
	out.end = out.body + 1 + len(n.Value)
	r.tree.aliases = true
	r.nodes = append(r.nodes, out)
	return nil
}

func (r *reader) scalar(out *node, n *yaml.Node, parent *node) error {
	v, err := r.scalars.value(n)
	if err != nil {
		return r.errorf(n, "%w", err)
	}
	out.value = scalarOf(v)
	if err := r.scalarEnd(out, n, parent); err != nil {
		return r.errorf(n, "%w", err)
	}
	r.nodes = append(r.nodes, out)
	return nil
}

func (r *reader) collection(out *node, n *yaml.Node, depth int) error {
	out.kind = list
	if n.Kind == yaml.MappingNode {
		out.kind = mapping
	}
	out.flow = n.Style&yaml.FlowStyle != 0
	open := out.body < len(r.text) && (r.text[out.body] == '[' || r.text[out.body] == '{')
	out.bare = out.flow && !open
	var err error
	if out.kind == mapping {
		err = r.mapping(out, n, depth)
	} else {
		err = r.list(out, n, depth)
	}
	if err != nil {
		return err
	}
	if end := len(out.entries); end > 0 {
		out.end = out.entries[end-1].end()
	} else {
		out.end = out.body + 1
	}
	if out.flow && !out.bare {
		return r.closing(out, n)
	}
	return nil
}

// closing finds the bracket that ends a collection in flow style. Between it and
// the last entry stands nothing that has a value.
func (r *reader) closing(out *node, n *yaml.Node) error {
	pos := r.skip(out.end)
	for pos < len(r.text) && (r.text[pos] == ',' || r.text[pos] == ':' || r.text[pos] == '?') {
		pos = r.skip(pos + 1)
	}
	want := byte(']')
	if out.kind == mapping {
		want = '}'
	}
	if pos >= len(r.text) || r.text[pos] != want {
		return r.errorf(n, "%w", errPlace)
	}
	out.end = pos + 1
	return nil
}

// entryStart is where the entry after pos begins.
func (r *reader) entryStart(out *node, pos int) int {
	pos = r.skip(pos)
	if out.flow && pos < len(r.text) && r.text[pos] == ',' {
		pos = r.skip(pos + 1)
	}
	return pos
}

func (r *reader) firstStart(out *node) int {
	if out.flow && !out.bare {
		return r.skip(out.body + 1)
	}
	return out.body
}

func (r *reader) list(out *node, n *yaml.Node, depth int) error {
	items := make([]*value, 0, len(n.Content))
	pos := r.firstStart(out)
	for _, c := range n.Content {
		e := entry{start: pos}
		if !out.flow && (pos >= len(r.text) || r.text[pos] != '-') {
			return r.errorf(c, "%w", errPlace)
		}
		var err error
		if e.value, err = r.node(c, out, depth+1); err != nil {
			return err
		}
		if e.value.start < pos {
			return r.errorf(c, "%w", errPlace)
		}
		out.entries = append(out.entries, e)
		items = append(items, e.value.value)
		pos = r.entryStart(out, max(e.end(), pos+1))
	}
	out.value = listOf(items)
	return nil
}

func (r *reader) mapping(out *node, n *yaml.Node, depth int) error {
	pos := r.firstStart(out)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		key, err := r.node(k, out, depth+1)
		if err != nil {
			return err
		}
		e := entry{start: pos, key: key}
		if key.start != pos {
			out.explicit = true
		}
		if e.merge = k.Kind == yaml.ScalarNode && k.Value == "<<" && k.Style == 0; e.merge {
			out.merges = true
		} else if e.name, err = keyName(k, key.value); err != nil {
			return r.errorf(k, "%w", err)
		}
		if e.value, err = r.fieldValue(out, key, v, depth); err != nil {
			return err
		}
		if key.start < pos || e.value.start < key.end {
			return r.errorf(k, "%w", errPlace)
		}
		out.entries = append(out.entries, e)
		pos = r.entryStart(out, e.end())
	}
	fields, err := r.fields(out, n)
	if err != nil {
		return err
	}
	out.value = mapOf(fields)
	return nil
}

// fieldValue reads the value of a key. The library does not say precisely where
// an empty one stands: behind the colon, or behind the key where there is none.
func (r *reader) fieldValue(out, key *node, v *yaml.Node, depth int) (*node, error) {
	empty := v.Kind == yaml.ScalarNode && v.Value == "" && v.Style == 0 && v.Anchor == "" && v.Tag != "!"
	if !empty {
		return r.node(v, out, depth+1)
	}
	r.values++
	at := key.end
	if colon := r.skip(key.end); colon < len(r.text) && r.text[colon] == ':' {
		at = colon + 1
	}
	if out.flow && at > key.end && at < len(r.text) && strings.IndexByte(",]}", r.text[at]) >= 0 && r.text[key.body] != '"' && r.text[key.body] != '\'' {
		return nil, r.errorf(v, "programs disagree whether the colon in %s is part of the text; write a space behind it", r.text[key.body:at+1])
	}
	n := &node{start: at, body: at, end: at, value: scalarOf(nil), line: key.line, column: v.Column}
	return n, nil
}

// keyName is a key as JSON has it, with what its scalar means as a value.
func keyName(n *yaml.Node, v *value) (string, error) {
	if v.kind != scalar {
		return "", errors.New("a key must be a plain value, not a list or a map")
	}
	if s, ok := v.scalar.(string); ok {
		return s, nil
	}
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return yaml11.Key(n.Tag, n.Value)
	}
	return yaml11.Key("", n.Value)
}

// fields collects what a map means: its own entries, and of what it merges those
// that it does not give itself, an earlier merge before a later.
func (r *reader) fields(out *node, n *yaml.Node) (map[string]*value, error) {
	fields := make(map[string]*value, len(out.entries))
	for _, e := range out.entries {
		if e.merge {
			continue
		}
		if _, twice := fields[e.name]; twice {
			return nil, r.errorf(n, "key %q is given twice; remove one", e.name)
		}
		fields[e.name] = e.value.value
	}
	for _, e := range out.entries {
		if !e.merge {
			continue
		}
		maps, err := mergedMaps(e.value)
		if err != nil {
			return nil, r.errorf(n, "%w", err)
		}
		for _, m := range maps {
			if r.values += len(m.value.fields); r.values > maxValues {
				return nil, r.errorf(n, "the document has more than %d values once its aliases are expanded; split it", maxValues)
			}
			for k, v := range m.value.fields {
				if _, given := fields[k]; !given {
					fields[k] = v
				}
			}
		}
	}
	return fields, nil
}

// mergedMaps are the maps that the value of a merge key names, aliases resolved.
func mergedMaps(n *node) ([]*node, error) {
	items := []*node{n}
	if n.kind == list {
		items = nil
		for _, e := range n.entries {
			items = append(items, e.value)
		}
	} else if n.kind == alias && n.target.kind == list {
		return mergedMaps(n.target)
	}
	out := make([]*node, 0, len(items))
	for _, i := range items {
		if i.kind == alias {
			i = i.target
		}
		if i.kind != mapping {
			return nil, errors.New("a merge key (<<) needs a mapping or a list of mappings")
		}
		out = append(out, i)
	}
	return out, nil
}
