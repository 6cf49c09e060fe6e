package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestAccessDriftMatchesTheSchema runs the check of the script, whose result has every
// kind of difference.
func TestAccessDriftMatchesTheSchema(t *testing.T) {
	script, err := txtar.ParseFile("../../cmd/bulkhead/testdata/rbac_check.txtar")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, f := range script.Files {
		if err := os.WriteFile(filepath.Join(folder, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := jsonschema.NewCompiler()
	for _, name := range []string{"accessdrift.v1.json", "scanresult.v1.json"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "docs", "schema", name))
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err == nil {
			err = c.AddResource("https://bulkhead.dev/schema/"+name, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile("https://bulkhead.dev/schema/accessdrift.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, input := range []string{"good.yaml", "bad.yaml"} {
		s := command(t, "rbac", "check", filepath.Join(folder, "check.yaml"), "-f", filepath.Join(folder, input), "-o", "json")
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(s.stdout)))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", input, err, s.stderr)
		}
	}
}
