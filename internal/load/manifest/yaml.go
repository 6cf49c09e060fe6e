package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	yamlv2 "go.yaml.in/yaml/v2"
	yaml "go.yaml.in/yaml/v4"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/yaml11"
)

// document is one YAML document and the number of lines before it.
type document struct {
	text  []byte
	lines int
}

// documents splits a stream at its document markers: lines that begin with ---
// (YAML 1.2, 9.1.2). A marker belongs to the document that it opens, because
// content may follow it on its line; directives before it belong there too.
func documents(data []byte) iter.Seq[document] {
	return func(yield func(document) bool) {
		start, startLine, line := 0, 0, 0
		blank := true // nothing but comments and directives since start
		for pos := 0; pos < len(data); line++ {
			end := pos + bytes.IndexByte(data[pos:], '\n') + 1
			if end == pos {
				end = len(data)
			}
			text := data[pos:end]
			if marker(text) && !blank {
				if !yield(document{data[start:pos], startLine}) {
					return
				}
				start, startLine, blank = pos, line, true
			}
			if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] != '#' && trimmed[0] != '%' {
				blank = blank && marker(text) && len(trimmed) == 3
			}
			pos = end
		}
		if !blank {
			yield(document{data[start:], startLine})
		}
	}
}

func marker(line []byte) bool {
	return bytes.HasPrefix(line, []byte("---")) && (len(line) == 3 || bytes.IndexByte([]byte(" \t\r\n"), line[3]) >= 0)
}

func (f *file) decodeYAML(doc document) {
	content, spans, err := f.parseYAML(doc)
	switch {
	case err != nil:
		f.fail(hint(err, doc))
	case content != nil:
		f.add(content, spans)
	}
}

// parseYAML returns what a document means and where its values stand; nil for a
// document that holds nothing.
func (f *file) parseYAML(doc document) (any, model.Spans, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(doc.text, &root); err != nil {
		return nil, nil, syntaxError(err, doc)
	}
	if root.Kind == 0 || len(root.Content) == 0 {
		return nil, nil, nil
	}
	if bytes.ContainsAny(doc.text, "[{") {
		if m := disputed.FindIndex(doc.text); m != nil {
			if err := agreed(&root, doc, m[0]); err != nil {
				return nil, nil, err
			}
		}
	}
	b := builder{scalars: &f.decoder.scalars, lines: doc.lines, spans: make(model.Spans, 0, 64)}
	content, err := b.value(root.Content[0], b.span(root.Content[0]), 0)
	return content, slices.Clip(b.spans), err
}

// disputed is a colon that ends an item in flow style, [a:], or a question mark
// that begins one, [?a]. What is a key and what a text there differs between YAML
// 1.2 and kubectl's 1.1.
var disputed = regexp.MustCompile(`:[,\]}]|[\[{,]\s*\?`)

// agreed refuses a document with such a place unless both readings are the same:
// what is judged must be what is applied.
func agreed(root *yaml.Node, doc document, at int) error {
	var theirs, ours any
	if err := yamlv2.Unmarshal(doc.text, &theirs); err != nil {
		return nil // kubectl refuses it too
	}
	if err := root.Decode(&ours); err != nil {
		return nil
	}
	if shape(theirs) != shape(ours) {
		line := 1 + doc.lines + bytes.Count(doc.text[:at], []byte("\n"))
		return problemf(line, 0, "an item in flow style ends in a colon or begins with a question mark, which YAML 1.1 (kubectl) and YAML 1.2 read differently; quote the text")
	}
	return nil
}

