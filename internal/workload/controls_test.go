package workload

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// controlNamed finds one of the package's controls.
func controlNamed(t *testing.T, name string) *check.Control {
	t.Helper()
	all, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(c *check.Control) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("there is no control %s", name)
	}
	return all[i]
}

// evaluator compiles one control with its defaults but for the given parameters.
func evaluator(t *testing.T, name string, parameters map[string]any) *admission.Evaluator {
	t.Helper()
	c := controlNamed(t, name)
	values := check.Defaults([]*check.Control{c})
	for k, v := range parameters {
		values[name][k] = v
	}
	e, err := admission.Compile([]*check.Control{c}, values, 37)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// details are the messages of an object's violations. It fails the test where the
// API server could not evaluate the control, for want of budget say.
func details(t *testing.T, e *admission.Evaluator, content map[string]any) []string {
	t.Helper()
	o, ok := model.NewObject(content, nil, model.Source{})
	if !ok {
		t.Fatalf("%v is no object", content["kind"])
	}
	model.NewWorld([]*model.Object{o}, model.WorldOptions{})
	judged, err := e.Evaluate(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, j := range judged {
		if j.Verdict == finding.Unknown {
			t.Fatalf("unknown: %s", j.Reason)
		}
		for _, v := range j.Violations {
			out = append(out, v.Detail)
		}
	}
	return out
}

// runOn judges a world of YAML by one control, and returns what it found and the
// passes with their evidence.
func runOn(t *testing.T, control, text string, o model.WorldOptions) *check.Outcome {
	t.Helper()
	file := manifest.NewDecoder().Decode(model.Source{File: "f.yaml"}, []byte(text))
	for _, p := range file.Problems {
		t.Fatal(p.Message)
	}
	out, err := check.Run(t.Context(), &model.Snapshot{Worlds: []*model.World{model.NewWorld(file.Objects, o)}}, check.Options{
		Controls: []*check.Control{controlNamed(t, control)}, Version: 37, KeepPasses: true,
		Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
			return admission.Compile(cs, p, v)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestNodeNameOfRunningPods tells a node that the scheduler chose from one that
// was written. Examples cannot: the API server takes no status from a manifest.
func TestNodeNameOfRunningPods(t *testing.T) {
	pod := func(status string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  nodeName: worker-1\n  containers: [{name: web, image: i}]\n" + status
	}
	for name, c := range map[string]struct {
		text  string
		fails int
	}{
		"scheduled": {pod("status: {phase: Running, conditions: [{type: Initialized, status: \"True\"}, {type: PodScheduled, status: \"True\"}]}"), 0},
		"admitted":  {pod("status: {phase: Pending, qosClass: BestEffort}"), 1},
		"written":   {pod(""), 1},
	} {
		if out := runOn(t, "no-node-name", c.text, model.WorldOptions{}); len(out.Findings) != c.fails {
			t.Errorf("%s: got %v", name, out.Findings)
		}
	}
}

// TestNamespaceThatIsNotWritten gives workloads their namespace from outside, as
// kubectl's -n does: controls that ask where a pod lives look at that, those that
// ask what was written do not.
func TestNamespaceThatIsNotWritten(t *testing.T) {
	const text = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      priorityClassName: system-cluster-critical
      tolerations: [{operator: Exists}]
      containers: [{name: web, image: i}]
`
	for _, c := range []struct {
		control, namespace string
		fails              int
	}{
		{"no-system-priority-class", "kube-system", 0},
		{"no-system-priority-class", "shop", 1},
		{"no-control-plane-tolerations", "kube-system", 0},
		{"no-control-plane-tolerations", "shop", 1},
		{"no-kube-system-workloads", "kube-system", 0},
		{"no-default-namespace", "default", 0},
		{"no-default-namespace", "", 0},
	} {
		if out := runOn(t, c.control, text, model.WorldOptions{Namespace: c.namespace}); len(out.Findings) != c.fails {
			t.Errorf("%s in %q: got %v", c.control, c.namespace, out.Findings)
		}
	}
}

// TestParameters sets parameters to other than their defaults.
func TestParameters(t *testing.T) {
	spec := func(text string) map[string]any {
		f := manifest.NewDecoder().Decode(model.Source{}, []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: c, image: i}]\n"+text))
		return f.Objects[0].Content
	}
	for _, c := range []struct {
		control, parameter string
		value              any
		spec               string
		want               []string
	}{
		{"high-user-id", "minimum", int64(2000), "  securityContext: {runAsUser: 2000}", nil},
		{"high-user-id", "minimum", int64(2001), "  securityContext: {runAsUser: 2000}", []string{"container c runs as user 2000"}},
		{"short-lived-tokens", "maximumSeconds", int64(3600), "  volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t, expirationSeconds: 3601}}]}}]",
			[]string{"the token of volume v is valid for 3601 seconds"}},
		{"no-control-plane-tolerations", "taints", []any{"example.com/control"}, "  tolerations: [{key: example.com/control}, {key: node-role.kubernetes.io/control-plane}]",
			[]string{"the pod tolerates the taint example.com/control"}},
		{"no-system-priority-class", "namespaces", []any{"default"}, "  priorityClassName: system-node-critical", nil},
	} {
		e := evaluator(t, c.control, map[string]any{c.parameter: c.value})
		if diff := cmp.Diff(c.want, details(t, e, spec(c.spec))); diff != "" {
			t.Errorf("%s with %s %v (-want +got):\n%s", c.control, c.parameter, c.value, diff)
		}
	}
}
