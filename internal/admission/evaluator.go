package admission

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/google/cel-go/common/types/ref"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	apiservercel "k8s.io/apiserver/pkg/cel"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// Evaluator judges objects by the controls that it was compiled of. It may be
// used by many goroutines at once.
type Evaluator struct {
	controls   []*check.Control
	parameters check.Parameters
	version    int

	mu   sync.Mutex
	sets map[string]*lazySet
}

type lazySet struct {
	once sync.Once
	set  *set
	err  error
}

// set is the controls that concern a kind of object, compiled together.
type set struct {
	controls []*check.Control
	compiler *compiler
	compiled []plugincel.CompilationResult
	// expressions says which control each compiled expression belongs to.
	expressions []int
	needsPod    bool
}

// Compile makes an evaluator. It compiles what concerns the pods of built-in
// kinds at once, and other kinds when they are first met; an error names the
// control.
func Compile(controls []*check.Control, parameters check.Parameters, version int) (*Evaluator, error) {
	e := &Evaluator{controls: controls, parameters: parameters, version: version, sets: map[string]*lazySet{}}
	_, err := e.setFor(podKey, func(c *check.Control) bool { return c.Object.Pods }, anyBuiltin)
	return e, err
}

const podKey = "pods"

// setsOf returns the sets of controls that concern an object.
func (e *Evaluator) setsOf(o *model.Object) ([]*set, error) {
	var out []*set
	if pod := o.Pod(); pod != nil {
		key, path := podKey, anyBuiltin
		if !model.CarriesPod(o.GroupKind) {
			path = pod.Path.String()
			key = podKey + " at " + path
		}
		s, err := e.setFor(key, func(c *check.Control) bool { return c.Object.Pods }, path)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	s, err := e.setFor(o.GroupKind.String(), func(c *check.Control) bool { return slices.Contains(c.Object.Kinds, o.GroupKind) }, "")
	if err != nil {
		return nil, err
	}
	return append(out, s), nil
}

func (e *Evaluator) setFor(key string, concerns func(*check.Control) bool, templatePath string) (*set, error) {
	e.mu.Lock()
	l := e.sets[key]
	if l == nil {
		l = &lazySet{}
		e.sets[key] = l
	}
	e.mu.Unlock()
	l.once.Do(func() { l.set, l.err = e.compile(concerns, templatePath) })
	return l.set, l.err
}

func (e *Evaluator) compile(concerns func(*check.Control) bool, templatePath string) (*set, error) {
	s := &set{}
	for _, c := range e.controls {
		if concerns(c) {
			s.controls = append(s.controls, c)
			s.needsPod = s.needsPod || c.Object.Pods
		}
	}
	if len(s.controls) == 0 {
		return s, nil
	}
	compiler, err := newCompiler(minimumMinor)
	if err != nil {
		return nil, err
	}
	if s.needsPod {
		if err := compiler.define("", sharedVariables(templatePath, false)); err != nil {
			return nil, err
		}
	}
	s.compiler = compiler
	for i, c := range s.controls {
		if c.Object.Judge != nil {
			continue
		}
		variables, rename := owned(c, c.Object, e.parameters[c.Name])
		if err := compiler.define("control "+c.Name+": ", variables); err != nil {
			return nil, err
		}
		r, err := compiler.violations(rename(c.Object.Violations))
		if err != nil {
			return nil, fmt.Errorf("control %s: %w", c.Name, err)
		}
		s.compiled = append(s.compiled, r)
		s.expressions = append(s.expressions, i)
	}
	return s, nil
}

// Concerned lists the controls that concern an object's kind.
func (e *Evaluator) Concerned(o *model.Object) []*check.Control {
	sets, err := e.setsOf(o)
	if err != nil {
		return e.controls
	}
	var out []*check.Control
	for _, s := range sets {
		out = append(out, s.controls...)
	}
	return out
}

// Evaluate judges an object by every control that concerns its kind. The error
// says why it cannot be judged at all: the API server would refuse it.
func (e *Evaluator) Evaluate(ctx context.Context, o *model.Object) ([]check.ObjectJudgement, error) {
	sets, err := e.setsOf(o)
	if err != nil {
		return nil, err
	}
	var out []check.ObjectJudgement
	for _, s := range sets {
		if len(s.controls) == 0 {
			continue
		}
		judged, err := e.evaluate(ctx, s, o)
		if err != nil {
			return nil, err
		}
		out = append(out, judged...)
	}
	return out, nil
}

func (e *Evaluator) evaluate(ctx context.Context, s *set, o *model.Object) ([]check.ObjectJudgement, error) {
	out := make([]check.ObjectJudgement, len(s.controls))
	windows := false
	var in check.PodInput
	if s.needsPod {
		meta, spec, err := o.Pod().Decode()
		if err != nil {
			return nil, fmt.Errorf("the API server would refuse it: %w", err)
		}
		in = check.PodInput{Pod: o.Pod(), Meta: meta, Spec: spec, Version: e.version}
		windows = o.Pod().Windows()
	}
	results, err := s.run(ctx, o)
	if err != nil {
		return nil, err
	}
	for n, r := range results {
		i := s.expressions[n]
		out[i] = check.ObjectJudgement{Control: s.controls[i], Judgement: judgement(o, r)}
	}
	for i, c := range s.controls {
		var violations []check.Violation
		if c.Object.Judge != nil {
			violations = c.Object.Judge(in)
			out[i] = check.ObjectJudgement{Control: c, Judgement: check.Failed(o, violations...)}
		}
		// The Pod Security Standards of old versions judge pods of Windows too.
		if windows && c.Object.Linux && len(violations) == 0 {
			out[i] = check.ObjectJudgement{Control: c, Judgement: check.Inapplicable(o)}
		}
	}
	return out, nil
}

// policyBudget is what one policy may spend on one object. The API server
// evaluates a policy's variables twice under one budget, for the validation and
// for its message.
const policyBudget = celconfig.RuntimeCELCostBudget / 2

// run evaluates the set's expressions on an object. As long as all of them
// together spend less than one policy may, each of them does; otherwise each is
// evaluated by itself, to tell which would exceed the API server's budget.
func (s *set) run(ctx context.Context, o *model.Object) ([]plugincel.EvaluationResult, error) {
	if len(s.expressions) == 0 {
		return nil, nil
	}
	results, err := s.evaluate(ctx, o, s.compiled)
	if err == nil || !errors.Is(err, apiservercel.ErrOutOfBudget) {
		return results, err
	}
	results = make([]plugincel.EvaluationResult, len(s.compiled))
	for i := range s.compiled {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		one, err := s.evaluate(ctx, o, s.compiled[i:i+1])
		if err != nil {
			results[i].Error = err
			continue
		}
		results[i] = one[0]
	}
	return results, nil
}

func (s *set) evaluate(ctx context.Context, o *model.Object, expressions []plugincel.CompilationResult) ([]plugincel.EvaluationResult, error) {
	attributes := attributesOf(o)
	request := plugincel.CreateAdmissionRequest(attributes.Attributes, metav1.GroupVersionResource(attributes.GetResource()), metav1.GroupVersionKind(attributes.VersionedKind))
	results, _, err := plugincel.NewCondition(expressions).ForInput(s.compiler.CreateContext(ctx), attributes, request, plugincel.OptionalVariableBindings{}, nil, policyBudget)
	if err != nil {
		return nil, fmt.Errorf("the policies could not be evaluated: %w", err)
	}
	return results, nil
}

// attributesOf describes the creation of an object, as the API server would.
func attributesOf(o *model.Object) *admission.VersionedAttributes {
	u := &unstructured.Unstructured{Object: model.WithoutNulls(o.Content)}
	gvk := schema.GroupVersionKind{Group: o.Group, Version: o.Version, Kind: o.Kind}
	resource, _ := model.BuiltinResource(o.GroupKind)
	gvr := schema.GroupVersionResource{Group: o.Group, Version: o.Version, Resource: resource.Name}
	attributes := admission.NewAttributesRecord(u, nil, gvk, o.Namespace, o.Name, gvr, "", admission.Create, &metav1.CreateOptions{}, false, &user.DefaultInfo{})
	return &admission.VersionedAttributes{Attributes: attributes, VersionedObject: admission.NewLazyObject(u), VersionedKind: gvk}
}

func judgement(o *model.Object, r plugincel.EvaluationResult) check.Judgement {
	if r.Error != nil {
		return check.Unobserved(o, "the policy could not be evaluated: %v", r.Error)
	}
	violations, err := violationsOf(r.EvalResult)
	if err != nil {
		return check.Unobserved(o, "the policy could not be evaluated: %v", err)
	}
	return check.Failed(o, violations...)
}

var stringMaps = reflect.TypeFor[[]map[string]string]()

// violationsOf reads the value of a control's violations.
func violationsOf(v ref.Val) ([]check.Violation, error) {
	native, err := v.ConvertToNative(stringMaps)
	if err != nil {
		return nil, fmt.Errorf("violations are no list of maps of strings: %w", err)
	}
	var out []check.Violation
	for _, m := range native.([]map[string]string) {
		if m["detail"] == "" {
			return nil, errors.New("a violation has no detail")
		}
		path, err := model.ParsePath(m["path"])
		if err != nil {
			return nil, err
		}
		out = append(out, check.Violation{Path: path, Container: m["container"], Detail: m["detail"]})
	}
	return out, nil
}

var _ check.ObjectEvaluator = (*Evaluator)(nil)
