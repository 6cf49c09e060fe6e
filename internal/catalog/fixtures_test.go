package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestExamples runs every control on its own examples: in a bad one it points at
// the lines that end in "# want" and at no other, in a good one at none. Its fix
// turns each bad one into one that passes, and leaves the good ones as they are.
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
				out, world := judge(t, c, text)
				for _, f := range out.Findings {
					t.Errorf("good %d, line %d: %s %s: %s", i+1, f.Location.Line, f.Verdict, f.Path, f.Message)
				}
				if n := out.Counts[c.Name]; n.Pass+n.NotApplicable == 0 {
					t.Errorf("good %d: the control judged nothing", i+1)
				}
				if c.FixPolicy() != nil && !passByOthers[c.Name] {
					checkLeft(t, c, fmt.Sprintf("good %d", i+1), world)
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
	if c.FixPolicy() != nil {
		checkFix(t, c, name, world, out)
	}
}

// passByOthers are controls whose good examples have objects that pass for what
// other objects say, so that the fix, which does not see those, would change them.
var passByOthers = map[string]bool{
	"distinguishable-workloads": true, // no other workload has the same labels
	"no-token-automount":        true, // the ServiceAccount mounts no token
}

// checkLeft looks that a fix changes nothing in objects that pass.
func checkLeft(t *testing.T, c *check.Control, name string, w *model.World) {
	m := mutation(t, c)
	for _, o := range w.Objects {
		if !m.Concerns(o) {
			continue
		}
		changed, err := m.Apply(t.Context(), o)
		if err != nil {
			t.Errorf("%s: fixing %s: %v", name, o.Ref(), err)
		} else if diff := cmp.Diff(o.Content, changed); diff != "" {
			t.Errorf("%s: the fix changes %s, which passes (-before +after):\n%s", name, o.Ref(), diff)
		}
	}
}

func mutation(t *testing.T, c *check.Control) *admission.Mutation {
	t.Helper()
	m, err := admission.CompileMutation(c, check.Defaults([]*check.Control{c})[c.Name])
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checkFix applies the control's mutation to the objects of a bad example that have
// a finding; where it judges single objects to all of them, as the API server does.
func checkFix(t *testing.T, c *check.Control, name string, w *model.World, found *check.Outcome) {
	m := mutation(t, c)
	var fixed []*model.Object
	for _, o := range w.Objects {
		bad := slices.ContainsFunc(found.Findings, func(f *check.Judged) bool { return f.Of == o })
		if !m.Concerns(o) || !bad && c.World != nil {
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
	after := model.NewWorld(fixed, model.WorldOptions{})
	out := run(t, c, after)
	for _, f := range out.Findings {
		t.Errorf("%s: after the fix: %s: %s: %s", name, f.Object, f.Path, f.Message)
	}
	if !passByOthers[c.Name] {
		checkLeft(t, c, name+" after the fix", after)
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
