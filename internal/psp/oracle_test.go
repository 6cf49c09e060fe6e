package psp

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/model"
)

// oracle is the admission of Kubernetes 1.24 itself, in a process of its own: its
// module and ours have different versions of the same libraries.
type oracle struct {
	encoder *json.Encoder
	decoder *json.Decoder
}

type question struct {
	Policies  []*Manifest `json:"policies"`
	Pod       object      `json:"pod"`
	Old       object      `json:"old,omitempty"`
	Namespace string      `json:"namespace"`
	User      string      `json:"user"`
	Grants    grants      `json:"grants"`
}

type answer struct {
	InvalidPolicies map[string]string `json:"invalidPolicies"`
	Invalid         string            `json:"invalid"`
	Refused         string            `json:"refused"`
	Defaulted       object            `json:"defaulted"`
	Pod             object            `json:"pod"`
}

type grant struct {
	User   string `json:"user"`
	Group  string `json:"group"`
	Policy string `json:"policy"`
}

// grants are an authorizer that allows them in the namespace shop.
type grants []grant

func (g grants) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetVerb() == "use" && a.GetResource() == "podsecuritypolicies" && a.GetNamespace() == "shop" &&
		slices.Contains(g, grant{a.GetUser().GetName(), a.GetAPIGroup(), a.GetName()}) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func startOracle(t *testing.T) *oracle {
	t.Helper()
	path := os.Getenv("BULKHEAD_TEST_PSP")
	if path == "" {
		t.Skip("BULKHEAD_TEST_PSP is not set: make test builds the admission of Kubernetes 1.24 from test/psp and sets it")
	}
	c := exec.CommandContext(t.Context(), path)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = c.Wait()
	})
	return &oracle{json.NewEncoder(in), json.NewDecoder(out)}
}

func (o *oracle) ask(t *testing.T, q *question) *answer {
	t.Helper()
	if err := o.encoder.Encode(q); err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := o.decoder.Decode(&a); err != nil {
		t.Fatal(err)
	}
	return &a
}

// exported is policies as the API server has them.
type exported struct {
	validating, mutating *admission.CompiledPolicy
	policies             []*Policy
}

