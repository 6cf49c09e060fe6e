package graph

import (
	"cmp"
	"math"
	"slices"
)

// router leads lines past boxes. Boxes stand in columns; a line crosses a column where
// there is room between two boxes, or above or below all, nearest to its straight way.
type router struct {
	columns []lane
	boxes   []box
	in      []int
}

// lane is a column of boxes, with the heights that they take, from the top.
type lane struct {
	left, right float64
	taken       [][2]float64
}

// clearance is how far from a box a line stays, at least.
const clearance = 5

func newRouter(boxes []box) *router {
	r := &router{boxes: boxes, in: make([]int, len(boxes))}
	order := make([]int, len(boxes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(boxes[a].x, boxes[b].x), a-b) })
	for _, i := range order {
		b := boxes[i]
		if n := len(r.columns); n == 0 || b.x > r.columns[n-1].right {
			r.columns = append(r.columns, lane{left: b.x})
		}
		last := &r.columns[len(r.columns)-1]
		last.right = max(last.right, b.x+b.width)
		last.taken = append(last.taken, [2]float64{b.y - clearance, b.y + b.height + clearance})
		r.in[i] = len(r.columns) - 1
	}
	for c := range r.columns {
		r.columns[c].taken = joined(r.columns[c].taken)
	}
	return r
}

// joined puts ranges together that overlap.
func joined(ranges [][2]float64) [][2]float64 {
	slices.SortFunc(ranges, func(a, b [2]float64) int { return cmp.Compare(a[0], b[0]) })
	var out [][2]float64
	for _, r := range ranges {
		if n := len(out); n > 0 && r[0] < out[n-1][1] {
			out[n-1][1] = max(out[n-1][1], r[1])
			continue
		}
		out = append(out, r)
	}
	return out
}

// free is the height nearest to y where nothing stands.
func (l *lane) free(y float64) float64 {
	for _, t := range l.taken {
		if y > t[0] && y < t[1] {
			if y-t[0] < t[1]-y {
				return t[0]
			}
			return t[1]
		}
	}
	return y
}

// route lists the points of a line: where it leaves its box, where it enters and leaves
// each column that it crosses, and where it ends. From each odd point to the next it
// runs level; between, it bends. Lines between two boxes of one column are told apart by
// loop.
func (r *router) route(l *line) (points []point, loop bool) {
	from, to := r.boxes[l.from], r.boxes[l.to]
	shift := (float64(l.lane) - float64(l.lanes-1)/2) * 8
	a, b := point{from.x + from.width, from.y + from.height/2 + shift}, point{to.x, to.y + to.height/2 + shift}
	step := 1
	switch {
	case to.x >= from.x+from.width:
	case to.x+to.width <= from.x:
		a.x, b.x, step = from.x, to.x+to.width, -1
	default:
		b.x = to.x + to.width
		if l.from == l.to {
			a.y, b.y = a.y-9, b.y+9
		}
		return []point{a, b}, true
	}
	points = []point{a}
	for c := r.in[l.from] + step; c != r.in[l.to] && (c-r.in[l.to])*step < 0; c += step {
		column := &r.columns[c]
		enter, leave := column.left, column.right
		if step < 0 {
			enter, leave = leave, enter
		}
		at := points[len(points)-1]
		middle := (enter + leave) / 2
		y := column.free(at.y + (b.y-at.y)*(middle-at.x)/(b.x-at.x))
		points = append(points, point{enter, y}, point{leave, y})
	}
	return append(points, b), false
}

// bend is the pair of points that bend a line between two of its points.
func bend(a, b point, loop bool) (point, point) {
	if loop {
		out := 32 + math.Min(60, math.Abs(b.y-a.y)/8)
		return point{a.x + out, a.y}, point{b.x + out, b.y}
	}
	half := (b.x - a.x) / 2
	return point{a.x + half, a.y}, point{b.x - half, b.y}
}
