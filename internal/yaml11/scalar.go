// Package yaml11 says what YAML scalars mean to kubectl, which reads them by YAML
// 1.1 with the second version of the YAML library (decision 3). That library is
// asked; what it says is brought to the types that decoded JSON has: nil, bool,
// int64, float64 and string.
package yaml11

import (
	"errors"
	"fmt"
	"math"
	"strconv"
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
	return jsonValue(plain(v), v)
}

// plain is what the library makes of a plain scalar.
func plain(v string) any {
	// No number and no word has these; as a document they would mean something else.
	if strings.ContainsAny(v, "\n:#{}[],&*!|>'\"%@`") || strings.HasPrefix(v, "---") || strings.HasPrefix(v, "...") {
		return v
	}
	var out any
	if err := yamlv2.Unmarshal([]byte(v), &out); err != nil {
		return v
	}
	return out
}

// Tagged returns what a scalar with an explicit tag means, such as !!str 5.
func Tagged(tag, v string) (any, error) {
	out, err := tagged(tag, v)
	if err != nil {
		return nil, err
	}
	return jsonValue(out, v)
}

func tagged(tag, v string) (out any, err error) {
	long := tag
	if strings.HasPrefix(tag, "tag:") {
		long = "!<" + tag + ">"
	}
	if err := yamlv2.Unmarshal(fmt.Appendf(nil, "%s %q", long, v), &out); err != nil {
		return nil, fmt.Errorf("value %q does not fit its tag %s", v, tag)
	}
	return out, nil
}

// Key returns what a plain scalar that stands as a key means, or one with an explicit
// tag: JSON has strings only, and kubectl makes them of numbers and booleans. A whole
// number that is too large for, or is not written as, an integer of YAML 1.1 is a
// float there: 08000000 is "8e+06".
func Key(tag, v string) (string, error) {
	if tag == "" {
		return KeyName(plain(v))
	}
	out, err := tagged(tag, v)
	if err != nil {
		return "", err
	}
	return KeyName(out)
}

// KeyName is a key that the library has decoded, as sigs.k8s.io/yaml has it in JSON.
func KeyName(key any) (string, error) {
	switch key := key.(type) {
	case string:
		return key, nil
	case bool, int, int64:
		return fmt.Sprint(key), nil
	case float64:
		switch s := strconv.FormatFloat(key, 'g', -1, 32); s {
		case "+Inf":
			return ".inf", nil
		case "-Inf":
			return "-.inf", nil
		case "NaN":
			return ".nan", nil
		default:
			return s, nil
		}
	case nil:
		return "", errors.New("a key must not be null")
	}
	return "", errors.New("a key must be text, a number or a boolean")
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
