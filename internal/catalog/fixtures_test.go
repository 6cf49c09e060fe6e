package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestExamples runs every control on its own examples: in a bad one it points at
// the lines that end in "# want" and at no other, in a good one at none, and its
// fix turns each bad one into one that passes.
func TestExamples(t *testing.T) {
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range controls {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			for i, text := range c.Examples.Bad {
				judgeBad(t, c, fmt.Sprintf("bad %d", i+1), text)
			}
			for i, text := range c.Examples.Good {
				out, _ := judge(t, c, text)
				for _, f := range out.Findings {
					t.Errorf("good %d, line %d: %s %s: %s", i+1, f.Location.Line, f.Verdict, f.Path, f.Message)
				}
				if n := out.Counts[c.Name]; n.Pass+n.NotApplicable == 0 {
					t.Errorf("good %d: the control judged nothing", i+1)
				}
			}
		})
	}
}

func judgeBad(t *testing.T, c *check.Control, name, text string) {
	var want, got []int
	for i, line := range strings.Split(text, "\n") {
		if strings.HasSuffix(line, "# want") {
			want = append(want, i+1)
		}
	}
	if len(want) == 0 {
		t.Errorf("%s: no line ends in # want", name)
	}
	out, world := judge(t, c, text)
	for _, f := range out.Findings {
		if f.Verdict != finding.Fail || f.Message == "" || f.Fingerprint == "" {
			t.Errorf("%s: got %+v", name, f.Finding)
		}
		got = append(got, f.Location.Line)
	}
	slices.Sort(got)
	if !slices.Equal(slices.Compact(got), want) {
		for _, f := range out.Findings {
			t.Logf("line %d: %s: %s", f.Location.Line, f.Path, f.Message)
		}
		t.Errorf("%s: findings at lines %v, want %v", name, got, want)
	}
	if c.Object != nil && c.Object.Mutation != "" {
		checkFix(t, c, name, world)
	}
}

// checkFix applies the control's mutation to every object of a bad example.
func checkFix(t *testing.T, c *check.Control, name string, w *model.World) {
	m, err := admission.CompileMutation(c, check.Defaults([]*check.Control{c})[c.Name])
	if err != nil {
		t.Fatal(err)
	}
	var fixed []*model.Object
	for _, o := range w.Objects {
		if !m.Concerns(o) {
			fixed = append(fixed, o)
			continue
		}
		changed, err := m.Apply(t.Context(), o)
		if err != nil {
			t.Errorf("%s: fixing %s: %v", name, o.Ref(), err)
			return
		}
		n, _ := model.NewObject(changed, nil, model.Source{})
		fixed = append(fixed, n)
	}
	out := run(t, c, model.NewWorld(fixed, model.WorldOptions{}))
	for _, f := range out.Findings {
		t.Errorf("%s: after the fix: %s: %s: %s", name, f.Object, f.Path, f.Message)
	}
}

func judge(t *testing.T, c *check.Control, text string) (*check.Outcome, *model.World) {
	t.Helper()
	file := manifest.NewDecoder().Decode(model.Source{File: "example.yaml"}, []byte(text))
	for _, p := range file.Problems {
		t.Fatalf("line %d: %s", p.Location.Line, p.Message)
	}
	w := model.NewWorld(file.Objects, model.WorldOptions{})
	return run(t, c, w), w
}

func run(t *testing.T, c *check.Control, w *model.World) *check.Outcome {
	t.Helper()
	out, err := check.Run(context.Background(), &model.Snapshot{Worlds: []*model.World{w}}, check.Options{
		Controls: []*check.Control{c}, Version: 37,
		Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
			return admission.Compile(cs, p, v)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range out.Unmet {
		t.Errorf("unmet: %s: %s", u.What, u.Reason)
	}
	return out
}
