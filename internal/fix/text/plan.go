package text

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// plan gathers what has to change in the text of a document for it to mean
// something else.
type plan struct {
	*tree
	writer
	splices []splice
	notes   []string
	// now is what anchored nodes will mean. An alias whose place is to mean
	// something else is written out.
	now map[*node]*value
	// place is where the plan is at, and failures what cannot be written.
	place    []step
	failures failures
}

// failures say of places in a document why they cannot be written, so that all
// changes that cannot be made are found at once.
type failures []failure

type failure struct {
	place []step
	err   error
}

func (f failures) Error() string { return f[0].err.Error() }

// fail notes why the place where the plan is at cannot be written.
func (p *plan) fail(err error) {
	p.failures = append(p.failures, failure{slices.Clone(p.place), err})
}

// splice replaces a range of the text.
type splice struct {
	start, end int
	text       string
}

// spot is where a value stands: behind lead, the end of a colon or dash, in a
// collection in block style that is indented by indent.
type spot struct {
	block  bool
	dash   bool
	lead   int
	indent int
}

// rewrite returns the text of t changed so that it means want, and what a person
// should know about how that was done.
func rewrite(t *tree, want *value, w writer) ([]byte, []string, error) {
	p := &plan{tree: t, writer: w, now: map[*node]*value{}}
	if t.root == nil || t.root.null() && t.root.start == t.root.end {
		if err := p.fill(want); err != nil {
			return nil, nil, err
		}
	} else if err := p.fit(t.root, want, spot{block: !t.json, lead: -1}); err != nil {
		p.fail(err)
	}
	if len(p.failures) > 0 {
		return nil, nil, p.failures
	}
	text, err := p.apply()
	return text, p.notes, err
}

func (n *node) null() bool { return n.kind == scalar && n.value.null() }

// fill writes a map into a document that holds nothing.
func (p *plan) fill(want *value) error {
	if want.kind != mapping || want.size == 1 {
		return nil
	}
	lines, err := p.lines(want, 0)
	if err != nil {
		return err
	}
	at := len(p.text)
	for pos := 0; pos < len(p.text); pos = p.lineAfter(pos) {
		if marker(p.text[pos:p.lineAfter(pos)], "...") {
			at = pos
		}
	}
	eol := p.lineBreak(at)
	text := strings.Join(lines, eol) + eol
	if at > 0 && p.text[at-1] != '\n' {
		text = eol + text
	}
	p.splice(at, at, text)
	return nil
}

func (p *plan) splice(start, end int, text string) {
	if start != end || text != "" {
		p.splices = append(p.splices, splice{start, end, text})
	}
}

// apply makes the changes. Where one inserts at the place where another begins,
// it comes first; inner ones were planned before outer ones.
func (p *plan) apply() ([]byte, error) {
	slices.SortStableFunc(p.splices, func(a, b splice) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return min(a.end-a.start, 1) - min(b.end-b.start, 1)
	})
	grow := 0
	for _, s := range p.splices {
		grow += len(s.text)
	}
	out := make([]byte, 0, len(p.text)+grow)
	pos := 0
	for _, s := range p.splices {
		if s.start < pos || s.end < s.start {
			return nil, errors.New("two changes meet at one place in the text; make them one by one")
		}
		out = append(out, p.text[pos:s.start]...)
		out = append(out, s.text...)
		pos = s.end
		if s.text == "" && pos == len(p.text) && s.start < pos && p.text[s.start] < ' ' && p.text[s.start] != '\t' {
			// The last line is gone, which had no line break; the line before keeps its.
			out = append(out, p.lineBreak(s.start)...)
		}
	}
	return append(out, p.text[pos:]...), nil
}

// fit changes the text of n so that it means want.
func (p *plan) fit(n *node, want *value, at spot) error {
	if n.kind == alias {
		if now := p.now[n.target]; now != nil && equal(now, want) {
			return nil
		}
		if err := p.writable(n.target); err != nil {
			return err
		}
		p.notes = append(p.notes, fmt.Sprintf("line %d: the alias %s was written out, because the value that it repeats is to differ from it",
			n.line, p.text[n.body:n.end]))
		return p.replace(n, want, at)
	}
	if n.anchor != "" {
		p.now[n] = want
	}
	switch {
	case n.value == want && (!p.aliases || n.kind == scalar):
		return nil
	case n.kind != want.kind:
		return p.replace(n, want, at)
	case n.kind == scalar:
		if n.value.scalar == want.scalar {
			return nil
		}
		return p.replace(n, want, at)
	case want.size == 1 && len(n.entries) == 0:
		return nil
	case want.size == 1, len(n.entries) == 0 && at.block:
		return p.replace(n, want, at)
	case n.kind == mapping:
		return p.fitMap(n, want, at)
	}
	return p.fitList(n, want, at)
}

