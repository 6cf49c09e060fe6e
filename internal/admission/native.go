package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"
)

// Request is a request as an admission policy of the API server sees it.
type Request struct {
	// Object is what is to be stored, OldObject what is stored: nil for a creation.
	Object, OldObject map[string]any
	Resource          schema.GroupVersionResource
	User              user.Info
	Authorizer        authorizer.UnconditionalAuthorizer
}

func (r *Request) attributes() *admission.VersionedAttributes {
	u := &unstructured.Unstructured{Object: r.Object}
	var old runtime.Object
	operation, options := admission.Create, runtime.Object(&metav1.CreateOptions{})
	if r.OldObject != nil {
		old, operation, options = &unstructured.Unstructured{Object: r.OldObject}, admission.Update, &metav1.UpdateOptions{}
	}
	gvk := u.GroupVersionKind()
	attributes := admission.NewAttributesRecord(u, old, gvk, u.GetNamespace(), u.GetName(), r.Resource, "", operation, options, false, r.User)
	out := &admission.VersionedAttributes{Attributes: attributes, VersionedObject: admission.NewLazyObject(u), VersionedKind: gvk}
	if old != nil {
		out.VersionedOldObject = admission.NewLazyObject(old)
	}
	return out
}

// CompiledPolicy is a ValidatingAdmissionPolicy or a MutatingAdmissionPolicy without
// parameters, compiled as the API server of a release does when it is created. What
// it matches, its bindings choose; here it judges whatever it is given, but for its
// match conditions. It must not be used by two goroutines at once.
type CompiledPolicy struct {
	compiler  *compiler
	matcher   matchconditions.Matcher
	validator validating.Validator
	patchers  []patch.Patcher
}

// CompileNative compiles a spec of ValidatingAdmissionPolicy or of
// MutatingAdmissionPolicy for a minor version of Kubernetes 1. The error names the
// expression that does not compile there.
func CompileNative(spec any, minor int) (*CompiledPolicy, error) {
	c, err := newCompiler(minor - 1) // as targetCompiler
	if err != nil {
		return nil, err
	}
	p := &CompiledPolicy{compiler: c}
	switch s := spec.(type) {
	case *admissionv1.ValidatingAdmissionPolicySpec:
		err = p.validating(s)
	case *admissionv1.MutatingAdmissionPolicySpec:
		err = p.mutating(s)
	default:
		err = fmt.Errorf("%T is no spec of an admission policy", spec)
	}
	if err != nil {
		return nil, newerCEL(minor, err)
	}
	return p, nil
}

var authorized = plugincel.OptionalVariableDeclarations{HasAuthorizer: true}

func (p *CompiledPolicy) common(variables []admissionv1.Variable, conditions []admissionv1.MatchCondition, failure *admissionv1.FailurePolicyType) error {
	for _, v := range variables {
		r := p.compiler.CompileAndStoreVariable(anyType(v.Name, v.Expression), authorized, environment.NewExpressions)
		if r.Error != nil {
			return fmt.Errorf("variable %q: %w", v.Name, r.Error)
		}
	}
	if len(conditions) == 0 {
		return nil
	}
	accessors := make([]plugincel.ExpressionAccessor, len(conditions))
	for i := range conditions {
		accessors[i] = (*matchconditions.MatchCondition)(&conditions[i])
	}
	if err := p.check(accessors, authorized); err != nil {
		return err
	}
	p.matcher = matchconditions.NewMatcher(p.compiler.CompileCondition(accessors, authorized, environment.NewExpressions), failure, "policy", "", "")
	return nil
}

// check compiles expressions to see whether they do: a condition says so only when it
// is evaluated.
func (p *CompiledPolicy) check(expressions []plugincel.ExpressionAccessor, options plugincel.OptionalVariableDeclarations) error {
	for _, e := range expressions {
		if r := p.compiler.CompileCELExpression(e, options, environment.NewExpressions); r.Error != nil {
			return r.Error
		}
	}
	return nil
}

