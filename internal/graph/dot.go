package graph

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// dotLimits bound what Graphviz gets: beyond, no picture of it can be read.
var dotLimits = limits{nodes: 5_000, edges: 20_000, most: 5_000}

// WriteDOT writes the drawing in the language of Graphviz
// (https://graphviz.org/doc/info/lang.html), compartments as clusters.
func WriteDOT(w io.Writer, d *Drawing) error {
	d, err := d.tidy()
	if err != nil {
		return err
	}
	d = d.bounded(dotLimits, "Ask for less, or for another format.")
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "digraph %s {\n", dotLabel(d.Title))
	fmt.Fprintf(out, "  graph [rankdir=LR, compound=true, fontname=\"Helvetica\", labelloc=t, label=%s];\n", dotLabel(strings.TrimSpace(d.Title+"\n"+strings.Join(d.Notes, "\n"))))
	fmt.Fprintf(out, "  node [shape=box, style=\"filled\", fontname=\"Helvetica\", fontsize=11];\n  edge [fontname=\"Helvetica\", fontsize=9];\n")
	// Identifiers are numbers: two names may look the same once they are escaped.
	number := make(map[string]int, len(d.Nodes))
	for i, n := range d.Nodes {
		number[n.ID] = i
	}
	for i, b := range newBlocks(d) {
		if b.compartment == nil {
			writeDOTNode(out, d, b.nodes[0], "  ")
			continue
		}
		fmt.Fprintf(out, "  subgraph cluster_%d {\n    label=%s; style=\"rounded\"; color=\"#8a94a6\";\n", i, dotLabel(b.compartment.Label))
		for _, n := range b.nodes {
			writeDOTNode(out, d, n, "    ")
		}
		fmt.Fprintf(out, "  }\n")
	}
	for i := range d.Edges {
		writeDOTEdge(out, d, &d.Edges[i], number)
	}
	fmt.Fprintf(out, "}\n")
	return out.Flush()
}

var dotShapes = map[Shape]string{Round: "ellipse", Pill: "oval", Cut: "note", Hexagon: "hexagon"}

func writeDOTNode(w io.Writer, d *Drawing, number int, indent string) {
	n := &d.Nodes[number]
	kind := d.kind(n.Kind)
	shape := dotShapes[kind.Shape]
	if shape == "" {
		shape = "box"
	}
	c := lightColors[kind.Tone]
	style := "filled"
	if n.State == Removed {
		style = "filled,dashed"
	}
	label := n.Label + "\n" + kind.Title
	if n.State != Same {
		label += ", " + string(n.State)
	}
	fmt.Fprintf(w, "%sn%d [label=%s, tooltip=%s, shape=%s, style=\"%s\", fillcolor=\"%s\", color=\"%s\"", indent, number, dotLabel(label), dotLabel(n.text(d)), shape, style, c.fill, c.line)
	if n.Link != "" && safeLink(n.Link) {
		fmt.Fprintf(w, ", URL=%s", dotLabel(n.Link))
	}
	fmt.Fprintf(w, "];\n")
}

func writeDOTEdge(w io.Writer, d *Drawing, e *Edge, number map[string]int) {
	kind := d.edgeKind(e.Kind)
	label := e.Label
	if e.State != Same {
		label = strings.TrimSpace(label + " (" + string(e.State) + ")")
	}
	style := string(kind.Line)
	if style == "" {
		style = string(Solid)
	}
	fmt.Fprintf(w, "  n%d -> n%d [label=%s, tooltip=%s, style=%s, color=\"%s\"];\n", number[e.From], number[e.To], dotLabel(label), dotLabel(e.text(d)), style, lightColors[e.tone(kind)].line)
}

// An ampersand would begin the name of a character: &lt;.
var dotEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;")

// dotLabel quotes a text whose backslashes Graphviz would take for escapes, such as \N
// for the name of the node. Lines of it stay lines.
func dotLabel(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = dotEscapes.Replace(clean(line))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}
