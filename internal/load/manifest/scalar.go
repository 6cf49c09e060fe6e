package manifest

import (
	"encoding/binary"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"bulkhead.dev/bulkhead/internal/yaml11"
)

// scalars gives YAML scalars the meaning that they have for kubectl. What that is
// is kept, and so is each short string, because manifests repeat themselves.
type scalars struct {
	resolved map[string]any
	strings  map[string]any
	leaves   map[string]map[string]any
	// key is scratch space.
	key []byte
}

// appendText appends text so that nothing that follows can be taken for a part
// of it.
func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// maxKept bounds both maps; beyond it nothing more is kept.
const maxKept = 1 << 16

func newScalars() scalars {
	return scalars{resolved: map[string]any{}, strings: map[string]any{}, leaves: map[string]map[string]any{}}
}

// leaf returns one map for all that hold the same few scalars, given with their
// names in order. The smallest map of Go takes over 300 bytes, and manifests are
// full of the same small ones: labels, variables, resources. Nobody changes a
// decoded object, so they can be shared.
func (s *scalars) leaf(names []string, values []any) map[string]any {
	shared := s.leafKey(names, values)
	if shared {
		if kept, ok := s.leaves[string(s.key)]; ok {
			return kept
		}
	}
	m := make(map[string]any, len(names))
	for i, name := range names {
		m[name] = values[i]
	}
	if shared && len(s.leaves) < maxKept {
		s.leaves[string(s.key)] = m
	}
	return m
}

// leafKey writes the names and values to s.key. It reports false where a value is
// too long to be met again.
func (s *scalars) leafKey(names []string, values []any) bool {
	s.key = s.key[:0]
	for i, name := range names {
		s.key = appendText(s.key, name)
		switch v := values[i].(type) {
		case string:
			if len(v) > 64 {
				return false
			}
			s.key = appendText(append(s.key, 's'), v)
		case bool:
			s.key = strconv.AppendBool(append(s.key, 'b'), v)
		case int64:
			s.key = binary.AppendVarint(append(s.key, 'i'), v)
		default:
			return false
		}
	}
	return true
}

func (s *scalars) value(n *yaml.Node) (any, error) {
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		return yaml11.Tagged(n.Tag, n.Value)
	case n.Style != 0 || n.Tag == "!" || !yaml11.Ambiguous(n.Value): // quoted, or said to be text
		return s.text(n.Value), nil
	}
	if v, ok := s.resolved[n.Value]; ok {
		return v, nil
	}
	v, err := yaml11.Resolve(n.Value)
	if err == nil && len(s.resolved) < maxKept {
		s.resolved[n.Value] = v
	}
	return v, err
}

// text returns the string boxed, the same box for the same short string.
func (s *scalars) text(v string) any {
	if len(v) > 64 {
		return v
	}
	if kept, ok := s.strings[v]; ok {
		return kept
	}
	boxed := any(strings.Clone(v))
	if len(s.strings) < maxKept {
		s.strings[v] = boxed
	}
	return boxed
}
