package check

import (
	"cmp"
	"context"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// ObjectEvaluator judges single objects.
type ObjectEvaluator interface {
	// Evaluate returns what each control that concerns the object's kind says. An
	// error means that none of them could judge it, and why.
	Evaluate(ctx context.Context, o *model.Object) ([]ObjectJudgement, error)
	// Concerned lists the controls that the kind of an object concerns.
	Concerned(o *model.Object) []*Control
}

// ObjectJudgement is what one control says of the object that was evaluated.
type ObjectJudgement struct {
	Control *Control
	Judgement
}

// Options of a run.
type Options struct {
	Controls []*Control
	Settings Settings
	// Version is the minor version of Kubernetes 1 to judge for.
	Version int
	// Compile makes an evaluator of the controls that judge single objects.
	Compile func(controls []*Control, parameters Parameters, version int) (ObjectEvaluator, error)
	// Namespaces are the only ones whose objects are judged; none means all, and
	// what belongs to the whole cluster too.
	Namespaces []string
	// KeepPasses keeps a record of each pass, not only its count.
	KeepPasses bool
	// Progress is told how many of the objects are judged; nil for none. It is
	// called by many goroutines.
	Progress func(done, total int)
}

// Outcome is what a run found.
type Outcome struct {
	// Findings are those of all worlds, in no order, subsumed ones left out.
	Findings []Judged
	Passes   []finding.PassRecord
	// Counts are by control name.
	Counts map[string]*finding.ControlCount
	Unmet  []finding.Unmet
}

// Judged is a finding with the object that it is about, nil where there is none.
type Judged struct {
	finding.Finding
	Of *model.Object
}

// Run judges every world of a snapshot. An error means that nothing was judged.
func Run(ctx context.Context, snapshot *model.Snapshot, o Options) (*Outcome, error) {
	r := &runner{Options: o, scopes: map[string]*compiled{}}
	total := &Outcome{Counts: map[string]*finding.ControlCount{}}
	for _, c := range o.Controls {
		total.Counts[c.Name] = &finding.ControlCount{Control: c.Name}
		if c.Object != nil {
			r.object = append(r.object, c)
		}
	}
	// Compiling here gives an error in a control before anything is judged.
	if _, err := r.scope(""); err != nil {
		return nil, err
	}
	for _, w := range snapshot.Worlds {
		r.total += len(w.Objects)
	}
	for _, w := range snapshot.Worlds {
		if err := r.world(ctx, w, total); err != nil {
			return nil, err
		}
	}
	total.Unmet = mergeUnmet(total.Unmet)
	return total, ctx.Err()
}

type runner struct {
	Options
	object []*Control
	total  int
	judged atomic.Int64

	mu     sync.Mutex
	scopes map[string]*compiled
}

// compiled is the evaluator of one scope, and how to get it.
type compiled struct {
	*scope
	once      sync.Once
	evaluator ObjectEvaluator
	err       error
}

func (r *runner) scope(namespace string) (*compiled, error) {
	key := r.Settings.scopeKey(namespace)
	r.mu.Lock()
	c := r.scopes[key]
	if c == nil {
		c = &compiled{scope: r.Settings.scope(key, r.Controls)}
		r.scopes[key] = c
	}
	r.mu.Unlock()
	c.once.Do(func() { c.evaluator, c.err = r.Compile(r.object, c.parameters, r.Version) })
	return c, c.err
}

// batch is how many objects a worker takes at a time.
const batch = 64

// world judges one world with all cores and adds what it finds to total.
func (r *runner) world(ctx context.Context, w *model.World, total *Outcome) error {
	jobs := make(chan func(*tally) error)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failure error
	var tallies []*tally
	for range runtime.GOMAXPROCS(0) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			t := newTally(w, r.KeepPasses)
			for job := range jobs {
				if err := job(t); err != nil {
					mu.Lock()
					failure = cmp.Or(failure, err)
					mu.Unlock()
				}
			}
			mu.Lock()
			tallies = append(tallies, t)
			mu.Unlock()
		}()
	}
	for _, c := range r.Controls {
		if c.World != nil {
			jobs <- func(t *tally) error { return r.worldControl(w, c, t) }
		}
	}
	for objects := range slices.Chunk(w.Objects, batch) {
		if ctx.Err() != nil {
			break
		}
		jobs <- func(t *tally) error { return r.objects(ctx, objects, t) }
	}
	close(jobs)
	wg.Wait()
	merged := newTally(w, r.KeepPasses)
	for _, t := range tallies {
		merged.add(t)
	}
	merged.finish(total)
	return failure
}

func (r *runner) objects(ctx context.Context, objects []*model.Object, t *tally) error {
	defer func() {
		if n := r.judged.Add(int64(len(objects))); r.Progress != nil {
			r.Progress(int(n), r.total)
		}
	}()
	for _, o := range objects {
		if !r.wanted(o.Ref()) {
			continue
		}
		sc, err := r.scope(o.Ref().InNamespace())
		if err != nil {
			return err
		}
		judgements, err := sc.evaluator.Evaluate(ctx, o)
		if err != nil {
			t.unmet(o, sc.evaluator.Concerned(o), err.Error())
			continue
		}
		for _, j := range judgements {
			t.judge(j.Control, sc.scope, j.Judgement)
		}
	}
	return nil
}

func (r *runner) wanted(o finding.Ref) bool {
	return len(r.Namespaces) == 0 || slices.Contains(r.Namespaces, o.InNamespace())
}

func (r *runner) worldControl(w *model.World, c *Control, t *tally) error {
	for _, gk := range c.Needs {
		if reason := w.Unobserved(gk, ""); reason != "" {
			t.unmetKind(c, gk, reason)
			return nil
		}
	}
	in := &Input{World: w, Version: r.Version, parameters: func(namespace string) map[string]any {
		sc, err := r.scope(namespace)
		if err != nil {
			return nil
		}
		return sc.parameters[c.Name]
	}}
	for _, j := range c.World(in) {
		if !r.wanted(j.ref()) {
			continue
		}
		sc, err := r.scope(j.ref().InNamespace())
		if err != nil {
			return err
		}
		t.judge(c, sc.scope, j)
	}
	return nil
}

func (j *Judgement) ref() finding.Ref {
	if j.Object != nil {
		return j.Object.Ref()
	}
	return j.Ref
}

// mergeUnmet joins the unmet needs that name the same thing for the same reason.
func mergeUnmet(unmet []finding.Unmet) []finding.Unmet {
	type key struct{ what, reason string }
	byKey := map[key]map[string]bool{}
	for _, u := range unmet {
		k := key{u.What, u.Reason}
		if byKey[k] == nil {
			byKey[k] = map[string]bool{}
		}
		for _, c := range u.Controls {
			byKey[k][c] = true
		}
	}
	var out []finding.Unmet
	for k, controls := range byKey {
		out = append(out, finding.Unmet{What: k.what, Reason: k.reason, Controls: slices.Sorted(maps.Keys(controls))})
	}
	slices.SortFunc(out, func(a, b finding.Unmet) int {
		return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}
