// What the reader does: choose, open, search, filter, move.

const MOST_FOUND = 60;

class Page {
  constructor() {
    this.canvas = new Canvas(document.getElementById('canvas'));
    this.detail = document.getElementById('detail');
    this.status = document.getElementById('status');
    this.chosen = null;
    document.getElementById('counts').textContent = [compartments.length && plural(compartments.length, 'compartment'), plural(nodes.length, 'node'), plural(edges.length, 'edge')].filter(Boolean).join(', ');
    this.tools();
    this.legend();
    this.listen();
    this.canvas.draw();
    this.canvas.fit();
    this.choose(null);
  }

  tools() {
    const bar = document.getElementById('tools');
    if (compartments.length) {
      bar.append(button('Open all', () => this.openAll(true), { id: 'open-all' }), button('Close all', () => this.openAll(false), { id: 'close-all' }));
    }
    bar.append(button('All in view', () => this.canvas.fit(), { id: 'fit' }), button('+', () => this.canvas.zoom(1.3), { 'aria-label': 'Larger' }), button('−', () => this.canvas.zoom(1 / 1.3), { 'aria-label': 'Smaller' }));
    if (compared) {
      const only = button('Changes only', () => {
        state.changesOnly = !state.changesOnly;
        only.setAttribute('aria-pressed', state.changesOnly);
        this.redraw();
      }, { id: 'changes', 'aria-pressed': 'false' });
      bar.append(only);
    }
  }

  // Legend says what the kinds look like, and hides them.
  legend() {
    const group = (title, list, hidden, count, mark) => el('fieldset', { class: 'legend' }, el('legend', {}, title), list.map((kind, i) => {
      const n = count(i);
      if (!n) return null;
      const box = el('input', { type: 'checkbox', checked: !hidden.has(i), 'data-kind': kind.name });
      box.addEventListener('change', () => {
        if (box.checked) hidden.delete(i);
        else hidden.add(i);
        this.redraw();
      });
      return el('label', {}, box, mark(kind), el('span', {}, kind.title), el('small', {}, n.toLocaleString('en')));
    }));
    const tally = (list) => {
      const sums = new Map();
      for (const { kind } of list) sums.set(kind, (sums.get(kind) ?? 0) + 1);
      return (i) => sums.get(i) ?? 0;
    };
    document.getElementById('legend').replaceChildren(
      group('Nodes', kinds, state.hiddenKinds, tally(nodes), sign),
      group('Edges', edgeKinds, state.hiddenEdges, tally(edges), lineSign),
    );
  }

