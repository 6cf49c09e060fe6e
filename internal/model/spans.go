package model

// Span is where a value stands in its source: for the value of a map, where its
// key stands. Line and Column count from 1.
type Span struct{ Line, Column uint32 }

// Spans are the places of all values of an object, in preorder with the keys of
// maps in sorted order. That order can be found again from the content alone,
// so nothing but the places is kept: 8 bytes a value.
type Spans []Span

// At returns the span of the value at path, or of its nearest ancestor that
// exists, and how many steps of the path exist.
func (s Spans) At(content any, path Path) (Span, int) {
	i := 0
	for depth, step := range path {
		offset, next, ok := descend(content, step)
		if !ok || i+offset >= len(s) {
			return s.get(i), depth
		}
		i, content = i+offset, next
	}
	return s.get(i), len(path)
}

func (s Spans) get(i int) Span {
	if i < len(s) {
		return s[i]
	}
	return Span{}
}

// Sub returns the spans of the value at path, for an item of a list that
// becomes an object of its own.
func (s Spans) Sub(content any, path Path) Spans {
	i := 0
	for _, step := range path {
		offset, next, ok := descend(content, step)
		if !ok {
			return nil
		}
		i, content = i+offset, next
	}
	if n := i + Count(content); n <= len(s) {
		return s[i:n:n]
	}
	return nil
}

// descend finds a child and its distance from its parent in preorder.
func descend(content any, step Step) (offset int, next any, ok bool) {
	next, ok = child(content, step)
	if !ok {
		return 0, nil, false
	}
	offset = 1
	switch v := content.(type) {
	case map[string]any:
		for k, sibling := range v {
			if k < step.Key {
				offset += Count(sibling)
			}
		}
	case []any:
		for _, sibling := range v[:step.Index] {
			offset += Count(sibling)
		}
	}
	return offset, next, true
}

// Count is the number of values in v, itself included.
func Count(v any) int {
	n := 1
	switch v := v.(type) {
	case map[string]any:
		for _, c := range v {
			n += Count(c)
		}
	case []any:
		for _, c := range v {
			n += Count(c)
		}
	}
	return n
}
