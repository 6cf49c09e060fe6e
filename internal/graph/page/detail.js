// The panel beside the picture: all that is known of what is chosen, and the way on from
// it. Whoever does not see the picture gets the same from here.

const MOST_LISTED = 100;

const OUTLINES = {
  box: 'M1 2h22v12h-22z', round: 'M4 2h16a3 3 0 0 1 3 3v6a3 3 0 0 1 -3 3h-16a3 3 0 0 1 -3 -3v-6a3 3 0 0 1 3 -3z', pill: 'M7 2h10a6 6 0 0 1 0 12h-10a6 6 0 0 1 0 -12z',
  cut: 'M1 2h18l4 4v8h-22z', hexagon: 'M5 2h14l4 6l-4 6h-14l-4 -6z',
};
const DASHES = { dashed: '5 3', dotted: '1.5 3' };

// Sign is what a kind of nodes looks like, small.
function sign(kind) {
  const [fillColor, line] = colors()[kind.tone];
  return svg('svg', { class: 'sign', viewBox: '0 0 24 16', 'aria-hidden': 'true' }, svg('path', { d: OUTLINES[kind.shape] ?? OUTLINES.box, fill: fillColor, stroke: line, 'stroke-width': 1.5 }));
}

function lineSign(kind) {
  const line = colors()[kind.tone][1];
  return svg('svg', { class: 'sign', viewBox: '0 0 24 16', 'aria-hidden': 'true' },
    svg('path', { d: 'M1 8h16', fill: 'none', stroke: line, 'stroke-width': 2, 'stroke-dasharray': DASHES[kind.line] ?? 'none' }), svg('path', { d: 'M16 4l7 4l-7 4z', fill: line }));
}

function facts(details) {
  return details?.length ? el('dl', { class: 'facts' }, details.flatMap(([key, value]) => [el('dt', {}, key), el('dd', {}, value)])) : null;
}

// Pick is a button that chooses a node.
function pick(i, choose, current) {
  const node = nodes[i];
  const where = node.in >= 0 ? `${kinds[node.kind].title}, ${compartments[node.in].label}` : kinds[node.kind].title;
  return button([sign(kinds[node.kind]), el('span', {}, node.label), el('small', {}, where)], () => choose(i), { class: 'pick', 'aria-current': current ? 'true' : undefined, 'data-node': i });
}

function changed(what) {
  return what ? el('span', { class: 'state' }, what) : null;
}

// EdgeEntry is an edge with its other end.
function edgeEntry(i, end, choose) {
  const edge = edges[i];
  return el('div', { class: 'edge' }, pick(edge[end], choose), el('p', { class: 'what' }, `${edgeKinds[edge.kind].title}${edge.label ? `: ${edge.label}` : ''} `, changed(edge.state)), facts(edge.details));
}

function listed(list, entry) {
  return [...list.slice(0, MOST_LISTED).map(entry), list.length > MOST_LISTED && el('p', { class: 'note' }, `${(list.length - MOST_LISTED).toLocaleString('en')} more: search for them.`)];
}

function nodeDetail(i, page) {
  const node = nodes[i];
  const path = pathFrom(i);
  const goal = data.goal >= 0 ? nodes[data.goal].label : '';
  const choose = (to) => page.choose(to);
  return [
    el('h2', {}, sign(kinds[node.kind]), el('span', {}, node.label), changed(node.state)),
    el('p', { class: 'note' }, [kinds[node.kind].title, node.in >= 0 && `in ${compartments[node.in].label}`].filter(Boolean).join(' ')),
    facts(node.details),
    node.link && el('p', {}, link('More about it', node.link)),
    goal && i !== data.goal && el('p', { class: 'note', id: 'reaches' }, path ? `Reaches ${goal} in ${plural(path.length, 'arrow')}.` : `No path leads from here to ${goal}.`),
    path?.length ? el('div', { class: 'actions' }, button('Show the shortest path', () => page.showPath(i), { id: 'show-path' })) : null,
    outgoing[i].length > 0 && el('h3', {}, `From here: ${outgoing[i].length.toLocaleString('en')}`),
    listed(outgoing[i], (e) => edgeEntry(e, 'to', choose)),
    incoming[i].length > 0 && el('h3', {}, `To here: ${incoming[i].length.toLocaleString('en')}`),
    listed(incoming[i], (e) => edgeEntry(e, 'from', choose)),
  ];
}

function lineDetail(line, page) {
  const kind = edgeKinds[line.kind];
  const choose = (to) => page.choose(to);
  return [
    el('h2', {}, lineSign(kind), el('span', {}, kind.title), changed(line.state)),
    line.edges.length > 1 && el('p', { class: 'note' }, `${plural(line.edges.length, 'edge')} in one line.`),
    listed(line.edges, (i) => el('div', { class: 'edge' }, pick(edges[i].from, choose), pick(edges[i].to, choose), edges[i].label && el('p', { class: 'what' }, edges[i].label), facts(edges[i].details))),
  ];
}

function compartmentDetail(c, page) {
  const open = state.open.has(c);
  return [
    el('h2', {}, el('span', {}, compartments[c].label)),
    el('p', { class: 'note' }, plural(members[c].length, 'node')),
    el('div', { class: 'actions' }, button(open ? 'Close' : 'Open', () => page.toggle(c), { id: 'toggle' })),
    el('h3', {}, 'In it'),
    listed(members[c], (i) => pick(i, (to) => page.choose(to))),
  ];
}

function pathDetail(i, page) {
  const path = pathFrom(i);
  const steps = path.map((e) => el('li', {}, `${edgeKinds[edges[e].kind].title}${edges[e].label ? ` (${edges[e].label})` : ''}: `, pick(edges[e].to, (to) => page.choose(to)), facts(edges[e].details)));
  return [el('h2', {}, `Shortest path to ${nodes[data.goal].label}`), el('p', { class: 'note' }, 'From:'), pick(i, (to) => page.choose(to)), el('ol', { class: 'path' }, steps)];
}

function overview(page) {
  const reaching = nodes.keys().filter((i) => i !== data.goal && towards.has(i) && (kinds[nodes[i].kind].column ?? 0) < 0).toArray().sort((a, b) => towards.get(a).steps - towards.get(b).steps || a - b);
  return [
    el('h2', {}, 'Nothing chosen'),
    el('p', { class: 'note' }, `${compartments.length ? 'Choose a closed compartment to open it. ' : ''}Choose a node or a line to see all that is known of it, and what is next to it.`),
    reaching.length > 0 && el('h3', {}, `Paths lead to ${nodes[data.goal].label}: ${reaching.length.toLocaleString('en')}`),
    listed(reaching, (i) => pick(i, (to) => page.choose(to))),
  ];
}
