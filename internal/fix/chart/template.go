package chart

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
)

// lineEdit replaces the lines [from, to) of a template, counted from 0, by
// others; it inserts where both are the same.
type lineEdit struct {
	file     string
	from, to int
	lines    []string
}

// same reports whether two edits do the same, as those of two objects do that
// one template renders.
func (e *lineEdit) same(o *lineEdit) bool {
	return e.file == o.file && e.from == o.from && e.to == o.to && slices.Equal(e.lines, o.lines)
}

// unit is a part of an object that is written in one place: fields that are
// there, or all that is to be added under one key. There may be several places
// where it can stand.
type unit struct {
	fields []*field
	edits  []*lineEdit
	next   int
}

// maxTemplateTries bounds the renderings that prove edits of templates one by
// one.
const maxTemplateTries = 150

// editTemplates makes the fields that no value reaches where templates write
// them as plain text. files holds what is changed already, and gets more.
func (p *Planner) editTemplates(ctx context.Context, g *goal, files map[string][]byte) error {
	w := &templateWork{planner: p, goal: g, files: files, texts: map[string][]string{}}
	units := w.units(g.open())
	if len(units) == 0 {
		return nil
	}
	defer w.tell()
	if ok, err := w.prove(ctx, units); err != nil || ok {
		return err
	}
	// Not all together: one by one, each with those that held before it.
	var good []*unit
	tries := 0
	for _, u := range units {
		for ; u.next < len(u.edits) && tries < maxTemplateTries; u.next++ {
			tries++
			ok, err := w.prove(ctx, append(slices.Clone(good), u))
			if err != nil {
				return err
			}
			if ok {
				good = append(good, u)
				break
			}
		}
	}
	return nil
}

// templateWork are templates at work.
type templateWork struct {
	planner *Planner
	goal    *goal
	// files are those of the plan, the values file among them.
	files map[string][]byte
	// texts are the templates as they were, by lines.
	texts map[string][]string
	// proven are the units that are part of the plan.
	proven []*unit
}

// text returns the lines of a template, nil where it cannot be had.
func (w *templateWork) text(file string) []string {
	if lines, ok := w.texts[file]; ok {
		return lines
	}
	var lines []string
	if w.planner.chart.Template != nil {
		if data, err := w.planner.chart.Template(file); err == nil {
			lines = strings.Split(string(data), "\n")
		}
	}
	w.texts[file] = lines
	return lines
}

// units groups fields by where they are to be written, and finds the places.
func (w *templateWork) units(fields []*field) []*unit {
	var out []*unit
	byTop := map[place]*unit{}
	for _, f := range fields {
		depth := 0
		for depth < len(f.path) {
			if v, ok := f.path[:depth+1].Lookup(f.object.Content); !ok || v == nil {
				break
			}
			depth++
		}
		top := f.path[:min(depth+1, len(f.path))]
		at := place{f.key, top.Pointer()}
		if u := byTop[at]; u != nil {
			u.fields = append(u.fields, f)
			continue
		}
		var edits []*lineEdit
		var why string
		if depth == len(f.path) {
			edits, why = w.replace(f.object, f.path, f.want)
		} else {
			value, _ := top.Lookup(f.after)
			edits, why = w.insert(f.object, top, value)
		}
		if len(edits) == 0 {
			f.why = cmp.Or(f.why, "no value reaches it"+f.hint) + ", and " + why
			continue
		}
		byTop[at] = &unit{fields: []*field{f}, edits: edits}
		out = append(out, byTop[at])
	}
	return out
}

// prove renders with the edits of all units, and makes them part of the plan
// where they do what is wanted of them and nothing else.
func (w *templateWork) prove(ctx context.Context, units []*unit) (bool, error) {
	edited, err := w.apply(units)
	if err != nil {
		return false, nil // two of them want the same lines
	}
	overlay := maps.Clone(w.files)
	maps.Copy(overlay, edited)
	out, err := w.planner.render(ctx, overlay, []map[string]any{{}})
	if err != nil {
		return false, err
	}
	t := w.goal.judge(w.planner.base, out[0])
	good := t.err == nil && len(t.foreign) == 0
	for _, f := range w.goal.fields {
		good = good && (!f.done || t.holds[f] || f.holds(lookup(w.planner.base.objects[f.key], f.path)))
	}
	for _, u := range units {
		for _, f := range u.fields {
			good = good && t.holds[f]
		}
	}
	last := units[len(units)-1]
	if !good {
		e := last.edits[min(last.next, len(last.edits)-1)]
		for _, f := range last.fields {
			f.why = fmt.Sprintf("no value reaches it%s, and a change at %s:%d does not do what is wanted alone%s", f.hint, e.file, e.from+1, t.fault())
		}
		return false, nil
	}
	maps.Copy(w.files, edited)
	w.proven = units
	for _, u := range units {
		for _, f := range u.fields {
			f.done = true
		}
	}
	return true, nil
}

