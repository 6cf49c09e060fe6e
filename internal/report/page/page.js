// The page's controls: they change the state, and the state is drawn.

const CHIPS = ['severity', 'verdict'];
const LISTS = { namespace: 'Namespace', layer: 'Layer', kind: 'Kind', control: 'Control' };
const WAIVED = { '': 'Not waived', waived: 'Waived only', all: 'Waived or not' };
const SEARCH_PAUSE = 150; // milliseconds

class Page {
  constructor(root) {
    this.state = parseState(location.hash);
    this.facets = {};
    this.list = new FindingList((fingerprint, open) => this.opened(fingerprint, open));
    this.map = new HeatMap(document.getElementById('heatmap'), (control, namespace) => this.chooseCell(control, namespace));
    this.status = el('div', { class: 'status' });
    root.replaceChildren(el('div', { class: 'browse' }, this.filters(), el('div', {}, this.searchBar(), this.status, this.list.node)));
    this.listen();
    this.draw();
  }

  filters() {
    const form = el('form', {});
    form.addEventListener('submit', (event) => event.preventDefault());
    for (const facet of CHIPS) {
      this.facets[facet] = el('fieldset', { 'data-facet': facet }, el('legend', {}, facet === 'severity' ? 'Severity' : 'Verdict'));
      form.append(this.facets[facet]);
    }
    for (const [facet, label] of Object.entries({ ...LISTS, waived: 'Waivers' })) {
      const box = el('select', { 'data-facet': facet });
      box.addEventListener('change', () => this.change({ [facet]: new Set(box.value ? [box.value] : []) }));
      this.facets[facet] = box;
      form.append(el('label', {}, label, box));
    }
    const node = el('details', { class: 'card filters' }, el('summary', {}, 'Filters'), form);
    const wide = matchMedia('(min-width: 64.01rem)');
    node.open = wide.matches;
    wide.addEventListener('change', () => { node.open = wide.matches; });
    return node;
  }

  searchBar() {
    this.search = el('input', { type: 'search', placeholder: 'Message, object, file, control, owner\u2026', 'aria-keyshortcuts': '/', spellcheck: 'false', autocomplete: 'off' });
    let pause;
    this.search.addEventListener('input', () => {
      clearTimeout(pause);
      pause = setTimeout(() => this.change({ q: this.search.value.trim() }, 'replace'), SEARCH_PAUSE);
    });
    this.group = choice(Object.entries(GROUPS).map(([value, { name }]) => [value, name]), (group) => this.change({ group }));
    this.sort = choice(Object.entries(SORTS), (sort) => this.change({ sort }));
    return el('div', { class: 'search', role: 'search' }, el('label', {}, 'Search', this.search), el('label', {}, 'Group by', this.group), el('label', {}, 'Sort', this.sort));
  }

