package admission

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/unstructuredscheme"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"bulkhead.dev/bulkhead/internal/check"
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
	patcher  patch.Patcher
	compiler *compiler
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
	patcher, err := compiler.mutation(rename(m.policy.Mutation))
	if err != nil {
		return nil, fmt.Errorf("control %s: %w", m.control.Name, err)
	}
	m.compiled[templatePath] = &compiledMutation{patcher, compiler}
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
// itself is not changed.
func (m *Mutation) Apply(ctx context.Context, o *model.Object) (map[string]any, error) {
	path := anyBuiltin
	if p := o.Pod(); p != nil && !builtinPods[o.GroupKind] {
		path = p.Path.String()
	}
	c, err := m.at(path)
	if err != nil {
		return nil, err
	}
	attributes := attributesOf(o)
	gvk := attributes.VersionedKind
	changed, err := c.patcher.Patch(c.compiler.CreateContext(ctx), patch.Request{
		MatchedResource:     attributes.GetResource(),
		VersionedAttributes: attributes,
		ObjectInterfaces:    asIs{},
		OptionalVariables:   plugincel.OptionalVariableBindings{},
	}, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return nil, fmt.Errorf("fix of %s on %s %s: %w", m.control.Name, gvk.Kind, o.Ref(), err)
	}
	u, ok := changed.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("fix of %s on %s: got %T", m.control.Name, o.Ref(), changed)
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
