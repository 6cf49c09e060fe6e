package admission

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/parser"
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"bulkhead.dev/bulkhead/internal/check"
)

// oldPrefix begins the names of variables that say of the object before an update
// what those without it say of the object now.
const oldPrefix = "old_"

// What an update is refused for: violations that there were fewer of before. One is
// known again by its container and its detail, which says what is wrong down to the
// value; its path has the places of lists in it, which move when a list is reordered.
// Where several are alike (two rules of an Ingress for any host), they are counted.
const (
	keysExpression = `.map(v, v.?container.orValue("") + "\n" + v.detail)`

	worseExpression = `variables.violations.filter(v, [v.?container.orValue("") + "\n" + v.detail].exists(key,
  !(key in variables.old_keys) ||
  variables.keys.indexOf(key) != variables.keys.lastIndexOf(key) &&
  size(variables.keys.filter(k, k == key)) > size(variables.old_keys.filter(k, k == key))))`
)

// ratchet changes a policy so that it refuses an update only for what that makes
// worse, and nothing for which there is a waiver. It expects what ValidatingPolicy
// made.
//
// An object that is being deleted is no exception that anyone could hide behind: it
// may lose its finalizers like any other label, and may not get worse, since until it
// is gone it works.
func ratchet(spec *admissionv1.ValidatingAdmissionPolicySpec, p *check.ObjectPolicy, waived scopes) error {
	old, err := oldVariables(spec.Variables)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(old, func(v admissionv1.Variable) bool { return v.Name == oldPrefix+"violations" }) {
		return errors.New("does not read the object that it judges")
	}
	unchanged, err := unchangedExpression(p)
	if err != nil {
		return err
	}
	spec.Variables = slices.Concat(spec.Variables, old, waived.variables(), []admissionv1.Variable{
		{Name: "keys", Expression: "variables.violations" + keysExpression},
		{Name: "old_keys", Expression: "variables.old_violations" + keysExpression},
		// The message is made of offences too, and under the same budget whether it is
		// needed or not, so that what makes an update cheap has to be in here.
		{Name: "offences", Expression: "request.operation == \"UPDATE\" ? (" + unchanged + " ? [] :\n" + worseExpression + ") :\n" + waived.filtered("variables.violations")},
	})
	v := &spec.Validations[0]
	v.Expression = "size(variables.offences) == 0"
	v.MessageExpression = strings.ReplaceAll(v.MessageExpression, "variables.violations", "variables.offences")
	return nil
}

// unchangedExpression tells cheaply that an update leaves alone what a control looks
// at. It changes no verdict; it keeps an object that is too large to be judged within
// the API server's budget from being refused a label, a finalizer or its deletion.
func unchangedExpression(p *check.ObjectPolicy) (string, error) {
	texts := []string{p.Violations}
	for _, v := range p.Variables {
		texts = append(texts, v.Expression)
	}
	whole, metadata := !p.Pods, false
	for _, text := range texts {
		u, err := usesOf(text)
		if err != nil {
			return "", err
		}
		for _, name := range u.variables {
			whole = whole || name == "template"
		}
		whole = whole || len(u.object) > 0
		metadata = metadata || strings.Contains(text, "metadata")
	}
	if !whole {
		return "variables.podSpec == variables.old_podSpec", nil
	}
	out := `object.all(k, k in ["metadata", "status"] || k in oldObject && object[k] == oldObject[k]) &&
  oldObject.all(k, k in ["metadata", "status"] || k in object)`
	if metadata {
		for _, field := range []string{"labels", "annotations", "ownerReferences"} {
			out += fmt.Sprintf(" &&\n  object.metadata.?%[1]s == oldObject.metadata.?%[1]s", field)
		}
	}
	return out, nil
}

// oldVariables are those of the variables that depend on the object, over the object
// before the update.
func oldVariables(variables []admissionv1.Variable) ([]admissionv1.Variable, error) {
	dependent := map[string]bool{}
	var out []admissionv1.Variable
	for _, v := range variables {
		if strings.HasPrefix(v.Name, oldPrefix) {
			return nil, fmt.Errorf("has a variable %q; names that begin with %s mean the object before an update", v.Name, oldPrefix)
		}
		text, depends, err := overOldObject(v.Expression, dependent)
		if err != nil {
			return nil, fmt.Errorf("variable %q: %w", v.Name, err)
		}
		if depends {
			dependent[v.Name] = true
			out = append(out, admissionv1.Variable{Name: oldPrefix + v.Name, Expression: text})
		}
	}
	return out, nil
}

// overOldObject rewrites an expression to read oldObject instead of object, and the
// variables that depend on it by their names for that.
func overOldObject(text string, dependent map[string]bool) (rewritten string, depends bool, err error) {
	u, err := usesOf(text)
	if err != nil {
		return "", false, err
	}
	insertions := map[int]string{} // by place, in code points
	for _, at := range u.object {
		insertions[at] = "oldObject"
	}
	for at, name := range u.variables {
		if dependent[name] {
			insertions[at] = "variables." + oldPrefix + name
		}
	}
	var b strings.Builder
	runes := []rune(text)
	for i := 0; i < len(runes); i++ {
		switch with := insertions[i]; {
		case with == "":
			b.WriteRune(runes[i])
		case with == "oldObject":
			b.WriteString(with)
			i += len("object") - 1
		default:
			b.WriteString(with)
			i += len(with) - len(oldPrefix) - 1
		}
	}
	return b.String(), len(insertions) > 0, nil
}

// uses is where an expression reads the object and variables: places are code points
// from its start.
type uses struct {
	object    []int
	variables map[int]string
}

// celParser takes an expression apart without expanding macros, so that every part
// keeps its place in the text.
var celParser = func() *parser.Parser {
	p, err := parser.NewParser(parser.EnableOptionalSyntax(true), parser.ExpressionSizeCodePointLimit(-1))
	if err != nil {
		panic(err) // the options are constants
	}
	return p
}()

func usesOf(text string) (uses, error) {
	out := uses{variables: map[int]string{}}
	tree, errs := celParser.Parse(common.NewTextSource(text))
	if list := errs.GetErrors(); len(list) > 0 {
		return out, fmt.Errorf("cannot be parsed: %s", list[0].Message)
	}
	runes := []rune(text)
	var misplaced error
	at := func(e ast.Expr, word string) (int, bool) {
		place, ok := tree.SourceInfo().GetOffsetRange(e.ID())
		start := int(place.Start)
		if !ok || start+len(word) > len(runes) || string(runes[start:start+len(word)]) != word {
			misplaced = fmt.Errorf("%q is not where it was parsed", word)
			return 0, false
		}
		return start, true
	}
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			if e.AsIdent() == "object" {
				if start, ok := at(e, "object"); ok {
					out.object = append(out.object, start)
				}
			}
		case ast.SelectKind:
			s := e.AsSelect()
			if s.Operand().Kind() == ast.IdentKind && s.Operand().AsIdent() == "variables" {
				if start, ok := at(s.Operand(), "variables."+s.FieldName()); ok {
					out.variables[start] = s.FieldName()
				}
			}
		}
	}))
	return out, misplaced
}
