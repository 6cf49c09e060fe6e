package helm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestErrorsNameFileAndLine: place is the end of the file's path with the line.
func TestErrorsNameFileAndLine(t *testing.T) {
	const helpers = "{{ define \"shop.name\" }}\n{{ .Values.name.first }}\n{{ end }}\n{{ define \"shop.check\" }}{{ fail \"set name.first\\nto a word\" }}{{ end }}\n"
	for name, tt := range map[string]struct {
		chart files
		place string
		want  string
	}{
		"syntax":           {files{"templates/x.yaml": "a: 1\nb: {{ if }}\n"}, "templates/x.yaml:2: ", "missing value for if"},
		"unknown function": {files{"templates/x.yaml": "\n\n{{ nonsense }}\n"}, "templates/x.yaml:3: ", `function "nonsense" not defined`},
		"fail":             {files{"templates/x.yaml": "a: 1\n{{ fail \"no \\x1b[31m luck\" }}\n"}, "templates/x.yaml:2: ", "no [31m luck"},
		"required":         {files{"templates/x.yaml": "a: {{ required \"name the shop\" .Values.shop }}\n"}, "templates/x.yaml:1: ", "name the shop"},
		"nil":              {files{"templates/x.yaml": "\na: {{ .Values.a.b.c }}\n"}, "templates/x.yaml:2: ", "nil pointer evaluating interface {}.b"},
		"in a helper":      {files{"templates/_h.tpl": helpers, "templates/x.yaml": "\na: {{ include \"shop.name\" . }}\n"}, "templates/x.yaml:2: ", "nil pointer evaluating interface {}.first (in templates/_h.tpl:2)"},
		"fail in a helper": {files{"templates/_h.tpl": helpers, "templates/x.yaml": "\na: {{ include \"shop.check\" . }}\n"}, "templates/x.yaml:2: ", "set name.first to a word"},
		"no template":      {files{"templates/x.yaml": "{{ include \"gone\" . }}"}, "templates/x.yaml:1: ", `no template "gone"`},
		"tpl":              {files{"templates/x.yaml": "{{ tpl .Values.t . }}", "values.yaml": "t: '{{ fail \"inner\" }} secret-text'"}, "templates/x.yaml:1: ", "inner"},
		"panic":            {files{"templates/x.yaml": "{{ mustToDuration \"soon\" }}"}, "templates/x.yaml:1: ", "soon"},
		"subchart": {files{
			"charts/sub/Chart.yaml": "apiVersion: v2\nname: redis\nversion: 1.0.0\n", "charts/sub/templates/x.yaml": "\n{{ fail \"redis\" }}",
		}, "charts/sub/templates/x.yaml:2: ", "redis"},
		"Chart.yaml syntax": {files{"Chart.yaml": "apiVersion: v2\nname: a: b\n"}, "Chart.yaml:2: ", "mapping values are not allowed"},
		"Chart.yaml list":   {files{"Chart.yaml": "- a\n"}, "Chart.yaml: ", "cannot unmarshal array"},
		"Chart.yaml name":   {files{"Chart.yaml": "apiVersion: v2\nversion: 1.0.0\n"}, "Chart.yaml: ", "chart.metadata.name is required"},
		"Chart.yaml v3":     {files{"Chart.yaml": "apiVersion: v3\nname: x\nversion: 1.0.0\n"}, "Chart.yaml: ", `apiVersion "v3" is not supported; v1 and v2 are`},
		"values list":       {files{"values.yaml": "- a\n"}, "values.yaml: ", "values must be a map of names to values, but this is a list"},
		"values syntax":     {files{"values.yaml": "a: 1\nb: {\n"}, "values.yaml:2: ", "not valid YAML"},
		"values tab":        {files{"values.yaml": "a:\n\tb: 1\n"}, "values.yaml:2: ", "not valid YAML"},
		"recursion":         {files{"templates/x.yaml": "{{ define \"x\" }}{{ include \"x\" . }}{{ end }}\n{{ include \"x\" . }}"}, "templates/x.yaml:2: ", "nested reference name: x"},
		"missing dependency": {files{"Chart.yaml": chartYAML + "dependencies:\n- {name: redis, version: 1.x, repository: https://example.com}\n"},
			"", "Chart.yaml names the dependencies redis, which charts/ does not hold; run: helm dependency build "},
		"values of a subchart": {files{
			"charts/sub/Chart.yaml": "apiVersion: v2\nname: redis\nversion: 1.0.0\n", "values.yaml": "redis: hunter2\n",
		}, "", "the values for the subchart redis must be a map of names to values"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := tt.chart.write(t)
			e := refused(t, path, Options{})
			if tt.place != "" && !strings.HasPrefix(e.Error(), filepath.Join(path, filepath.FromSlash(tt.place))+"") {
				t.Errorf("got %v, want it to begin with %s", e, filepath.Join(path, tt.place))
			}
			if !strings.Contains(e.Message, tt.want) {
				t.Errorf("got %v, want %q", e, tt.want)
			}
			if strings.Contains(e.Message, "secret-text") || strings.Contains(e.Message, "hunter2") {
				t.Errorf("%v quotes a template's text", e)
			}
		})
	}
}

