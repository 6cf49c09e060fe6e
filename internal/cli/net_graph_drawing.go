package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/graph"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

const (
	// maxDrawn bounds how many changes are drawn, and maxEdgesExplained how many edges
	// tell their rules.
	maxDrawn, maxEdgesExplained = 5000, 1000
	// maxMembersTold bounds how many workloads a node names.
	maxMembersTold = 40
	// maxPortsText bounds the text of ports at an edge; what is more is told by the edge.
	maxPortsText = 26
	everyoneID   = "everyone"
)

// netDrawing draws who may talk to whom. Whoever is told the same of is one node; where
// many talk to many, edges lead through a node that stands for all who send.
type netDrawing struct {
	graph.Drawing
	d         *reach.Difference
	changes   []reach.Change
	names     map[reach.Part]*setNames
	namespace string
	// ways are those in; nil where none are drawn.
	ways *netWays
	// single draws each workload by itself.
	single bool

	groups reach.Groups
	known  map[string]bool
	// apart are workloads that are drawn by themselves.
	apart map[string]bool
	// drawn are the nodes of workloads, by their names.
	drawn map[string]drawnNode
	// explained counts the edges.
	explained int
}

// drawnNode is a node, and whether it stands for several workloads.
type drawnNode struct {
	id    string
	group bool
}

func newNetDrawing(d *reach.Difference, title string) *netDrawing {
	before, after := newSetNames(d.Before.Workloads()), newSetNames(d.After.Workloads())
	return &netDrawing{d: d, known: map[string]bool{}, drawn: map[string]drawnNode{}, names: map[reach.Part]*setNames{reach.Gained: after, reach.Lost: before, reach.Kept: after},
		Drawing: graph.Drawing{
			Title:       title,
			Description: "Workloads alike may do and receive the same. Addresses outside are on the left and right.",
			Kinds: []graph.Kind{
				{Name: "sender", Title: "Addresses that send", Tone: graph.Amber, Shape: graph.Hexagon, Column: -2},
				{Name: "everyone", Title: "All workloads", Tone: graph.Violet, Shape: graph.Pill, Column: -1},
				{Name: "hub", Title: "All of these", Tone: graph.Violet, Shape: graph.Cut},
				{Name: "workload", Title: "Workload", Tone: graph.Blue, Shape: graph.Round},
				{Name: "group", Title: "Workloads alike", Tone: graph.Blue, Shape: graph.Box},
				{Name: "receiver", Title: "Addresses that receive", Tone: graph.Amber, Shape: graph.Hexagon, Column: 2},
			},
			EdgeKinds: []graph.EdgeKind{
				{Name: "traffic", Title: "may talk to", Tone: graph.Blue, Line: graph.Solid},
				{Name: "outside", Title: "may talk to, from or to outside the cluster", Tone: graph.Amber, Line: graph.Dashed},
				{Name: "member", Title: "is one of", Tone: graph.Violet, Line: graph.Dotted},
			},
		}}
}

func (n *netDrawing) add(changes []reach.Change) { n.changes = append(n.changes, changes...) }

func (n *netDrawing) unknown(why []string) {
	for _, u := range why {
		n.Notes = append(n.Notes, "There may be more: "+u+".")
	}
}

// partStates are what becomes of connections.
var partStates = map[reach.Part]graph.State{reach.Gained: graph.Added, reach.Lost: graph.Removed}

// picture draws what was added.
func (n *netDrawing) picture() *graph.Drawing {
	if more := len(n.changes) - maxDrawn; more > 0 {
		n.changes = n.changes[:maxDrawn]
		n.Notes = append(n.Notes, fmt.Sprintf("%d more kinds of connections are not drawn: ask for one namespace.", more))
	}
	n.groups, n.apart = n.d.Groups(n.changes), n.ways.apart()
	for _, g := range n.groups.Workloads {
		if n.namespace == "" || n.isIn(g) {
			n.drawGroup(g)
		}
	}
	for _, f := range n.fans() {
		n.drawFan(f)
	}
	if n.ways != nil {
		n.drawWays()
	}
	if n.explained > maxEdgesExplained {
		n.Notes = append(n.Notes, fmt.Sprintf("Of %d edges the first %d tell their rules.", n.explained, maxEdgesExplained))
	}
	return &n.Drawing
}

func (n *netDrawing) isIn(group reach.Set) bool {
	for w := range group.Workloads() {
		return w.Namespace == n.namespace
	}
	return false
}

// place is the compartment of a namespace.
func (n *netDrawing) place(namespace string) string {
	id := key("namespace", namespace)
	if !n.known[id] {
		n.known[id] = true
		n.Compartments = append(n.Compartments, graph.Compartment{ID: id, Label: namespace})
	}
	return id
}

func (n *netDrawing) draw(node graph.Node) string {
	if !n.known["\x00"+node.ID] {
		n.known["\x00"+node.ID] = true
		n.Nodes = append(n.Nodes, node)
	}
	return node.ID
}

