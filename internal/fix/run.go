package fix

import (
	"context"
	"errors"
	"maps"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Found is a finding with the object that it is about, nil where there is none.
type Found struct {
	finding.Finding
	Of *model.Object
}

// Assessment is what a scan says.
type Assessment struct {
	// Findings are in the order of reports.
	Findings []Found
	Problems []finding.Problem
	Unknown  []finding.Unmet
}

// Files are contents that stand in for those on disk, by path.
type Files map[string][]byte

// Task is a fix, with what it asks of others.
type Task struct {
	// Scan assesses the input with some files standing in.
	Scan func(ctx context.Context, standIns Files) (*Assessment, error)
	// Controls are all that may be fixed, in the order in which they are applied.
	Controls []finding.Rule
	// Choose says whether the fix of a finding is wanted, and if not why it is left;
	// no reason means that it was not asked for at all.
	Choose func(f *finding.Finding, control string) (wanted bool, cause finding.LeftCause, reason string)
	// Mutate makes a function for one goroutine.
	Mutate func() Mutate
	// Plain plans changes of objects that stand in files themselves, Root those of
	// a chart or a kustomization.
	Plain func(ctx context.Context, file string, changes []Change) (*Result, error)
	Root  func(ctx context.Context, root string, changes []Change) (*Result, error)
	// Confirm is asked about each fix; nil for yes to all.
	Confirm func(ctx context.Context, control string, f []*Found, c *Change) (bool, error)
}

// Outcome is what a task came to. Nothing is written yet.
type Outcome struct {
	// Found are the failures that were asked for, of the first scan.
	Found []*Found
	Left  []finding.LeftFinding
	Files Files
	Notes []string
	// Objects counts those that are changed.
	Objects  int
	Problems []finding.Problem
	// Unknown is what could not be judged, and so is not fixed.
	Unknown []finding.Unmet
	// After is the second scan; nil where there was nothing to change.
	After *Assessment
}

// rounds is how often a plan is made again without what was not proven; in the
// first searching of them, fixes of an object that bring another finding are told
// apart.
const (
	rounds    = 16
	searching = 12
)

// target is one fix: all failures of a control on an object.
type target struct {
	control string
	object  *model.Object
}

// attempt is what became of a target.
type attempt struct {
	findings []*Found
	cause    finding.LeftCause
	reason   string
	// partly are the findings that a fix which removes others leaves.
	partly map[string]bool
}

// run is a task at work.
type run struct {
	Task
	before   *Assessment
	tally    *tally
	attempts map[target]*attempt
	// order of the targets, as reports have their findings.
	order []target
	// further are controls to fix on an object because another fix made them fail:
	// a pod that leaves the node's namespaces is asked for one of its own.
	further map[*model.Object]map[string]bool
	// searches tell fixes apart of which one brings another finding.
	searches map[*model.Object]*search
	round    int
}

// Run plans the changes, proves them by a second scan of the files as they would
// be, and takes back whatever does not remove its finding or brings another one.
func Run(ctx context.Context, t Task) (*Outcome, error) {
	before, err := t.Scan(ctx, nil)
	if err != nil {
		return nil, err
	}
	r := &run{Task: t, before: before, tally: tallyOf(before), attempts: map[target]*attempt{}, further: map[*model.Object]map[string]bool{}, searches: map[*model.Object]*search{}}
	out := &Outcome{Problems: before.Problems, Unknown: r.unjudged()}
	r.choose(out)
	if err := r.confirm(ctx); err != nil {
		return nil, err
	}
	for r.round = range rounds {
		p, err := r.plan(ctx)
		if err != nil {
			return nil, err
		}
		if len(p.files) == 0 {
			if r.nextStep() {
				continue
			}
			r.settle(out)
			return out, nil
		}
		after, err := t.Scan(ctx, p.files)
		if err != nil {
			return nil, err
		}
		if r.prove(ctx, p, after) {
			out.Files, out.Notes, out.Objects, out.After = p.files, p.notes, p.objects, after
			r.uncovered(out)
			r.settle(out)
			return out, nil
		}
	}
	return nil, errors.New("the changes could not be proven: each plan brought other findings; nothing was changed (fix the controls one by one, with --control)")
}

// choose sorts the failures into what is to be fixed and what is left.
func (r *run) choose(out *Outcome) {
	for i := range r.before.Findings {
		f := &r.before.Findings[i]
		wanted, cause, reason := false, finding.LeftCause(""), ""
		if f.Verdict == finding.Fail && f.Waived == nil {
			wanted, cause, reason = r.Choose(&f.Finding, f.Control)
		}
		if !wanted && reason == "" {
			f.Of = nil // it is not needed again, and a snapshot is large
			continue
		}
		out.Found = append(out.Found, f)
		if !wanted || f.Of == nil {
			if reason == "" {
				cause, reason = finding.LeftDecision, "there is no object to change"
			}
			out.Left = append(out.Left, finding.LeftFinding{Finding: f.Finding, Cause: cause, Reason: reason})
			continue
		}
		k := target{f.Control, f.Of}
		if r.attempts[k] == nil {
			r.attempts[k] = &attempt{}
			r.order = append(r.order, k)
		}
		r.attempts[k].findings = append(r.attempts[k].findings, f)
	}
}

// unjudged lists what controls that are asked for could not observe: what is wrong
// there is not known, and not fixed.
func (r *run) unjudged() []finding.Unmet {
	var out []finding.Unmet
	for _, u := range r.before.Unknown {
		u.Controls = slices.DeleteFunc(slices.Clone(u.Controls), func(c string) bool {
			wanted, _, reason := r.Choose(&finding.Finding{Control: c, Severity: finding.Critical}, c)
			return !wanted && reason == ""
		})
		if len(u.Controls) > 0 {
			out = append(out, u)
		}
	}
	return out
}

func (r *run) confirm(ctx context.Context) error {
	if r.Confirm == nil {
		return nil
	}
	mutate := r.Mutate()
	for _, k := range r.order {
		change, failed := Compose(ctx, k.object, []string{k.control}, mutate)
		a := r.attempts[k]
		if err := failed[k.control]; err != nil || change == nil {
			continue // the plan says why
		}
		yes, err := r.Confirm(ctx, k.control, a.findings, change)
		if err != nil {
			return err
		}
		if !yes {
			a.cause, a.reason = finding.LeftDeclined, "not wanted"
		}
	}
	return nil
}

// settle tells what is left, and why.
func (r *run) settle(out *Outcome) {
	for _, k := range r.order {
		a := r.attempts[k]
		for _, f := range a.findings {
			switch {
			case a.reason != "":
				out.Left = append(out.Left, finding.LeftFinding{Finding: f.Finding, Cause: a.cause, Reason: a.reason})
			case a.partly[f.Fingerprint]:
				out.Left = append(out.Left, finding.LeftFinding{Finding: f.Finding, Cause: finding.LeftDecision, Reason: "the fix does not reach this one"})
			}
		}
	}
	slices.SortFunc(out.Left, func(a, b finding.LeftFinding) int { return finding.Compare(&a.Finding, &b.Finding) })
	slices.Sort(out.Notes)
	out.Notes = slices.Compact(out.Notes)
}

// Fixed are the findings of an outcome that are not left.
func (o *Outcome) Fixed() []*Found {
	left := map[string]bool{}
	for _, l := range o.Left {
		left[l.Fingerprint] = true
	}
	var fixed []*Found
	for _, f := range o.Found {
		if !left[f.Fingerprint] {
			fixed = append(fixed, f)
		}
	}
	return fixed
}

// Paths lists the files in order.
func (f Files) Paths() []string { return slices.Sorted(maps.Keys(f)) }

// Sort orders the findings as reports do.
func (a *Assessment) Sort() {
	slices.SortStableFunc(a.Findings, func(x, y Found) int { return finding.Compare(&x.Finding, &y.Finding) })
}
