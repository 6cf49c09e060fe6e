package overlay

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"strconv"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// identity tells a built object from the others.
func identity(o map[string]any) string {
	text := func(keys ...string) string { s, _ := model.Get(o, keys...).(string); return s }
	return fmt.Sprintf("%q %q %q %q", text("apiVersion"), text("kind"), text("metadata", "namespace"), text("metadata", "name"))
}

// bookkeeping is the annotation in which kustomize lists, where a file asks for
// it under buildMetadata, the transformers of an object; ours is one more.
const bookkeeping = "alpha.config.kubernetes.io/transformations"

// prune drops the fields that are null, which mean the same as none, and what
// kustomize tells of its own work.
func prune(o map[string]any) map[string]any {
	out := model.WithoutNulls(o)
	annotations, ok := model.Get(out, "metadata", "annotations").(map[string]any)
	if _, told := annotations[bookkeeping]; !ok || !told {
		return out
	}
	annotations = maps.Clone(annotations)
	delete(annotations, bookkeeping)
	meta := maps.Clone(out["metadata"].(map[string]any))
	meta["annotations"] = annotations
	out = maps.Clone(out)
	out["metadata"] = meta
	return out
}

// equal compares values as JSON has them, numbers by what they are worth: on the
// way through a patch 1.0 becomes 1.
func equal(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			if w, ok := y[k]; !ok || !equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equal(x[i], y[i]) {
				return false
			}
		}
		return true
	}
	if m, n := number(a), number(b); m != nil && n != nil {
		return m.Cmp(n) == 0
	}
	return reflect.DeepEqual(a, b)
}

// number returns what a number is worth, nil for what is none.
func number(v any) *big.Float {
	switch v := v.(type) {
	case int:
		return new(big.Float).SetInt64(int64(v))
	case int64:
		return new(big.Float).SetInt64(v)
	case uint64:
		return new(big.Float).SetUint64(v)
	case float64:
		if v != v { // NaN is worth nothing
			return nil
		}
		return new(big.Float).SetFloat64(v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return number(n)
		}
		if f, err := v.Float64(); err == nil {
			return number(f)
		}
	}
	return nil
}

// split takes a JSON Pointer apart that the planner has looked at before.
func split(pointer string) []string {
	tokens, _ := finding.SplitPointer(pointer)
	return tokens
}

// at returns the value at a path.
func at(v any, tokens []string) (any, bool) {
	for _, t := range tokens {
		switch in := v.(type) {
		case map[string]any:
			next, ok := in[t]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(t)
			if err != nil || i < 0 || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}
