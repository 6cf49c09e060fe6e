package gatekeeper

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/userpolicy/creation"
)

func decode(t *testing.T, text string) []*model.Object {
	t.Helper()
	f := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text))
	if len(f.Problems) > 0 {
		t.Fatal(f.Problems)
	}
	return f.Objects
}

// compileText compiles a template and a constraint.
func compileText(t *testing.T, text string) (*Constraint, error) {
	t.Helper()
	objects := decode(t, text)
	template, err := ParseTemplate(objects[0])
	if err != nil {
		return nil, err
	}
	return Compile(t.Context(), template, objects[1], 37)
}

func mustCompile(t *testing.T, text string) *Constraint {
	t.Helper()
	c, err := compileText(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// judge judges an object of a world.
func judge(t *testing.T, c *Constraint, w *model.World, o *model.Object) Result {
	t.Helper()
	r, err := creation.Of(w, o, creation.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Evaluate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out.Violations)
	return out
}

// template is a template whose code is Rego or CEL, and a constraint of it.
func template(kind, code, match, parameters string) string {
	return fmt.Sprintf(`
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: %s}
spec:
  crd:
    spec:
      names: {kind: %s}
      validation:
        openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
  targets:
  - target: admission.k8s.gatekeeper.sh
%s
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: %s
metadata: {name: it}
spec:
  match: %s
  parameters: %s
`, strings.ToLower(kind), kind, code, kind, match, parameters)
}

func inRego(text string) string {
	return "    rego: |\n      " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n      ")
}

// twins are templates that are written twice.
var twins = []struct{ name, rego, cel, parameters string }{
	{"labels", `
package labels
violation[{"msg": msg}] {
  want := input.parameters.labels[_]
  not input.review.object.metadata.labels[want]
  msg := sprintf("no label %v", [want])
}`, `
    code:
    - engine: K8sNativeValidation
      source:
        variables:
        - name: missing
          expression: variables.params.labels.filter(l, !(l in variables.anyObject.metadata.?labels.orValue({})))
        validations:
        - {expression: "!('a' in variables.missing)", message: no label a}
        - {expression: "!('b' in variables.missing)", messageExpression: "'no label ' + 'b'"}`, `{labels: [a, b]}`},
	{"privileged", `
package privileged
containers[c] { c := input.review.object.spec.containers[_] }
containers[c] { c := input.review.object.spec.initContainers[_] }
violation[{"msg": "a container is privileged"}] {
  containers[c]
  c.securityContext.privileged == true
}`, `
    code:
    - engine: K8sNativeValidation
      source:
        variables:
        - name: all
          expression: object.spec.?initContainers.orValue([]) + object.spec.containers
        validations:
        - expression: "!variables.all.exists(c, c.?securityContext.?privileged.orValue(false))"
          message: a container is privileged`, `{}`},
	{"registries", `
package registries
allowed(image) { startswith(image, input.parameters.registries[_]) }
violation[{"msg": msg}] {
  bad := [c.name | c := input.review.object.spec.containers[_]; not allowed(c.image)]
  count(bad) > 0
  msg := sprintf("from elsewhere: %v", [concat(",", bad)])
}`, `
    code:
    - engine: K8sNativeValidation
      source:
        matchCondition:
        - {name: pods, expression: "request.kind.kind == 'Pod'"}
        variables:
        - name: bad
          expression: object.spec.containers.filter(c, !variables.params.registries.exists(r, c.image.startsWith(r))).map(c, c.name)
        validations:
        - expression: size(variables.bad) == 0
          messageExpression: "'from elsewhere: ' + variables.bad.join(',')"`, `{registries: [one.example.com/, two.example.com/]}`},
}

// TestTwins compares templates in Rego with the same in CEL on random pods.
func TestTwins(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, twin := range twins {
		t.Run(twin.name, func(t *testing.T) {
			a := mustCompile(t, template("Twin"+twin.name, inRego(twin.rego), "{}", twin.parameters))
			b := mustCompile(t, template("Twin"+twin.name, strings.Trim(twin.cel, "\n"), "{}", twin.parameters))
			refused := 0
			for range 300 {
				o := randomPod(random)
				w := model.NewWorld([]*model.Object{o}, model.WorldOptions{})
				x, y := judge(t, a, w, o), judge(t, b, w, o)
				if !slices.Equal(x.Violations, y.Violations) || len(x.Unknown)+len(y.Unknown) > 0 {
					t.Fatalf("%v\nRego %v\nCEL  %v", o.Content, x, y)
				}
				if len(x.Violations) > 0 {
					refused++
				}
			}
			if refused < 30 || refused > 290 {
				t.Errorf("%d of 300 pods were refused, which says little", refused)
			}
		})
	}
}

func randomPod(r *rand.Rand) *model.Object {
	labels := map[string]any{}
	for _, l := range []string{"a", "b", "c"} {
		if r.IntN(2) == 0 {
			labels[l] = "x"
		}
	}
	containers := func(n int) []any {
		var out []any
		for i := range n {
			c := map[string]any{"name": fmt.Sprintf("c%d", i), "image": []string{"one.example.com/a:1", "two.example.com/b", "docker.io/c", "d"}[r.IntN(4)]}
			if r.IntN(3) == 0 {
				c["securityContext"] = map[string]any{"privileged": r.IntN(2) == 0}
			}
			out = append(out, c)
		}
		return out
	}
	spec := map[string]any{"containers": containers(1 + r.IntN(3))}
	if r.IntN(3) == 0 {
		spec["initContainers"] = containers(1)
	}
	o, _ := model.NewObject(map[string]any{"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": "p", "namespace": "n", "labels": labels}, "spec": spec}, nil, model.Source{})
	return o
}

// TestHostile has templates that never end, reach for the network or are no templates at
// all: each is refused, or unknown in time.
func TestHostile(t *testing.T) {
	refused := map[string][2]string{
		"recursion": {`package p
violation[{"msg": "x"}] { f(1) }
f(x) { f(x + 1) }`, "recursi"},
		"network": {`package p
violation[{"msg": "x"}] { http.send({"method": "get", "url": "http://127.0.0.1:1"}) }`, "http.send"},
		"lookup": {`package p
violation[{"msg": "x"}] { net.lookup_ip_addr("example.com") }`, "net.lookup_ip_addr"},
		"environment": {`package p
violation[{"msg": "x"}] { opa.runtime().env }`, "opa.runtime"},
		"external data": {`package p
violation[{"msg": "x"}] { external_data({"provider": "p", "keys": []}) }`, "external"},
		"other data": {`package p
violation[{"msg": "x"}] { data.secrets }`, "data"},
		"no violation": {`package p
deny { true }`, "violation"},
		"no Rego": {`this is none`, "parse"},
		"huge":    {"package p\n" + strings.Repeat("# a comment that goes on\n", 60_000), "bytes"},
	}
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			_, err := compileText(t, template("Hostile", inRego(c[0]), "{}", "{}"))
			if err == nil || !strings.Contains(err.Error(), c[1]) {
				t.Errorf("got %v, want an error about %q", err, c[1])
			}
		})
	}
	pod := randomPod(rand.New(rand.NewPCG(1, 1)))
	w := model.NewWorld([]*model.Object{pod}, model.WorldOptions{})
	for name, code := range map[string]string{
		"endless": `package p
violation[{"msg": "x"}] {
  a := numbers.range(1, 3000)[_]
  b := numbers.range(1, 3000)[_]
  c := numbers.range(1, 3000)[_]
  a + b + c == 0
}`,
		"error": `package p
violation[{"msg": msg}] { msg := f(input.review.object.kind) }
f("Pod") = "a" { true }
f(x) = "b" { x == "Pod" }`,
	} {
		t.Run(name, func(t *testing.T) {
			c := mustCompile(t, template("Hostile", inRego(code), "{}", "{}"))
			for range 3 {
				start := time.Now()
				out := judge(t, c, w, pod)
				if took := time.Since(start); took > patience+2*time.Second {
					t.Errorf("it took %s", took)
				}
				if len(out.Violations) > 0 || len(out.Unknown) != 1 {
					t.Errorf("got %+v, want one reason why it is unknown", out)
				}
			}
		})
	}
}

