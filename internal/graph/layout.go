package graph

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// geometry are the measures of a picture, in pixels. The page has the same.
var geometry = struct {
	NodeWidth    float64 `json:"nodeWidth"`
	NodeHeight   float64 `json:"nodeHeight"`
	Across       float64 `json:"across"`
	Down         float64 `json:"down"`
	Padding      float64 `json:"padding"`
	Heading      float64 `json:"heading"`
	OuterAcross  float64 `json:"outerAcross"`
	OuterDown    float64 `json:"outerDown"`
	ClosedWidth  float64 `json:"closedWidth"`
	ClosedHeight float64 `json:"closedHeight"`
}{NodeWidth: 190, NodeHeight: 42, Across: 76, Down: 16, Padding: 18, Heading: 26, OuterAcross: 80, OuterDown: 24, ClosedWidth: 190, ClosedHeight: 52}

const (
	// innerHeight is how high the columns in a compartment become before they wrap.
	innerHeight = 900
	// outerHeight is the same for the whole picture, which is made about aspect times as
	// wide as high.
	outerHeight = 900
	aspect      = 1.6
)

// block is what stands in the picture by itself: a compartment, or a node outside of
// any.
type block struct {
	// compartment is nil for a node.
	compartment *Compartment
	// nodes are those inside, by their number in the drawing.
	nodes []int
	item
	cells []cell
	cell  cell
}

// layout says where everything stands.
type layout struct {
	blocks []block
	// frames are the compartments that are drawn as frames around their nodes, and boxes
	// the nodes.
	frames []frame
	boxes  []box
	size   point
}

type frame struct {
	*Compartment
	box
}

// box is a rectangle.
type box struct{ x, y, width, height float64 }

// newLayout arranges the drawing. Compartments for which closed is true take the room of
// one node; what is inside of them is arranged nevertheless, for who opens them.
func newLayout(d *Drawing, closed func(*Compartment) bool) *layout {
	l := &layout{blocks: newBlocks(d)}
	number := make(map[string]int, len(d.Nodes))
	for i, n := range d.Nodes {
		number[n.ID] = i
	}
	links := distinctLinks(d, number)
	of, inner := make([]int, len(d.Nodes)), make([]int, len(d.Nodes))
	for b := range l.blocks {
		for k, i := range l.blocks[b].nodes {
			of[i], inner[i] = b, k
		}
	}
	within := make([][][2]int, len(l.blocks))
	var between [][2]int
	seen := map[[2]int]bool{}
	for _, link := range links {
		from, to := of[link[0]], of[link[1]]
		if from == to {
			within[from] = append(within[from], [2]int{inner[link[0]], inner[link[1]]})
		} else if key := [2]int{from, to}; !seen[key] {
			seen[key] = true
			between = append(between, key)
		}
	}
	area := 0.0
	items := make([]item, len(l.blocks))
	for b := range l.blocks {
		l.blocks[b].measure(d, within[b], closed)
		items[b] = l.blocks[b].item
		area += (items[b].width + geometry.OuterAcross) * (items[b].height + geometry.OuterDown)
	}
	cells := arrange(items, between, max(outerHeight, math.Sqrt(area/aspect)), geometry.OuterDown)
	for b := range l.blocks {
		l.blocks[b].cell = cells[b]
	}
	l.place(d, items, cells, closed)
	return l
}

func newBlocks(d *Drawing) []block {
	members := map[string][]int{}
	var blocks []block
	for i, n := range d.Nodes {
		if n.Compartment != "" {
			members[n.Compartment] = append(members[n.Compartment], i)
		}
	}
	for i := range d.Compartments {
		if c := &d.Compartments[i]; len(members[c.ID]) > 0 {
			blocks = append(blocks, block{compartment: c, nodes: members[c.ID], item: item{column: c.Column}})
		}
	}
	for i, n := range d.Nodes {
		if n.Compartment == "" {
			blocks = append(blocks, block{nodes: []int{i}, item: item{column: d.kind(n.Kind).Column}})
		}
	}
	return blocks
}

// distinctLinks are the edges by the numbers of their nodes, each once.
func distinctLinks(d *Drawing, number map[string]int) [][2]int {
	seen := map[[2]int]bool{}
	for _, e := range d.Edges {
		seen[[2]int{number[e.From], number[e.To]}] = true
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b [2]int) int { return cmp.Or(a[0]-b[0], a[1]-b[1]) })
}

// measure arranges what is inside of a block, and says how large that makes it.
func (b *block) measure(d *Drawing, links [][2]int, closed func(*Compartment) bool) {
	g := geometry
	if b.compartment == nil {
		b.width, b.height, b.cells = g.NodeWidth, g.NodeHeight, []cell{{}}
		return
	}
	items := b.items(d)
	b.cells = arrange(items, links, innerHeight, g.Down)
	if closed(b.compartment) || b.alone(d) {
		b.width, b.height = g.ClosedWidth, g.ClosedHeight
		return
	}
	_, size := stack(items, b.cells, g.Across, g.Down)
	b.width, b.height = size.x+2*g.Padding, size.y+2*g.Padding+g.Heading
}

// alone reports whether all that stands for the block is the compartment, closed.
func (b *block) alone(d *Drawing) bool {
	return len(b.nodes) == 1 && d.Nodes[b.nodes[0]].Kind == closedKind.Name
}

func (b *block) items(d *Drawing) []item {
	items := make([]item, len(b.nodes))
	for k, i := range b.nodes {
		items[k] = item{geometry.NodeWidth, geometry.NodeHeight, d.kind(d.Nodes[i].Kind).Column}
	}
	return items
}

func (l *layout) place(d *Drawing, items []item, cells []cell, closed func(*Compartment) bool) {
	g := geometry
	places, size := stack(items, cells, g.OuterAcross, g.OuterDown)
	l.size, l.boxes = size, make([]box, len(d.Nodes))
	for n := range l.blocks {
		b, at := &l.blocks[n], places[n]
		whole := box{at.x, at.y, b.width, b.height}
		switch {
		case b.compartment == nil || b.alone(d):
			l.boxes[b.nodes[0]] = whole
		case !closed(b.compartment):
			l.frames = append(l.frames, frame{b.compartment, whole})
			inside, _ := stack(b.items(d), b.cells, g.Across, g.Down)
			for k, i := range b.nodes {
				l.boxes[i] = box{at.x + g.Padding + inside[k].x, at.y + g.Padding + g.Heading + inside[k].y, g.NodeWidth, g.NodeHeight}
			}
		}
	}
}
