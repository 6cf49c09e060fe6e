package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/unstructuredscheme"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/mutation"
	"k8s.io/apiserver/pkg/cel/mutation/dynamic"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Mutation is the fix of a control, as a MutatingAdmissionPolicy would apply it.
type Mutation struct {
	control  *check.Control
	policy   *check.ObjectPolicy
	values   map[string]any
	compiled map[string]*compiledMutation
}

type compiledMutation struct {
	evaluator plugincel.MutatingEvaluator
	compiler  *compiler
}

// CompileMutation compiles a control's mutation with the values of its
// parameters. The result must not be used by two goroutines at once.
func CompileMutation(c *check.Control, values map[string]any) (*Mutation, error) {
	policy := c.FixPolicy()
	if policy == nil {
		return nil, fmt.Errorf("control %s has no mutation", c.Name)
	}
	m := &Mutation{control: c, policy: policy, values: values, compiled: map[string]*compiledMutation{}}
	_, err := m.at(anyBuiltin)
	return m, err
}

// forObject is the mutation for where an object has its pod.
func (m *Mutation) forObject(o *model.Object) (*compiledMutation, error) {
	if p := o.Pod(); p != nil && !model.CarriesPod(o.GroupKind) {
		return m.at(p.Path.String())
	}
	return m.at(anyBuiltin)
}

func (m *Mutation) at(templatePath string) (*compiledMutation, error) {
	if c := m.compiled[templatePath]; c != nil {
		return c, nil
	}
	compiler, err := newCompiler(minimumMinor)
	if err != nil {
		return nil, err
	}
	if m.policy.Pods {
		if err := compiler.define("", sharedVariables(templatePath, true)); err != nil {
			return nil, err
		}
	}
	variables, rename := owned(m.control, m.policy, m.values)
	if err := compiler.define("control "+m.control.Name+": ", variables); err != nil {
		return nil, err
	}
	evaluator, err := compiler.mutation(rename(m.policy.Mutation))
	if err != nil {
		return nil, fmt.Errorf("control %s: %w", m.control.Name, err)
	}
	m.compiled[templatePath] = &compiledMutation{evaluator, compiler}
	return m.compiled[templatePath], nil
}

// Concerns reports whether the mutation is meant for objects of that kind.
func (m *Mutation) Concerns(o *model.Object) bool {
	p := m.policy
	if p.Pods {
		return o.Pod() != nil && (!p.Linux || !o.Pod().Windows())
	}
	return slices.Contains(p.Kinds, o.GroupKind)
}

// Apply returns the content that an object has after the mutation; the object
// itself is not changed, and shares with the content what that leaves alone.
func (m *Mutation) Apply(ctx context.Context, o *model.Object) (map[string]any, error) {
	fail := func(err error) (map[string]any, error) {
		return nil, fmt.Errorf("fix of %s on %s: %w", m.control.Name, o.Ref(), err)
	}
	c, err := m.forObject(o)
	if err != nil {
		return nil, err
	}
	attributes := attributesOf(o)
	edits, plain, err := c.edits(ctx, attributes)
	if err != nil {
		return fail(err)
	}
	if plain {
		before := attributes.VersionedObject.Object().(*unstructured.Unstructured).Object
		if content, err := finding.Apply(before, edits); err == nil {
			return content, nil
		}
	}
	content, err := c.patched(ctx, attributes)
	if err != nil {
		return fail(err)
	}
	return content, nil
}

// edits evaluates the mutation as the API server does. It reports false where the
// patch has more in it than fields that are added, replaced and removed: most do
// not, and such edits need not encode and decode the whole object.
func (c *compiledMutation) edits(ctx context.Context, attributes *admission.VersionedAttributes) ([]finding.Edit, bool, error) {
	request := plugincel.CreateAdmissionRequest(attributes.Attributes, metav1.GroupVersionResource(attributes.GetResource()), metav1.GroupVersionKind(attributes.VersionedKind))
	result, _, err := c.evaluator.ForInput(c.compiler.CreateContext(ctx), attributes, request, plugincel.OptionalVariableBindings{}, nil, celconfig.RuntimeCELCostBudget)
	if err == nil {
		err = result.Error
	}
	if err != nil {
		return nil, false, err
	}
	list, ok := result.EvalResult.(traits.Lister)
	if !ok {
		return nil, false, nil
	}
	var edits []finding.Edit
	for it := list.Iterator(); it.HasNext() == types.True; {
		native, err := it.Next().ConvertToNative(patchOperation)
		if err != nil {
			return nil, false, err
		}
		op, ok := native.(*mutation.JSONPatchVal)
		if !ok || op.From != "" || op.Path == "" {
			return nil, false, nil
		}
		e := finding.Edit{Op: op.Op, Path: op.Path}
		switch e.Op {
		case "add", "replace":
			if e.Value, ok = jsonValue(op.Val); !ok {
				return nil, false, nil
			}
		case "remove":
		default:
			return nil, false, nil
		}
		edits = append(edits, e)
	}
	return edits, true, nil
}

var patchOperation = reflect.TypeFor[*mutation.JSONPatchVal]()

// jsonValue is a CEL value as decoded JSON. It reports false where it cannot be
// one, or is an object with a type, which the API server checks further.
func jsonValue(v ref.Val) (any, bool) {
	if _, typed := v.(*dynamic.ObjectVal); typed || v == nil {
		return nil, false
	}
	native, err := v.ConvertToNative(types.JSONValueType)
	if err != nil {
		return nil, false
	}
	data, err := json.Marshal(native)
	if err != nil {
		return nil, false
	}
	var out any
	if err := utiljson.Unmarshal(data, &out); err != nil {
		return nil, false
	}
	return out, true
}

// patched leaves all to the API server's patch package, which has the last word on
// what a patch means. It panics on some, as on one that adds to a field of null.
func (c *compiledMutation) patched(ctx context.Context, attributes *admission.VersionedAttributes) (content map[string]any, err error) {
	defer func() {
		if p := recover(); p != nil {
			content, err = nil, fmt.Errorf("the patch cannot be applied: %v", p)
		}
	}()
	changed, err := patch.NewJSONPatcher(c.evaluator).Patch(c.compiler.CreateContext(ctx), patch.Request{
		MatchedResource:     attributes.GetResource(),
		VersionedAttributes: attributes,
		ObjectInterfaces:    asIs{},
		OptionalVariables:   plugincel.OptionalVariableBindings{},
	}, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return nil, err
	}
	u, ok := changed.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("the patch gave %T", changed)
	}
	return u.Object, nil
}

// asIs lets the API server's patch package work on objects in the form in which
// they were written, without types, defaults or conversion.
type asIs struct{ admission.ObjectInterfaces }

func (asIs) GetObjectCreater() runtime.ObjectCreater {
	return unstructuredscheme.NewUnstructuredCreator()
}
func (asIs) GetObjectTyper() runtime.ObjectTyper {
	return unstructuredscheme.NewUnstructuredObjectTyper()
}
