package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/graph"
	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

const (
	// maxWaysDrawn bounds how many steps of ways in are drawn, maxLabels how many ports an
	// edge names, and maxToldLost how much is named that leads nowhere.
	maxWaysDrawn, maxLabels, maxToldLost = 4000, 3, 5
	// maxApart is how many workloads of a group are drawn by themselves because ways in lead
	// to them.
	maxApart = 6
)

// wayKinds are nodes of ways in, and wayEdges their edges. Who sends is at the rim.
var (
	wayKinds = []graph.Kind{
		{Name: "source", Title: "From outside", Tone: graph.Red, Shape: graph.Hexagon, Column: -2},
		{Name: "service", Title: "Service, open to outside", Tone: graph.Teal, Shape: graph.Pill, Column: -1},
		{Name: "route", Title: "Ingress or Gateway", Tone: graph.Teal, Shape: graph.Cut, Column: -1},
	}
	wayEdges = []graph.EdgeKind{
		{Name: "way", Title: "way in", Tone: graph.Teal, Line: graph.Solid},
		{Name: "doubt", Title: "way in, not known whether policies stop it", Tone: graph.Amber, Line: graph.Dotted},
		{Name: "stopped", Title: "way in that policies stop", Tone: graph.Red, Line: graph.Dashed, Aside: true},
	}
	wayVerdicts = map[entry.Verdict]string{entry.Allowed: "way", entry.Unknown: "doubt", entry.Denied: "stopped"}
)

// wayStep is one port of a way in between two nodes, of one state. A node that is drawn
// already has an ID only; the compartment of others is the name of a namespace, until they
// are drawn.
type wayStep struct {
	from, to    graph.Node
	kind, label string
	// changed says that the state has it, of this step's ends, and the other has not.
	changed bool
	details func() []graph.Detail
}

// stepKey is the same for steps that nobody sees a difference between.
type stepKey struct{ from, to, kind, label string }

func (s *wayStep) key() stepKey { return stepKey{s.from.ID, s.to.ID, s.kind, s.label} }

// wayEdge are all ports of one kind between two nodes.
type wayEdge struct {
	graph.Edge
	labels []string
}

// waysDrawing draws the ways into a cluster.
type waysDrawing struct {
	*netDrawing
	// cluster, steps and changed are those of the state that is looked at.
	cluster *reach.Cluster
	steps   []*wayStep
	changed map[entry.Way]bool
	// fresh and gone are workloads that only one state has.
	fresh, gone map[string]bool
	edges       []*wayEdge
	at          map[edgeID]*wayEdge
	more        int
}

type edgeID struct {
	from, to, kind string
	state          graph.State
}

// netWays are the ways in to draw, and of two states what becomes of them.
type netWays struct {
	// before is nil where there is one state.
	before, after *entry.Points
	changes       []entry.Change
	// changesOnly leaves out what both states have.
	changesOnly bool
}

// drawWays draws Services that are open to outside, Ingresses and Gateways, and who can use
// them. The workloads are drawn already.
func (n *netDrawing) drawWays() {
	n.Kinds, n.EdgeKinds = append(n.Kinds, wayKinds...), append(n.EdgeKinds, wayEdges...)
	w := &waysDrawing{netDrawing: n, at: map[edgeID]*wayEdge{}, fresh: workloadNames(n.d.New), gone: workloadNames(n.d.Gone)}
	after := w.stepsOf(n.ways.after, n.d.After.Cluster, reach.Gained)
	if n.ways.before == nil {
		for _, s := range after {
			w.connect(s, graph.Same)
		}
	} else {
		w.connectBoth(w.stepsOf(n.ways.before, n.d.Before.Cluster, reach.Lost), after)
	}
	for _, e := range w.edges {
		e.Label = strings.Join(e.labels[:min(len(e.labels), maxLabels)], ", ")
		if len(e.labels) > maxLabels {
			e.Label += " and more"
		}
		n.Edges = append(n.Edges, e.Edge)
	}
	if !n.ways.changesOnly {
		w.dangling(n.ways.after.Dangling)
	}
	if w.more > 0 {
		n.Notes = append(n.Notes, fmt.Sprintf("%d more ways in are not drawn: ask for one namespace.", w.more))
	}
}

func workloadNames(of []*reach.Workload) map[string]bool {
	out := map[string]bool{}
	for _, w := range of {
		out[w.String()] = true
	}
	return out
}

// dangling tells what leads nowhere for certain.
func (w *waysDrawing) dangling(all []entry.Dangling) {
	sure := slices.DeleteFunc(slices.Clone(all), func(d entry.Dangling) bool { return !d.Sure })
	for i := range sure[:min(len(sure), maxToldLost)] {
		d := newDangling(&sure[i])
		w.Notes = append(w.Notes, fmt.Sprintf("Leads nowhere: %s: %s.", d.place(), d.text()))
	}
	if more := len(sure) - maxToldLost; more > 0 {
		w.Notes = append(w.Notes, fmt.Sprintf("%d more lead nowhere: net map lists them.", more))
	}
}

