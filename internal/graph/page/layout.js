// Where everything stands. Columns and rows come with the data; what is to be seen is
// stacked in them. So nothing jumps when a compartment opens: its neighbours move over.

const G = data.geometry;

// Stack puts items into their columns, each in the middle of the height
// and in line on the left.
function stack(items, across, down) {
  const columns = new Map();
  for (const item of items) {
    if (!columns.has(item.cell[0])) columns.set(item.cell[0], []);
    columns.get(item.cell[0]).push(item);
  }
  const sorted = [...columns].sort(([a], [b]) => a - b).map(([, list]) => list.sort((a, b) => a.cell[1] - b.cell[1]));
  const heights = sorted.map((list) => list.reduce((sum, item) => sum + item.height + down, -down));
  const height = Math.max(0, ...heights);
  let x = 0;
  sorted.forEach((list, c) => {
    const width = Math.max(...list.map((item) => item.width));
    let y = (height - heights[c]) / 2;
    for (const item of list) {
      Object.assign(item, { x, y });
      y += item.height + down;
    }
    x += width + across;
  });
  return { width: Math.max(0, x - across), height };
}

// Place gives every box of a view its x, y, width and height, from its upper left
// corner, and returns the frames of the compartments that are open.
function place(boxes) {
  const frames = new Map();
  const outer = [];
  for (const box of boxes) {
    Object.assign(box, { width: G.nodeWidth, height: G.nodeHeight });
    if (box.node >= 0 && box.compartment >= 0) {
      if (!frames.has(box.compartment)) frames.set(box.compartment, { name: `c${box.compartment}`, compartment: box.compartment, cell: compartments[box.compartment].cell, boxes: [] });
      frames.get(box.compartment).boxes.push(box);
      continue;
    }
    if (box.node < 0) Object.assign(box, { cell: compartments[box.compartment].cell, width: G.closedWidth, height: G.closedHeight });
    outer.push(box);
  }
  for (const frame of frames.values()) {
    const size = stack(frame.boxes, G.across, G.down);
    Object.assign(frame, { width: size.width + 2 * G.padding, height: size.height + 2 * G.padding + G.heading });
    outer.push(frame);
  }
  stack(outer, G.outerAcross, G.outerDown);
  for (const frame of frames.values()) {
    for (const box of frame.boxes) {
      box.x += frame.x + G.padding;
      box.y += frame.y + G.padding + G.heading;
    }
  }
  return [...frames.values()];
}

const CLEARANCE = 5;

// Router leads lines past boxes. Boxes stand in columns; a line crosses a column where
// there is room between two boxes, or above or below all, nearest to its straight way.
class Router {
  constructor(boxes) {
    this.columns = [];
    this.in = new Map();
    for (const box of [...boxes].sort((a, b) => a.x - b.x)) {
      if (!this.columns.length || box.x > this.columns.at(-1).right) this.columns.push({ left: box.x, right: box.x, taken: [] });
      const column = this.columns.at(-1);
      column.right = Math.max(column.right, box.x + box.width);
      column.taken.push([box.y - CLEARANCE, box.y + box.height + CLEARANCE]);
      this.in.set(box, this.columns.length - 1);
    }
    for (const column of this.columns) {
      column.taken = column.taken.sort((a, b) => a[0] - b[0]).reduce((out, [top, bottom]) => {
        if (out.length && top < out.at(-1)[1]) out.at(-1)[1] = Math.max(out.at(-1)[1], bottom);
        else out.push([top, bottom]);
        return out;
      }, []);
    }
  }

  // Free is the height in a column nearest to y where nothing stands.
  free(column, y) {
    let [low, high] = [0, column.taken.length - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const [top, bottom] = column.taken[middle];
      if (y <= top) high = middle - 1;
      else if (y >= bottom) low = middle + 1;
      else return y - top < bottom - y ? top : bottom;
    }
    return y;
  }

  // Route lists the points of a line from the side of one box to the side of another.
  route(from, to, lane, lanes) {
    const shift = (lane - (lanes - 1) / 2) * 8;
    const a = { x: from.x + from.width, y: from.y + from.height / 2 + shift };
    const b = { x: to.x, y: to.y + to.height / 2 + shift };
    let step = 1;
    if (to.x + to.width <= from.x) {
      [a.x, b.x, step] = [from.x, to.x + to.width, -1];
    } else if (to.x < from.x + from.width) {
      b.x = to.x + to.width;
      if (from === to) { a.y -= 9; b.y += 9; }
      const out = 32 + Math.min(60, Math.abs(b.y - a.y) / 8);
      return [a, { x: a.x + out, y: a.y }, { x: b.x + out, y: b.y }, b];
    }
    const points = [a];
    for (let c = this.in.get(from) + step; (c - this.in.get(to)) * step < 0; c += step) {
      const column = this.columns[c];
      const [enter, leave] = step > 0 ? [column.left, column.right] : [column.right, column.left];
      const at = points.at(-1);
      const y = this.free(column, at.y + ((b.y - at.y) * ((enter + leave) / 2 - at.x)) / (b.x - at.x));
      points.push({ x: enter - step * 8, y }, { x: leave + step * 8, y });
    }
    points.push(b);
    // It leaves and arrives level.
    points.splice(1, 0, { x: a.x + step * 14, y: a.y });
    points.splice(-1, 0, { x: b.x - step * 20, y: b.y });
    return points;
  }
}

// Bends are the points of a line as cytoscape takes them: the ends relative to the middle
// of the boxes, the others relative to the straight line between the ends.
function bends(points, from, to) {
  const [a, b] = [points[0], points.at(-1)];
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = Math.hypot(dx, dy) || 1;
  const between = points.slice(1, -1);
  const end = (p, box) => `${Math.round(p.x - box.x - box.width / 2)}px ${Math.round(p.y - box.y - box.height / 2)}px`;
  return {
    source: end(a, from), target: end(b, to),
    along: between.map((p) => ((p.x - a.x) * dx + (p.y - a.y) * dy) / (length * length)),
    aside: between.map((p) => ((p.y - a.y) * dx - (p.x - a.x) * dy) / length),
  };
}
