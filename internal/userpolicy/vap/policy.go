package vap

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/userpolicy/creation"
)

// Policy is a ValidatingAdmissionPolicy with its bindings, compiled. It may be used by
// many goroutines at once.
type Policy struct {
	Definition *v1.ValidatingAdmissionPolicy
	Bindings   []*v1.ValidatingAdmissionPolicyBinding
	// Object is the policy as it was read.
	Object *model.Object

	compiled   *compiled
	options    Options
	parameters *model.Fact[*parameters]
}

// Options of policies.
type Options struct {
	// Minor is the minor version of Kubernetes 1 whose API server is asked.
	Minor int
	// Given are objects that were given with the policies: parameters, definitions of
	// custom resources.
	Given []*model.Object
	// Authorizer is who answers the authorizer library in a world; nil where nobody can.
	Authorizer func(*model.World) authorizer.UnconditionalAuthorizer

	definitions map[model.GroupKind]*model.Object
}

// Compile reads a policy and the bindings of it. The error says what the API server
// would refuse in one of them, and in which.
func Compile(policy *model.Object, bindings []*model.Object, o Options) (*Policy, error) {
	definition, err := parsePolicy(policy)
	if err != nil {
		return nil, err
	}
	p := &Policy{Definition: definition, Object: policy, options: o}
	p.options.definitions = creation.Definitions(o.Given)
	for _, b := range bindings {
		binding, err := parseBinding(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Ref(), err)
		}
		p.Bindings = append(p.Bindings, binding)
	}
	if p.compiled, err = compile(definition, o.Minor); err != nil {
		return nil, err
	}
	if kind := definition.Spec.ParamKind; kind != nil {
		p.parameters = model.NewFact(func(w *model.World) *parameters {
			return parametersOf(w, kind, o.Given, p.options.definitions)
		})
	}
	return p, nil
}

// MetadataOnly says that of an object the policy reads its metadata and its type alone.
func (p *Policy) MetadataOnly() bool { return !p.compiled.uses.content }

// PolicyName is the policy that a binding is of; empty where it names none.
func PolicyName(binding *model.Object) string { return binding.Text("spec", "policyName") }

// Denial is a validation that failed, under one binding.
type Denial struct {
	Message string
	Binding *v1.ValidatingAdmissionPolicyBinding
}

// Result is what a policy says of a request.
type Result struct {
	// Matched says that the policy concerns the resource at all.
	Matched bool
	// Judged says that a validation was evaluated, under some binding.
	Judged  bool
	Denials []Denial
	// Unknown says why there may be more denials than those.
	Unknown []string
}

// Evaluate judges a request under every binding. The error is that of the context.
func (p *Policy) Evaluate(ctx context.Context, r *creation.Request) (Result, error) {
	if exempt(r, p.Definition.Name) {
		return Result{}, nil
	}
	a := r.Attributes()
	m, err := match(r, a, p.Definition.Spec.MatchConstraints, "spec.matchConstraints", p.options.definitions)
	if err != nil {
		return Result{Matched: true, Unknown: []string{p.refusal("it cannot be told whether the policy is about the object", err)}}, nil
	}
	if !m.matches {
		return Result{}, nil
	}
	out := Result{Matched: true}
	for _, b := range p.Bindings {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		p.bound(ctx, r, a, m, b, &out)
	}
	return out, ctx.Err()
}

// exempt reports that the API server asks no policy about an object: what policies are
// made of, but for those that it reads from files.
func exempt(r *creation.Request, policy string) bool {
	return r.Resource.Group == Group && !strings.HasSuffix(policy, ".static.k8s.io") &&
		slices.Contains([]string{"validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"}, r.Resource.Resource)
}

