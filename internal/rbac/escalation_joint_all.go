package rbac

import "slices"

// joinAll follows the steps that identities take together, of everybody who does not
// become cluster admin without, or only by more of them than several could need.
func (g *graph) joinAll(into map[*node][]arc) map[*node]*acquired {
	out := map[*node]*acquired{}
	reach := g.abilitiesReached(into)
	var starts, far []*node
	for _, n := range g.nodes {
		switch {
		case n.kind != subjectNode:
		case n.distance != unreachable:
			if n.distance > fewestJoint {
				far = append(far, n)
			}
		case len(n.steps)+len(n.groups) > 0 && joinable(n, reach):
			starts = append(starts, n)
		}
	}
	for _, of := range [][]*node{starts, far} {
		slices.SortFunc(of, func(a, b *node) int { return a.compare(b.nodeKey) })
	}
	g.joinSome(starts, out)
	g.shortenAll(starts, out, maxShortened)
	g.shortenAll(far, out, maxShortenedAlone)
	return out
}

// joinSome looks at many at once: where all of them together do not become cluster admin,
// none of them does; where they do, at those whom their chain will not do for, each half.
func (g *graph) joinSome(starts []*node, out map[*node]*acquired) {
	if len(starts) == 0 {
		return
	}
	last := g.join(false, starts...).admin()
	if last == nil {
		return
	}
	if len(starts) == 1 {
		out[starts[0]] = last
		return
	}
	var rest []*node
	only := whoIn(last)
	for _, n := range starts {
		if last := g.joinWithin(only, n).admin(); last != nil {
			out[n] = last
		} else {
			rest = append(rest, n)
		}
	}
	half := len(rest) / 2
	g.joinSome(rest[:half], out)
	g.joinSome(rest[half:], out)
}

// gainsRole stands beside abilities for that a role may be gained.
const gainsRole = 1 << 63

// abilitiesReached says of each node that does not reach adminNode what it, and whoever
// it leads to, may do.
func (g *graph) abilitiesReached(into map[*node][]arc) map[*node]uint64 {
	out := map[*node]uint64{}
	var queue []*node
	for _, n := range g.nodes {
		if n.distance != unreachable {
			continue
		}
		if n.powers != nil {
			out[n] = n.powers.has
		}
		if n.kind == gainedNode {
			out[n] |= gainsRole
		}
		if out[n] != 0 {
			queue = append(queue, n)
		}
	}
	for len(queue) > 0 {
		n := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, a := range into[n] {
			if more := out[a.from] | out[n]; more != out[a.from] {
				out[a.from] = more
				queue = append(queue, a.from)
			}
		}
	}
	return out
}

// joinable reports whether those whom a node leads to could do together what none of
// them does alone.
func joinable(n *node, reach map[*node]uint64) bool {
	var others uint64
	n.allSteps(func(e *edge) bool {
		others |= reach[e.to]
		return true
	})
	if others == 0 {
		return false
	}
	all := others | reach[n]
	if all&gainsRole != 0 {
		return true
	}
	for _, p := range partners {
		if all&p[0] != 0 && all&p[1] != 0 {
			return true
		}
	}
	return all&bits(escalateClusterRoles) != 0 && all&bits(createClusterRoles, changeClusterRoles) != 0 || all&bits(escalateRoles) != 0 && all&bits(changeRoles) != 0
}

// speaksFor reports whether a chain takes a right of the subject's own, and not only
// those of a group.
func (a *acquired) speaksFor(s Subject) bool {
	return slices.ContainsFunc(a.chain(), func(a *acquired) bool { return a.edge.restsOn(s) })
}

// restsOn reports whether a step is by a binding of the subject, or of a role of its that
// the step rewrites.
func (e *edge) restsOn(s Subject) bool {
	by := func(h *holding) bool { return h != nil && h.as == s }
	return by(e.of) || slices.ContainsFunc(e.needs, func(h *held) bool { return by(h.holding) || h.also != nil && by(h.also.holding) })
}
