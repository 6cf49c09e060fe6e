package admission

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pmezard/go-difflib/difflib"
	"gomodules.xyz/jsonpatch/v2"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Fixer proposes the fixes of controls for objects. It must not be used by two
// goroutines at once.
type Fixer struct {
	parameters check.Parameters
	mutations  map[string]*Mutation
}

// NewFixer returns a fixer that uses the values of parameters by control.
func NewFixer(parameters check.Parameters) *Fixer {
	return &Fixer{parameters: parameters, mutations: map[string]*Mutation{}}
}

// Fix is what the control's mutation would change in the object; for a control
// without one it is the note that says what a person has to decide.
func (f *Fixer) Fix(ctx context.Context, c *check.Control, o *model.Object) (*finding.Fix, error) {
	fix := &finding.Fix{Safety: c.FixSafety, Note: c.FixNote}
	if c.Object == nil || c.Object.Mutation == "" {
		return fix, nil
	}
	changed, err := f.apply(ctx, c, o)
	if err != nil || changed == nil {
		return nil, err
	}
	before, err := json.Marshal(withoutNulls(o.Content))
	if err != nil {
		return nil, fmt.Errorf("fix of %s on %s: %w", c.Name, o.Ref(), err)
	}
	after, err := json.Marshal(changed)
	if err != nil {
		return nil, fmt.Errorf("fix of %s on %s: %w", c.Name, o.Ref(), err)
	}
	operations, err := jsonpatch.CreatePatch(before, after)
	if err != nil {
		return nil, fmt.Errorf("fix of %s on %s: %w", c.Name, o.Ref(), err)
	}
	if len(operations) == 0 {
		return nil, nil
	}
	for _, op := range operations {
		fix.Edits = append(fix.Edits, finding.Edit{Op: op.Operation, Path: op.Path, Value: op.Value})
	}
	fix.Diff, err = diff(before, after)
	return fix, err
}

func (f *Fixer) apply(ctx context.Context, c *check.Control, o *model.Object) (map[string]any, error) {
	m := f.mutations[c.Name]
	if m == nil {
		var err error
		if m, err = CompileMutation(c, f.parameters[c.Name]); err != nil {
			return nil, err
		}
		f.mutations[c.Name] = m
	}
	if !m.Concerns(o) {
		return nil, nil
	}
	return m.Apply(ctx, o)
}

// diff shows two JSON documents as a unified diff of YAML.
func diff(before, after []byte) (string, error) {
	a, err := yaml.JSONToYAML(before)
	if err != nil {
		return "", err
	}
	b, err := yaml.JSONToYAML(after)
	if err != nil {
		return "", err
	}
	return difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: difflib.SplitLines(string(a)), B: difflib.SplitLines(string(b)),
		FromFile: "before", ToFile: "after", Context: 3})
}
