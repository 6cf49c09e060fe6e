package persona

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "schema", name))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, v); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// TestFilesMatchTheirSchemas: what is read and written is what the schemas say.
func TestFilesMatchTheirSchemas(t *testing.T) {
	personas, check := schema(t, "personas.v1.json"), schema(t, "accesscheck.v1.json")
	if err := valid(t, personas, Example); err != nil {
		t.Error(err)
	}
	s, err := generate(t, Example)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(s.Check.Content())
	if err != nil {
		t.Fatal(err)
	}
	if err := valid(t, check, string(text)); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{"role: god\ngroups: [a]", "role: break-glass\ngroups: [a]", "role: viewer", "role: viewer\ngroup: [a]", "role: viewer\ngroups: [a]\nextra: [pods]", "role: viewer\nserviceAccounts: [a]"} {
		if _, err := generate(t, team(wrong)); err == nil || valid(t, personas, team(wrong)) == nil {
			t.Errorf("%q: %v, and by the schema %v", wrong, err, valid(t, personas, team(wrong)))
		}
	}
}

// TestSchemaKnowsTheRoles compares the lists of roles.
func TestSchemaKnowsTheRoles(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "schema", "personas.v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := readCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	var lists []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if list, ok := v["enum"].([]any); ok {
				lists = append(lists, strings.Trim(fmt.Sprint(list), "[]"))
			}
			for _, e := range v {
				walk(e)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	walk(v)
	for _, of := range []bool{true, false} {
		if want := strings.Join(c.names(of), " "); !slices.Contains(lists, want) {
			t.Errorf("%s is not among %q", want, lists)
		}
	}
}
