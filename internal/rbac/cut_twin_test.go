package rbac

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

// cutWorld makes a small random world in which c/x is cluster admin.
func (g *twinGenerator) cutWorld() *model.World {
	var objects []*model.Object
	add := func(kind, namespace, name string, content map[string]any) {
		content["apiVersion"], content["kind"], content["metadata"] = apiGroup+"/v1", kind, map[string]any{"name": name, "namespace": namespace}
		o, _ := model.NewObject(content, nil, model.Source{})
		objects = append(objects, o)
	}
	ref := func(kind, name string) map[string]any {
		return map[string]any{"apiGroup": apiGroup, "kind": kind, "name": name}
	}
	all := []any{"*"}
	add("ClusterRole", "", clusterAdmin, map[string]any{"rules": []any{map[string]any{"apiGroups": all, "resources": all, "verbs": all}}})
	boss := map[string]any{"kind": "ServiceAccount", "namespace": "c", "name": "x"}
	add("ClusterRoleBinding", "", "cb0", map[string]any{"roleRef": ref("ClusterRole", clusterAdmin), "subjects": []any{boss}})
	for i := range 2 {
		content := map[string]any{"rules": g.wideRules()}
		if i == 1 && g.IntN(3) == 0 {
			content["aggregationRule"] = map[string]any{"clusterRoleSelectors": []any{map[string]any{"matchLabels": map[string]any{"a": "b"}}}}
		}
		add("ClusterRole", "", fmt.Sprint("c", i), content)
	}
	for i := range 2 {
		add("ClusterRoleBinding", "", fmt.Sprint("cb", i+1), map[string]any{"roleRef": ref("ClusterRole", g.one("c0", "c1")), "subjects": g.subjects()})
		add("Role", "c", fmt.Sprint("r", i), map[string]any{"rules": g.wideRules()})
		to := ref("Role", g.one("r0", "r1"))
		if g.IntN(3) == 0 {
			to = ref("ClusterRole", g.one("c0", "c1"))
		}
		add("RoleBinding", "c", fmt.Sprint("rb", i), map[string]any{"roleRef": to, "subjects": g.subjects()})
	}
	token, _ := model.NewObject(map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s", "namespace": "c",
		"annotations": map[string]any{"kubernetes.io/service-account.name": g.one("x", "y")}}, "type": "kubernetes.io/service-account-token"}, nil, model.Source{})
	pod, _ := model.NewObject(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "p", "namespace": "c"},
		"spec": map[string]any{"serviceAccountName": g.one("x", "y")}}, nil, model.Source{})
	return model.NewWorld(append(objects, token, pod), model.WorldOptions{Live: g.IntN(2) == 0, Complete: true})
}

// wideRules are rules of which some name several resources, or all verbs.
func (g *twinGenerator) wideRules() []any {
	rules := g.rules()
	for _, r := range rules {
		rule := r.(map[string]any)
		switch g.IntN(4) {
		case 0:
			rule["resources"] = append(rule["resources"].([]any), g.one("widgets", "configmaps"))
		case 1:
			rule["verbs"] = append(rule["verbs"].([]any), g.one("delete", "list"))
		case 2:
			if g.IntN(2) == 0 {
				rule["verbs"] = []any{"*"}
			}
		}
	}
	return rules
}

// naive is one change of the twin: it knows nothing of chains.
type naive struct {
	object  *model.Object
	subject Subject
	rule    int
	verb    string
	at      cell
	weight  int64
}

// naiveChanges lists every change that there may be.
func naiveChanges(c *cutter) []naive {
	var out []naive
	for _, o := range c.world.Objects {
		if b := c.bindingOf[o]; b != nil {
			for i, s := range b.subjects {
				if !slices.Contains(b.subjects[:i], s) && c.mayRemove(b, s) {
					out = append(out, naive{object: o, subject: s})
				}
			}
		}
		if r := c.roleOf[o]; r != nil && r.aggregation == nil && c.mayNarrow(r) {
			for i := range r.stored {
				for _, at := range cellsOf(&r.stored[i]) {
					verbs := verbsOn(&r.stored[i], at)
					if slices.Contains(r.stored[i].Verbs, rbacv1.VerbAll) && at.writtenOut() != nil {
						verbs = append(slices.Clone(verbs), writeOut)
					}
					for _, v := range verbs {
						out = append(out, naive{object: o, rule: i, verb: v, at: at})
					}
				}
			}
		}
	}
	for i := range out {
		n := &out[i]
		ch := &change{changeKey: changeKey{object: n.object, subject: n.subject, rule: n.rule, verb: n.verb}}
		if n.verb != "" {
			ch.cells = []cell{n.at}
		}
		n.weight = c.priceOf(ch)
	}
	return out
}

