package reach

import "testing"

// Groups have every workload once, and each is wholly in a set of a change or not at all.
func TestGroups(t *testing.T) {
	joined := 0
	for seed := range uint64(80) {
		before, after, _ := changed(seed, Upstream)
		d := Compare(New(before), New(after))
		var changes []Change
		for _, part := range []Part{Gained, Lost, Kept} {
			changes = append(changes, d.Changes(part)...)
		}
		groups := d.Groups(changes)
		seen := map[string]int{}
		for _, g := range groups.Workloads {
			namespace := ""
			for w := range g.Workloads() {
				seen[w.String()]++
				if namespace != "" && namespace != w.Namespace {
					t.Errorf("seed %d: a group is of %s and of %s", seed, namespace, w.Namespace)
				}
				namespace = w.Namespace
			}
			if g.Len() > 1 {
				joined++
			}
		}
		for _, w := range append(d.After.Workloads(), d.Before.Workloads()...) {
			if seen[w.String()] != 1 {
				t.Errorf("seed %d: %s is in %d groups", seed, w, seen[w.String()])
			}
		}
		for _, c := range changes {
			for _, s := range []Set{c.From, c.To} {
				for _, g := range groups.Workloads {
					in, rest := g.divide(s.numbers)
					if !in.Empty() && !rest.Empty() || s.Has(g) != rest.Empty() {
						t.Errorf("seed %d: a group is partly in a set", seed)
					}
				}
			}
		}
	}
	if joined == 0 {
		t.Error("no workloads were alike")
	}
}
