// Package graph draws: nodes in compartments, and edges between them, as text for
// Graphviz (DOT), as a still picture (SVG) and as a page to explore (HTML).
//
// A Drawing is plain values. Who makes one says what its kinds of nodes and edges are
// called and how they look, and knows nothing of formats. Names may be anything that an
// attacker writes: every writer escapes them, and shows what a reader would not see.
//
// What is drawn is bounded. Where a drawing has more than can be read, compartments are
// drawn as one node each, largest first, and the drawing says so.
package graph

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"bulkhead.dev/bulkhead/internal/report"
)

// Tone is the colour of a kind: the same in every format, in light and in dark.
type Tone string

// The tones.
const (
	Grey   Tone = "grey"
	Blue   Tone = "blue"
	Teal   Tone = "teal"
	Violet Tone = "violet"
	Amber  Tone = "amber"
	Red    Tone = "red"
)

// Shape is the outline of a kind of nodes. Tone and Shape together tell kinds apart, so
// that nobody has to see colours.
type Shape string

// The shapes.
const (
	Box     Shape = "box"
	Round   Shape = "round"
	Pill    Shape = "pill"
	Cut     Shape = "cut"
	Hexagon Shape = "hexagon"
)

// Line is how an edge is drawn.
type Line string

// The lines.
const (
	Solid  Line = "solid"
	Dashed Line = "dashed"
	Dotted Line = "dotted"
)

// State says what became of a node or an edge between two drawings that are compared.
type State string

// The states. Empty is both for what is in both, and where nothing is compared.
const (
	Same    State = ""
	Added   State = "added"
	Removed State = "removed"
)

// Kind is a kind of nodes.
type Kind struct {
	Name string `json:"name"`
	// Title is what the legend says: Service accounts.
	Title string `json:"title"`
	Tone  Tone   `json:"tone"`
	Shape Shape  `json:"shape"`
	// Column puts the kind left (below 0) or right (above 0) of those whose place their
	// edges say; lower numbers are further left.
	Column int `json:"column,omitempty"`
}

// EdgeKind is a kind of edges.
type EdgeKind struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Tone  Tone   `json:"tone"`
	Line  Line   `json:"line"`
	// Aside says that no path leads along such an edge.
	Aside bool `json:"aside,omitempty"`
}

// Detail is a line about a node or an edge.
type Detail struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Compartment holds nodes, and may be drawn as one: a namespace.
type Compartment struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	// Column is as that of a Kind.
	Column int `json:"column,omitempty"`
}

// Node is something with a name.
type Node struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	Kind  string `json:"kind"`
	// Compartment is empty for a node that stands by itself.
	Compartment string   `json:"compartment,omitempty"`
	State       State    `json:"state,omitempty"`
	Details     []Detail `json:"details,omitempty"`
	// Link is a web address about the node.
	Link string `json:"link,omitempty"`
}

// Edge leads from one node to another. Several may lead between the same two: those of
// one kind are drawn as one line.
type Edge struct {
	From    string   `json:"from"`
	To      string   `json:"to"`
	Kind    string   `json:"kind"`
	Label   string   `json:"label,omitempty"`
	State   State    `json:"state,omitempty"`
	Details []Detail `json:"details,omitempty"`
	// joined is how many edges it stands for; 0 is itself.
	joined int
}

// Drawing is what is drawn. The order of its parts does not matter to pictures.
type Drawing struct {
	Title string `json:"title"`
	// Description says in a sentence or two what is to be seen.
	Description  string        `json:"description,omitempty"`
	Kinds        []Kind        `json:"kinds"`
	EdgeKinds    []EdgeKind    `json:"edgeKinds"`
	Compartments []Compartment `json:"compartments,omitempty"`
	Nodes        []Node        `json:"nodes"`
	Edges        []Edge        `json:"edges"`
	// Goal is the node that the page shows shortest paths to; empty for none.
	Goal string `json:"goal,omitempty"`
	// Notes say what is left out or not known.
	Notes []string `json:"notes,omitempty"`
}

// maxText bounds a text of a drawing, in characters.
const maxText = 1000

