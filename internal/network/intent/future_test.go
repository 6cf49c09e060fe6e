package intent

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// TestFuture compares assertions about pods that do not exist yet with what is found by
// making each of them: every value of a label that the dealer writes, another one, and
// none, in every namespace and in new ones.
func TestFuture(t *testing.T) {
	counts := map[Form]map[Verdict]int{}
	examples := 0
	for seed := range uint64(200) {
		d := &dealer{Rand: rand.New(rand.NewPCG(seed, 8))}
		text := d.cluster()
		w := world(t, text)
		e := reach.New(reach.NewCluster(w, reach.Profiles[seed%uint64(len(reach.Profiles))]))
		var file strings.Builder
		file.WriteString("apiVersion: bulkhead.dev/v1\nkind: NetworkCheck\nspec:\n  assertions:\n")
		for range 12 {
			file.WriteString("    - " + d.assertion() + "\n")
		}
		now, err := parse(t, file.String())
		if err != nil {
			t.Fatal(err)
		}
		then, err := parse(t, strings.Replace(file.String(), "spec:\n", "spec:\n  future: true\n", 1))
		if err != nil {
			t.Fatal(err)
		}
		b := withFuture(t, d, e)
		before := Prove(e, w, now, nil)
		for i, r := range Prove(e, w, then, nil) {
			if before[i].Verdict != Holds {
				if before[i].Verdict == Refuted && r.Verdict != Refuted {
					t.Errorf("seed %d: %s: refuted for pods that are there, and %s with others", seed, r.Assertion.Name, r.Verdict)
				}
				continue
			}
			if counts[r.Assertion.Form] == nil {
				counts[r.Assertion.Form] = map[Verdict]int{}
			}
			counts[r.Assertion.Form][r.Verdict]++
			if r.Verdict == Unknown {
				continue
			}
			if r.Verdict == Holds && b.verdict(r.Assertion) == Refuted {
				t.Fatalf("seed %d: %s (namespace %q) holds, and is refuted one by one\n%s", seed, r.Assertion.Name, r.Assertion.Namespace, text)
			}
			for _, x := range r.Counterexamples {
				examples++
				with := newBrute(e)
				with.Cluster, with.all = x.Future.Cluster, append(with.all, x.From, x.To)
				if with.verdict(r.Assertion) != Refuted {
					t.Errorf("seed %d: %s: %v to %v does not break it", seed, r.Assertion.Name, x.From, x.To)
				}
				if why := x.Future.Cluster.Explain(x.From, x.To, x.Protocol, x.Port); why.Allowed == x.Stopped {
					t.Errorf("seed %d: %s: %v to %v is no counterexample: %+v", seed, r.Assertion.Name, x.From, x.To, why)
				}
			}
		}
	}
	t.Logf("%v, %d counterexamples", counts, examples)
	for _, form := range []Form{Deny, Allow, Isolated, Tiers, InternetOnlyBy} {
		if counts[form][Holds] == 0 || counts[form][Refuted] == 0 {
			t.Errorf("%s is all alike: %v", form, counts[form])
		}
	}
}

// withFuture adds all pods that may be made to those that are asked about, as far as some
// policy may tell them apart.
func withFuture(t *testing.T, d *dealer, e *reach.Engine) *brute {
	t.Helper()
	var sets []string
	for _, app := range []string{"", "app=x", "app=v", "app=z", "app=other"} {
		for _, tier := range []string{"", "tier=x", "tier=v", "tier=z", "tier=other"} {
			sets = append(sets, strings.Trim(app+","+tier, ","))
		}
	}
	c := e.Cluster
	b := newBrute(e)
	add := func(name string) {
		with, side, err := c.WithFuture(name)
		if err != nil {
			t.Fatal(err)
		}
		c = with
		b.all = append(b.all, side)
	}
	for _, ns := range []string{"a", "b", "c"} {
		for _, set := range sets {
			if c.Namespaces[ns] != nil {
				add(reach.FuturePrefix + ns + "/" + set)
			}
		}
	}
	d.Shuffle(len(sets), func(i, j int) { sets[i], sets[j] = sets[j], sets[i] })
	for n, team := range []string{"", "team=x", "team=v", "team=z", "team=other"} {
		for _, set := range sets[:5] {
			add(fmt.Sprintf("%s{%s}/%s", reach.FuturePrefix, strings.Trim(team+fmt.Sprintf(",kubernetes.io/metadata.name=made-%d-%d", n, slices.Index(sets, set)), ","), set))
		}
	}
	b.Cluster = c
	return b
}

// TestOnlyOfFuture is the sentence that teams write, of pods that may be made.
func TestOnlyOfFuture(t *testing.T) {
	const cluster = `
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Pod, metadata: {name: f, namespace: shop, labels: {app: frontend}}, spec: {containers: []}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop, labels: {app: backend}}, spec: {containers: []}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: b, namespace: shop}, spec: {podSelector: {matchLabels: {app: backend}}, ingress: [{from: [{PEER}], ports: [{port: 8080}]}]}}
`
	for name, c := range map[string]struct {
		peer, scope string
		verdict     Verdict
		why         string
	}{
		"proven":                       {"podSelector: {matchLabels: {app: frontend}}", "shop", Holds, ""},
		"a label that nobody has":      {"podSelector: {matchExpressions: [{key: app, operator: In, values: [frontend, monitor]}]}", "shop", Refuted, "new:shop/app=monitor"},
		"a namespace that nobody has":  {"podSelector: {matchLabels: {app: frontend}}, namespaceSelector: {}", "shop", Refuted, "new:{}/app=frontend"},
		"another namespace's own pods": {"podSelector: {matchLabels: {app: frontend}}", "", Refuted, "new:{}/app=backend"},
		"a namespace that is labelled": {"podSelector: {matchLabels: {app: frontend}}}, {namespaceSelector: {matchLabels: {team: ops}}", "shop", Refuted, "new:{team=ops}/"},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t, strings.Replace(cluster, "PEER", c.peer, 1))
			scope := ""
			if c.scope != "" {
				scope = "namespace: " + c.scope + ", "
			}
			assertions, err := parse(t, "{apiVersion: bulkhead.dev/v1, kind: NetworkCheck, spec: {assertions: [{"+scope+"future: true, only: {from: app=frontend, to: app=backend, ports: [8080]}}]}}")
			if err != nil {
				t.Fatal(err)
			}
			r := Prove(reach.New(reach.NewCluster(w, reach.Upstream)), w, assertions, nil)[0]
			if r.Verdict != c.verdict || !strings.Contains(strings.Join(r.Why, "\n"), c.why) {
				t.Errorf("%s: %v", r.Verdict, r.Why)
			}
		})
	}
}
