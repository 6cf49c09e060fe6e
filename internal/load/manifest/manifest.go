// Package manifest turns the bytes of YAML and JSON files into objects that know
// where each of their fields is written.
//
// Scalars mean what they mean to kubectl, which reads YAML 1.1: yes and on are
// true, 010 is eight. Documents are parsed one by one, so that a malformed one
// takes no other with it.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Limits bound what one document may cost, whatever it says.
const (
	// MaxDepth is how deep maps and lists may nest: far more than manifests do, and
	// little enough for every recursion over a value.
	MaxDepth = 256
	// MaxValues is how many values one document may have once its aliases are
	// expanded. A request to the API server has at most 3 MiB, so no object comes
	// near it.
	MaxValues = 1_000_000
)

// File is what a file held.
type File struct {
	Objects []*model.Object
	// Others counts documents that are no Kubernetes objects: values files,
	// workflows and the like.
	Others   int
	Problems []finding.Problem
}

// Decoder reads files. It keeps strings that recur, so one decoder for many
// files saves memory; it must not be used by two goroutines at once.
type Decoder struct {
	scalars scalars
}

// NewDecoder returns a decoder with nothing kept yet.
func NewDecoder() *Decoder { return &Decoder{scalars: newScalars()} }

// problem is an error at a place in the text being decoded.
type problem struct {
	line, column int
	message      string
}

func (p *problem) Error() string { return fmt.Sprintf("line %d: %s", p.line, p.message) }

func problemf(line, column int, format string, args ...any) *problem {
	return &problem{line, column, fmt.Sprintf(format, args...)}
}

// Decode reads the documents of one file. It never fails as a whole: what could
// not be read is among the problems.
func (d *Decoder) Decode(source model.Source, data []byte) File {
	f := &file{decoder: d, source: source}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	switch {
	case bytes.IndexByte(data, 0) >= 0:
		f.fail(problemf(1, 1, "is binary, not YAML or JSON text; exclude it with .bulkheadignore"))
	case !utf8.Valid(data):
		line := 1 + bytes.Count(data[:invalidAt(data)], []byte("\n"))
		f.fail(problemf(line, 1, "is not UTF-8; save the file as UTF-8"))
	case looksLikeJSON(data):
		f.decodeJSON(data)
	default:
		for doc := range documents(data) {
			f.decodeYAML(doc)
		}
	}
	return f.File
}

func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}

// file is a file being decoded.
type file struct {
	File
	decoder *Decoder
	source  model.Source
}

func (f *file) fail(err error) {
	location := finding.Location{File: f.source.File}
	message := err.Error()
	var p *problem
	if errors.As(err, &p) {
		location.Line, location.Column, message = p.line, p.column, p.message
	}
	f.Problems = append(f.Problems, finding.Problem{Location: location, Message: message})
}

// add keeps a decoded document: an object, the items of a list, or neither.
func (f *file) add(content any, spans model.Spans) {
	m, ok := content.(map[string]any)
	if !ok {
		f.Others++
		return
	}
	if items, ok := m["items"].([]any); ok && isList(m) {
		for i, item := range items {
			path := model.Path{model.Key("items"), model.Index(i)}
			itemSpans := spans.Sub(content, path)
			child, ok := item.(map[string]any)
			if !ok {
				f.failAt(itemSpans, "item %d of the %s is no object", i, m["kind"])
				continue
			}
			f.addObject(child, itemSpans, true)
		}
		return
	}
	f.addObject(m, spans, false)
}

// isList tells a List, or a typed list such as DeploymentList as kubectl prints
// none but the API does, from an object that happens to have items.
func isList(m map[string]any) bool {
	kind, _ := m["kind"].(string)
	apiVersion, _ := m["apiVersion"].(string)
	if kind == "List" && apiVersion == "v1" {
		return true
	}
	_, hasSpec := m["spec"]
	return strings.HasSuffix(kind, "List") && apiVersion != "" && !hasSpec
}

func (f *file) addObject(m map[string]any, spans model.Spans, mustBe bool) {
	o, ok := model.NewObject(m, spans, f.source)
	switch {
	case ok:
		f.Objects = append(f.Objects, o)
	case mustBe || m["kind"] != nil && m["metadata"] != nil:
		f.failAt(spans, "has no apiVersion and kind; add them")
	default:
		f.Others++
	}
}

func (f *file) failAt(spans model.Spans, format string, args ...any) {
	p := problemf(0, 0, format, args...)
	if len(spans) > 0 {
		p.line, p.column = int(spans[0].Line), int(spans[0].Column)
	}
	f.fail(p)
}
