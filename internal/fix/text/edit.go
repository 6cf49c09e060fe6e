// Package text applies JSON Patch edits to the bytes of YAML and JSON files, so
// that only the lines that say something else change: comments, blank lines, the
// order of keys, quotes, anchors, block scalars, brackets, line breaks and the
// indentation of lists stay as they are.
//
// A document is parsed once, all that is wanted of it is worked out on its
// values, and the differences become replacements in its text. The result is
// parsed again: what does not mean exactly what was wanted, or has lost a
// comment, is refused. Other documents of the file are never touched.
package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"

	"bulkhead.dev/bulkhead/internal/finding"
)

// Change is what is wanted of one object of a file.
type Change struct {
	// Line and Column are where the object begins, counted from 1, as its
	// model.Span has it. Line 0 is the root of the file's first document, whatever
	// it is; a document that holds nothing counts as an empty map there.
	Line, Column int
	// Edits are a JSON Patch of add, replace and remove with paths relative to the
	// object, made one after another. Fields that are null count as absent. The
	// path "" adds or replaces a whole document by a map, at Line 0 only.
	Edits []finding.Edit
}

// Edit returns data with the changes made, and for each change why it was refused:
// nil for one that was made. A change is made in whole or not at all. Notes say,
// by line of data, which aliases and merged maps had to be written out.
func Edit(data []byte, changes []Change) (edited []byte, refused []error, notes []string) {
	refused = make([]error, len(changes))
	body := bytes.TrimPrefix(data, bom)
	mark := len(data) - len(body)
	docs, isJSON, err := split(body)
	if err != nil {
		for i := range refused {
			refused[i] = err
		}
		return data, refused, nil
	}
	wanted := make([][]int, len(docs))
	for i, c := range changes {
		d := documentOf(docs, c)
		wanted[d] = append(wanted[d], i)
	}
	s := newScalars()
	edited = append(make([]byte, 0, len(data)+len(data)/16), data[:mark]...)
	pos := 0
	for i, doc := range docs {
		if len(wanted[i]) == 0 {
			continue
		}
		e := editor{doc: doc, text: body[doc.start:doc.end], changes: changes, refused: refused, scalars: s, isJSON: isJSON, first: i == 0, last: i == len(docs)-1}
		text, more := e.run(wanted[i])
		edited = append(append(edited, body[pos:doc.start]...), text...)
		pos = doc.end
		notes = append(notes, more...)
	}
	return append(edited, body[pos:]...), refused, notes
}

// documentOf is the document that a change is about.
func documentOf(docs []document, c Change) int {
	if c.Line <= 0 {
		return 0
	}
	i := sort.Search(len(docs), func(i int) bool {
		d := docs[i]
		return d.lines+1 > c.Line || d.lines+1 == c.Line && d.column+1 > c.Column
	})
	return max(i-1, 0)
}

// editor edits one document.
type editor struct {
	doc     document
	text    []byte
	changes []Change
	refused []error
	scalars *scalars
	isJSON  bool
	// first and last say where in the file the document stands.
	first, last bool

	tree   *tree
	writer writer
	places map[[2]int][]located
	tries  int // how often the document may still be rewritten
}

// located is an object in a document.
type located struct {
	node   *node
	place  []step
	shared bool // other places repeat it
}

// maxTries is how often a document is rewritten to find out which of its changes
// cannot be made: less often where it has more than maxWork/maxTries bytes.
const (
	maxTries = 256
	minTries = 8
	maxWork  = 16 << 20
)

// run makes the changes of the document that can be made, and returns its text.
func (e *editor) run(wanted []int) ([]byte, []string) {
	fail := func(err error) ([]byte, []string) {
		for _, i := range wanted {
			e.refused[i] = err
		}
		return e.text, nil
	}
	if e.doc.err != nil {
		return fail(e.doc.err)
	}
	t, err := e.read(e.text)
	if err != nil {
		return fail(err)
	}
	e.tree, e.writer = t, writer{styleOf(t), e.scalars}
	if !e.isJSON && !kubectlReads(e.text, e.content()) {
		return fail(errors.New("programs read the document differently; write what they may disagree about (a tag, a quote, a number) more plainly, or make the change by hand"))
	}
	e.tries = max(minTries, min(maxTries, maxWork/(len(e.text)+1)))
	e.locate()
	text, notes, accepted := e.text, []string(nil), []int(nil)
	var try func(more []int)
	try = func(more []int) {
		all := slices.Concat(accepted, more)
		slices.Sort(all)
		edited, said, err := e.attempt(all)
		switch {
		case err == nil:
			text, notes, accepted = edited, said, all
		case len(more) == 1 || e.tries <= 0:
			for _, i := range more {
				e.refused[i] = err
			}
		default:
			if rest := e.blame(more, err); len(rest) < len(more) {
				if len(rest) > 0 {
					try(rest)
				}
				return
			}
			half := len(more) / 2
			try(more[:half])
			try(more[half:])
		}
	}
	wanted = e.possible(wanted)
	if len(wanted) > 0 {
		try(wanted)
	}
	return text, notes
}

