package rbac

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// TestJointTwin compares the lengths of chains, of steps that one identity takes each or
// several together, with those that a search finds which tries every set of whom one can become, the smallest first,
// and asks for each step of each chain whether those of the steps before can take it.
func TestJointTwin(t *testing.T) {
	rounds := 60
	if os.Getenv(requestsVariable) != "" {
		rounds = 500
	}
	lengths, shortened, tried, skipped, large, others, beaten, far, asGroup := map[int]int{}, 0, 0, 0, 0, 0, 0, 0, 0
	used := map[string]int{}
	for seed := range rounds {
		version := []int{35, 37}[seed%2]
		w := (&twinGenerator{Rand: rand.New(rand.NewPCG(uint64(seed), 6)), inGroups: seed%3 == 2, alone: seed%3 == 1}).jointWorld()
		e, err := AccessOf(w).Escalations(version)
		must(t, err)
		twin := newTwin(w, version)
		if twin == nil {
			skipped++
			continue
		}
		for _, n := range e.graph.inOrder() {
			s := n.subject()
			if n.kind != subjectNode || n.admin != nil {
				continue
			}
			last := e.joined[n]
			if want := twin.joint(s); want != e.becomesAdmin(n) {
				t.Fatalf("seed %d: %s: becomes cluster admin %v, the twin %v\n%s", seed, s, e.becomesAdmin(n), want, dump(w))
			}
			alone := n.distance != unreachable
			switch {
			case alone && last != nil && last.length() < n.distance:
				beaten++
			case alone && n.distance > fewestJoint:
				far++
			}
			if last == nil && !alone {
				continue
			}
			if last == nil {
				last = e.graph.toAdmin(n)
			}
			x := e.escalation(s, last)
			twin.walk(t, s, x.Steps)
			twin.follow(t, seed, s, x.Steps)
			if !x.Shortest() {
				t.Fatalf("seed %d: %s: %d steps, not less than %d", seed, s, len(x.Steps), x.AtLeast)
			}
			if first := e.graph.join(false, n).admin(); !alone && len(first.chain()) > len(x.Steps) {
				shortened++
			}
			got, ok := twin.shorter(s, twin.isAdmin, len(x.Steps))
			if !ok {
				large++
				continue
			}
			tried++
			if got != nil {
				t.Fatalf("seed %d: %s: %d steps, but %v will do: %+v\n%s", seed, s, len(x.Steps), got, x.Steps, dump(w))
			}
			lengths[len(x.Steps)]++
			for _, step := range x.Steps {
				used[step.Name]++
			}
		}
		asGroup += twin.listed(t, seed, e)
		others += twin.becomes(t, seed, e, Subject{Kind: "User", Name: "u"})
	}
	t.Logf("%d worlds, %d skipped; %d chains compared, by length %v, %d of all were made shorter, %d too large to try; of steps that one takes each %d are longer and %d, of more than two, are not; %d stand there as a group; %d chains to others; steps: %v", rounds, skipped, tried, lengths, shortened, large, beaten, far, asGroup, others, used)
	if tried < rounds/2 || shortened == 0 || far == 0 || beaten == 0 || asGroup == 0 || skipped > rounds/4 || large > tried/10 || others == 0 {
		t.Error("the worlds are one-sided")
	}
}

