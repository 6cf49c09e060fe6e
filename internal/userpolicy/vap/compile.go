package vap

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	v1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// compiled is the expressions of a policy, as the API server compiles them.
type compiled struct {
	validator validating.Validator
	uses      uses
}

// compile compiles a policy for an API server of Kubernetes 1.minor. An error names
// the expression that this server would refuse to take.
func compile(p *v1.ValidatingAdmissionPolicy, minor int) (*compiled, error) {
	c, err := plugincel.NewCompositedCompiler(environmentsFor(minor))
	if err != nil {
		return nil, err
	}
	params := p.Spec.ParamKind != nil
	withAuthorizer := plugincel.OptionalVariableDeclarations{HasParams: params, HasAuthorizer: true}
	return compileWith(c, p, minor, withAuthorizer, withAuthorizer, plugincel.OptionalVariableDeclarations{HasParams: params})
}

// CompileSource compiles expressions that are no policy of their own: a template's. Its
// variables may read params, its other expressions only what the variables hold; none
// may ask an authorizer.
func CompileSource(p *v1.ValidatingAdmissionPolicy, minor int) (*Source, error) {
	c, err := plugincel.NewCompositedCompiler(environmentsFor(minor))
	if err != nil {
		return nil, err
	}
	nothing := plugincel.OptionalVariableDeclarations{}
	compiled, err := compileWith(c, p, minor, plugincel.OptionalVariableDeclarations{HasParams: true}, nothing, nothing)
	if err != nil {
		return nil, err
	}
	return &Source{compiled}, nil
}

// Source is expressions that are no policy of their own. It may be used by many
// goroutines at once.
type Source struct{ compiled *compiled }

// Requester reports whether the expressions read who makes the request.
func (s *Source) Requester() bool { return s.compiled.uses.requester }

// Namespace reports whether the expressions read the Namespace.
func (s *Source) Namespace() bool { return s.compiled.uses.namespace }

// Validate evaluates the expressions under the limits of the API server.
func (s *Source) Validate(ctx context.Context, a *admission.VersionedAttributes, params runtime.Object, ns *corev1.Namespace) []validating.PolicyDecision {
	return s.compiled.validator.Validate(ctx, a.GetResource(), a, params, ns, celconfig.RuntimeCELCostBudget, nil).Decisions
}

// environmentsFor are what an API server of Kubernetes 1.minor compiles expressions in: it
// takes none that the release before it cannot evaluate.
func environmentsFor(minor int) *environment.EnvSet {
	return environment.MustBaseEnvSet(version.MajorMinor(1, uint(max(minor-1, 0))))
}

// compileWith compiles a policy whose variables, conditions and messages may read different
// things.
func compileWith(c *plugincel.CompositedCompiler, p *v1.ValidatingAdmissionPolicy, minor int, ofVariables, withAuthorizer, without plugincel.OptionalVariableDeclarations) (*compiled, error) {
	for i, v := range p.Spec.Variables {
		r := c.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, ofVariables, environment.NewExpressions)
		if r.Error != nil {
			return nil, fmt.Errorf("spec.variables[%d].expression (%s): %w", i, v.Name, r.Error)
		}
	}
	x := &expressions{compiler: c}
	fail := v1.Fail
	var matcher matchconditions.Matcher
	if conditions := x.conditions(p, withAuthorizer); conditions != nil {
		matcher = matchconditions.NewMatcher(conditions, &fail, "policy", "validate", p.Name)
	}
	validations, messages, annotations := x.validations(p, withAuthorizer), x.messages(p, without), x.annotations(p, withAuthorizer)
	if x.err != nil {
		return nil, x.err
	}
	env, err := environmentsFor(minor).Env(environment.StoredExpressions)
	if err != nil {
		return nil, err
	}
	// Errors are asked for under either failure policy: one that the API server would
	// ignore is unknown here, and said.
	return &compiled{validating.NewValidator(validations, matcher, annotations, messages, &fail, nil), usesOf(env, expressionsOf(p))}, nil
}

// expressions compiles the lists of expressions of one policy, and keeps what is wrong
// with the first that is wrong.
type expressions struct {
	compiler *plugincel.CompositedCompiler
	err      error
}

func (x *expressions) compile(path string, e plugincel.ExpressionAccessor, o plugincel.OptionalVariableDeclarations) plugincel.CompilationResult {
	r := x.compiler.CompileCELExpression(e, o, environment.NewExpressions)
	if r.Error != nil && x.err == nil {
		x.err = fmt.Errorf("%s: %w", path, r.Error)
	}
	return r
}

func (x *expressions) conditions(p *v1.ValidatingAdmissionPolicy, o plugincel.OptionalVariableDeclarations) plugincel.ConditionEvaluator {
	if len(p.Spec.MatchConditions) == 0 {
		return nil
	}
	var out []plugincel.CompilationResult
	for i := range p.Spec.MatchConditions {
		c := matchconditions.MatchCondition(p.Spec.MatchConditions[i])
		out = append(out, x.compile(fmt.Sprintf("spec.matchConditions[%d].expression", i), &c, o))
	}
	return x.evaluator(out)
}

func (x *expressions) validations(p *v1.ValidatingAdmissionPolicy, o plugincel.OptionalVariableDeclarations) plugincel.ConditionEvaluator {
	var out []plugincel.CompilationResult
	for i, v := range p.Spec.Validations {
		c := &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason}
		out = append(out, x.compile(fmt.Sprintf("spec.validations[%d].expression", i), c, o))
	}
	return x.evaluator(out)
}

// messages compiles the message of each validation, which may have none.
func (x *expressions) messages(p *v1.ValidatingAdmissionPolicy, o plugincel.OptionalVariableDeclarations) plugincel.ConditionEvaluator {
	out := make([]plugincel.CompilationResult, len(p.Spec.Validations))
	for i, v := range p.Spec.Validations {
		if v.MessageExpression != "" {
			out[i] = x.compile(fmt.Sprintf("spec.validations[%d].messageExpression", i), &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}, o)
		}
	}
	return x.evaluator(out)
}

func (x *expressions) annotations(p *v1.ValidatingAdmissionPolicy, o plugincel.OptionalVariableDeclarations) plugincel.ConditionEvaluator {
	var out []plugincel.CompilationResult
	for i, a := range p.Spec.AuditAnnotations {
		c := &validating.AuditAnnotationCondition{Key: a.Key, ValueExpression: a.ValueExpression}
		out = append(out, x.compile(fmt.Sprintf("spec.auditAnnotations[%d].valueExpression", i), c, o))
	}
	return x.evaluator(out)
}

func (x *expressions) evaluator(compiled []plugincel.CompilationResult) plugincel.ConditionEvaluator {
	return &evaluator{plugincel.NewCondition(compiled), x.compiler}
}

// evaluator evaluates expressions that use the policy's variables.
type evaluator struct {
	plugincel.ConditionEvaluator
	compiler *plugincel.CompositedCompiler
}

func (e *evaluator) ForInput(ctx context.Context, a *admission.VersionedAttributes, r *admissionv1.AdmissionRequest, o plugincel.OptionalVariableBindings, ns *corev1.Namespace, budget int64) ([]plugincel.EvaluationResult, int64, error) {
	return e.ConditionEvaluator.ForInput(e.compiler.CreateContext(ctx), a, r, o, ns, budget)
}
