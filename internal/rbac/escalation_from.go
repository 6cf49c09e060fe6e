package rbac

import (
	"fmt"
	"slices"
)

// reached is a node that a chain leads to, and by which step it does.
type reached struct {
	node     *node
	edge     *edge
	at       place
	before   *reached
	distance int
}

// from lists whom a node can become, nearest first, each once: itself is not among
// them. Why some may be missing is added to unknown.
func (g *graph) from(start *node, unknown map[string]bool) []*reached {
	first := &reached{node: start}
	seen := map[nodeKey]bool{start.nodeKey: true, subjectKey(start.subject()): true}
	var out []*reached
	queue := []*reached{first}
	for len(queue) > 0 {
		r := queue[0]
		queue = queue[1:]
		if r.node.admin != nil {
			continue // who may do everything needs no more steps
		}
		r.node.allSteps(func(e *edge) bool {
			if e.to.unknown != "" {
				unknown[e.to.unknown] = true
			}
			g.choose(e, e.to, e.at, func(to *node, at place) {
				if !seen[to.nodeKey] {
					seen[to.nodeKey] = true
					next := &reached{to, e, at, r, r.distance + 1}
					out, queue = append(out, next), append(queue, next)
				}
			}, seen)
			return true
		})
	}
	return out
}

// choose visits everybody among whom a step leads to, in order.
func (g *graph) choose(e *edge, n *node, at place, visit func(*node, place), seen map[nodeKey]bool) {
	if n.kind != someNode && n.kind != gainedSomewhereNode {
		visit(n, at)
		return
	}
	if seen[n.nodeKey] {
		return
	}
	seen[n.nodeKey] = true
	for _, c := range n.choices {
		g.choose(e, g.node(c.to), c, visit, seen)
	}
}

// stepsTo are the steps of the chain that leads to a node.
func (g *graph) stepsTo(r *reached) []Step {
	var out []Step
	for ; r.before != nil; r = r.before {
		out = append(out, g.step(r.edge, r.node, r.at))
	}
	slices.Reverse(out)
	return out
}

// inGroups is a subject that is in groups of the organisation's. Rights of two of them
// count together, so that all roles are taken to be its own.
func (g *graph) inGroups(s Subject, groups []string) *node {
	who := IdentityOf(s)
	who.Groups = append(who.Groups, groups...)
	n := &node{nodeKey: subjectKey(s), powers: &powers{}}
	n.by = fmt.Sprint(groups)
	g.powersOf(who).all(n.powers.add)
	n.own = n.powers
	if slices.Contains(who.Groups, mastersGroup) {
		n.admin = &held{}
	} else if n.admin = (view{n.powers, ""}).find(everything, ""); n.admin == nil {
		g.findSteps(n)
	}
	return n
}