// TestShortenBounds: where not all is looked at, a chain has no more steps than were known,
// a shortest has no less than the bound, and all is the same the next time.
func TestShortenBounds(t *testing.T) {
	proven, left := 0, 0
	for seed := range 60 {
		w := (&twinGenerator{Rand: rand.New(rand.NewPCG(uint64(seed), 6)), inGroups: seed%3 == 2, alone: seed%3 == 1}).jointWorld()
		e, err := AccessOf(w).Escalations(37)
		must(t, err)
		var starts, together []*node
		shortest := map[*node]int{}
		for _, n := range e.graph.inOrder() {
			switch last := e.joined[n]; {
			case n.kind != subjectNode:
			case n.distance == unreachable && last != nil:
				starts, together, shortest[n] = append(starts, n), append(together, n), last.length()
			case n.distance != unreachable && n.distance > fewestJoint:
				starts, shortest[n] = append(starts, n), n.distance
				if last != nil {
					shortest[n] = last.length()
				}
			}
		}
		for _, limit := range []int{0, 200, 1_000, 5_000, 20_000} {
			var before map[*node]string
			for range 2 {
				ends, lengths, now := map[*node]*acquired{}, map[*node]int{}, map[*node]string{}
				e.graph.joinSome(together, ends)
				for _, n := range starts {
					lengths[n] = n.distance
					if ends[n] != nil {
						lengths[n] = ends[n].length()
					}
				}
				e.graph.shortenAll(starts, ends, limit)
				for _, n := range starts {
					if ends[n] == nil {
						ends[n] = e.graph.toAdmin(n)
					}
					x := e.escalation(n.subject(), ends[n])
					if len(x.Steps) > lengths[n] || len(x.Steps) < shortest[n] || x.AtLeast > shortest[n] || x.Shortest() && len(x.Steps) != shortest[n] {
						t.Fatalf("seed %d, limit %d: %s: %d steps of %d, at least %d; a shortest has %d", seed, limit, x.From, len(x.Steps), lengths[n], x.AtLeast, shortest[n])
					}
					if x.Shortest() {
						proven++
					} else {
						left++
					}
					for _, s := range x.Steps {
						now[n] += fmt.Sprintln(s.Name, s.By, s.To)
					}
					now[n] += fmt.Sprint(x.AtLeast)
				}
				if before != nil && !maps.Equal(before, now) {
					t.Fatalf("seed %d, limit %d: %v, and then %v", seed, limit, before, now)
				}
				before = now
			}
		}
	}
	t.Logf("%d chains were shortest, %d were left", proven, left)
	if proven == 0 || left == 0 {
		t.Error("the limits are one-sided")
	}
}

// becomes does so with the chains to all subjects that one can become, and counts those
// that several identities act in.
func (tw *twin) becomes(t *testing.T, seed int, e *Escalations, s Subject) (n int) {
	rows, _ := e.From(s, nil)
	if i := slices.IndexFunc(rows, Escalation.ToAdmin); i >= 0 {
		for _, x := range e.ToAdmin() {
			if x.From == s && e.joined[e.graph.node(subjectKey(s))] != nil && (len(x.Steps) != len(rows[i].Steps) || !rows[i].Shortest()) {
				t.Fatalf("seed %d: %s becomes cluster admin by %d steps, but to list whom it becomes it takes %d", seed, s, len(x.Steps), len(rows[i].Steps))
			}
		}
		return 0
	}
	for _, x := range rows {
		to := x.Last()
		if to.Subject == nil || to.Constrained || len(x.Steps) == 0 {
			continue
		}
		tw.follow(t, seed, s, x.Steps)
		goal := twinNode{subject: *to.Subject}
		if alone := tw.stepsTo(s, goal); alone < len(x.Steps) {
			t.Fatalf("seed %d: %s becomes %s by %d steps, the twin by %d", seed, s, to, len(x.Steps), alone)
		} else if alone <= fewestJoint {
			continue
		}
		got, ok := tw.shorter(s, func(n twinNode) bool { return n == goal }, len(x.Steps))
		if got != nil || !x.Shortest() {
			t.Fatalf("seed %d: %s becomes %s by %d steps, not less than %d, but %v will do: %+v\n%s", seed, s, to, len(x.Steps), x.AtLeast, got, x.Steps, dump(tw.world))
		}
		if ok {
			n++
		}
	}
	return n
}

// stepsTo counts the steps that one identity takes at a time.
func (tw *twin) stepsTo(s Subject, goal twinNode) int {
	now, seen := []twinNode{{subject: s}}, map[twinNode]bool{}
	for steps := 0; len(now) > 0; steps++ {
		var next []twinNode
		for _, n := range now {
			if n == goal {
				return steps
			}
			if !seen[n] && !tw.isAdmin(n) {
				seen[n] = true
				next = append(next, tw.next[n]...)
			}
		}
		now = next
	}
	return unreachable
}

// inOrder are the nodes in an order that is always the same.
func (g *graph) inOrder() (out []*node) {
	for _, n := range g.nodes {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *node) int { return a.compare(b.nodeKey) })
	return out
}

// maxTried bounds the sets that are tried for one chain.
const maxTried = 4_000