// tidy returns the drawing with its parts in one order and its texts fit to be shown:
// nothing hidden in them, and none endless. It fails where an identifier is used twice
// or names nothing.
func (d *Drawing) tidy() (*Drawing, error) {
	out := *d
	out.Title, out.Description = clean(d.Title), clean(d.Description)
	out.Compartments, out.Nodes, out.Edges, out.Notes = slices.Clone(d.Compartments), slices.Clone(d.Nodes), slices.Clone(d.Edges), slices.Clone(d.Notes)
	for i, note := range out.Notes {
		out.Notes[i] = clean(note)
	}
	compartments := map[string]bool{}
	for i := range out.Compartments {
		c := &out.Compartments[i]
		if c.ID == "" || compartments[c.ID] {
			return nil, fmt.Errorf("draw %q: the compartment %q has no name of its own", d.Title, c.ID)
		}
		compartments[c.ID] = true
		c.Label = clean(c.Label)
	}
	nodes := make(map[string]bool, len(out.Nodes))
	for i := range out.Nodes {
		n := &out.Nodes[i]
		switch {
		case n.ID == "" || nodes[n.ID]:
			return nil, fmt.Errorf("draw %q: the node %q has no name of its own", d.Title, n.ID)
		case n.Compartment != "" && !compartments[n.Compartment]:
			return nil, fmt.Errorf("draw %q: the node %q is in the compartment %q, which does not exist", d.Title, n.ID, n.Compartment)
		case d.kind(n.Kind) == nil:
			return nil, fmt.Errorf("draw %q: the node %q is of the kind %q, which does not exist", d.Title, n.ID, n.Kind)
		}
		nodes[n.ID] = true
		n.Details = cleanDetails(n.Details)
		if letters := lookalikes(n.Label); letters != "" {
			n.Details = append(n.Details, Detail{"Letters", "not all are what they look like: " + letters})
		}
		n.Label = clean(n.Label)
	}
	for i := range out.Edges {
		e := &out.Edges[i]
		switch {
		case !nodes[e.From] || !nodes[e.To]:
			return nil, fmt.Errorf("draw %q: an edge leads from %q to %q, and not both exist", d.Title, e.From, e.To)
		case d.edgeKind(e.Kind) == nil:
			return nil, fmt.Errorf("draw %q: an edge is of the kind %q, which does not exist", d.Title, e.Kind)
		}
		e.Label, e.Details = clean(e.Label), cleanDetails(e.Details)
	}
	out.sort()
	return &out, nil
}

func (d *Drawing) kind(name string) *Kind {
	for i := range d.Kinds {
		if d.Kinds[i].Name == name {
			return &d.Kinds[i]
		}
	}
	return nil
}

func (d *Drawing) edgeKind(name string) *EdgeKind {
	for i := range d.EdgeKinds {
		if d.EdgeKinds[i].Name == name {
			return &d.EdgeKinds[i]
		}
	}
	return nil
}

func cleanDetails(details []Detail) []Detail {
	out := make([]Detail, len(details))
	for i, d := range details {
		out[i] = Detail{clean(d.Name), clean(d.Value)}
	}
	return out
}

// clean makes a text fit to be shown: what is hidden in it is written out, and of an
// endless one the middle is left out.
func clean(s string) string {
	if n := utf8.RuneCountInString(s); n > maxText {
		runes := []rune(s)
		s = fmt.Sprintf("%s…%s (%d characters)", string(runes[:maxText/2]), string(runes[n-maxText/4:]), n)
	}
	return report.Printable(s)
}

// maxLetters is how many letters lookalikes names.
const maxLetters = 5

// lookalikes names the letters of a text that is partly in ASCII and partly not, as a
// name is that is to be taken for another; empty for all others.
func lookalikes(s string) string {
	ascii := false
	var found []string
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			ascii = ascii || unicode.IsLetter(r)
		case unicode.IsLetter(r) || unicode.IsMark(r) || !unicode.IsPrint(r):
			if name := fmt.Sprintf("%U", r); !slices.Contains(found, name) && len(found) <= maxLetters {
				found = append(found, name)
			}
		}
	}
	if !ascii || len(found) == 0 {
		return ""
	}
	if len(found) > maxLetters {
		found[maxLetters] = "and more"
	}
	return strings.Join(found, ", ")
}
