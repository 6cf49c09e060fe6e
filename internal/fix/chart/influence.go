package chart

import (
	"context"
	"slices"

	"bulkhead.dev/bulkhead/internal/model"
)

// site is what one value does when it is changed: the places in the rendering
// that it reaches.
type site struct {
	node
	// open says that keys which are added to the map are rendered, at the changes'
	// paths.
	open    bool
	changes []change
	// opposite is what a boolean was set to.
	opposite any
}

// probeKey is a key that no chart knows, and probeText a text that none has.
const (
	probeKey  = "bulkheadProbe"
	probeText = "bulkhead-probe"
)

// probe changes every value once, to see where it ends up.
func (p *Planner) probe(ctx context.Context, values []node) error {
	if p.probed {
		return nil
	}
	p.probed = true
	var overrides []map[string]any
	for _, n := range values {
		s := site{node: n}
		a := assignment{path: n.path}
		switch v := n.value.(type) {
		case map[string]any:
			s.open, a.path, a.value = true, n.path.Keys(probeKey), probeText
		case nil:
			s.open, a.path, a.value = true, n.path.Keys(probeKey), probeText
		case bool:
			s.opposite, a.value = !v, !v
		case string:
			a.value = probeText
		case int64:
			a.value = v + 1
		case float64:
			a.value = v + 1
		default: // lists of scalars are set whole or not at all
			continue
		}
		p.sites = append(p.sites, s)
		overrides = append(overrides, override(p.chart.Effective, []assignment{a}))
	}
	out, err := p.renderings(ctx, overrides)
	if err != nil {
		return err
	}
	for i, r := range out {
		if r == nil || r.Err != nil {
			continue
		}
		for _, c := range differences(p.base, index(r.Objects)) {
			if len(c.path) > 0 {
				p.sites[i].changes = append(p.sites[i].changes, c)
			}
		}
	}
	return nil
}

// reaching lists candidates for a field out of what the probe showed.
func (p *Planner) reaching(f *field) []candidate {
	var out []candidate
	add := func(a assignment, score int) { out = append(out, candidate{[]assignment{a}, score, f}) }
	for _, s := range p.sites {
		for _, c := range s.changes {
			if c.key != f.key {
				continue
			}
			if s.open {
				if at, ok := openAt(c, f.path); ok {
					for _, a := range below(node{s.path, map[string]any{}}, f, at) {
						add(a, at)
					}
				}
				continue
			}
			if !related(c.path, f.path) {
				continue
			}
			if s.opposite != nil {
				add(assignment{s.path, s.opposite}, 0)
			}
			if value, ok := fitting(s.value, f.want); ok {
				add(assignment{s.path, value}, 0)
			}
		}
	}
	return out
}

// openAt reports whether a probe's key was rendered in a map that the field is
// in, and how many steps of the field's path lead to that map.
func openAt(c change, path model.Path) (int, bool) {
	last := len(c.path) - 1
	if c.path[last].Key != probeKey || c.after != probeText || last >= len(path) {
		return 0, false
	}
	return last, slices.Equal(c.path[:last], path[:last])
}

// related reports whether one path leads to or through the other.
func related(a, b model.Path) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}

func scalar(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}

// maxSwitched bounds the candidates of two values for one field.
const maxSwitched = 60

// switched lists pairs: a boolean that brings the field, or part of it, and a
// value that is named like the field.
func (p *Planner) switched(values []node, on map[string]assignment, f *field) []candidate {
	var out []candidate
	for _, s := range p.sites {
		if s.opposite == nil || !slices.ContainsFunc(s.changes, func(c change) bool { return c.key == f.key && related(c.path, f.path) }) {
			continue
		}
		for _, c := range named(values, on, f) {
			if len(c.assignments) == 1 {
				out = append(out, candidate{[]assignment{{s.path, s.opposite}, c.assignments[0]}, c.score, f})
			}
		}
	}
	return out[:min(len(out), maxSwitched)]
}

// tryAbsent tries keys that are not there, named like the field, in every map
// that does not render unknown keys: a template may read a value that
// values.yaml does not have. Most maps read none, so that many are tried at
// once, and those only one by one whose group shows an effect.
func (p *Planner) tryAbsent(ctx context.Context, g *goal, values []node) error {
	open := map[string]bool{}
	for _, s := range p.sites {
		open[s.path.Pointer()] = s.open && len(s.changes) > 0
	}
	var groups [][]candidate
	tried := map[string]bool{}
	for _, f := range g.without() {
		for i := range f.tail {
			depth := len(f.path) - len(f.tail) + i
			var group []candidate
			for _, n := range values {
				m, isMap := n.value.(map[string]any)
				if _, there := m[f.tail[i].Key]; !isMap || there || open[n.path.Pointer()] {
					continue
				}
				a := assignment{n.path.Append(f.path[depth:]...), f.want}
				if name := describe([]assignment{a}); !tried[name] && f.want != nil {
					tried[name] = true
					group = append(group, candidate{[]assignment{a}, nearness(a.path, f), f})
				}
			}
			groups = append(groups, group)
		}
	}
	for len(groups) > 0 {
		next, err := p.tryGroups(ctx, g, groups)
		if err != nil {
			return err
		}
		groups = next
	}
	return nil
}

// tryGroups renders each group at once and returns the halves of those that
// fail or have an effect. Single candidates are tried.
func (p *Planner) tryGroups(ctx context.Context, g *goal, groups [][]candidate) ([][]candidate, error) {
	var single []candidate
	var large [][]candidate
	var overrides []map[string]any
	for _, group := range groups {
		switch len(group) {
		case 0:
		case 1:
			single = append(single, group[0])
		default:
			var all []assignment
			for _, c := range group {
				all = append(all, c.assignments...)
			}
			large = append(large, group)
			overrides = append(overrides, override(p.chart.Effective, all))
		}
	}
	if err := p.try(ctx, g, single); err != nil {
		return nil, err
	}
	out, err := p.renderings(ctx, overrides)
	if err != nil {
		return nil, err
	}
	var next [][]candidate
	for i, r := range out {
		if r == nil {
			continue
		}
		if r.Err != nil || len(g.judge(p.base, *r).holds) > 0 {
			middle := len(large[i]) / 2
			next = append(next, large[i][:middle], large[i][middle:])
		}
	}
	return next, nil
}
