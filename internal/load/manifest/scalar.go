package manifest

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	yamlv2 "go.yaml.in/yaml/v2"
	yaml "go.yaml.in/yaml/v4"
)

// scalars gives YAML scalars the meaning that they have for kubectl, which
// reads them with the second version of the YAML library. That library is asked
// for every plain scalar that could be anything but a string; what it says is
// kept, and so is each short string, because manifests repeat themselves.
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
		return tagged(n)
	case n.Style != 0 || n.Tag == "!" || !ambiguous(n.Value): // quoted, or said to be text
		return s.text(n.Value), nil
	}
	if v, ok := s.resolved[n.Value]; ok {
		return v, nil
	}
	v, err := resolve(n.Value)
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

// ambiguous reports whether a plain scalar may be something else than a string:
// a number begins with a digit, a sign or a dot; the words are at most five long.
func ambiguous(v string) bool {
	if v == "" {
		return true
	}
	switch c := v[0]; {
	case c >= '0' && c <= '9', c == '+', c == '-', c == '.', c == '~':
		return true
	default:
		return len(v) <= 5 && strings.IndexByte("yYnNtTfFoO", c) >= 0
	}
}

// resolve asks the library what a plain scalar means.
func resolve(v string) (any, error) {
	if strings.ContainsAny(v, "\n:#{}[],&*!|>'\"%@`") {
		return v, nil // no number and no word has these; as a document they would mean something else
	}
	var out any
	if err := yamlv2.Unmarshal([]byte(v), &out); err != nil {
		return v, nil
	}
	return jsonValue(out, v)
}

// tagged resolves a scalar with an explicit tag, such as !!str 5.
func tagged(n *yaml.Node) (any, error) {
	var out any
	tag := n.Tag
	if strings.HasPrefix(tag, "tag:") {
		tag = "!<" + tag + ">"
	}
	if err := yamlv2.Unmarshal(fmt.Appendf(nil, "%s %q", tag, n.Value), &out); err != nil {
		return nil, fmt.Errorf("value %q does not fit its tag %s", n.Value, n.Tag)
	}
	return jsonValue(out, n.Value)
}

// jsonValue turns what the library made of a scalar into what JSON can hold.
func jsonValue(v any, written string) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, int64:
		return v, nil
	case int:
		return int64(v), nil
	case uint64:
		return float64(v), nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, fmt.Errorf("%s has no form in JSON, which the API speaks", written)
		}
		// kubectl passes through JSON, where a whole float is written as an integer.
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), nil
		}
		return v, nil
	}
	return written, nil
}
