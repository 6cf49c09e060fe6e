package rollout

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Verb is what becomes of an object, as kubectl says it.
type Verb string

// The verbs.
const (
	Created    Verb = "created"
	Configured Verb = "configured"
	Unchanged  Verb = "unchanged"
	// Released is a namespace whose labels were given up.
	Released Verb = "released"
	Deleted  Verb = "deleted"
)

// Change is what becomes of one object.
type Change struct {
	Verb Verb
	// object is what is applied, or what is released or deleted, as it was read.
	object *unstructured.Unstructured
}

// Object names the object as kubectl does: kind.group/name.
func (c *Change) Object() string {
	kind := strings.ToLower(c.object.GetKind())
	if g := c.object.GroupVersionKind().Group; g != "" {
		kind += "." + g
	}
	return kind + "/" + c.object.GetName()
}

// Options say how changes are made.
type Options struct {
	// Force takes over fields that other field managers own.
	Force bool
	// Offline plans without asking the API server: what it would refuse is not known.
	Offline bool
}

// Plan is what Apply will do, in order.
type Plan struct {
	Changes []Change
	options Options
	state   *State
}

// concurrentRequests bounds what is asked of the API server at once.
const concurrentRequests = 8

// Plan tells what becomes of each object. Unless it is offline, every change is made
// in a dry run of the API server, and the error says all that this refuses: then
// nothing should be applied.
func (c *Cluster) Plan(ctx context.Context, s *State, w *Wanted, o Options) (*Plan, error) {
	p := &Plan{options: o, state: s}
	for _, object := range w.Apply {
		p.Changes = append(p.Changes, Change{Configured, object})
	}
	for _, object := range w.Release {
		p.Changes = append(p.Changes, Change{Released, object})
	}
	for _, object := range w.Delete {
		p.Changes = append(p.Changes, Change{Deleted, object})
	}
	refused := make([]error, len(p.Changes))
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(concurrentRequests)
	for i := range p.Changes {
		g.Go(func() error {
			change := &p.Changes[i]
			if refused[i] = p.foreign(change.object); refused[i] != nil {
				return nil
			}
			if o.Offline {
				change.Verb = p.offline(change)
				return nil
			}
			change.Verb, refused[i] = c.make(within, p, change, true)
			return lost(refused[i])
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := joined(refused); err != nil {
		return nil, fmt.Errorf("nothing was changed: %w", err)
	}
	return p, ctx.Err()
}

// lost is an error after which no other request need be tried: there was no answer.
func lost(err error) error {
	var status apierrors.APIStatus
	var r refusal
	if err == nil || errors.As(err, &status) || errors.As(err, &r) {
		return nil
	}
	return err
}

// refusal is a change that is not made, while others may be.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// maxRefusals bounds how many refusals are told: one cause may refuse everything.
const maxRefusals = 10

func joined(errs []error) error {
	var told []error
	n := 0
	for _, err := range errs {
		if err == nil {
			continue
		}
		if n++; n <= maxRefusals {
			told = append(told, err)
		}
	}
	if n > maxRefusals {
		told = append(told, fmt.Errorf("and %d more", n-maxRefusals))
	}
	return errors.Join(told...)
}

// foreign refuses an object that somebody else applied under the name of ours.
func (p *Plan) foreign(o *unstructured.Unstructured) error {
	have := p.state.objects[keyOf(o)]
	if have == nil || have.GetLabels()[OwnerLabel] == OwnerValue {
		return nil
	}
	name := resources[o.GetKind()] + " " + o.GetName()
	return refusal{fmt.Errorf("%s is there and was applied in another way: delete it (kubectl delete %s), or hand it over (kubectl label %s %s=%s)", name, name, name, OwnerLabel, OwnerValue)}
}

// Apply makes the changes one by one, and ends with the first that fails. It returns
// what was done by then; to plan and apply again goes on from there.
func (c *Cluster) Apply(ctx context.Context, p *Plan) ([]Change, error) {
	var done []Change
	for i := range p.Changes {
		change := p.Changes[i]
		if change.Verb != Unchanged {
			if ctx.Err() != nil {
				return done, ctx.Err()
			}
			var err error
			if change.Verb, err = c.make(ctx, p, &p.Changes[i], false); err != nil {
				return done, err
			}
		}
		done = append(done, change)
	}
	return done, nil
}

// make makes a change, or tries it, and says what became of the object.
func (c *Cluster) make(ctx context.Context, p *Plan, change *Change, dry bool) (Verb, error) {
	if change.Verb == Deleted {
		return Deleted, c.delete(ctx, change.object, dry)
	}
	body, have := change.object.DeepCopy(), p.current(change.object)
	if change.Verb == Released {
		body = &unstructured.Unstructured{Object: map[string]any{}}
		body.SetGroupVersionKind(change.object.GroupVersionKind())
		body.SetName(change.object.GetName())
	}
	if have != nil {
		body.SetUID(have.GetUID()) // what was deleted since is not made anew
	}
	o := metav1.ApplyOptions{FieldManager: FieldManager, Force: p.options.Force}
	if dry {
		o.DryRun = []string{metav1.DryRunAll}
	}
	got, err := c.resource(body).Apply(ctx, body.GetName(), body, o)
	if err != nil {
		return "", explained(change, err)
	}
	if !covers(got.Object["spec"], body.Object["spec"]) {
		return "", refusal{fmt.Errorf("%s: others have added to what is applied (kubectl get --show-managed-fields -o yaml tells who): delete it, and apply again", change.Object())}
	}
	switch {
	case have == nil:
		return Created, nil
	case change.Verb == Released:
		return Released, nil
	case applied(have) && same(have, got):
		return Unchanged, nil
	}
	return Configured, nil
}

// maxAttempts bounds how often a deletion is tried that meets a change of the status:
// the API server writes there what it thinks of a policy, soon after it was applied.
const maxAttempts = 5

// delete deletes an object if, but for its status, it is as it was read.
func (c *Cluster) delete(ctx context.Context, o *unstructured.Unstructured, dry bool) error {
	name := (&Change{object: o}).Object()
	for attempt := 1; ; attempt++ {
		uid, version := o.GetUID(), o.GetResourceVersion()
		options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}}
		if dry {
			options.DryRun = []string{metav1.DryRunAll}
		}
		err := c.resource(o).Delete(ctx, o.GetName(), options)
		if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("delete %s: %w", name, err)
		}
		now, getErr := c.resource(o).Get(ctx, o.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(getErr) {
			return nil
		}
		if getErr != nil {
			return fmt.Errorf("read %s: %w", name, getErr)
		}
		if now.GetUID() != uid || !owned(now) || !same(now, o) || attempt == maxAttempts {
			return fmt.Errorf("%s was changed in the meantime: look at it, and run the command again: %w", name, err)
		}
		o = now
	}
}

// current is an object as it was read, nil where it was not there.
func (p *Plan) current(o *unstructured.Unstructured) *unstructured.Unstructured {
	if o.GetKind() == "Namespace" {
		return p.state.Namespaces[o.GetName()]
	}
	return p.state.objects[keyOf(o)]
}

// offline guesses what becomes of an object: whether it has all that is wanted.
func (p *Plan) offline(c *Change) Verb {
	if c.Verb != Configured {
		return c.Verb
	}
	have := p.current(c.object)
	if have == nil {
		return Created
	}
	for _, path := range contents {
		wanted, _, _ := unstructured.NestedFieldNoCopy(c.object.Object, path...)
		value, _, _ := unstructured.NestedFieldNoCopy(have.Object, path...)
		if wanted != nil && !covers(value, wanted) {
			return Configured
		}
	}
	return Unchanged
}

// contents are the parts of an object that are applied.
var contents = [][]string{{"spec"}, {"metadata", "labels"}, {"metadata", "annotations"}}

func same(a, b *unstructured.Unstructured) bool {
	for _, path := range contents {
		x, _, _ := unstructured.NestedFieldNoCopy(a.Object, path...)
		y, _, _ := unstructured.NestedFieldNoCopy(b.Object, path...)
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	return true
}

// covers reports whether a value is the one that is wanted but for fields that the
// API server adds.
func covers(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		m, ok := have.(map[string]any)
		for k := range want {
			ok = ok && covers(m[k], want[k])
		}
		return ok
	case []any:
		l, ok := have.([]any)
		if !ok || len(l) != len(want) {
			return false
		}
		// Lists of names are sets, and server-side apply merges those in its own order.
		named := slices.ContainsFunc(want, func(e any) bool { _, ok := e.(string); return ok })
		for i := range want {
			if named && !slices.Contains(l, want[i]) || !named && !covers(l[i], want[i]) {
				return false
			}
		}
		return true
	case nil:
		return true
	}
	return reflect.DeepEqual(have, want)
}

// explained says why a change is refused, and what to do.
func explained(change *Change, err error) error {
	var status apierrors.APIStatus
	if !apierrors.IsConflict(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return fmt.Errorf("apply %s: %w", change.Object(), err)
	}
	var owners []string
	for _, cause := range status.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			owners = append(owners, fmt.Sprintf("%s (%s)", cause.Field, cause.Message))
		}
	}
	if len(owners) == 0 {
		return fmt.Errorf("apply %s: it was changed in the meantime; run the command again: %w", change.Object(), err)
	}
	return refusal{fmt.Errorf("apply %s: %w: %s; --force-conflicts takes them over", change.Object(), ErrConflict, strings.Join(owners, ", "))}
}

// ErrConflict means that another field manager owns what is to be applied.
var ErrConflict = errors.New("other field managers own what would be changed")
