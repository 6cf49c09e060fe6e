// What is drawn: the nodes and lines that are to be seen when some compartments are
// open and some kinds are hidden. Nodes are numbers; what stands in the picture has a
// name: n3 is a node, c2 a compartment, closed or as a frame.

const data = JSON.parse(document.getElementById('data').textContent);
const { nodes, edges, kinds, edgeKinds, compartments } = data;

// MOST_DRAWN bounds what is drawn at once.
const MOST_DRAWN = 2500;

const members = compartments.map(() => []);
const outgoing = nodes.map(() => []);
const incoming = nodes.map(() => []);
nodes.forEach((node, i) => { if (node.in >= 0) members[node.in].push(i); });
edges.forEach((edge, i) => { outgoing[edge.from].push(i); incoming[edge.to].push(i); });
const compared = nodes.some((node) => node.state) || edges.some((edge) => edge.state);

// State is what the reader has chosen.
const state = {
  open: new Set(data.open ? compartments.keys() : []),
  hiddenKinds: new Set(),
  hiddenEdges: new Set(),
  changesOnly: false,
};

const nodeShown = (i) => !state.hiddenKinds.has(nodes[i].kind) && (!state.changesOnly || nodes[i].state || touched.has(i));
const edgeShown = (e) => !state.hiddenEdges.has(e.kind) && (!state.changesOnly || e.state);

// Touched are the ends of what has changed.
const touched = new Set(edges.flatMap((e) => (e.state ? [e.from, e.to] : [])));

// Name is what stands for a node in the picture.
const name = (i) => (nodes[i].in < 0 || state.open.has(nodes[i].in) ? `n${i}` : `c${nodes[i].in}`);

// View is what is to be drawn: boxes by name, and lines between them, each for all edges
// of one kind and state between the same two.
function view() {
  const boxes = new Map();
  nodes.forEach((node, i) => {
    if (!nodeShown(i)) return;
    const box = boxes.get(name(i)) ?? { name: name(i), node: name(i) === `n${i}` ? i : -1, compartment: node.in, members: 0, cell: node.cell };
    box.members++;
    boxes.set(name(i), box);
  });
  const lines = new Map();
  edges.forEach((edge, i) => {
    const [from, to] = [name(edge.from), name(edge.to)];
    if (!edgeShown(edge) || !nodeShown(edge.from) || !nodeShown(edge.to) || (from === to && (edge.from !== edge.to || from[0] === 'c'))) return;
    const key = `${from} ${to} ${edge.kind} ${edge.state ?? ''}`;
    const line = lines.get(key) ?? { name: `e ${key}`, from, to, kind: edge.kind, state: edge.state, edges: [] };
    line.edges.push(i);
    lines.set(key, line);
  });
  return { boxes: [...boxes.values()], lines: [...lines.values()] };
}

// Drawn is how many boxes there are if these compartments are open.
function drawn(open) {
  let n = 0;
  members.forEach((inside, c) => { n += open.has(c) ? inside.filter(nodeShown).length : 1; });
  return n + nodes.filter((node, i) => node.in < 0 && nodeShown(i)).length;
}

// LineLabel is what stands at a line: the label that all its edges have, or their number.
function lineLabel(line) {
  const first = edges[line.edges[0]].label ?? '';
  const same = line.edges.every((i) => (edges[i].label ?? '') === first);
  if (line.edges.length === 1) return first;
  return same && first ? `${first} ×${line.edges.length}` : `×${line.edges.length}`;
}

// Towards says for each node by which edge the goal is nearest, and how far it is.
const towards = (() => {
  const next = new Map();
  if (data.goal < 0) return next;
  next.set(data.goal, { edge: -1, steps: 0 });
  for (let now = [data.goal]; now.length;) {
    const then = [];
    for (const to of now) {
      for (const i of incoming[to]) {
        const { from, kind, state: change } = edges[i];
        if (next.has(from) || edgeKinds[kind].aside || change === 'removed') continue;
        next.set(from, { edge: i, steps: next.get(to).steps + 1 });
        then.push(from);
      }
    }
    now = then;
  }
  return next;
})();

// PathFrom lists the edges of a shortest path to the goal; null where there is none.
function pathFrom(i) {
  if (!towards.has(i)) return null;
  const path = [];
  for (let at = i; towards.get(at).edge >= 0; at = edges[path.at(-1)].to) path.push(towards.get(at).edge);
  return path;
}

// Found lists the nodes that a search finds: first those whose names begin with it.
function found(words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  if (!wanted.length) return [];
  const hits = [];
  nodes.forEach((node, i) => {
    const label = node.label.toLowerCase();
    node.text ??= [node.label, kinds[node.kind].title, compartments[node.in]?.label ?? '', ...(node.details ?? []).map(([, value]) => value),
      ...outgoing[i].flatMap((e) => [edges[e].label ?? '', ...(edges[e].details ?? []).map(([, value]) => value)])].join('\n').toLowerCase();
    if (wanted.every((word) => node.text.includes(word))) hits.push([label.startsWith(wanted[0]) ? 0 : label.includes(wanted[0]) ? 1 : 2, i]);
  });
  return hits.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, i]) => i);
}
