package chart

import (
	"cmp"
	"fmt"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/model"
)

// field is one value that is wanted of the rendering: nil for none.
type field struct {
	key
	path model.Path
	want any
	// tail is the end of path that names the field, container the name of the
	// container that it is in, or of another list's item.
	tail      model.Path
	container string
	// changes are the indexes of the wanted changes that it is part of, object
	// the one of them that has its location.
	changes []int
	object  *model.Object
	// after is the whole object as it is wanted.
	after map[string]any

	// done says that the field is as wanted; why, if not, what was found out.
	done bool
	why  string
	// hint is what failed first.
	hint string
}

// goal is what a plan is for.
type goal struct {
	fields []*field
	at     map[place]*field
	// tails has the fields by the end of their path.
	tails   map[string][]*field
	refused map[int]string
	// accepted are the candidates that make a field what is wanted, best first.
	accepted map[*field][]*trial
	notes    []string
}

// newGoal takes the wanted changes apart into fields.
func newGoal(b *base, wanted []fix.Change) *goal {
	g := &goal{at: map[place]*field{}, tails: map[string][]*field{}, refused: map[int]string{}, accepted: map[*field][]*trial{}}
	for i, c := range wanted {
		if c.Object == nil || c.After == nil {
			g.refused[i] = "it is not known what is wanted of the object"
			continue
		}
		k := keyOf(c.Object.Content)
		content, ok := b.objects[k]
		second := k
		second.ordinal++
		switch {
		case !ok:
			g.refused[i] = fmt.Sprintf("the chart does not render %s by itself", k)
			continue
		case b.objects[second] != nil:
			g.refused[i] = fmt.Sprintf("the chart renders %s twice, so it is not known which of them to change", k)
			continue
		}
		compare(c.Object.Content, c.After, nil, func(path model.Path, _, after any) {
			g.add(b, &field{key: k, path: path, want: after, tail: tail(path), container: nameOf(content, path),
				changes: []int{i}, object: c.Object, after: c.After})
		})
	}
	slices.SortFunc(g.fields, func(a, b *field) int {
		return cmp.Or(cmp.Compare(a.key.String(), b.key.String()), cmp.Compare(a.path.String(), b.path.String()))
	})
	return g
}

func (g *goal) add(b *base, f *field) {
	at := place{f.key, f.path.Pointer()}
	if have := g.at[at]; have != nil {
		have.changes = append(have.changes, f.changes...)
		if !equal(have.want, f.want) {
			g.refused[f.changes[0]] = fmt.Sprintf("%s is wanted to have two values", f.path)
		}
		return
	}
	now, _ := f.path.Lookup(b.objects[f.key])
	f.done = f.holds(now)
	g.at[at] = f
	g.fields = append(g.fields, f)
	g.tails[f.tail.Pointer()] = append(g.tails[f.tail.Pointer()], f)
}

// nameOf is the name of the innermost list item on a path.
func nameOf(content any, path model.Path) string {
	for i := len(path); i > 0; i-- {
		if path[i-1].Key == "" {
			item, _ := path[:i].Lookup(content)
			name, _ := model.Get(item, "name").(string)
			return name
		}
	}
	return ""
}

// falseAsAbsent are fields whose absence the API server reads as false; charts
// often write them only where they are true.
var falseAsAbsent = []string{"hostNetwork", "hostPID", "hostIPC", "privileged", "shareProcessNamespace"}

// holds reports whether a value of the rendering is what is wanted.
func (f *field) holds(value any) bool {
	if f.want == false && value == nil && slices.Contains(falseAsAbsent, f.path[len(f.path)-1].Key) {
		return true
	}
	return equal(value, f.want)
}

// open are the fields that are not yet as wanted.
func (g *goal) open() []*field {
	var out []*field
	for _, f := range g.fields {
		if !f.done {
			out = append(out, f)
		}
	}
	return out
}

