package graph

import "slices"

// Compare draws what there was and what there is as one: what differs says so by its
// State, and what is the same stands by only where it is an end of what differs. Title
// and description are those of the latter.
func Compare(before, after *Drawing) *Drawing {
	out := *after
	out.Notes = slices.Clone(after.Notes)
	for _, note := range before.Notes {
		if !slices.Contains(out.Notes, note) {
			out.Notes = append(out.Notes, note)
		}
	}
	nodes := merge(before.Nodes, after.Nodes, func(n Node) string { return n.ID }, func(n *Node, s State) { n.State = s })
	edges := merge(before.Edges, after.Edges, func(e Edge) [4]string {
		return [4]string{e.From, e.To, e.Kind, e.Label}
	}, func(e *Edge, s State) { e.State = s })
	used := map[string]bool{}
	out.Edges = slices.DeleteFunc(edges, func(e Edge) bool {
		if e.State == Same {
			return true
		}
		used[e.From], used[e.To] = true, true
		return false
	})
	in := map[string]bool{}
	out.Nodes = slices.DeleteFunc(nodes, func(n Node) bool {
		if n.State == Same && !used[n.ID] {
			return true
		}
		in[n.Compartment] = true
		return false
	})
	compartments := slices.Clone(after.Compartments)
	for _, c := range before.Compartments {
		if !slices.ContainsFunc(compartments, func(o Compartment) bool { return o.ID == c.ID }) {
			compartments = append(compartments, c)
		}
	}
	out.Compartments = slices.DeleteFunc(compartments, func(c Compartment) bool { return !in[c.ID] })
	if out.Goal != "" && !slices.ContainsFunc(out.Nodes, func(n Node) bool { return n.ID == out.Goal }) {
		out.Goal = ""
	}
	return &out
}

// merge joins two lists by a key: what only the first has is removed, and what only the
// second has is added.
func merge[T any, K comparable](before, after []T, key func(T) K, mark func(*T, State)) []T {
	was, is := map[K]bool{}, map[K]bool{}
	for _, x := range before {
		was[key(x)] = true
	}
	var out []T
	for _, x := range after {
		is[key(x)] = true
		if !was[key(x)] {
			mark(&x, Added)
		}
		out = append(out, x)
	}
	for _, x := range before {
		if !is[key(x)] {
			mark(&x, Removed)
			out = append(out, x)
		}
	}
	return out
}
