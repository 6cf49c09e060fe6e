// The findings as the page asks about them, and the state of the question:
// filters, search, grouping and sorting, all of it kept in the URL's hash.

const SEVERITIES = ['critical', 'high', 'medium', 'low', 'info'];
const CLUSTER = '(cluster)';
const report = JSON.parse(document.getElementById('report-data').textContent);
const rules = new Map(report.rules.map((rule) => [rule.name, rule]));

// Item is one row: a finding or a pass, with what filters read of it.
class Item {
  constructor(finding, index) {
    const { object, location } = finding;
    this.finding = finding;
    this.index = index;
    this.rule = rules.get(finding.control) ?? { title: finding.control };
    this.control = finding.control;
    this.severity = finding.severity;
    this.verdict = finding.verdict;
    this.layer = this.rule.layer ?? '';
    this.kind = object.kind;
    // A Namespace is looked for among what it holds.
    this.namespace = object.namespace || (object.kind === 'Namespace' && !object.group ? object.name : CLUSTER);
    this.object = [object.namespace, object.kind, object.name].filter(Boolean).join('/');
    this.waived = finding.waived ? 'waived' : 'open';
    this.file = location?.file ?? '';
    this.line = location?.line ?? 0;
    this.place = [this.file, location?.line, location?.column].filter(Boolean).join(':');
    // What colours it: an unknown is not as bad as its control, it is unknown.
    this.tone = finding.verdict === 'fail' ? finding.severity : finding.verdict;
    this.rank = rankOf(this.tone);
  }

  // Text is what the search looks through; made when a search first asks.
  get text() {
    const f = this.finding;
    this.searchable ??= [f.message, f.control, this.rule.title, this.object, f.root, f.container, f.path, this.place, f.fingerprint,
      ...(f.covers ?? []), ...(f.evidence ?? []).flatMap((e) => [e.source, e.detail]),
      ...(this.rule.references ?? []).map((r) => `${r.framework} ${r.id}`),
      f.waived?.waiver, f.waived?.owner, f.waived?.reason, f.waived?.ticket,
      f.managed && `managed by ${f.managed.by}`, f.managed?.sign].filter(Boolean).join('\n').toLowerCase();
    return this.searchable;
  }
}

function rankOf(tone) {
  const rank = SEVERITIES.indexOf(tone);
  if (rank >= 0) return rank;
  return tone === 'unknown' ? SEVERITIES.length : SEVERITIES.length + 1;
}

const asPass = (pass) => ({ ...pass, verdict: 'pass', severity: rules.get(pass.control)?.severity ?? 'info', message: 'Passed', fingerprint: '' });
const items = [...report.findings, ...report.passes.map(asPass)].map((f, i) => new Item(f, i));

// A facet is a property that findings are filtered by; its filter is a set of
// values, and an empty set asks for the default.
const FACETS = ['severity', 'verdict', 'layer', 'namespace', 'kind', 'control', 'waived'];
const DEFAULTS = { verdict: new Set(['fail', 'unknown']), waived: new Set(['open']) };
const GROUPS = {
  control: { name: 'Control', key: (item) => item.control, label: (item) => item.rule.title || item.control, sub: (item) => item.control },
  object: { name: 'Object', key: (item) => `${item.finding.root ?? ''}\n${item.finding.object.group}\n${item.object}`, label: (item) => item.object, sub: (item) => item.finding.root || item.file },
  namespace: { name: 'Namespace', key: (item) => item.namespace, label: (item) => item.namespace, sub: () => '' },
  file: { name: 'File', key: (item) => item.file, label: (item) => item.file || 'No file', sub: () => '' },
};
const SORTS = { worst: 'Worst first', count: 'Most findings', name: 'Name', place: 'File and line' };

function parseState(hash) {
  const params = new URLSearchParams(hash.replace(/^#/, ''));
  const state = { q: params.get('q') ?? '', finding: params.get('finding') ?? '', fold: params.has('fold') };
  for (const facet of FACETS) state[facet] = new Set(params.getAll(facet));
  state.group = Object.hasOwn(GROUPS, params.get('group') ?? '') ? params.get('group') : 'control';
  state.sort = Object.hasOwn(SORTS, params.get('sort') ?? '') ? params.get('sort') : 'worst';
  return state;
}

function formatState(state) {
  const params = new URLSearchParams();
  for (const facet of FACETS) for (const value of state[facet]) params.append(facet, value);
  if (state.q) params.set('q', state.q);
  if (state.group !== 'control') params.set('group', state.group);
  if (state.sort !== 'worst') params.set('sort', state.sort);
  if (state.fold) params.set('fold', '1');
  if (state.finding) params.set('finding', state.finding);
  return `#${params}`;
}

// Select is the findings that a state asks for. Beside them it counts, for each
// value of each facet, what choosing that value would show, and for the heat
// map what each cell holds under every filter but those on its own two axes.
function select(state) {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const accepted = FACETS.map((facet) => (state[facet].size ? state[facet] : DEFAULTS[facet]));
  const counts = FACETS.map(() => new Map());
  const axes = new Set([FACETS.indexOf('control'), FACETS.indexOf('namespace')]);
  const shown = [];
  const mapped = [];
  for (const item of items) {
    if (words.length && !words.every((word) => item.text.includes(word))) continue;
    const missed = [];
    accepted.forEach((set, i) => { if (set && !set.has(item[FACETS[i]]) && !set.has('all')) missed.push(i); });
    if (missed.length === 0) shown.push(item);
    if (missed.length <= 1) {
      FACETS.forEach((facet, i) => {
        if (missed.length === 0 || missed[0] === i) counts[i].set(item[facet], (counts[i].get(item[facet]) ?? 0) + 1);
      });
    }
    if (item.verdict !== 'pass' && missed.every((i) => axes.has(i))) mapped.push(item);
  }
  return { shown, mapped, counts: Object.fromEntries(FACETS.map((facet, i) => [facet, counts[i]])) };
}

// GroupItems sorts items and puts them into groups; the report's own order is
// worst first.
function groupItems(shown, state) {
  const by = GROUPS[state.group];
  const groups = new Map();
  for (const item of shown) {
    const key = by.key(item);
    let group = groups.get(key);
    if (!group) groups.set(key, group = { key, label: by.label(item), sub: by.sub(item), items: [], rank: Infinity });
    group.items.push(item);
    group.rank = Math.min(group.rank, item.rank);
  }
  const worst = (a, b) => a.rank - b.rank || b.items.length - a.items.length;
  const place = (a, b) => compare(a.file, b.file) || a.line - b.line || a.index - b.index;
  const list = [...groups.values()];
  if (state.sort === 'place') list.forEach((group) => group.items.sort(place));
  if (state.sort === 'name') list.forEach((group) => group.items.sort((a, b) => compare(a.object, b.object) || a.index - b.index));
  const order = {
    worst, count: (a, b) => b.items.length - a.items.length || worst(a, b), name: () => 0, place: (a, b) => place(a.items[0], b.items[0]),
  }[state.sort];
  return list.sort((a, b) => order(a, b) || compare(a.label, b.label) || compare(a.key, b.key));
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
