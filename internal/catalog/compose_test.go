package catalog

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// composer fixes worlds by the fixes of all controls. It compiles each once.
type composer struct {
	controls  []*check.Control // none subsumes another
	mutations map[string]*admission.Mutation
	evaluator check.ObjectEvaluator
}

func newComposer(t *testing.T) *composer {
	t.Helper()
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	c := &composer{mutations: map[string]*admission.Mutation{}}
	var object []*check.Control
	for _, control := range controls {
		alone := *control
		alone.Subsumes = nil
		c.controls = append(c.controls, &alone)
		if alone.Object != nil {
			object = append(object, &alone)
		}
		if alone.FixPolicy() != nil {
			c.mutations[alone.Name] = mutation(t, &alone)
		}
	}
	if c.evaluator, err = admission.Compile(object, check.Defaults(object), 37); err != nil {
		t.Fatal(err)
	}
	return c
}

// fault is a control that fails on an object.
type fault struct{ control, object string }

// faults judges a world by all controls, or by those of whole worlds alone.
func (c *composer) faults(t *testing.T, w *model.World, controls ...*check.Control) map[fault]bool {
	t.Helper()
	out, err := check.Run(t.Context(), &model.Snapshot{Worlds: []*model.World{w}}, check.Options{Controls: controls, Version: 37,
		Compile: func([]*check.Control, check.Parameters, int) (check.ObjectEvaluator, error) { return c.evaluator, nil }})
	if err != nil {
		t.Fatal(err)
	}
	faults := map[fault]bool{}
	for _, f := range out.Findings {
		if f.Verdict == finding.Fail && f.Of != nil {
			faults[fault{f.Control, f.Object.String()}] = true
		}
	}
	return faults
}

// round applies each fix to the objects that it is for, each on what those before it
// made, and returns what changed which object.
func (c *composer) round(t *testing.T, objects []*model.Object, order []*check.Control) map[fault]bool {
	t.Helper()
	changes := map[fault]bool{}
	for _, control := range order {
		m := c.mutations[control.Name]
		if m == nil || !slices.ContainsFunc(objects, m.Concerns) {
			continue
		}
		var bad map[fault]bool
		if control.World != nil {
			bad = c.worldFaults(t, objects, control)
		}
		for i, o := range objects {
			f := fault{control.Name, o.Ref().String()}
			if !m.Concerns(o) || control.World != nil && !bad[f] {
				continue
			}
			content, err := m.Apply(t.Context(), o)
			if err != nil {
				t.Errorf("fixing %s by %s: %v", f.object, f.control, err)
				continue
			}
			if !cmp.Equal(o.Content, content) {
				objects[i], _ = model.NewObject(content, nil, model.Source{})
				model.NewWorld([]*model.Object{objects[i]}, model.WorldOptions{})
				changes[f] = true
			}
		}
	}
	return changes
}

