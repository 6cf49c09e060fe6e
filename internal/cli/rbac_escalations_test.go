package cli

import (
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// TestNotShortest: a chain that may not be a shortest says so, to people and to machines.
func TestNotShortest(t *testing.T) {
	boss := rbac.Subject{Kind: "User", Name: "boss"}
	step := rbac.Step{Primitive: &rbac.Primitive{Name: "impersonate"}, To: rbac.Party{Subject: &boss}}
	a := rbac.AccessOf(model.NewWorld(nil, model.WorldOptions{}))
	for _, c := range []struct {
		steps, atLeast int
		want           string
		told           int
	}{
		{0, 0, "is cluster admin", 0},
		{1, 1, "1 step", 0},
		{3, 3, "3 steps", 0},
		{3, 2, "3 steps; there may be a shorter way, of 2 or more", 2},
	} {
		e := rbac.Escalation{From: rbac.Subject{Kind: "User", Name: "jane"}, AtLeast: c.atLeast}
		for range c.steps {
			e.Steps = append(e.Steps, step)
		}
		if got := stepCount(e); got != c.want {
			t.Errorf("%d steps, at least %d: %s", c.steps, c.atLeast, got)
		}
		if got := newEscalationsJSON(a, []rbac.Escalation{e}, nil, false).Escalations[0]; got.Shortest != (c.told == 0) || got.AtLeast != c.told {
			t.Errorf("%d steps, at least %d: shortest %v, at least %d", c.steps, c.atLeast, got.Shortest, got.AtLeast)
		}
	}
}
