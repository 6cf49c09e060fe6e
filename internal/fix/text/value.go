package text

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"bulkhead.dev/bulkhead/internal/yaml11"
)

// Limits bound what a document, and what is written into it, may cost. They are
// those of the loader, so that what was read can be edited.
const (
	maxDepth  = 256
	maxValues = 1_000_000
)

type kind uint8

const (
	scalar kind = iota
	mapping
	list
	alias // of a node only: no value is one
)

func (k kind) String() string {
	return [...]string{"a plain value", "a map", "a list", "an alias"}[k]
}

// value is what a part of a document means. It is never changed once it is made,
// so that documents before and after an edit share what is the same, and so that
// what aliases repeat is kept once.
type value struct {
	kind   kind
	scalar any // nil, bool, int64, float64 or string
	fields map[string]*value
	items  []*value
	// origin is the value of the document that this one is a changed copy of.
	origin *value
	// size is how many values this is once aliases are written out, no more than
	// just over maxValues; depth is how deep it nests.
	size, depth int
}

func scalarOf(v any) *value { return &value{scalar: v, size: 1} }

func mapOf(fields map[string]*value) *value {
	v := &value{kind: mapping, fields: fields, size: 1}
	for _, f := range fields {
		v.count(f)
	}
	return v
}

func listOf(items []*value) *value {
	v := &value{kind: list, items: items, size: 1}
	for _, i := range items {
		v.count(i)
	}
	return v
}

func (v *value) count(child *value) {
	v.size = min(v.size+child.size, maxValues+1)
	v.depth = max(v.depth, child.depth+1)
}

// first is the value of the document that v comes from.
func (v *value) first() *value {
	for v.origin != nil {
		v = v.origin
	}
	return v
}

func (v *value) null() bool { return v.kind == scalar && v.scalar == nil }

// withinLimits refuses what is larger than the loader reads.
func (v *value) withinLimits() error {
	switch {
	case v.size > maxValues:
		return fmt.Errorf("the document has more than %d values once its aliases are expanded; split it", maxValues)
	case v.depth > maxDepth:
		return fmt.Errorf("the document nests deeper than %d levels", maxDepth)
	}
	return nil
}

// valueOf takes over a value as JSON has it.
func valueOf(v any, depth int) (*value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("the new value nests deeper than %d levels", maxDepth)
	}
	switch v := v.(type) {
	case nil, bool:
		return scalarOf(v), nil
	case string:
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("the new value has text that is not UTF-8")
		}
		return scalarOf(v), nil
	case map[string]any:
		fields := make(map[string]*value, len(v))
		for k, e := range v {
			f, err := valueOf(e, depth+1)
			if err != nil {
				return nil, err
			}
			if !utf8.ValidString(k) {
				return nil, fmt.Errorf("the new value has a key that is not UTF-8")
			}
			fields[k] = f
		}
		return mapOf(fields), nil
	case []any:
		items := make([]*value, len(v))
		for i, e := range v {
			f, err := valueOf(e, depth+1)
			if err != nil {
				return nil, err
			}
			items[i] = f
		}
		return listOf(items), nil
	}
	n, err := numberOf(v)
	if err != nil {
		return nil, err
	}
	return scalarOf(n), nil
}

// numberOf makes of any number an int64, or a float64 where it is none.
func numberOf(v any) (any, error) {
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v), nil
		}
		return float64(v), nil
	case float32:
		return wholeNumber(float64(v))
	case float64:
		return wholeNumber(v)
	case json.Number:
		return jsonNumber(string(v))
	}
	return nil, fmt.Errorf("cannot write a value of type %T", v)
}

func jsonNumber(text string) (any, error) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("%s is no number that can be kept: %w", text, err)
	}
	return wholeNumber(f)
}

// wholeNumber is a float that JSON can hold, as kubectl's way through JSON has it.
func wholeNumber(f float64) (any, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, fmt.Errorf("%v has no form in JSON, which the API speaks", f)
	}
	return yaml11.WholeNumber(f), nil
}

// equal compares what values mean. Both are within limits, and what an edit left
// alone is the same pointer.
func equal(a, b *value) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil || a.kind != b.kind || a.size != b.size {
		return false
	}
	switch a.kind {
	case mapping:
		if len(a.fields) != len(b.fields) {
			return false
		}
		for k, x := range a.fields {
			if y, ok := b.fields[k]; !ok || !equal(x, y) {
				return false
			}
		}
		return true
	case list:
		if len(a.items) != len(b.items) {
			return false
		}
		for i, x := range a.items {
			if !equal(x, b.items[i]) {
				return false
			}
		}
		return true
	}
	return a.scalar == b.scalar
}
