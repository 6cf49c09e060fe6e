package graph

import (
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// readSVG returns the text of elements by their name, and fails where a picture has
// what runs, or is loaded from elsewhere.
func readSVG(t *testing.T, text string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	allowed := []string{"svg", "title", "desc", "style", "defs", "marker", "path", "rect", "g", "text"}
	var open []string
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatalf("%v\n%.500s", err, text)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if !slices.Contains(allowed, token.Name.Local) {
				t.Fatalf("an element %s", token.Name.Local)
			}
			for _, a := range token.Attr {
				name := a.Name.Local
				if strings.HasPrefix(name, "on") || name == "href" || name == "src" || strings.Contains(a.Value, "url(") && !strings.HasPrefix(a.Value, "url(#head-") {
					t.Fatalf("an attribute %s=%q", name, a.Value)
				}
			}
			open = append(open, token.Name.Local)
			found[token.Name.Local] = append(found[token.Name.Local], "")
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				list := found[open[len(open)-1]]
				list[len(list)-1] += string(token)
			}
		}
	}
}

func TestSVG(t *testing.T) {
	found := readSVG(t, render(t, WriteSVG, shop()))
	if found["title"][0] != "Who may do what in the shop" || !strings.Contains(found["desc"][0], "9 nodes and 12 edges. There may be more.") {
		t.Errorf("title %q, description %q", found["title"][0], found["desc"][0])
	}
	for _, want := range []string{"deployer", "Service account", "Whole cluster", "mint-token", "Resources, added", "can become", "There may be more."} {
		if !slices.Contains(found["text"], want) {
			t.Errorf("no text %q in %q", want, found["text"])
		}
	}
	if !slices.ContainsFunc(found["title"], func(s string) bool { return strings.Contains(s, "Written in: web.yaml:12") }) {
		t.Errorf("no title of an edge tells where it is written: %q", found["title"])
	}
	if strings.Contains(found["style"][0], "var(") {
		t.Error("the style has variables, which other programs than browsers do not know")
	}
}

func TestSVGHostile(t *testing.T) {
	text := render(t, WriteSVG, hostile())
	readSVG(t, text)
	plain(t, text)
}

// No two boxes overlap, all are in the picture and in their frame, every line ends at
// the boxes that it joins, and none runs through a box.
func TestLayout(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	drawings := []*Drawing{shop(), hostile()}
	for range 30 {
		drawings = append(drawings, random(r, r.IntN(12), 1+r.IntN(120)))
	}
	for _, d := range drawings {
		d, err := d.tidy()
		if err != nil {
			t.Fatal(err)
		}
		l := newLayout(d, func(c *Compartment) bool { return false })
		for i, b := range l.boxes {
			if b.width <= 0 || b.x < 0 || b.y < 0 || b.x+b.width > l.size.x+.01 || b.y+b.height > l.size.y+.01 {
				t.Fatalf("%s is at %+v of %+v", d.Nodes[i].Label, b, l.size)
			}
			if k := slices.IndexFunc(l.boxes[:i], b.overlaps); k >= 0 {
				t.Fatalf("%s and %s overlap: %+v %+v", d.Nodes[i].Label, d.Nodes[k].Label, b, l.boxes[k])
			}
			for _, f := range l.frames {
				if inside := d.Nodes[i].Compartment == f.ID; inside != f.overlaps(b) {
					t.Fatalf("%s is in %s: %t, and overlaps it: %t", d.Nodes[i].Label, f.Label, inside, f.overlaps(b))
				}
			}
		}
		checkRoutes(t, d, l)
	}
}

func checkRoutes(t *testing.T, d *Drawing, l *layout) {
	t.Helper()
	routes := newRouter(l.boxes)
	for _, line := range newLines(d) {
		points, loop := routes.route(line)
		if !l.boxes[line.from].atSide(points[0]) || !l.boxes[line.to].atSide(points[len(points)-1]) {
			t.Fatalf("a line from %+v to %+v goes by %+v", l.boxes[line.from], l.boxes[line.to], points)
		}
		if len(points)%2 != 0 {
			t.Fatalf("%d points", len(points))
		}
		if loop {
			continue // it may cut what stands to the right of its column
		}
		for i := 1; i+1 < len(points); i += 2 {
			a, b := points[i], points[i+1]
			level := box{min(a.x, b.x), a.y - 1, max(a.x, b.x) - min(a.x, b.x), 2}
			if k := slices.IndexFunc(l.boxes, level.overlaps); a.y != b.y || k >= 0 {
				t.Fatalf("a line runs through %s: %+v, %+v to %+v", d.Nodes[k].Label, l.boxes[k], a, b)
			}
		}
	}
}

// atSide reports whether a point is on the left or the right side.
func (b box) atSide(p point) bool {
	return (p.x == b.x || p.x == b.x+b.width) && p.y >= b.y && p.y <= b.y+b.height
}

// Links lead to the right where nothing forbids it, and a compartment with a hint stands
// on its side.
func TestArrange(t *testing.T) {
	items := make([]item, 6)
	for i := range items {
		items[i] = item{width: 100, height: 40}
	}
	items[4].column, items[5].column = -1, 1
	cells := arrange(items, [][2]int{{0, 1}, {1, 2}, {2, 3}, {3, 0}, {5, 0}, {3, 4}}, 900, 10)
	want := []cell{{1, 0}, {2, 0}, {3, 0}, {4, 0}, {0, 0}, {5, 0}}
	if !slices.Equal(cells, want) {
		t.Errorf("%v, want %v", cells, want)
	}
	// Of two orders the one without crossings.
	cells = arrange(make([]item, 4), [][2]int{{0, 3}, {1, 2}}, 900, 10)
	if (cells[0].row < cells[1].row) != (cells[3].row < cells[2].row) {
		t.Errorf("the lines cross: %v", cells)
	}
	// Many in one column wrap, and a long chain does not make a long row.
	many := make([]item, 100)
	var chain [][2]int
	for i := range many {
		many[i] = item{width: 190, height: 42}
		if i > 0 {
			chain = append(chain, [2]int{i - 1, i})
		}
	}
	for name, links := range map[string][][2]int{"none": nil, "chain": chain} {
		cells := arrange(many, links, 900, 16)
		_, size := stack(many, cells, 80, 16)
		if size.x > 7*size.y || size.y > 1100 {
			t.Errorf("%s: %+v", name, size)
		}
	}
}