// blame refuses the changes that alone touch a place which cannot be written, and
// returns the others.
func (e *editor) blame(wanted []int, err error) []int {
	var found failures
	if !errors.As(err, &found) {
		return wanted
	}
	at := make(map[int][][]string, len(wanted))
	for _, i := range wanted {
		at[i] = e.touched(e.changes[i])
	}
	refused := map[int]bool{}
	for _, f := range found {
		place := tokensOf(f.place)
		suspects := slices.DeleteFunc(slices.Clone(wanted), func(i int) bool {
			return !slices.ContainsFunc(at[i], func(path []string) bool { return within(path, place) || within(place, path) })
		})
		if len(suspects) == 1 {
			refused[suspects[0]] = true
			e.refused[suspects[0]] = f.err
		}
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(i int) bool { return refused[i] })
}

// touched are the paths, from the root of the document, that a change has.
func (e *editor) touched(c Change) [][]string {
	o, err := e.object(c)
	if err != nil {
		return nil
	}
	place := tokensOf(o.place)
	var out [][]string
	for _, edit := range c.Edits {
		if steps, err := finding.SplitPointer(edit.Path); err == nil {
			out = append(out, slices.Concat(place, steps))
		}
	}
	return out
}

func tokensOf(place []step) []string {
	tokens := make([]string, len(place))
	for i, s := range place {
		if tokens[i] = s.key; s.key == "" {
			tokens[i] = strconv.Itoa(s.index)
		}
	}
	return tokens
}

// within reports whether a path leads to or through another.
func within(path, outer []string) bool {
	return len(outer) <= len(path) && slices.Equal(path[:len(outer)], outer)
}

func (e *editor) read(text []byte) (*tree, error) {
	if e.isJSON {
		return readJSON(text, e.doc)
	}
	return readYAML(text, e.doc, e.scalars)
}

// possible leaves out the changes that no object of the document is meant by, or
// that do not fit it.
func (e *editor) possible(wanted []int) []int {
	var out []int
	root := e.content()
	objects := newObjects(root)
	for _, i := range wanted {
		o, err := e.object(e.changes[i])
		if err == nil {
			err = objects.change(o, e.changes[i].Edits)
		}
		if e.refused[i] = err; err == nil {
			out = append(out, i)
		}
	}
	return out
}

// content is what the document means.
func (e *editor) content() *value {
	if e.tree.root == nil || e.tree.root.null() {
		return mapOf(map[string]*value{})
	}
	return e.tree.root.value
}

// attempt rewrites the document with some changes and makes sure of the result.
func (e *editor) attempt(wanted []int) ([]byte, []string, error) {
	if e.tries--; e.tries < 0 {
		return nil, nil, errors.New("too many other changes of the document cannot be made; make this one alone")
	}
	objects := newObjects(e.content())
	for _, i := range wanted {
		o, err := e.object(e.changes[i])
		if err == nil {
			err = objects.change(o, e.changes[i].Edits)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	want := objects.whole()
	if err := want.withinLimits(); err != nil {
		return nil, nil, err
	}
	text, notes, err := rewrite(e.tree, want, e.writer)
	if err != nil {
		return nil, nil, err
	}
	if bytes.Equal(text, e.text) && equal(e.content(), want) {
		return text, notes, nil
	}
	return text, notes, e.verify(text, want)
}

// verify makes sure that a rewritten document means what is wanted to two libraries,
// of YAML 1.2 and 1.1, is still one document, and has all comments.
func (e *editor) verify(text []byte, want *value) error {
	if !e.last && !e.isJSON && (len(text) == 0 || text[len(text)-1] != '\n') {
		return errors.New("the document would run into the next one")
	}
	if !e.isJSON {
		if n := len(splitYAML(text)); n != 1 {
			return fmt.Errorf("the document would become %d", n)
		}
		if e.first && looksLikeJSON(text) && !(e.last && json.Valid(text)) {
			return errors.New("the file would be taken for JSON; remove the document instead")
		}
	}
	if e.isJSON && e.first && !looksLikeJSON(text) {
		return errors.New("the file would be taken for YAML; make the change by hand")
	}
	t, err := e.read(text)
	if err != nil {
		return fmt.Errorf("the change could not be written: %w", err)
	}
	got := mapOf(map[string]*value{})
	if t.root != nil && !(t.root.null() && want.kind == mapping) {
		got = t.root.value
	}
	switch {
	case !equal(got, want):
		return errors.New("the change could not be written without changing something else; make it by hand")
	case !e.tree.sameComments(t):
		return errors.New("the change could not be written without losing a comment; make it by hand")
	case !e.isJSON && !kubectlReads(text, want):
		return errors.New("programs would read the changed document differently; make the change by hand")
	}
	return nil
}
