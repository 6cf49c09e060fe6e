package text

import (
	"slices"
	"sort"
	"unicode/utf8"
)

// tree is a document that was read.
type tree struct {
	text []byte
	// starts are where its lines begin.
	starts []int
	// root is nil in a document that holds nothing.
	root *node
	// comments are the places of all comments, in order.
	comments []place
	// aliases says whether there are any.
	aliases bool
	json    bool
}

type place struct{ start, end int }

func newTree(text []byte) *tree {
	t := &tree{text: text, starts: []int{0}}
	for i, c := range text {
		if c == '\n' {
			t.starts = append(t.starts, i+1)
		}
	}
	return t
}

// line is the index of the line of pos.
func (t *tree) line(pos int) int {
	return sort.Search(len(t.starts), func(i int) bool { return t.starts[i] > pos }) - 1
}

// lineStart is where the line of pos begins.
func (t *tree) lineStart(pos int) int { return t.starts[t.line(pos)] }

// lineAfter is where the line after that of pos begins, or the end.
func (t *tree) lineAfter(pos int) int {
	if i := t.line(pos) + 1; i < len(t.starts) {
		return t.starts[i]
	}
	return len(t.text)
}

// lineEnd is where the line of pos ends, before its line break.
func (t *tree) lineEnd(pos int) int {
	end := t.lineAfter(pos)
	if end > pos && t.text[end-1] == '\n' {
		end--
		if end > pos && t.text[end-1] == '\r' {
			end--
		}
	}
	return end
}

// lineBreak is how the line of pos ends; on the last line, how the line before
// does.
func (t *tree) lineBreak(pos int) string {
	i := min(t.line(pos)+1, len(t.starts)-1)
	if begin := t.starts[i]; begin > 1 && t.text[begin-2] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// indent is how many columns a collection in block style is indented.
func (t *tree) indent(n *node) int {
	return utf8.RuneCount(t.text[t.lineStart(n.body):n.body])
}

// within are the comments that begin between two places.
func (t *tree) within(from, to int) []place {
	i := sort.Search(len(t.comments), func(i int) bool { return t.comments[i].start >= from })
	j := i + sort.Search(len(t.comments)-i, func(k int) bool { return t.comments[i+k].start >= to })
	return t.comments[i:j]
}

// words are the texts of comments, in order.
func (t *tree) words() []string {
	out := make([]string, len(t.comments))
	for i, c := range t.comments {
		out[i] = string(t.text[c.start:c.end])
	}
	return out
}

func (t *tree) sameComments(u *tree) bool { return slices.Equal(t.words(), u.words()) }
