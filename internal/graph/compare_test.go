package graph

import (
	"slices"
	"strings"
	"testing"
)

// TestCompare: what differs is marked, its ends stay, and nothing else does.
func TestCompare(t *testing.T) {
	drawing := func(nodes, edges string) *Drawing {
		d := &Drawing{Title: "t", Kinds: []Kind{{Name: "k"}}, EdgeKinds: []EdgeKind{{Name: "e"}}, Goal: "z"}
		for _, n := range strings.Fields(nodes) {
			if !slices.ContainsFunc(d.Compartments, func(c Compartment) bool { return c.ID == n[:1] }) {
				d.Compartments = append(d.Compartments, Compartment{ID: n[:1], Label: n[:1]})
			}
			d.Nodes = append(d.Nodes, Node{ID: n, Label: n, Kind: "k", Compartment: n[:1]})
		}
		for _, e := range strings.Fields(edges) {
			ends := strings.Split(e, ">")
			d.Edges = append(d.Edges, Edge{From: ends[0], To: ends[1], Kind: "e"})
		}
		return d
	}
	got := Compare(drawing("a1 a2 b1 c1", "a1>a2 a1>b1 b1>c1"), drawing("a1 a2 b1 d1", "a1>a2 a1>b1 b1>d1"))
	var said []string
	for _, n := range got.Nodes {
		said = append(said, n.ID+string(n.State))
	}
	for _, e := range got.Edges {
		said = append(said, e.From+">"+e.To+string(e.State))
	}
	for _, c := range got.Compartments {
		said = append(said, c.ID)
	}
	if want := "b1 d1added c1removed b1>d1added b1>c1removed b d c"; strings.Join(said, " ") != want {
		t.Errorf("%s", strings.Join(said, " "))
	}
	if got.Goal != "" {
		t.Errorf("the goal %q is not drawn", got.Goal)
	}
	var out strings.Builder
	if err := WriteSVG(&out, got); err != nil {
		t.Error(err)
	}
	if same := Compare(drawing("a1", ""), drawing("a1", "")); len(same.Nodes)+len(same.Edges)+len(same.Compartments) != 0 {
		t.Errorf("%+v", same)
	}
}
