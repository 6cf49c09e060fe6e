package intent

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

const start = "apiVersion: bulkhead.dev/v1\nkind: NetworkCheck\nspec:\n  assertions:\n    - "

// TestWrongFiles: each is refused with file, line and what to do, and by the schema where
// that can say it.
func TestWrongFiles(t *testing.T) {
	for _, c := range []struct {
		assertion, want string
		schemaToo       bool
	}{
		{"{only: {from: app=a, too: app=b}}", `test.yaml:5: spec.assertions[0].only.too is no field here: there are from, to, ports`, true},
		{"{only: {from: app=a, to: app=b}, deny: {from: app=a, to: app=b}}", "must have one of only, deny,", true},
		{"{name: x}", "must have one of", true},
		{"{allow: {from: app=a, to: app=b}}", "ports is missing", true},
		{"{deny: {from: app=a, to: app=b, ports: []}}", "ports is empty", true},
		{"{deny: {from: app=a, to: app=b, ports: [0]}}", "is no port: write 8080", true},
		{"{deny: {from: app=a, to: app=b, ports: [80-79]}}", "is no port", false},
		{"{deny: {from: app=a, to: app=b, ports: [65536]}}", "is no port", true},
		{"{deny: {from: app in (, to: app=b}}", "is no label selector", false},
		{"{deny: {from: web, to: app=b}}", "has no namespace: write NAMESPACE/web", false},
		{"{deny: {from: [], to: app=b}}", "from is empty", true},
		{"{deny: {from: a/b/c/d, to: app=b}}", "write NAMESPACE/NAME", false},
		{"{isolated: {egress: yes please}}", "namespace is missing", true},
		{"{isolated: A_b}", "at most 63 lower-case letters", true},
		{"{tiers: [app=a]}", "needs two tiers or more", true},
		{"{dns: sometimes}", "must be always", true},
		{"{dns: always, future: true}", "future is not for dns", true},
		{"{isolated: a, future: maybe}", "must be true or false", true},
		{"{internetOnlyBy: 3}", "must be a string", true},
	} {
		_, err := parse(t, start+c.assertion)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "test.yaml:5: ") {
			t.Errorf("%s: %v, want %q", c.assertion, err, c.want)
		}
		if valid := bySchema(t, start+c.assertion); c.schemaToo == (valid == nil) {
			t.Errorf("%s: by the schema: %v", c.assertion, valid)
		}
	}
}

// TestExample: it is read, and is what the schema says.
func TestExample(t *testing.T) {
	all, err := parse(t, Example)
	if err != nil || len(all) != len(Forms)+1 {
		t.Errorf("%d assertions, %v", len(all), err)
	}
	if err := bySchema(t, Example); err != nil {
		t.Error(err)
	}
}

func bySchema(t *testing.T, text string) error {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "schema", "networkcheck.v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	read := func(data []byte) any {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("s.json", read(data)); err != nil {
		t.Fatal(err)
	}
	content, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("s.json").Validate(read(content))
}
