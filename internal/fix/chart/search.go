package chart

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"bulkhead.dev/bulkhead/internal/model"
)

// search finds candidates for every field: by their names first, and for those
// that have none then, by where each value ends up in the rendering.
func (p *Planner) search(ctx context.Context, g *goal) error {
	absent := p.referenced(g)
	values := append(nodes(p.chart.Effective), absent...)
	on := switches(values)
	byName := map[*field][]candidate{}
	for _, f := range g.open() {
		byName[f] = named(values, on, f)
	}
	p.most = min(maxRenderings, p.rendered+maxRenderings/2)
	for _, few := range []int{fewNamed, maxNamed} {
		var candidates []candidate
		for _, f := range g.wide() {
			candidates = append(candidates, byName[f][:min(few, len(byName[f]))]...)
		}
		if err := p.try(ctx, g, candidates); err != nil {
			return err
		}
	}
	p.most = maxRenderings
	missing := g.wide()
	if len(missing) == 0 {
		return nil
	}
	if err := p.probe(ctx, values); err != nil {
		return err
	}
	var candidates []candidate
	for _, f := range missing {
		candidates = append(candidates, p.reaching(f)...)
	}
	if err := p.try(ctx, g, candidates); err != nil {
		return err
	}
	// A switch that brings the field, but with another content, needs a second
	// value.
	candidates = nil
	for _, f := range g.without() {
		candidates = append(candidates, p.switched(values, on, f)...)
	}
	if err := p.try(ctx, g, candidates); err != nil {
		return err
	}
	// A value that is not there may be read as just what is wanted.
	candidates = nil
	for _, f := range g.without() {
		for _, n := range absent[:min(len(absent), maxNamed)] {
			if f.want != nil {
				candidates = append(candidates, candidate{[]assignment{{n.path, f.want}}, nearness(n.path, f), f})
			}
		}
	}
	if err := p.try(ctx, g, candidates); err != nil {
		return err
	}
	return p.tryAbsent(ctx, g, values)
}

// without are the open fields that no accepted candidate makes right.
func (g *goal) without() []*field {
	return slices.DeleteFunc(g.open(), func(f *field) bool { return len(g.accepted[f]) > 0 })
}

// wide are the open fields that no accepted candidate makes right without
// setting the same field elsewhere, where it is not wanted.
func (g *goal) wide() []*field {
	return slices.DeleteFunc(g.open(), func(f *field) bool { return len(g.accepted[f]) > 0 && len(g.accepted[f][0].also) == 0 })
}

// batch is how many renderings are asked for at once: where one of them breaks a
// limit, what is behind it is rendered by another process.
const batch = 100

// Charts that render slowly, or have values that make them do so, are asked for
// fewer renderings at once, so that the bound on time is kept.
const (
	slowRendering = 200 * time.Millisecond
	slowBatch     = 10
)

// next is how many of n renderings to ask for.
func (p *Planner) next(n int) int {
	if p.rendered > 0 && p.spent/time.Duration(p.rendered) > slowRendering {
		n = min(n, slowBatch)
	}
	return min(n, batch, p.most-p.rendered)
}

// renderings returns a rendering for each override, out of what is known or new.
// Those that the bounds leave no time for are missing: nil.
func (p *Planner) renderings(ctx context.Context, overrides []map[string]any) ([]*Rendering, error) {
	out := make([]*Rendering, len(overrides))
	var names []string
	var todo []map[string]any
	wanted := map[string][]int{}
	for i, o := range overrides {
		raw, err := json.Marshal(o)
		if err != nil {
			return nil, err
		}
		name := string(raw)
		if r, ok := p.seen[name]; ok {
			out[i] = &r
			continue
		}
		if wanted[name] == nil {
			names, todo = append(names, name), append(todo, o)
		}
		wanted[name] = append(wanted[name], i)
	}
	for len(todo) > 0 && p.rendered < p.most && p.spent < maxTime {
		n := p.next(len(todo))
		rendered, err := p.render(ctx, nil, todo[:n])
		if err != nil {
			return nil, err
		}
		for i, r := range rendered {
			p.seen[names[i]] = r
			for _, j := range wanted[names[i]] {
				out[j] = &r
			}
		}
		names, todo = names[n:], todo[n:]
	}
	p.cutShort = p.cutShort || len(todo) > 0
	return out, nil
}

// try renders candidates and notes those that are right.
func (p *Planner) try(ctx context.Context, g *goal, candidates []candidate) error {
	overrides := make([]map[string]any, len(candidates))
	for i, c := range candidates {
		overrides[i] = override(p.chart.Effective, c.assignments)
	}
	out, err := p.renderings(ctx, overrides)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for i, r := range out {
		name := describe(candidates[i].assignments)
		if r == nil || known[name] {
			continue
		}
		known[name] = true
		t := g.judge(p.base, *r)
		t.assignments, t.score = candidates[i].assignments, candidates[i].score
		g.accept(t)
		if f := candidates[i].field; t.err != nil && f.hint == "" {
			f.hint = fmt.Sprintf(" (with %s the chart cannot be rendered: %v)", t.assignments[len(t.assignments)-1], t.err)
		}
	}
	for _, trials := range g.accepted {
		slices.SortStableFunc(trials, compareTrials)
	}
	return nil
}

// accept notes a trial for the fields that it makes right, or why it is not
// taken.
func (g *goal) accept(t *trial) {
	for f := range t.holds {
		if f.done {
			continue
		}
		if t.ok() {
			g.accepted[f] = append(g.accepted[f], t)
		} else if f.why == "" {
			c := t.foreign[0]
			f.why = "the value " + t.assignments[len(t.assignments)-1].path.String() + " reaches it, but changes " + c.String() + " as well"
		}
	}
}

// String names a change's place.
func (c change) String() string {
	switch {
	case len(c.path) > 0:
		return c.key.String() + " " + c.path.String()
	case c.after == nil:
		return c.key.String() + " (removed)"
	}
	return c.key.String() + " (added)"
}

func describe(assignments []assignment) string {
	s := ""
	for _, a := range assignments {
		raw, _ := json.Marshal(a.value)
		s += a.path.Pointer() + "=" + string(raw) + "\n"
	}
	return s
}

// compareTrials puts the narrowest first, then the plainest, then what drives
// most of the wanted fields, then what is named best.
func compareTrials(a, b *trial) int {
	return cmp.Or(cmp.Compare(len(a.also), len(b.also)), cmp.Compare(a.weight(), b.weight()),
		cmp.Compare(len(b.holds), len(a.holds)), cmp.Compare(b.score, a.score),
		cmp.Compare(describe(a.assignments), describe(b.assignments)))
}

// weight is how much the assignments write.
func (t *trial) weight() int {
	n := 0
	for _, a := range t.assignments {
		n += model.Count(a.value)
	}
	return n
}
