package check_test

import (
	"slices"
	"testing"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

var (
	daemonSets = model.GroupKind{Group: "apps", Kind: "DaemonSet"}
	services   = model.GroupKind{Kind: "Service"}
	rollouts   = model.GroupKind{Group: "example.com", Kind: "Rollout"}
)

func runWith(t *testing.T, w *model.World, o check.Options) *check.Outcome {
	t.Helper()
	o.Version = 37
	o.Compile = func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
		return admission.Compile(cs, p, v)
	}
	out, err := check.Run(t.Context(), &model.Snapshot{Worlds: []*model.World{w}}, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestUnreadKinds: objects that were not read are unknown to every control that would
// have judged them, and to no other.
func TestUnreadKinds(t *testing.T) {
	objects := privileged("objects")
	ofServices := &check.Control{Rule: finding.Rule{Name: "services"}, Object: &check.ObjectPolicy{Kinds: []model.GroupKind{services}, Violations: `[]`}}
	everything := &check.Control{Rule: finding.Rule{Name: "everything"}, World: func(*check.Input) []check.Judgement { return nil }}
	controls := []*check.Control{objects, ofServices, everything}
	for name, test := range map[string]struct {
		unobserved []model.Unobserved
		namespaces []string
		want       map[string]string
	}{
		"all read":             {nil, nil, map[string]string{}},
		"a kind":               {[]model.Unobserved{{GroupKind: daemonSets, Reason: "forbidden"}}, nil, map[string]string{"objects": "forbidden", "everything": "forbidden"}},
		"a configured kind":    {[]model.Unobserved{{GroupKind: rollouts, Reason: "forbidden"}}, nil, map[string]string{"objects": "forbidden", "everything": "forbidden"}},
		"another":              {[]model.Unobserved{{GroupKind: services, Reason: "slow"}}, nil, map[string]string{"services": "slow", "everything": "slow"}},
		"in a namespace":       {[]model.Unobserved{{GroupKind: services, Namespace: "shop", Reason: "slow"}}, nil, map[string]string{"services": "in namespace shop: slow", "everything": "in namespace shop: slow"}},
		"in one not asked for": {[]model.Unobserved{{GroupKind: services, Namespace: "shop", Reason: "slow"}}, []string{"dev-1"}, map[string]string{}},
		"in one not there":     {[]model.Unobserved{{GroupKind: services, Namespace: "elsewhere", Reason: "slow"}}, nil, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := model.NewWorld(decode(t, pods).Objects, model.WorldOptions{Live: true, Unobserved: test.unobserved})
			out := runWith(t, w, check.Options{Controls: controls, Namespaces: test.namespaces, PodKinds: []model.GroupKind{rollouts}})
			got := map[string]string{}
			for _, u := range out.Unmet {
				if !slices.ContainsFunc(test.unobserved, func(n model.Unobserved) bool { return n.GroupKind.String() == u.What }) {
					continue // the broken pod
				}
				for _, c := range u.Controls {
					got[c] = u.Reason
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("got %v", got)
			}
			for c, reason := range test.want {
				if got[c] != reason || out.Counts[c].Unknown == 0 {
					t.Errorf("%s: %q, counts %+v; want %q", c, got[c], out.Counts[c], reason)
				}
			}
		})
	}
}

// TestNotJudged: objects that another one speaks for, and those that are not selected,
// are facts: controls of the world see them and no control judges them.
func TestNotJudged(t *testing.T) {
	seen := 0
	world := &check.Control{Rule: finding.Rule{Name: "world"}, World: func(in *check.Input) []check.Judgement {
		seen = len(in.World.Objects)
		var out []check.Judgement
		for _, o := range in.World.Objects {
			out = append(out, check.Failed(o, check.Violation{Detail: "there"}))
		}
		return append(out, check.Judgement{Ref: finding.Ref{Kind: "Namespace", Name: "shop"}, Verdict: finding.Pass})
	}}
	first := func(w *model.World) map[*model.Object]bool { return map[*model.Object]bool{w.Objects[0]: true} }
	named := func(o *model.Object, name string) bool { return o != nil && o.Name == name }
	for name, test := range map[string]struct {
		options check.Options
		judged  []string
		pass    int
	}{
		"all":         {check.Options{}, []string{"a", "b", "broken", "w"}, 1},
		"represented": {check.Options{Represented: first}, []string{"b", "broken", "w"}, 1},
		"selected":    {check.Options{Selected: func(o *model.Object) bool { return named(o, "b") }}, []string{"b"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Controls = []*check.Control{world, privileged("p")}
			w := model.NewWorld(decode(t, pods).Objects, model.WorldOptions{Live: true})
			out := runWith(t, w, test.options)
			var judged []string
			for _, f := range out.Findings {
				if f.Control == "world" {
					judged = append(judged, f.Object.Name)
				} else if !slices.Contains(test.judged, f.Object.Name) {
					t.Errorf("%s judges %s", f.Control, f.Object)
				}
			}
			slices.Sort(judged)
			if !slices.Equal(judged, test.judged) || seen != 4 || out.Counts["world"].Pass != test.pass {
				t.Errorf("judged %v, saw %d, counts %+v", judged, seen, out.Counts["world"])
			}
		})
	}
}
