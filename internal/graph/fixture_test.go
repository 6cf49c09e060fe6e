package graph

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

var testKinds = []Kind{
	{Name: "user", Title: "User", Tone: Blue, Shape: Pill, Column: -4},
	{Name: "account", Title: "Service account", Tone: Teal, Shape: Round, Column: -4},
	{Name: "role", Title: "Role", Tone: Violet, Shape: Cut, Column: 1},
	{Name: "reach", Title: "Resources", Tone: Grey, Shape: Box, Column: 2},
	{Name: "everything", Title: "Everything", Tone: Red, Shape: Hexagon, Column: 3},
	{Name: "workload", Title: "Workload", Tone: Amber, Shape: Round},
}

var testEdgeKinds = []EdgeKind{
	{Name: "binding", Title: "is bound to", Tone: Violet, Line: Solid},
	{Name: "rule", Title: "allows", Tone: Grey, Line: Solid},
	{Name: "step", Title: "can become", Tone: Red, Line: Dashed},
	{Name: "part", Title: "takes part in", Tone: Amber, Line: Dotted, Aside: true},
}

// shop is a small drawing with all that a drawing may have.
func shop() *Drawing {
	return &Drawing{Title: "Who may do what in the shop", Description: "A test.", Kinds: testKinds, EdgeKinds: testEdgeKinds, Goal: "admin",
		Compartments: []Compartment{{ID: "shop", Label: "shop", Column: -1}, {ID: "ops", Label: "ops", Column: -1}, {ID: "cluster", Label: "Whole cluster", Column: 1}},
		Nodes: []Node{
			{ID: "jane", Label: "jane", Kind: "user", Link: "https://example.com/jane"},
			{ID: "web", Label: "web", Kind: "account", Compartment: "shop"},
			{ID: "ci", Label: "ci", Kind: "account", Compartment: "shop"},
			{ID: "deployer", Label: "deployer", Kind: "account", Compartment: "ops"},
			{ID: "reader", Label: "reader", Kind: "role", Compartment: "shop"},
			{ID: "secrets", Label: "secrets", Kind: "reach", Compartment: "shop", Details: []Detail{{"Resources", "secrets"}}},
			{ID: "pods", Label: "pods", Kind: "reach", Compartment: "shop", State: Added},
			{ID: "admin-role", Label: "cluster-admin", Kind: "role", Compartment: "cluster"},
			{ID: "admin", Label: "Cluster admin", Kind: "everything", Compartment: "cluster"},
		},
		Edges: []Edge{
			{From: "jane", To: "reader", Kind: "binding", Details: []Detail{{"RoleBinding", "jane"}}},
			{From: "web", To: "reader", Kind: "binding", Details: []Detail{{"RoleBinding", "web"}, {"Written in", "web.yaml:12"}}},
			{From: "reader", To: "secrets", Kind: "rule", Label: "read", Details: []Detail{{"Rule", "1 of Role reader"}}},
			{From: "reader", To: "pods", Kind: "rule", Label: "write", State: Added},
			{From: "reader", To: "pods", Kind: "rule", Label: "read", State: Added},
			{From: "reader", To: "pods", Kind: "rule", Label: "all", State: Removed},
			{From: "ci", To: "deployer", Kind: "step", Label: "mint-token", Details: []Detail{{"Step", "mint-token"}}},
			{From: "web", To: "deployer", Kind: "part"},
			{From: "deployer", To: "admin-role", Kind: "binding"},
			{From: "admin-role", To: "admin", Kind: "rule", Label: "all"},
			{From: "deployer", To: "deployer", Kind: "step", Label: "itself"},
			{From: "pods", To: "reader", Kind: "step", Label: "back"},
		},
		Notes: []string{"There may be more."}}
}

// hostileTexts are names as an attacker writes them.
var hostileTexts = []string{
	"</script><script>window.pwned=1</script>", `"><img src=x onerror="window.pwned=1">`, "<!--", "]]>", "<style>*{display:none}</style>", "&lt;b&gt;", "\x1b[31mred\x1b[0m", "\x00", "\x9b31m", "a\u202egnp.exe", "a\u200bb\ufeff", "\u2028\u2029",
	`quote"quote`, `back\slash\`, `\N \G \L`, "line\nbreak\r\ttab", "{{.Title}}", "${window.pwned=1}", "'; window.pwned=1; '", "javascript:window.pwned=1", "\xff\xfe", "\U0001F4A9", "аdmin", "e\u0301\u0301\u0301\u0301\u0301", "__proto__", "constructor", "",
	strings.Repeat("x", 100_000), strings.Repeat("<", 3000), strings.Repeat("字", 500), "digraph { a -> b }", "n1", "&#x0; &amp;", "%3Cscript%3E",
}

// hostile uses these texts wherever a drawing has one.
func hostile() *Drawing {
	d := &Drawing{Title: strings.Join(hostileTexts[:5], " "), Description: hostileTexts[0], Kinds: testKinds, EdgeKinds: testEdgeKinds, Notes: hostileTexts[:20], Goal: "node 0"}
	for i, text := range hostileTexts {
		c := fmt.Sprintf("%d %s", i, text)
		d.Compartments = append(d.Compartments, Compartment{ID: c, Label: text})
		d.Nodes = append(d.Nodes, Node{ID: fmt.Sprintf("node %d", i), Label: text, Kind: "account", Compartment: c, Details: []Detail{{text, text}}, Link: text},
			Node{ID: c, Label: text, Kind: "role", Compartment: c})
		d.Edges = append(d.Edges, Edge{From: fmt.Sprintf("node %d", i), To: c, Kind: "binding", Label: text, Details: []Detail{{text, text}}},
			Edge{From: c, To: fmt.Sprintf("node %d", (i+7)%(i+1)), Kind: "rule", Label: text})
	}
	return d
}

// random is a drawing with so many compartments and nodes, and twice as many edges.
func random(r *rand.Rand, compartments, nodes int) *Drawing {
	d := &Drawing{Title: "Random", Kinds: testKinds, EdgeKinds: testEdgeKinds}
	for i := range compartments {
		d.Compartments = append(d.Compartments, Compartment{ID: fmt.Sprint("c", i), Label: fmt.Sprint("namespace-", i), Column: r.IntN(3) - 1})
	}
	for i := range nodes {
		n := Node{ID: fmt.Sprint("n", i), Label: fmt.Sprint("node-", r.IntN(nodes)), Kind: testKinds[r.IntN(len(testKinds))].Name, State: []State{Same, Same, Added, Removed}[r.IntN(4)]}
		if compartments > 0 && r.IntN(10) > 0 {
			n.Compartment = d.Compartments[r.IntN(compartments)].ID
		}
		d.Nodes = append(d.Nodes, n)
	}
	for range 2 * nodes {
		from := r.IntN(nodes)
		to := r.IntN(nodes)
		if r.IntN(2) == 0 {
			to = min(nodes-1, from+r.IntN(5))
		}
		d.Edges = append(d.Edges, Edge{From: d.Nodes[from].ID, To: d.Nodes[to].ID, Kind: testEdgeKinds[r.IntN(len(testEdgeKinds))].Name, Label: []string{"", "read", "write"}[r.IntN(3)],
			Details: []Detail{{"Rule", fmt.Sprint(r.IntN(9))}}})
	}
	return d
}
