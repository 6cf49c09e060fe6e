package admission_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	celgo "github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	apiadmission "k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

var exportTime = time.Date(2026, 8, 6, 12, 0, 0, 0, time.UTC)

// policy is an exported policy, evaluated as the API server does.
type policy struct {
	compiler                       *plugincel.CompositedCompiler
	conditions, verdicts, messages plugincel.ConditionEvaluator
}

type text string

func (e text) GetExpression() string      { return string(e) }
func (e text) ReturnTypes() []*celgo.Type { return []*celgo.Type{celgo.BoolType, celgo.StringType} }

type variable admissionv1.Variable

func (v variable) GetName() string            { return v.Name }
func (v variable) GetExpression() string      { return v.Expression }
func (v variable) ReturnTypes() []*celgo.Type { return []*celgo.Type{celgo.AnyType, celgo.DynType} }

func compilePolicy(t *testing.T, spec *admissionv1.ValidatingAdmissionPolicySpec) *policy {
	t.Helper()
	c, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(version.MajorMinor(1, 36)))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range spec.Variables {
		if r := c.CompileAndStoreVariable(variable(v), plugincel.OptionalVariableDeclarations{}, environment.StoredExpressions); r.Error != nil {
			t.Fatal(r.Error)
		}
	}
	condition := func(expressions ...string) plugincel.ConditionEvaluator {
		var list []plugincel.ExpressionAccessor
		for _, e := range expressions {
			list = append(list, text(e))
		}
		return c.CompileCondition(list, plugincel.OptionalVariableDeclarations{}, environment.StoredExpressions)
	}
	var conditions []string
	for _, m := range spec.MatchConditions {
		conditions = append(conditions, m.Expression)
	}
	return &policy{c, condition(conditions...), condition(spec.Validations[0].Expression), condition(spec.Validations[0].MessageExpression)}
}

// judge is the message of a refusal, empty where there is none. old is nil for a
// creation.
func (p *policy) judge(t *testing.T, o, old map[string]any, by string) string {
	t.Helper()
	u := &unstructured.Unstructured{Object: o}
	operation, options := apiadmission.Create, runtime.Object(&metav1.CreateOptions{})
	attributes := &apiadmission.VersionedAttributes{VersionedObject: apiadmission.NewLazyObject(u), VersionedKind: u.GroupVersionKind()}
	var before runtime.Object
	if old != nil {
		operation, options, before = apiadmission.Update, &metav1.UpdateOptions{}, &unstructured.Unstructured{Object: old}
		attributes.VersionedOldObject = apiadmission.NewLazyObject(before)
	}
	r, _ := model.BuiltinResource(model.GroupKind{Group: u.GroupVersionKind().Group, Kind: u.GetKind()})
	gvr := schema.GroupVersionResource{Group: u.GroupVersionKind().Group, Version: u.GroupVersionKind().Version, Resource: r.Name}
	attributes.Attributes = apiadmission.NewAttributesRecord(u, before, u.GroupVersionKind(), u.GetNamespace(), u.GetName(), gvr, "", operation, options, false, &user.DefaultInfo{Name: by})
	request := plugincel.CreateAdmissionRequest(attributes.Attributes, metav1.GroupVersionResource(gvr), metav1.GroupVersionKind(u.GroupVersionKind()))
	evaluate := func(c plugincel.ConditionEvaluator) []plugincel.EvaluationResult {
		results, _, err := c.ForInput(t.Context(), attributes, request, plugincel.OptionalVariableBindings{}, nil, celconfig.RuntimeCELCostBudget)
		if err != nil {
			t.Fatalf("%s: %v", u.GetName(), err)
		}
		for _, r := range results {
			if r.Error != nil {
				t.Fatalf("%s: %v", u.GetName(), r.Error)
			}
		}
		return results
	}
	for _, r := range evaluate(p.conditions) {
		if r.EvalResult.Value() != true {
			return ""
		}
	}
	if evaluate(p.verdicts)[0].EvalResult.Value() == true {
		return ""
	}
	return evaluate(p.messages)[0].EvalResult.Value().(string)
}

