package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/graph"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

const (
	// maxBlastNamespaces bounds how many namespaces are drawn by themselves, maxBlastNames
	// how many workloads an edge names, and maxAlike those that one node does.
	maxBlastNamespaces, maxBlastNames, maxAlike = 12, 30, 3
	// maxWideNames bounds how many workloads a line of the wide table names.
	maxWideNames = 200
)

// blasted is what one workload reaches in one state, by namespace.
type blasted struct {
	radius       reach.Radius
	direct, far  map[string][]string
	directKey    any
	transitiveOf any
}

// reachedBy finds what each of the workloads that are listed reaches.
func (b *netBlastJSON) reachedBy(e *reach.Engine) map[string]*blasted {
	out := map[string]*blasted{}
	if e == nil {
		return out
	}
	listed := map[string]bool{}
	for _, r := range b.Radii {
		listed[r.Workload] = true
	}
	blast := e.Blast()
	for _, r := range blast.Radii {
		if !listed[r.Workload.String()] {
			continue
		}
		one := &blasted{r, map[string][]string{}, map[string][]string{}, r.Direct.Key(), r.Transitive.Key()}
		blast.Each(r, r.Direct, func(w *reach.Workload) { one.direct[w.Namespace] = append(one.direct[w.Namespace], w.String()) })
		blast.Each(r, r.Transitive, func(w *reach.Workload) { one.far[w.Namespace] = append(one.far[w.Namespace], w.String()) })
		out[r.Workload.String()] = one
	}
	return out
}

// blastGroup are workloads of one namespace that reach the same in both states.
type blastGroup struct {
	names         []string
	namespace     string
	before, after *blasted
}

// groups puts those together that reach the same, in the order of the list.
func (b *netBlastJSON) groups(before, after map[string]*blasted) (out []*blastGroup) {
	type key struct {
		namespace string
		extents   [4]any
	}
	at := map[key]*blastGroup{}
	for _, r := range b.Radii {
		was, is := before[r.Workload], after[r.Workload]
		k := key{namespace: strings.SplitN(r.Workload, "/", 2)[0]}
		if was != nil {
			k.extents[0], k.extents[1] = was.directKey, was.transitiveOf
		}
		if is != nil {
			k.extents[2], k.extents[3] = is.directKey, is.transitiveOf
		}
		if g := at[k]; g != nil {
			g.names = append(g.names, r.Workload)
			continue
		}
		g := &blastGroup{[]string{r.Workload}, k.namespace, was, is}
		at[k] = g
		out = append(out, g)
	}
	return out
}

// label names the first of a group.
func (g *blastGroup) label() string {
	var names []string
	for _, name := range g.names[:min(len(g.names), maxAlike)] {
		names = append(names, name[strings.LastIndexByte(name, '/')+1:])
	}
	if more := len(g.names) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// drawing draws the workloads that are listed, and how many of each namespace they reach.
// Where two states are compared, it says what is gained and lost.
func (b *netBlastJSON) drawing(before, after *reach.Engine) *graph.Drawing {
	was, is := b.reachedBy(before), b.reachedBy(after)
	groups := b.groups(was, is)
	shown := shownNamespaces(groups)
	d := b.drawState(groups, shown, func(g *blastGroup) *blasted { return g.after })
	if b.compared {
		d = graph.Compare(b.drawState(groups, shown, func(g *blastGroup) *blasted { return g.before }), d)
	}
	d.Notes = append(d.Notes, b.summary()+".")
	return d
}

// shownNamespaces are those of which the most is reached.
func shownNamespaces(groups []*blastGroup) map[string]bool {
	total := map[string]int{}
	for _, g := range groups {
		for _, of := range []*blasted{g.before, g.after} {
			if of == nil {
				continue
			}
			for ns, names := range of.far {
				total[ns] += len(names) * len(g.names)
			}
		}
	}
	var names []string
	for ns := range total {
		names = append(names, ns)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(total[b], total[a]), strings.Compare(a, b)) })
	out := map[string]bool{}
	for _, ns := range names[:min(len(names), maxBlastNamespaces)] {
		out[ns] = true
	}
	return out
}

