package graph

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// svgLimits bound a still picture, which nobody can search or open.
var svgLimits = limits{nodes: 160, edges: 500, most: 600}

const (
	margin     = 24
	titleSize  = 18
	nameSize   = 13
	kindSize   = 10.5
	labelSize  = 10.5
	lineHeight = 18
)

// WriteSVG writes the drawing as a picture that stands by itself: no script, no font,
// nothing from elsewhere.
func WriteSVG(w io.Writer, d *Drawing) error {
	d, err := d.tidy()
	if err != nil {
		return err
	}
	d = d.bounded(svgLimits, "Ask for less, such as one namespace, or for the page (html), which opens them.")
	l := newLayout(d, func(*Compartment) bool { return false })
	p := &svgPicture{Writer: bufio.NewWriter(w), d: d, l: l, lines: newLines(d), routes: newRouter(l.boxes)}
	p.write()
	return p.Flush()
}

// line is what is drawn for all edges of a kind between two nodes.
type line struct {
	from, to int
	kind     *EdgeKind
	edges    []*Edge
	// lane tells lines between the same two apart, from 0.
	lane, lanes int
}

func newLines(d *Drawing) []*line {
	number := make(map[string]int, len(d.Nodes))
	for i, n := range d.Nodes {
		number[n.ID] = i
	}
	type key struct {
		from, to int
		kind     string
		state    State
	}
	byKey := map[key]*line{}
	between := map[[2]int][]*line{}
	var lines []*line
	for i := range d.Edges {
		e := &d.Edges[i]
		k := key{number[e.From], number[e.To], e.Kind, e.State}
		if byKey[k] == nil {
			byKey[k] = &line{from: k.from, to: k.to, kind: d.edgeKind(e.Kind)}
			lines = append(lines, byKey[k])
			pair := [2]int{min(k.from, k.to), max(k.from, k.to)}
			between[pair] = append(between[pair], byKey[k])
		}
		byKey[k].edges = append(byKey[k].edges, e)
	}
	for _, same := range between {
		for i, l := range same {
			l.lane, l.lanes = i, len(same)
		}
	}
	return lines
}

// label is what stands at a line: the label that all edges have, or their number.
func (l *line) label() string {
	first := l.edges[0].Label
	if !slices.ContainsFunc(l.edges, func(e *Edge) bool { return e.Label != first }) {
		if len(l.edges) == 1 || first == "" {
			return first
		}
		return fmt.Sprintf("%s ×%d", first, len(l.edges))
	}
	return fmt.Sprintf("×%d", len(l.edges))
}

// maxTold is how many edges the title of a line tells of.
const maxTold = 8

func (l *line) text(d *Drawing) string {
	var parts []string
	for _, e := range l.edges[:min(maxTold, len(l.edges))] {
		parts = append(parts, e.text(d))
	}
	if more := len(l.edges) - maxTold; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return d.Nodes[l.from].Label + " → " + d.Nodes[l.to].Label + "\n" + strings.Join(parts, "\n")
}

type svgPicture struct {
	*bufio.Writer
	d      *Drawing
	l      *layout
	lines  []*line
	routes *router
}

