package graph

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
)

// sort puts the parts into the one order that they are written in.
func (d *Drawing) sort() {
	slices.SortFunc(d.Compartments, func(a, b Compartment) int { return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.ID, b.ID)) })
	rank := map[string]int{}
	for i, k := range d.Kinds {
		rank[k.Name] = i
	}
	slices.SortFunc(d.Nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Compartment, b.Compartment), rank[a.Kind]-rank[b.Kind], cmp.Compare(a.Label, b.Label), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(d.Edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Label, b.Label), cmp.Compare(a.State, b.State),
			slices.CompareFunc(a.Details, b.Details, func(x, y Detail) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Value, y.Value)) }))
	})
}

// limits is how much a format draws: compartments are closed until there are at most so
// many nodes and edges. Where all are closed and there are more than most, what is alike
// is put together.
type limits struct{ nodes, edges, most int }

// closedKind is that of a compartment that is drawn as one node.
var closedKind = Kind{Name: "compartment", Title: "Closed, with all that is in it", Tone: Grey, Shape: Box}

// bounded returns a drawing of at most so many nodes and edges: compartments are
// closed, largest first, until it is. What stands in none is then put together by kind.
// Where nothing had to be closed it is the same drawing.
func (d *Drawing) bounded(most limits, advice string) *Drawing {
	if len(d.Nodes) <= most.nodes && len(d.Edges) <= most.edges {
		return d
	}
	sizes := map[string]int{}
	for _, n := range d.Nodes {
		sizes[n.Compartment]++
	}
	edges := map[string]int{}
	in := d.compartmentOf()
	for _, e := range d.Edges {
		edges[in[e.From]]++
		edges[in[e.To]]++
	}
	order := slices.SortedFunc(maps.Keys(sizes), func(a, b string) int {
		return cmp.Or(cmp.Compare(sizes[b]+edges[b], sizes[a]+edges[a]), cmp.Compare(a, b))
	})
	order = slices.DeleteFunc(order, func(c string) bool { return c == "" || sizes[c] < 2 })
	// The fewest that suffice, by halving: each count takes a walk over all edges.
	first := func(n int) map[string]bool {
		closed := map[string]bool{}
		for _, c := range order[:n] {
			closed[c] = true
		}
		return closed
	}
	closed := first(sort.Search(len(order), func(n int) bool {
		nodes, lines := d.countWith(first(n))
		return nodes <= most.nodes && lines <= most.edges
	}))
	// A picture of which most is closed is easier to read with nothing open in between.
	if 2*len(closed) > len(sizes) {
		for c := range sizes {
			if c != "" && sizes[c] > 1 {
				closed[c] = true
			}
		}
	}
	out := d.closing(closed)
	if len(out.Nodes) > most.most {
		out = out.byKind(most)
	}
	said := fmt.Sprintf("%d nodes and %d edges are more than can be drawn", len(d.Nodes), len(d.Edges))
	if len(closed) > 0 {
		said += fmt.Sprintf(": %d of %d compartments are drawn as one node each", len(closed), len(d.Compartments))
	}
	out.Notes = append(slices.Clone(d.Notes), said+". "+advice)
	out.thin(4 * most.most)
	return out
}

// thin leaves out the lines that stand for the fewest edges where there are too many.
func (d *Drawing) thin(most int) {
	if len(d.Edges) <= most {
		return
	}
	all := len(d.Edges)
	slices.SortStableFunc(d.Edges, func(a, b Edge) int { return b.joined - a.joined })
	d.Edges = slices.Clip(d.Edges[:most])
	d.Notes = append(d.Notes, fmt.Sprintf("Of %d lines between them the %d that stand for the most edges are drawn.", all, most))
	d.sort()
}

func (d *Drawing) compartmentOf() map[string]string {
	in := make(map[string]string, len(d.Nodes))
	for _, n := range d.Nodes {
		in[n.ID] = n.Compartment
	}
	return in
}

// countWith counts the nodes and lines that are drawn where these compartments are
// closed.
func (d *Drawing) countWith(closed map[string]bool) (nodes, lines int) {
	at := make(map[string]int, len(d.Nodes))
	groups := map[string]int{}
	for i, n := range d.Nodes {
		at[n.ID] = i
		if closed[n.Compartment] {
			if _, known := groups[n.Compartment]; !known {
				groups[n.Compartment] = i
			}
			at[n.ID] = groups[n.Compartment]
		}
	}
	type line struct {
		from, to int
		kind     string
	}
	seen := map[line]bool{}
	for _, e := range d.Edges {
		if l := (line{at[e.From], at[e.To], e.Kind}); l.from != l.to {
			seen[l] = true
		}
	}
	inside := 0
	for _, n := range d.Nodes {
		if closed[n.Compartment] {
			inside++
		}
	}
	return len(d.Nodes) - inside + len(groups), len(seen)
}