func exportOne(t *testing.T, c *check.Control, o admission.ExportOptions) *admission.Exported {
	t.Helper()
	if o.Minor == 0 {
		o.Minor = 37
	}
	o.Parameters, o.Now = check.Defaults([]*check.Control{c}), exportTime
	out, err := admission.Export([]*check.Control{c}, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func objectControls(t testing.TB) []*check.Control {
	t.Helper()
	all, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(slices.Clone(all), func(c *check.Control) bool { return c.Object == nil || c.Object.Violations == "" })
}

func control(t testing.TB, name string) *check.Control {
	t.Helper()
	for _, c := range objectControls(t) {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no control %s", name)
	return nil
}

func decode(text string) []*model.Object {
	objects := manifest.NewDecoder().Decode(model.Source{File: "example.yaml"}, []byte(text)).Objects
	model.NewWorld(objects, model.WorldOptions{})
	return objects
}

func worldOf(content map[string]any) *model.Object {
	o, _ := model.NewObject(content, nil, model.Source{})
	model.NewWorld([]*model.Object{o}, model.WorldOptions{})
	return o
}

// TestRatchet makes random objects of the parts of each control's examples, in any
// order and number, and holds the exported policy against a ratchet written out here:
// on creation all that is wrong counts, on an update what there is more of than before.
func TestRatchet(t *testing.T) {
	refused, ratcheted, same := 0, 0, 0
	for _, c := range objectControls(t) {
		out := exportOne(t, c, admission.ExportOptions{Mode: admission.Deny})
		if len(out.Policies) != 1 {
			t.Fatalf("%s: %v", c.Name, out.LeftOut)
		}
		p := compilePolicy(t, &out.Policies[0].Validating.Spec)
		evaluator, err := admission.Compile([]*check.Control{c}, check.Defaults([]*check.Control{c}), 37)
		if err != nil {
			t.Fatal(err)
		}
		judge := func(content map[string]any) []check.Violation {
			judgements, err := evaluator.Evaluate(t.Context(), worldOf(content))
			if err != nil {
				t.Fatal(err)
			}
			return judgements[0].Violations
		}
		r := rand.New(rand.NewPCG(1, 2))
		parts := partsOf(c)
		for range 40 {
			old, now := parts.object(r), parts.object(r)
			if old["kind"] != now["kind"] {
				continue
			}
			for _, key := range []string{"namespace", "name"} { // no update changes them
				if value, ok, _ := unstructured.NestedString(old, "metadata", key); ok {
					_ = unstructured.SetNestedField(now, value, "metadata", key)
				}
			}
			was, is := judge(old), judge(now)
			if got, want := p.judge(t, now, nil, "someone"), admission.Message(is); got != want {
				t.Fatalf("%s: creation of %v:\ngot  %q\nwant %q", c.Name, now, got, want)
			}
			want := admission.Message(worse(was, is))
			if got := p.judge(t, now, old, "someone"); got != want {
				t.Fatalf("%s: update of %v to %v:\ngot  %q\nwant %q", c.Name, old, now, got, want)
			}
			switch {
			case want != "":
				refused++
			case len(is) > 0:
				ratcheted++
			default:
				same++
			}
			labelled := runtime.DeepCopyJSON(old)
			labelled["metadata"].(map[string]any)["finalizers"] = []any{"example.com/a"}
			if got := p.judge(t, labelled, old, "someone"); got != "" {
				t.Fatalf("%s: a finalizer is refused: %s", c.Name, got)
			}
		}
	}
	if refused < 100 || ratcheted < 100 || same < 100 {
		t.Errorf("updates are one-sided: %d refused, %d admitted though they offend, %d without offence", refused, ratcheted, same)
	}
	t.Logf("updates: %d refused, %d admitted though they offend, %d without offence", refused, ratcheted, same)
}

func worse(was, is []check.Violation) []check.Violation {
	count := func(list []check.Violation, v check.Violation) (n int) {
		for _, o := range list {
			if o.Container == v.Container && o.Detail == v.Detail {
				n++
			}
		}
		return n
	}
	return slices.DeleteFunc(slices.Clone(is), func(v check.Violation) bool { return count(is, v) <= count(was, v) })
}

// parts are the objects of a control's examples and every list in them by its path,
// from which random objects are put together.
type parts struct {
	objects []map[string]any
	lists   map[string][]any
}

func partsOf(c *check.Control) parts {
	p := parts{lists: map[string][]any{}}
	for _, text := range slices.Concat(c.Examples.Bad, c.Examples.Good) {
		for _, o := range decode(text) {
			r, builtin := model.BuiltinResource(o.GroupKind)
			if !builtin || o.Pod() == nil && !slices.Contains(c.Object.Kinds, o.GroupKind) {
				continue // the policy does not see it
			}
			content := model.WithoutNulls(o.Content)
			if r.Namespaced && o.Text("metadata", "namespace") == "" {
				_ = unstructured.SetNestedField(content, "shop", "metadata", "namespace") // the API server always has one
			}
			p.objects = append(p.objects, content)
			p.collect("", content)
		}
	}
	return p
}

func (p parts) collect(at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			p.collect(key, e)
		}
	case []any:
		p.lists[at] = append(p.lists[at], v...)
		for _, e := range v {
			p.collect(at, e)
		}
	}
}

func (p parts) object(r *rand.Rand) map[string]any {
	out := runtime.DeepCopyJSON(p.objects[r.IntN(len(p.objects))])
	return p.vary(r, "", out).(map[string]any)
}

func (p parts) vary(r *rand.Rand, at string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			v[key] = p.vary(r, key, e)
		}
	case []any:
		all := p.lists[at]
		if len(all) == 0 || r.IntN(3) == 0 {
			return v
		}
		out := []any{}
		for range r.IntN(5) {
			out = append(out, runtime.DeepCopyJSONValue(all[r.IntN(len(all))]))
		}
		return out
	}
	return v
}

