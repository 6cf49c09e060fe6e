// The picture: cytoscape draws what a view says, where place puts it.

/* global cytoscape */

const dark = matchMedia('(prefers-color-scheme: dark)');
const colors = () => (dark.matches ? data.dark : data.light);
const css = (variable) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
const SHAPES = { box: 'rectangle', round: 'round-rectangle', pill: 'round-rectangle', cut: 'polygon', hexagon: 'polygon' };
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif';

const pen = document.createElement('canvas').getContext('2d');

// Fit leaves out the middle of a text that is too wide: its ends tell names apart.
function fit(text, width, font = `600 12px ${FONT}`) {
  pen.font = font;
  if (pen.measureText(text).width <= width) return text;
  const letters = [...text];
  let [low, high] = [1, Math.min(letters.length, 80)];
  const cut = (n) => `${letters.slice(0, Math.ceil(n / 2)).join('')}…${letters.slice(letters.length - Math.floor(n / 2)).join('')}`;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (pen.measureText(cut(middle)).width <= width) low = middle;
    else high = middle - 1;
  }
  return cut(low);
}

function styleSheet() {
  const tones = Object.entries(colors()).flatMap(([tone, [fillColor, line, text]]) => [
    { selector: `node.${tone}`, style: { 'background-color': fillColor, 'border-color': line, color: text } },
    { selector: `edge.${tone}`, style: { 'line-color': line, 'target-arrow-color': line, color: css('--text') } },
  ]);
  return [
    { selector: 'node', style: { shape: 'data(shape)', width: 'data(width)', height: 'data(height)', label: 'data(label)', 'text-wrap': 'wrap', 'text-max-width': 1000, 'text-valign': 'center', 'text-halign': 'center',
      'font-family': FONT, 'font-size': 12, 'font-weight': 600, 'line-height': 1.25, 'border-width': 1.4, 'min-zoomed-font-size': 4, 'corner-radius': 'data(radius)' } },
    { selector: 'edge', style: { 'curve-style': 'round-segments', 'edge-distances': 'endpoints', 'segment-weights': 'data(along)', 'segment-distances': 'data(aside)', 'segment-radii': 14, 'source-endpoint': 'data(source_end)', 'target-endpoint': 'data(target_end)',
      width: 'data(width)', 'line-style': 'data(line)', 'target-arrow-shape': 'triangle', 'arrow-scale': 0.8, opacity: 'data(opacity)', label: 'data(label)', 'font-family': FONT, 'font-size': 10, 'min-zoomed-font-size': 7,
      'text-background-color': css('--page'), 'text-background-opacity': 0.9, 'text-background-padding': 2, 'text-background-shape': 'round-rectangle' } },
    ...tones,
    { selector: 'node.frame', style: { shape: 'round-rectangle', 'corner-radius': 10, 'background-color': css('--surface'), 'border-color': css('--line-strong'), color: css('--text'), 'text-valign': 'top', 'text-halign': 'center',
      'text-margin-y': 24, 'font-size': 13, 'z-index-compare': 'manual', 'z-index': 0 } },
    { selector: 'edge', style: { 'z-index-compare': 'manual', 'z-index': 1 } },
    { selector: 'node.box', style: { 'z-index-compare': 'manual', 'z-index': 2 } },
    { selector: 'node.cut', style: { 'shape-polygon-points': '-1 -1 0.9 -1 1 -0.57 1 1 -1 1' } },
    { selector: 'node.hexagon', style: { 'shape-polygon-points': '-0.9 -1 0.9 -1 1 0 0.9 1 -0.9 1 -1 0' } },
    { selector: 'node.closed', style: { 'border-style': 'double', 'border-width': 4 } },
    { selector: 'node.added', style: { 'border-width': 4 } },
    { selector: 'node.removed', style: { 'border-style': 'dashed', 'border-width': 2 } },
    { selector: '.dim', style: { opacity: 0.14 } },
    { selector: 'node.frame.dim', style: { opacity: 0.6 } },
    { selector: 'edge.near, edge.path', style: { opacity: 1, 'z-index': 3 } },
    { selector: 'edge.path', style: { width: 4 } },
    { selector: 'node.chosen', style: { 'overlay-color': css('--accent'), 'overlay-opacity': 0.14, 'overlay-padding': 6, 'border-width': 3 } },
    { selector: 'edge.chosen', style: { width: 4, opacity: 1, 'z-index': 3 } },
    { selector: 'node.path', style: { 'border-width': 3.5 } },
    { selector: 'core', style: { 'active-bg-opacity': 0, 'selection-box-opacity': 0 } },
  ];
}

class Canvas {
  constructor(container) {
    this.cy = cytoscape({ container, style: styleSheet(), minZoom: 0.03, maxZoom: 3, autoungrabify: true, autounselectify: true, boxSelectionEnabled: false, hideEdgesOnViewport: nodes.length + edges.length > 4000 });
    dark.addEventListener('change', () => this.cy.style(styleSheet()));
    this.boxes = new Map();
  }

