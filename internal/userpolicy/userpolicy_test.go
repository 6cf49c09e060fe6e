package userpolicy

import (
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

func decode(t *testing.T, text string) []*model.Object {
	t.Helper()
	f := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text))
	if len(f.Problems) > 0 {
		t.Fatal(f.Problems)
	}
	return f.Objects
}

// vapOf is a policy with a binding, about some resources of all groups.
func vapOf(name, resources, expression, annotations string) string {
	return `
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: ` + name + `, annotations: {` + annotations + `}}, spec: {matchConstraints: {resourceRules: [{apiGroups: ["*"], apiVersions: ["*"], operations: [CREATE], resources: [` + resources + `]}]}, validations: [{expression: "` + expression + `", message: "it is refused"}]}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: ` + name + `}, spec: {policyName: ` + name + `, validationActions: [Deny]}}
---
`
}

// run judges a world by policies.
func run(t *testing.T, policies string, w *model.World) *check.Outcome {
	t.Helper()
	s, err := Read(t.Context(), decode(t, policies), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.NewRunner(check.Options{Controls: s.Controls, Version: 37, KeepPasses: true,
		Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
			own, others := s.Split(cs)
			e, err := admission.Compile(others, p, v)
			if err != nil {
				return nil, err
			}
			return s.Compile(t.Context(), own, e, Options{Minor: v})
		}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Judge(InWorld(t.Context(), w), w); err != nil {
		t.Fatal(err)
	}
	return r.Outcome()
}

// TestRead has sets of policies that are wrong, and those that act on nothing.
func TestRead(t *testing.T) {
	ok := vapOf("a", "pods", "true", "")
	for name, c := range map[string]struct{ text, err, problem, note string }{
		"two of one name":        {text: vapOf("a.b", "pods", "true", "") + vapOf("a-b", "pods", "true", ""), err: `two policies would be reported as "vap-a-b"`},
		"a name that is taken":   {text: vapOf("taken", "pods", "true", ""), err: `a control named "vap-taken"`},
		"no severity":            {text: vapOf("a", "pods", "true", "bulkhead.dev/severity: grave"), err: "test.yaml:2: ValidatingAdmissionPolicy/a: annotation bulkhead.dev/severity"},
		"no layer":               {text: vapOf("a", "pods", "true", "bulkhead.dev/layer: cake"), err: `no layer "cake"`},
		"does not compile":       {text: vapOf("a", "pods", "object.", ""), err: "test.yaml:2: ValidatingAdmissionPolicy/a: spec.validations[0].expression"},
		"a control":              {text: "{apiVersion: bulkhead.dev/v1, kind: Control, metadata: {name: x}, spec: {titel: x}}", err: "titel"},
		"a binding alone":        {text: ok + "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: z}, spec: {policyName: other, validationActions: [Deny]}}", problem: `is of the policy "other"`},
		"a policy alone":         {text: strings.Split(ok, "---")[0], problem: "has no ValidatingAdmissionPolicyBinding"},
		"a constraint alone":     {text: ok + "{apiVersion: constraints.gatekeeper.sh/v1beta1, kind: X, metadata: {name: x}}", problem: "a ConstraintTemplate that is not among"},
		"another engine":         {text: ok + "{apiVersion: kyverno.io/v1, kind: ClusterPolicy, metadata: {name: x}}", note: "does not judge by a ClusterPolicy"},
		"a mutation":             {text: ok + "{apiVersion: mutations.gatekeeper.sh/v1, kind: Assign, metadata: {name: x}}", note: "does not judge by a Assign"},
		"another old Gatekeeper": {text: "{apiVersion: templates.gatekeeper.sh/v1alpha1, kind: ConstraintTemplate, metadata: {name: x}}", err: "only v1 and v1beta1"},
		"all is well":            {text: ok},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Read(t.Context(), decode(t, c.text), []string{"vap-taken"})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			problems := ""
			for _, p := range s.Problems {
				problems += p.Message
			}
			if notes := strings.Join(s.Notes, " "); (c.problem == "") != (problems == "") || !strings.Contains(problems, c.problem) || (c.note == "") != (notes == "") || !strings.Contains(notes, c.note) {
				t.Errorf("problems %q, notes %q", problems, notes)
			}
		})
	}
}

// TestMade has a policy about pods judge what makes them, once each.
func TestMade(t *testing.T) {
	w := model.NewWorld(decode(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  template:
    spec: {hostNetwork: true, containers: [{name: a, image: b}]}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: c}, spec: {jobTemplate: {spec: {template: {spec: {hostNetwork: true, containers: [{name: a, image: b}]}}}}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {hostNetwork: true, containers: [{name: a, image: b}]}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: fine}, spec: {template: {spec: {containers: [{name: a, image: b}]}}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}
---
{apiVersion: v1, kind: Pod, metadata: {name: broken}, spec: {containers: 3}}
`), model.WorldOptions{})
	out := run(t, vapOf("host", "pods", "!has(object.spec.hostNetwork) || !object.spec.hostNetwork", ""), w)
	got := map[string]string{}
	for _, f := range out.Findings {
		got[f.Object.Name] += string(f.Verdict) + " " + f.Path + " " + f.Message
	}
	for name, want := range map[string]string{"d": "fail spec.template the Pod that it makes: it is refused", "c": "fail spec.jobTemplate.spec.template the Pod that it makes: it is refused",
		"p": "fail  it is refused", "broken": "unknown  the API server would refuse it", "fine": "", "x": ""} {
		if !strings.HasPrefix(got[name], want) || (want == "") != (got[name] == "") {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
	if n := out.Counts["vap-host"]; n.Pass != 1 || n.Fail != 3 || n.Unknown != 1 || n.NotApplicable != 0 {
		t.Errorf("got %+v", n)
	}
}

// TestSecretsOfACluster: their values are not read, so that only what rests on none of them
// is judged.
func TestSecretsOfACluster(t *testing.T) {
	w := model.NewWorld(decode(t, `
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: ns}, data: {a: ""}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: ns}}
`), model.WorldOptions{Live: true})
	for expression, want := range map[string]finding.Verdict{
		"object.data.a == ''":               finding.Unknown,
		"object.data.a != ''":               finding.Unknown,
		"[object].all(o, o.data.size()==1)": finding.Unknown,
		"has(object.metadata.labels)":       finding.Fail,
		"object.type == 'Opaque'":           finding.Pass,
	} {
		out := run(t, vapOf("s", "secrets", expression, ""), w)
		n := out.Counts["vap-s"]
		got := map[finding.Verdict]int{finding.Unknown: n.Unknown, finding.Fail: n.Fail, finding.Pass: n.Pass}
		if got[want] != 1 {
			t.Errorf("%s: got %+v, want %s; %v", expression, n, want, out.Unmet)
			for _, f := range out.Findings {
				t.Log(f.Message)
			}
		}
	}
}