func (b *netBlastJSON) drawState(groups []*blastGroup, shown map[string]bool, state func(*blastGroup) *blasted) *graph.Drawing {
	d := &graph.Drawing{
		Title:       "How far whoever takes over a workload gets",
		Description: "On the left the workloads that reach the most; on the right the namespaces that they reach, with how many workloads of each: 2 → 5 is two directly, and five in any number of steps.",
		Kinds: []graph.Kind{
			{Name: "workload", Title: "Taken over", Tone: graph.Red, Shape: graph.Round, Column: -1},
			{Name: "namespace", Title: "Namespace", Tone: graph.Blue, Shape: graph.Box, Column: 1},
			{Name: "namespaces", Title: "Other namespaces", Tone: graph.Grey, Shape: graph.Box, Column: 1},
		},
		EdgeKinds: []graph.EdgeKind{
			{Name: "direct", Title: "reaches directly", Tone: graph.Red, Line: graph.Solid},
			{Name: "steps", Title: "reaches in steps only", Tone: graph.Amber, Line: graph.Dashed},
		},
	}
	known := map[string]bool{}
	for _, g := range groups {
		of := state(g)
		id := key("workload", g.names[0])
		n := graph.Node{ID: id, Label: g.label(), Kind: "workload", Compartment: key("in", g.namespace), Details: []graph.Detail{{Name: "Workloads", Value: fewNames(g.names)}}}
		if d.Nodes = append(d.Nodes, n); !known[n.Compartment] {
			known[n.Compartment] = true
			d.Compartments = append(d.Compartments, graph.Compartment{ID: n.Compartment, Label: g.namespace, Column: -1})
		}
		if of == nil { // it is not there in this state
			d.Nodes = d.Nodes[:len(d.Nodes)-1]
			continue
		}
		for _, e := range of.edges(id, shown) {
			if !known[e.To] {
				known[e.To] = true
				d.Nodes = append(d.Nodes, namespaceReached(e.To, shown))
			}
			d.Edges = append(d.Edges, e)
		}
	}
	return d
}

var otherNamespaces = key("namespaces")

func namespaceReached(id string, shown map[string]bool) graph.Node {
	for ns := range shown {
		if key("namespace", ns) == id {
			return graph.Node{ID: id, Label: ns, Kind: "namespace"}
		}
	}
	return graph.Node{ID: id, Label: "Other namespaces", Kind: "namespaces"}
}

// edges are one for each namespace that is reached, and one for all that are not drawn by
// themselves.
func (of *blasted) edges(from string, shown map[string]bool) (out []graph.Edge) {
	direct, far := map[string][]string{}, map[string][]string{}
	var targets []string
	for ns, names := range of.far {
		id := otherNamespaces
		if shown[ns] {
			id = key("namespace", ns)
		}
		if far[id] == nil {
			targets = append(targets, id)
		}
		far[id], direct[id] = append(far[id], names...), append(direct[id], of.direct[ns]...)
	}
	slices.Sort(targets)
	for _, id := range targets {
		slices.Sort(far[id])
		slices.Sort(direct[id])
		e := graph.Edge{From: from, To: id, Label: fmt.Sprintf("%d → %d", len(direct[id]), len(far[id])), Details: []graph.Detail{{Name: "In steps", Value: fewNames(far[id])}}}
		if e.Kind = "steps"; len(direct[id]) > 0 {
			e.Kind = "direct"
			e.Details = append(e.Details, graph.Detail{Name: "Directly", Value: fewNames(direct[id])})
		}
		out = append(out, e)
	}
	return out
}

func fewNames(names []string) string { return atMost(names, maxBlastNames) }

// atMost names so many, and counts the rest.
func atMost(names []string, most int) string {
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// wide are lines below the table: what each workload reaches, by name.
func (b *netBlastJSON) wide(before, after *reach.Engine) (out []string) {
	states := []struct {
		name string
		of   map[string]*blasted
	}{{"", b.reachedBy(after)}}
	if b.compared {
		states[0].name = "now "
		states = append(states[:0:0], struct {
			name string
			of   map[string]*blasted
		}{"before ", b.reachedBy(before)}, states[0])
	}
	for _, r := range b.Radii {
		out = append(out, r.Workload)
		for _, s := range states {
			one := s.of[r.Workload]
			if one == nil {
				continue
			}
			direct, steps := names(one.direct), names(one.far)
			steps = slices.DeleteFunc(steps, func(name string) bool { _, found := slices.BinarySearch(direct, name); return found })
			out = append(out, "  "+s.name+"directly: "+cmp.Or(atMost(direct, maxWideNames), "nobody"))
			if len(steps) > 0 {
				out = append(out, "  "+s.name+"in steps: "+atMost(steps, maxWideNames))
			}
		}
	}
	return out
}

// names are all of a map, in order.
func names(of map[string][]string) (out []string) {
	for _, some := range of {
		out = append(out, some...)
	}
	slices.Sort(out)
	return out
}
