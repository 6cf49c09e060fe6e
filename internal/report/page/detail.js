// The details of one finding: what was seen, why it matters, what to do.

function detailOf(item) {
  const f = item.finding;
  return el('div', { class: 'detail' },
    el('dl', {}, factsOf(item).filter(([, value]) => value && value.length !== 0).flatMap(([name, value, kind]) => [el('dt', {}, name), el('dd', { class: kind }, value)])),
    f.fix && fixBox(f.fix),
    f.verdict !== 'pass' && !f.waived && waiverHint(f));
}

// FactsOf is what is known of a finding: name, value, and the value's class.
function factsOf(item) {
  const f = item.finding;
  const { rule } = item;
  return [
    ['Why', rule.why, 'prose'],
    ['Remedy', rule.remedy, 'prose'],
    ['Object', `${[f.object.group, f.object.version].filter(Boolean).join('/')} ${item.object}`.trim()],
    ['Container', f.container],
    ['Field', f.path, 'code'],
    ['Location', item.place, 'code'],
    ['Root', f.root, 'code'],
    ['Evidence', listOf((f.evidence ?? []).map((e) => [el('b', {}, e.source), e.detail ? `: ${e.detail}` : '']))],
    ['Waived', f.waived && waiverOf(f.waived)],
    ['Managed', f.managed && `by ${f.managed.by}, says ${f.managed.sign}`],
    ['Covers', listOf((f.covers ?? []).map((control) => el('a', { href: `#${new URLSearchParams({ control })}`, class: 'code' }, control)))],
    ['References', listOf((rule.references ?? []).map((r) => link(`${r.framework} ${r.id}`, r.url)))],
    ['Control', [el('span', { class: 'code' }, item.control), ` ${[item.severity, rule.layer, rule.since && `since ${rule.since}`].filter(Boolean).join(', ')}`]],
    ['Fingerprint', f.fingerprint, 'code'],
  ];
}

function listOf(entries) {
  return entries.length ? el('ul', {}, entries.map((entry) => el('li', {}, entry))) : null;
}

function waiverOf(w) {
  const tail = [w.owner && `owner ${w.owner}`, w.ticket, w.expires ? `expires ${w.expires}` : 'no expiry', w.waiver === 'annotation' ? 'by annotation' : `by waiver ${w.waiver}`];
  return [w.reason, el('br'), el('span', { class: 'note' }, tail.filter(Boolean).join(', '))];
}

const SAFETY = {
  safe: 'Fix: safe to apply',
  risky: 'Fix: may break the workload',
  manual: 'Fix: needs a decision',
};

function fixBox(fix) {
  const head = el('p', {}, el('b', {}, SAFETY[fix.safety] ?? `Fix: ${fix.safety}`), fix.note && el('span', { class: 'note' }, fix.note));
  const change = fix.diff ? diffOf(fix.diff) : fix.edits?.length ? el('pre', { class: 'wrap', tabindex: 0 }, JSON.stringify(fix.edits, null, 2)) : null;
  if (change) head.append(copyButton(fix.diff || change.textContent, change));
  return el('div', { class: 'box' }, head, change);
}

// DiffOf shows a unified diff; the signs stay in the text, so colour is not
// all that tells a line's side.
function diffOf(diff) {
  const lines = diff.replace(/\n$/, '').split('\n');
  return el('pre', { class: 'diff', tabindex: 0, 'aria-label': 'Diff of the fix' }, lines.map((line, i) => {
    const header = i < 2 && (line.startsWith('--- ') || line.startsWith('+++ '));
    const kind = header || line.startsWith('@@') ? 'hunk' : line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : undefined;
    return el('span', { class: kind }, `${line || ' '}\n`);
  }));
}

// WaiverHint is the annotation that would accept the finding, to be copied.
function waiverHint(f) {
  const scope = f.container ? `; container=${f.container}` : '';
  const text = `waive.bulkhead.dev/${f.control}: "REASON; owner=TEAM; expires=YYYY-MM-DD${scope}"`;
  const shown = el('pre', { class: 'wrap', tabindex: 0 }, text);
  return el('div', { class: 'box' },
    el('p', {}, el('b', {}, 'Accept it'), el('span', { class: 'note' }, 'as an annotation of the pod template, or of the object where it has none'), copyButton(text, shown)), shown);
}
