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

var schemas = filepath.Join("..", "..", "docs", "schema")

const (
	scanResultFile = "scanresult.v1.json"
	fixResultFile  = "fixresult.v1.json"
	driftFile      = "drift.v1.json"
)

// schemaOf compiles a schema. They name one another by where they are published.
func schemaOf(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	for _, file := range []string{scanResultFile, fixResultFile, driftFile} {
		b, err := os.ReadFile(filepath.Join(schemas, file))
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err == nil {
			err = c.AddResource("https://bulkhead.dev/schema/"+file, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile("https://bulkhead.dev/schema/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(t *testing.T, schema *jsonschema.Schema, name string, data []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func TestResultsMatchTheSchema(t *testing.T) {
	schema := schemaOf(t, scanResultFile)
	withPasses := sampleResult()
	withPasses.Passes = samplePasses()
	for name, r := range map[string]*finding.Result{
		"sample": sampleResult(), "passes": withPasses, "clean": cleanResult(), "empty": {}, "many": manyFindings(100), "shop": shopResult(),
	} {
		validate(t, schema, name, render(t, "json", r, Options{}))
	}
}

func TestFixResultsMatchTheSchema(t *testing.T) {
	schema := schemaOf(t, fixResultFile)
	for name, r := range map[string]*finding.FixResult{"sample": sampleFix(), "empty": {APIVersion: finding.APIVersion, Kind: finding.FixResultKind}} {
		var b bytes.Buffer
		if err := WriteFix(&b, "json", r, Options{}); err != nil {
			t.Fatal(err)
		}
		validate(t, schema, name, b.Bytes())
	}
	spoiled := sampleFix()
	spoiled.Left[0].Cause = "tired"
	var b bytes.Buffer
	if err := WriteFix(&b, "json", spoiled, Options{}); err != nil {
		t.Fatal(err)
	}
	if v, err := jsonschema.UnmarshalJSON(&b); err != nil || schema.Validate(v) == nil {
		t.Errorf("an unknown cause is no error (%v)", err)
	}
}

// The schema is of use only where it refuses something.
func TestSchemaRefuses(t *testing.T) {
	schema := schemaOf(t, scanResultFile)
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

// The schemas have the fields of the Go types, each required where it is always
// written, and no others.
func TestSchemaHasTheFieldsOfTheTypes(t *testing.T) {
	files := schemaFiles{}
	for _, name := range []string{scanResultFile, fixResultFile, driftFile} {
		b, err := os.ReadFile(filepath.Join(schemas, name))
		if err != nil {
			t.Fatal(err)
		}
		var root map[string]any
		if err := json.Unmarshal(b, &root); err != nil {
			t.Fatal(err)
		}
		files[name] = root
	}
	seen := map[reflect.Type]bool{}
	files.compareFields(t, scanResultFile, files[scanResultFile], reflect.TypeFor[finding.Result](), "", seen)
	files.compareFields(t, fixResultFile, files[fixResultFile], reflect.TypeFor[finding.FixResult](), "", seen)
	files.compareFields(t, driftFile, files[driftFile], reflect.TypeFor[finding.Drift](), "", seen)
	for _, typ := range []reflect.Type{reflect.TypeFor[finding.Edit](), reflect.TypeFor[finding.Requirement](), reflect.TypeFor[finding.WaiverUse](),
		reflect.TypeFor[finding.LeftFinding](), reflect.TypeFor[finding.Replacement](), reflect.TypeFor[finding.FileChange](), reflect.TypeFor[finding.ObjectChange](), reflect.TypeFor[finding.Managed]()} {
		if !seen[typ] {
			t.Errorf("%v was not compared", typ)
		}
	}
}

// schemaFiles are schemas by the name of their file.
type schemaFiles map[string]map[string]any

// resolve follows references, such as scanresult.v1.json#/$defs/finding.
func (files schemaFiles) resolve(file string, schema map[string]any) (string, map[string]any) {
	for {
		ref, ok := schema["$ref"].(string)
		if !ok {
			return file, schema
		}
		name, pointer, _ := strings.Cut(ref, "#/")
		if name != "" {
			file = name
		}
		schema = files[file]
		for step := range strings.SplitSeq(pointer, "/") {
			schema, _ = schema[step].(map[string]any)
		}
	}
}

func (files schemaFiles) compareFields(t *testing.T, file string, schema map[string]any, typ reflect.Type, at string, seen map[reflect.Type]bool) {
	t.Helper()
	file, schema = files.resolve(file, schema)
	switch typ.Kind() {
	case reflect.Pointer:
		files.compareFields(t, file, schema, typ.Elem(), at, seen)
	case reflect.Slice:
		items, ok := schema["items"].(map[string]any)
		if !ok || schema["type"] != "array" {
			t.Errorf("%s is no array in the schema", at)
			return
		}
		files.compareFields(t, file, items, typ.Elem(), at+"[]", seen)
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
		files.compareStruct(t, file, schema, typ, at, seen)
	}
}

func (files schemaFiles) compareStruct(t *testing.T, file string, schema map[string]any, typ reflect.Type, at string, seen map[reflect.Type]bool) {
	t.Helper()
	if schema["additionalProperties"] != false {
		t.Errorf("%s allows further fields", at)
	}
	properties, _ := schema["properties"].(map[string]any)
	var names, always, required []string
	for _, field := range reflect.VisibleFields(typ) {
		name, option, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous {
			continue
		}
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
		files.compareFields(t, file, property, field.Type, at+"."+name, seen)
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