func (p *svgPicture) write() {
	head := p.heading()
	legend, legendHeight := p.legend()
	width := math.Max(p.l.size.x, 560) + 2*margin
	top := margin + float64(len(head))*lineHeight + 8
	height := top + p.l.size.y + margin + legendHeight
	fmt.Fprintf(p, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"title desc\">\n", width, height, width, height)
	fmt.Fprintf(p, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n", escape(p.d.Title), escape(p.description()))
	fmt.Fprintf(p, "<style>%s</style>\n", svgStyle())
	p.markers()
	fmt.Fprintf(p, "<rect class=\"page\" width=\"100%%\" height=\"100%%\"/>\n")
	for i, line := range head {
		class := "note"
		if i == 0 {
			class = "title"
		}
		fmt.Fprintf(p, "<text class=\"%s\" x=\"%d\" y=\"%.0f\">%s</text>\n", class, margin, margin+float64(i)*lineHeight+12, escape(shorten(line, nameSize, width-2*margin)))
	}
	fmt.Fprintf(p, "<g transform=\"translate(%.1f %.1f)\">\n", margin+(width-2*margin-p.l.size.x)/2, top)
	for _, f := range p.l.frames {
		fmt.Fprintf(p, "<g class=\"frame\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"10\"/><text x=\"%.1f\" y=\"%.1f\">%s<title>%s</title></text></g>\n",
			f.x, f.y, f.width, f.height, f.x+geometry.Padding, f.y+24, escape(shorten(f.Label, nameSize, f.width-2*geometry.Padding)), escape(f.Label))
	}
	p.drawLines()
	for i := range p.d.Nodes {
		p.node(&p.d.Nodes[i], p.l.boxes[i])
	}
	p.labels()
	fmt.Fprintf(p, "</g>\n<g transform=\"translate(%d %.1f)\">%s</g>\n</svg>\n", margin, height-legendHeight, legend)
}

func (p *svgPicture) heading() []string {
	out := []string{p.d.Title}
	if p.d.Description != "" {
		out = append(out, p.d.Description)
	}
	return append(out, p.d.Notes...)
}

func (p *svgPicture) description() string {
	return strings.TrimSpace(fmt.Sprintf("%s %d nodes and %d edges. %s", p.d.Description, len(p.d.Nodes), len(p.d.Edges), strings.Join(p.d.Notes, " ")))
}

// markers are the heads of arrows, one for each tone.
func (p *svgPicture) markers() {
	fmt.Fprintf(p, "<defs>")
	for _, tone := range tones {
		fmt.Fprintf(p, "<marker id=\"head-%s\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"head %s\" d=\"M0 1L10 5L0 9z\"/></marker>", tone, tone)
	}
	fmt.Fprintf(p, "</defs>\n")
}

func (p *svgPicture) node(n *Node, b box) {
	kind := p.d.kind(n.Kind)
	class := "node " + string(kind.Tone)
	if n.State != Same {
		class += " " + string(n.State)
	}
	fmt.Fprintf(p, "<g class=\"%s\"><title>%s</title>%s", class, escape(n.text(p.d)), outline(kind.Shape, b))
	second := kind.Title
	if kind.Name == closedKind.Name && len(n.Details) > 0 {
		second = n.Details[0].Value + " nodes"
	}
	if n.State != Same {
		second += ", " + string(n.State)
	}
	middle := b.x + b.width/2
	fmt.Fprintf(p, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">%s</text>", middle, b.y+b.height/2-1, escape(shorten(n.Label, nameSize, b.width-20)))
	fmt.Fprintf(p, "<text class=\"kind\" x=\"%.1f\" y=\"%.1f\">%s</text></g>\n", middle, b.y+b.height/2+13, escape(shorten(second, kindSize, b.width-20)))
}

// outline is the shape of a node.
func outline(s Shape, b box) string {
	rectangle := func(radius float64) string {
		return fmt.Sprintf("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%.1f\"/>", b.x, b.y, b.width, b.height, radius)
	}
	c := 9.0
	switch s {
	case Round:
		return rectangle(10)
	case Pill:
		return rectangle(b.height / 2)
	case Cut:
		return fmt.Sprintf("<path d=\"M%.1f %.1fh%.1fl%.1f %.1fv%.1fh%.1fz\"/>", b.x, b.y, b.width-c, c, c, b.height-c, -b.width)
	case Hexagon:
		return fmt.Sprintf("<path d=\"M%.1f %.1fh%.1fl%.1f %.1fl%.1f %.1fh%.1fl%.1f %.1fz\"/>", b.x+c, b.y, b.width-2*c, c, b.height/2, -c, b.height/2, -(b.width - 2*c), -c, -b.height/2)
	}
	return rectangle(2)
}

func (p *svgPicture) drawLines() {
	for _, l := range p.lines {
		tone := l.edges[0].tone(l.kind)
		class := fmt.Sprintf("edge %s %s", tone, l.kind.Line)
		if len(l.edges) > 1 {
			class += " many"
		}
		fmt.Fprintf(p, "<path class=\"%s\" d=\"%s\" marker-end=\"url(#head-%s)\"><title>%s</title></path>\n", class, p.curve(l), tone, escape(l.text(p.d)))
	}
}

func (p *svgPicture) curve(l *line) string {
	points, loop := p.routes.route(l)
	var b strings.Builder
	fmt.Fprintf(&b, "M%.1f %.1f", points[0].x, points[0].y)
	for i := 0; i+1 < len(points); i += 2 {
		if i > 0 {
			fmt.Fprintf(&b, "H%.1f", points[i].x)
		}
		to := points[i+1]
		c1, c2 := bend(points[i], to, loop)
		fmt.Fprintf(&b, "C%.1f %.1f %.1f %.1f %.1f %.1f", c1.x, c1.y, c2.x, c2.y, to.x, to.y)
	}
	return b.String()
}

// labels come last, so that no line runs through them; first those of kinds that stand
// out. One that finds no room is left out: its line has a title.
func (p *svgPicture) labels() {
	var taken []box
	lines := slices.Clone(p.lines)
	slices.SortStableFunc(lines, func(a, b *line) int { return slices.Index(loudest, b.kind.Tone) - slices.Index(loudest, a.kind.Tone) })
	for _, l := range lines {
		text := shorten(l.label(), labelSize, geometry.Across+8)
		if text == "" {
			continue
		}
		width := textWidth(text, labelSize)
		for _, at := range p.rooms(l) {
			b := box{at.x - width/2, at.y - 6, width, 12}
			if slices.ContainsFunc(taken, b.overlaps) || slices.ContainsFunc(p.l.boxes, b.overlaps) {
				continue
			}
			taken = append(taken, b)
			fmt.Fprintf(p, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", at.x, at.y+3.5, escape(text))
			break
		}
	}
}

// loudest are the tones from the quietest to the loudest.
var loudest = []Tone{Grey, Violet, Blue, Teal, Amber, Red}

func (b box) overlaps(o box) bool {
	return b.x < o.x+o.width && o.x < b.x+b.width && b.y < o.y+o.height && o.y < b.y+b.height
}

// rooms are where the label of a line may stand: in its bends, where no box is.
func (p *svgPicture) rooms(l *line) []point {
	points, loop := p.routes.route(l)
	var out []point
	for i := len(points) - 2; i >= 0; i -= 2 {
		a, b := points[i], points[i+1]
		c1, c2 := bend(a, b, loop)
		for _, t := range []float64{.5, .7, .3} {
			u := 1 - t
			out = append(out, point{u*u*u*a.x + 3*u*u*t*c1.x + 3*u*t*t*c2.x + t*t*t*b.x, u*u*u*a.y + 3*u*u*t*c1.y + 3*u*t*t*c2.y + t*t*t*b.y})
		}
	}
	return out
}

// legend says what the kinds look like that are in the picture.
func (p *svgPicture) legend() (text string, height float64) {
	var b strings.Builder
	x, y := 0.0, 14.0
	limit := math.Max(p.l.size.x, 560)
	entry := func(sign func(x, y float64), name string) {
		w := 46 + textWidth(name, kindSize)
		if x > 0 && x+w > limit {
			x, y = 0, y+22
		}
		sign(x, y)
		fmt.Fprintf(&b, "<text class=\"legend\" x=\"%.1f\" y=\"%.1f\">%s</text>", x+30, y+4, escape(name))
		x += w
	}
	for _, k := range p.d.Kinds {
		if slices.ContainsFunc(p.d.Nodes, func(n Node) bool { return n.Kind == k.Name }) {
			entry(func(x, y float64) {
				fmt.Fprintf(&b, "<g class=\"node %s\">%s</g>", k.Tone, outline(k.Shape, box{x, y - 8, 24, 16}))
			}, k.Title)
		}
	}
	used := map[string]bool{}
	for _, l := range p.lines {
		used[l.kind.Name] = true
	}
	for _, k := range p.d.EdgeKinds {
		if used[k.Name] {
			entry(func(x, y float64) {
				fmt.Fprintf(&b, "<path class=\"edge %s %s\" d=\"M%.1f %.1fh24\" marker-end=\"url(#head-%s)\"/>", k.Tone, k.Line, x, y, k.Tone)
			}, k.Title)
		}
	}
	return b.String(), y + 28
}

// tones are all tones, in one order.
var tones = []Tone{Grey, Blue, Teal, Violet, Amber, Red}

// svgStyle is the sheet of a picture, light and dark. It has no variables, which
// programs that are no browsers do not know.
func svgStyle() string {
	var b strings.Builder
	b.WriteString("text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif;font-size:13px}" +
		".title{font-size:18px;font-weight:600}.note,.legend,.kind{font-size:10.5px}.note{font-size:12px}.name,.kind,.label{text-anchor:middle}.name{font-weight:600}" +
		".label{font-size:10.5px;paint-order:stroke;stroke-width:4px;stroke-linejoin:round}.frame text{font-weight:600}" +
		".node rect,.node path{stroke-width:1.4}.edge{fill:none;stroke-width:1.3;stroke-opacity:.7}.many{stroke-width:2.2}.dashed{stroke-dasharray:6 4}.dotted{stroke-dasharray:1.5 4;stroke-linecap:round}" +
		".added rect,.added path{stroke-width:3}.removed rect,.removed path{stroke-dasharray:5 3}")
	scheme := func(page, text, muted, frame, line string, colors map[Tone]color) {
		fmt.Fprintf(&b, ".page{fill:%s}text{fill:%s}.note,.legend{fill:%s}.frame rect{fill:%s;stroke:%s}.label{stroke:%s}", page, text, muted, frame, line, page)
		for _, t := range tones {
			c := colors[t]
			fmt.Fprintf(&b, ".node.%s rect,.node.%s path{fill:%s;stroke:%s}.node.%s text{fill:%s}.edge.%s{stroke:%s}.head.%s{fill:%s}", t, t, c.fill, c.line, t, c.text, t, c.line, t, c.line)
		}
	}
	scheme("#ffffff", "#1b2230", "#566072", "#f5f6f8", "#c9d0db", lightColors)
	b.WriteString("@media screen and (prefers-color-scheme:dark){")
	scheme("#11151c", "#e4e8ef", "#a1acbd", "#191f29", "#384356", darkColors)
	b.WriteString("}")
	return b.String()
}

// escape makes a text fit for XML, in elements and in attributes.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}