// addition is a new entry behind an entry that is kept: behind none where after
// is -1.
type addition struct {
	after int
	key   string
	value *value
}

// fitMap changes the entries of a map.
func (p *plan) fitMap(n *node, want *value, at spot) error {
	kept := make([]bool, len(n.entries))
	own := map[string]bool{}
	last := -1
	for i, e := range n.entries {
		if e.merge {
			continue
		}
		own[e.name] = true
		if _, ok := want.fields[e.name]; ok {
			kept[i], last = true, i
		}
	}
	merged, sources, err := p.merged(n)
	if err != nil {
		return err
	}
	expand := false
	for k := range merged {
		if _, ok := want.fields[k]; !ok {
			expand = true
		}
	}
	// What a merged map gave, even if it no longer does, may be what is to be kept here.
	again := slices.DeleteFunc(keys(want), func(k string) bool {
		now, ok := merged[k]
		return own[k] || ok && !expand && equal(now, want.fields[k])
	})
	for _, m := range sources {
		if slices.ContainsFunc(again, func(k string) bool { return m.value.fields[k] != nil }) {
			if err := p.writable(m); err != nil {
				return err
			}
		}
	}
	for i, e := range n.entries {
		if e.merge && !expand {
			kept[i], last = true, max(last, i)
		}
		if e.merge && expand {
			p.notes = append(p.notes, fmt.Sprintf("line %d: what is merged there (<<) was written out, because a field of it is not wanted here", e.key.line))
		}
	}
	written := map[string]string{} // what a key means, by its text
	if len(again) > 0 {
		for _, e := range n.entries {
			written[string(p.text[e.key.body:e.key.end])] = e.name
		}
	}
	var added []addition
	for _, k := range again {
		if _, ok := merged[k]; ok && !expand {
			if !p.scalars.plainInBlock(k) {
				return fmt.Errorf("line %d: field %q is merged there (<<), and cannot be overridden because its key may not be text; write the merge out first", n.line, k)
			}
			p.notes = append(p.notes, fmt.Sprintf("line %d: field %s was written into the map, where it takes the place of the merged one (<<)", n.line, k))
		}
		if name, ok := written[k]; ok && name != k {
			return fmt.Errorf("line %d: key %s is there, and YAML 1.1 reads it as something else; quote it first", n.line, k)
		}
		added = append(added, addition{last, k, want.fields[k]})
	}
	if last < 0 {
		return p.replace(n, want, at)
	}
	return p.fitEntries(n, kept, added, func(i int) *value { return want.fields[n.entries[i].name] })
}

// writable refuses to write a value a second time that holds a plain scalar which
// YAML 1.1 and 1.2 read differently: it would be written as what it is to kubectl.
func (p *plan) writable(n *node) error {
	if n.kind == scalar && n.style == 0 && n.body < n.end {
		var now any
		err := yaml.Unmarshal(p.text[n.body:n.end], &now)
		read := scalarOf(now)
		if number, isNumber := numberOf(now); isNumber == nil {
			read = scalarOf(number)
		}
		if err != nil || read.scalar != n.value.scalar {
			return fmt.Errorf("line %d: %s would be written a second time, and programs read it differently; quote it first", n.line, p.text[n.body:n.end])
		}
	}
	if n.kind == alias {
		return p.writable(n.target)
	}
	for _, e := range n.entries {
		if err := p.writable(e.value); err != nil {
			return err
		}
	}
	return nil
}

