package chart

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/model"
)

// entry is a key with its value in the text of a template.
type entry struct {
	file string
	// The entry is the lines [line, end), counted from 0. column is where its key
	// begins.
	line, end, column int
	// first says that it is the first key of an item of a list.
	first bool
	// head is what stands before the value, value what follows in the same line,
	// and comment what is behind that.
	head, value, comment string
	// plain says that no action of the template is in it, oneLine that there is
	// nothing of it in further lines of the template.
	plain, oneLine bool
	// itemsAtKey says that the value is a list whose items stand right below the
	// key.
	itemsAtKey bool
}

// String names the place.
func (e *entry) String() string { return fmt.Sprintf("%s:%d", e.file, e.line+1) }

var (
	keyLine  = regexp.MustCompile(`^( *(?:- +)*)(?:"([^"\\{}]*)"|'([^'{}]*)'|([^\s"'{}#:][^\s:{}]*)) *:(?: +(.*)|)$`)
	comments = regexp.MustCompile(`^([^'"#]*?)(\s+#.*)$`)
)

// entry finds the text of a field of an object. The reason is for people.
func (w *templateWork) entry(o *model.Object, path model.Path) (*entry, string) {
	at, ok := locate(o, path)
	if !ok {
		return nil, "its place in the template is not known"
	}
	lines := w.text(at.File)
	if at.Line > len(lines) {
		return nil, fmt.Sprintf("the text of %s cannot be had", at.File)
	}
	e := &entry{file: at.File, line: at.Line - 1}
	text := strings.TrimSuffix(lines[e.line], "\r")
	m := keyLine.FindStringSubmatch(text)
	if m == nil || m[2]+m[3]+m[4] != path[len(path)-1].Key {
		return nil, fmt.Sprintf("%s is not plain text", e)
	}
	e.column, e.first = len(m[1]), strings.Contains(m[1], "-")
	e.value = strings.TrimSpace(m[5])
	e.head = strings.TrimRight(text[:len(text)-len(m[5])], " ")
	if m[5] != "" {
		if c := comments.FindStringSubmatch(" " + m[5]); c != nil {
			e.value, e.comment = strings.TrimSpace(c[1]), c[2]
		}
	}
	e.end = e.line + 1
	e.extend(lines)
	whole := strings.Join(lines[e.line:e.end], "\n")
	e.plain = !strings.Contains(whole, "{{") && !strings.Contains(whole, "}}")
	e.oneLine = e.end == e.line+1 && e.value != "" && strings.Count(text, "{{") == strings.Count(text, "}}")
	if e.value != "" && strings.ContainsRune("&*!", rune(e.value[0])) {
		e.plain = false // an anchor, an alias or a tag means more than this place
	}
	return e, ""
}

// extend takes in the lines that belong to the value: those further in, and the
// items of a list at the same column.
func (e *entry) extend(lines []string) {
	for i := e.line + 1; i < len(lines); i++ {
		text := strings.TrimRight(lines[i], " \r")
		in := len(text) - len(strings.TrimLeft(text, " "))
		item := e.value == "" && in == e.column && (strings.HasPrefix(text[in:], "- ") || text[in:] == "-")
		switch {
		case text == "": // only within the value
		case in > e.column || item && !e.first:
			e.itemsAtKey = e.itemsAtKey || item
			e.end = i + 1
		default:
			return
		}
	}
}

// written is the entry with another value. It reports false where the value
// cannot be written into a template.
func (e *entry) written(value any) ([]string, bool) {
	if !scalar(value) {
		column := e.column + 2
		if _, list := value.([]any); list && e.itemsAtKey {
			column = e.column
		}
		lines, ok := block(column, "", value)
		return append([]string{e.head + e.comment}, lines...), ok
	}
	text, err := yaml.Marshal(value)
	line := strings.TrimSuffix(string(text), "\n")
	if err != nil || strings.Contains(line, "\n") || strings.Contains(line, "{{") {
		return nil, false
	}
	return []string{e.head + " " + line + e.comment}, true
}

// block writes key and value at a column, or the value alone.
func block(column int, key string, value any) ([]string, bool) {
	whole := value
	if key != "" {
		whole = map[string]any{key: value}
	}
	text, err := yaml.Marshal(whole)
	if err != nil || strings.Contains(string(text), "{{") {
		return nil, false
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.Repeat(" ", column) + lines[i]
	}
	return lines, true
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
