package cli

import (
	"fmt"
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

// wayEdge are all ports of one kind between two nodes.
type wayEdge struct {
	from, to, kind string
	labels         []string
	details        []graph.Detail
}

// waysDrawing draws the ways into a cluster.
type waysDrawing struct {
	*netDrawing
	cluster *reach.Cluster
	edges   []*wayEdge
	at      map[[3]string]*wayEdge
	more    int
}

// drawWays draws Services that are open to outside, Ingresses and Gateways, and who can use
// them. The workloads are drawn already.
func (n *netDrawing) drawWays(p *entry.Points, c *reach.Cluster) {
	n.Kinds, n.EdgeKinds = append(n.Kinds, wayKinds...), append(n.EdgeKinds, wayEdges...)
	w := &waysDrawing{netDrawing: n, cluster: c, at: map[[3]string]*wayEdge{}}
	for i := range p.Entries {
		if e := &p.Entries[i]; outward(e) {
			w.drawEntry(e)
		}
	}
	for _, e := range w.edges {
		label := strings.Join(e.labels[:min(len(e.labels), maxLabels)], ", ")
		if len(e.labels) > maxLabels {
			label += " and more"
		}
		n.Edges = append(n.Edges, graph.Edge{From: e.from, To: e.to, Kind: e.kind, Label: label, Details: e.details})
	}
	sure := slices.DeleteFunc(slices.Clone(p.Dangling), func(d entry.Dangling) bool { return !d.Sure })
	for i := range sure[:min(len(sure), maxToldLost)] {
		d := newDangling(&sure[i])
		n.Notes = append(n.Notes, fmt.Sprintf("Leads nowhere: %s: %s.", d.place(), d.text()))
	}
	if more := len(sure) - maxToldLost; more > 0 {
		n.Notes = append(n.Notes, fmt.Sprintf("%d more lead nowhere: net map lists them.", more))
	}
	if w.more > 0 {
		n.Notes = append(n.Notes, fmt.Sprintf("%d more ways in are not drawn: ask for one namespace.", w.more))
	}
}

// outward reports whether an entry is drawn: one that only the cluster has is traffic as
// all other.
func outward(e *entry.Entry) bool { return e.Exposure != entry.Cluster || e.Controller != nil }

// apart are the workloads that ways in lead to, and those that serve them.
func apart(p *entry.Points) map[string]bool {
	out := map[string]bool{}
	if p == nil {
		return out
	}
	for i := range p.Entries {
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
	return out
}

// drawEntry draws one entry: from whom, to the node that it is, to the workloads.
func (w *waysDrawing) drawEntry(e *entry.Entry) {
	if len(w.edges) >= maxWaysDrawn {
		w.more++
		return
	}
	id := ""
	switch {
	case e.Controller != nil:
		id = w.node(e, "route")
		w.toRoute(e, id)
	case e.Kind == "Service":
		id = w.node(e, "service")
		w.connect(w.source(e), id, "way", portOf(e), graph.Detail{Name: "Way in", Value: wayText(e)}, graph.Detail{Name: "Port", Value: portOf(e)})
	default:
		id = w.source(e)
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
		w.connect(id, to, wayVerdicts[b.Verdict], label, w.why(e, b)...)
	}
}

// portOf is the port by which traffic comes.
func portOf(e *entry.Entry) string {
	if e.Port == 0 {
		return e.Protocol.String()
	}
	return fmt.Sprintf("%s %d", e.Protocol, e.Port)
}

// node draws a Service, Ingress or Gateway, once.
func (w *waysDrawing) node(e *entry.Entry, kind string) string {
	node := graph.Node{ID: key(e.Kind, e.Namespace, e.Name), Label: e.Name, Kind: kind, Compartment: w.place(e.Namespace),
		Details: []graph.Detail{{Name: e.Kind, Value: e.Namespace + "/" + e.Name}}}
	if e.Controller != nil {
		node.Details = append(node.Details, graph.Detail{Name: "Class", Value: orDash(e.Type)}, graph.Detail{Name: "Served by", Value: e.Controller.Name})
	}
	if at := e.Object.Locate(nil); at != nil && e.Object.Kind == e.Kind {
		node.Details = append(node.Details, graph.Detail{Name: "Written", Value: fmt.Sprintf("%s:%d", at.File, at.Line)})
	}
	return w.draw(node)
}

// toRoute draws how an Ingress or Gateway gets its traffic: from the pods that serve it, or
// where these are not there from outside.
func (w *waysDrawing) toRoute(e *entry.Entry, id string) {
	said := map[string]bool{}
	for _, p := range e.Controller.Pods {
		if name := p.String(); !said[name] {
			said[name] = true
			from, _ := w.workloadNode(p)
			w.connect(from, id, "way", "", graph.Detail{Name: "Served by", Value: name})
		}
	}
	if len(said) == 0 {
		w.connect(w.source(e), id, "way", portOf(e), graph.Detail{Name: "Port", Value: portOf(e)})
	}
}

// source draws from where an entry can be used.
func (w *waysDrawing) source(e *entry.Entry) string {
	text := sourceText(e)
	node := graph.Node{ID: key("source", text), Label: text, Kind: "source"}
	if e.Exposure == entry.Addresses {
		node.Details = []graph.Detail{{Name: "Blocks", Value: blockList(e.Sources)}}
	}
	return w.draw(node)
}

// workloadNode is the node that a pod is drawn in, and whether it stands for others too.
func (w *waysDrawing) workloadNode(p *reach.Pod) (id string, group bool) {
	if known, ok := w.drawn[p.String()]; ok {
		return known.id, known.group
	}
	return w.draw(graph.Node{ID: key("workload", p.Namespace, p.Kind, p.Name), Label: p.Name, Kind: "workload", Compartment: w.place(p.Namespace),
		Details: []graph.Detail{{Name: p.Kind, Value: p.Name}, {Name: "Namespace", Value: p.Namespace}}}), false
}

// why tells about the last step of a way.
func (w *waysDrawing) why(e *entry.Entry, b *entry.Backend) []graph.Detail {
	out := []graph.Detail{{Name: "Way in", Value: wayText(e)}, {Name: "Leads to", Value: b.Workload() + " by " + portText(e, b)}, {Name: "From", Value: fromText(e, b)}}
	if at := e.Location(); at != nil {
		out = append(out, graph.Detail{Name: "Written", Value: fmt.Sprintf("%s:%d", at.File, at.Line)})
	}
	if len(e.Hosts) > 0 {
		out = append(out, graph.Detail{Name: "Hosts", Value: strings.Join(e.Hosts, ", ")})
	}
	if w.explained++; w.explained <= maxEdgesExplained {
		for _, h := range b.Hops {
			hop := newHop(w.cluster, h)
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
func (w *waysDrawing) connect(from, to, kind, label string, details ...graph.Detail) {
	id := [3]string{from, to, kind}
	e := w.at[id]
	if e == nil {
		e = &wayEdge{from: from, to: to, kind: kind}
		w.at[id] = e
		w.edges = append(w.edges, e)
	}
	if label != "" && !slices.Contains(e.labels, label) {
		e.labels = append(e.labels, label)
	}
	for _, d := range details {
		if !slices.Contains(e.details, d) && len(e.details) < maxMembersTold {
			e.details = append(e.details, d)
		}
	}
}
