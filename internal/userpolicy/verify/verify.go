// Package verify runs the tests that policies bring along: the examples of control files,
// and Gatekeeper's suites.
package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/userpolicy"
	"bulkhead.dev/bulkhead/internal/userpolicy/gatekeeper"
)

// Outcome is what became of a test.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result is one test.
type Result struct {
	// Location is the file and line of the control or the suite.
	Location finding.Location `json:"location"`
	// Test names the control and its example, or the test and case of a suite.
	Test    string  `json:"test"`
	Outcome Outcome `json:"outcome"`
	// Message says what went wrong.
	Message string `json:"message,omitempty"`
}

// Options say how tests read what they name.
type Options struct {
	// Minor is the minor version of Kubernetes 1 to judge for.
	Minor int
	// Decode reads manifests; an error names what is wrong in them.
	Decode func(file string, text []byte) ([]*model.Object, error)
	// Read reads the manifests of a file.
	Read func(path string) ([]*model.Object, error)
}

// Run runs the tests that are among the objects, in their order. The error is that of the
// context.
func Run(ctx context.Context, objects []*model.Object, o Options) ([]Result, error) {
	r := &runner{Options: o}
	for _, object := range objects {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.at = finding.Location{}
		if l := object.Locate(nil); l != nil {
			r.at = *l
		}
		switch object.GroupKind {
		case userpolicy.ControlKind:
			r.control(ctx, object)
		case gatekeeper.SuiteKind:
			r.suite(ctx, object)
		}
	}
	return r.results, ctx.Err()
}

type runner struct {
	Options
	at      finding.Location
	results []Result
}

func (r *runner) add(test string, outcome Outcome, message string) {
	r.results = append(r.results, Result{Location: r.at, Test: test, Outcome: outcome, Message: message})
}

// done adds a test that has passed where nothing is wrong.
func (r *runner) done(test string, err error) {
	if err != nil {
		r.add(test, Failed, err.Error())
		return
	}
	r.add(test, Passed, "")
}

// control tries a control on its examples.
func (r *runner) control(ctx context.Context, object *model.Object) {
	name := "control " + object.Name
	text, err := json.Marshal(object.Content)
	if err != nil {
		r.done(name, err)
		return
	}
	c, err := admission.ParseControl(text, nil)
	if err != nil {
		r.done(name, err)
		return
	}
	for i, example := range c.Examples.Bad {
		r.done(fmt.Sprintf("%s, bad example %d", name, i+1), r.bad(ctx, c, example))
	}
	for i, example := range c.Examples.Good {
		r.done(fmt.Sprintf("%s, good example %d", name, i+1), r.good(ctx, c, example))
	}
}

// bad looks that a control points at the lines that end in "# want", and at no other, and
// that its fix mends them.
func (r *runner) bad(ctx context.Context, c *check.Control, example string) error {
	var want, got []int
	for i, line := range strings.Split(example, "\n") {
		if strings.HasSuffix(strings.TrimRight(line, " \t\r"), "# want") {
			want = append(want, i+1)
		}
	}
	if len(want) == 0 {
		return fmt.Errorf("no line ends in # want, where a finding is to point")
	}
	w, out, err := r.judge(ctx, c, example)
	if err != nil {
		return err
	}
	var found []string
	for _, f := range out.Findings {
		got = append(got, f.Location.Line)
		found = append(found, fmt.Sprintf("line %d: %s: %s", f.Location.Line, f.Verdict, f.Message))
		if f.Verdict != finding.Fail {
			return fmt.Errorf("line %d: %s: %s", f.Location.Line, f.Verdict, f.Message)
		}
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		slices.Sort(found)
		return fmt.Errorf("findings at lines %v, and they were wanted at %v; %s", got, want, strings.Join(found, "; "))
	}
	return r.mended(ctx, c, w)
}

// mended looks that a control passes what its fix makes.
func (r *runner) mended(ctx context.Context, c *check.Control, w *model.World) error {
	if c.FixPolicy() == nil {
		return nil
	}
	m, err := admission.CompileMutation(c, check.Defaults([]*check.Control{c})[c.Name])
	if err != nil {
		return err
	}
	var fixed []*model.Object
	for _, o := range w.Objects {
		if m.Concerns(o) {
			content, err := m.Apply(ctx, o)
			if err != nil {
				return err
			}
			o, _ = model.NewObject(content, nil, model.Source{})
		}
		fixed = append(fixed, o)
	}
	out, err := r.run(ctx, c, model.NewWorld(fixed, model.WorldOptions{}))
	if err != nil {
		return err
	}
	for _, f := range out.Findings {
		return fmt.Errorf("after the fix: %s: %s", f.Object, f.Message)
	}
	return nil
}

func (r *runner) good(ctx context.Context, c *check.Control, example string) error {
	_, out, err := r.judge(ctx, c, example)
	if err != nil {
		return err
	}
	for _, f := range out.Findings {
		return fmt.Errorf("line %d: %s: %s", f.Location.Line, f.Verdict, f.Message)
	}
	if n := out.Counts[c.Name]; n.Pass+n.NotApplicable == 0 {
		return fmt.Errorf("the control judged nothing in it")
	}
	return nil
}

func (r *runner) judge(ctx context.Context, c *check.Control, example string) (*model.World, *check.Outcome, error) {
	objects, err := r.Decode("example", []byte(example))
	if err != nil {
		return nil, nil, err
	}
	w := model.NewWorld(objects, model.WorldOptions{})
	out, err := r.run(ctx, c, w)
	return w, out, err
}

func (r *runner) run(ctx context.Context, c *check.Control, w *model.World) (*check.Outcome, error) {
	out, err := check.Run(ctx, &model.Snapshot{Worlds: []*model.World{w}}, check.Options{Controls: []*check.Control{c}, Version: r.Minor,
		Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
			return admission.Compile(cs, p, v)
		}})
	if err != nil {
		return nil, err
	}
	for _, u := range out.Unmet {
		return nil, fmt.Errorf("%s: %s", u.What, u.Reason)
	}
	return out, nil
}

// suite runs a suite of Gatekeeper's.
func (r *runner) suite(ctx context.Context, object *model.Object) {
	name := "suite " + r.at.File
	s, err := gatekeeper.ParseSuite(object)
	switch {
	case err != nil:
		r.done(name, err)
		return
	case s.Skip:
		r.add(name, Skipped, "")
		return
	}
	files := func(path string) ([]*model.Object, error) {
		if filepath.IsAbs(path) {
			return nil, fmt.Errorf("%s: a suite names files relative to its own", path)
		}
		return r.Read(filepath.Join(filepath.Dir(r.at.File), path))
	}
	for i := range s.Tests {
		r.suiteTest(ctx, &s.Tests[i], files)
	}
}

func (r *runner) suiteTest(ctx context.Context, t *gatekeeper.SuiteTest, files gatekeeper.Files) {
	if t.Skip {
		r.add(t.Name, Skipped, "")
		return
	}
	run, err := t.Prepare(ctx, files, r.Minor)
	if err != nil || t.Invalid || len(t.Cases) == 0 {
		r.done(t.Name, err)
		return
	}
	for i := range t.Cases {
		c := &t.Cases[i]
		name := t.Name + ", " + c.Name
		if c.Skip {
			r.add(name, Skipped, "")
			continue
		}
		r.done(name, run.Run(ctx, c))
	}
}
