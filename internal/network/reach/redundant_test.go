package reach

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// without is a cluster without some rules.
func without(c *Cluster, gone map[*Rule]bool) *Cluster {
	out := *c
	keep := func(rules [directions][]*Rule) [directions][]*Rule {
		for d, of := range rules {
			rules[d] = slices.DeleteFunc(slices.Clone(of), func(r *Rule) bool { return gone[r] })
		}
		return rules
	}
	out.Policies, out.Admin, out.Baseline = nil, nil, nil
	for _, p := range c.Policies {
		q := *p
		q.Rules = keep(p.Rules)
		out.Policies = append(out.Policies, &q)
	}
	for _, tier := range []struct{ from, to *[]*TierPolicy }{{&c.Admin, &out.Admin}, {&c.Baseline, &out.Baseline}} {
		for _, p := range *tier.from {
			q := *p
			q.Rules = keep(p.Rules)
			*tier.to = append(*tier.to, &q)
		}
	}
	return &out
}

// repeat writes rules of a cluster again: in the same policy or another, as they are or
// narrower, and so that others come before them.
func repeat(d *dealer, c *Cluster) {
	narrower := func(r *Rule) *Rule {
		n := *r
		switch {
		case len(r.Peers) > 1 && d.chance(50):
			n.Peers = r.Peers[:1]
		case d.chance(30) && r.AllPorts:
			n.AllPorts, n.Ports = false, []PortRule{{Protocol: TCP, From: 8080, To: 8080}}
		case d.chance(50) && r.AllPeers:
			n.AllPeers, n.Peers = false, []Peer{{Pods: labels.SelectorFromSet(labels.Set{"app": "a"}), Labelled: true}}
		}
		n.Index += 100
		return &n
	}
	for _, p := range c.Policies {
		for dir := range directions {
			for _, r := range slices.Clone(p.Rules[dir]) {
				if d.chance(30) {
					p.Rules[dir] = append(p.Rules[dir], narrower(r))
				}
				if len(r.Peers) > 1 && !r.AllPorts && d.chance(30) {
					p.Rules[dir] = append(p.Rules[dir], &Rule{Peers: r.Peers[:1], AllPorts: true}, &Rule{Peers: r.Peers[1:], AllPorts: true})
				}
				if q := pick(d, c.Policies); d.chance(30) && q.Namespace == p.Namespace && q.Isolates[dir] {
					q.Rules[dir] = append(q.Rules[dir], narrower(r))
				}
			}
		}
	}
	for _, tier := range [][]*TierPolicy{c.Admin, c.Baseline} {
		for _, p := range tier {
			for dir := range directions {
				for _, r := range slices.Clone(p.Rules[dir]) {
					if q := pick(d, tier); d.chance(60) {
						n := *r
						n.Action = pick(d, []Action{r.Action, Accept, Deny})
						q.Rules[dir] = append(q.Rules[dir], &n)
					}
				}
			}
		}
	}
}

// TestRedundancies takes the rules away from random clusters that are said to change
// nothing. Nobody reaches more then, or less: no pod that is there, and none that comes.
func TestRedundancies(t *testing.T) {
	found, tiers, joint := 0, 0, 0
	for seed := range uint64(600) {
		d := deal(seed, Profiles[seed%uint64(len(Profiles))])
		c := d.cluster()
		repeat(d, c)
		now := *c
		now.Pods = slices.DeleteFunc(slices.Clone(c.Pods), func(*Pod) bool { return d.chance(50) })
		gone := map[*Rule]bool{}
		for _, r := range now.Redundancies().Rules {
			gone[r.Rule] = true
			found++
			if r.Tier != nil {
				tiers++
			}
			if len(r.By) > 1 {
				joint++
			}
			if len(r.By) == 0 || slices.ContainsFunc(r.By, func(by RuleRef) bool { return by.Rule == r.Rule }) {
				t.Fatalf("seed %d: %v is covered by %v", seed, r.RuleRef, r.By)
			}
		}
		if len(gone) == 0 {
			continue
		}
		after := New(without(c, gone))
		compared := Compare(New(c), after)
		for _, part := range []Part{Gained, Lost} {
			for _, change := range compared.Changes(part) {
				example, _ := change.Example()
				t.Fatalf("seed %d: without %d rules: part %d: %s to %s, %s", seed, len(gone), part, example.From, example.To, change.Ports)
			}
		}
	}
	t.Logf("%d rules, %d of tiers, %d that several cover", found, tiers, joint)
	if found < 200 || tiers < 50 || joint < 5 {
		t.Error("too few to tell")
	}
}

// TestImplies compares what is said of selectors with all labels that they can tell apart.
func TestImplies(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	d := &dealer{Rand: random}
	values := []string{"", "a", "b", "c", "\x00other"}
	var sets []labels.Set
	for _, app := range append(values, "\x00none") {
		for _, tier := range append(values, "\x00none") {
			set := labels.Set{"app": app, "tier": tier}
			maps.DeleteFunc(set, func(_, v string) bool { return v == "\x00none" })
			sets = append(sets, set)
		}
	}
	selector := func() labels.Selector {
		s := metav1.LabelSelector{}
		for range d.IntN(3) {
			e := metav1.LabelSelectorRequirement{Key: pick(d, []string{"app", "tier"}), Operator: pick(d, []metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"})}
			if e.Operator == "In" || e.Operator == "NotIn" {
				e.Values = some(d, 3, func() string { return pick(d, values[:4]) })
				if len(e.Values) == 0 {
					e.Values = []string{"a"}
				}
			}
			s.MatchExpressions = append(s.MatchExpressions, e)
		}
		out, err := metav1.LabelSelectorAsSelector(&s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	yes := 0
	for range 20000 {
		a, b := selector(), selector()
		implied, meet := true, false
		for _, set := range sets {
			implied = implied && (!a.Matches(set) || b.Matches(set))
			meet = meet || a.Matches(set) && b.Matches(set)
		}
		if implies(a, b) != implied || mayMeet(a, b) != meet {
			t.Fatalf("%s and %s: implies %v, meet %v", a, b, implied, meet)
		}
		if implied {
			yes++
		}
	}
	if yes < 1000 {
		t.Errorf("only %d imply another", yes)
	}
}

// BenchmarkRedundancies compares the rules of large clusters, of one namespace with all
// policies, and of many policies that choose alike.
func BenchmarkRedundancies(b *testing.B) {
	run := func(name string, c *Cluster) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c.Redundancies()
			}
		})
	}
	for _, s := range shapes[:3] {
		run(s.name, s.cluster(b))
	}
	c := chain(b, 5000)
	run("5k policies of one namespace", c)
	for i := range 5000 {
		p, _, err := newPolicy(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("all", i)}, Spec: networkingv1.NetworkPolicySpec{
			Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: labelled1("app", fmt.Sprint("b", i))}}}}}})
		if err != nil {
			b.Fatal(err)
		}
		c.Policies = append(c.Policies, p)
	}
	run("and 5k for all of its pods", c)
}
