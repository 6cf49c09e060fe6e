package admission

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	celgo "github.com/google/cel-go/cel"

	"k8s.io/apimachinery/pkg/util/version"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/cel/environment"

	"bulkhead.dev/bulkhead/internal/check"
)

// minimumMinor is the oldest Kubernetes whose CEL every control must compile in:
// the first in which a list of lists can be flattened. Older releases are no
// longer maintained.
const minimumMinor = 34

// sharedVariables are what the controls of pods may use without defining it.
// Whatever kind an object is, they find the pod in it.
//
//	template    the map with the pod's metadata and spec
//	podSpec     its spec, empty where it has none
//	specPath    where that is: spec.template.spec
//	specPointer the same as a JSON Pointer: /spec/template/spec
//	containers  every container: a list of maps of
//	            c (the container), name, list (the field of the PodSpec that it
//	            stands in), path; for a fix also pointer
//	images      every image, of containers and of volumes: reference, path,
//	            container (empty for a volume), of (words for a message)
//	env         every environment variable: k (its container), name, e (the
//	            variable), path
//
// JSON Pointers are for fixes alone, so that a verdict does not pay for them.
func sharedVariables(templatePath string, fix bool) []check.Variable {
	template, prefix, pointer := builtinTemplate("object", "object.spec.jobTemplate.spec.template", "object.template", "object.spec.template"),
		builtinTemplate("''", "'spec.jobTemplate.spec.template.'", "'template.'", "'spec.template.'"),
		builtinTemplate("''", "'/spec/jobTemplate/spec/template'", "'/template'", "'/spec/template'")
	if templatePath != anyBuiltin {
		template, prefix, pointer = "object", "''", "''"
		if templatePath != "" {
			template, prefix = "object."+templatePath, strconv.Quote(templatePath+".")
			pointer = strconv.Quote("/" + strings.ReplaceAll(templatePath, ".", "/"))
		}
	}
	list := func(name string) string {
		places := fmt.Sprintf(`"path": dyn(variables.specPath + ".%s[" + string(i) + "]")`, name)
		if fix {
			places += fmt.Sprintf(`, "pointer": dyn(variables.specPointer + "/%s/" + string(i))`, name)
		}
		return fmt.Sprintf(`variables.podSpec.?%[1]s.orValue([]).transformList(i, c, {"c": dyn(c), "name": dyn(c.?name.orValue("")), "list": dyn(%[1]q), %[2]s})`, name, places)
	}
	return []check.Variable{
		{Name: "template", Expression: template},
		{Name: "podSpec", Expression: "variables.template.?spec.orValue({})"},
		{Name: "specPath", Expression: prefix + " + 'spec'"},
		{Name: "specPointer", Expression: pointer + " + '/spec'"},
		{Name: "containers", Expression: list("initContainers") + " + " + list("containers") + " + " + list("ephemeralContainers")},
		{Name: "images", Expression: imagesExpression},
		{Name: "env", Expression: envExpression},
	}
}

const (
	imagesExpression = `variables.containers.map(k, {"reference": dyn(string(k.c.?image.orValue(""))), "path": dyn(k.path + ".image"),
  "container": dyn(k.name), "of": dyn("container " + k.name)}) +
variables.podSpec.?volumes.orValue([]).transformList(i, v, has(v.image), {
  "reference": dyn(string(v.image.?reference.orValue(""))), "path": dyn(variables.specPath + ".volumes[" + string(i) + "].image.reference"),
  "container": dyn(""), "of": dyn("volume " + v.?name.orValue(""))})`

	envExpression = `variables.containers.map(k, k.c.?env.orValue([]).transformList(j, e, {
  "k": dyn(k), "e": dyn(e), "name": dyn(e.?name.orValue("")), "path": dyn(k.path + ".env[" + string(j) + "]")})).flatten()`
)

// anyBuiltin stands for the place of the pod in any kind of Kubernetes itself.
const anyBuiltin = "*"

func builtinTemplate(pod, cronJob, podTemplate, other string) string {
	return fmt.Sprintf("(object.kind == 'Pod' ? %s : object.kind == 'CronJob' ? %s : object.kind == 'PodTemplate' ? %s : %s)", pod, cronJob, podTemplate, other)
}

