package text

import (
	"strings"

	yamlv2 "go.yaml.in/yaml/v2"
	yaml "go.yaml.in/yaml/v4"

	"bulkhead.dev/bulkhead/internal/yaml11"
)

// scalars reads YAML scalars as kubectl does, by YAML 1.1, and decides how a
// string has to be written to be read as one by YAML 1.1 and 1.2. It keeps what
// it was told, because manifests repeat themselves.
type scalars struct {
	resolved map[string]any
	plain    map[string]bool
}

// maxKept bounds both maps; beyond it nothing more is kept.
const maxKept = 1 << 14

func newScalars() *scalars {
	return &scalars{resolved: map[string]any{}, plain: map[string]bool{}}
}

// value is what a scalar node means.
func (s *scalars) value(n *yaml.Node) (any, error) {
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		return yaml11.Tagged(n.Tag, n.Value)
	case n.Style != 0 || n.Tag == "!" || !yaml11.Ambiguous(n.Value):
		return n.Value, nil
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

// plainInBlock reports whether text, written without quotes as a value or key of
// a block, is read as that string by YAML 1.1 and 1.2.
func (s *scalars) plainInBlock(text string) bool {
	if simple(text) && !yaml11.Ambiguous(text) {
		return true
	}
	if known, ok := s.plain[text]; ok {
		return known
	}
	ok := reads(text)
	if len(s.plain) < maxKept {
		s.plain[text] = ok
	}
	return ok
}

// plainInFlow is stricter: inside brackets, more characters mean something, and
// the versions of YAML do not agree which.
func (s *scalars) plainInFlow(text string) bool {
	return simple(text) && s.plainInBlock(text)
}

// simple texts hold nothing that means anything in any place of YAML.
func simple(text string) bool {
	for i := 0; i < len(text); i++ {
		c := text[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '/' || c == '.'
		if !letter && (c != '-' || i == 0) {
			return false
		}
	}
	return text != ""
}

// reads tries text as a value and as a key with both libraries.
func reads(text string) bool {
	if len(text) > 1000 || strings.ContainsAny(text, "\n\r\t") || !printable(text) || text == "=" {
		return false
	}
	if strings.Trim(text, "0123456789_.:,+-eE") == "" {
		return false // 12:30:45 is a number to some who read YAML 1.1
	}
	if v, err := yaml11.Resolve(text); err != nil || v != any(text) {
		return false
	}
	doc := []byte("k: " + text + "\n" + text + ": v\n")
	type pairs = map[string]any
	var old, now pairs
	if yamlv2.Unmarshal(doc, &old) != nil || yaml.Unmarshal(doc, &now) != nil {
		return false
	}
	for _, m := range []pairs{old, now} {
		if m["k"] != text || m[text] != "v" && text != "k" || len(m) > 2 {
			return false
		}
	}
	// A key that is no string becomes one in a map of strings: ask for it untyped.
	var keys map[any]any
	if yamlv2.Unmarshal([]byte(text+": v\n"), &keys) != nil || keys[text] != "v" {
		return false
	}
	keys = nil
	return yaml.Unmarshal([]byte(text+": v\n"), &keys) == nil && keys[text] == "v"
}

// printable reports whether YAML 1.1 lets all of text stand unescaped and counts
// none of it as a line break besides \n.
func printable(text string) bool {
	for _, r := range text {
		if !printableRune(r) {
			return false
		}
	}
	return true
}

func printableRune(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return true
	case r < 0x20 || r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff:
		return false
	}
	return r <= 0xd7ff || r >= 0xe000
}