// trial is a rendering with assignments, and what became of the fields.
type trial struct {
	assignments []assignment
	// score is how well names fit, the more the better.
	score int
	err   error
	// holds are the fields that became as wanted, also the same fields of others
	// that got the same value unasked, foreign everything else that changed.
	holds   map[*field]bool
	also    []change
	foreign []change
}

// ok reports whether nothing speaks against the assignments.
func (t *trial) ok() bool { return t.err == nil && len(t.holds) > 0 && len(t.foreign) == 0 }

// judge compares a rendering with the goal.
func (g *goal) judge(b *base, r Rendering) *trial {
	t := &trial{err: r.Err, holds: map[*field]bool{}}
	if r.Err != nil {
		return t
	}
	objects := index(r.Objects)
	for _, c := range differences(b, objects) {
		f := g.at[place{c.key, c.path.Pointer()}]
		switch {
		case f != nil && f.holds(c.after):
			t.holds[f] = true
		case f == nil && len(c.path) > 0 && g.elsewhere(c):
			t.also = append(t.also, c)
		default:
			t.foreign = append(t.foreign, c)
		}
	}
	slices.SortFunc(t.foreign, compareChanges)
	slices.SortFunc(t.also, compareChanges)
	return t
}

func compareChanges(a, b change) int {
	return cmp.Or(cmp.Compare(a.key.String(), b.key.String()), cmp.Compare(a.path.String(), b.path.String()))
}

// elsewhere reports whether a change gives a field of another object or
// container the value that is wanted of the same field somewhere.
func (g *goal) elsewhere(c change) bool {
	return slices.ContainsFunc(g.tails[tail(c.path).Pointer()], func(f *field) bool { return f.holds(c.after) })
}

// result tells what became of the goal.
func (p *Planner) result(g *goal, files map[string][]byte) *fix.Result {
	left := map[int][]*field{}
	for _, f := range g.open() {
		for _, i := range f.changes {
			left[i] = append(left[i], f)
		}
	}
	why := map[int]map[string]string{}
	for i, fields := range left {
		why[i] = map[string]string{}
		for _, f := range fields {
			why[i][f.path.Pointer()] = printable(fmt.Sprintf("%s: %s", f.path, p.reason(f)))
		}
		if g.refused[i] != "" {
			continue
		}
		reason := fmt.Sprintf("%s: %s", fields[0].path, p.reason(fields[0]))
		if more := fields[1:]; len(more) > 0 {
			var paths []string
			for _, f := range more {
				paths = append(paths, f.path.String())
			}
			reason += "; nor can " + shorten(paths) + " be set"
		}
		g.refused[i] = printable(reason)
	}
	return &fix.Result{Files: files, Refused: g.refused, Fields: why, Notes: g.notes}
}

// reason says why a field is not as wanted, and what can be done.
func (p *Planner) reason(f *field) string {
	if f.why != "" {
		return f.why
	}
	none := "no value reaches it" + f.hint
	if p.cutShort {
		none = fmt.Sprintf("no value was found that reaches it, in %d renderings%s", p.rendered, f.hint)
	}
	at := f.object.Locate(f.path)
	if at == nil || at.Line == 0 {
		return none
	}
	where := fmt.Sprintf("%s:%d", at.File, at.Line)
	if _, written := f.path.Lookup(f.object.Content); written {
		where = "the template hard-codes it in " + where
	} else {
		where = "the template has no place for it near " + where
	}
	if !p.chart.EditTemplates {
		where += ", use --edit-templates"
	}
	return none + "; " + where
}

// locate is where a field of the object, that exists, is written.
func locate(o *model.Object, path model.Path) (finding.Location, bool) {
	if _, ok := path.Lookup(o.Content); !ok {
		return finding.Location{}, false
	}
	at := o.Locate(path)
	if at == nil || at.Line == 0 {
		return finding.Location{}, false
	}
	return *at, true
}
