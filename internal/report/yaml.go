package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"go.yaml.in/yaml/v2"

	"bulkhead.dev/bulkhead/internal/finding"
)

// writeYAML writes what writeJSON writes, in YAML with the keys in order of the
// alphabet, as kubectl does.
func writeYAML(w io.Writer, r *finding.Result, _ Options) error {
	b, err := marshalYAML(complete(r))
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// marshalYAML encodes the JSON form of v. sigs.k8s.io/yaml would parse that
// JSON as YAML, which forbids keys of more than 1,024 characters and control
// characters as JSON writes them. The encoder is the same: it quotes what a
// reader of YAML 1.1 takes for a number, a null or a boolean.
func marshalYAML(v any) ([]byte, error) {
	b, err := marshalJSON(v, "", "")
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	if tree, err = numbers(tree); err != nil {
		return nil, err
	}
	return yaml.Marshal(tree)
}

// numbers replaces every json.Number, which YAML would write as a string.
func numbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return number(v.String())
	case map[string]any:
		for key := range v {
			if v[key], err = numbers(v[key]); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func number(s string) (any, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, fmt.Errorf("the number %.40s does not fit into YAML's: %w", s, err)
	}
	return f, nil
}
