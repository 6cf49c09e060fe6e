package rbac

import (
	"slices"
	"testing"
)

// joint reports whether a subject becomes cluster admin when all whom it became act
// together.
func (tw *twin) joint(s Subject) bool {
	tw.held = []twinNode{{subject: s}}
	defer func() { tw.held, tw.gained = nil, nil }()
	hold := func(n twinNode) bool {
		if slices.Contains(tw.held, n) {
			return false
		}
		tw.held = append(tw.held, n)
		if n.gained {
			tw.gained = append(tw.gained, n)
		}
		return true
	}
	for changed := true; changed; {
		changed = false
		for _, from := range slices.Clone(tw.held) {
			if from.isAdmin || tw.can(from, Request{Verb: "*", Group: "*", Resource: "*"}) {
				return true
			}
			for _, to := range slices.Clone(tw.all) {
				if to.through > 0 {
					continue
				}
				changed = !slices.Contains(tw.held, to) && tw.step(from, to) && hold(to) || changed
				if tw.version >= 36 && tw.assumes(from, to) {
					changed = hold(tw.through(from, to)) || changed
				}
			}
		}
	}
	return false
}

// through is who is impersonated, constrained, by another.
func (tw *twin) through(from, to twinNode) twinNode {
	for i, s := range tw.sources {
		if n := (twinNode{subject: to.subject, through: i + 1}); s == from && slices.Contains(tw.all, n) {
			return n
		}
	}
	tw.sources = append(tw.sources, from)
	to.through = len(tw.sources)
	tw.all = append(tw.all, to)
	return to
}

// anybody is any of all who act together.
func (tw *twin) anybody(from twinNode, namespace, what, verbs string, names ...string) bool {
	return tw.any(from, namespace, what, verbs, names...) || slices.ContainsFunc(tw.held, func(n twinNode) bool { return tw.any(n, namespace, what, verbs, names...) })
}

// walk asks the index whether every request of a chain is allowed to who makes it.
func (tw *twin) walk(t *testing.T, s Subject, steps []Step) {
	t.Helper()
	defer func() { tw.gained = nil }()
	last := twinNode{subject: s}
	who, by := map[string]twinNode{s.String(): last}, map[string]twinNode{}
	for _, step := range steps {
		for _, n := range step.Needs {
			name := step.By.String()
			if n.As != nil {
				name = n.As.String()
			}
			actor, ok := who[name]
			if n.Impersonator && n.As == nil {
				actor, ok = by[name] // of who takes the step; of another it is named
			}
			if !ok || !tw.can(actor, n.Request) {
				t.Fatalf("%s: %+v of step %s is not allowed to %s", s, n.Request, step.Name, name)
			}
		}
		switch to := step.To; {
		case to.Subject != nil:
			last = twinNode{subject: *to.Subject}
		case to.Role != nil:
			last = twinNode{role: roleKey{to.Role.Namespace, to.Role.Name}, namespace: to.Namespace, gained: true}
		default:
			last = twinNode{role: roleKey{"", clusterAdmin}, namespace: to.Namespace, gained: true}
		}
		if last.gained {
			tw.gained = append(tw.gained, last)
		}
		by[step.To.String()], who[step.To.String()] = who[step.By.String()], last
	}
	if !tw.can(last, Request{Verb: "*", Group: "*", Resource: "*"}) {
		t.Fatalf("%s: the last of the chain, %+v, is not cluster admin", s, last)
	}
}