func compile(t *testing.T, manifests []*Manifest, o ExportOptions) *exported {
	t.Helper()
	var policies []*Policy
	for _, m := range manifests {
		p, problems := parse(t, m)
		if len(problems) > 0 {
			t.Fatalf("%s: %s", m.Name, problems)
		}
		policies = append(policies, p)
	}
	policies, err := Sort(policies)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Export(policies, o)
	if err != nil {
		t.Fatal(err)
	}
	e := &exported{policies: policies}
	if e.validating, err = admission.CompileNative(&out.Validating.Spec, o.Minor); err != nil {
		t.Fatal(err)
	}
	if out.Mutating != nil {
		if e.mutating, err = admission.CompileNative(&out.Mutating.Spec, o.Minor); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// parse reads a policy as from a file.
func parse(t *testing.T, m *Manifest) (*Policy, []string) {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(m)
	if err != nil {
		t.Fatal(err)
	}
	content["apiVersion"], content["kind"] = m.APIVersion, m.Kind
	o, _ := model.NewObject(content, nil, model.Source{})
	p, problems := Parse(o)
	var texts []string
	for _, problem := range problems {
		texts = append(texts, problem.Message)
	}
	return p, texts
}

// TestOracleFields compares, for each field of a policy alone and for all together,
// the admission of 1.24 with the exported policies: the same verdict on every pod, and
// the same pod where it is admitted.
func TestOracleFields(t *testing.T) {
	o := startOracle(t)
	for i, field := range append(slices.Clone(fields), "all") {
		t.Run(field, func(t *testing.T) {
			g := &generator{rand.New(rand.NewPCG(1, uint64(i)))}
			chosen, policies := []string{field}, 12
			if field == "all" {
				chosen, policies = fields, 30
			}
			var c counts
			for range policies {
				m := g.policy("policy", chosen...)
				if field == "all" {
					m = g.policy("policy", some(g, 5, fields...)...)
				}
				c.compare(t, g, o, []*Manifest{m}, 20)
			}
			c.report(t)
		})
	}
}

// TestOracleChoice compares the choice among several policies, which decides how a pod
// is filled in, and who may use them.
func TestOracleChoice(t *testing.T) {
	o := startOracle(t)
	g := &generator{rand.New(rand.NewPCG(2, 2))}
	var c counts
	for range 40 {
		var policies []*Manifest
		for _, name := range some(g, 4, "a", "a.b", "a-b", "z", "0", "m") {
			policies = append(policies, g.policy(name, some(g, 3, "runAsUser", "runAsGroup", "fsGroup", "seLinux", "seccomp", "appArmor", "capabilities", "supplementalGroups", "privileged", "readOnlyRootFilesystem", "runtimeClass")...))
		}
		if len(policies) > 1 {
			c.compare(t, g, o, policies, 20)
		}
	}
	c.report(t)
}

// counts are of what was compared.
type counts struct{ admitted, filled, refused, invalid, updates, updatesRefused, storable, notStorable int }

func (c *counts) report(t *testing.T) {
	t.Helper()
	t.Logf("policies: %d, and %d that 1.24 would not have stored. Creations: %d admitted, %d of them filled in, %d refused; %d pods were invalid whatever the policies. Updates: %d, %d of them refused",
		c.storable, c.notStorable, c.admitted, c.filled, c.refused, c.invalid, c.updates, c.updatesRefused)
	if c.admitted == 0 || c.refused == 0 || c.updatesRefused == 0 || c.updates == c.updatesRefused {
		t.Error("the cases are one-sided")
	}
}

func (c *counts) compare(t *testing.T, g *generator, o *oracle, manifests []*Manifest, pods int) {
	t.Helper()
	invalid := o.ask(t, &question{Policies: manifests}).InvalidPolicies
	var valid []*Manifest
	usable := false
	for _, m := range manifests {
		p, problems := parse(t, m)
		if want := invalid[m.Name]; (want != "") != (len(problems) > 0) {
			data, _ := json.Marshal(m)
			t.Errorf("1.24 says of the policy %q, and here it is %q\n%s", want, problems, data)
			return
		}
		if len(problems) > 0 {
			c.notStorable++
			continue
		}
		c.storable++
		usable = usable || p.Unusable == ""
		valid = append(valid, m)
	}
	if !usable {
		return
	}
	e := compile(t, valid, ExportOptions{Mode: admission.Deny, Minor: 37, Extensions: true})
	for range pods {
		q := &question{Policies: valid, Namespace: "shop", User: "somebody"}
		for _, m := range valid {
			for _, who := range some(g, 2, "somebody", "system:serviceaccount:shop:default", "system:serviceaccount:shop:builder", "system:serviceaccount:other:default") {
				q.Grants = append(q.Grants, grant{who, pick(g, "policy", "extensions"), m.Name})
			}
			if g.one(2) {
				q.Grants = append(q.Grants, grant{"somebody", "policy", m.Name})
			}
		}
		if g.one(3) {
			c.update(t, g, o, e, q)
		} else {
			c.create(t, g, o, e, q)
		}
		if t.Failed() {
			return
		}
	}
}

func (e *exported) request(q *question, pod, old object) *admission.Request {
	return &admission.Request{Object: pod, OldObject: old, Resource: schema.GroupVersionResource{Version: "v1", Resource: "pods"},
		User: &user.DefaultInfo{Name: q.User}, Authorizer: q.Grants}
}

func (c *counts) create(t *testing.T, g *generator, o *oracle, e *exported, q *question) {
	t.Helper()
	pod := g.pod(false)
	q.Pod = legacy(pod)
	a := o.ask(t, q)
	if a.Invalid != "" && a.Refused == "" {
		c.invalid++
		return
	}
	before := overlay(a.Defaulted, pod)
	ours, err := e.mutating.Mutate(t.Context(), e.request(q, before, nil))
	if err != nil {
		t.Fatalf("%v\n%s", err, text(q, before))
	}
	copied := withAppArmorFields(ours)
	refused := e.validating.Validate(t.Context(), e.request(q, copied, nil))
	if (a.Refused == "") != (len(refused) == 0) {
		t.Errorf("1.24 says %q, and here it is %q (invalid: %s)\n%s\nafter mutation %s", a.Refused, refused, a.Invalid, text(q, before), text(ours))
		return
	}
	if len(refused) > 0 {
		c.refused++
		return
	}
	c.admitted++
	want, got := comparable(a.Pod), comparable(ours)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the pod differs (-1.24 +here):\n%s\n%s", d, text(q, before))
	}
	if b := comparable(before); !cmp.Equal(b["spec"], got["spec"]) || !cmp.Equal(b["appArmor"], got["appArmor"]) {
		c.filled++
	}
}

func (c *counts) update(t *testing.T, g *generator, o *oracle, e *exported, q *question) {
	t.Helper()
	pod := g.pod(true)
	metadata := pod["metadata"].(object)
	if len(e.policies) > 1 && g.one(2) {
		metadata["annotations"] = object{policyAnnotation: pick(g, e.policies...).Name}
	}
	old := runtime.DeepCopyJSON(pod)
	switch g.IntN(5) {
	case 0:
		metadata["finalizers"] = []any{"example.com/x"}
	case 1:
		metadata["ownerReferences"] = []any{object{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "u"}}
	case 2: // nothing changes
	default:
		metadata["labels"] = object{"a": "b"}
	}
	q.Pod, q.Old = stored(legacy(pod)), stored(legacy(old))
	a := o.ask(t, q)
	refused := e.validating.Validate(t.Context(), e.request(q, overlay(a.Defaulted, pod), overlay(o.ask(t, &question{Policies: q.Policies, Pod: q.Old, Namespace: "shop"}).Defaulted, old)))
	if (a.Refused == "") != (len(refused) == 0) {
		t.Errorf("update: 1.24 says %q, and here it is %q\n%s", a.Refused, refused, text(q, pod))
	}
	c.updates++
	if a.Refused != "" {
		c.updatesRefused++
	}
}

func text(values ...any) string {
	var out []string
	for _, v := range values {
		data, _ := json.Marshal(v)
		out = append(out, string(data))
	}
	return strings.Join(out, "\n")
}