// stepsOf are the steps of one state.
func (w *waysDrawing) stepsOf(p *entry.Points, c *reach.Cluster, part reach.Part) []*wayStep {
	w.cluster, w.steps, w.changed = c, nil, map[entry.Way]bool{}
	for i := range w.ways.changes {
		if c := &w.ways.changes[i]; c.Part == part {
			for _, way := range c.Ways {
				w.changed[way] = true
			}
		}
	}
	for i := range p.Entries {
		if e := &p.Entries[i]; outward(e) {
			w.drawEntry(e)
		}
	}
	return w.steps
}

// connectBoth draws the steps of two states. Of those that both have, one is drawn as added
// or removed as well where others get in by it.
func (w *waysDrawing) connectBoth(before, after []*wayStep) {
	states := map[string]graph.State{} // of nodes
	was, is := map[stepKey]bool{}, map[stepKey]bool{}
	for _, s := range before {
		was[s.key()] = true
		states[s.from.ID], states[s.to.ID] = graph.Removed, graph.Removed
	}
	old := maps.Clone(states)
	for _, s := range after {
		is[s.key()] = true
		for _, id := range []string{s.from.ID, s.to.ID} {
			states[id] = graph.Added
			if old[id] != "" {
				states[id] = graph.Same
			}
		}
	}
	touched := map[string]bool{}
	for state, steps := range map[graph.State][]*wayStep{graph.Removed: before, graph.Added: after} {
		other := map[graph.State]map[stepKey]bool{graph.Removed: is, graph.Added: was}[state]
		for _, s := range steps {
			if s.changed || !other[s.key()] {
				touched[s.from.ID] = true
			}
		}
	}
	each := func(steps []*wayStep, other map[stepKey]bool, state graph.State) {
		for _, s := range steps {
			for _, node := range []*graph.Node{&s.from, &s.to} {
				if node.Kind == "service" || node.Kind == "route" {
					node.State = states[node.ID]
				}
			}
			switch both := other[s.key()]; {
			case s.changed || !both:
				w.connect(s, state)
			case state == graph.Added && (!w.ways.changesOnly || touched[s.to.ID]):
				w.connect(s, graph.Same)
			}
		}
	}
	each(after, was, graph.Added)
	each(before, is, graph.Removed)
}

// outward reports whether an entry is drawn: one that only the cluster has is traffic as
// all other.
func outward(e *entry.Entry) bool { return e.Exposure != entry.Cluster || e.Controller != nil }

// apart are the workloads that ways in lead to, and those that serve them.
func (n *netWays) apart() map[string]bool {
	out := map[string]bool{}
	if n == nil {
		return out
	}
	for _, p := range []*entry.Points{n.before, n.after} {
		for i := 0; p != nil && i < len(p.Entries); i++ {
			e := &p.Entries[i]
			if !outward(e) {
				continue
			}
			for _, b := range e.Backends {
				out[b.Workload()] = true
			}
			if e.Controller != nil {
				for _, pod := range e.Controller.Pods {
					out[pod.String()] = true
				}
			}
		}
	}
	return out
}

// drawEntry notes the steps of one entry: from whom, to the node that it is, to the
// workloads.
func (w *waysDrawing) drawEntry(e *entry.Entry) {
	if len(w.steps) >= maxWaysDrawn {
		w.more++
		return
	}
	var at graph.Node
	switch {
	case e.Controller != nil:
		at = w.node(e, "route")
		w.toRoute(e, at)
	case e.Kind == "Service":
		at = w.node(e, "service")
		w.step(w.source(e), at, "way", portOf(e), graph.Detail{Name: "Way in", Value: wayText(e)}, graph.Detail{Name: "Port", Value: portOf(e)})
	default:
		at = w.source(e)
	}
	for k := range e.Backends {
		b := &e.Backends[k]
		if len(b.Pods) == 0 {
			continue
		}
		to, group := w.workloadNode(b.Pods[0])
		label := fmt.Sprintf("%s %d", b.Protocol, b.Port)
		if b.Port == 0 {
			label = "any port"
		} else if b.Service == nil {
			label = portOf(e) // there is no node in between that tells it
		}
		if group {
			label += " (" + b.Pods[0].Name + ")"
		}
		cluster := w.cluster
		w.steps = append(w.steps, &wayStep{from: at, to: to, kind: wayVerdicts[b.Verdict], label: label, changed: w.changed[entry.Way{Entry: e, Backend: b}],
			details: func() []graph.Detail { return w.why(cluster, e, b) }})
	}
}

// step notes one that does not depend on policies.
func (w *waysDrawing) step(from, to graph.Node, kind, label string, details ...graph.Detail) {
	w.steps = append(w.steps, &wayStep{from: from, to: to, kind: kind, label: label, details: func() []graph.Detail { return details }})
}

// portOf is the port by which traffic comes.
func portOf(e *entry.Entry) string {
	if e.Port == 0 {
		return e.Protocol.String()
	}
	return fmt.Sprintf("%s %d", e.Protocol, e.Port)
}

