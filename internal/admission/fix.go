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

// Fix is what the control's mutation would change in an object that has a finding.
// For a control without one, and for an object that it leaves as it is, it is the
// note that says what a person has to decide.
func (f *Fixer) Fix(ctx context.Context, c *check.Control, o *model.Object) (*finding.Fix, error) {
	manual := &finding.Fix{Safety: finding.FixManual, Note: c.FixNote}
	if c.FixPolicy() == nil {
		return manual, nil
	}
	m, err := f.mutation(c)
	if err != nil {
		return nil, err
	}
	if !m.Concerns(o) {
		return manual, nil
	}
	changed, err := m.Apply(ctx, o)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		manual.Note = "Make the change by hand: it could not be worked out, because a field has the wrong type or the object is too large."
		return manual, nil
	}
	before, err := json.Marshal(model.WithoutNulls(o.Content))
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
		return manual, nil
	}
	fix := &finding.Fix{Safety: c.FixSafety, Note: c.FixNote}
	for _, op := range operations {
		fix.Edits = append(fix.Edits, finding.Edit{Op: op.Operation, Path: op.Path, Value: op.Value})
	}
	fix.Diff, err = diff(before, after)
	return fix, err
}

// Mutate is the content that an object has after the fix of a control; nil where
// that has none, or it is not meant for the object.
func (f *Fixer) Mutate(ctx context.Context, c *check.Control, o *model.Object) (map[string]any, error) {
	if c.FixPolicy() == nil {
		return nil, nil
	}
	m, err := f.mutation(c)
	if err != nil || !m.Concerns(o) {
		return nil, err
	}
	return m.Apply(ctx, o)
}

func (f *Fixer) mutation(c *check.Control) (*Mutation, error) {
	if m := f.mutations[c.Name]; m != nil {
		return m, nil
	}
	m, err := CompileMutation(c, f.parameters[c.Name])
	if err == nil {
		f.mutations[c.Name] = m
	}
	return m, err
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