// naiveWorld makes changes by writing every rule out, a verb and a resource in each.
func naiveWorld(c *cutter, made []naive) *model.World {
	by := map[*model.Object]*model.Object{}
	for _, o := range c.world.Objects {
		of := slices.DeleteFunc(slices.Clone(made), func(n naive) bool { return n.object != o })
		if len(of) == 0 {
			continue
		}
		content := map[string]any{"apiVersion": o.Content["apiVersion"], "kind": o.Kind, "metadata": o.Content["metadata"], "roleRef": o.Content["roleRef"], "aggregationRule": o.Content["aggregationRule"]}
		if b := c.bindingOf[o]; b != nil {
			subjects := []any{}
			for i, s := range o.List("subjects") {
				if !slices.ContainsFunc(of, func(n naive) bool { return n.subject == b.subjects[i] }) {
					subjects = append(subjects, s)
				}
			}
			content["subjects"] = subjects
		} else {
			rules := []any{}
			for i := range c.stored[o] {
				rule := c.stored[o][i]
				for _, at := range cellsOf(&rule) {
					verbs := rule.Verbs
					if slices.ContainsFunc(of, func(n naive) bool { return n.rule == i && n.at == at }) {
						verbs = verbsOn(&rule, at)
					}
					for _, v := range verbs {
						if !slices.ContainsFunc(of, func(n naive) bool { return n.rule == i && n.at == at && n.verb == v }) {
							rules = append(rules, ruleContent(&rbacv1.PolicyRule{Verbs: []string{v}, APIGroups: []string{at.group}, Resources: []string{at.resource}, ResourceNames: rule.ResourceNames}))
						}
					}
				}
			}
			content["rules"] = rules
		}
		by[o] = o.With(content)
	}
	return c.world.Replaced(by)
}

// maxTwinChoices bounds what is tried in one world.
const maxTwinChoices = 300

// choices counts the choices of changes that weigh less than a limit.
func choices(all []naive, limit int64) (total int64) {
	if limit > 10_000 {
		return 1 << 40
	}
	of := make([]int64, limit)
	of[0] = 1
	for _, n := range all {
		for w := limit - 1; w >= n.weight; w-- {
			of[w] = min(of[w]+of[w-n.weight], 1<<40)
		}
	}
	for _, n := range of {
		total += n
	}
	return total
}

// twinSeeds is how many worlds are made: a number, unless BULKHEAD_TEST_CUTS says another.
func twinSeeds(n int) int {
	if more, err := strconv.Atoi(os.Getenv("BULKHEAD_TEST_CUTS")); err == nil {
		return more
	}
	return n
}

// TestCutTwin tries, in small random worlds, every choice of changes that weighs less
// than the cut: none of them is one. So the cut is the best, and the bound holds.
func TestCutTwin(t *testing.T) {
	cut, tried, skipped := 0, 0, 0
	for seed := range uint64(twinSeeds(300)) {
		g := &twinGenerator{Rand: rand.New(rand.NewPCG(seed, 5))}
		w := g.cutWorld()
		a := AccessOf(w)
		task := CutTask{Version: 37, Allowed: []Subject{{"ServiceAccount", "c", "x"}}}
		got, err := a.Cut(t.Context(), task)
		must(t, err)
		if len(got.Before) == 0 {
			continue
		}
		c := newCutter(a, task)
		for _, x := range escalations(t, w).ToAdmin() {
			if x.Meant {
				c.meant[x.From] = true
			}
		}
		for _, x := range got.Remaining {
			c.lost[x.From] = x
		}
		left := func(w *model.World) bool {
			found, err := c.offenders(&trial{access: AccessOf(w)})
			must(t, err)
			return len(found) > 0
		}
		if left(got.World) {
			t.Fatalf("seed %d: somebody is left after\n%s\n%s", seed, got.text(), dump(w))
		}
		cut++
		if !got.Exact() {
			t.Errorf("seed %d: weight %d, bound %d", seed, got.Weight, got.Bound)
		}
		all := naiveChanges(c)
		if choices(all, got.Weight) > maxTwinChoices {
			skipped++
			continue
		}
		var made []naive
		var visit func(from int, weight int64)
		visit = func(from int, weight int64) {
			if len(made) > 0 {
				tried++
				if !left(naiveWorld(c, made)) {
					t.Fatalf("seed %d: weight %d (bound %d) is beaten by %d, %+v:\n%s\n%s", seed, got.Weight, got.Bound, weight, made, got.text(), dump(w))
				}
			}
			for i := from; i < len(all); i++ {
				if weight+all[i].weight < got.Weight {
					made = append(made, all[i])
					visit(i+1, weight+all[i].weight)
					made = made[:len(made)-1]
				}
			}
		}
		visit(0, 0)
	}
	t.Logf("%d cuts, %d of them with too many cheaper choices, %d tried of the others", cut, skipped, tried)
	if cut < 50 || tried < 1000 {
		t.Errorf("only %d cuts and %d choices", cut, tried)
	}
}
