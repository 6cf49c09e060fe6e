package admission

import (
	"fmt"
	"strings"

	celgo "github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"bulkhead.dev/bulkhead/internal/check"
)

// targetCompiler compiles as the API server of a minor version does when it is given
// a new policy: in the CEL of the release before, so that the policy outlives a
// rollback (k8s.io/apiserver/pkg/cel/environment, DefaultCompatibilityVersion).
func targetCompiler(minor int, variables []admissionv1.Variable) (*compiler, error) {
	c, err := newCompiler(minor - 1)
	if err != nil {
		return nil, err
	}
	for _, v := range variables {
		if err := c.define("", []check.Variable{{Name: v.Name, Expression: v.Expression}}); err != nil {
			return nil, newerCEL(minor, err)
		}
	}
	return c, nil
}

func compileValidating(spec *admissionv1.ValidatingAdmissionPolicySpec, minor int) error {
	c, err := targetCompiler(minor, spec.Variables)
	if err != nil {
		return err
	}
	expressions := conditionsOf(spec.MatchConditions)
	for _, v := range spec.Validations {
		expressions = append(expressions, &expression{"validation", v.Expression, []*celgo.Type{celgo.BoolType}},
			&expression{"messageExpression", v.MessageExpression, []*celgo.Type{celgo.StringType}})
	}
	return c.compileAll(expressions, minor)
}

func compileMutating(spec *admissionv1.MutatingAdmissionPolicySpec, minor int) error {
	c, err := targetCompiler(minor, spec.Variables)
	if err != nil {
		return err
	}
	if err := c.compileAll(conditionsOf(spec.MatchConditions), minor); err != nil {
		return err
	}
	for _, m := range spec.Mutations {
		if _, err := c.mutation(m.JSONPatch.Expression); err != nil {
			return newerCEL(minor, err)
		}
	}
	return nil
}

func conditionsOf(conditions []admissionv1.MatchCondition) []*expression {
	var out []*expression
	for _, m := range conditions {
		out = append(out, &expression{"matchCondition " + m.Name, m.Expression, []*celgo.Type{celgo.BoolType}})
	}
	return out
}

func (c *compiler) compileAll(expressions []*expression, minor int) error {
	for _, e := range expressions {
		r := c.CompileCELExpression(e, plugincel.OptionalVariableDeclarations{}, environment.NewExpressions)
		if r.Error != nil {
			return newerCEL(minor, fmt.Errorf("%s: %w", e.name, r.Error))
		}
	}
	return nil
}

// newerCEL keeps of a compiler's error, which shows the text, what is wrong.
func newerCEL(minor int, err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	if _, after, ok := strings.Cut(text, "ERROR: "); ok {
		text = after
	}
	return fmt.Errorf("does not compile in Kubernetes 1.%d: %s", minor, text)
}
