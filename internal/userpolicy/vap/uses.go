package vap

import (
	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	v1 "k8s.io/api/admissionregistration/v1"
)

// uses is what the expressions of a policy read that may not be known.
type uses struct {
	// namespace is the variable namespaceObject.
	namespace bool
	// requester is who makes the request, and with which options.
	requester bool
	// content is more of the object than what every kind has, and its type.
	content bool
}

// common are fields that hold no values of an object's own.
var common = map[string]bool{"metadata": true, "kind": true, "apiVersion": true, "type": true}

// known are the fields of the variable request that any creation of an object has.
var known = map[string]bool{"kind": true, "resource": true, "subResource": true, "requestKind": true, "requestResource": true,
	"requestSubResource": true, "name": true, "namespace": true, "operation": true, "dryRun": true}

// expressionsOf lists every expression of a policy on which its verdict rests.
func expressionsOf(p *v1.ValidatingAdmissionPolicy) []string {
	var out []string
	for _, c := range p.Spec.MatchConditions {
		out = append(out, c.Expression)
	}
	for _, v := range p.Spec.Variables {
		out = append(out, v.Expression)
	}
	for _, v := range p.Spec.Validations {
		out = append(out, v.Expression)
		if v.MessageExpression != "" {
			out = append(out, v.MessageExpression)
		}
	}
	return out
}

// usesOf reads expressions that compile.
func usesOf(env *celgo.Env, expressions []string) uses {
	u := uses{}
	for _, text := range expressions {
		parsed, issues := env.Parse(text)
		if issues.Err() != nil {
			return uses{namespace: true, requester: true, content: true}
		}
		root := ast.NavigateAST(parsed.NativeRep())
		for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.IdentKind)) {
			switch e.AsIdent() {
			case "namespaceObject":
				u.namespace = true
			case "request":
				u.requester = u.requester || !selects(e, known)
			case "object":
				u.content = u.content || !selects(e, common)
			}
		}
	}
	return u
}

// selects reports whether all that is read of a variable is one of the fields.
func selects(variable ast.NavigableExpr, fields map[string]bool) bool {
	parent, ok := variable.Parent()
	return ok && parent.Kind() == ast.SelectKind && fields[parent.AsSelect().FieldName()]
}
