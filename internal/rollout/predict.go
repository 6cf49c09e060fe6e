package rollout

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Refusal is an object of a cluster that a policy would refuse if it were created now.
type Refusal struct {
	Control string
	Object  finding.Ref
	// Message is that of the API server.
	Message string
	// Unjudged says that the policy cannot be evaluated, which refuses the object too.
	Unjudged bool
	// Waived says that waivers let it through after all.
	Waived bool
	// Mended says that where the step is Deny, the mutating policies change it so that
	// the control has nothing against it.
	Mended bool
}

// Prediction is what policies would refuse of what a cluster holds.
type Prediction struct {
	// Refusals are in the order of control, namespace and name.
	Refusals []Refusal
	// Unread says what could not be looked at, and for which controls.
	Unread []finding.Unmet
}

// Judge is what Predict judges with.
type Judge struct {
	Controls  []*check.Control
	Evaluator check.ObjectEvaluator
	// Waivers are those that the policies have.
	Waivers []*check.Waiver
	// Annotations says which waivers by annotation they honour; nil for none.
	Annotations *check.AnnotationSettings
	Now         time.Time
	// Fixes are the controls that have mutating policies, with the parameters for them.
	Fixes      []*check.Control
	Parameters check.Parameters
	// Represented are the pods that a workload speaks for. It is set for Pod Security,
	// which refuses whatever makes a pod; the policies let the built-in controllers
	// make what they were asked for.
	Represented map[*model.Object]bool
}

// Predict judges the objects of a live cluster as their creation. What the built-in
// controllers make is let through by the policies, and so is left out: it is refused
// where it is written, at the Deployment and not at its pods.
func (j *Judge) Predict(ctx context.Context, w *model.World) (*Prediction, error) {
	made := func(o *model.Object) bool { return j.Represented[o] }
	if j.Represented == nil {
		made = controllerMade(w)
	}
	var objects []*model.Object
	for _, o := range w.Objects {
		if j.concerned(o) && !made(o) {
			objects = append(objects, o)
		}
	}
	judged := make([][]check.ObjectJudgement, len(objects))
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, o := range objects {
		g.Go(func() error {
			judgements, err := j.Evaluator.Evaluate(within, o)
			if err != nil {
				for _, c := range j.Evaluator.Concerned(o) {
					judgements = append(judgements, check.ObjectJudgement{Control: c, Judgement: check.Unobserved(o, "%v", err)})
				}
			}
			judged[i] = judgements
			return within.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	p := &Prediction{Unread: j.unread(w), Refusals: j.refusals(objects, judged)}
	if err := j.mend(ctx, w, p.Refusals); err != nil {
		return nil, err
	}
	slices.SortFunc(p.Refusals, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Control, b.Control), cmp.Compare(a.Object.String(), b.Object.String()))
	})
	return p, nil
}

func (j *Judge) concerned(o *model.Object) bool {
	return slices.ContainsFunc(j.Controls, func(c *check.Control) bool { return judges(c.Object, o.GroupKind) })
}

// judges reports whether a policy matches a kind. A custom resource that carries a pod
// is matched by none.
func judges(p *check.ObjectPolicy, gk model.GroupKind) bool {
	return p.Pods && model.CarriesPod(gk) || slices.Contains(p.Kinds, gk)
}

// refusals are what the judgements of the objects amount to, with the waivers applied.
func (j *Judge) refusals(objects []*model.Object, judged [][]check.ObjectJudgement) []Refusal {
	var out []Refusal
	var failed []*check.ObjectJudgement
	waived := &check.Outcome{}
	for i, o := range objects {
		for n := range judged[i] {
			one := &judged[i][n]
			switch {
			case !judges(one.Control.Object, o.GroupKind):
			case one.Verdict == finding.Unknown:
				out = append(out, Refusal{Control: one.Control.Name, Object: o.Ref(), Message: one.Reason, Unjudged: true})
			case one.Verdict == finding.Fail:
				failed = append(failed, one)
				for _, v := range one.Violations {
					waived.Findings = append(waived.Findings, &check.Judged{Of: o, Finding: finding.Finding{
						Control: one.Control.Name, Verdict: finding.Fail, Object: o.Ref(), Container: v.Container}})
				}
			}
		}
	}
	j.waivers(objects).Apply(waived, j.Now)
	next := 0
	for _, one := range failed {
		var left []check.Violation
		for _, v := range one.Violations {
			if waived.Findings[next].Waived == nil {
				left = append(left, v)
			}
			next++
		}
		out = append(out, Refusal{Control: one.Control.Name, Object: one.Object.Ref(), Message: message(one.Control, left), Waived: len(left) == 0})
	}
	return out
}

