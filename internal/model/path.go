package model

import (
	"fmt"
	"strconv"
	"strings"
)

// Path is a place inside an object, from its top: map keys and list indexes.
type Path []Step

// Step is one step of a Path: a key of a map, or an index of a list where Key
// is empty and Index counts from 0.
type Step struct {
	Key   string
	Index int
}

// Key is a step into a map.
func Key(k string) Step { return Step{Key: k} }

// Index is a step into a list.
func Index(i int) Step { return Step{Index: i} }

// Append returns a new path that goes further; p is not changed.
func (p Path) Append(steps ...Step) Path {
	out := make(Path, 0, len(p)+len(steps))
	return append(append(out, p...), steps...)
}

// Keys returns p followed by map keys.
func (p Path) Keys(keys ...string) Path {
	out := make(Path, 0, len(p)+len(keys))
	out = append(out, p...)
	for _, k := range keys {
		out = append(out, Key(k))
	}
	return out
}

// String writes the path as the API server's messages do:
// spec.containers[0].image. A key that is no plain word is quoted in brackets:
// metadata.annotations["example.com/x"].
func (p Path) String() string {
	var b strings.Builder
	for _, s := range p {
		switch {
		case s.Key == "":
			fmt.Fprintf(&b, "[%d]", s.Index)
		case plainKey(s.Key):
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.Key)
		default:
			b.WriteByte('[')
			b.WriteString(strconv.Quote(s.Key))
			b.WriteByte(']')
		}
	}
	return b.String()
}

func plainKey(k string) bool {
	for i := range len(k) {
		c := k[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '$') {
			return false
		}
	}
	return k != ""
}

// ParsePath reads what String writes.
func ParsePath(s string) (Path, error) {
	var p Path
	rest := s
	for rest != "" {
		if rest[0] == '[' {
			step, n, err := bracket(rest)
			if err != nil {
				return nil, fmt.Errorf("field path %q: %w", s, err)
			}
			p, rest = append(p, step), rest[n:]
		} else {
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			if end == 0 {
				return nil, fmt.Errorf("field path %q: empty step", s)
			}
			p, rest = append(p, Key(rest[:end])), rest[end:]
		}
		if strings.HasPrefix(rest, ".") {
			rest = rest[1:]
			if rest == "" {
				return nil, fmt.Errorf("field path %q ends in a dot", s)
			}
		}
	}
	return p, nil
}

// bracket reads [3] or ["key"] at the start of s and how long it is.
func bracket(s string) (Step, int, error) {
	if strings.HasPrefix(s, `["`) {
		quoted, err := strconv.QuotedPrefix(s[1:])
		if err != nil || !strings.HasPrefix(s[1+len(quoted):], "]") {
			return Step{}, 0, fmt.Errorf("bad quoted key in %q", s)
		}
		key, err := strconv.Unquote(quoted)
		if err != nil || key == "" {
			return Step{}, 0, fmt.Errorf("bad quoted key in %q", s)
		}
		return Key(key), len(quoted) + 2, nil
	}
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return Step{}, 0, fmt.Errorf("no closing bracket in %q", s)
	}
	i, err := strconv.Atoi(s[1:end])
	if err != nil || i < 0 {
		return Step{}, 0, fmt.Errorf("bad index in %q", s)
	}
	return Index(i), end + 1, nil
}

// Pointer is the path as a JSON Pointer (RFC 6901).
func (p Path) Pointer() string {
	var b strings.Builder
	for _, s := range p {
		b.WriteByte('/')
		if s.Key == "" {
			b.WriteString(strconv.Itoa(s.Index))
			continue
		}
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(s.Key, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// Lookup returns the value at the path inside content, and whether it exists.
func (p Path) Lookup(content any) (any, bool) {
	for _, s := range p {
		var ok bool
		if content, ok = child(content, s); !ok {
			return nil, false
		}
	}
	return content, true
}

func child(v any, s Step) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		if s.Key == "" {
			return nil, false
		}
		c, ok := v[s.Key]
		return c, ok
	case []any:
		if s.Key != "" || s.Index >= len(v) {
			return nil, false
		}
		return v[s.Index], true
	}
	return nil, false
}
