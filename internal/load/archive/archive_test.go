package archive

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/model"
)

// secret is planted wherever a credential is written in practice.
const secret = "MARKER-hunter2"

const planted = `[
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"a","managedFields":[{"x":"MARKER-hunter2"}],
 "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"stringData\":{\"p\":\"MARKER-hunter2\"}}","kept":"yes"}},
 "type":"Opaque","data":{"password":"MARKER-hunter2"},"stringData":{"password":"MARKER-hunter2"}},
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"sh.helm.release.v1.web.v1","namespace":"a"},"type":"helm.sh/release.v1","data":{"release":"MARKER-hunter2"}},
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"odd","namespace":"a"},"data":"MARKER-hunter2"},
{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"a"},"data":{"app.conf":"password=MARKER-hunter2"},"binaryData":{"k":"MARKER-hunter2"}},
{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"name":"r","namespace":"a"},"data":{"spec":{"p":"MARKER-hunter2"}},"revision":3},
{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","namespace":"a"},"spec":{"replicas":2,"template":{"spec":{
 "initContainers":[{"name":"i","image":"x","env":[{"name":"T","value":"MARKER-hunter2"},{"name":"F","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}],
 "containers":[{"name":"m","image":"registry.example/x:1","command":["sh","-c","login MARKER-hunter2"],"args":["--password=MARKER-hunter2","-p","MARKER-hunter2"],
  "livenessProbe":{"httpGet":{"port":80,"httpHeaders":[{"name":"Authorization","value":"Bearer MARKER-hunter2"}]}},
  "lifecycle":{"preStop":{"exec":{"command":["curl","MARKER-hunter2"]}}}}]}}}},
{"apiVersion":"argoproj.io/v1alpha1","kind":"Rollout","metadata":{"name":"r","namespace":"a","annotations":{"url":"https://u:MARKER-hunter2@example.com/x"}},
 "spec":{"template":{"spec":{"containers":[{"name":"m","env":[{"name":"T","value":"MARKER-hunter2"}]}]}}}}
]`

func plantedObjects(t *testing.T) []*model.Object {
	t.Helper()
	var contents []map[string]any
	if err := json.Unmarshal([]byte(planted), &contents); err != nil {
		t.Fatal(err)
	}
	var out []*model.Object
	for _, c := range contents {
		o, ok := model.NewObject(c, nil, model.Source{})
		if !ok {
			t.Fatal(c)
		}
		out = append(out, o)
	}
	return out
}

