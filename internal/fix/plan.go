package fix

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// plan is what the fixes that are still wanted come to in files.
type plan struct {
	mu    sync.Mutex
	files Files
	notes []string
	// targets are the fixes that the files have.
	targets map[target]bool
	// refused says why an object could not be changed in whole.
	refused map[*model.Object]string
	// fields says the same of single fields, by their JSON Pointer.
	fields map[*model.Object]map[string]string
	// further are the fixes that follow from others.
	further map[target]bool
	objects int
}

// place is where changes are written: a root that is rendered, or a plain file.
type place struct{ root, file string }

// wish is an object with the controls whose fixes are wanted.
type wish struct {
	object   *model.Object
	controls []string
	change   *Change
}

// plan composes the changes of all objects and writes them, with all cores.
func (r *run) plan(ctx context.Context) (*plan, error) {
	wishes, order := r.wishes()
	if err := r.compose(ctx, wishes); err != nil {
		return nil, err
	}
	byPlace := map[place][]*wish{}
	var places []place
	for _, w := range wishes {
		if w.change == nil {
			continue
		}
		at := order[w.object]
		if byPlace[at] == nil {
			places = append(places, at)
		}
		byPlace[at] = append(byPlace[at], w)
	}
	p := &plan{files: Files{}, targets: map[target]bool{}, refused: map[*model.Object]string{}, fields: map[*model.Object]map[string]string{}, further: map[target]bool{}}
	for o, controls := range r.further {
		for c := range controls {
			p.further[target{c, o}] = true
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, at := range places {
		g.Go(func() error { return r.write(ctx, p, at, byPlace[at]) })
	}
	return p, g.Wait()
}

// wishes lists the objects to change, with their controls in the order in which
// those are fixed. What a stricter control covers is fixed with it.
func (r *run) wishes() ([]*wish, map[*model.Object]place) {
	wanted := map[*model.Object]map[string]bool{}
	at := map[*model.Object]place{}
	var wishes []*wish
	for _, k := range r.order {
		a := r.attempts[k]
		if a.reason != "" || !r.searches[k.object].allows(k.control) {
			continue
		}
		if wanted[k.object] == nil {
			wanted[k.object] = map[string]bool{}
			at[k.object] = place{root: a.findings[0].Root}
			if a.findings[0].Root == "" {
				at[k.object] = place{file: k.object.Source.File}
			}
			wishes = append(wishes, &wish{object: k.object})
		}
		wanted[k.object][k.control] = true
		for _, f := range a.findings {
			for _, c := range f.Covers {
				if ok, _, _ := r.Choose(&f.Finding, c); ok {
					wanted[k.object][c] = true
				}
			}
		}
	}
	for _, w := range wishes {
		for _, c := range r.Controls {
			if wanted[w.object][c.Name] || r.further[w.object][c.Name] {
				w.controls = append(w.controls, c.Name)
			}
		}
	}
	return wishes, at
}

// compose makes one change of the fixes of each object.
func (r *run) compose(ctx context.Context, wishes []*wish) error {
	next := make(chan *wish)
	g, ctx := errgroup.WithContext(ctx)
	failed := make([]map[string]error, len(wishes))
	index := make(map[*wish]int, len(wishes))
	for i, w := range wishes {
		index[w] = i
	}
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			mutate := r.Mutate()
			for w := range next {
				w.change, failed[index[w]] = Compose(ctx, w.object, w.controls, mutate)
			}
			return ctx.Err()
		})
	}
	g.Go(func() error {
		defer close(next)
		for _, w := range wishes {
			select {
			case next <- w:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	for i, w := range wishes {
		r.uncomposed(w, failed[i])
	}
	return nil
}

// uncomposed tells why fixes could not be made on the object itself.
func (r *run) uncomposed(w *wish, failed map[string]error) {
	for _, c := range w.controls {
		a := r.attempts[target{c, w.object}]
		switch {
		case a == nil: // covered by another
		case failed[c] != nil:
			a.cause, a.reason = finding.LeftRefused, failed[c].Error()
		case w.change == nil:
			a.cause, a.reason = finding.LeftDecision, "the fix changes nothing in this object"
		}
	}
}

// write plans the files of one place.
func (r *run) write(ctx context.Context, p *plan, at place, wishes []*wish) error {
	changes := make([]Change, len(wishes))
	for i, w := range wishes {
		changes[i] = *w.change
	}
	result, err := r.at(ctx, at, changes)
	if err != nil {
		return err
	}
	if at.root == "" && len(result.Refused) > 0 {
		if result, err = r.oneByOne(ctx, at, wishes, result.Refused); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	mutate := r.Mutate()
	for i, w := range wishes {
		why, refused := result.Refused[i]
		if refused {
			p.refused[w.object], p.fields[w.object] = why, result.Fields[i]
		} else {
			p.objects++
		}
		// Of an object that is rendered, what can be driven is; the second scan tells
		// which findings that removes.
		nothing := refused && (at.root == "" || len(result.Files) == 0)
		for _, c := range w.controls {
			k := target{c, w.object}
			a := r.attempts[k]
			switch {
			case a == nil || a.reason != "":
			case nothing:
				reason, _ := p.whyNot(ctx, mutate, k)
				a.cause, a.reason = finding.LeftRefused, reason
			default:
				p.targets[k] = true
			}
		}
	}
	maps.Copy(p.files, result.Files)
	p.notes = append(p.notes, result.Notes...)
	return nil
}

func (r *run) at(ctx context.Context, at place, changes []Change) (*Result, error) {
	if at.root != "" {
		return r.Root(ctx, at.root, changes)
	}
	return r.Plain(ctx, at.file, changes)
}

// oneByOne looks which of the fixes of objects whose change was refused as a
// whole can be written.
func (r *run) oneByOne(ctx context.Context, at place, wishes []*wish, refused map[int]string) (*Result, error) {
	var again []*wish
	for i, w := range wishes {
		if refused[i] != "" && len(w.controls) > 1 {
			again = append(again, w)
		}
	}
	if err := r.whatFits(ctx, at, again); err != nil {
		return nil, err
	}
	var changes []Change
	var kept []int
	why := map[int]string{}
	for i, w := range wishes {
		if w.change == nil || refused[i] != "" && len(w.controls) == 1 {
			why[i] = refused[i]
			continue
		}
		changes, kept = append(changes, *w.change), append(kept, i)
	}
	result := &Result{Files: map[string][]byte{}}
	if len(changes) > 0 {
		var err error
		if result, err = r.at(ctx, at, changes); err != nil {
			return nil, err
		}
	}
	for n, reason := range result.Refused {
		why[kept[n]] = reason
	}
	result.Refused = why
	return result, nil
}

// whatFits leaves those fixes of objects that can be written together. It tries
// one more fix of each object at a time, so that the file is written no more often
// than an object has fixes.
func (r *run) whatFits(ctx context.Context, at place, wishes []*wish) error {
	mutate := r.Mutate()
	fitting := make(map[*wish][]string, len(wishes))
	most := 0
	for _, w := range wishes {
		w.change = nil
		most = max(most, len(w.controls))
	}
	for n := range most {
		var changes []Change
		var tried []*wish
		for _, w := range wishes {
			if n >= len(w.controls) {
				continue
			}
			c := w.controls[n]
			change, failed := Compose(ctx, w.object, slices.Concat(fitting[w], []string{c}), mutate)
			if failed[c] == nil && change != nil {
				changes, tried = append(changes, *change), append(tried, w)
			}
		}
		if len(changes) == 0 {
			continue
		}
		result, err := r.at(ctx, at, changes)
		if err != nil {
			return err
		}
		for i, w := range tried {
			c := w.controls[n]
			if reason := result.Refused[i]; reason == "" {
				fitting[w], w.change = append(fitting[w], c), &changes[i]
			} else if a := r.attempts[target{c, w.object}]; a != nil {
				a.cause, a.reason = finding.LeftRefused, reason
			}
		}
	}
	return nil
}

// whyNot says why the fix of one control could not be written: of the fields of
// its object that cannot be set, the first that this control sets. It reports
// false where that sets none of them, so that they are the concern of others.
func (p *plan) whyNot(ctx context.Context, mutate Mutate, k target) (reason string, own bool) {
	fields := p.fields[k.object]
	if len(fields) == 0 {
		return p.refused[k.object], true
	}
	if change, _ := Compose(ctx, k.object, []string{k.control}, mutate); change != nil {
		for _, set := range leaves(change.Edits) {
			for _, pointer := range slices.Sorted(maps.Keys(fields)) {
				if holds(set, pointer) || holds(pointer, set) {
					return fields[pointer], true
				}
			}
		}
	}
	return p.refused[k.object], false
}

// leaves lists the fields that edits set, down to what is no map.
func leaves(edits []finding.Edit) []string {
	var out []string
	var walk func(path string, v any)
	walk = func(path string, v any) {
		m, ok := v.(map[string]any)
		if !ok || len(m) == 0 {
			out = append(out, path)
			return
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			walk(path+finding.JoinPointer(k), m[k])
		}
	}
	for _, e := range edits {
		walk(e.Path, e.Value)
	}
	return out
}

// holds reports whether the field at a JSON Pointer is, or lies in, the one at
// outer.
func holds(outer, pointer string) bool {
	rest, ok := strings.CutPrefix(pointer, outer)
	return ok && (rest == "" || rest[0] == '/')
}
