package userpolicy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/userpolicy/creation"
)

// judge is a policy that is ready.
type judge interface {
	// judge says what the policy would say of a request; ok is false where it is about
	// other resources.
	judge(ctx context.Context, r *creation.Request) (s said, ok bool, err error)
	// metadataOnly says that of an object it reads nothing but what every kind has, and
	// its type.
	metadataOnly() bool
}

// said is what a policy says of a request.
type said struct {
	// judged is false where the policy lets the object pass unlooked at.
	judged   bool
	refusals []string
	evidence []finding.Evidence
	// unknown says why there may be more refusals than those.
	unknown []string
}

// Split tells the controls of a set that need an Evaluator from all others.
func (s *Set) Split(controls []*check.Control) (own, others []*check.Control) {
	for _, c := range controls {
		if s != nil && s.policies[c.Name] != nil {
			own = append(own, c)
		} else {
			others = append(others, c)
		}
	}
	return own, others
}

// Evaluator judges objects by policies, beside another evaluator. It may be used by many
// goroutines at once.
type Evaluator struct {
	others      check.ObjectEvaluator
	controls    []*check.Control
	judges      []judge
	options     Options
	now         time.Time
	definitions map[model.GroupKind]*model.Object
}

// Compile makes an evaluator of controls of the set, beside one of all others. An error
// names the policy.
func (s *Set) Compile(ctx context.Context, own []*check.Control, others check.ObjectEvaluator, o Options) (*Evaluator, error) {
	e := &Evaluator{others: others, controls: own, options: o, now: time.Now(), definitions: creation.Definitions(s.objects)}
	for _, c := range own {
		j, err := s.policies[c.Name].compile(ctx, o, s.objects)
		if err != nil {
			return nil, fmt.Errorf("control %s: %w", c.Name, err)
		}
		e.judges = append(e.judges, j)
	}
	return e, nil
}

var secretKind = model.GroupKind{Kind: "Secret"}

type worldKey struct{}

// InWorld says in which world the objects are that are evaluated with a context: a policy
// reads its namespaces and its parameters there.
func InWorld(ctx context.Context, w *model.World) context.Context {
	return context.WithValue(ctx, worldKey{}, w)
}

// Concerned lists the controls that concern an object's kind.
func (e *Evaluator) Concerned(o *model.Object) []*check.Control {
	out := e.others.Concerned(o)
	for _, c := range e.controls {
		if slices.Contains(c.Object.Kinds, o.GroupKind) {
			out = append(out, c)
		}
	}
	return out
}

// Evaluate judges an object by every policy that is about it, or about what the built-in
// controllers make of it.
func (e *Evaluator) Evaluate(ctx context.Context, o *model.Object) ([]check.ObjectJudgement, error) {
	out, err := e.others.Evaluate(ctx, o)
	if err != nil {
		return nil, err
	}
	w, ok := ctx.Value(worldKey{}).(*model.World)
	if !ok {
		return nil, errors.New("policies were asked outside of a world")
	}
	if _, builtin := model.BuiltinResource(o.GroupKind); builtin && !e.concerns(o) {
		return out, nil
	}
	requests, err := e.requests(w, o)
	if err != nil {
		for _, c := range e.controls {
			if slices.Contains(c.Object.Kinds, o.GroupKind) {
				out = append(out, check.ObjectJudgement{Control: c, Judgement: check.Unobserved(o, "%v", err)})
			}
		}
		return out, nil
	}
	for i, c := range e.controls {
		j, ok, err := e.judge(ctx, e.judges[i], o, requests)
		if err != nil {
			return nil, err
		}
		if w.Live && w.Record() == nil && o.GroupKind == secretKind && !e.judges[i].metadataOnly() {
			j = check.Unobserved(o, "the policy may read the values of the Secret, and a scan of a cluster does not")
		}
		if ok {
			out = append(out, check.ObjectJudgement{Control: c, Judgement: j})
		}
	}
	return out, nil
}

func (e *Evaluator) concerns(o *model.Object) bool {
	return slices.ContainsFunc(e.controls, func(c *check.Control) bool { return slices.Contains(c.Object.Kinds, o.GroupKind) })
}

// requests are the creations of an object and of what controllers make of it.
func (e *Evaluator) requests(w *model.World, o *model.Object) ([]*creation.Request, error) {
	options := creation.Options{User: e.options.User, Now: e.now, Definitions: e.definitions}
	r, err := creation.Of(w, o, options)
	if err != nil {
		return nil, err
	}
	out := []*creation.Request{r}
	for _, made := range creation.Made(o) {
		r, err := creation.Of(w, made, creation.Options{User: creation.Controller(made), Now: e.now, Definitions: e.definitions})
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// judge puts together what a policy says of an object and of what is made of it. ok is
// false where it is about none of them.
func (e *Evaluator) judge(ctx context.Context, j judge, o *model.Object, requests []*creation.Request) (out check.Judgement, ok bool, err error) {
	judged, refused := false, map[string]bool{}
	var violations []check.Violation
	var evidence []finding.Evidence
	var unknown []string
	for i, r := range requests {
		s, about, err := j.judge(ctx, r)
		if err != nil {
			return out, false, err
		}
		ok, judged = ok || about, judged || s.judged
		of, path := "", model.Path(nil)
		if i > 0 {
			of, path = fmt.Sprintf("the %s that it makes: ", r.Object.Kind), o.Pod().Path
		}
		for _, message := range s.refusals {
			message = oneLine(message)
			if !refused[message] {
				refused[message] = true
				violations = append(violations, check.Violation{Path: path, Detail: of + message})
			}
		}
		for _, why := range s.unknown {
			unknown = append(unknown, of+oneLine(why))
		}
		for _, e := range s.evidence {
			if !slices.Contains(evidence, e) {
				evidence = append(evidence, e)
			}
		}
	}
	switch {
	case len(violations) > 0:
		out = check.Failed(o, violations...)
	case len(unknown) > 0:
		slices.Sort(unknown)
		out = check.Unobserved(o, "%s", strings.Join(slices.Compact(unknown), "; "))
	case judged:
		out = check.Passed(o)
	default:
		out = check.Inapplicable(o)
	}
	out.Evidence = evidence
	return out, ok, nil
}

// longestMessage bounds a message in bytes; what the API server lets through has 5 KiB.
const longestMessage = 8 << 10

func oneLine(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	if len(message) > longestMessage {
		message = strings.ToValidUTF8(message[:longestMessage], "") + "..."
	}
	return cmp.Or(message, "the policy refuses it, and says nothing")
}

var _ check.ObjectEvaluator = (*Evaluator)(nil)