// TestControllers: what a built-in controller creates was judged where it was written,
// and what anybody else creates is judged, whatever owner it names.
func TestControllers(t *testing.T) {
	out := exportOne(t, control(t, "no-service-links"), admission.ExportOptions{Mode: admission.Deny})
	p := compilePolicy(t, &out.Policies[0].Validating.Spec)
	pod := decode(`{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: b, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: a, uid: b, controller: true}]}, spec: {containers: [{name: a, image: a}]}}`)[0].Content
	for by, refused := range map[string]bool{
		"system:serviceaccount:kube-system:replicaset-controller": false,
		"system:serviceaccount:kube-system:job-controller":        false,
		"system:kube-controller-manager":                          false,
		"system:serviceaccount:shop:replicaset-controller":        true,
		"system:serviceaccount:kube-system:default":               true,
		"alice": true,
		"":      true,
	} {
		if got := p.judge(t, pod, nil, by); (got != "") != refused {
			t.Errorf("created by %q: %q", by, got)
		}
	}
}

// TestExportedWaivers holds random waivers against those of a scan, on objects that
// were created before and after they expired.
func TestExportedWaivers(t *testing.T) {
	c := control(t, "no-interactive-containers")
	r := rand.New(rand.NewPCG(3, 4))
	evaluator, err := admission.Compile([]*check.Control{c}, nil, 37)
	if err != nil {
		t.Fatal(err)
	}
	waived, partly, refused := 0, 0, 0
	for range 50 {
		var waivers []admission.ExportWaiver
		for i := range 1 + r.IntN(4) {
			waivers = append(waivers, randomWaiver(t, r, c.Name, fmt.Sprint("w", i)))
		}
		out := exportOne(t, c, admission.ExportOptions{Mode: admission.Deny, Waivers: waivers})
		if len(out.Policies) != 1 {
			t.Fatalf("%v", out.LeftOut)
		}
		p := compilePolicy(t, &out.Policies[0].Validating.Spec)
		for range 40 {
			created := exportTime.AddDate(0, 0, r.IntN(3))
			o := randomWorkload(r, created)
			judgements, err := evaluator.Evaluate(t.Context(), worldOf(o))
			if err != nil {
				t.Fatal(err)
			}
			all := judgements[0].Violations
			left := unwaived(c, o, all, waivers, created)
			if got, want := p.judge(t, o, nil, "someone"), admission.Message(left); got != want {
				t.Fatalf("%v with %s:\ngot  %q\nwant %q", o, describe(waivers), got, want)
			}
			switch {
			case len(left) == len(all):
				refused++
			case len(left) > 0:
				partly++
			default:
				waived++
			}
			// On an update no waiver counts: it only must not get worse.
			empty := runtime.DeepCopyJSON(o)
			_ = unstructured.SetNestedSlice(empty, nil, "spec", "template", "spec", "containers")
			if got, want := p.judge(t, o, empty, "someone"), admission.Message(all); got != want {
				t.Fatalf("update to %v: got %q, want %q", o, got, want)
			}
		}
	}
	if waived < 50 || partly < 50 || refused < 50 {
		t.Errorf("waivers are one-sided: %d waived, %d in part, %d not", waived, partly, refused)
	}
	t.Logf("%d waived, %d in part, %d not", waived, partly, refused)
}

