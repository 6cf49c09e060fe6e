package graph

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var writers = map[string]func(io.Writer, *Drawing) error{"dot": WriteDOT, "svg": WriteSVG, "html": WriteHTML}

func render(t testing.TB, write func(io.Writer, *Drawing) error, d *Drawing) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The same drawing gives the same bytes, in whatever order its parts come.
func TestDeterministic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, write := range writers {
		for _, d := range []*Drawing{shop(), hostile(), random(r, 12, 100), random(r, 40, 700)} {
			want := render(t, write, d)
			for range 3 {
				r.Shuffle(len(d.Nodes), func(i, j int) { d.Nodes[i], d.Nodes[j] = d.Nodes[j], d.Nodes[i] })
				r.Shuffle(len(d.Edges), func(i, j int) { d.Edges[i], d.Edges[j] = d.Edges[j], d.Edges[i] })
				r.Shuffle(len(d.Compartments), func(i, j int) { d.Compartments[i], d.Compartments[j] = d.Compartments[j], d.Compartments[i] })
				if got := render(t, write, d); got != want {
					t.Fatalf("%s of %q is another the second time", name, d.Title[:20])
				}
			}
		}
	}
}

// What makes no sense is refused, and the drawing that was handed in stays as it is.
func TestRefused(t *testing.T) {
	for want, change := range map[string]func(*Drawing){
		`the node "web" has no name of its own`:         func(d *Drawing) { d.Nodes = append(d.Nodes, Node{ID: "web", Kind: "user"}) },
		`the node "" has no name of its own`:            func(d *Drawing) { d.Nodes = append(d.Nodes, Node{Kind: "user"}) },
		`of the kind "ghost"`:                           func(d *Drawing) { d.Nodes[0].Kind = "ghost" },
		`an edge is of the kind "ghost"`:                func(d *Drawing) { d.Edges[0].Kind = "ghost" },
		`in the compartment "ghost"`:                    func(d *Drawing) { d.Nodes[0].Compartment = "ghost" },
		`leads from "jane" to "ghost"`:                  func(d *Drawing) { d.Edges[0].To = "ghost" },
		`the compartment "shop" has no name of its own`: func(d *Drawing) { d.Compartments[1].ID = "shop" },
	} {
		d := shop()
		change(d)
		for name, write := range writers {
			if err := write(io.Discard, d); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
		}
	}
	d := shop()
	before := fmt.Sprint(*d)
	for _, write := range writers {
		render(t, write, d)
	}
	if fmt.Sprint(*d) != before {
		t.Error("to write a drawing changes it")
	}
}

func TestEmpty(t *testing.T) {
	for name, write := range writers {
		if text := render(t, write, &Drawing{Title: "Nothing"}); !strings.Contains(text, "Nothing") {
			t.Errorf("%s has no title:\n%s", name, text)
		}
	}
}

// However much there is, a drawing stays within its bounds, says so, and loses no edge
// between what is drawn apart.
func TestBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, tc := range []struct{ compartments, nodes int }{{0, 5000}, {1, 5000}, {3, 900}, {50, 400}, {50, 5000}, {900, 5000}} {
		d, err := random(r, tc.compartments, tc.nodes).tidy()
		if err != nil {
			t.Fatal(err)
		}
		b := d.bounded(svgLimits, "Ask for less.")
		if len(b.Nodes) > svgLimits.most || len(b.Edges) > 4*svgLimits.most {
			t.Errorf("%+v: %d nodes, %d edges", tc, len(b.Nodes), len(b.Edges))
		}
		if len(b.Notes) == 0 || !strings.Contains(b.Notes[0], fmt.Sprintf("%d nodes and %d edges are more than can be drawn", len(d.Nodes), len(d.Edges))) {
			t.Errorf("%+v: notes %q", tc, b.Notes)
		}
		if _, err := b.tidy(); err != nil {
			t.Errorf("%+v: %v", tc, err)
		}
	}
	d, _ := shop().tidy()
	if b := d.bounded(svgLimits, ""); b != d {
		t.Error("a drawing within its bounds is changed")
	}
	closed := d.closing(map[string]bool{"shop": true})
	i := slices.IndexFunc(closed.Nodes, func(n Node) bool { return n.Kind == closedKind.Name })
	if n := closed.Nodes[i]; n.Label != "shop" || n.Details[0].Value != "5" || n.Details[1].Value != "Service account: 2, Role: 1, Resources: 2" {
		t.Errorf("%+v", n)
	}
	var lines []string
	for _, e := range closed.Edges {
		lines = append(lines, e.From+" -"+e.Kind+"-> "+e.To)
	}
	want := []string{"admin-role -rule-> admin", "compartment shop -part-> deployer", "compartment shop -step-> deployer", "deployer -binding-> admin-role", "deployer -step-> deployer", "jane -binding-> compartment shop"}
	if !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
}

// 100,000 nodes are drawn, in little time, as what they are together.
func TestVeryLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	text := render(t, WriteSVG, random(rand.New(rand.NewPCG(5, 6)), 300, 100_000))
	if !strings.Contains(text, "100000 nodes and 200000 edges are more than can be drawn") {
		t.Error("it does not say that it is not all")
	}
	if len(text) > 3<<20 {
		t.Errorf("it has %d bytes", len(text))
	}
}

func TestLookalikes(t *testing.T) {
	for text, want := range map[string]string{"admin": "", "администратор": "", "аdmin": "U+0430", "a\u200bb": "U+200B", "日本": "", "jörg": "U+00F6", "aбвгдежз": "U+0431, U+0432, U+0433, U+0434, U+0435, and more"} {
		if got := lookalikes(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, text := range append(hostileTexts, "prometheus-operator-admission-webhook-controller") {
		text = clean(text)
		for _, width := range []float64{20, 80, 170} {
			got := shorten(text, nameSize, width)
			if textWidth(got, nameSize) > width && got != "…" {
				t.Errorf("%q is wider than %g", got, width)
			}
			if got != text {
				head, tail, ok := strings.Cut(got, "…")
				if !ok || !strings.HasPrefix(text, head) || !strings.HasSuffix(text, tail) {
					t.Errorf("%q of %.40q", got, text)
				}
			}
		}
	}
}

// Text can be read on its colour, and lines can be seen on the page, in light and dark.
func TestContrast(t *testing.T) {
	for page, colors := range map[string]map[Tone]color{"#f5f6f8": lightColors, "#11151c": darkColors} {
		for _, tone := range tones {
			c := colors[tone]
			if r := contrast(c.text, c.fill); r < 4.5 {
				t.Errorf("%s text on %s: %.1f", tone, c.fill, r)
			}
			if r := contrast(c.line, page); r < 3 {
				t.Errorf("%s line on %s: %.1f", tone, page, r)
			}
		}
	}
}