// shape writes which maps and lists a document is made of, scalars left out.
func shape(v any) string {
	switch v := v.(type) {
	case map[any]any:
		parts := make([]string, 0, len(v))
		for k, e := range v {
			parts = append(parts, fmt.Sprint(k)+":"+shape(e))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for k, e := range v {
			parts = append(parts, k+":"+shape(e))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = shape(e)
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return "."
}

// syntaxError moves the place that the parser counted from the document's start
// to the file's.
func syntaxError(err error, doc document) error {
	p := problemf(doc.lines+1, 0, "malformed YAML: %v", err)
	var load *yaml.LoadError
	if errors.As(err, &load) {
		p = problemf(doc.lines+max(load.Mark.Line, 1), load.Mark.Column, "malformed YAML: %s", load.Message)
	}
	return p
}

// hint adds to an error what most often caused it, judging by its line.
func hint(err error, doc document) error {
	var p *problem
	if !errors.As(err, &p) {
		return err
	}
	text := lineOf(doc.text, p.line-doc.lines)
	if bytes.Contains(leading(text), []byte("\t")) {
		p.message += "; the line is indented with a tab, use spaces"
	} else if bytes.Contains(text, []byte("{{")) {
		p.message += "; the line holds a template action: render the file first, or give the folder of its chart"
	}
	return p
}

func lineOf(text []byte, n int) []byte {
	for range n - 1 {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return nil
		}
		text = text[i+1:]
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return line
}

func leading(line []byte) []byte {
	return line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
}

// builder turns a tree of YAML nodes into plain values and their spans.
type builder struct {
	scalars *scalars
	lines   int
	spans   model.Spans
	values  int
	entries []entry
	// open are the anchors being expanded: an alias to one of them has no end.
	open []*yaml.Node
}

func (b *builder) span(n *yaml.Node) model.Span {
	return model.Span{Line: uint32(n.Line + b.lines), Column: uint32(n.Column)}
}

func (b *builder) errorf(n *yaml.Node, format string, args ...any) error {
	return problemf(n.Line+b.lines, n.Column, format, args...)
}

// value appends the spans of n and returns what it means. The span of n itself
// is handed in: that of its key, where it has one.
func (b *builder) value(n *yaml.Node, at model.Span, depth int) (any, error) {
	if b.values++; b.values > MaxValues {
		return nil, b.errorf(n, "the document has more than %d values once its aliases are expanded; split it", MaxValues)
	}
	if depth > MaxDepth {
		return nil, b.errorf(n, "nested deeper than %d levels", MaxDepth)
	}
	switch n.Kind {
	case yaml.AliasNode:
		if n.Alias == nil || slices.Contains(b.open, n.Alias) {
			return nil, b.errorf(n, "alias *%s contains itself", n.Value)
		}
		b.open = append(b.open, n.Alias)
		defer func() { b.open = b.open[:len(b.open)-1] }()
		return b.value(n.Alias, at, depth)
	case yaml.ScalarNode:
		b.spans = append(b.spans, at)
		return b.scalar(n)
	case yaml.SequenceNode:
		b.spans = append(b.spans, at)
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			v, err := b.value(c, b.span(c), depth+1)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case yaml.MappingNode:
		b.spans = append(b.spans, at)
		return b.mapping(n, depth)
	}
	return nil, b.errorf(n, "cannot read this kind of YAML node")
}

func (b *builder) scalar(n *yaml.Node) (any, error) {
	v, err := b.scalars.value(n)
	if err != nil {
		return nil, b.errorf(n, "%v", err)
	}
	return v, nil
}

// entry is one key of a mapping, with its node and that of its value.
type entry struct {
	name       string
	key, value *yaml.Node
}

func (b *builder) mapping(n *yaml.Node, depth int) (any, error) {
	// The entries of open mappings lie on one stack, so that a map costs no more
	// than itself.
	start := len(b.entries)
	defer func() { b.entries = b.entries[:start] }()
	if err := b.collect(n, start, depth); err != nil {
		return nil, err
	}
	end := len(b.entries)
	// Spans follow the sorted keys, so values are built in that order.
	slices.SortFunc(b.entries[start:end], func(x, y entry) int { return strings.Compare(x.name, y.name) })
	if end-start <= maxLeaf && !slices.ContainsFunc(b.entries[start:end], func(e entry) bool { return e.value.Kind != yaml.ScalarNode }) {
		return b.leaf(b.entries[start:end], depth)
	}
	m := make(map[string]any, end-start)
	for i := start; i < end; i++ {
		e := b.entries[i]
		v, err := b.value(e.value, b.span(e.key), depth+1)
		if err != nil {
			return nil, err
		}
		m[e.name] = v
	}
	return m, nil
}

// maxLeaf is how many entries a map may have that is looked for among those that
// were met before.
const maxLeaf = 8

// leaf builds a mapping that holds nothing but a few scalars.
func (b *builder) leaf(entries []entry, depth int) (any, error) {
	var names [maxLeaf]string
	var values [maxLeaf]any
	for i, e := range entries {
		v, err := b.value(e.value, b.span(e.key), depth+1)
		if err != nil {
			return nil, err
		}
		names[i], values[i] = e.name, v
	}
	return b.scalars.Leaf(names[:len(entries)], values[:len(entries)]), nil
}

// collect gathers the entries of a mapping from b.entries[start] on, and of what
// it merges (<<). An entry of the mapping itself wins over a merged one, an
// earlier merge over a later.
func (b *builder) collect(n *yaml.Node, start, depth int) error {
	own := len(b.entries)
	// A merged mapping is compared with what is there: that is the work to bound.
	if b.values += len(n.Content) * (own - start) / 64; b.values > MaxValues {
		return b.errorf(n, "the document has more than %d values once its aliases are expanded; split it", MaxValues)
	}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if isMerge(k) {
			merges = append(merges, v)
			continue
		}
		name, err := b.key(k)
		if err != nil {
			return err
		}
		if own > start && slices.ContainsFunc(b.entries[start:own], func(e entry) bool { return e.name == name }) {
			continue // merged, and given already
		}
		b.entries = append(b.entries, entry{name, k, v})
	}
	if err := b.duplicates(own); err != nil {
		return err
	}
	for _, m := range merges {
		if err := b.merge(m, start, depth); err != nil {
			return err
		}
	}
	return nil
}

func isMerge(k *yaml.Node) bool {
	return k.Kind == yaml.ScalarNode && k.Value == "<<" && k.Style == 0
}

// duplicates reports a key that one mapping gives twice.
func (b *builder) duplicates(own int) error {
	entries := b.entries[own:]
	if len(entries) <= 16 { // most mappings: no need to sort
		for i, e := range entries {
			for _, first := range entries[:i] {
				if first.name == e.name {
					return b.givenTwice(first, e)
				}
			}
		}
		return nil
	}
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(x, y entry) int { return strings.Compare(x.name, y.name) })
	for i := range entries[1:] {
		if entries[i].name == entries[i+1].name {
			return b.givenTwice(entries[i], entries[i+1])
		}
	}
	return nil
}

func (b *builder) givenTwice(first, second entry) error {
	return b.errorf(second.key, "key %q is given twice, first in line %d; remove one", second.name, first.key.Line+b.lines)
}

func (b *builder) merge(n *yaml.Node, start, depth int) error {
	if b.values++; b.values > MaxValues {
		return b.errorf(n, "the document has more than %d values once its aliases are expanded; split it", MaxValues)
	}
	if depth > MaxDepth {
		return b.errorf(n, "nested deeper than %d levels", MaxDepth)
	}
	switch {
	case n.Kind == yaml.AliasNode && n.Alias != nil && !slices.Contains(b.open, n.Alias):
		b.open = append(b.open, n.Alias)
		defer func() { b.open = b.open[:len(b.open)-1] }()
		return b.merge(n.Alias, start, depth+1)
	case n.Kind == yaml.MappingNode:
		return b.collect(n, start, depth+1)
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			if err := b.merge(item, start, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return b.errorf(n, "a merge key (<<) needs a mapping or a list of mappings")
}

// key is a mapping's key as JSON has it. kubectl turns numbers and booleans
// that stand as keys into strings.
func (b *builder) key(n *yaml.Node) (string, error) {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		return "", b.errorf(n, "a key must be a plain value, not a list or a map")
	}
	v, err := b.scalars.value(n)
	if s, ok := v.(string); ok && err == nil {
		return s, nil
	}
	tag := ""
	if n.Style&yaml.TaggedStyle != 0 {
		tag = n.Tag
	}
	name, err := yaml11.Key(tag, n.Value)
	if err != nil {
		return "", b.errorf(n, "%v", err)
	}
	return name, nil
}