func describe(waivers []admission.ExportWaiver) string {
	var lines []string
	for _, w := range waivers {
		lines = append(lines, fmt.Sprintf("%s in %q: %v %v until %s", w.Name, w.Namespace, w.Resources, w.Containers, w.Expires.Format(time.DateOnly)))
	}
	return strings.Join(lines, "; ")
}

// unwaived is what check.Waivers leaves of violations of an object at a time.
func unwaived(c *check.Control, content map[string]any, all []check.Violation, waivers []admission.ExportWaiver, now time.Time) []check.Violation {
	o := worldOf(content)
	var accepted check.Waivers
	for _, w := range waivers {
		if w.Namespace == "" || w.Namespace == o.Namespace {
			accepted.Add(w.Waiver)
		}
	}
	return left(c, o, all, &accepted, now)
}

// left is what waivers leave of violations of an object at a time.
func left(c *check.Control, o *model.Object, all []check.Violation, accepted *check.Waivers, now time.Time) []check.Violation {
	out := &check.Outcome{}
	for _, v := range all {
		out.Findings = append(out.Findings, &check.Judged{Of: o, Finding: finding.Finding{Control: c.Name, Verdict: finding.Fail, Object: o.Ref(), Container: v.Container}})
	}
	accepted.Apply(out, now)
	var left []check.Violation
	for i, f := range out.Findings {
		if f.Waived == nil {
			left = append(left, all[i])
		}
	}
	return left
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func randomWaiver(t *testing.T, r *rand.Rand, control, name string) admission.ExportWaiver {
	t.Helper()
	patterns := []string{"*", "web", "w?b", "[a-w]eb", "[^a]eb", `\web`, "api", "a*", "[z-a]eb", `[\]w]eb`, "*b", "w[^x-z]b"}
	resource := map[string]any{"kind": pick(r, "Deployment", "StatefulSet", "*", "apps/*", "D*", "*/Deployment", "batch/*"),
		"namespace": pick(r, "*", "*", "*", "shop", "sh?p", "[a-c]log"), "name": pick(r, append(patterns, "*", "*", "*", "*", "*")...)}
	spec := map[string]any{"control": control, "resources": []any{resource}, "owner": "o", "reason": "r",
		"expires": exportTime.AddDate(0, 0, r.IntN(4)).Format(time.DateOnly)}
	if r.IntN(3) > 0 {
		spec["containers"] = []any{pick(r, patterns...), pick(r, patterns...)}
	}
	content := map[string]any{"apiVersion": "bulkhead.dev/v1", "kind": "Waiver", "metadata": map[string]any{"name": name}, "spec": spec}
	w, err := check.ParseWaiver(worldOf(content), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	return admission.ExportWaiver{Waiver: w, Namespace: pick(r, "", "", "", "", "shop", "blog")}
}

func randomWorkload(r *rand.Rand, created time.Time) map[string]any {
	var containers []any
	for _, name := range []string{"web", "api", "zeb"} {
		if r.IntN(3) > 0 {
			containers = append(containers, map[string]any{"name": name, "image": "a", "tty": r.IntN(2) == 0, "stdin": r.IntN(2) == 0})
		}
	}
	return map[string]any{"apiVersion": "apps/v1", "kind": pick(r, "Deployment", "StatefulSet"),
		"metadata": map[string]any{"name": pick(r, "web", "api", "x"), "namespace": pick(r, "shop", "blog"), "creationTimestamp": created.Format(time.RFC3339)},
		"spec":     map[string]any{"template": map[string]any{"spec": map[string]any{"containers": containers}}}}
}
