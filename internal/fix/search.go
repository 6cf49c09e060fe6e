package fix

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/model"
)

// search tells the fixes of one object apart, of which one or more bring another
// finding, by halves: one step in each round.
type search struct {
	// accepted fixes bring none; trying are made with them in this round, and later
	// are tried after them.
	accepted, trying []string
	later            [][]string
	// blamed says that the fixes of this round bring a finding.
	blamed bool
}

// allows reports whether a fix is made in this round. Where nothing is searched
// for, all are.
func (s *search) allows(control string) bool {
	return s == nil || slices.Contains(s.accepted, control) || slices.Contains(s.trying, control)
}

// blame narrows down which fixes bring another finding, and gives up the one that
// does; all of them, if there is no time for that.
func (s *search) blame(last bool, giveUp func(control string)) {
	if s.blamed {
		return // by another finding of this round
	}
	s.blamed = true
	switch n := len(s.trying); {
	case n == 0 || last:
		for _, c := range slices.Concat(append(s.later, s.accepted, s.trying)...) {
			giveUp(c)
		}
		*s = search{blamed: true}
	case n == 1:
		giveUp(s.trying[0])
		s.trying = nil
	default:
		s.later = slices.Insert(s.later, 0, s.trying[n/2:])
		s.trying = s.trying[:n/2]
	}
}

// next moves on after a round, and reports whether another one is needed.
func (s *search) next() bool {
	again := s.blamed
	if !s.blamed {
		s.accepted, s.trying = append(s.accepted, s.trying...), nil
	}
	s.blamed = false
	if len(s.trying) == 0 && len(s.later) > 0 {
		s.trying, s.later = s.later[0], s.later[1:]
		again = true
	}
	return again
}

// suspect blames the fixes of the objects that are meant. It reports whether there
// are any.
func (r *run) suspect(p *plan, meant func(target) bool, reason string) bool {
	controls := map[*model.Object][]string{}
	for k := range p.targets {
		if meant(k) {
			controls[k.object] = append(controls[k.object], k.control)
		}
	}
	for o, made := range controls {
		if r.searches[o] == nil {
			slices.Sort(made)
			r.searches[o] = &search{trying: made}
		}
		r.searches[o].blame(r.round >= searching, func(c string) { r.giveUp(target{c, o}, reason) })
	}
	return len(controls) > 0
}

// nextStep moves all searches on, and reports whether one needs another round.
func (r *run) nextStep() bool {
	again := false
	for _, s := range r.searches {
		again = s.next() || again
	}
	return again
}