// tell notes which templates are changed for what.
func (w *templateWork) tell() {
	fields := map[string][]change{}
	for _, u := range w.proven {
		file := u.edits[u.next].file
		for _, f := range u.fields {
			fields[file] = append(fields[file], change{key: f.key, path: f.path})
		}
	}
	for _, file := range sortedKeys(fields) {
		w.goal.notes = append(w.goal.notes, printable(fmt.Sprintf("%s: the template is changed -> %s", file, places(fields[file]))))
	}
}

// fault says what was wrong with a trial.
func (t *trial) fault() string {
	switch {
	case t.err != nil:
		return ": " + t.err.Error()
	case len(t.foreign) > 0:
		return ": " + t.foreign[0].String() + " changes as well"
	}
	return ""
}

// apply returns the changed templates.
func (w *templateWork) apply(units []*unit) (map[string][]byte, error) {
	byFile := map[string][]*lineEdit{}
	for _, u := range units {
		e := u.edits[min(u.next, len(u.edits)-1)]
		if !slices.ContainsFunc(byFile[e.file], e.same) {
			byFile[e.file] = append(byFile[e.file], e)
		}
	}
	out := map[string][]byte{}
	for file, edits := range byFile {
		slices.SortStableFunc(edits, func(a, b *lineEdit) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
		var lines []string
		at := 0
		for _, e := range edits {
			if e.from < at {
				return nil, fmt.Errorf("%s:%d: changed twice", file, e.from+1)
			}
			lines = append(append(lines, w.text(file)[at:e.from]...), withEnds(e.lines, w.text(file))...)
			at = e.to
		}
		lines = append(lines, w.text(file)[at:]...)
		out[file] = []byte(strings.Join(lines, "\n"))
	}
	return out, nil
}

// withEnds gives new lines the ends that the template's have.
func withEnds(lines, template []string) []string {
	if !strings.HasSuffix(template[0], "\r") {
		return lines
	}
	out := slices.Clone(lines)
	for i := range out {
		out[i] += "\r"
	}
	return out
}

// replace finds the edit of a value that is there; nil for want removes it.
func (w *templateWork) replace(o *model.Object, path model.Path, want any) ([]*lineEdit, string) {
	e, why := w.entry(o, path)
	if e == nil {
		return nil, why
	}
	if !e.plain {
		return nil, e.String() + " is not plain text"
	}
	if want == nil {
		if e.first {
			return nil, e.String() + " begins an item of a list"
		}
		return []*lineEdit{{e.file, e.line, e.end, nil}}, ""
	}
	lines, ok := e.written(want)
	if !ok {
		return nil, e.String() + " cannot hold the value"
	}
	return []*lineEdit{{e.file, e.line, e.end, lines}}, ""
}

// insert finds the places where a key that is not there can be added: below the
// key of the map that it belongs in, or behind another key of that map.
func (w *templateWork) insert(o *model.Object, path model.Path, value any) ([]*lineEdit, string) {
	last := len(path) - 1
	if path[last].Key == "" {
		return nil, "items are not added to lists of templates"
	}
	parent, _ := path[:last].Lookup(o.Content)
	children, isMap := parent.(map[string]any)
	if !isMap {
		return nil, fmt.Sprintf("%s is no map", path[:last])
	}
	var entries []*entry
	for _, k := range sortedKeys(children) {
		if e, _ := w.entry(o, path[:last].Keys(k)); e != nil {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b *entry) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line)) })
	var out []*lineEdit
	why := "its place in the template is not known"
	add := func(file string, line, column int) {
		if lines, ok := block(column, path[last].Key, value); ok {
			out = append(out, &lineEdit{file, line, line, lines})
		}
	}
	if last > 0 && path[last-1].Key != "" {
		e, reason := w.entry(o, path[:last])
		switch {
		case e == nil:
			why = reason
		case e.value != "" && !(e.value == "{}" && len(children) == 0):
			why = e.String() + " is not plain text"
		case e.value == "{}":
			if lines, ok := e.written(map[string]any{path[last].Key: value}); ok {
				return []*lineEdit{{e.file, e.line, e.end, lines}}, ""
			}
		default:
			column := e.column + 2
			if len(entries) > 0 && entries[0].file == e.file && entries[0].line > e.line {
				column = entries[0].column
			}
			add(e.file, e.line+1, column)
		}
	}
	for _, e := range entries {
		if e.plain || e.oneLine {
			add(e.file, e.end, e.column)
		}
	}
	return out, why
}
