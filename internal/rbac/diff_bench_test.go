package rbac

import (
	"testing"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// changedWorld is accessWorld with one role in ten grown by a rule, and one in ten
// without its first.
func changedWorld() *model.World {
	w := accessWorld()
	for i, o := range w.Kind(clusterRoleKind) {
		rules := o.List("rules")
		switch i % 10 {
		case 0:
			rules = append(rules, map[string]any{"apiGroups": []any{"batch"}, "resources": []any{"jobs", "secrets"}, "verbs": []any{"*"}})
		case 1:
			rules = rules[1:]
		}
		o.Content["rules"] = rules
	}
	return model.NewWorld(w.Objects, model.WorldOptions{Live: true})
}

// BenchmarkDiff measures the comparison of two clusters of 10,000 bindings, 2,000 roles
// and 5,000 subjects once both are indexed: as they are the same, and where a fifth of
// the roles changes.
func BenchmarkDiff(b *testing.B) {
	before := AccessOf(accessWorld())
	for name, after := range map[string]*Access{"same": AccessOf(accessWorld()), "changed": AccessOf(changedWorld())} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(float64(len(Diff(before, after))), "subjects")
			}
		})
	}
}

// BenchmarkLints measures all lints on a cluster of 10,000 bindings and 2,000 roles,
// its index included.
func BenchmarkLints(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := accessWorld()
		b.StartTimer()
		for _, c := range lints {
			c.World(&check.Input{World: w, Version: 37})
		}
	}
}

// BenchmarkDiffEscalations measures who can become whom before and after the change,
// once both are computed.
func BenchmarkDiffEscalations(b *testing.B) {
	before, after := AccessOf(accessWorld()), AccessOf(changedWorld())
	changes := Diff(before, after)
	could, err := before.Escalations(37)
	if err != nil {
		b.Fatal(err)
	}
	can, err := after.Escalations(37)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d := DiffEscalations(could, can, changes)
		b.ReportMetric(float64(len(d.Gained)), "gained")
		b.ReportMetric(float64(len(d.Becomes)), "becomes")
	}
}
