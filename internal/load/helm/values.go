package helm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/load/child"
)

// valuesFile reads a file that the user named for values, which the overlay may
// stand in for.
func (o Options) valuesFile(name string) ([]byte, error) {
	if path, err := filepath.Abs(name); err == nil {
		if content, ok := o.Overlay[path]; ok {
			return content, nil
		}
	}
	return readValuesFile(name, o.Limits.FileBytes)
}

// readValuesFile reads a file that may be a pipe, such as the shell's
// <(sops -d values.yaml).
func readValuesFile(name string, limit int64) ([]byte, error) {
	if strings.Contains(name, "://") {
		return nil, errors.New("a values file is not fetched; download it and give its path")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := readAtMost(f, limit)
	if err != nil {
		return nil, fmt.Errorf("the values file %w", err)
	}
	return data, nil
}

// mergeValues returns the values of all files and flags, later ones over
// earlier ones, in the order of Helm's cli/values.Options.MergeValues. That one
// is not called because it quotes values in its errors, reads URLs and reads
// this process's standard input.
func (r request) mergeValues() (map[string]any, error) {
	values := map[string]any{}
	for _, f := range r.Values {
		v, err := loadValues(f.Content)
		if err != nil {
			return nil, &Error{Chart: r.Path, File: f.Name, Line: yamlLine(err), Message: child.OneLine(err.Error())}
		}
		values = loader.MergeMaps(values, v)
	}
	for _, expression := range r.Options.SetJSON {
		merged, err := setJSON(expression, values)
		if err != nil {
			return nil, r.flagError("--set-json", expression, err)
		}
		values = merged
	}
	for _, flag := range []struct {
		name        string
		expressions []string
		set         func(string, map[string]any) error
	}{
		{"--set", r.Options.Set, strvals.ParseInto},
		{"--set-string", r.Options.SetString, strvals.ParseIntoString},
		{"--set-file", r.Options.SetFile, r.setFile},
		{"--set-literal", r.Options.SetLiteral, strvals.ParseLiteralInto},
	} {
		for _, expression := range flag.expressions {
			if err := flag.set(expression, values); err != nil {
				return nil, r.flagError(flag.name, expression, err)
			}
		}
	}
	return values, nil
}

// flagError names the key of an expression only: its value may be a password.
func (r request) flagError(flag, expression string, err error) *Error {
	key, _, found := strings.Cut(expression, "=")
	if !found || len(key) > 100 {
		key = "(an expression without a key)"
	}
	return r.errorf("%s %s: %s; write it as key=value", flag, key, err)
}

func setJSON(expression string, values map[string]any) (map[string]any, error) {
	if !strings.HasPrefix(strings.TrimSpace(expression), "{") {
		if err := strvals.ParseJSON(expression, values); err != nil {
			return nil, errors.New("not JSON") // the library's error quotes the value
		}
		return values, nil
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(expression), &object); err != nil {
		return nil, errors.New("not JSON")
	}
	return loader.MergeMaps(values, object), nil
}

func (r request) setFile(expression string, values map[string]any) error {
	return strvals.ParseIntoFile(expression, values, func(name []rune) (any, error) {
		data, err := readValuesFile(string(name), r.Options.Limits.FileBytes)
		return string(data), err
	})
}

// loadValues reads a values file: YAML documents, each a map or empty.
func loadValues(data []byte) (map[string]any, error) {
	values, err := loader.LoadValues(bytes.NewReader(data))
	if err == nil {
		return values, nil
	}
	var found any
	if yaml.Unmarshal(data, &found) == nil {
		if kind := kindOf(found); kind != "" {
			return nil, fmt.Errorf("values must be a map of names to values, but this is %s", kind)
		}
	}
	text := strings.TrimPrefix(err.Error(), "cannot unmarshal yaml document: ")
	return nil, errors.New("not valid YAML: " + strings.TrimPrefix(text, "error converting YAML to JSON: "))
}

func kindOf(v any) string {
	switch v.(type) {
	case []any:
		return "a list"
	case string:
		return "a text"
	case float64, int64, uint64, int:
		return "a number"
	case bool:
		return "a boolean"
	}
	return ""
}
