package finding

import (
	"errors"
	"strings"
)

// SplitPointer takes a JSON Pointer (RFC 6901) apart into its reference tokens.
// There are none in the empty pointer, which is the whole.
func SplitPointer(pointer string) ([]string, error) {
	if pointer == "" {
		return nil, nil
	}
	if pointer[0] != '/' {
		return nil, errors.New("the path does not begin with a slash")
	}
	tokens := strings.Split(pointer[1:], "/")
	for i, t := range tokens {
		for _, after := range strings.Split(t, "~")[1:] {
			if after == "" || after[0] != '0' && after[0] != '1' {
				return nil, errors.New("the path has a ~ that is followed by neither 0 nor 1")
			}
		}
		tokens[i] = unescape.Replace(t)
	}
	return tokens, nil
}

// JoinPointer is the inverse of SplitPointer.
func JoinPointer(tokens ...string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteByte('/')
		b.WriteString(escape.Replace(t))
	}
	return b.String()
}

var escape, unescape = strings.NewReplacer("~", "~0", "/", "~1"), strings.NewReplacer("~1", "/", "~0", "~")
