package graph

import (
	"cmp"
	"math"
	"slices"
)

// item is a box to be put into a column.
type item struct {
	width, height float64
	// column is a hint as that of a Kind.
	column int
}

// cell is the place of a box: columns from the left, rows from the top.
type cell struct{ column, row int }

// arrange puts boxes into columns so that most links lead from left to right, next to
// those that they are linked with, and no column is much higher than height. It is a
// layered drawing as of Sugiyama, Tagawa and Toda (1981): layers by the longest path,
// the order in them by the median of what each is linked with.
func arrange(items []item, links [][2]int, height, gap float64) []cell {
	layers := newLayers(items, links)
	order(layers, len(items), links)
	cells := make([]cell, len(items))
	column := 0
	for _, layer := range layers {
		for _, part := range wrap(layer, items, height, gap) {
			for row, i := range part {
				cells[i] = cell{column, row}
			}
			column++
		}
	}
	return cells
}

// newLayers lists the boxes layer by layer: those with a hint below 0, those whose
// place the links say, those with one above 0.
func newLayers(items []item, links [][2]int) [][]int {
	depth := longestPaths(items, links)
	type key struct{ hint, depth int }
	byKey := map[key][]int{}
	for i, it := range items {
		k := key{hint: it.column}
		if it.column == 0 {
			k.depth = depth[i]
		}
		byKey[k] = append(byKey[k], i)
	}
	keys := make([]key, 0, len(byKey))
	for k := range byKey {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Or(a.hint-b.hint, a.depth-b.depth) })
	layers := make([][]int, 0, len(keys))
	for _, k := range keys {
		layers = append(layers, byKey[k])
	}
	return layers
}

// longestPaths counts how many links lead to each box without a hint, one after the
// other, links that close a circle left out.
func longestPaths(items []item, links [][2]int) []int {
	next := make([][]int, len(items))
	for _, l := range links {
		if items[l[0]].column == 0 && items[l[1]].column == 0 && l[0] != l[1] {
			next[l[0]] = append(next[l[0]], l[1])
		}
	}
	const unseen, open, done = 0, 1, 2
	state := make([]int, len(items))
	at := make([]int, len(items))
	var finished []int
	// A stack of one's own: a chain may be as long as there are nodes.
	for start := range items {
		if state[start] != unseen {
			continue
		}
		stack := []int{start}
		state[start] = open
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			if at[i] == len(next[i]) {
				state[i] = done
				finished = append(finished, i)
				stack = stack[:len(stack)-1]
				continue
			}
			to := next[i][at[i]]
			if state[to] == open { // it closes a circle
				next[i] = slices.Delete(next[i], at[i], at[i]+1)
				continue
			}
			at[i]++
			if state[to] == unseen {
				state[to] = open
				stack = append(stack, to)
			}
		}
	}
	depth := make([]int, len(items))
	deepest := 0
	for _, i := range slices.Backward(finished) {
		for _, to := range next[i] {
			depth[to] = max(depth[to], depth[i]+1)
			deepest = max(deepest, depth[to])
		}
	}
	// Where all are linked with all, one path leads through all of them: a picture of one
	// long row.
	if most := mostLayers(items); deepest >= most {
		for i := range depth {
			depth[i] = depth[i] * most / (deepest + 1)
		}
	}
	return depth
}

// fewLayers is how many layers are never too many.
const fewLayers = 6

// mostLayers is how many layers make the picture about aspect times as wide as high.
func mostLayers(items []item) int {
	width, height, n := 0.0, 0.0, 0.0
	for _, it := range items {
		if it.column == 0 {
			width, height, n = width+it.width+geometry.OuterAcross, height+it.height+geometry.OuterDown, n+1
		}
	}
	if n == 0 {
		return fewLayers
	}
	return max(fewLayers, int(math.Sqrt(aspect*n*height/width)+.5))
}

// sweeps is how often the order is improved, from the left and from the right.
const sweeps = 8

// order sorts each layer by the middle of the places of those that its boxes are linked
// with, so that few links cross.
func order(layers [][]int, n int, links [][2]int) {
	layerOf, place := make([]int, n), make([]float64, n)
	for l, layer := range layers {
		for p, i := range layer {
			layerOf[i], place[i] = l, relative(p, len(layer))
		}
	}
	left, right := make([][]int, n), make([][]int, n)
	for _, l := range links {
		from, to := l[0], l[1]
		if layerOf[from] > layerOf[to] {
			from, to = to, from
		}
		if layerOf[from] < layerOf[to] {
			right[from] = append(right[from], to)
			left[to] = append(left[to], from)
		}
	}
	for s := range sweeps {
		for k := range layers {
			l, linked := k, left
			if s%2 == 1 {
				l, linked = len(layers)-1-k, right
			}
			wanted := make(map[int]float64, len(layers[l]))
			for _, i := range layers[l] {
				wanted[i] = median(linked[i], place)
			}
			slices.SortStableFunc(layers[l], func(a, b int) int { return cmp.Compare(wanted[a], wanted[b]) })
			for p, i := range layers[l] {
				place[i] = relative(p, len(layers[l]))
			}
		}
	}
}

// relative is a place in a layer, from 0 to 1, so that layers of any length compare.
func relative(place, length int) float64 { return (float64(place) + .5) / float64(length) }

// median is the middle of the places; 2, below all others, for none.
func median(of []int, place []float64) float64 {
	if len(of) == 0 {
		return 2
	}
	all := make([]float64, len(of))
	for k, i := range of {
		all[k] = place[i]
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// wrap cuts a layer into columns of about the same height.
func wrap(layer []int, items []item, height, gap float64) [][]int {
	total := 0.0
	for _, i := range layer {
		total += items[i].height + gap
	}
	parts := max(1, int(total/height+.999))
	each := total / float64(parts)
	var out [][]int
	var part []int
	sum, filled := 0.0, 0.0
	for _, i := range layer {
		h := items[i].height + gap
		// The next column begins where this one is nearest to its share.
		if len(part) > 0 && len(out) < parts-1 && sum+h/2 > filled+each {
			out = append(out, part)
			part, filled = nil, filled+each
		}
		part = append(part, i)
		sum += h
	}
	return append(out, part)
}

// point is a place in the picture, from its upper left corner.
type point struct{ x, y float64 }

// stack turns cells into places: columns side by side, in each its boxes one under the
// other, in the middle of the height, in line on the left. It returns the size of it all as well.
func stack(items []item, cells []cell, across, down float64) (places []point, size point) {
	columns := 0
	for _, c := range cells {
		columns = max(columns, c.column+1)
	}
	byColumn := make([][]int, columns)
	for i := range items {
		byColumn[cells[i].column] = append(byColumn[cells[i].column], i)
	}
	heights, widths := make([]float64, columns), make([]float64, columns)
	for c, members := range byColumn {
		slices.SortFunc(members, func(a, b int) int { return cells[a].row - cells[b].row })
		for _, i := range members {
			widths[c] = max(widths[c], items[i].width)
			heights[c] += items[i].height + down
		}
		heights[c] -= down
		size.y = max(size.y, heights[c])
	}
	places = make([]point, len(items))
	for c, members := range byColumn {
		y := (size.y - heights[c]) / 2
		for _, i := range members {
			places[i] = point{size.x, y}
			y += items[i].height + down
		}
		size.x += widths[c] + across
	}
	size.x = max(0, size.x-across)
	return places, size
}
