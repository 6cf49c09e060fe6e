package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// document is the place of one document in a file, with the number of lines and,
// on its first line, of bytes before it.
type document struct {
	start, end    int
	lines, column int
	// err says why nothing in the document can be edited.
	err error
}

// bom is the byte order mark that some editors put before UTF-8.
var bom = []byte("\xef\xbb\xbf")

// split finds the documents of a file without its byte order mark, and tells JSON
// from YAML. There is at least one, which may be empty.
func split(data []byte) (docs []document, isJSON bool, err error) {
	switch {
	case bytes.IndexByte(data, 0) >= 0:
		return nil, false, errors.New("the file is binary, not YAML or JSON text")
	case !utf8.Valid(data):
		return nil, false, errors.New("the file is not UTF-8; save it as UTF-8")
	case looksLikeJSON(data):
		return splitJSON(data), true, nil
	}
	return splitYAML(data), false, nil
}

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

// splitYAML splits at document markers (YAML 1.2, 9.1). A line --- opens a
// document, unless nothing but comments and directives stand before it, which
// then belong to it; what follows a line ... belongs to the next document.
func splitYAML(data []byte) []document {
	var docs []document
	doc, line := document{}, 0
	opened, ended := false, false // whether doc has content or a marker, and whether ... closed it
	for pos := 0; pos < len(data); line++ {
		end := lineAfter(data, pos)
		text := data[pos:end]
		trimmed := bytes.TrimSpace(text)
		switch {
		case marker(text, "---"):
			if opened {
				doc.end = pos
				docs = append(docs, doc)
				doc = document{start: pos, lines: line}
			}
			opened, ended = true, false
		case marker(text, "..."):
			ended = opened
		case ended && len(trimmed) > 0 && trimmed[0] != '#':
			doc.end = pos
			docs = append(docs, doc)
			doc = document{start: pos, lines: line}
			opened, ended = trimmed[0] != '%', false
		case len(trimmed) > 0 && trimmed[0] != '#' && (opened || text[0] != '%'):
			opened = true
		}
		pos = end
	}
	doc.end = len(data)
	docs = append(docs, doc)
	for i := range docs {
		docs[i].err = odd(data[docs[i].start:docs[i].end])
		if i > 0 && docs[i-1].err != nil {
			// Lines can no longer be told from those of the document before.
			docs[i].err = docs[i-1].err
		}
	}
	return docs
}

func marker(line []byte, mark string) bool {
	return bytes.HasPrefix(line, []byte(mark)) && (len(line) == 3 || bytes.IndexByte([]byte(" \t\r\n"), line[3]) >= 0)
}

// odd refuses characters that YAML 1.1 reads as line breaks and everybody else
// does not, and those that it does not read.
func odd(text []byte) error {
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < 0x7f || c == '\n' || c == '\t' || c == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		i += size
		switch {
		case c == '\r':
			return errors.New("the document has a carriage return without a line feed, which programs read differently; remove it")
		case r == 0x85, r == 0x2028, r == 0x2029:
			return fmt.Errorf("the document has the line break %U, which programs read differently; remove it", r)
		case r == 0xfeff:
			return errors.New("the document has a byte order mark in its midst, which programs read differently; remove it")
		case !printableRune(r):
			return fmt.Errorf("the document has the control character %U, which kubectl does not read; remove it", r)
		}
	}
	return nil
}

// splitJSON finds JSON values that follow one another. What cannot be read makes
// a last document that cannot be edited.
func splitJSON(data []byte) []document {
	var docs []document
	d := json.NewDecoder(bytes.NewReader(data))
	line, begins, counted := 0, 0, 0 // lines before counted, and where its own begins
	place := func(start, end int, err error) {
		line += bytes.Count(data[counted:start], []byte("\n"))
		if i := bytes.LastIndexByte(data[counted:start], '\n'); i >= 0 {
			begins = counted + i + 1
		}
		docs = append(docs, document{start: start, end: end, lines: line, column: start - begins, err: err})
		counted = start
	}
	for {
		var raw json.RawMessage
		from := int(d.InputOffset())
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			if len(docs) == 0 {
				place(0, len(data), nil)
			}
			return docs
		}
		if err != nil {
			start := min(skipBlank(data, from), len(data))
			place(start, len(data), fmt.Errorf("malformed JSON: %w", err))
			return docs
		}
		end := int(d.InputOffset())
		place(end-len(raw), end, nil)
	}
}

func skipBlank(text []byte, pos int) int {
	for pos < len(text) && (text[pos] == ' ' || text[pos] == '\t' || text[pos] == '\r' || text[pos] == '\n') {
		pos++
	}
	return pos
}

// lineAfter is where the line after that of pos begins, or the end.
func lineAfter(text []byte, pos int) int {
	if i := bytes.IndexByte(text[pos:], '\n'); i >= 0 {
		return pos + i + 1
	}
	return len(text)
}

// lineEnd is where the line of pos ends, before its line break.
func lineEnd(text []byte, pos int) int {
	end := lineAfter(text, pos)
	if end > pos && text[end-1] == '\n' {
		end--
		if end > pos && text[end-1] == '\r' {
			end--
		}
	}
	return end
}