// netEnd is a node, and who it stands for.
type netEnd struct {
	id      string
	set     reach.Set
	outside bool
}

// drawGroup draws workloads of which the same is told: as one node, or each by itself.
func (n *netDrawing) drawGroup(g reach.Set) (out []netEnd) {
	var all []*reach.Workload
	for w := range g.Workloads() {
		all = append(all, w)
	}
	state := graph.Same
	if before, after := g.In(); !before {
		state = graph.Added
	} else if !after {
		state = graph.Removed
	}
	alone, rest := n.split(all)
	for _, w := range alone {
		id := n.draw(graph.Node{ID: key("workload", w.Namespace, w.Kind, w.Name), Label: w.Name, Kind: "workload", Compartment: n.place(w.Namespace), State: state,
			Details: []graph.Detail{{Name: w.Kind, Value: w.Name}, {Name: "Namespace", Value: w.Namespace}, {Name: "Pods", Value: podCount(w)}}})
		n.drawn[w.String()] = drawnNode{id, false}
		out = append(out, netEnd{id: id, set: g})
	}
	if len(rest) == 0 {
		return out
	}
	label := fmt.Sprintf("%s +%d", rest[0].Name, len(rest)-1)
	id := n.draw(graph.Node{ID: key("group", rest[0].Namespace, rest[0].Kind, rest[0].Name), Label: label, Kind: "group", Compartment: n.place(rest[0].Namespace), State: state,
		Details: []graph.Detail{{Name: plural(len(rest), "workload", "workloads"), Value: workloadList(rest)}, {Name: "Namespace", Value: rest[0].Namespace}}})
	for _, w := range rest {
		n.drawn[w.String()] = drawnNode{id, true}
	}
	return append(out, netEnd{id: id, set: g})
}

// split says which workloads of a group are drawn by themselves: those that ways in lead
// to, unless that were many.
func (n *netDrawing) split(all []*reach.Workload) (alone, rest []*reach.Workload) {
	if n.single {
		return all, nil
	}
	for _, w := range all {
		if n.apart[w.String()] {
			alone = append(alone, w)
		} else {
			rest = append(rest, w)
		}
	}
	if len(alone) > maxApart {
		alone, rest = nil, all
	}
	if len(rest) == 1 {
		return all, nil
	}
	return alone, rest
}

func podCount(w *reach.Workload) string { return fmt.Sprint(len(w.Pods)) }

