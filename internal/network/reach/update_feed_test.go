package reach

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// TestFeed sends random events of objects, and compares what they make of a cluster, and of
// its engine, with what is read from all objects anew.
func TestFeed(t *testing.T) {
	steps, kept := 0, 0
	for seed := range uint64(40) {
		d := deal(seed, Profiles[seed%uint64(len(Profiles))])
		r := rand.New(rand.NewPCG(seed, 12))
		seen := map[model.ID]bool{}
		all := slices.DeleteFunc(slices.Clone(d.objects), func(o *model.Object) bool {
			known := seen[o.ID()]
			seen[o.ID()] = true
			return known
		})
		read := func() *model.World { return model.NewWorld(slices.Clone(all), model.WorldOptions{Live: true}) }
		f := NewFeed(read(), d.w.profile)
		e := New(f.Cluster())
		for step := range 12 {
			other := deal(seed*100+uint64(step), d.w.profile)
			var came []*model.Object
			var gone []model.ID
			for range 1 + r.IntN(3) {
				if o := other.objects[r.IntN(len(other.objects))]; r.IntN(2) == 0 && indexOf(came, o.ID()) < 0 {
					came = append(came, o)
				} else if i := r.IntN(len(all)); len(all) > 1 {
					gone = append(gone, all[i].ID())
				}
			}
			gone = slices.DeleteFunc(gone, func(id model.ID) bool { return indexOf(came, id) >= 0 })
			before := f.Cluster()
			for _, o := range came {
				if i := indexOf(all, o.ID()); i >= 0 {
					all[i] = o
				} else {
					all = append(all, o)
				}
			}
			all = slices.DeleteFunc(all, func(o *model.Object) bool { return slices.Contains(gone, o.ID()) })
			got, want := f.Apply(came, gone), NewCluster(read(), d.w.profile)
			if text, wanted := described(got), described(want); text != wanted {
				t.Fatalf("seed %d, step %d, %v came, %v went:\n%s\nnot\n%s", seed, step, came, gone, text, wanted)
			}
			if slices.ContainsFunc(got.Pods, func(p *Pod) bool { return slices.Contains(before.Pods, p) }) {
				kept++
			}
			if e = e.Update(got); !sameEngine(t, e, New(got)) {
				t.Fatalf("seed %d, step %d", seed, step)
			}
			steps++
		}
	}
	t.Logf("%d steps", steps)
	if kept < steps/2 {
		t.Errorf("only after %d of %d steps some pod was what it had been", kept, steps)
	}
}

// described is all that a cluster is made of.
func described(c *Cluster) string {
	out := ""
	for _, p := range c.Pods {
		out += fmt.Sprintln(p.Object.Ref(), p, p.Labels, p.HostNetwork, p.Addresses, p.Node, p.Named, p.Ambiguous)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Namespaces)) {
		out += fmt.Sprintln(*c.Namespaces[name])
	}
	out += fmt.Sprintln(len(c.Nodes))
	for _, p := range c.Policies {
		out += fmt.Sprintln(p.Object.Ref(), p.Isolates, p.Subject)
	}
	for _, tier := range [][]*TierPolicy{c.Admin, c.Baseline} {
		for _, p := range tier {
			out += fmt.Sprintln(p, p.Priority)
		}
	}
	for _, p := range c.Problems {
		out += fmt.Sprintln(p.Object, p.Reason)
	}
	for _, o := range c.Unknown {
		out += fmt.Sprintln(o.Ref())
	}
	return out
}