// shorter looks for a set of less than so many whom a subject becomes, with a goal among
// them: it tries all sets of one, of two, and so on. It reports false where there are too
// many of them.
func (tw *twin) shorter(s Subject, goal func(twinNode) bool, than int) ([]twinNode, bool) {
	defer tw.hold(nil)
	sets := [][]twinNode{{{subject: s}}}
	for size := 1; size < than; size++ {
		var next [][]twinNode
		seen := map[string]bool{}
		for _, held := range sets {
			for _, to := range tw.reach(held) {
				set := append(slices.Clone(held), to)
				if goal(to) {
					return set, true
				}
				key := tw.nameOf(set)
				if size+1 == than || seen[key] || tw.isAdmin(to) || to.through == 0 && !to.gained && len(tw.bindings(to)) == 0 {
					continue // nobody may do anything without a binding
				}
				seen[key] = true
				next = append(next, set)
			}
			if len(next) > maxTried {
				return nil, false
			}
		}
		sets = next
	}
	return nil, true
}

func (tw *twin) isAdmin(n twinNode) bool {
	return n.isAdmin || n.through == 0 && tw.alone(n, Request{Verb: "*", Group: "*", Resource: "*"})
}

func (tw *twin) nameOf(set []twinNode) string {
	set = slices.Clone(set[1:])
	slices.SortFunc(set, func(a, b twinNode) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return fmt.Sprint(set)
}

// hold makes some act together.
func (tw *twin) hold(held []twinNode) {
	tw.held, tw.gained = held, nil
	for _, n := range held {
		if n.gained {
			tw.gained = append(tw.gained, n)
		}
	}
}

// reach lists those whom one more step leads to.
func (tw *twin) reach(held []twinNode) (out []twinNode) {
	tw.hold(held)
	for _, to := range slices.Clone(tw.all) {
		if to.through > 0 {
			continue
		}
		for _, from := range held {
			if !slices.Contains(held, to) && !slices.Contains(out, to) && tw.step(from, to) {
				out = append(out, to)
			}
			if tw.version >= 36 && tw.assumes(from, to) {
				if n := tw.through(from, to); !slices.Contains(held, n) {
					out = append(out, n)
				}
			}
		}
	}
	return out
}

// follow takes the steps of a chain one by one.
func (tw *twin) follow(t *testing.T, seed int, s Subject, steps []Step) {
	t.Helper()
	defer tw.hold(nil)
	held := []twinNode{{subject: s}}
	who := map[string]twinNode{s.String(): held[0]}
	for i, step := range steps {
		tw.hold(held)
		by, known := who[step.By.String()]
		if !known {
			t.Fatalf("seed %d: %s: %s, who takes step %d, is not held", seed, s, step.By, i+1)
		}
		to, ok := tw.reached(by, step.To)
		if !ok {
			t.Fatalf("seed %d: %s: step %d, %s, does not lead to %s", seed, s, i+1, step.Name, step.To)
		}
		if slices.Contains(held, to) {
			t.Fatalf("seed %d: %s: step %d leads to %s again", seed, s, i+1, step.To)
		}
		held, who[step.To.String()] = append(held, to), to
	}
}

// reached is whom a step of a chain leads to, if it may be taken.
func (tw *twin) reached(by twinNode, p Party) (twinNode, bool) {
	if p.Subject != nil {
		to := twinNode{subject: *p.Subject}
		if p.Constrained {
			return tw.through(by, to), tw.assumes(by, to)
		}
		return to, tw.step(by, to)
	}
	for _, to := range tw.all {
		all := to.isAdmin && p.Namespace == ""
		if to.gained && to.namespace == p.Namespace {
			if p.Role != nil {
				all = to.role == roleKey{p.Role.Namespace, p.Role.Name}
			} else {
				all = tw.alone(to, Request{Verb: "*", Group: "*", Resource: "*", Namespace: p.Namespace})
			}
		}
		if all && tw.step(by, to) {
			return to, true
		}
	}
	return twinNode{}, false
}

// gainable are pairs of rules that do more together where a role that is gained has one.
var gainable = [][2][]int{{{23}, {24}}, {{24}, {23}}, {{28}, {30}}, {{28}, {32}}, {{30}, {28}}, {{21}, {20}}, {{38, 35, 36}, {37}}, {{26}, {27}}, {{5}, {0}}, {{1}, {3}}, {{31}, {28}}, {{44}, {47}}, {{46}, {49}}, {{46}, {50}}}

// jointWorld is a small random world in which accounts become others step by step, and
// have, each, a part of what does more together.
func (g *twinGenerator) jointWorld() *model.World {
	var objects []*model.Object
	add := func(apiVersion, kind, namespace, name string, content map[string]any) {
		meta := map[string]any{"name": name}
		if namespace != "" {
			meta["namespace"] = namespace
		}
		content["apiVersion"], content["kind"], content["metadata"] = apiVersion, kind, meta
		o, _ := model.NewObject(content, nil, model.Source{})
		objects = append(objects, o)
	}
	const v1 = apiGroup + "/v1"
	grants := 0
	ref := func(kind, name string) map[string]any {
		return map[string]any{"apiGroup": apiGroup, "kind": kind, "name": name}
	}
	grant := func(namespace string, subject Subject, rules ...any) {
		kind, name := "Role", fmt.Sprint("g", grants)
		if namespace == "" {
			kind = "ClusterRole"
		}
		grants++
		add(v1, kind, namespace, name, map[string]any{"rules": rules})
		add(v1, kind+"Binding", namespace, name, map[string]any{"roleRef": ref(kind, name), "subjects": []any{map[string]any{"kind": subject.Kind, "namespace": subject.Namespace, "name": subject.Name}}})
	}
	rules := func(of []int, names ...any) (out []any) {
		for _, i := range of {
			r := g.rule(i)
			delete(r, "resourceNames")
			if len(names) > 0 {
				r["resourceNames"] = names
			}
			out = append(out, r)
		}
		return out
	}
	user := Subject{Kind: "User", Name: "u"}
	var accounts, groups []Subject
	if g.inGroups {
		for _, name := range append([]string{"system:serviceaccounts:b"}, twinTeams[1:]...) {
			groups = append(groups, Subject{Kind: "Group", Name: name})
		}
	}
	for _, ns := range twinNamespaces {
		add("v1", "Namespace", "", ns, map[string]any{})
		for _, name := range []string{"x", "y", "z"} {
			if ns != "c" {
				add("v1", "ServiceAccount", ns, name, map[string]any{})
				accounts = append(accounts, Subject{"ServiceAccount", ns, name})
			}
		}
	}
	add(v1, "ClusterRole", "", clusterAdmin, map[string]any{"rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"*"}}}})
	add(v1, "ClusterRoleBinding", "", "admin", map[string]any{"roleRef": ref("ClusterRole", clusterAdmin), "subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": "c", "name": "default"}}})

	somebody := func() Subject {
		if len(groups) > 0 && g.IntN(3) == 0 {
			return groups[g.IntN(len(groups))]
		}
		return accounts[g.IntN(len(accounts))]
	}
	// Whom accounts become alone.
	starts := slices.Concat([]Subject{user, user}, accounts, accounts[:3])
	if len(groups) > 0 {
		starts = append(slices.Concat(groups, accounts[:4]), user)
	}
	for _, from := range starts {
		if to := accounts[g.IntN(len(accounts))]; to != from && g.IntN(5) > 0 {
			grant(to.Namespace, from, rules([]int{0}, to.Name)...)
		}
	}
	if g.alone {
		// By a way that others have to find.
		path := g.Perm(len(accounts))[:3+g.IntN(3)]
		for i, n := range path[1:] {
			grant(accounts[n].Namespace, accounts[path[i]], rules([]int{0}, accounts[n].Name)...)
		}
		grant("c", accounts[path[len(path)-1]], rules([]int{0}, "default")...)
	}
	// What they do together: to become whom they are to, or another one.
	for range 1 + g.IntN(3) {
		ns := g.one("c", "c", "c", "", "b")
		set := splitSets[g.IntN(len(splitSets))]
		for range 1 + g.IntN(2) {
			// Who may do it to an object of one name only needs another who may, too.
			var names []any
			if g.IntN(2) == 0 {
				names = []any{g.one("x", "y")}
			}
			for n := range set {
				for range 1 + g.IntN(2) {
					grant(ns, somebody(), rules(set[n], names...)...)
				}
			}
		}
	}
	// What they do with a role that is gained, in the cluster or in a namespace.
	for i := range g.IntN(3) {
		set := gainable[g.IntN(len(gainable))]
		name, ns, create := fmt.Sprint("c", i), "", 30
		if g.IntN(3) > 0 {
			ns, create = g.one("c", "b"), 32
		}
		add(v1, "ClusterRole", "", name, map[string]any{"rules": rules(set[0])})
		for range 1 + g.IntN(2) {
			grant(ns, somebody(), append(rules([]int{28}, name), rules([]int{create})...)...)
			grant(g.one(ns, ns, ""), somebody(), rules(set[1])...)
		}
	}
	return model.NewWorld(objects, model.WorldOptions{Live: true})
}