  // Draw shows the view of the moment. What was in the middle of the picture stays there.
  draw() {
    const { boxes, lines } = view();
    const frames = place(boxes);
    const anchor = this.anchor;
    const before = anchor && this.boxes.get(anchor);
    const was = before && { x: before.x, y: before.y };
    this.boxes = new Map([...frames, ...boxes].map((box) => [box.name, box]));
    this.lines = new Map(lines.map((line) => [line.name, line]));
    const all = this.cy;
    all.batch(() => {
      all.elements().remove();
      all.add([...frames.map((frame) => this.frame(frame)), ...boxes.map((box) => this.box(box)), ...this.edges(lines)]);
    });
    const now = anchor && this.boxes.get(anchor);
    if (was && now) all.panBy({ x: (was.x - now.x) * all.zoom(), y: (was.y - now.y) * all.zoom() });
    this.anchor = null;
  }

  node(box, extra, classes) {
    return { group: 'nodes', data: { id: box.name, width: box.width, height: box.height, radius: 3, shape: 'rectangle', ...extra }, classes,
      position: { x: box.x + box.width / 2, y: box.y + box.height / 2 } };
  }

  frame(frame) {
    return this.node(frame, { label: fit(compartments[frame.compartment].label, frame.width - 30) }, 'frame');
  }

  box(box) {
    if (box.node < 0) {
      const label = `${fit(compartments[box.compartment].label, box.width - 20)}\n${plural(box.members, 'node')}`;
      return this.node(box, { label, shape: 'round-rectangle', radius: 8 }, 'box closed grey');
    }
    const node = nodes[box.node];
    const kind = kinds[node.kind];
    const radius = { round: 10, pill: box.height / 2, cut: 6 }[kind.shape] ?? 3;
    const room = box.width - (kind.shape === 'hexagon' ? 36 : 20);
    return this.node(box, { label: `${fit(node.label, room)}\n${fit(kind.title + (node.state ? `, ${node.state}` : ''), room)}`, shape: SHAPES[kind.shape] ?? 'rectangle', radius }, `box ${kind.tone} ${kind.shape} ${node.state ?? ''}`);
  }

  edges(lines) {
    const between = new Map();
    for (const line of lines) {
      const pair = [line.from, line.to].sort().join(' ');
      if (!between.has(pair)) between.set(pair, []);
      between.get(pair).push(line);
    }
    const opacity = lines.length > 120 ? 0.4 : 0.75; // many lines are a ground to look things up in
    const router = new Router([...this.boxes.values()].filter((box) => !box.boxes));
    return [...between.values()].flatMap((same) => same.map((line, lane) => {
      const [from, to] = [this.boxes.get(line.from), this.boxes.get(line.to)];
      const { source, target, along, aside } = bends(router.route(from, to, lane, same.length), from, to);
      const kind = edgeKinds[line.kind];
      const tone = { added: 'teal', removed: 'red' }[line.state] ?? kind.tone;
      const n = line.edges.length;
      return { group: 'edges', classes: tone, data: { id: line.name, source: line.from, target: line.to, source_end: source, target_end: target, along, aside,
        label: fit(lineLabel(line), 90, `10px ${FONT}`), line: kind.line || 'solid', width: n > 1 ? Math.min(3.5, 1.4 + 0.7 * Math.log10(n)) : 1.3, opacity } };
    }));
  }

  // Fit shows all of it, but nothing larger than life.
  fit() {
    this.cy.resize();
    this.cy.fit(undefined, 30);
    if (this.cy.zoom() > 1.1) {
      this.cy.zoom(1.1);
      this.cy.center();
    }
  }

  zoom(factor) {
    this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: { x: this.cy.width() / 2, y: this.cy.height() / 2 } });
  }

  // Show brings a box into view where it is not, or is too small to be read.
  show(id) {
    const element = this.cy.getElementById(id);
    if (element.empty()) return;
    const box = element.renderedBoundingBox();
    const out = box.x1 < 0 || box.y1 < 0 || box.x2 > this.cy.width() || box.y2 > this.cy.height();
    if (this.cy.zoom() < 0.45 && !element.hasClass('frame')) this.cy.zoom(0.8);
    else if (!out) return;
    this.cy.center(element);
  }

  // Highlight marks what is chosen, with what is next to it or on a path from it.
  highlight(chosen, near, path) {
    const { cy } = this;
    cy.batch(() => {
      cy.elements().removeClass('dim chosen near path');
      if (!chosen.length) return;
      const lit = new Set([...chosen, ...near, ...path]);
      cy.elements().forEach((element) => {
        const id = element.id();
        if (!lit.has(id)) element.addClass('dim');
        else element.addClass('near');
      });
      for (const id of path) cy.getElementById(id).addClass('path');
      for (const id of chosen) cy.getElementById(id).addClass('chosen');
    });
  }

  // Next is the box that is nearest in a direction, of those that are drawn.
  next(from, [dx, dy]) {
    const here = this.boxes.get(from);
    const middle = (box) => [box.x + box.width / 2, box.y + box.height / 2];
    let [best, least] = [null, Infinity];
    for (const box of this.boxes.values()) {
      if (box === here || box.boxes) continue;
      if (!here) return box.name;
      const [x, y] = middle(box).map((v, i) => v - middle(here)[i]);
      const ahead = x * dx + y * dy;
      const off = Math.abs(x * dy) + Math.abs(y * dx);
      const cost = ahead + 2.5 * off;
      if (ahead > 1 && off < 3 * ahead + 60 && cost < least) [best, least] = [box.name, cost];
    }
    return best;
  }
}