func TestErrorsInAnArchiveNameTheTemplate(t *testing.T) {
	path := writeArchive(t, entry("shop/Chart.yaml", chartYAML), entry("shop/templates/x.yaml", "\n{{ fail \"no luck\" }}"))
	if e, want := refused(t, path, Options{}), path+": templates/x.yaml:2: no luck"; e.Error() != want {
		t.Errorf("got %v, want %s", e, want)
	}
}

func TestValues(t *testing.T) {
	path := files{"templates/x.yaml": "{{ toYaml .Values }}\n", "values.yaml": "a: 1\nlist: [x, y]\nkept: true\n"}.write(t)
	dir := t.TempDir()
	file := func(name, content string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	c, err := renderPath(t, path, Options{
		ValuesFiles: []string{file("one.yaml", "a: 2\nb: {c: 1, d: 1}\n"), file("two.yaml", "b: {c: 2}\n---\ne: 5\n"), file("empty.yaml", "")},
		SetJSON:     []string{`{"j": {"k": [1]}}`, `m=[true]`},
		Set:         []string{"list[1]=z,n=1,kept=null"},
		SetString:   []string{"n=2"},
		SetFile:     []string{"cert=" + file("cert.pem", "-----BEGIN")},
		SetLiteral:  []string{"l=a,b=c"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `a: 2
b:
  c: 2
  d: 1
cert: '-----BEGIN'
e: 5
j:
  k:
  - 1
l: a,b=c
list:
- null
- z
m:
- true
"n": "2"
`
	if got := c.content(t, "templates/x.yaml"); got != want {
		t.Errorf("got %s", got)
	}

	for name, tt := range map[string]struct {
		o    Options
		want string
	}{
		"list":       {Options{ValuesFiles: []string{file("list.yaml", "- a\n- b\n")}}, "list.yaml: values must be a map of names to values, but this is a list"},
		"text":       {Options{ValuesFiles: []string{file("text.yaml", "hello\n")}}, "text.yaml: values must be a map of names to values, but this is a text"},
		"syntax":     {Options{ValuesFiles: []string{file("bad.yaml", "a: 1\nb: :\n  - {\n")}}, "bad.yaml:"},
		"anchors":    {Options{ValuesFiles: []string{file("bomb.yaml", bomb())}}, "excessive aliasing"},
		"missing":    {Options{ValuesFiles: []string{filepath.Join(dir, "gone.yaml")}}, "no such file"},
		"folder":     {Options{ValuesFiles: []string{dir}}, "is a directory"},
		"device":     {Options{ValuesFiles: []string{"/dev/zero"}, Limits: Limits{FileBytes: 1 << 20}}, "is larger than 1 MiB"},
		"URL":        {Options{ValuesFiles: []string{"https://example.com/values.yaml"}}, "is not fetched"},
		"set":        {Options{Set: []string{"a.b"}}, "--set"},
		"set json":   {Options{SetJSON: []string{`password={"hunter2`}}, "--set-json password: not JSON"},
		"set object": {Options{SetJSON: []string{`{"password":"hunter2`}}, "not JSON"},
		"set file":   {Options{SetFile: []string{"x=" + filepath.Join(dir, "gone")}}, "--set-file x: "},
		"release":    {Options{ReleaseName: "No Name"}, `the release name "No Name"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := refused(t, path, tt.o)
			if !strings.Contains(e.Error(), tt.want) {
				t.Errorf("got %v, want %q", e, tt.want)
			}
			if strings.Contains(e.Error(), "hunter2") {
				t.Errorf("%v holds a value", e)
			}
		})
	}
}

// bomb is YAML that grows tenfold with each of its lines.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		ref := "*a" + string(rune('0'+i))
		next := string(rune('1' + i))
		b.WriteString("a" + next + ": &a" + next + " [" + strings.Repeat(ref+",", 9) + ref + "]\n")
	}
	return b.String()
}

func TestSchema(t *testing.T) {
	const values = "name: Hunter2\nreplicas: many\nmail: hunter2@\nredis: {port: x}\n"
	sub := files{
		"charts/redis/Chart.yaml":         "apiVersion: v2\nname: redis\nversion: 1.0.0\n",
		"charts/redis/values.schema.json": `{"properties":{"port":{"type":"integer"}}}`,
	}
	for name, tt := range map[string]struct {
		schema, place, want string
	}{
		"own":       {`{"properties":{"name":{"pattern":"^[a-z]+$"},"replicas":{"type":"integer"}},"required":["owner"]}`, "values.schema.json", "/replicas: got string, want integer"},
		"pattern":   {`{"properties":{"name":{"pattern":"^[a-z]+$"}}}`, "values.schema.json", "/name: does not match ^[a-z]+$"},
		"local ref": {`{"$defs":{"n":{"type":"integer"}},"properties":{"replicas":{"$ref":"#/$defs/n"}}}`, "values.schema.json", "/replicas: got string, want integer"},
		"subchart":  {`{}`, "charts/redis/values.schema.json", "/port: got string, want integer"},
		"no JSON":   {`{`, "values.schema.json", "not valid JSON"},
		"no schema": {`{"type":"number of things"}`, "values.schema.json", "not a JSON schema"},
		"loop":      {`{"$ref":"#"}`, "values.schema.json", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chart := files{"values.schema.json": tt.schema, "values.yaml": values, "templates/x.yaml": "a: 1\n"}
			for path, content := range sub {
				chart[path] = content
			}
			e := refused(t, chart.write(t), Options{})
			if e.Template != tt.place || !strings.Contains(e.Message, tt.want) {
				t.Errorf("got %v", e)
			}
			if strings.Contains(strings.ToLower(e.Error()), "hunter2") {
				t.Errorf("%v holds a value", e)
			}
		})
	}
}

// TestSchemaReferencesAreNotFollowed: the SDK opens the file, and never comes
// back from a device.
func TestSchemaReferencesAreNotFollowed(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(secret, []byte(`{"not":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{
		"file:///dev/zero", "file://" + filepath.ToSlash(secret), "http://127.0.0.1:1/x.json", "https://127.0.0.1:1/x.json#/definitions/y",
		"other.json", "urn:example:x", "gopher://x/y",
	} {
		t.Run(ref, func(t *testing.T) {
			t.Parallel()
			path := files{
				"values.schema.json": `{"properties":{"a":{"$ref":"` + ref + `"}}}`,
				"values.yaml":        "a: 1\n", "templates/x.yaml": "a: {{ .Values.a }}\n",
			}.write(t)
			c, err := renderPath(t, path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(c.Warnings, func(w string) bool { return strings.Contains(w, "is not followed") }) {
				t.Errorf("warnings %q", c.Warnings)
			}
			if got := c.content(t, "templates/x.yaml"); got != "a: 1\n" {
				t.Errorf("got %q", got)
			}
		})
	}
	path := files{
		"values.schema.json": `{"$schema":"https://example.com/meta","type":"object"}`, "templates/x.yaml": "a: 1\n",
	}.write(t)
	if c, err := renderPath(t, path, Options{}); err != nil || len(c.Warnings) != 1 {
		t.Errorf("an unknown $schema: %v", err)
	}
}