// closing returns the drawing with these compartments as one node each. Edges within
// one are gone; edges of it that lead to the same node are one, with their number.
func (d *Drawing) closing(closed map[string]bool) *Drawing {
	if len(closed) == 0 {
		out := *d
		return &out
	}
	labels := map[string]string{}
	for _, c := range d.Compartments {
		labels[c.ID] = c.Label
	}
	return d.grouped(func(n Node) string {
		if closed[n.Compartment] {
			return n.Compartment
		}
		return ""
	}, func(group string, members map[string]int) Node {
		return Node{ID: "compartment " + group, Label: labels[group], Kind: closedKind.Name, Compartment: group, Details: []Detail{{"Nodes", strconv.Itoa(total(members))}, {"Holds", d.tally(members)}}}
	})
}

// byKind returns the drawing with the nodes of one kind and compartment as one, and
// where even that is too many, only the first.
func (d *Drawing) byKind(most limits) *Drawing {
	out := d.grouped(func(n Node) string { return n.Compartment + "\x00" + n.Kind }, func(group string, members map[string]int) Node {
		for kind := range members {
			in := group[:len(group)-len(kind)-1]
			return Node{ID: "all " + group, Label: d.tally(members), Kind: kind, Compartment: in}
		}
		return Node{}
	})
	if len(out.Nodes) > most.most {
		out = out.grouped(func(n Node) string { return n.Kind }, func(kind string, members map[string]int) Node {
			return Node{ID: "every " + kind, Label: out.tally(members), Kind: kind}
		})
	}
	return out
}

// grouped returns the drawing with the nodes of a group as one; the group of a node
// that stays is empty.
func (d *Drawing) grouped(group func(Node) string, join func(group string, members map[string]int) Node) *Drawing {
	out := &Drawing{Title: d.Title, Description: d.Description, Kinds: slices.Clone(d.Kinds), EdgeKinds: d.EdgeKinds, Compartments: d.Compartments, Notes: d.Notes}
	now := make(map[string]string, len(d.Nodes))
	members := map[string]map[string]int{}
	states := map[string]map[State]bool{}
	for _, n := range d.Nodes {
		g := group(n)
		if g == "" {
			now[n.ID] = n.ID
			out.Nodes = append(out.Nodes, n)
			continue
		}
		if members[g] == nil {
			members[g], states[g] = map[string]int{}, map[State]bool{}
		}
		members[g][n.Kind]++
		states[g][n.State] = true
		now[n.ID] = "\x00" + g
	}
	ids := map[string]string{}
	for _, g := range slices.Sorted(maps.Keys(members)) {
		n := join(g, members[g])
		n.State = onlyState(states[g])
		ids["\x00"+g] = n.ID
		out.Nodes = append(out.Nodes, n)
	}
	if d.kind(closedKind.Name) == nil && slices.ContainsFunc(out.Nodes, func(n Node) bool { return n.Kind == closedKind.Name }) {
		out.Kinds = append(out.Kinds, closedKind)
	}
	at := func(id string) string {
		if to, ok := ids[now[id]]; ok {
			return to
		}
		return now[id]
	}
	if d.Goal != "" {
		out.Goal = at(d.Goal)
	}
	out.Edges = joinEdges(d.Edges, at, func(id string) bool { _, joined := ids[now[id]]; return joined })
	out.sort()
	return out
}

// joinEdges moves edges to the nodes that stand for theirs, and joins those that then
// lead between the same two by the same kind.
func joinEdges(edges []Edge, at func(string) string, joined func(string) bool) []Edge {
	type line struct{ from, to, kind string }
	sums := map[line]int{}
	states := map[line]map[State]bool{}
	var out []Edge
	for _, e := range edges {
		if !joined(e.From) && !joined(e.To) {
			out = append(out, e)
			continue
		}
		l := line{at(e.From), at(e.To), e.Kind}
		if l.from == l.to {
			continue
		}
		if states[l] == nil {
			states[l] = map[State]bool{}
		}
		sums[l] += max(1, e.joined)
		states[l][e.State] = true
	}
	for l, n := range sums {
		label := ""
		if n > 1 {
			label = fmt.Sprintf("×%d", n)
		}
		out = append(out, Edge{From: l.from, To: l.to, Kind: l.kind, Label: label, State: onlyState(states[l]), joined: n})
	}
	return out
}

// onlyState is the state of a group: that of its members where it is one.
func onlyState(states map[State]bool) State {
	if len(states) == 1 {
		for s := range states {
			return s
		}
	}
	return Same
}

func total(members map[string]int) int {
	n := 0
	for _, m := range members {
		n += m
	}
	return n
}

// tally says how many of each kind there are: 3 users, 1 group.
func (d *Drawing) tally(members map[string]int) string {
	text := ""
	for _, k := range d.Kinds {
		if n := members[k.Name]; n > 0 {
			if text != "" {
				text += ", "
			}
			text += fmt.Sprintf("%s: %d", k.Title, n)
		}
	}
	return text
}
