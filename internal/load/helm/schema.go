package helm

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	chart "helm.sh/helm/v4/pkg/chart/v2"

	"bulkhead.dev/bulkhead/internal/load/child"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// schemaFaults is how many violations of a schema an error names.
const schemaFaults = 5

// schemaURL is the name of a schema inside the validator.
const schemaURL = "file:///values.schema.json"

// noReferences answers every reference of a schema to another document with a
// schema that accepts everything, and notes it. The SDK's own validation opens
// such files, devices among them, and fetches such URLs.
type noReferences struct{ seen []string }

func (n *noReferences) Load(url string) (any, error) {
	n.seen = append(n.seen, url)
	return map[string]any{}, nil
}

// checkSchemas checks values against the values.schema.json of the chart and of
// each subchart, as Helm does before it renders.
func (t *tree) checkSchemas(c *chart.Chart, values map[string]any) error {
	if c.Schema != nil {
		if err := t.checkSchema(c, values); err != nil {
			return err
		}
	}
	for _, sub := range c.Dependencies() {
		switch v := values[sub.Name()].(type) {
		case map[string]any:
			if err := t.checkSchemas(sub, v); err != nil {
				return err
			}
		case nil:
		default:
			return t.request.errorf("the values for the subchart %s must be a map of names to values, but are %s", sub.Name(), kindOf(v))
		}
	}
	return nil
}

func (t *tree) checkSchema(c *chart.Chart, values map[string]any) error {
	name := t.path(path.Join(c.ChartFullPath(), "values.schema.json"))
	place := func(format string, args ...any) error {
		e := t.request.errorf(format, args...)
		e.Template = name
		return e
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(c.Schema))
	if err != nil {
		return place("not valid JSON: %s", err)
	}
	refused := &noReferences{}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(refused)
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return place("not a JSON schema: %s", err)
	}
	schema, err := compiler.Compile(schemaURL)
	if len(refused.seen) > 0 {
		t.warnings = append(t.warnings, fmt.Sprintf(
			"%s refers to %s, which is not followed: that part of the values is not checked", name, child.OneLine(strings.Join(refused.seen, ", "))))
		if err != nil { // because of what was not followed, for all we know
			return nil
		}
	}
	if err != nil {
		return place("not a JSON schema: %s", err)
	}
	err = schema.Validate(values)
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		return place("the values do not fit the chart's schema: %s", violations(invalid))
	}
	if err != nil {
		return place("the values cannot be checked: %s", err)
	}
	return nil
}

// violations lists what does not fit, without the values themselves: they may
// be passwords.
func violations(e *jsonschema.ValidationError) string {
	var found []string
	var visit func(*jsonschema.ValidationError)
	visit = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			visit(cause)
		}
		if len(e.Causes) > 0 {
			return
		}
		where := "/" + strings.Join(e.InstanceLocation, "/")
		found = append(found, where+": "+violation(e))
	}
	visit(e)
	if more := len(found) - schemaFaults; more > 0 {
		found = append(found[:schemaFaults], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(found, "; ")
}

func violation(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Pattern:
		return "does not match " + k.Want
	case *kind.Format:
		return "is not a valid " + k.Want
	}
	unit := (&jsonschema.ValidationError{ErrorKind: e.ErrorKind, SchemaURL: e.SchemaURL}).BasicOutput()
	if unit.Error == nil {
		return "does not fit"
	}
	return unit.Error.String()
}
