package rbac

import (
	"fmt"
	"slices"
)

// choose visits everybody among whom a step leads to, in order.
func (g *graph) choose(n *node, at place, visit func(*node, place), seen map[nodeKey]bool) {
	if n.kind != someNode && n.kind != gainedSomewhereNode {
		visit(n, at)
		return
	}
	if seen[n.nodeKey] {
		return
	}
	seen[n.nodeKey] = true
	for _, c := range n.choices {
		g.choose(g.node(c.to), c, visit, seen)
	}
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
