package graph

import (
	"strings"
)

// color is how a tone looks: the fill of nodes, their outline and the line of edges, and
// text on the fill.
type color struct{ fill, line, text string }

// The colours of light and dark. Text has a contrast of at least 4.5 to the fill, lines
// of 3 to the page (WCAG 2.2, 1.4.3 and 1.4.11).
var (
	lightColors = map[Tone]color{
		Grey:   {"#eef0f4", "#6b7689", "#1b2230"},
		Blue:   {"#dceafb", "#2a6cb3", "#0f2a4a"},
		Teal:   {"#d9f2ec", "#177e6b", "#0a342c"},
		Violet: {"#e9e2fa", "#7450bd", "#2c1a55"},
		Amber:  {"#fdeecb", "#a66a00", "#3d2800"},
		Red:    {"#fde0e0", "#c0272d", "#560c10"},
	}
	darkColors = map[Tone]color{
		Grey:   {"#2a3240", "#8793a8", "#e4e8ef"},
		Blue:   {"#18324f", "#6aa8ec", "#dcebfd"},
		Teal:   {"#0f3a33", "#45b8a0", "#d3f5ed"},
		Violet: {"#33284f", "#a58be6", "#ece5fd"},
		Amber:  {"#40300f", "#dca33b", "#fdefce"},
		Red:    {"#4a1a1e", "#ef6f6f", "#fde3e3"},
	}
)

// text is all that is known of a node, a line each.
func (n *Node) text(d *Drawing) string {
	lines := []string{d.kind(n.Kind).Title + ": " + n.Label}
	if n.State != Same {
		lines = append(lines, string(n.State))
	}
	return strings.Join(append(lines, detailLines(n.Details)...), "\n")
}

// text is all that is known of an edge, a line each.
func (e *Edge) text(d *Drawing) string {
	lines := []string{strings.TrimSpace(d.edgeKind(e.Kind).Title + ": " + e.Label)}
	if e.State != Same {
		lines = append(lines, string(e.State))
	}
	return strings.Join(append(lines, detailLines(e.Details)...), "\n")
}

// tone is the colour of an edge: where two states are compared, that of its change.
func (e *Edge) tone(kind *EdgeKind) Tone {
	switch e.State {
	case Added:
		return Teal
	case Removed:
		return Red
	}
	return kind.Tone
}

func detailLines(details []Detail) []string {
	lines := make([]string, 0, len(details))
	for _, d := range details {
		lines = append(lines, d.Name+": "+d.Value)
	}
	return lines
}

// safeLink reports whether a link leads to the web, and does not run anything.
func safeLink(link string) bool {
	lower := strings.ToLower(link)
	return strings.HasPrefix(lower, "https://") || strings.HasPrefix(lower, "http://")
}
