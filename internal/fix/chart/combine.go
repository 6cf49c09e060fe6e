package chart

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// combine chooses one candidate for each field and keeps those that hold
// together. Fields that they make right are done.
func (p *Planner) combine(ctx context.Context, g *goal) ([]*trial, error) {
	chosen := g.choose()
	var rendered *trial
	for len(chosen) > 0 {
		bad, last, err := p.firstBad(ctx, g, chosen)
		if err != nil {
			return nil, err
		}
		if bad < 0 {
			rendered = last
			break
		}
		g.giveUp(chosen[bad], last)
		chosen = slices.Delete(chosen, bad, bad+1)
	}
	if rendered == nil {
		return nil, nil
	}
	chosen, err := p.reduce(ctx, g, chosen, rendered)
	if err != nil {
		return nil, err
	}
	return chosen, nil
}

// choose takes the best candidate for each field that no candidate before makes
// right already.
func (g *goal) choose() []*trial {
	var all []*trial
	for _, trials := range g.accepted {
		all = append(all, trials...)
	}
	slices.SortStableFunc(all, compareTrials)
	covered := map[*field]bool{}
	var chosen []*trial
	for _, t := range slices.CompactFunc(all, func(a, b *trial) bool { return a == b }) {
		brings := false
		for f := range t.holds {
			// What is better for one of its fields comes first.
			brings = brings || !f.done && !covered[f] && g.accepted[f][0] == t
		}
		if brings {
			chosen = append(chosen, t)
			maps.Copy(covered, t.holds)
		}
	}
	return chosen
}

// firstBad renders the trials together, each with all before it, and returns
// the first that breaks the rendering, changes something else or takes back what
// was right; -1 where there is none. It returns the last rendering, too.
func (p *Planner) firstBad(ctx context.Context, g *goal, chosen []*trial) (int, *trial, error) {
	judge := func(n ...int) ([]*trial, error) {
		var overrides []map[string]any
		for _, n := range n {
			overrides = append(overrides, override(p.chart.Effective, flat(chosen[:n])))
		}
		out, err := p.render(ctx, nil, overrides)
		if err != nil {
			return nil, err
		}
		var trials []*trial
		for _, r := range out {
			trials = append(trials, g.judge(p.base, r))
		}
		return trials, nil
	}
	bad := func(t *trial, n int) bool {
		if t.err != nil || len(t.foreign) > 0 {
			return true
		}
		for _, c := range chosen[:n] {
			for f := range c.holds {
				if !t.holds[f] {
					return true
				}
			}
		}
		return false
	}
	all, err := judge(len(chosen))
	if err != nil || !bad(all[0], len(chosen)) {
		return -1, all[0], err
	}
	// Bad ones are rare: the first is found by halves.
	from, to, last := 0, len(chosen), all[0]
	for to-from > 1 {
		middle := (from + to) / 2
		t, err := judge(middle)
		if err != nil {
			return 0, nil, err
		}
		if bad(t[0], middle) {
			to, last = middle, t[0]
		} else {
			from = middle
		}
	}
	return to - 1, last, nil
}

func flat(trials []*trial) []assignment {
	var out []assignment
	for _, t := range trials {
		for _, a := range t.assignments {
			if !slices.ContainsFunc(out, func(b assignment) bool { return describe([]assignment{a}) == describe([]assignment{b}) }) {
				out = append(out, a)
			}
		}
	}
	return out
}

// giveUp says of the fields of a trial why they are not made.
func (g *goal) giveUp(t, last *trial) {
	reason := "the value " + names(t.assignments) + " reaches it, but not together with the others that are needed"
	switch {
	case last.err != nil:
		reason += ": " + last.err.Error()
	case len(last.foreign) > 0:
		reason += ": " + last.foreign[0].String() + " changes as well"
	}
	for f := range t.holds {
		f.why = reason
	}
}

func names(assignments []assignment) string {
	var out []string
	for _, a := range assignments {
		out = append(out, a.path.String())
	}
	return printable(strings.Join(out, " and "))
}

// reduce leaves out what is not needed: a value whose fields another one, chosen
// for other fields, drives as well. whole is the rendering of all.
func (p *Planner) reduce(ctx context.Context, g *goal, chosen []*trial, whole *trial) ([]*trial, error) {
	if len(chosen) > 1 {
		var overrides []map[string]any
		for i := range chosen {
			overrides = append(overrides, override(p.chart.Effective, flat(slices.Concat(chosen[:i], chosen[i+1:]))))
		}
		out, err := p.render(ctx, nil, overrides)
		if err != nil {
			return nil, err
		}
		var needless []*trial
		for i, r := range out {
			if t := g.judge(p.base, r); t.err == nil && len(t.foreign) == 0 && len(t.holds) == len(whole.holds) {
				needless = append(needless, chosen[i])
			}
		}
		// Two that are needless alone may be needed together: all but the first of
		// them are kept where leaving all out does not do.
		for ; len(needless) > 0; needless = needless[:len(needless)/2] {
			fewer := slices.DeleteFunc(slices.Clone(chosen), func(t *trial) bool { return slices.Contains(needless, t) })
			out, err := p.render(ctx, nil, []map[string]any{override(p.chart.Effective, flat(fewer))})
			if err != nil {
				return nil, err
			}
			if t := g.judge(p.base, out[0]); t.err == nil && len(t.foreign) == 0 && len(t.holds) == len(whole.holds) {
				chosen = fewer
				break
			}
		}
	}
	return chosen, nil
}
