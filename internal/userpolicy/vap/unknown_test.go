package vap

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/userpolicy/creation"
)

// policy is a policy with one binding, of which some fields are given.
func policy(t *testing.T, spec, binding string, o Options) (*Policy, error) {
	t.Helper()
	spec = rules(spec)
	objects := decodeObjects(t, `
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: p}, spec: {`+spec+`}}
---
{apiVersion: admissionregistration.k8s.io/v1beta1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: b}, spec: {policyName: p, validationActions: [Deny], `+binding+`}}`)
	o.Minor = 37
	return Compile(objects[0], objects[1:], o)
}

func evaluate(t *testing.T, p *Policy, w *model.World, o *model.Object, who user.Info) Result {
	t.Helper()
	r, err := creation.Of(w, o, creation.Options{User: who, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Evaluate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const world = `
{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: seen, labels: {a: b}}, data: {k: v}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: d, namespace: unseen}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: seen, labels: {env: prod}}}
---
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h, namespace: seen}, spec: {maxReplicas: 2, scaleTargetRef: {kind: Deployment, name: d}}}
---
{apiVersion: example.com/v2, kind: Widget, metadata: {name: w, namespace: seen}, spec: {n: 1}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: other}}
`

// TestUnknown has everything that files do not tell: each makes the verdict unknown, and
// none makes it a pass.
func TestUnknown(t *testing.T) {
	alice := &user.DefaultInfo{Name: "alice", Groups: []string{"devs"}}
	no := `validations: [{expression: "false", message: "no"}]`
	hpa := `matchConstraints: {resourceRules: [{apiGroups: [autoscaling], apiVersions: [v1], operations: [CREATE], resources: [horizontalpodautoscalers]}]}, ` + no
	widget := `matchConstraints: {resourceRules: [{apiGroups: [example.com], apiVersions: [v1], operations: [CREATE], resources: [widgets]}]}, ` + no
	params := `paramKind: {apiVersion: v1, kind: ConfigMap}, validations: [{expression: "params.data.k == 'w'", messageExpression: "string(params.data.k)"}]`
	for name, c := range map[string]struct {
		spec, binding string
		object        int
		who           user.Info
		want          string // what it says; "" for a pass, "-" for not concerned
	}{
		"selector, seen":          {no, `matchResources: {namespaceSelector: {matchLabels: {env: prod}}}`, 0, nil, "no"},
		"selector, seen, other":   {no, `matchResources: {namespaceSelector: {matchLabels: {env: test}}}`, 0, nil, "-"},
		"selector, unseen":        {no, `matchResources: {namespaceSelector: {matchLabels: {env: prod}}}`, 1, nil, "asks for the label env"},
		"selector by name":        {no, `matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: unseen}}}`, 1, nil, "no"},
		"selector by other name":  {no, `matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: x, env: prod}}}`, 1, nil, "-"},
		"namespaceObject, seen":   {`validations: [{expression: "namespaceObject.metadata.labels.env == 'prod'"}]`, "", 0, nil, ""},
		"namespaceObject, unseen": {`validations: [{expression: "namespaceObject.metadata.labels.env == 'prod'"}]`, "", 1, nil, "the Namespace unseen was not given"},
		"user":                    {`validations: [{expression: "request.userInfo.username == 'alice'"}]`, "", 0, nil, "who makes the request"},
		"user, known":             {`validations: [{expression: "request.userInfo.username == 'alice'"}]`, "", 0, alice, ""},
		"user in a variable":      {`variables: [{name: u, expression: "request.userInfo"}], validations: [{expression: "variables.u.username != 'x'"}]`, "", 0, nil, "who makes the request"},
		"request as a whole":      {`validations: [{expression: "[request].size() == 1"}]`, "", 0, nil, "who makes the request"},
		"request's own fields":    {`validations: [{expression: "request.name == 'c' && request.operation == 'CREATE' && !request.dryRun"}]`, "", 0, nil, ""},
		"authorizer of requester": {`validations: [{expression: "authorizer.requestResource.check('create').allowed()"}]`, "", 0, nil, "whoever makes the request"},
		"authorizer, none":        {`validations: [{expression: "!authorizer.serviceAccount('seen', 'sa').group('').resource('pods').check('get').allowed()"}]`, "", 0, nil, "only a cluster can say"},
		"authorizer not asked":    {`validations: [{expression: "true || authorizer.requestResource.check('create').allowed()"}]`, "", 0, nil, ""},
		"error, Fail":             {`validations: [{expression: "object.data.none == 'x'"}]`, "", 0, nil, "no such key: none; the API server would refuse the object (failurePolicy Fail)"},
		"error, Ignore":           {`failurePolicy: Ignore, validations: [{expression: "object.data.none == 'x'"}]`, "", 0, nil, "would let the object through (failurePolicy Ignore)"},
		"error and a refusal":     {`validations: [{expression: "object.data.none == 'x'"}, {expression: "false", message: "no"}]`, "", 0, nil, "no"},
		"audit annotation":        {`auditAnnotations: [{key: a, valueExpression: "string(object.data.none)"}]`, "", 0, nil, "auditAnnotation a cannot be evaluated"},
		"parameter, found":        {params, `paramRef: {name: c, namespace: seen, parameterNotFoundAction: Deny}`, 0, nil, "v"},
		"parameter, not given":    {params, `paramRef: {name: x, namespace: unseen, parameterNotFoundAction: Allow}`, 0, nil, "neither among the policies nor in what is scanned"},
		"parameter, not there":    {params, `paramRef: {name: x, namespace: seen, parameterNotFoundAction: Allow}`, 0, nil, "-"},
		"parameter, must be":      {params, `paramRef: {name: x, namespace: seen, parameterNotFoundAction: Deny}`, 0, nil, "failed to configure binding: no params found"},
		"parameters, not given":   {params, `paramRef: {selector: {matchLabels: {x: z}}, namespace: unseen, parameterNotFoundAction: Allow}`, 0, nil, "with labels x=z in namespace unseen, are neither"},
		"other version":           {hpa, "", 3, nil, "only the API server can convert it"},
		"other version, exact":    {strings.Replace(hpa, "resourceRules", "matchPolicy: Exact, resourceRules", 1), "", 3, nil, "-"},
		"version of unknown kind": {widget, "", 4, nil, "only the API server can convert it"},
		"policies on policies":    {no, "", 5, nil, "-"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := policy(t, c.spec, c.binding, Options{})
			if err != nil {
				t.Fatal(err)
			}
			w := model.NewWorld(decodeObjects(t, world), model.WorldOptions{})
			got := evaluate(t, p, w, w.Objects[c.object], c.who)
			text := strings.Join(got.Unknown, "; ")
			if len(got.Denials) > 0 {
				text = got.Denials[0].Message
			}
			switch {
			case c.want == "-":
				if text != "" || got.Judged {
					t.Errorf("it is judged: %+v", got)
				}
			case c.want == "":
				if text != "" || !got.Judged {
					t.Errorf("got %+v, want a pass", got)
				}
			case !strings.Contains(text, c.want) || (len(got.Denials) > 0) != (c.want == "no" || c.want == "v" || strings.HasPrefix(c.want, "failed")):
				t.Errorf("got %+v, want %q", got, c.want)
			}
		})
	}
}

// answers is an authorizer that knows one service account.
type answers struct{ err error }

func (a answers) Authorize(_ context.Context, q authorizer.Attributes) (authorizer.Decision, string, error) {
	if q.GetUser().GetName() == "system:serviceaccount:seen:sa" && q.GetVerb() == "get" {
		return authorizer.DecisionAllow, "", a.err
	}
	return authorizer.DecisionNoOpinion, "", a.err
}

// in answers in every world; nobody does where there is no authorizer.
func in(a authorizer.UnconditionalAuthorizer) func(*model.World) authorizer.UnconditionalAuthorizer {
	return func(*model.World) authorizer.UnconditionalAuthorizer { return a }
}

// TestAuthorizer has an authorizer that answers, and one that cannot.
func TestAuthorizer(t *testing.T) {
	spec := `validations: [{expression: "!authorizer.serviceAccount('seen', 'sa').group('').resource('pods').check('get').allowed()", message: may get pods}]`
	w := model.NewWorld(decodeObjects(t, world), model.WorldOptions{})
	for _, c := range []struct {
		a    answers
		want string
	}{{answers{}, "may get pods"}, {answers{errors.New("down")}, "got no answer: down"}} {
		p, err := policy(t, spec, "", Options{Authorizer: in(c.a)})
		if err != nil {
			t.Fatal(err)
		}
		got := evaluate(t, p, w, w.Objects[0], nil)
		text := strings.Join(got.Unknown, "; ")
		if len(got.Denials) > 0 {
			text += got.Denials[0].Message
		}
		if !strings.Contains(text, c.want) {
			t.Errorf("got %+v, want %q", got, c.want)
		}
	}
}

// TestRefused has policies and bindings that the API server would refuse to take.
func TestRefused(t *testing.T) {
	ok := `validations: [{expression: "true"}]`
	for _, c := range [][3]string{
		{`validations: [{expression: "object.x ="}]`, "", "spec.validations[0].expression"},
		{`validations: [{expression: "1"}]`, "", "spec.validations[0].expression"},
		{`validations: [{expression: "true", messageExpression: "1"}]`, "", "spec.validations[0].messageExpression"},
		{`validations: [{expression: "params.x"}]`, "", "params"},
		{`variables: [{name: a, expression: "variables.b"}], ` + ok, "", "spec.variables[0].expression (a)"},
		{`matchConditions: [{name: a, expression: "x"}], ` + ok, "", "spec.matchConditions[0].expression"},
		{`failurePolicy: Maybe, ` + ok, "", "spec.failurePolicy"},
		{`validation: []`, "", "validation"},
		{`paramKind: {kind: ConfigMap}, ` + ok, "", "spec.paramKind"},
		{`matchConstraints: {}, ` + ok, "", "spec.matchConstraints.resourceRules"},
		{`matchConstraints: {resourceRules: [{apiGroups: [""], operations: [CREATE], resources: [pods]}]}, ` + ok, "", "resourceRules[0]"},
		{`matchConstraints: {objectSelector: {matchExpressions: [{key: a, operator: Is}]}, resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}, ` + ok, "", "objectSelector"},
		{ok, `validationActions: [Refuse]`, "validationActions"},
		{ok, `paramRef: {parameterNotFoundAction: Deny}`, "paramRef"},
		{ok, `paramRef: {name: a}`, "parameterNotFoundAction"},
		{ok, `matchResource: {}`, "matchResource"},
	} {
		objects := decodeObjects(t, `
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: p}, spec: {`+rules(c[0])+`}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: b}, spec: {policyName: p, `+actions(c[1])+`}}`)
		if _, err := Compile(objects[0], objects[1:], Options{Minor: 37}); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%v: got %v, want an error about %q", c, err, c[2])
		}
	}
}

func rules(spec string) string {
	if strings.Contains(spec, "matchConstraints") {
		return spec
	}
	return `matchConstraints: {resourceRules: [{apiGroups: ["*"], apiVersions: ["*"], operations: [CREATE], resources: ["*"]}]}, ` + spec
}

func actions(binding string) string {
	if strings.Contains(binding, "validationActions") {
		return binding
	}
	return "validationActions: [Deny], " + binding
}