  listen() {
    const { cy } = this.canvas;
    cy.on('tap', (event) => {
      if (event.target === cy) this.choose(null);
      else this.chooseName(event.target.id());
    });
    cy.on('dbltap', 'node.frame', (event) => this.toggle(Number(event.target.id().slice(1))));
    cy.on('mouseover', 'node, edge', (event) => { cy.container().style.cursor = 'pointer'; this.say(this.describe(event.target.id())); });
    cy.on('mouseout', 'node, edge', () => { cy.container().style.cursor = ''; });
    dark.addEventListener('change', () => { this.legend(); this.tell(); });
    const search = document.getElementById('search');
    search.addEventListener('input', () => this.search(search.value));
    document.getElementById('searching').addEventListener('submit', (event) => {
      event.preventDefault();
      document.querySelector('#results .pick')?.click();
    });
    search.addEventListener('keydown', (event) => { if (event.key === 'ArrowDown') document.querySelector('#results .pick')?.focus(); });
    document.getElementById('results').addEventListener('keydown', (event) => {
      const to = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
      if (!to) return;
      event.preventDefault();
      (event.target.closest('li')[to]?.querySelector('button') ?? search).focus();
    });
    addEventListener('keydown', (event) => this.key(event));
    addEventListener('beforeprint', () => this.forPrint());
    addEventListener('afterprint', () => document.getElementById('paper')?.remove());
    new ResizeObserver(() => cy.resize()).observe(cy.container());
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape') {
      this.choose(null);
      return;
    }
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const onCanvas = event.target.id === 'canvas';
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way && onCanvas) this.step(way);
    else if (event.key === 'Enter' && onCanvas) this.enter();
    else if (event.key === '/') document.getElementById('search').focus();
    else if (event.key === 'f') this.canvas.fit();
    else if (event.key === '+' || event.key === '=') this.canvas.zoom(1.3);
    else if (event.key === '-') this.canvas.zoom(1 / 1.3);
    else if (event.key === 'p' && this.chosen?.node >= 0 && pathFrom(this.chosen.node)?.length) this.showPath(this.chosen.node);
    else return;
    event.preventDefault();
  }

  step(way) {
    const to = this.canvas.next(this.chosen?.name, way);
    if (!to) return;
    // A closed compartment is looked at first, and opened by Enter.
    if (to[0] === 'c') this.set({ name: to, compartment: Number(to.slice(1)) });
    else this.choose(Number(to.slice(1)), true);
  }

  enter() {
    const c = this.chosen?.compartment ?? (this.chosen?.node >= 0 ? nodes[this.chosen.node].in : -1);
    if (c >= 0) this.toggle(c);
  }

  // ChooseName is a click on what stands in the picture.
  chooseName(id) {
    if (id[0] === 'n') this.choose(Number(id.slice(1)), true);
    else if (id[0] === 'e') this.set({ name: id, line: this.canvas.lines.get(id) });
    else if (state.open.has(Number(id.slice(1)))) this.set({ name: id, compartment: Number(id.slice(1)) });
    else this.toggle(Number(id.slice(1)));
  }

  // Choose chooses a node, null for nothing. Its compartment is opened.
  choose(i, stay) {
    if (i === null) {
      this.set(null);
      return;
    }
    const c = nodes[i].in;
    let moved = false;
    if (state.hiddenKinds.delete(nodes[i].kind)) { this.legend(); moved = true; }
    if (state.changesOnly && !nodeShown(i)) { document.getElementById('changes').click(); }
    if (c >= 0 && !state.open.has(c)) {
      if (!this.mayOpen([c])) return;
      state.open.add(c);
      this.canvas.anchor = `c${c}`;
      moved = true;
    }
    if (moved) this.canvas.draw();
    this.set({ name: `n${i}`, node: i });
    if (!stay || moved) this.canvas.show(`n${i}`);
  }

  set(chosen) {
    this.chosen = chosen;
    this.tell();
    this.light();
    if (chosen) this.say(this.describe(chosen.name));
  }

  // Tell fills the panel.
  tell() {
    const { chosen } = this;
    const parts = !chosen ? overview(this) : chosen.path ? pathDetail(chosen.node, this) : chosen.line ? lineDetail(chosen.line, this) : chosen.compartment >= 0 ? compartmentDetail(chosen.compartment, this) : nodeDetail(chosen.node, this);
    fill(this.detail, {}, []).replaceChildren(...parts.flat(2).filter((part) => part));
    this.detail.scrollTop = 0;
  }

  light() {
    const { chosen, canvas } = this;
    if (!chosen) {
      canvas.highlight([], [], []);
      return;
    }
    if (chosen.path) {
      const along = pathFrom(chosen.node);
      const boxes = new Set([name(chosen.node), ...along.map((e) => name(edges[e].to))]);
      const lines = [...canvas.lines.values()].filter((line) => line.edges.some((e) => along.includes(e))).map((line) => line.name);
      canvas.highlight([name(chosen.node)], [], [...boxes, ...lines]);
      return;
    }
    const element = canvas.cy.getElementById(chosen.name);
    const near = chosen.line ? [chosen.line.from, chosen.line.to]
      : element.hasClass('frame') ? this.around(chosen.compartment)
        : element.closedNeighborhood().map((e) => e.id());
    canvas.highlight([chosen.name], near, []);
  }

  // Around is what is in an open compartment, with the lines of it and their ends.
  around(c) {
    const { boxes, lines } = this.canvas;
    const inside = new Set([...boxes.values()].filter((box) => box.compartment === c).map((box) => box.name));
    const touching = [...lines.values()].filter((line) => inside.has(line.from) || inside.has(line.to));
    return [...inside, ...touching.flatMap((line) => [line.name, line.from, line.to])];
  }

  showPath(i) {
    const ends = [i, ...pathFrom(i).map((e) => edges[e].to)];
    const closed = [...new Set(ends.map((n) => nodes[n].in))].filter((c) => c >= 0 && !state.open.has(c));
    if (!this.mayOpen(closed)) return;
    closed.forEach((c) => state.open.add(c));
    state.hiddenKinds.clear();
    state.hiddenEdges.clear();
    this.legend();
    this.canvas.draw();
    this.set({ name: `n${i}`, node: i, path: true });
    const all = this.canvas.cy.collection(ends.map((n) => this.canvas.cy.getElementById(name(n))));
    this.canvas.cy.fit(all, 60);
    if (this.canvas.cy.zoom() > 1.1) this.canvas.cy.zoom(1.1);
    this.canvas.cy.center(all);
  }

  // Toggle opens or closes a compartment.
  toggle(c) {
    if (state.open.has(c)) state.open.delete(c);
    else if (this.mayOpen([c])) state.open.add(c);
    else return;
    this.canvas.anchor = `c${c}`;
    this.canvas.draw();
    this.set({ name: `c${c}`, compartment: c });
    this.canvas.show(`c${c}`);
    this.say(`${compartments[c].label} is ${state.open.has(c) ? 'open' : 'closed'}.`);
  }

  mayOpen(more) {
    const n = drawn(new Set([...state.open, ...more]));
    if (n <= MOST_DRAWN) return true;
    this.say(`That would draw ${plural(n, 'node')}, more than ${MOST_DRAWN.toLocaleString('en')} at once. Close others or hide kinds first; the search finds what is closed.`);
    return false;
  }

  openAll(open) {
    const all = open ? compartments.keys() : [];
    if (open && !this.mayOpen([...all])) return;
    state.open = new Set(open ? compartments.keys() : []);
    this.redraw();
    this.canvas.fit();
  }

  redraw() {
    this.canvas.draw();
    const { chosen } = this;
    const gone = chosen && this.canvas.cy.getElementById(chosen.name).empty();
    this.set(gone ? null : chosen);
    const n = this.canvas.boxes.size;
    this.say(`${plural(n, 'box', 'boxes')} drawn.`);
  }

  search(words) {
    const hits = found(words);
    document.getElementById('results').replaceChildren(...hits.slice(0, MOST_FOUND).map((i) => el('li', {}, pick(i, (to) => this.choose(to), this.chosen?.node === i))));
    if (words.trim()) this.say(hits.length > MOST_FOUND ? `${hits.length.toLocaleString('en')} found, the first ${MOST_FOUND} are listed.` : `${hits.length} found.`);
  }

  // Describe says in a line what stands in the picture.
  describe(id) {
    if (id[0] === 'n') {
      const node = nodes[Number(id.slice(1))];
      return `${kinds[node.kind].title} ${node.label}${node.in >= 0 ? `, in ${compartments[node.in].label}` : ''}${node.state ? `, ${node.state}` : ''}`;
    }
    if (id[0] === 'e') {
      const line = this.canvas.lines.get(id);
      const end = (at) => (at[0] === 'n' ? nodes[Number(at.slice(1))].label : compartments[Number(at.slice(1))].label);
      return line ? `${end(line.from)} ${edgeKinds[line.kind].title} ${end(line.to)}${lineLabel(line) ? `: ${lineLabel(line)}` : ''}` : '';
    }
    const c = Number(id.slice(1));
    return `${compartments[c].label}: ${plural(members[c].length, 'node')}${state.open.has(c) ? '' : ', closed'}`;
  }

  say(text) {
    this.status.textContent = text;
  }

  // ForPrint puts the whole picture on the page as an image, in colours for paper.
  forPrint() {
    const { cy } = this.canvas;
    const image = el('img', { id: 'paper', alt: data.title, src: cy.png({ full: true, scale: 2, maxWidth: 4000, maxHeight: 4000, bg: css('--page') }) });
    document.querySelector('.stage').append(image);
  }
}

globalThis.bulkheadGraph = new Page();