// mend tells the refusals that the mutating policies forestall: they change what is
// created before it is judged.
func (j *Judge) mend(ctx context.Context, w *model.World, refusals []Refusal) error {
	if len(j.Fixes) == 0 || len(refusals) == 0 {
		return nil
	}
	objects := map[finding.Ref]*model.Object{}
	for _, o := range w.Objects {
		objects[o.Ref()] = o
	}
	fixer := admission.NewFixer(j.Parameters)
	clean := map[finding.Ref]map[string]bool{}
	for i := range refusals {
		r := &refusals[i]
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, seen := clean[r.Object]; !seen {
			clean[r.Object] = j.cleanOnceFixed(ctx, fixer, objects[r.Object])
		}
		r.Mended = !r.Waived && clean[r.Object][r.Control]
	}
	return nil
}

// cleanOnceFixed are the controls that have nothing against an object once all fixes
// are applied to it. A fix that cannot be made leaves it as it is, as under the
// policies, which fail open.
func (j *Judge) cleanOnceFixed(ctx context.Context, fixer *admission.Fixer, o *model.Object) map[string]bool {
	for _, c := range check.FixOrder(j.Fixes) {
		if content, err := fixer.Mutate(ctx, c, o); err == nil && content != nil {
			o = o.With(content)
		}
	}
	out := map[string]bool{}
	judgements, err := j.Evaluator.Evaluate(ctx, o)
	if err != nil {
		return out
	}
	for _, one := range judgements {
		out[one.Control.Name] = one.Verdict == finding.Pass
	}
	return out
}

// waivers are those that the policies have, and those that they read on objects.
func (j *Judge) waivers(objects []*model.Object) *check.Waivers {
	out := &check.Waivers{}
	if j.Annotations != nil {
		// A world without kinds has no waivers but annotations.
		out = check.ReadWaivers(&model.Snapshot{Worlds: []*model.World{{Objects: objects}}}, check.WaiverOptions{
			Known: func(name string) bool {
				return slices.ContainsFunc(j.Controls, func(c *check.Control) bool { return c.Name == name })
			},
			Annotations: *j.Annotations})
	}
	for _, w := range j.Waivers {
		out.Add(w)
	}
	return out
}

// maxMessage is how long a message of a policy may be; the API server replaces longer
// ones, and those of several lines, by the fixed one.
const maxMessage = 5 << 10

func message(c *check.Control, violations []check.Violation) string {
	m := admission.Message(violations)
	if len(m) > maxMessage || strings.Contains(m, "\n") {
		return c.Title
	}
	return m
}

// unread says which kinds could not be looked at.
func (j *Judge) unread(w *model.World) []finding.Unmet {
	var out []finding.Unmet
	for _, missing := range w.Coverage() {
		unmet := finding.Unmet{What: missing.GroupKind.String(), Reason: missing.Reason}
		for _, c := range j.Controls {
			if judges(c.Object, missing.GroupKind) {
				unmet.Controls = append(unmet.Controls, c.Name)
			}
		}
		if len(unmet.Controls) > 0 {
			out = append(out, unmet)
		}
	}
	return out
}

// makers are the kinds that the built-in controllers make pods, and what makes pods,
// out of.
var makers = map[model.GroupKind][]model.GroupKind{
	{Kind: "Pod"}: {
		{Group: "apps", Kind: "DaemonSet"}, {Group: "apps", Kind: "ReplicaSet"}, {Group: "apps", Kind: "StatefulSet"},
		{Group: "batch", Kind: "Job"}, {Kind: "ReplicationController"},
	},
	{Group: "apps", Kind: "ReplicaSet"}: {{Group: "apps", Kind: "Deployment"}},
	{Group: "batch", Kind: "Job"}:       {{Group: "batch", Kind: "CronJob"}},
}

// controllerMade tells the objects that a built-in controller made: their controller
// is an object that is there, of a kind that makes theirs.
func controllerMade(w *model.World) func(*model.Object) bool {
	uids := map[string]model.GroupKind{}
	for _, o := range w.Objects {
		if model.CarriesPod(o.GroupKind) {
			uids[o.Text("metadata", "uid")] = o.GroupKind
		}
	}
	delete(uids, "")
	return func(o *model.Object) bool {
		by, _ := o.Controller()
		maker, known := uids[by.UID]
		return known && slices.Contains(makers[o.GroupKind], maker)
	}
}