// TestCanceled looks that an evaluation ends with its context.
func TestCanceled(t *testing.T) {
	c := mustCompile(t, template("Slow", inRego(`package p
violation[{"msg": "x"}] {
  a := numbers.range(1, 3000)[_]
  b := numbers.range(1, 3000)[_]
  a + b == 0
}`), "{}", "{}"))
	pod := randomPod(rand.New(rand.NewPCG(1, 1)))
	w := model.NewWorld([]*model.Object{pod}, model.WorldOptions{})
	r, err := creation.Of(w, pod, creation.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Evaluate(ctx, r); err == nil {
		t.Error("it did not end")
	}
}

// TestMatch tries every field of spec.match.
func TestMatch(t *testing.T) {
	w := model.NewWorld(decode(t, `
{apiVersion: v1, kind: Namespace, metadata: {name: prod, labels: {env: prod}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: one, namespace: prod, labels: {tier: gold}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: two, namespace: kube-system}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: three, namespace: prod}, spec: {}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: four}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {generateName: five-, namespace: prod}}
`), model.WorldOptions{})
	everything := "prod one two three four five-"
	for match, want := range map[string]string{
		`{}`: everything,
		`{kinds: [{apiGroups: [""], kinds: [ConfigMap]}]}`:                           "one two five-",
		`{kinds: [{apiGroups: ["*"], kinds: ["*"]}]}`:                                everything,
		`{kinds: [{kinds: [Deployment]}, {apiGroups: [rbac.authorization.k8s.io]}]}`: "three four",
		`{namespaces: [prod]}`:                            "prod one three four five-",
		`{namespaces: ["kube-*"]}`:                        "two four",
		`{excludedNamespaces: ["*-system"]}`:              "prod one three four five-",
		`{scope: Cluster}`:                                "prod four",
		`{scope: Namespaced}`:                             "one two three five-",
		`{labelSelector: {matchLabels: {tier: gold}}}`:    "one",
		`{namespaceSelector: {matchLabels: {env: prod}}}`: "prod one three four five- two?",
		`{namespaceSelector: {matchExpressions: [{key: env, operator: DoesNotExist}]}}`:  "four two?",
		`{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}`: "two four",
		`{name: t*}`:          "two three",
		`{name: "*o*"}`:       "prod one two four",
		`{name: five-*}`:      "five-",
		`{name: five-}`:       "",
		`{source: Original}`:  everything,
		`{source: Generated}`: "",
	} {
		c := mustCompile(t, template("All", inRego(`package p
violation[{"msg": "yes"}] { true }`), match, "{}"))
		var got []string
		for _, o := range w.Objects {
			out := judge(t, c, w, o)
			name := strings.TrimSuffix(o.Name, "*")
			switch {
			case len(out.Unknown) > 0:
				got = append(got, name+"?")
			case len(out.Violations) > 0:
				got = append(got, name)
			}
		}
		a, b := strings.Fields(want), got
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			t.Errorf("%s matches %v, want %v", match, b, a)
		}
	}
	for _, match := range []string{`{scope: cluster}`, `{source: x}`, `{namespaces: [a*b]}`, `{labelSelector: {matchExpressions: [{key: a, operator: Is}]}}`, `{kinds: 3}`} {
		if _, err := compileText(t, template("All", inRego(`package p
violation[{"msg": "yes"}] { true }`), match, "{}")); err == nil {
			t.Errorf("%s is taken", match)
		}
	}
}

