package check_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// privileged is a single-object control for tests.
func privileged(name string, subsumes ...string) *check.Control {
	return &check.Control{
		Rule:       finding.Rule{Name: name, Severity: finding.High, Layer: finding.LayerWorkload},
		Subsumes:   subsumes,
		Parameters: []check.Parameter{{Name: "allowed", Default: []any{}}},
		Object: &check.ObjectPolicy{Pods: true, Linux: true, Violations: `variables.containers.filter(k, k.c.?securityContext.?privileged.orValue(false) == true &&
			!variables.params.allowed.exists(a, a == k.name)).map(k, {"path": k.path + ".securityContext.privileged", "container": string(k.name), "detail": "privileged"})`},
	}
}

func decode(t *testing.T, text string) *model.World {
	t.Helper()
	f := manifest.NewDecoder().Decode(model.Source{File: "f.yaml"}, []byte(text))
	if len(f.Problems) > 0 {
		t.Fatal(f.Problems)
	}
	return model.NewWorld(f.Objects, model.WorldOptions{})
}

func run(t *testing.T, w *model.World, s check.Settings, controls ...*check.Control) *check.Outcome {
	t.Helper()
	out, err := check.Run(t.Context(), &model.Snapshot{Worlds: []*model.World{w}}, check.Options{Controls: controls, Settings: s, Version: 37,
		Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
			return admission.Compile(cs, p, v)
		}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const pods = `apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop}
spec:
  containers:
  - {name: one, securityContext: {privileged: true}}
  - {name: two, securityContext: {privileged: true}}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: dev-1}
spec:
  containers:
  - {name: one, securityContext: {privileged: true}}
---
apiVersion: v1
kind: Pod
metadata: {name: w, namespace: shop}
spec:
  os: {name: windows}
  containers:
  - {name: one}
---
apiVersion: v1
kind: Pod
metadata: {name: broken, namespace: shop}
spec:
  containers:
  - {name: one, securityContext: {privileged: "yes"}}
`

func TestRun(t *testing.T) {
	out := run(t, decode(t, pods), check.Settings{Namespaces: []check.NamespaceSettings{{Names: []string{"dev-*"}, Overrides: check.Overrides{
		Severities: map[string]finding.Severity{"p": finding.Low},
		Parameters: map[string]map[string]any{"p": {"allowed": []any{"two"}}},
	}}}, Overrides: check.Overrides{Parameters: map[string]map[string]any{"p": {"allowed": []any{"nobody"}}}}}, privileged("p"))
	got := map[string]finding.Severity{}
	for _, f := range out.Findings {
		got[f.Object.Name+"/"+f.Container] = f.Severity
		if f.Location.Line == 0 || f.Path == "" || f.Of == nil {
			t.Errorf("incomplete finding %+v", f)
		}
	}
	if len(got) != 3 || got["a/one"] != finding.High || got["a/two"] != finding.High || got["b/one"] != finding.Low {
		t.Errorf("got %v", got)
	}
	if c := *out.Counts["p"]; c != (finding.ControlCount{Control: "p", Fail: 2, NotApplicable: 1, Unknown: 1}) {
		t.Errorf("counts %+v", c)
	}
	// An object that the API server would refuse is unknown, once, with the reason.
	if len(out.Unmet) != 1 || !strings.Contains(out.Unmet[0].What, "shop/Pod/broken") || !slices.Equal(out.Unmet[0].Controls, []string{"p"}) {
		t.Errorf("unmet %+v", out.Unmet)
	}
}

// TestNulls: the API server reads a null field as an absent one.
func TestNulls(t *testing.T) {
	out := run(t, decode(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: nulls}\nspec:\n  initContainers:\n  volumes: null\n  containers:\n  - {name: one, securityContext: {privileged: true}, ports: }\n"), check.Settings{}, privileged("p"))
	if c := *out.Counts["p"]; c.Fail != 1 || c.Unknown != 0 || len(out.Unmet) > 0 {
		t.Errorf("got %+v, unmet %v", c, out.Unmet)
	}
}

func TestSubsume(t *testing.T) {
	weak, strict := privileged("weak"), privileged("strict", "weak")
	weak.Severity, strict.Severity = finding.Critical, finding.Medium
	strict.Object.Violations = `variables.containers.filter(k, k.name == "one").map(k, {"path": string(k.path), "container": string(k.name), "detail": "strict"})`
	strict.Parameters = nil
	out := run(t, decode(t, pods), check.Settings{}, weak, strict)
	got := map[string]string{}
	for _, f := range out.Findings {
		got[f.Object.Name+"/"+f.Container+"/"+f.Control] = f.Severity.String() + " " + strings.Join(f.Covers, ",")
	}
	want := map[string]string{"a/one/strict": "critical weak", "a/two/weak": "critical ", "b/one/strict": "critical weak"}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: got %q, want %q", k, got[k], v)
		}
	}
	if out.Counts["weak"].Fail != 2 {
		t.Errorf("a subsumed failure is still a failure of its control: %+v", out.Counts["weak"])
	}
}

// TestSubsumeByField: of what is about no container, only the same field is the
// same fault.
func TestSubsumeByField(t *testing.T) {
	volumes := func(name, tail string, subsumes ...string) *check.Control {
		c := privileged(name, subsumes...)
		c.Parameters = nil
		c.Object.Violations = `variables.podSpec.volumes.transformList(i, v, v.name.contains("` + name + `"), {"path": "spec.volumes[" + string(i) + "]` + tail + `", "container": "", "detail": "x"})`
		return c
	}
	out := run(t, decode(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers: []\n  volumes: [{name: weak-strict}, {name: weak}]\n"),
		check.Settings{}, volumes("weak", ""), volumes("strict", ".hostPath.path", "weak"))
	var got []string
	for _, f := range out.Findings {
		got = append(got, f.Control+" "+f.Path)
	}
	slices.Sort(got)
	if want := []string{"strict spec.volumes[0].hostPath.path", "weak spec.volumes[1]"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestFingerprints: neither lines nor the order of containers make a new
// finding, and two of one container are told apart.
func TestFingerprints(t *testing.T) {
	prints := func(text string) []string {
		out := run(t, decode(t, text), check.Settings{}, privileged("p"))
		var all []string
		for _, f := range out.Findings {
			all = append(all, f.Fingerprint)
		}
		slices.Sort(all)
		if len(slices.Compact(slices.Clone(all))) != len(all) {
			t.Errorf("fingerprints are not unique: %v", all)
		}
		return all
	}
	before := prints(pods)
	moved := strings.Replace("# a line more\n"+pods, "  - {name: one, securityContext: {privileged: true}}\n  - {name: two, securityContext: {privileged: true}}\n",
		"  - {name: two, securityContext: {privileged: true}}\n  - {name: one, securityContext: {privileged: true}}\n", 1)
	if after := prints(moved); !slices.Equal(before, after) {
		t.Errorf("before %v, after %v", before, after)
	}
	if other := prints(strings.ReplaceAll(pods, "name: two", "name: three")); slices.Equal(before, other) {
		t.Error("another container has the same fingerprint")
	}
	prints(strings.ReplaceAll(pods, "name: two", "name: one"))
}

// TestUnobserved: a control whose kind could not be read is unknown, not passed.
func TestUnobserved(t *testing.T) {
	services := model.GroupKind{Kind: "Service"}
	c := &check.Control{Rule: finding.Rule{Name: "s"}, Needs: []model.GroupKind{services}, World: func(in *check.Input) []check.Judgement {
		var out []check.Judgement
		for _, o := range in.World.Kind(services) {
			out = append(out, check.Passed(o))
		}
		return out
	}}
	f := manifest.NewDecoder().Decode(model.Source{}, []byte("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"))
	seen := model.NewWorld(f.Objects, model.WorldOptions{Live: true})
	blind := model.NewWorld(f.Objects, model.WorldOptions{Live: true, Unobserved: []model.Unobserved{{GroupKind: services, Reason: "forbidden"}}})
	if out := run(t, seen, check.Settings{}, c); out.Counts["s"].Pass != 1 {
		t.Errorf("seen: %+v", out.Counts["s"])
	}
	out := run(t, blind, check.Settings{}, c)
	if n := out.Counts["s"]; n.Pass != 0 || n.Unknown != 1 || len(out.Unmet) != 1 || out.Unmet[0].Reason != "forbidden" {
		t.Errorf("blind: %+v, unmet %+v", n, out.Unmet)
	}
}

func TestSettingsValidate(t *testing.T) {
	controls := []*check.Control{privileged("p")}
	for want, s := range map[string]check.Settings{
		"no control":         {Overrides: check.Overrides{Severities: map[string]finding.Severity{"q": finding.Low}}},
		"has no parameter":   {Overrides: check.Overrides{Parameters: map[string]map[string]any{"p": {"x": "y"}}}},
		"must be a list":     {Overrides: check.Overrides{Parameters: map[string]map[string]any{"p": {"allowed": "y"}}}},
		"a list of strings":  {Namespaces: []check.NamespaceSettings{{Names: []string{"a"}, Overrides: check.Overrides{Parameters: map[string]map[string]any{"p": {"allowed": []any{int64(1)}}}}}}},
		"namespace pattern ": {Namespaces: []check.NamespaceSettings{{Names: []string{"["}}}},
	} {
		if err := s.Validate(controls); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := check.Run(ctx, &model.Snapshot{Worlds: []*model.World{decode(t, pods)}}, check.Options{Controls: nil,
		Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
			return admission.Compile(cs, p, v)
		}})
	if err == nil {
		t.Error("an interrupted run reports success")
	}
}

func TestBadControlIsNamed(t *testing.T) {
	c := privileged("p")
	c.Object.Violations = "variables.nothing"
	_, err := check.Run(t.Context(), &model.Snapshot{}, check.Options{Controls: []*check.Control{c},
		Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
			return admission.Compile(cs, p, v)
		}})
	if err == nil || !strings.Contains(err.Error(), "control p") {
		t.Errorf("got %v", err)
	}
}

// TestBudget: an expression beyond the API server's limit makes its own control
// unknown, says so, and leaves the others alone.
func TestBudget(t *testing.T) {
	greedy := privileged("greedy")
	greedy.Parameters = nil
	greedy.Object.Violations = `variables.podSpec.volumes.filter(a, variables.podSpec.volumes.filter(b, variables.podSpec.volumes.exists(c, c.name == a.name + b.name)).size() > 0).map(v, {"path": "spec", "container": "", "detail": "x"})`
	var text strings.Builder
	text.WriteString("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: one, securityContext: {privileged: true}}\n  volumes:\n")
	for i := range 200 {
		text.WriteString("  - {name: v" + strings.Repeat("x", i) + "}\n")
	}
	out := run(t, decode(t, text.String()), check.Settings{}, greedy, privileged("p"))
	if out.Counts["greedy"].Unknown != 1 || out.Counts["p"].Fail != 1 {
		t.Errorf("greedy %+v, p %+v", out.Counts["greedy"], out.Counts["p"])
	}
	for _, f := range out.Findings {
		if f.Control == "greedy" && (f.Verdict != finding.Unknown || !strings.Contains(f.Message, "cost limit exceeded")) {
			t.Errorf("got %s: %s", f.Verdict, f.Message)
		}
	}
}