// merged is what the merge keys of a map will give it, and the maps that do.
func (p *plan) merged(n *node) (fields map[string]*value, expanded []*node, err error) {
	if !n.merges {
		return nil, nil, nil
	}
	fields = map[string]*value{}
	for _, e := range n.entries {
		if !e.merge {
			continue
		}
		maps, err := mergedMaps(e.value)
		if err != nil {
			return nil, nil, err
		}
		for _, m := range maps {
			v := p.now[m]
			if m.anchor == "" {
				v = m.value
			}
			if v == nil || v.kind != mapping {
				return nil, nil, errors.New("the map that is merged (<<) would be gone; write it out first")
			}
			expanded = append(expanded, m)
			for k, f := range v.fields {
				if _, ok := fields[k]; !ok {
					fields[k] = f
				}
			}
		}
	}
	return fields, expanded, nil
}

// fitList changes the items of a list.
func (p *plan) fitList(n *node, want *value, at spot) error {
	old := make([]*value, len(n.entries))
	for i, e := range n.entries {
		old[i] = e.value.value
	}
	pairs := align(old, want.items)
	kept := make([]bool, len(old))
	become := make([]*value, len(old))
	var added []addition
	last := -1
	for j, w := range want.items {
		if i := pairs[j]; i >= 0 {
			kept[i], become[i], last = true, w, i
			continue
		}
		added = append(added, addition{after: last, value: w})
	}
	if last < 0 {
		return p.replace(n, want, at)
	}
	return p.fitEntries(n, kept, added, func(i int) *value { return become[i] })
}

// fitEntries changes what is kept, and then removes and adds entries.
func (p *plan) fitEntries(n *node, kept []bool, added []addition, want func(int) *value) error {
	in := spot{block: !n.flow}
	if in.block {
		in.indent, in.dash = p.indent(n), n.kind == list
	}
	for i, e := range n.entries {
		if !kept[i] || e.merge {
			continue
		}
		in.lead = e.start + 1
		if e.key != nil {
			in.lead = p.behindColon(e)
		}
		s := step{index: i}
		if e.key != nil {
			s = step{key: e.name}
		}
		p.place = append(p.place, s)
		if err := p.fit(e.value, want(i), in); err != nil {
			p.fail(err)
		}
		p.place = p.place[:len(p.place)-1]
	}
	if !slices.Contains(kept, false) && len(added) == 0 {
		return nil
	}
	if n.bare || n.explicit {
		return fmt.Errorf("line %d: the map is written with question marks or without braces; write it plainly first", n.line)
	}
	if n.flow {
		return p.flowEntries(n, kept, added)
	}
	return p.blockEntries(n, kept, added)
}

// behindColon is the place behind the colon of an entry, or behind its key where
// there is no colon.
func (p *plan) behindColon(e entry) int {
	if colon := skipTrivia(p.text, e.key.end); colon < len(p.text) && p.text[colon] == ':' {
		return colon + 1
	}
	return e.key.end
}

// align finds for each wanted item the old one that it comes from, -1 for those
// that are new. Matches are in order. Items that an edit left alone or changed
// know where they come from; what lies between two matches is paired in order.
func align(old, want []*value) []int {
	where := map[*value][]int{}
	for i, v := range old {
		where[v] = append(where[v], i)
	}
	pairs := make([]int, len(want))
	last, known := -1, false
	for j, w := range want {
		pairs[j] = -1
		places := where[w.first()]
		at, _ := slices.BinarySearch(places, last+1)
		if at < len(places) {
			pairs[j], last, known = places[at], places[at], true
		}
	}
	if !known {
		matchEnds(old, want, pairs)
	}
	pairGaps(len(old), pairs)
	return pairs
}

// matchEnds pairs what two lists have in common at both ends.
func matchEnds(old, want []*value, pairs []int) {
	n := min(len(old), len(want))
	i := 0
	for i < n && equal(old[i], want[i]) {
		pairs[i] = i
		i++
	}
	for k := 1; k <= n-i && equal(old[len(old)-k], want[len(want)-k]); k++ {
		pairs[len(want)-k] = len(old) - k
	}
}

// pairGaps pairs in order what lies between two matches.
func pairGaps(n int, pairs []int) {
	for j := 0; j < len(pairs); {
		if pairs[j] >= 0 {
			j++
			continue
		}
		from, end := 0, j
		if j > 0 {
			from = pairs[j-1] + 1
		}
		for end < len(pairs) && pairs[end] < 0 {
			end++
		}
		to := n
		if end < len(pairs) {
			to = pairs[end]
		}
		for ; j < end && from < to; from++ {
			pairs[j] = from
			j++
		}
		j = end
	}
}