func (p *CompiledPolicy) validating(s *admissionv1.ValidatingAdmissionPolicySpec) error {
	if s.ParamKind != nil || len(s.AuditAnnotations) > 0 {
		return errors.New("parameters and audit annotations are not evaluated")
	}
	if err := p.common(s.Variables, s.MatchConditions, s.FailurePolicy); err != nil {
		return err
	}
	plain := plugincel.OptionalVariableDeclarations{}
	rules, messages := make([]plugincel.ExpressionAccessor, len(s.Validations)), make([]plugincel.ExpressionAccessor, len(s.Validations))
	for i, v := range s.Validations {
		rules[i] = &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason}
		if err := p.check(rules[i:i+1], authorized); err != nil {
			return err
		}
		if v.MessageExpression != "" {
			messages[i] = &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}
			if err := p.check(messages[i:i+1], plain); err != nil {
				return err
			}
		}
	}
	compile := func(e []plugincel.ExpressionAccessor, o plugincel.OptionalVariableDeclarations) plugincel.ConditionEvaluator {
		return p.compiler.CompileCondition(e, o, environment.NewExpressions)
	}
	p.validator = validating.NewValidator(compile(rules, authorized), p.matcher, compile(nil, authorized), compile(messages, plain), s.FailurePolicy, nil)
	return nil
}

func (p *CompiledPolicy) mutating(s *admissionv1.MutatingAdmissionPolicySpec) error {
	if err := p.common(s.Variables, s.MatchConditions, s.FailurePolicy); err != nil {
		return err
	}
	options := plugincel.OptionalVariableDeclarations{HasAuthorizer: true, HasPatchTypes: true}
	for _, m := range s.Mutations {
		if m.JSONPatch == nil {
			return errors.New("only mutations by JSON patch are evaluated")
		}
		e := p.compiler.CompileMutatingEvaluator(&patch.JSONPatchCondition{Expression: m.JSONPatch.Expression}, options, environment.NewExpressions)
		if errs := e.CompilationErrors(); len(errs) > 0 {
			return fmt.Errorf("jsonPatch: %w", errs[0])
		}
		p.patchers = append(p.patchers, patch.NewJSONPatcher(e))
	}
	return nil
}

// Validate returns what the API server would refuse the request with; nothing, where
// it admits it. The failure of an expression is a refusal if the policy's failure
// policy says so.
func (p *CompiledPolicy) Validate(ctx context.Context, r *Request) []string {
	result := p.validator.Validate(p.compiler.CreateContext(ctx), r.Resource, r.attributes(), nil, nil, celconfig.RuntimeCELCostBudget, r.Authorizer)
	var out []string
	for _, d := range result.Decisions {
		if d.Action == validating.ActionDeny {
			out = append(out, strings.TrimSpace(d.Message))
		}
	}
	return out
}

// Mutate returns the object after the mutation; that of the request is not changed.
func (p *CompiledPolicy) Mutate(ctx context.Context, r *Request) (map[string]any, error) {
	ctx = p.compiler.CreateContext(ctx)
	attributes := r.attributes()
	if p.matcher != nil {
		switch match := p.matcher.Match(ctx, attributes, nil, r.Authorizer); {
		case match.Error != nil:
			return nil, match.Error
		case !match.Matches:
			return r.Object, nil
		}
	}
	for _, patcher := range p.patchers {
		changed, err := patcher.Patch(ctx, patch.Request{
			MatchedResource: r.Resource, VersionedAttributes: attributes, ObjectInterfaces: asIs{},
			OptionalVariables: plugincel.OptionalVariableBindings{Authorizer: r.Authorizer},
		}, celconfig.RuntimeCELCostBudget)
		if err != nil {
			return nil, err
		}
		attributes.UpdateObject(changed)
	}
	u, ok := attributes.VersionedObject.Object().(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("the patch gave %T", attributes.VersionedObject.Object())
	}
	return u.Object, nil
}
