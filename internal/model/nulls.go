package model

import (
	"maps"
	"slices"
)

// WithoutNulls returns content without the fields that are null, as the API
// server has it after it read an object into its types. What has none is shared
// with content, not copied: neither may be changed.
func WithoutNulls(content map[string]any) map[string]any {
	pruned, _ := withoutNulls(content)
	out, _ := pruned.(map[string]any)
	return out
}

// withoutNulls returns v without null fields, and whether it had any.
func withoutNulls(v any) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		var out map[string]any
		for k, e := range v {
			p, changed := withoutNulls(e)
			if e == nil || changed {
				if out == nil {
					out = maps.Clone(v)
				}
				if out[k] = p; e == nil {
					delete(out, k)
				}
			}
		}
		if out != nil {
			return out, true
		}
	case []any:
		var out []any
		for i, e := range v {
			if p, changed := withoutNulls(e); changed {
				if out == nil {
					out = slices.Clone(v)
				}
				out[i] = p
			}
		}
		if out != nil {
			return out, true
		}
	}
	return v, false
}
