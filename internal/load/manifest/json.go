package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sort"
	"strconv"

	"bulkhead.dev/bulkhead/internal/model"
)

// looksLikeJSON tells JSON from YAML as kubectl does, by the first byte, and
// makes sure: YAML in flow style begins with a brace as well.
func looksLikeJSON(data []byte) bool {
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	if len(trimmed) == 0 || trimmed[0] != '{' && trimmed[0] != '[' {
		return false
	}
	rest := bytes.TrimLeft(trimmed[1:], " \t\r\n")
	return len(rest) == 0 || bytes.IndexByte([]byte(`"{[}]`), rest[0]) >= 0 || rest[0] == '-' || rest[0] >= '0' && rest[0] <= '9'
}

// decodeJSON reads JSON documents one after another (JSON lines as well).
func (f *file) decodeJSON(data []byte) {
	d := newJSONDecoder(data, &f.decoder.scalars)
	for {
		content, spans, err := d.document()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			f.fail(d.describe(err))
			return
		}
		f.add(content, slices.Clip(spans))
	}
}

func newJSONDecoder(data []byte, s *scalars) *jsonDecoder {
	d := &jsonDecoder{tokens: json.NewDecoder(bytes.NewReader(data)), data: data, scalars: s}
	d.tokens.UseNumber()
	return d
}

// document reads one document; io.EOF says that there is no other.
func (d *jsonDecoder) document() (any, model.Spans, error) {
	d.values = 0
	token, at, err := d.next()
	if err != nil {
		return nil, nil, err
	}
	content, spans, err := d.value(token, at, 0)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return content, spans, err
}

// jsonDecoder walks the tokens of encoding/json and counts lines beside it.
type jsonDecoder struct {
	tokens  *json.Decoder
	data    []byte
	scalars *scalars
	values  int
	// counted, line and lineStart remember how far lines were counted.
	counted, line, lineStart int
}

// next returns the next token and where it begins.
func (d *jsonDecoder) next() (json.Token, model.Span, error) {
	token, err := d.tokens.Token()
	if err != nil {
		return nil, model.Span{}, err
	}
	return token, d.spanBefore(int(d.tokens.InputOffset())), nil
}

// spanBefore finds where the token that ends at offset begins. The decoder says
// only where tokens end, so the text since the last token is searched.
func (d *jsonDecoder) spanBefore(end int) model.Span {
	start := d.counted
	for start < end && bytes.IndexByte([]byte(" \t\r\n,:"), d.data[start]) >= 0 {
		start++
	}
	d.count(start)
	span := model.Span{Line: uint32(d.line + 1), Column: uint32(start - d.lineStart + 1)}
	d.count(end)
	return span
}

func (d *jsonDecoder) count(to int) {
	for i := d.counted; i < to; i++ {
		if d.data[i] == '\n' {
			d.line, d.lineStart = d.line+1, i+1
		}
	}
	d.counted = max(d.counted, to)
}

func (d *jsonDecoder) errorf(at model.Span, format string, args ...any) error {
	return problemf(int(at.Line), int(at.Column), format, args...)
}

// value reads the value that begins with token and returns it with its spans.
func (d *jsonDecoder) value(token json.Token, at model.Span, depth int) (any, model.Spans, error) {
	if d.values++; d.values > MaxValues {
		return nil, nil, d.errorf(at, "the document has more than %d values; split it", MaxValues)
	}
	if depth > MaxDepth {
		return nil, nil, d.errorf(at, "nested deeper than %d levels", MaxDepth)
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return d.object(at, depth)
		}
		return d.list(at, depth)
	case string:
		return d.scalars.Text(t), model.Spans{at}, nil
	case json.Number:
		v, err := number(t)
		if err != nil {
			return nil, nil, d.errorf(at, "%v", err)
		}
		return v, model.Spans{at}, nil
	}
	return token, model.Spans{at}, nil // bool or nil
}

func number(n json.Number) (any, error) {
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i, nil
	}
	return n.Float64()
}

func (d *jsonDecoder) list(at model.Span, depth int) (any, model.Spans, error) {
	spans, list := model.Spans{at}, []any{}
	for {
		token, at, err := d.next()
		if err != nil {
			return nil, nil, err
		}
		if token == json.Delim(']') {
			return list, spans, nil
		}
		v, s, err := d.value(token, at, depth+1)
		if err != nil {
			return nil, nil, err
		}
		list, spans = append(list, v), append(spans, s...)
	}
}

func (d *jsonDecoder) object(at model.Span, depth int) (any, model.Spans, error) {
	m := map[string]any{}
	type member struct {
		key   string
		spans model.Spans
	}
	var members []member
	for {
		token, keyAt, err := d.next()
		if err != nil {
			return nil, nil, err
		}
		if token == json.Delim('}') {
			break
		}
		name, ok := token.(string)
		if !ok {
			return nil, nil, d.errorf(keyAt, "a key must be a string")
		}
		key, _ := d.scalars.Text(name).(string)
		if _, ok := m[key]; ok {
			return nil, nil, d.errorf(keyAt, "key %q is given twice; remove one", key)
		}
		token, at, err := d.next()
		if err != nil {
			return nil, nil, err
		}
		v, s, err := d.value(token, at, depth+1)
		if err != nil {
			return nil, nil, err
		}
		s[0] = keyAt
		m[key] = v
		members = append(members, member{key, s})
	}
	sort.Slice(members, func(i, j int) bool { return members[i].key < members[j].key })
	spans := model.Spans{at}
	for _, m := range members {
		spans = append(spans, m.spans...)
	}
	return m, spans, nil
}

// describe gives a syntax error of encoding/json its line.
func (d *jsonDecoder) describe(err error) error {
	var p *problem
	if errors.As(err, &p) {
		return err
	}
	offset, message := int(d.tokens.InputOffset()), err.Error()
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		offset = int(syntax.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		message = "the text ends before the value does"
		offset = len(bytes.TrimRight(d.data, " \t\r\n"))
	}
	offset = min(offset, len(d.data))
	line := 1 + bytes.Count(d.data[:offset], []byte("\n"))
	return problemf(line, 0, "malformed JSON: %s", message)
}