// bound judges a request that the policy concerns under one binding.
func (p *Policy) bound(ctx context.Context, r *creation.Request, a admission.Attributes, m matched, b *v1.ValidatingAdmissionPolicyBinding, out *Result) {
	unknown := func(why string) { out.Unknown = append(out.Unknown, why) }
	if b.Spec.MatchResources != nil {
		bound, err := match(r, a, b.Spec.MatchResources, "binding "+b.Name+": spec.matchResources", p.options.definitions)
		if err != nil {
			unknown(p.refusal("it cannot be told whether binding "+b.Name+" is about the object", err))
			return
		}
		if !bound.matches {
			return
		}
		if bound.unknown != "" {
			m.unknown = bound.unknown
		}
	}
	if m.unknown != "" {
		unknown(m.unknown)
		return
	}
	params := []runtime.Object{nil}
	if p.parameters != nil {
		var why string
		var err error
		if params, why, err = p.parameters.Of(r.World).of(r, p.Definition.Spec.ParamKind, b.Spec.ParamRef, a.GetNamespace()); why != "" {
			unknown(why)
			return
		}
		if err != nil {
			p.misconfigured(b, err, out)
			return
		}
	}
	if why := p.unread(r); why != "" && len(params) > 0 {
		unknown(why)
		return
	}
	object, ok := converted(r, m.kind, p.options.definitions)
	if !ok {
		unknown(fmt.Sprintf("the policy reads the object as %s, and only the API server can convert it", m.kind.GroupVersion()))
		return
	}
	versioned := &admission.VersionedAttributes{Attributes: a, VersionedObject: admission.NewLazyObject(object), VersionedKind: m.kind}
	for _, param := range params {
		authorizer := &asked{requester: r.User}
		if p.options.Authorizer != nil {
			authorizer.authorizer = p.options.Authorizer(r.World)
		}
		result := p.compiled.validator.Validate(ctx, m.resource, versioned, param, r.Namespace, celconfig.RuntimeCELCostBudget, authorizer)
		if authorizer.unknown != "" {
			unknown(authorizer.unknown)
			continue
		}
		p.decide(result, b, out)
	}
}

// unread says what the policy reads and this request does not tell; empty where that is
// nothing.
func (p *Policy) unread(r *creation.Request) string {
	switch u := p.compiled.uses; {
	case u.requester && r.User == nil:
		return "it reads who makes the request (request.userInfo or request.options), and that is not known"
	case u.namespace && r.Namespace != nil && !r.NamespaceKnown:
		return fmt.Sprintf("it reads namespaceObject, and the Namespace %s was not given", r.Namespace.Name)
	}
	return ""
}

// misconfigured is what comes of parameters that are wrong, or not there: a refusal under
// failurePolicy Fail, and nothing otherwise.
func (p *Policy) misconfigured(b *v1.ValidatingAdmissionPolicyBinding, err error, out *Result) {
	out.Judged = true
	if *p.Definition.Spec.FailurePolicy == v1.Fail {
		out.Denials = append(out.Denials, Denial{Message: fmt.Sprintf("failed to configure binding: %v", err), Binding: b})
	}
}

func (p *Policy) decide(result validating.ValidateResult, b *v1.ValidatingAdmissionPolicyBinding, out *Result) {
	out.Judged = out.Judged || len(result.Decisions) > 0
	for _, d := range result.Decisions {
		switch {
		case d.Evaluation == validating.EvalError:
			out.Unknown = append(out.Unknown, p.refusal("it cannot be evaluated", fmt.Errorf("%s", d.Message)))
		case d.Action == validating.ActionDeny:
			out.Denials = append(out.Denials, Denial{Message: d.Message, Binding: b})
		}
	}
	for _, annotation := range result.AuditAnnotations {
		if annotation.Action == validating.AuditAnnotationActionError {
			out.Unknown = append(out.Unknown, p.refusal("its auditAnnotation "+annotation.Key+" cannot be evaluated", fmt.Errorf("%s", annotation.Error)))
		}
	}
}

// refusal says of an error what the API server would make of it.
func (p *Policy) refusal(what string, err error) string {
	then := "the API server would refuse the object (failurePolicy Fail)"
	if *p.Definition.Spec.FailurePolicy == v1.Ignore {
		then = "the API server would let the object through (failurePolicy Ignore)"
	}
	return fmt.Sprintf("%s: %s; %s", what, strings.Join(strings.Fields(err.Error()), " "), then)
}

// Beyond says what of the policy no scan can judge, because it is about other things than
// the creation of an object; empty where that is nothing.
func (p *Policy) Beyond() string {
	creates := func(r v1.NamedRuleWithOperations) bool {
		return slices.Contains(r.Operations, v1.Create) || slices.Contains(r.Operations, v1.OperationAll)
	}
	var out []string
	for i, r := range p.Definition.Spec.MatchConstraints.ResourceRules {
		if !creates(r) {
			out = append(out, fmt.Sprintf("resourceRules[%d] is about other operations than CREATE", i))
		}
		for _, resource := range r.Resources {
			if _, sub, ok := strings.Cut(resource, "/"); ok && sub != "*" {
				out = append(out, fmt.Sprintf("resourceRules[%d] is about the subresource %s", i, resource))
			}
		}
	}
	return strings.Join(out, "; ")
}
