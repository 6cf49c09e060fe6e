package chart

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix/text"
	"bulkhead.dev/bulkhead/internal/model"
)

// write edits the values file and renders the chart with it. What does not come
// out as wanted then is not done: another values file may have the last word.
func (p *Planner) write(ctx context.Context, g *goal, chosen []*trial) (map[string][]byte, error) {
	for len(chosen) > 0 {
		edited, notes, kept := p.edit(chosen)
		chosen = kept
		if len(chosen) == 0 {
			break
		}
		files := map[string][]byte{p.chart.ValuesPath: edited}
		out, err := p.render(ctx, files, []map[string]any{{}})
		if err != nil {
			return nil, err
		}
		t := g.judge(p.base, out[0])
		if t.err != nil || len(t.foreign) > 0 {
			last := chosen[len(chosen)-1]
			g.giveUp(last, t)
			chosen = chosen[:len(chosen)-1]
			continue
		}
		effective := slices.DeleteFunc(slices.Clone(chosen), func(c *trial) bool {
			for f := range c.holds {
				if t.holds[f] {
					return false
				}
				f.why = fmt.Sprintf("the value %s reaches it, but another values file or --set has the last word", names(c.assignments))
			}
			return true
		})
		if len(effective) < len(chosen) {
			chosen = effective
			continue
		}
		for f := range t.holds {
			f.done = true
		}
		g.notes = append(g.notes, notes...)
		g.tell(chosen, t)
		return files, nil
	}
	return map[string][]byte{}, nil
}

// edit makes the assignments in the text, and leaves out the trials that the
// text cannot take.
func (p *Planner) edit(chosen []*trial) (edited []byte, notes []string, kept []*trial) {
	edited = p.chart.Values
	for _, t := range chosen {
		next, said, err := editAll(edited, p.chart.Effective, t.assignments)
		if err != nil {
			for f := range t.holds {
				f.why = fmt.Sprintf("the value %s reaches it, but %s cannot be edited: %v", names(t.assignments), p.chart.ValuesPath, err)
			}
			continue
		}
		edited, kept = next, append(kept, t)
		for _, n := range said {
			notes = append(notes, printable(p.chart.ValuesPath+": "+n))
		}
	}
	return edited, notes, kept
}

func editAll(data []byte, effective map[string]any, assignments []assignment) ([]byte, []string, error) {
	var notes []string
	for _, a := range assignments {
		values, err := decodeValues(data)
		if err != nil {
			return nil, nil, err
		}
		edits := editsFor(values, effective, a)
		if len(edits) == 0 {
			continue
		}
		next, said, err := editText(data, edits)
		if err != nil {
			return nil, nil, err
		}
		data, notes = next, append(notes, said...)
		if list := listOf(values, a.path); list != nil {
			notes = append(notes, fmt.Sprintf("the list %s is written out whole, as Helm replaces lists", list))
		}
	}
	return data, notes, nil
}

func editText(data []byte, edits []finding.Edit) ([]byte, []string, error) {
	edited, refused, notes := text.Edit(data, []text.Change{{Edits: edits}})
	if err := errors.Join(refused...); err != nil {
		return nil, nil, err
	}
	return edited, notes, nil
}

// decodeValues reads a values file; nil for an empty one.
func decodeValues(data []byte) (map[string]any, error) {
	var values any
	if err := yaml.Unmarshal(data, &values); err != nil {
		return nil, fmt.Errorf("the values file is not valid YAML: %w", err)
	}
	switch v := values.(type) {
	case map[string]any:
		return v, nil
	case nil:
		return nil, nil
	}
	return nil, errors.New("values must be a map of names to values; write them as name: value")
}

// editsFor are the edits of a values file that make an assignment. Where the
// file has nothing of a value's parents, they are added; a list is written out
// whole then, as Helm replaces lists.
func editsFor(values, effective map[string]any, a assignment) []finding.Edit {
	if m, ok := a.value.(map[string]any); ok {
		if have, ok := lookup(values, a.path).(map[string]any); ok && len(have) > 0 {
			var out []finding.Edit
			for _, k := range sortedKeys(m) {
				out = append(out, editsFor(values, effective, assignment{a.path.Keys(k), m[k]})...)
			}
			return out
		}
	}
	if now, ok := a.path.Lookup(values); ok && now != nil && equal(now, a.value) && a.value != nil {
		return nil
	}
	// Down to the first step that the file does not have.
	depth, at := 0, any(values)
	for depth < len(a.path)-1 {
		next, ok := model.Path{a.path[depth]}.Lookup(at)
		if !ok || next == nil || scalar(next) {
			break
		}
		depth, at = depth+1, next
	}
	written := override(effective, []assignment{a})
	value, _ := a.path[:depth+1].Lookup(written)
	pointer := a.path[:depth+1].Pointer()
	op := "add"
	if _, there := (model.Path{a.path[depth]}).Lookup(at); there {
		op = "replace"
	}
	return []finding.Edit{{Op: op, Path: pointer, Value: value}}
}

// listOf is the list that a path goes into and that the values do not have; nil
// for none.
func listOf(values map[string]any, path model.Path) model.Path {
	for i, step := range path {
		if step.Key == "" {
			if _, there := path[:i].Lookup(values); !there {
				return path[:i]
			}
		}
	}
	return nil
}

func lookup(v any, path model.Path) any {
	out, _ := path.Lookup(v)
	return out
}

// tell notes which value drives what.
func (g *goal) tell(chosen []*trial, whole *trial) {
	for _, t := range chosen {
		var fields []change
		for _, f := range g.fields {
			if t.holds[f] && whole.holds[f] {
				fields = append(fields, change{key: f.key, path: f.path})
			}
		}
		for _, a := range t.assignments {
			g.notes = append(g.notes, printable(fmt.Sprintf("%s -> %s", a, places(fields))))
		}
	}
	if len(whole.also) > 0 {
		g.notes = append(g.notes, printable("the same values also set "+places(whole.also)))
	}
}

// places names fields for people, those of several objects together.
func places(fields []change) string {
	var order []string
	objects := map[string][]string{}
	for _, f := range fields {
		path := f.path.String()
		if objects[path] == nil {
			order = append(order, path)
		}
		objects[path] = append(objects[path], f.key.String())
	}
	var out []string
	for _, path := range order {
		separator := " "
		if len(objects[path]) > 1 {
			separator = ": "
		}
		out = append(out, shorten(objects[path])+separator+path)
	}
	return shorten(out)
}

// shown is how many objects, or fields, a note names.
const shown = 4

func shorten(names []string) string {
	s := strings.Join(names[:min(len(names), shown)], ", ")
	if more := len(names) - shown; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}
