package text

import (
	"fmt"

	yamlv2 "go.yaml.in/yaml/v2"

	"bulkhead.dev/bulkhead/internal/yaml11"
)

// kubectlReads reports whether the library of YAML 1.1 that kubectl uses reads a
// document as v. It and the one that the document was edited with differ in
// many small things; where they do, nobody should rely on either.
func kubectlReads(text []byte, v *value) bool {
	var read any
	return yamlv2.Unmarshal(text, &read) == nil && (v.means(read) || read == nil && v.kind == mapping && len(v.fields) == 0)
}

// means reports whether v is what the library read.
func (v *value) means(read any) bool {
	switch read := read.(type) {
	case map[any]any:
		if v.kind != mapping || len(v.fields) != len(read) {
			return false
		}
		for k, e := range read {
			name, err := yaml11.KeyName(k)
			if f := v.fields[name]; err != nil || f == nil || !f.means(e) {
				return false
			}
		}
		return true
	case []any:
		if v.kind != list || len(v.items) != len(read) {
			return false
		}
		for i, e := range read {
			if !v.items[i].means(e) {
				return false
			}
		}
		return true
	}
	return v.kind == scalar && v.scalar == leafOf(read).scalar
}

// leafOf is a scalar that the library read.
func leafOf(read any) *value {
	switch read := read.(type) {
	case nil, bool, string:
		return scalarOf(read)
	}
	if n, err := numberOf(read); err == nil {
		return scalarOf(n)
	}
	return scalarOf(fmt.Sprintf("%T", read)) // a date, which nothing is equal to
}