// TestInventory has a template that reads other objects.
func TestInventory(t *testing.T) {
	c := mustCompile(t, template("UniqueHost", inRego(`package p
violation[{"msg": msg}] {
  other := data.inventory.namespace[ns][_].Ingress[name]
  other.spec.rules[_].host == input.review.object.spec.rules[_].host
  [ns, name] != [input.review.object.metadata.namespace, input.review.object.metadata.name]
  msg := sprintf("%v/%v has the same host", [ns, name])
}`), `{kinds: [{apiGroups: [networking.k8s.io], kinds: [Ingress]}]}`, "{}"))
	text := `
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a, namespace: x}, spec: {rules: [{host: h1}]}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: b, namespace: z}, spec: {rules: [{host: h1}]}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: c, namespace: z}, spec: {rules: [{host: h2}]}}`
	open := model.NewWorld(decode(t, text), model.WorldOptions{})
	closed := model.NewWorld(decode(t, text), model.WorldOptions{Complete: true})
	for i, want := range []string{"z/b has the same host", "x/a has the same host", ""} {
		if got := judge(t, c, closed, closed.Objects[i]); strings.Join(got.Violations, ";") != want || len(got.Unknown) > 0 {
			t.Errorf("object %d: %+v, want %q", i, got, want)
		}
		got := judge(t, c, open, open.Objects[i])
		if strings.Join(got.Violations, ";") != want || len(got.Unknown) != 1 {
			t.Errorf("object %d among others that may exist: %+v", i, got)
		}
	}
}

// TestSuite runs a suite with every form of assertion.
func TestSuite(t *testing.T) {
	files := func(path string) ([]*model.Object, error) {
		text, err := os.ReadFile(filepath.Join("testdata", path))
		if err != nil {
			return nil, err
		}
		return decode(t, string(text)), nil
	}
	objects, err := files("suite.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSuite(objects[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Tests {
		test := &s.Tests[i]
		run, err := test.Prepare(t.Context(), files, 37)
		if wrong := strings.HasPrefix(test.Name, "wrong"); wrong != (err != nil) {
			t.Errorf("%s: %v", test.Name, err)
		}
		if err != nil {
			continue
		}
		for j := range test.Cases {
			c := &test.Cases[j]
			if err := run.Run(t.Context(), c); strings.HasPrefix(c.Name, "wrong") != (err != nil) {
				t.Errorf("%s, %s: %v", test.Name, c.Name, err)
			}
		}
	}
	if _, err := ParseSuite(decode(t, "{apiVersion: test.gatekeeper.sh/v1alpha1, kind: Suite, tests: [{nme: x}]}")[0]); err == nil {
		t.Error("a suite with an unknown field is taken")
	}
}
