package graph

import (
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/graph/formats/dot"
	"gonum.org/v1/gonum/graph/formats/dot/ast"
)

// parsed is what a parser of DOT that is not ours reads.
type parsed struct {
	nodes, edges map[string]string // label by identifier, and by "from to"
	clusters     []string
	edgeCount    int
}

func parseDOT(t *testing.T, text string) parsed {
	t.Helper()
	file, err := dot.ParseString(strings.ReplaceAll(text, "\ufffd", "?")) // it takes the character for an error of its own
	if err != nil {
		t.Fatalf("%v\n%.2000s", err, text)
	}
	if len(file.Graphs) != 1 || !file.Graphs[0].Directed {
		t.Fatalf("%d graphs", len(file.Graphs))
	}
	p := parsed{nodes: map[string]string{}, edges: map[string]string{}}
	p.read(t, file.Graphs[0].Stmts)
	return p
}

func (p *parsed) read(t *testing.T, statements []ast.Stmt) {
	for _, s := range statements {
		switch s := s.(type) {
		case *ast.NodeStmt:
			if _, twice := p.nodes[s.Node.ID]; twice {
				t.Errorf("%s is declared twice", s.Node.ID)
			}
			p.nodes[s.Node.ID] = label(s.Attrs)
		case *ast.EdgeStmt:
			p.edgeCount++
			p.edges[s.From.(*ast.Node).ID+" "+s.To.Vertex.(*ast.Node).ID] = label(s.Attrs)
		case *ast.Subgraph:
			p.clusters = append(p.clusters, s.ID)
			p.read(t, s.Stmts)
		case *ast.Attr, *ast.AttrStmt:
		default:
			t.Errorf("a statement of type %T", s)
		}
	}
}

func label(attributes []*ast.Attr) string {
	for _, a := range attributes {
		if a.Key == "label" {
			return strings.TrimSuffix(strings.TrimPrefix(a.Val, `"`), `"`)
		}
	}
	return ""
}

func TestDOT(t *testing.T) {
	p := parseDOT(t, render(t, WriteDOT, shop()))
	if len(p.nodes) != 9 || p.edgeCount != 12 || len(p.clusters) != 3 {
		t.Errorf("%d nodes, %d edges, clusters %q", len(p.nodes), p.edgeCount, p.clusters)
	}
	ids := map[string]string{}
	for id, text := range p.nodes {
		ids[text] = id
	}
	if got := p.edges[ids[`ci\nService account`]+" "+ids[`deployer\nService account`]]; got != "mint-token" {
		t.Errorf("from ci to deployer stands %q in %v", got, p.nodes)
	}
	if _, ok := ids[`pods\nResources, added`]; !ok {
		t.Errorf("%v", p.nodes)
	}
}

// Whatever a name is, it stays inside of its quotes, and two stay two.
func TestDOTHostile(t *testing.T) {
	d := hostile()
	text := render(t, WriteDOT, d)
	p := parseDOT(t, text)
	if len(p.nodes) != len(d.Nodes) || p.edgeCount != len(d.Edges) || len(p.clusters) != len(d.Compartments) {
		t.Errorf("%d nodes of %d, %d edges of %d, %d clusters of %d", len(p.nodes), len(d.Nodes), p.edgeCount, len(d.Edges), len(p.clusters), len(d.Compartments))
	}
	plain(t, text)
	found := 0
	for _, label := range p.nodes {
		// Graphviz would put the name of the node here.
		if strings.HasPrefix(label, `\\N \\G \\L`) {
			found++
		}
		if strings.HasPrefix(label, `\N`) {
			t.Errorf("%q", label)
		}
	}
	if found != 2 {
		t.Errorf("%d labels with a backslash and a letter", found)
	}
}

// plain reports control characters and what else a terminal or a reader is misled by.
func plain(t *testing.T, text string) {
	t.Helper()
	for i, r := range text {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x202e || r == 0x200b || r == 0xfeff || r == 0x2028 {
			t.Fatalf("%U at %d: %q", r, i, text[max(0, i-40):min(len(text), i+40)])
		}
	}
}

func TestDOTRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 20 {
		d := random(r, r.IntN(8), 1+r.IntN(60))
		if p := parseDOT(t, render(t, WriteDOT, d)); len(p.nodes) != len(d.Nodes) || p.edgeCount != len(d.Edges) {
			t.Fatalf("%d nodes of %d, %d edges of %d", len(p.nodes), len(d.Nodes), p.edgeCount, len(d.Edges))
		}
	}
}
