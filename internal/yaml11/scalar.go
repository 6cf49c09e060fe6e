// Package yaml11 says what YAML scalars mean to kubectl, which reads them by YAML
// 1.1 with the second version of the YAML library (decision 3). That library is
// asked; what it says is brought to the types that decoded JSON has: nil, bool,
// int64, float64 and string.
package yaml11

import (
	"fmt"
	"math"
	"strings"

	yamlv2 "go.yaml.in/yaml/v2"
)

// Ambiguous reports whether a plain scalar may be something else than a string: a
// number begins with a digit, a sign or a dot; the words are at most five long.
// All others need not be asked for.
func Ambiguous(v string) bool {
	if v == "" {
		return true
	}
	switch c := v[0]; {
	case c >= '0' && c <= '9', c == '+', c == '-', c == '.', c == '~', c == '<', c == '=':
		return true
	default:
		return len(v) <= 5 && strings.IndexByte("yYnNtTfFoO", c) >= 0
	}
}

// Resolve returns what a plain scalar means. An error means that JSON has no such
// value.
func Resolve(v string) (any, error) {
	// No number and no word has these; as a document they would mean something else.
	if strings.ContainsAny(v, "\n:#{}[],&*!|>'\"%@`") || strings.HasPrefix(v, "---") || strings.HasPrefix(v, "...") {
		return v, nil
	}
	var out any
	if err := yamlv2.Unmarshal([]byte(v), &out); err != nil {
		return v, nil
	}
	return jsonValue(out, v)
}

// Tagged returns what a scalar with an explicit tag means, such as !!str 5.
func Tagged(tag, v string) (any, error) {
	long := tag
	if strings.HasPrefix(tag, "tag:") {
		long = "!<" + tag + ">"
	}
	var out any
	if err := yamlv2.Unmarshal(fmt.Appendf(nil, "%s %q", long, v), &out); err != nil {
		return nil, fmt.Errorf("value %q does not fit its tag %s", v, tag)
	}
	return jsonValue(out, v)
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
		return WholeNumber(v), nil
	}
	return written, nil
}

// WholeNumber is an int64 where a finite float is whole and exact: kubectl passes
// through JSON, where that is written as an integer.
func WholeNumber(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f)
	}
	return f
}
