// The heat map: controls down, namespaces across, worst corner first. A grid
// with one tab stop; arrow keys move, Enter or a click filters.

const MAX_ROWS = 150;
const MAX_COLUMNS = 300;
const MANY_COLUMNS = 9;

class HeatMap {
  constructor(section, onChoose) {
    this.onChoose = onChoose;
    const all = items.filter((item) => item.verdict !== 'pass');
    const controls = axisOf(all, 'control');
    const namespaces = axisOf(all, 'namespace');
    this.controls = controls.slice(0, MAX_ROWS);
    this.namespaces = namespaces.slice(0, MAX_COLUMNS);
    this.cells = new Map();
    this.lines = [];
    section.hidden = all.length === 0;
    if (section.hidden) return;
    section.querySelector('.scroll').append(this.table());
    section.querySelector('.legend').append(...this.legend(controls.length, namespaces.length));
  }

  legend(controls, namespaces) {
    const tones = [...SEVERITIES, 'unknown'].map((tone) => el('span', {}, el('i', { class: `dot ${tone}` }), `${tone} `));
    const left = [
      controls > MAX_ROWS && `${plural(controls - MAX_ROWS, 'more control')}`,
      namespaces > MAX_COLUMNS && `${plural(namespaces - MAX_COLUMNS, 'more namespace')}`,
    ].filter(Boolean);
    return ['Number of findings by control and namespace, coloured by the worst. Choose a cell to see them. ', ...tones, left.length ? `Not drawn: ${left.join(' and ')}; the filters reach them.` : ''];
  }

  table() {
    const head = [el('th', {}, 'Control'), ...this.namespaces.map((namespace) => el('th', { scope: 'col', tabindex: -1, title: namespace }, el('span', {}, namespace)))];
    head.forEach((cell, column) => this.place(cell, 0, column, null, this.namespaces[column - 1] ?? null));
    const body = this.controls.map((control, i) => {
      const line = [el('th', { scope: 'row', tabindex: -1, title: `${rules.get(control)?.title ?? control} (${control})` }, control)];
      for (let column = 0; column < this.namespaces.length; column++) line.push(document.createElement('td'));
      line.forEach((cell, column) => this.place(cell, i + 1, column, control, this.namespaces[column - 1] ?? null));
      return el('tr', {}, line);
    });
    const table = el('table', { class: `heat ${this.namespaces.length < MANY_COLUMNS ? 'few' : 'many'}`, role: 'grid', 'aria-label': 'Findings by control and namespace' },
      el('thead', {}, el('tr', {}, head)), el('tbody', {}, body));
    this.lines[1][0].tabIndex = 0;
    table.addEventListener('click', (event) => this.choose(event.target.closest('th, td')));
    table.addEventListener('keydown', (event) => this.key(event));
    return table;
  }

  place(cell, row, column, control, namespace) {
    Object.assign(cell, { at: [row, column], control, namespace });
    (this.lines[row] ??= [])[column] = cell;
    if (control !== null && namespace !== null) this.cells.set(`${control}\n${namespace}`, cell);
  }

  choose(cell) {
    if (!cell || (cell.control === null && cell.namespace === null)) return;
    if (cell.localName === 'td' && !cell.textContent) return;
    this.onChoose(cell.control, cell.namespace);
  }

  key(event) {
    const cell = event.target.closest('th, td');
    const [row, column] = cell.at;
    const last = this.lines[row].length - 1;
    const [toRow, toColumn] = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      Home: [row, 0], End: [row, last], PageUp: [Math.max(0, row - 10), column], PageDown: [Math.min(this.lines.length - 1, row + 10), column],
    }[event.key] ?? [];
    if (event.key === 'Enter' || event.key === ' ') this.choose(cell);
    else if (toRow === undefined) return;
    else this.focus(this.lines[toRow]?.[toColumn], cell);
    event.preventDefault();
  }

  focus(to, from) {
    if (!to || (to.control === null && to.namespace === null)) return;
    from.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }

  // Update writes the counts of these items into the cells that changed, and
  // marks what the filters choose.
  update(mapped, state) {
    const now = new Map();
    for (const item of mapped) {
      const cell = this.cells.get(`${item.control}\n${item.namespace}`);
      const sum = now.get(cell) ?? { n: 0, rank: Infinity, tone: '' };
      sum.n++;
      if (item.rank < sum.rank) Object.assign(sum, { rank: item.rank, tone: item.tone });
      now.set(cell, sum);
    }
    for (const cell of this.cells.values()) {
      const sum = now.get(cell);
      if (cell.drawn === (sum ? `${sum.n} ${sum.tone}` : undefined)) continue;
      cell.drawn = sum && `${sum.n} ${sum.tone}`;
      cell.textContent = sum ? sum.n : '';
      if (!sum) { cell.removeAttribute('class'); cell.removeAttribute('aria-label'); continue; }
      cell.className = sum.tone;
      const words = visible(`${cell.control} in ${cell.namespace}: ${plural(sum.n, 'finding')}, worst ${sum.tone}`);
      cell.setAttribute('aria-label', words);
      cell.title = words;
    }
    for (const line of this.lines.slice(1)) line[0].classList.toggle('idle', !line.some((cell) => cell.drawn));
    this.mark(state);
  }

  mark(state) {
    for (const cell of this.marked ?? []) cell.removeAttribute('aria-selected');
    this.marked = [];
    const one = (set) => (set.size === 1 ? [...set][0] : null);
    const [control, namespace] = [one(state.control), one(state.namespace)];
    const cell = this.cells.get(`${control}\n${namespace}`);
    if (cell) this.marked.push(cell);
    const line = this.controls.indexOf(control);
    const column = this.namespaces.indexOf(namespace);
    if (line >= 0) this.marked.push(this.lines[line + 1][0]);
    if (column >= 0) this.marked.push(this.lines[0][column + 1]);
    for (const marked of this.marked) marked.setAttribute('aria-selected', 'true');
  }
}

// AxisOf is the values of a facet, the worst and most frequent first.
function axisOf(list, facet) {
  const sums = new Map();
  for (const item of list) {
    const sum = sums.get(item[facet]) ?? { n: 0, rank: Infinity };
    sum.n++;
    sum.rank = Math.min(sum.rank, item.rank);
    sums.set(item[facet], sum);
  }
  return [...sums].sort(([a, x], [b, y]) => x.rank - y.rank || y.n - x.n || compare(a, b)).map(([value]) => value);
}