// worldFaults judges by one control of whole worlds. No control of single objects
// is among them, so that the evaluator is asked for nothing.
func (c *composer) worldFaults(t *testing.T, objects []*model.Object, control *check.Control) map[fault]bool {
	t.Helper()
	out := map[fault]bool{}
	w := model.NewWorld(slices.Clone(objects), model.WorldOptions{})
	run, err := check.Run(t.Context(), &model.Snapshot{Worlds: []*model.World{w}}, check.Options{Controls: []*check.Control{control}, Version: 37,
		Compile: func([]*check.Control, check.Parameters, int) (check.ObjectEvaluator, error) {
			return admission.Compile(nil, nil, 37)
		}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range run.Findings {
		if f.Verdict == finding.Fail && f.Of != nil {
			out[fault{f.Control, f.Object.String()}] = true
		}
	}
	return out
}

// TestFixesCompose applies the fixes of all controls to every bad example, one after
// the other. What a fix changed no longer fails its control, no control fails that
// did not before, and a second round has nothing to do. One fix may lay bare what
// another is for: the users of a pod that has left the node's network, for one.
func TestFixesCompose(t *testing.T) {
	c := newComposer(t)
	for _, control := range c.controls {
		for i, text := range control.Examples.Bad {
			t.Run(fmt.Sprintf("%s %d", control.Name, i+1), func(t *testing.T) {
				c.compose(t, text, check.FixOrder(c.controls), 1)
			})
		}
	}
}

// TestFixesComposeInAnyOrder does the same in an order of chance. A fix that waits
// for another, because the API server takes the one only without what the other
// removes, then needs a second round.
func TestFixesComposeInAnyOrder(t *testing.T) {
	c := newComposer(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, control := range c.controls {
		for i, text := range control.Examples.Bad {
			order := slices.Clone(c.controls)
			random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			t.Run(fmt.Sprintf("%s %d", control.Name, i+1), func(t *testing.T) {
				c.compose(t, text, order, 2)
			})
		}
	}
}

// laysBare are the fixes after which another control says what it could not say
// before: the API server refuses users of its own to a pod in the node's namespaces.
var laysBare = map[string]string{"no-host-namespaces": "user-namespaces"}

// TestFixAlone applies each fix alone to the bad examples of its control. No other
// control fails on an object then that did not before.
func TestFixAlone(t *testing.T) {
	c := newComposer(t)
	for _, control := range c.controls {
		if c.mutations[control.Name] == nil {
			continue
		}
		for i, text := range control.Examples.Bad {
			objects := manifest.NewDecoder().Decode(model.Source{File: "example.yaml"}, []byte(text)).Objects
			before := c.faults(t, model.NewWorld(slices.Clone(objects), model.WorldOptions{}), c.controls...)
			if len(c.round(t, objects, []*check.Control{control})) == 0 {
				t.Errorf("%s: the fix changes nothing in bad example %d", control.Name, i+1)
			}
			for f := range c.faults(t, model.NewWorld(slices.Clone(objects), model.WorldOptions{}), c.controls...) {
				if !before[f] && laysBare[control.Name] != f.control {
					t.Errorf("the fix of %s makes %s fail on %s", control.Name, f.control, f.object)
				}
			}
		}
	}
}

// compose fixes an example in rounds, after which one more must change nothing.
func (c *composer) compose(t *testing.T, text string, order []*check.Control, rounds int) {
	t.Helper()
	objects := manifest.NewDecoder().Decode(model.Source{File: "example.yaml"}, []byte(text)).Objects
	before := c.faults(t, model.NewWorld(slices.Clone(objects), model.WorldOptions{}), c.controls...)
	changed := map[fault]bool{}
	for range rounds {
		maps.Copy(changed, c.round(t, objects, order))
	}
	for f := range c.round(t, objects, order) {
		t.Errorf("round %d: %s still changes %s", rounds+1, f.control, f.object)
	}
	for f := range c.faults(t, model.NewWorld(slices.Clone(objects), model.WorldOptions{}), c.controls...) {
		switch {
		case changed[f]:
			t.Errorf("%s changed %s, which still fails", f.control, f.object)
		case !before[f]:
			t.Errorf("%s fails on %s since the fixes", f.control, f.object)
		}
	}
}

// TestFixOfWhatItCannotRead leaves to a person what a fix leaves as it is, and what
// has fields of the wrong type.
func TestFixOfWhatItCannotRead(t *testing.T) {
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	fixer := admission.NewFixer(check.Defaults(controls))
	for name, text := range map[string]string{
		"pod-security-enforced": "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: [a]}}\n",
		"no-anonymous-access": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: a}\n" +
			"roleRef: {kind: ClusterRole, name: view}\nsubjects: [{kind: User, name: 'system:anonymous'}]\n",
	} {
		control := controls[slices.IndexFunc(controls, func(c *check.Control) bool { return c.Name == name })]
		for _, o := range manifest.NewDecoder().Decode(model.Source{File: "f.yaml"}, []byte(text)).Objects {
			fix, err := fixer.Fix(t.Context(), control, o)
			if err != nil || fix.Safety != finding.FixManual || fix.Note == "" || len(fix.Edits) > 0 {
				t.Errorf("%s: got %+v, %v", name, fix, err)
			}
		}
	}
}
