package cli

import (
	"fmt"
	"strings"

	"bulkhead.dev/bulkhead/internal/graph"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// newWhyDrawing is a drawing of who decides about traffic between ends.
func newWhyDrawing(title string) *whyDrawing {
	return &whyDrawing{nodes: map[string]bool{}, edges: map[[3]string]bool{}, Drawing: graph.Drawing{
		Title:       title,
		Description: "From left to right: who sends, the policies and rules that are asked about what leaves and what enters, and who receives.",
		Kinds: []graph.Kind{
			{Name: "from", Title: "Sends", Tone: graph.Blue, Shape: graph.Round, Column: -1},
			{Name: "egress-policy", Title: "Policy for what leaves", Tone: graph.Grey, Shape: graph.Box},
			{Name: "egress-rule", Title: "Rule for what leaves", Tone: graph.Teal, Shape: graph.Cut},
			{Name: "nothing", Title: "No policy is about it", Tone: graph.Teal, Shape: graph.Pill},
			{Name: "stop", Title: "Stops it", Tone: graph.Red, Shape: graph.Hexagon},
			{Name: "ingress-policy", Title: "Policy for what enters", Tone: graph.Grey, Shape: graph.Box},
			{Name: "ingress-rule", Title: "Rule for what enters", Tone: graph.Teal, Shape: graph.Cut},
			{Name: "to", Title: "Receives", Tone: graph.Blue, Shape: graph.Round, Column: 1},
		},
		EdgeKinds: []graph.EdgeKind{
			{Name: "allows", Title: "lets it through", Tone: graph.Teal, Line: graph.Solid},
			{Name: "stops", Title: "stops it", Tone: graph.Red, Line: graph.Dashed},
			{Name: "asks", Title: "is asked", Tone: graph.Grey, Line: graph.Dotted},
		},
	}}
}

type whyDrawing struct {
	graph.Drawing
	nodes map[string]bool
	edges map[[3]string]bool
}

func (d *whyDrawing) node(kind, label string, details ...graph.Detail) string {
	id := kind + "\x00" + label
	label = strings.Replace(label, "NetworkPolicy ", "", 1) // its namespace says what it is
	if !d.nodes[id] {
		d.nodes[id] = true
		d.Nodes = append(d.Nodes, graph.Node{ID: id, Label: label, Kind: kind, Details: details})
	}
	return id
}

func (d *whyDrawing) edge(from, to, kind, label string) {
	if key := [3]string{from, to, kind}; !d.edges[key] {
		d.edges[key] = true
		d.Edges = append(d.Edges, graph.Edge{From: from, To: to, Kind: kind, Label: label})
	}
}

// direction draws one direction from one node to the next: a way for each rule that lets
// it through, or what stops it.
func (d *whyDrawing) direction(name, from, to string, r reach.Reason) {
	if !r.Allowed {
		d.stopped(name, from, to, r)
		return
	}
	if len(r.Rules) == 0 {
		return
	}
	for _, rule := range r.Rules {
		policy := d.node(name+"-policy", policyName(rule))
		way := d.node(name+"-rule", rule.String(), netRuleDetails(rule)...)
		d.edge(from, policy, "asks", "")
		d.edge(policy, way, "allows", "")
		d.edge(way, to, "allows", "")
	}
}

func (d *whyDrawing) stopped(name, from, to string, r reach.Reason) {
	for _, rule := range r.Rules {
		policy := d.node(name+"-policy", policyName(rule))
		stop := d.node("stop", rule.String(), netRuleDetails(rule)...)
		d.edge(from, policy, "asks", "")
		d.edge(policy, stop, "stops", "")
		d.edge(stop, to, "stops", "")
	}
	if len(r.Rules) > 0 {
		return
	}
	stop := d.node("stop", fmt.Sprintf("No rule for %s allows it", name))
	for _, p := range r.Isolated {
		policy := d.node(name+"-policy", "NetworkPolicy "+p.Namespace+"/"+p.Name)
		d.edge(from, policy, "asks", "")
		d.edge(policy, stop, "stops", "")
	}
	d.edge(stop, to, "stops", "")
}

func policyName(r reach.RuleRef) string {
	name, _, _ := strings.Cut(r.String(), ", rule ")
	return name
}

func netRuleDetails(r reach.RuleRef) (out []graph.Detail) {
	if at := r.Locate(); at != nil {
		out = append(out, graph.Detail{Name: "Written at", Value: fmt.Sprintf("%s:%d", at.File, at.Line)})
	}
	return append(out, graph.Detail{Name: "Says", Value: r.Rule.Action.String()})
}

// drawing draws the pairs that are explained.
func (a netAnswer) drawing() *graph.Drawing {
	word := "No"
	if a.Allowed {
		word = "Yes"
	}
	title := word
	if len(a.Pairs) > 0 {
		title = fmt.Sprintf("%s: %s to %s", word, a.Pairs[0].From, a.Pairs[0].To)
	}
	d := newWhyDrawing(title)
	for _, p := range a.Pairs {
		from, to := d.node("from", p.From), d.node("to", p.To)
		d.pair(from, to, p.why)
		for _, why := range p.Unknown {
			d.Notes = append(d.Notes, "Not known: "+why+".")
		}
		if len(p.SmallestChanges) > 0 {
			var texts []string
			for _, e := range p.SmallestChanges[0].Edits {
				texts = append(texts, e.Text)
			}
			verb := "To allow it: "
			if a.Allowed {
				verb = "To stop it: "
			}
			d.Notes = append(d.Notes, verb+strings.Join(texts, ", and ")+"; "+p.SmallestChanges[0].effect()+".")
		}
	}
	if a.more > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%d more pairs are not drawn.", a.more))
	}
	return &d.Drawing
}

// pair draws both directions of one pair. In the middle stands what lies between them.
func (d *whyDrawing) pair(from, to string, x reach.Explanation) {
	egress, ingress := len(x.Egress.Rules)+len(x.Egress.Isolated) > 0, len(x.Ingress.Rules)+len(x.Ingress.Isolated) > 0
	switch {
	case x.Self || x.OwnNode:
		d.edge(from, to, "allows", "no policy is asked")
	case egress && ingress:
		middle := d.node("nothing", "between them")
		d.direction("egress", from, middle, x.Egress)
		d.direction("ingress", middle, to, x.Ingress)
	case egress:
		d.direction("egress", from, to, x.Egress)
	case ingress:
		d.direction("ingress", from, to, x.Ingress)
	default:
		d.edge(from, to, "allows", "no policy")
	}
}
