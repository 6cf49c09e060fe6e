package rbac

// levels counts the steps that are taken at least until somebody is held: whoever acts in
// a step had to be held before. As of several who act in one only the farthest counts, and
// as several starts act together, too, there may be no chain with so few; but all are
// looked at once.
type levels struct {
	*joined
	// of says how many steps lead at least to whom. done are those that were taken to the
	// end.
	of   map[nodeKey]int
	done int
}

// levels takes less steps than so many, or until too much was looked at.
func (s *shortening) levels(length int) *levels {
	l := &levels{joined: s.graph.newJoined(s.starts...), of: map[nodeKey]int{}}
	defer func(cut bool, joins int) {
		l.forget()
		s.spent += l.spent
		s.graph.joins = joins
		s.restore(cut)
	}(s.graph.cut, s.graph.joins)
	for looked := 0; l.done+1 < length; l.done++ {
		before := len(l.held)
		l.joinSteps()
		for ; looked < before; looked++ {
			l.follow(l.held[looked])
		}
		if s.graph.cut || s.spent+l.spent > s.limit {
			return l
		}
		for _, a := range l.held[before:] {
			if _, known := l.of[a.who]; !known {
				l.of[a.who] = l.done + 1
			}
		}
	}
	return l
}

// nearest is what no chain to the goal has less steps than, as far as levels tell. Who is
// near is noted with it.
func (s *shortening) nearest(length int) int {
	l := s.levels(length)
	bound := l.nearest(s.isGoal)
	if l.done+1 < length {
		return bound
	}
	s.ends = map[nodeKey]bool{}
	for _, a := range l.held[len(s.starts):] {
		switch {
		case s.isGoal(a):
			s.ends[a.who] = true
		case l.of[a.who] < l.done:
			s.near = append(s.near, a)
		}
	}
	return bound
}

// nearest is what no chain has less steps than that leads to one of some.
func (l *levels) nearest(are func(*acquired) bool) int {
	least := l.done + 1
	for _, a := range l.held {
		if are(a) {
			least = min(least, l.to(a.who))
		}
	}
	return max(fewestJoint, least)
}

// to is what no chain to somebody has less steps than.
func (l *levels) to(who nodeKey) int {
	if level, known := l.of[who]; known {
		return max(fewestJoint, level)
	}
	return max(fewestJoint, l.done+1)
}
