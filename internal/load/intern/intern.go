// Package intern keeps one copy in memory of what Kubernetes objects repeat: names,
// labels, variables, references, whole containers.
//
// The smallest map of Go takes over 300 bytes, and objects are full of the same
// small ones. Nobody changes a decoded object, so they can be shared.
package intern

import (
	"encoding/binary"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxKept bounds how many strings, maps and lists each a pool holds; beyond it
	// nothing more is kept.
	maxKept = 1 << 16
	// maxText is the length of a string, in bytes, beyond which it is hardly met again.
	maxText = 64
	// maxSize is how many values a map or a list may hold that is looked for.
	maxSize = 16
)

// Pool holds what has been met. It is for one goroutine.
type Pool struct {
	strings map[string]any
	maps    map[string]map[string]any
	lists   map[string][]any
	// key, names and values are scratch space.
	key    []byte
	names  []string
	values []any
}

// NewPool makes an empty pool.
func NewPool() *Pool {
	return &Pool{strings: map[string]any{}, maps: map[string]map[string]any{}, lists: map[string][]any{}}
}

// Text returns the string boxed, the same box for the same short string.
func (p *Pool) Text(v string) any {
	if len(v) > maxText {
		return v
	}
	if kept, ok := p.strings[v]; ok {
		return kept
	}
	v = strings.Clone(v)
	boxed := any(v)
	if len(p.strings) < maxKept {
		p.strings[v] = boxed
	}
	return boxed
}

// Leaf returns one map for all that hold the same few scalars, given with their
// names in order.
func (p *Pool) Leaf(names []string, values []any) map[string]any {
	shared := p.describe(names, values)
	if shared {
		if kept, ok := p.maps[string(p.key)]; ok {
			return kept
		}
	}
	m := make(map[string]any, len(names))
	for i, name := range names {
		m[name] = values[i]
	}
	if shared {
		p.keepMap(m)
	}
	return m
}

// Value returns decoded JSON in which what has been met before is the same in memory.
// It takes over v, which nobody else may hold.
func (p *Pool) Value(v any) any {
	v, _ = p.value(v)
	return v
}

// value reports whether the value is one of the pool, or a scalar, so that what it is
// a part of may be shared too.
func (p *Pool) value(v any) (any, bool) {
	switch v := v.(type) {
	case string:
		return p.Text(v), true
	case []any:
		return p.list(v)
	case map[string]any:
		return p.object(v)
	}
	return v, true
}

func (p *Pool) list(l []any) ([]any, bool) {
	shared := len(l) > 0 && len(l) <= maxSize
	for i, e := range l {
		var known bool
		l[i], known = p.value(e)
		shared = shared && known
	}
	if !shared || !p.describe(nil, l) {
		return l, false
	}
	if kept, ok := p.lists[string(p.key)]; ok {
		return kept, true
	}
	if len(p.lists) == maxKept {
		return l, false
	}
	p.lists[string(p.key)] = l
	return l, true
}

func (p *Pool) object(m map[string]any) (map[string]any, bool) {
	shared := len(m) <= maxSize
	for k, e := range m {
		value, known := p.value(e)
		name, _ := p.Text(k).(string)
		m[name] = value
		shared = shared && known
	}
	if !shared {
		return m, false
	}
	p.names = slices.AppendSeq(p.names[:0], maps.Keys(m))
	slices.Sort(p.names)
	p.values = p.values[:0]
	for _, name := range p.names {
		p.values = append(p.values, m[name])
	}
	if !p.describe(p.names, p.values) {
		return m, false
	}
	if kept, ok := p.maps[string(p.key)]; ok {
		return kept, true
	}
	return m, p.keepMap(m)
}

func (p *Pool) keepMap(m map[string]any) bool {
	if len(p.maps) == maxKept {
		return false
	}
	p.maps[string(p.key)] = m
	return true
}

// describe writes values, and the names that a map has for them, to p.key: maps and
// lists, which are of the pool, by where they are. It reports false where a value is
// too long to be met again.
func (p *Pool) describe(names []string, values []any) bool {
	p.key = p.key[:0]
	for i, v := range values {
		if names != nil {
			p.key = appendText(p.key, names[i])
		}
		switch v := v.(type) {
		case nil:
			p.key = append(p.key, 'n')
		case string:
			if len(v) > maxText {
				return false
			}
			p.key = appendText(append(p.key, 's'), v)
		case bool:
			p.key = strconv.AppendBool(append(p.key, 'b'), v)
		case int64:
			p.key = binary.AppendVarint(append(p.key, 'i'), v)
		case map[string]any, []any:
			p.key = binary.LittleEndian.AppendUint64(append(p.key, 'p'), uint64(reflect.ValueOf(v).Pointer()))
		default:
			return false
		}
	}
	return true
}

// appendText appends text so that nothing that follows can be taken for a part of it.
func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}