// workloadList names workloads of a namespace.
func workloadList(all []*reach.Workload) string {
	var names []string
	for i, w := range all {
		if i == maxMembersTold {
			names = append(names, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		names = append(names, w.Kind+"/"+w.Name)
	}
	return strings.Join(names, ", ")
}

// outsideText names addresses in the few letters that a node has.
func outsideText(blocks []netip.Prefix) string {
	text := addressText(blocks)
	if len(blocks) > 2 && text != "any address" {
		if slices.ContainsFunc(blocks, func(b netip.Prefix) bool { return b.Bits() < 6 && b.Addr().Is4() }) {
			return "all other addresses"
		}
		return fmt.Sprintf("%s and %d more", blocks[0], len(blocks)-1)
	}
	return text
}

func (n *netDrawing) drawAddresses(kind string, g reach.Set) netEnd {
	blocks := g.Addresses()
	node := graph.Node{ID: key(kind, blocks[0].String()), Label: outsideText(blocks), Kind: kind}
	if len(blocks) > 1 {
		node.Details = []graph.Detail{{Name: "Blocks", Value: blockList(blocks)}}
	}
	return netEnd{n.draw(node), g, true}
}

// within are the nodes of the groups that are in a set.
func (n *netDrawing) within(s reach.Set, addresses []reach.Set, kind string) (pods, outside []netEnd) {
	for _, g := range n.groups.Workloads {
		if s.Has(g) {
			pods = append(pods, n.drawGroup(g)...)
		}
	}
	for _, g := range addresses {
		if s.Has(g) {
			outside = append(outside, n.drawAddresses(kind, g))
		}
	}
	return pods, outside
}

// fan are all changes of a part in which the same reach somebody.
type fan struct {
	part    reach.Part
	from    reach.Set
	changes []reach.Change
}

func (n *netDrawing) fans() (out []*fan) {
	at := map[string]*fan{}
	for _, c := range n.changes {
		id := fmt.Sprint(c.Part, " ", c.From.Key())
		if at[id] == nil {
			at[id] = &fan{part: c.Part, from: c.From}
			out = append(out, at[id])
		}
		at[id].changes = append(at[id].changes, c)
	}
	return out
}

// drawFan draws what the same reach: from each of them, or where that were many edges,
// from a node that stands for all.
func (n *netDrawing) drawFan(f *fan) {
	senders, outside := n.within(f.from, n.groups.Senders, "sender")
	var receivers [][]netEnd
	edges := 0
	for _, c := range f.changes {
		to := n.receivers(c)
		receivers = append(receivers, to)
		edges += len(to)
	}
	const few = 3 // a node for all of so few would be in the way
	switch {
	case len(senders) >= few && f.from.Whole(f.part):
		senders = []netEnd{n.everyone(f.from)}
	case len(senders) >= few && len(senders)*edges > len(senders)+edges+few:
		senders = []netEnd{n.hub(f, senders)}
	}
	for i, c := range f.changes {
		for _, to := range receivers[i] {
			for _, from := range append(slices.Clip(senders), outside...) {
				if !from.outside || !to.outside {
					n.edge(from, to, c)
				}
			}
		}
	}
}

// receivers are the nodes that a change leads to.
func (n *netDrawing) receivers(c reach.Change) []netEnd {
	pods, outside := n.within(c.To, n.groups.Receivers, "receiver")
	const few = 3
	if len(pods) >= few && c.To.Whole(c.Part) {
		pods = []netEnd{n.everyone(c.To)}
	}
	return append(pods, outside...)
}

// everyone is the node of all workloads.
func (n *netDrawing) everyone(s reach.Set) netEnd {
	workloads, _ := s.Select(func(*reach.Workload, bool, bool) bool { return true })
	id := n.draw(graph.Node{ID: everyoneID, Label: fmt.Sprintf("All %d workloads", workloads.Len()), Kind: "everyone",
		Details: []graph.Detail{{Name: "Stands for", Value: "every workload that is drawn, so that not each has an edge of its own"}}})
	return netEnd{id: id, set: workloads}
}

// hub draws a node that all senders of a fan lead to.
func (n *netDrawing) hub(f *fan, senders []netEnd) netEnd {
	workloads, _ := f.from.Select(func(*reach.Workload, bool, bool) bool { return true })
	namespaces := map[string]bool{}
	namespace := ""
	for w := range workloads.Workloads() {
		namespace = w.Namespace
		namespaces[namespace] = true
	}
	text := n.names[f.part].of(workloads)
	node := graph.Node{ID: key("hub", fmt.Sprint(f.part), workloads.Key()), Label: text, Kind: "hub", State: partStates[f.part],
		Details: []graph.Detail{{Name: "Stands for", Value: text}}}
	if !strings.HasPrefix(text, "all ") || strings.Contains(text, ",") {
		node.Label = plural(workloads.Len(), "workload", "workloads")
	}
	if len(namespaces) == 1 {
		node.Compartment = n.place(namespace)
	}
	id := n.draw(node)
	for _, s := range senders {
		n.Edges = append(n.Edges, graph.Edge{From: s.id, To: id, Kind: "member", State: partStates[f.part]})
	}
	return netEnd{id: id, set: workloads}
}

// edge draws that one end may talk to another, with the rules of one pair of them.
func (n *netDrawing) edge(from, to netEnd, c reach.Change) {
	kind := "traffic"
	if from.outside || to.outside {
		kind = "outside"
	}
	ports := c.Ports.String()
	e := graph.Edge{From: from.id, To: to.id, Kind: kind, Label: ports, State: partStates[c.Part], Details: []graph.Detail{{Name: "Ports", Value: ports}}}
	if cut := strings.LastIndex(ports[:min(len(ports), maxPortsText)], ","); len(ports) > maxPortsText && cut > 0 {
		e.Label = ports[:cut] + " and more"
	}
	c.From, c.To = from.set, to.set
	if n.explained++; n.explained <= maxEdgesExplained {
		e.Details = append(e.Details, ruleDetailsOf(explainChange(c))...)
	}
	n.Edges = append(n.Edges, e)
}

// ruleDetailsOf tell why an edge is there.
func ruleDetailsOf(b *netBecause) (out []graph.Detail) {
	if b == nil {
		return nil
	}
	out = append(out, graph.Detail{Name: "For example", Value: b.From + " to " + b.To})
	for _, rule := range b.Allowed {
		verb, rest, _ := strings.Cut(rule, " by ")
		out = append(out, graph.Detail{Name: strings.ToUpper(verb[:1]) + verb[1:] + " by", Value: rest})
	}
	if len(b.Allowed) == 0 {
		out = append(out, graph.Detail{Name: "Allowed", Value: "no rule of a policy decides"})
	}
	if b.Stopped != "" {
		out = append(out, graph.Detail{Name: "In the other state stopped", Value: b.Stopped})
	}
	return out
}

// drawing is the difference as a picture.
func (d *netDiff) drawing(namespace string) *graph.Drawing {
	n := newNetDrawing(d.Difference, "Connections gained and lost")
	n.Description = "What one of two states allows, and not the other."
	n.namespace = namespace
	n.ways = &netWays{d.points[0], d.points[1], d.ways, true}
	n.unknown(d.unknown)
	for _, part := range []reach.Part{reach.Gained, reach.Lost} {
		n.add(changesIn(d.Difference, part, namespace))
	}
	return n.picture()
}
