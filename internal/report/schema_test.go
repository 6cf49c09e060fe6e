package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"bulkhead.dev/bulkhead/internal/finding"
)

var schemaFile = filepath.Join("..", "..", "docs", "schema", "scanresult.v1.json")

func scanResultSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestResultsMatchTheSchema(t *testing.T) {
	schema := scanResultSchema(t)
	withPasses := sampleResult()
	withPasses.Passes = samplePasses()
	for name, r := range map[string]*finding.Result{
		"sample": sampleResult(), "passes": withPasses, "clean": cleanResult(), "empty": {}, "many": manyFindings(100), "shop": shopResult(),
	} {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(render(t, "json", r, Options{})))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The schema is of use only where it refuses something.
func TestSchemaRefuses(t *testing.T) {
	schema := scanResultSchema(t)
	for name, spoil := range map[string]func(map[string]any){
		"another version":    func(v map[string]any) { v["apiVersion"] = "bulkhead.dev/v2" },
		"no findings":        func(v map[string]any) { delete(v, "findings") },
		"null for a list":    func(v map[string]any) { v["rules"] = nil },
		"an unknown field":   func(v map[string]any) { v["extra"] = 1 },
		"a field deep down":  func(v map[string]any) { first(v, "findings")["object"].(map[string]any)["uid"] = "x" },
		"a passing finding":  func(v map[string]any) { first(v, "findings")["verdict"] = "pass" },
		"a severity as 4":    func(v map[string]any) { first(v, "findings")["severity"] = 4 },
		"a negative count":   func(v map[string]any) { v["summary"].(map[string]any)["fail"] = -1 },
		"an unknown state":   func(v map[string]any) { first(v, "waivers")["state"] = "lost" },
		"a severity unknown": func(v map[string]any) { v["summary"].(map[string]any)["bySeverity"] = map[string]any{"worst": 1} },
	} {
		var v map[string]any
		if err := json.Unmarshal(render(t, "json", sampleResult(), Options{}), &v); err != nil {
			t.Fatal(err)
		}
		spoil(v)
		if schema.Validate(v) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func first(v map[string]any, field string) map[string]any {
	return v[field].([]any)[0].(map[string]any)
}

// The schema has the fields of the Go types, each required where it is always
// written, and no others.
func TestSchemaHasTheFieldsOfTheTypes(t *testing.T) {
	b, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(b, &root); err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	compareFields(t, root, root, reflect.TypeFor[finding.Result](), "", seen)
	for _, typ := range []reflect.Type{reflect.TypeFor[finding.Edit](), reflect.TypeFor[finding.Requirement](), reflect.TypeFor[finding.WaiverUse]()} {
		if !seen[typ] {
			t.Errorf("%v was not compared", typ)
		}
	}
}

func compareFields(t *testing.T, root, schema map[string]any, typ reflect.Type, at string, seen map[reflect.Type]bool) {
	t.Helper()
	if ref, ok := schema["$ref"].(string); ok {
		schema = root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
	switch typ.Kind() {
	case reflect.Pointer:
		compareFields(t, root, schema, typ.Elem(), at, seen)
	case reflect.Slice:
		items, ok := schema["items"].(map[string]any)
		if !ok || schema["type"] != "array" {
			t.Errorf("%s is no array in the schema", at)
			return
		}
		compareFields(t, root, items, typ.Elem(), at+"[]", seen)
	case reflect.Map:
		if schema["type"] != "object" {
			t.Errorf("%s is no object in the schema", at)
		}
	case reflect.Int:
		if typ != reflect.TypeFor[finding.Severity]() && schema["type"] != "integer" {
			t.Errorf("%s is no integer in the schema", at)
		}
	case reflect.String:
		if schema["type"] != "string" && schema["enum"] == nil && schema["const"] == nil {
			t.Errorf("%s is no string in the schema", at)
		}
	case reflect.Struct:
		seen[typ] = true
		compareStruct(t, root, schema, typ, at, seen)
	}
}

func compareStruct(t *testing.T, root, schema map[string]any, typ reflect.Type, at string, seen map[reflect.Type]bool) {
	t.Helper()
	if schema["additionalProperties"] != false {
		t.Errorf("%s allows further fields", at)
	}
	properties, _ := schema["properties"].(map[string]any)
	var names, always, required []string
	for i := range typ.NumField() {
		name, option, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
		if option != "omitempty" {
			always = append(always, name)
		}
		property, ok := properties[name].(map[string]any)
		if !ok {
			if properties[name] != true { // true: any value
				t.Errorf("%s.%s is not in the schema", at, name)
			}
			continue
		}
		compareFields(t, root, property, typ.Field(i).Type, at+"."+name, seen)
	}
	for name := range properties {
		if !slices.Contains(names, name) {
			t.Errorf("%s.%s is in the schema only", at, name)
		}
	}
	list, _ := schema["required"].([]any)
	for _, name := range list {
		required = append(required, name.(string))
	}
	slices.Sort(always)
	slices.Sort(required)
	if !slices.Equal(always, required) {
		t.Errorf("%s: required are %v, always written are %v", at, required, always)
	}
}