  listen() {
    addEventListener('popstate', () => this.restore());
    addEventListener('beforeprint', () => this.list.forPrint());
    document.addEventListener('keydown', (event) => {
      const typing = event.target.matches?.('input, select, textarea');
      if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.search.focus();
    });
    // Links into the page are filters; they keep how the list is laid out.
    document.addEventListener('click', (event) => {
      const anchor = event.target.closest?.('a[href^="#"]');
      if (!anchor || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      const href = anchor.getAttribute('href');
      const filters = href.includes('=');
      if (filters) this.change({ ...parseState(href), group: this.state.group, sort: this.state.sort });
      const target = document.getElementById(filters ? 'findings' : href.slice(1));
      if (!target) return;
      target.scrollIntoView();
      target.focus({ preventScroll: true });
    });
  }

  // Change puts new values into the state; each change but those of typing is
  // a step that the browser's Back undoes.
  change(values, how = 'push') {
    // What was typed a moment ago counts, though its pause is not over.
    this.state = { ...this.state, finding: '', q: this.search.value.trim(), ...values };
    this.remember(how);
    this.draw();
  }

  remember(how) {
    history[`${how}State`](null, '', formatState(this.state));
  }

  restore() {
    this.state = parseState(location.hash);
    this.draw();
  }

  opened(fingerprint, open) {
    if (!fingerprint || (!open && this.state.finding !== fingerprint)) return;
    this.state = { ...this.state, finding: open ? fingerprint : '' };
    this.remember('replace');
  }

  chooseCell(control, namespace) {
    const set = (value) => new Set(value === null ? [] : [value]);
    const same = (a, b) => a.size === b.size && [...a].every((value) => b.has(value));
    const again = same(this.state.control, set(control)) && same(this.state.namespace, set(namespace));
    this.change({ control: set(again ? null : control), namespace: set(again ? null : namespace) });
  }

  draw() {
    const { shown, mapped, counts } = select(this.state);
    const groups = groupItems(shown, this.state);
    this.map.update(mapped, this.state);
    CHIPS.forEach((facet) => this.drawChips(facet, counts[facet]));
    Object.keys(LISTS).forEach((facet) => this.drawList(facet, counts[facet]));
    options(this.facets.waived, Object.entries(WAIVED), [...this.state.waived][0] ?? '');
    if (this.search.value.trim() !== this.state.q) this.search.value = this.state.q;
    this.group.value = this.state.group;
    this.sort.value = this.state.sort;
    this.drawStatus(shown.length, groups.length, counts.waived);
    this.list.show(groups, this.state);
    if (this.state.finding) this.list.reveal(this.state.finding);
  }

  drawChips(facet, counts) {
    const values = facet === 'severity' ? SEVERITIES : ['fail', 'unknown', ...(report.passes.length ? ['pass'] : [])];
    const chosen = this.state[facet];
    const focused = document.activeElement?.dataset?.value;
    const had = this.facets[facet].contains(document.activeElement);
    const chips = values.map((value) => button([el('i', { class: `dot ${value}` }), value, el('b', {}, counts.get(value) ?? 0)], () => {
      const next = new Set(chosen);
      if (!next.delete(value)) next.add(value);
      this.change({ [facet]: next });
    }, { class: 'chip', 'aria-pressed': String(chosen.has(value)), 'data-value': value }));
    this.facets[facet].replaceChildren(this.facets[facet].firstChild, ...chips);
    if (had) chips.find((chip) => chip.dataset.value === focused)?.focus();
  }

  drawList(facet, counts) {
    this.values ??= {};
    this.values[facet] ??= [...new Set(items.map((item) => item[facet]))].sort(compare);
    const chosen = this.state[facet];
    const current = chosen.size > 1 ? 'several' : [...chosen][0] ?? '';
    const known = this.values[facet].filter((value) => counts.has(value) || chosen.has(value));
    const extra = chosen.size === 1 && !known.includes(current) ? [[current, `${current} (0)`]] : [];
    options(this.facets[facet], [['', 'All'], ...(chosen.size > 1 ? [['several', 'Several']] : []), ...known.map((value) => [value, `${value} (${counts.get(value) ?? 0})`]), ...extra], current);
  }

  drawStatus(shown, groups, waivedCounts) {
    const pills = [];
    if (this.state.q) pills.push(button(`search: ${this.state.q}`, () => this.change({ q: '' }), { class: 'pill', 'aria-label': `Remove search ${this.state.q}` }));
    for (const facet of FACETS) {
      for (const value of this.state[facet]) {
        const rest = new Set([...this.state[facet]].filter((other) => other !== value));
        const name = facet === 'waived' ? (WAIVED[value] ?? value).toLowerCase() : `${facet}: ${value}`;
        pills.push(button(name, () => this.change({ [facet]: rest }), { class: 'pill', 'aria-label': `Remove filter ${name}` }));
      }
    }
    const clear = () => this.change({ q: '', ...Object.fromEntries(FACETS.map((facet) => [facet, new Set()])) });
    const hidden = this.state.waived.size ? 0 : waivedCounts.get('waived') ?? 0;
    const unit = GROUPS[this.state.group].name.toLowerCase();
    this.status.replaceChildren(
      el('span', { role: 'status' }, el('b', {}, shown.toLocaleString('en')), ` of ${plural(this.state.verdict.has('pass') ? items.length : report.findings.length, 'finding')} in ${plural(groups, unit)}`),
      ...pills,
      pills.length > 1 ? button('Clear all', clear, { class: 'link' }) : '',
      hidden ? button(`${plural(hidden, 'waived finding')} hidden: show`, () => this.change({ waived: new Set(['all']) }), { class: 'link' }) : '',
      el('span', { class: 'spacer' }),
      groups > 1 ? button(this.state.fold ? 'Unfold all' : 'Fold all', () => this.change({ fold: !this.state.fold }), { class: 'link' }) : '',
    );
    this.empty?.remove();
    if (shown === 0 && pills.length) this.status.after(this.empty = el('div', { class: 'empty' }, el('p', {}, 'No finding matches these filters.'), button('Clear the filters', clear)));
  }
}

function choice(entries, action) {
  const box = el('select', {});
  options(box, entries, '');
  box.addEventListener('change', () => action(box.value));
  return box;
}

function options(box, entries, current) {
  box.replaceChildren(...entries.map(([value, label]) => el('option', { value }, label)));
  box.value = current;
}

if (items.length) new Page(document.getElementById('browser'));