// node is a Service, Ingress or Gateway.
func (w *waysDrawing) node(e *entry.Entry, kind string) graph.Node {
	node := graph.Node{ID: key(e.Kind, e.Namespace, e.Name), Label: e.Name, Kind: kind, Compartment: e.Namespace,
		Details: []graph.Detail{{Name: e.Kind, Value: e.Namespace + "/" + e.Name}}}
	if e.Controller != nil {
		node.Details = append(node.Details, graph.Detail{Name: "Class", Value: orDash(e.Type)}, graph.Detail{Name: "Served by", Value: e.Controller.Name})
	}
	if at := e.Object.Locate(nil); at != nil && e.Object.Kind == e.Kind {
		node.Details = append(node.Details, graph.Detail{Name: "Written", Value: fmt.Sprintf("%s:%d", at.File, at.Line)})
	}
	return node
}

// toRoute notes how an Ingress or Gateway gets its traffic: from the pods that serve it, or
// where these are not there from outside.
func (w *waysDrawing) toRoute(e *entry.Entry, to graph.Node) {
	said := map[string]bool{}
	for _, p := range e.Controller.Pods {
		if name := p.String(); !said[name] {
			said[name] = true
			from, _ := w.workloadNode(p)
			w.step(from, to, "way", "", graph.Detail{Name: "Served by", Value: name})
		}
	}
	if len(said) == 0 {
		w.step(w.source(e), to, "way", portOf(e), graph.Detail{Name: "Port", Value: portOf(e)})
	}
}

// source is from where an entry can be used.
func (w *waysDrawing) source(e *entry.Entry) graph.Node {
	text := sourceText(e)
	node := graph.Node{ID: key("source", text), Label: text, Kind: "source"}
	if e.Exposure == entry.Addresses {
		node.Details = []graph.Detail{{Name: "Blocks", Value: blockList(e.Sources)}}
	}
	return node
}

// workloadNode is the node that a pod is drawn in, and whether it stands for others too.
func (w *waysDrawing) workloadNode(p *reach.Pod) (node graph.Node, group bool) {
	if known, ok := w.drawn[p.String()]; ok {
		return graph.Node{ID: known.id}, known.group
	}
	node = graph.Node{ID: key("workload", p.Namespace, p.Kind, p.Name), Label: p.Name, Kind: "workload", Compartment: p.Namespace,
		Details: []graph.Detail{{Name: p.Kind, Value: p.Name}, {Name: "Namespace", Value: p.Namespace}}}
	if w.fresh[p.String()] {
		node.State = graph.Added
	} else if w.gone[p.String()] {
		node.State = graph.Removed
	}
	return node, false
}

// why tells about the last step of a way.
func (w *waysDrawing) why(cluster *reach.Cluster, e *entry.Entry, b *entry.Backend) []graph.Detail {
	out := []graph.Detail{{Name: "Way in", Value: wayText(e)}, {Name: "Leads to", Value: b.Workload() + " by " + portText(e, b)}, {Name: "From", Value: fromText(e, b)}}
	if at := e.Location(); at != nil {
		out = append(out, graph.Detail{Name: "Written", Value: fmt.Sprintf("%s:%d", at.File, at.Line)})
	}
	if len(e.Hosts) > 0 {
		out = append(out, graph.Detail{Name: "Hosts", Value: strings.Join(e.Hosts, ", ")})
	}
	if w.explained++; w.explained <= maxEdgesExplained {
		for _, h := range b.Hops {
			hop := newHop(cluster, h)
			if len(hop.Why) == 0 {
				hop.Why = []string{"no rule of a policy decides"}
			}
			out = append(out, graph.Detail{Name: "Step", Value: fmt.Sprintf("%s to %s, %s: %s", hop.From, hop.To, hop.Port, strings.Join(hop.Why, "; "))})
		}
	}
	for _, text := range slices.Concat(b.Unknown, b.Doubts, e.Doubts, letInText(b)) {
		out = append(out, graph.Detail{Name: "Note", Value: text})
	}
	return out
}

// connect draws an edge, or adds a port to it.
func (w *waysDrawing) connect(s *wayStep, state graph.State) {
	id := edgeID{s.from.ID, s.to.ID, s.kind, state}
	e := w.at[id]
	if e == nil {
		for _, node := range []graph.Node{s.from, s.to} {
			if node.Compartment != "" {
				node.Compartment = w.place(node.Compartment)
			}
			w.draw(node)
		}
		e = &wayEdge{Edge: graph.Edge{From: s.from.ID, To: s.to.ID, Kind: s.kind, State: state}}
		w.at[id] = e
		w.edges = append(w.edges, e)
	}
	if s.label != "" && !slices.Contains(e.labels, s.label) {
		e.labels = append(e.labels, s.label)
	}
	for _, d := range s.details() {
		if !slices.Contains(e.Details, d) && len(e.Details) < maxMembersTold {
			e.Details = append(e.Details, d)
		}
	}
}
