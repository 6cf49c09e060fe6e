package graph

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"

	"bulkhead.dev/bulkhead/internal/report"
)

// The page comes in parts: a template for what needs no script, the library that draws
// (page/README.md says where it is from), and scripts that share one module, so that a
// name in one is known in the next.
var (
	//go:embed page/page.html
	htmlPage string
	//go:embed page/page.css
	htmlStyle string
	//go:embed page/cytoscape.min.js
	htmlLibrary string
	//go:embed page/dom.js
	htmlDOM string
	//go:embed page/model.js
	htmlModel string
	//go:embed page/layout.js
	htmlLayout string
	//go:embed page/canvas.js
	htmlCanvas string
	//go:embed page/detail.js
	htmlDetail string
	//go:embed page/page.js
	htmlPageScript string

	htmlScript   = htmlDOM + htmlModel + htmlLayout + htmlCanvas + htmlDetail + htmlPageScript
	htmlTemplate = template.Must(template.New("page").Parse(htmlPage))
)

var (
	// htmlLimits bound what the page holds.
	htmlLimits = limits{nodes: 20_000, edges: 60_000, most: 20_000}
	// htmlOpen is how many nodes are drawn at once when the page is opened; of more,
	// compartments are closed until the reader opens them.
	htmlOpen = 120
)

// htmlData is the drawing as the scripts read it: nodes, compartments and kinds are
// named by their place in their list.
type htmlData struct {
	Title        string            `json:"title"`
	Kinds        []Kind            `json:"kinds"`
	EdgeKinds    []EdgeKind        `json:"edgeKinds"`
	Compartments []htmlCompartment `json:"compartments"`
	Nodes        []htmlNode        `json:"nodes"`
	Edges        []htmlEdge        `json:"edges"`
	// Goal is -1 for none.
	Goal     int           `json:"goal"`
	Open     bool          `json:"open"`
	Geometry any           `json:"geometry"`
	Light    map[Tone]trio `json:"light"`
	Dark     map[Tone]trio `json:"dark"`
}

type trio [3]string

type htmlCompartment struct {
	Label string `json:"label"`
	// Cell is the column and the row of it in the picture.
	Cell [2]int `json:"cell"`
}

type htmlNode struct {
	Label string `json:"label"`
	Kind  int    `json:"kind"`
	// In is the compartment, -1 for none; Cell is the place in it, or in the picture.
	In      int         `json:"in"`
	Cell    [2]int      `json:"cell"`
	State   State       `json:"state,omitempty"`
	Details [][2]string `json:"details,omitempty"`
	Link    string      `json:"link,omitempty"`
}

type htmlEdge struct {
	From    int         `json:"from"`
	To      int         `json:"to"`
	Kind    int         `json:"kind"`
	Label   string      `json:"label,omitempty"`
	State   State       `json:"state,omitempty"`
	Details [][2]string `json:"details,omitempty"`
}

// WriteHTML writes the drawing as one page that loads nothing and sends nothing. Its
// policy lets a browser run nothing but the style and the scripts that are hashed here.
func WriteHTML(w io.Writer, d *Drawing) error {
	d, err := d.tidy()
	if err != nil {
		return err
	}
	d = d.bounded(htmlLimits, "Ask for less, such as one namespace.")
	out := bufio.NewWriter(w)
	view := struct {
		*Drawing
		Policy string
		Style  template.CSS
	}{d, report.PagePolicy(htmlStyle, htmlLibrary, htmlScript), template.CSS(htmlStyle)}
	if err := htmlTemplate.Execute(out, view); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	data, err := json.Marshal(newHTMLData(d)) // writes <, > and & as escapes, so that nothing ends the element
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	fmt.Fprintf(out, "<script type=\"application/json\" id=\"data\">%s</script>\n<script>%s</script>\n<script type=\"module\">%s</script>\n</body>\n</html>\n", data, htmlLibrary, htmlScript)
	return out.Flush()
}

func newHTMLData(d *Drawing) htmlData {
	out := htmlData{Title: d.Title, Kinds: d.Kinds, EdgeKinds: d.EdgeKinds, Goal: -1, Open: len(d.Nodes) <= htmlOpen,
		Compartments: []htmlCompartment{}, Nodes: make([]htmlNode, len(d.Nodes)), Edges: make([]htmlEdge, len(d.Edges)),
		Geometry: geometry, Light: trios(lightColors), Dark: trios(darkColors)}
	kinds, edgeKinds, number := map[string]int{}, map[string]int{}, make(map[string]int, len(d.Nodes))
	for i, k := range d.Kinds {
		kinds[k.Name] = i
	}
	for i, k := range d.EdgeKinds {
		edgeKinds[k.Name] = i
	}
	for i, n := range d.Nodes {
		number[n.ID] = i
		out.Nodes[i] = htmlNode{Label: n.Label, Kind: kinds[n.Kind], In: -1, State: n.State, Details: pairs(n.Details)}
		if safeLink(n.Link) {
			out.Nodes[i].Link = n.Link
		}
		if n.ID == d.Goal {
			out.Goal = i
		}
	}
	for i, e := range d.Edges {
		out.Edges[i] = htmlEdge{From: number[e.From], To: number[e.To], Kind: edgeKinds[e.Kind], Label: e.Label, State: e.State, Details: pairs(e.Details)}
	}
	for _, b := range newLayout(d, func(*Compartment) bool { return !out.Open }).blocks {
		if b.compartment == nil || b.alone(d) {
			out.Nodes[b.nodes[0]].Cell = [2]int{b.cell.column, b.cell.row}
			continue
		}
		for k, i := range b.nodes {
			out.Nodes[i].In, out.Nodes[i].Cell = len(out.Compartments), [2]int{b.cells[k].column, b.cells[k].row}
		}
		out.Compartments = append(out.Compartments, htmlCompartment{b.compartment.Label, [2]int{b.cell.column, b.cell.row}})
	}
	return out
}

func pairs(details []Detail) [][2]string {
	var out [][2]string
	for _, d := range details {
		out = append(out, [2]string{d.Name, d.Value})
	}
	return out
}

func trios(colors map[Tone]color) map[Tone]trio {
	out := map[Tone]trio{}
	for tone, c := range colors {
		out[tone] = trio{c.fill, c.line, c.text}
	}
	return out
}
