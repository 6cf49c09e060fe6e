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
	// Selected, if set, says which objects are judged; the rest are facts about them.
	// It is asked with nil for what is judged and not given as an object.
	Selected func(*model.Object) bool
	// Represented, if set, lists the objects of a world that another one speaks for,
	// such as the pods of a Deployment: facts, not judged by themselves.
	Represented func(*model.World) map[*model.Object]bool
	// PodKinds are custom kinds that carry a pod, beside those that model knows.
	PodKinds []model.GroupKind
	// KeepPasses keeps a record of each pass, not only its count.
	KeepPasses bool
	// Progress is told how many of the objects are judged; nil for none. It is
	// called by many goroutines.
	Progress func(done, total int)
}

// Outcome is what a run found.
type Outcome struct {
	// Findings are those of all worlds, in no order, subsumed ones left out.
	Findings []*Judged
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
	r, err := NewRunner(o)
	if err != nil {
		return nil, err
	}
	for _, w := range snapshot.Worlds {
		if err := r.Judge(ctx, w); err != nil {
			return nil, err
		}
	}
	return r.Outcome(), ctx.Err()
}

// Runner judges worlds one by one, as they are read. It must not be used by two
// goroutines at once.
type Runner struct {
	Options
	object  []*Control
	outcome *Outcome
	total   int
	judged  atomic.Int64

	mu     sync.Mutex
	scopes map[string]*compiled
}

// NewRunner compiles the controls. An error is one in a control or a parameter.
func NewRunner(o Options) (*Runner, error) {
	r := &Runner{Options: o, scopes: map[string]*compiled{}, outcome: &Outcome{Counts: map[string]*finding.ControlCount{}}}
	for _, c := range o.Controls {
		r.outcome.Counts[c.Name] = &finding.ControlCount{Control: c.Name}
		if c.Object != nil {
			r.object = append(r.object, c)
		}
	}
	_, err := r.scope("")
	return r, err
}

// Outcome is what was found in all worlds so far.
func (r *Runner) Outcome() *Outcome {
	r.outcome.Unmet = mergeUnmet(r.outcome.Unmet)
	return r.outcome
}

// compiled is the evaluator of one scope, and how to get it.
type compiled struct {
	*scope
	once      sync.Once
	evaluator ObjectEvaluator
	err       error
}

func (r *Runner) scope(namespace string) (*compiled, error) {
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

// Judge judges one world with all cores.
func (r *Runner) Judge(ctx context.Context, w *model.World) error {
	r.total += len(w.Objects)
	in := &judged{World: w}
	if r.Represented != nil {
		in.represented = r.Represented(w)
	}
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
			jobs <- func(t *tally) error { return r.worldControl(in, c, t) }
		}
	}
	jobs <- func(t *tally) error {
		r.unobserved(w, t)
		return nil //nolint:unparam // the other jobs fail
	}
	for objects := range slices.Chunk(w.Objects, batch) {
		if ctx.Err() != nil {
			break
		}
		jobs <- func(t *tally) error { return r.objects(ctx, in, objects, t) }
	}
	close(jobs)
	wg.Wait()
	merged := newTally(w, r.KeepPasses)
	for _, t := range tallies {
		merged.add(t)
	}
	merged.finish(r.outcome)
	return failure
}

// judged is a world with what in it is not judged by itself.
type judged struct {
	*model.World
	represented map[*model.Object]bool
}

func (r *Runner) objects(ctx context.Context, w *judged, objects []*model.Object, t *tally) error {
	defer func() {
		if n := r.judged.Add(int64(len(objects))); r.Progress != nil {
			r.Progress(int(n), r.total)
		}
	}()
	for _, o := range objects {
		if !r.wanted(w, o, o.Ref()) {
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
			t.judge(j.Control, sc.scope, asRecorded(w.Record(), o, j, sc.parameters[j.Control.Name]))
		}
	}
	return nil
}

// wanted reports whether what ref names is judged; o is nil where that is not given
// as an object.
func (r *Runner) wanted(w *judged, o *model.Object, ref finding.Ref) bool {
	return r.wantedNamespace(ref.InNamespace()) && !w.represented[o] && (r.Selected == nil || r.Selected(o))
}

func (r *Runner) wantedNamespace(name string) bool {
	return len(r.Namespaces) == 0 || slices.Contains(r.Namespaces, name)
}

func (r *Runner) worldControl(w *judged, c *Control, t *tally) error {
	for _, gk := range c.Needs {
		if reason := w.Unobserved(gk, ""); reason != "" {
			t.unmetKind(c, gk, reason)
			return nil
		}
	}
	in := &Input{World: w.World, Version: r.Version, parameters: func(namespace string) map[string]any {
		sc, err := r.scope(namespace)
		if err != nil {
			return nil
		}
		return sc.parameters[c.Name]
	}}
	for _, j := range c.World(in) {
		if !r.wanted(w, j.Object, j.ref()) {
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
