// The list of findings: groups come as the reader scrolls to them, the rows of
// a group in portions, the details of a row when it is opened. So 20,000
// findings cost what one screen of them costs.

const ROWS_PER_GROUP = 10;
const ROWS_PER_PORTION = 200;
const ROWS_PER_STEP = 120;
const ROWS_PRINTED = 2000;

class FindingList {
  constructor(onOpen) {
    this.onOpen = onOpen;
    this.groups = [];
    this.next = 0;
    this.body = el('div', { class: 'groups' });
    this.end = el('div', { class: 'end' });
    this.node = el('div', {}, this.body, this.end);
    new IntersectionObserver((seen) => { if (seen.some((s) => s.isIntersecting)) this.more(); }, { rootMargin: '1200px' }).observe(this.end);
  }

  show(groups, state) {
    this.groups = groups;
    this.state = state;
    this.next = 0;
    this.body.replaceChildren();
    this.more();
  }

  // More appends groups until a step's worth of rows is there.
  more(budget = ROWS_PER_STEP) {
    const fresh = [];
    while (this.next < this.groups.length && budget > 0) {
      const view = new GroupView(this.groups[this.next++], this.state, this.onOpen);
      budget -= view.drawn + 2;
      fresh.push(view.node);
    }
    this.body.append(...fresh);
    // The observer speaks only when visibility changes: if the end is still in
    // view, it is asked again.
    if (fresh.length && this.next < this.groups.length) {
      requestAnimationFrame(() => { if (this.end.getBoundingClientRect().top < innerHeight + 600) this.more(); });
    }
  }

  // Reveal opens the finding with this fingerprint, wherever it is in the list.
  reveal(fingerprint) {
    const at = this.groups.findIndex((group) => group.items.some((item) => item.finding.fingerprint === fingerprint));
    if (at < 0) return;
    while (this.next <= at) this.more();
    const row = this.groups[at].view.reveal(fingerprint);
    row.open = true;
    row.scrollIntoView({ block: 'center' });
  }

  // ForPrint draws what paper can hold, and says what it leaves out.
  forPrint() {
    let room = ROWS_PRINTED;
    for (let i = 0; i < this.groups.length && room > 0; i++) {
      while (this.next <= i) this.more(1);
      room -= this.groups[i].view.draw(Math.min(this.groups[i].items.length, room));
    }
    const left = this.groups.reduce((sum, group) => sum + group.items.length - (group.view?.drawn ?? 0), 0);
    this.printNote?.remove();
    if (left) this.node.append(this.printNote = el('p', { class: 'legend' }, `${plural(left, 'more finding')} not printed: narrow the filters to print them.`));
  }
}

// GroupView is one group: a heading that folds it, and its rows.
class GroupView {
  constructor(group, state, onOpen) {
    group.view = this;
    this.group = group;
    this.state = state;
    this.onOpen = onOpen;
    this.drawn = 0;
    this.rows = el('ul', { class: 'rows' });
    this.foot = el('div', { class: 'more' });
    this.body = el('div', {}, this.rows, this.foot);
    this.heading = button([el('span', { class: 'label' }, group.label), el('span', { class: 'sub' }, group.sub), tally(group.items)], () => this.fold(!this.body.hidden));
    this.node = el('section', { class: 'group' }, el('h3', {}, this.heading), this.body);
    this.fold(state.fold);
  }

  fold(folded) {
    this.body.hidden = folded;
    this.heading.setAttribute('aria-expanded', String(!folded));
    const all = this.group.items.length;
    // A few rows more are better than a button for them.
    if (!folded && this.drawn === 0) this.draw(all <= ROWS_PER_GROUP * 1.5 ? all : ROWS_PER_GROUP);
  }

  // Draw brings the group to n rows and returns how many that is.
  draw(n) {
    const { items } = this.group;
    const until = Math.min(Math.max(n, this.drawn), items.length);
    this.rows.append(...items.slice(this.drawn, until).map((item) => rowOf(item, this.state, this.onOpen)));
    this.drawn = until;
    const left = items.length - until;
    const portion = Math.min(left, ROWS_PER_PORTION);
    this.foot.hidden = left === 0;
    this.foot.replaceChildren(button(left === portion ? `Show ${plural(left, 'more finding')}` : `Show ${portion} of ${plural(left, 'more finding')}`, () => {
      const first = this.drawn;
      this.draw(this.drawn + portion);
      this.rows.children[first]?.querySelector('summary').focus();
    }, { class: 'link' }));
    return until;
  }

  reveal(fingerprint) {
    const at = this.group.items.findIndex((item) => item.finding.fingerprint === fingerprint);
    this.fold(false);
    this.draw(at + 1);
    return this.rows.children[at].firstChild;
  }
}

// Tally counts a group's items by tone, worst first.
function tally(list) {
  const counts = new Map();
  for (const item of list) counts.set(item.tone, (counts.get(item.tone) ?? 0) + 1);
  const tones = [...counts].sort(([a], [b]) => rankOf(a) - rankOf(b));
  const words = tones.map(([tone, n]) => `${n} ${tone}`).join(', ');
  return el('span', { class: 'tally', role: 'img', 'aria-label': words, title: words }, tones.map(([tone, n]) => el('span', { class: `badge ${tone}` }, n)));
}

function rowOf(item, state, onOpen) {
  const f = item.finding;
  const sub = [
    state.group !== 'object' && el('span', {}, item.object),
    f.container && el('span', {}, `container ${f.container}`),
    state.group !== 'control' && el('span', { class: 'code' }, item.control),
    f.managed && el('span', { class: 'tag' }, `managed by ${f.managed.by}`),
    f.waived && el('span', { class: 'tag' }, `waived by ${f.waived.owner || f.waived.waiver}`),
  ];
  const row = el('details', { class: f.waived ? 'row waived' : 'row', 'data-fingerprint': f.fingerprint },
    el('summary', {}, el('span', { class: `badge ${item.tone}` }, item.tone),
      el('span', { class: 'what' }, el('span', { class: 'message' }, f.message), el('span', { class: 'sub' }, sub)),
      el('span', { class: 'place' }, item.place)));
  row.addEventListener('toggle', () => {
    if (row.open && row.childElementCount === 1) row.append(detailOf(item));
    onOpen(f.fingerprint, row.open);
  });
  return el('li', {}, row);
}