// expression is a CEL expression with the types that it may have.
type expression struct {
	name, text string
	types      []*celgo.Type
}

func (e *expression) GetName() string            { return e.name }
func (e *expression) GetExpression() string      { return e.text }
func (e *expression) ReturnTypes() []*celgo.Type { return e.types }

func anyType(name, text string) *expression {
	return &expression{name, text, []*celgo.Type{celgo.AnyType, celgo.DynType}}
}

var violationsType = celgo.ListType(celgo.MapType(celgo.StringType, celgo.StringType))

// compiler compiles controls into one environment of the API server, in which
// each control's own variables have names of their own.
type compiler struct {
	*plugincel.CompositedCompiler
}

func newCompiler(minor int) (*compiler, error) {
	c, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(version.MajorMinor(1, uint(minor))))
	return &compiler{c}, err
}

func (c *compiler) define(owner string, variables []check.Variable) error {
	for _, v := range variables {
		r := c.CompileAndStoreVariable(anyType(v.Name, v.Expression), plugincel.OptionalVariableDeclarations{}, environment.NewExpressions)
		if r.Error != nil {
			return fmt.Errorf("%svariable %q: %w", owner, v.Name, r.Error)
		}
	}
	return nil
}

func (c *compiler) violations(text string) (plugincel.CompilationResult, error) {
	e := &expression{"violations", text, []*celgo.Type{violationsType, celgo.ListType(celgo.DynType)}}
	r := c.CompileCELExpression(e, plugincel.OptionalVariableDeclarations{}, environment.NewExpressions)
	if r.Error != nil {
		return r, fmt.Errorf("violations: %w", r.Error)
	}
	return r, nil
}

func (c *compiler) mutation(text string) (plugincel.MutatingEvaluator, error) {
	e := c.CompileMutatingEvaluator(&patch.JSONPatchCondition{Expression: text},
		plugincel.OptionalVariableDeclarations{HasPatchTypes: true}, environment.NewExpressions)
	if errs := e.CompilationErrors(); len(errs) > 0 {
		return nil, fmt.Errorf("jsonPatch: %w", errs[0])
	}
	return e, nil
}

var variableUse = regexp.MustCompile(`\bvariables\.([A-Za-z_][A-Za-z0-9_]*)`)

// owned returns the variables of a control's policy, and a function that makes its
// expressions use them under names that no other control has. The parameters
// are one of them: variables.params.
func owned(c *check.Control, policy *check.ObjectPolicy, values map[string]any) ([]check.Variable, func(string) string) {
	own := slices.Clone(policy.Variables)
	if len(c.Parameters) > 0 {
		own = slices.Insert(own, 0, check.Variable{Name: "params", Expression: literal(values)})
	}
	prefix := strings.ReplaceAll(c.Name, "-", "_") + "_V_" // not "__", which the API server unescapes at each use
	rename := func(text string) string {
		return variableUse.ReplaceAllStringFunc(text, func(use string) string {
			name := strings.TrimPrefix(use, "variables.")
			if slices.ContainsFunc(own, func(v check.Variable) bool { return v.Name == name }) {
				return "variables." + prefix + name
			}
			return use
		})
	}
	renamed := make([]check.Variable, len(own))
	for i, v := range own {
		renamed[i] = check.Variable{Name: prefix + v.Name, Expression: rename(v.Expression)}
	}
	return renamed, rename
}

// literal writes parameters as a CEL map of dynamic values.
func literal(values map[string]any) string {
	parts := make([]string, 0, len(values))
	for name, v := range values {
		parts = append(parts, fmt.Sprintf("%s: dyn(%s)", strconv.Quote(name), literalValue(v)))
	}
	slices.Sort(parts)
	return "{" + strings.Join(parts, ", ") + "}"
}

func literalValue(v any) string {
	switch v := v.(type) {
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = literalValue(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		return quoteCEL(v)
	}
	return fmt.Sprint(v)
}

// quoteCEL writes a CEL string literal. Go's escapes are CEL's, but for bytes
// that are no UTF-8, which are replaced.
func quoteCEL(s string) string { return strconv.Quote(strings.ToValidUTF8(s, "\uFFFD")) }