// write makes an archive of two worlds of the planted objects.
func write(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, Header{Controls: map[string]string{"no-x": "1"}, Created: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Source: "https://cluster", Tool: "bulkhead"})
	if err != nil {
		t.Fatal(err)
	}
	objects := plantedObjects(t)
	live := model.NewWorld(objects, model.WorldOptions{Live: true,
		Unobserved: []model.Unobserved{{GroupKind: model.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "Role"}, Namespace: "b", Reason: "forbidden"}}})
	if err := w.World(live); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		content, redacted := Redact(o.Content)
		if err := w.Object(content, Notes{Redacted: redacted, Represented: o.Kind == "Secret", Verdicts: Verdicts{"no-x": {Violations: []model.RecordedViolation{{Path: "spec.a[0]", Container: "m", Detail: "bad"}}}, "no-y": {Unknown: "why"}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.World(model.NewWorld(nil, model.WorldOptions{Root: "chart", Complete: true})); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func text(t *testing.T, data []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestNoSecretValueIsRecorded(t *testing.T) {
	if n := strings.Count(planted, secret); n < 17 {
		t.Fatalf("only %d are planted", n)
	}
	objects := plantedObjects(t)
	before, _ := json.Marshal(objects[0].Content)
	written := text(t, write(t))
	for line := range strings.Lines(written) {
		if strings.Contains(line, secret) || strings.Contains(line, "hunter2") {
			t.Errorf("a value got out: %s", line)
		}
	}
	Redact(objects[0].Content)
	if after, _ := json.Marshal(objects[0].Content); string(after) != string(before) {
		t.Error("the object itself was changed")
	}
	for _, kept := range []string{`"password"`, `"app.conf"`, `"secretKeyRef"`, `"image":"registry.example/x:1"`, `"--password=<redacted>"`, `"kept":"yes"`, `"{\"apiVersion\":\"v1\",\"kind\":\"Secret\"}"`, `"Authorization"`, `"replicas":2`, `https://<redacted>@example.com/x`, `"revision":3`} {
		if !strings.Contains(written, kept) {
			t.Errorf("%s is gone", kept)
		}
	}
}

func TestReadsWhatWasWritten(t *testing.T) {
	data := write(t)
	if !Is(data) || Is([]byte("apiVersion: v1\n")) {
		t.Error("an archive is not told from a manifest")
	}
	a, err := Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if a.Source != "https://cluster" || len(a.Worlds) != 2 || !a.Worlds[0].Options.Live || a.Worlds[1].Options.Root != "chart" || !a.Worlds[1].Options.Complete {
		t.Errorf("got %+v", a)
	}
	if u := a.Worlds[0].Options.Unobserved; len(u) != 1 || u[0].Kind != "Role" || u[0].Namespace != "b" || u[0].Reason != "forbidden" {
		t.Errorf("unobserved %+v", u)
	}
	want := plantedObjects(t)
	if len(a.Worlds[0].Objects) != len(want) {
		t.Fatalf("%d objects", len(a.Worlds[0].Objects))
	}
	for i, o := range a.Worlds[0].Objects {
		if o.Ref() != want[i].Ref() {
			t.Errorf("object %d is %s", i, o.Ref())
		}
		if r := a.Worlds[0].Options.Record; !r.Redacted[o] || r.Represented[o] != (o.Kind == "Secret") || r.Controls["no-x"] != "1" {
			t.Errorf("record %+v", r)
		}
		if v := a.Worlds[0].Options.Record.Verdicts[o]; len(v) != 2 || v["no-x"].Violations[0].Container != "m" || v["no-y"].Unknown != "why" {
			t.Errorf("verdicts %+v", v)
		}
	}
	deployment := a.Worlds[0].Objects[5].Content
	if n, ok := model.Get(deployment, "spec", "replicas").(int64); !ok || n != 2 {
		t.Errorf("replicas are %T", model.Get(deployment, "spec", "replicas"))
	}
	if again, redacted := Redact(deployment); redacted || !reflect.DeepEqual(again, deployment) {
		t.Error("what is redacted is redacted again")
	}
}

func zipped(lines ...string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(strings.Join(lines, "\n")))
	_ = z.Close()
	return b.Bytes()
}

const header = `{"apiVersion":"bulkhead.dev/v1","kind":"Snapshot","created":"2027-01-02T03:04:05Z","source":"x","tool":"y"}`

func TestReadsNoOther(t *testing.T) {
	whole := write(t)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":              {nil, "no snapshot"},
		"a manifest":         {[]byte("apiVersion: v1\n"), "no snapshot"},
		"another gzip":       {zipped("hello"), "no snapshot: make one"},
		"another kind":       {zipped(`{"apiVersion":"bulkhead.dev/v1","kind":"ScanResult"}`), "no snapshot: make one"},
		"another version":    {zipped(`{"apiVersion":"bulkhead.dev/v9","kind":"Snapshot"}`), `version "bulkhead.dev/v9"`},
		"cut short":          {whole[:len(whole)/2], "damaged"},
		"no last line":       {zipped(header, `{"world":{}}`), "cut short"},
		"lines lost":         {zipped(header, `{"world":{}}`, `{"end":{"objects":3}}`), "3 objects were recorded, and 0 are there"},
		"no world":           {zipped(header, `{"object":{"apiVersion":"v1","kind":"Pod"}}`), "line 2: it is neither"},
		"no object":          {zipped(header, `{"world":{}}`, `{"object":{"kind":"Pod"}}`), "line 3: an object has no apiVersion"},
		"no JSON":            {zipped(header, `{"world":{}}`, `{`), "line 3: malformed JSON"},
		"deep":               {zipped(header, `{"world":{}}`, `{"object":`+strings.Repeat(`{"a":`, 20000)+`1`+strings.Repeat(`}`, 20000)+`}`), "line 3: malformed JSON"},
		"a line without end": {zipped(header, `{"world":{}}`, strings.Repeat("x", maxLine+1)), "longer than 16 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Read(bytes.NewReader(c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(header + "\n" + `{"world":{"live":true}}` + "\n" + `{"object":{"apiVersion":"v1","kind":"Pod"},"verdicts":{"a":{"unknown":"b"}}}` + "\n" + `{"end":{"objects":1}}`))
	f.Fuzz(func(t *testing.T, lines []byte) {
		a, err := Read(bytes.NewReader(zipped(string(lines))))
		if err != nil {
			return
		}
		for _, w := range a.Worlds {
			for _, o := range w.Objects {
				if o.Kind == "" || o.Content == nil {
					t.Errorf("%+v", o)
				}
			}
		}
	})
}
