package reach

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// subject are the policies of a namespace that choose pods by the same selector.
type subject struct {
	choice
	rules []candidate
	// wider are the subjects that choose all of these pods, itself among them.
	wider []*subject
}

// policies finds the rules of a namespace's NetworkPolicies that change nothing: first
// those that one rule covers, then those that several do. They are taken from the last to
// the first, each held against those that are left.
func (f *redundancy) policies(d Direction, ns string, of []*Policy) {
	byText := map[string]*subject{}
	var subjects []*subject
	subjectOf := map[*Policy]*subject{}
	for _, p := range of {
		if len(p.Rules[d]) == 0 {
			continue
		}
		s := byText[p.Subject.String()]
		if s == nil {
			s = &subject{choice: choiceOf(p.Subject)}
			byText[p.Subject.String()] = s
			subjects = append(subjects, s)
		}
		subjectOf[p] = s
		for _, r := range p.Rules[d] {
			s.rules = append(s.rules, candidate{RuleRef{Policy: p, Rule: r}, f.extent(ns, r)})
		}
	}
	f.widen(subjects)
	gone := map[*Rule]bool{}
	for _, joint := range []bool{false, true} {
		for _, p := range slices.Backward(of) {
			for _, r := range slices.Backward(p.Rules[d]) {
				if gone[r] {
					continue
				}
				by := f.besides(d, p, r, subjectOf[p], gone)
				if f.steps > maxRedundantSteps {
					return
				}
				if refs := f.covering(ns, r, by, joint); refs != nil {
					gone[r] = true
					f.out.Rules = append(f.out.Rules, Redundant{RuleRef{Policy: p, Rule: r}, d, refs})
				}
			}
		}
	}
}

// besides are the rules that are about all pods of a rule too, and that are left.
func (f *redundancy) besides(d Direction, p *Policy, r *Rule, s *subject, gone map[*Rule]bool) []candidate {
	by := f.admin(d, p.Namespace, p)
	for _, w := range s.wider {
		for _, c := range w.rules {
			if c.Rule != r && !gone[c.Rule] && f.step() {
				by = append(by, c)
			}
		}
	}
	return by
}

// widen finds for each subject those that choose all of its pods. One that asks for a value
// does so only of such as ask for that value too.
func (f *redundancy) widen(subjects []*subject) {
	byValue := map[[2]string][]*subject{}
	var others []*subject
	for _, s := range subjects {
		pinned := false
		for key, d := range s.of {
			if len(d.in) == 1 && d.limited {
				for v := range d.in {
					byValue[[2]string{key, v}] = append(byValue[[2]string{key, v}], s)
				}
				pinned = true
				break
			}
		}
		if !pinned {
			others = append(others, s)
		}
	}
	for _, s := range subjects {
		candidates := slices.Clone(others)
		for key, d := range s.of {
			for v := range d.in {
				candidates = append(candidates, byValue[[2]string{key, v}]...)
			}
		}
		for _, w := range candidates {
			if f.step() && s.within(w.choice) {
				s.wider = append(s.wider, w)
			}
		}
		slices.SortStableFunc(s.wider, func(a, b *subject) int { return len(a.of) - len(b.of) })
	}
}

// admin are the rules of the Admin tier that are about all pods of a NetworkPolicy, and
// decide.
func (f *redundancy) admin(d Direction, ns string, p *Policy) (out []candidate) {
	of := f.c.Namespaces[ns]
	for _, t := range f.c.Admin {
		if !f.step() {
			return nil
		}
		if of != nil && t.Namespaces.Matches(labels.Set(of.Labels)) && implies(p.Subject, t.Pods) {
			out = append(out, f.deciding(d, t)...)
		}
	}
	return out
}

// deciding are the rules of a policy of the Admin tier after which nothing else is asked:
// those that do not pass, and of whose traffic no rule before them, or of the same priority,
// passes any on.
func (f *redundancy) deciding(d Direction, t *TierPolicy) (out []candidate) {
	if f.decides[d] == nil {
		f.decides[d] = map[*TierPolicy][]candidate{}
	}
	if known, ok := f.decides[d][t]; ok {
		return known
	}
	var passing []*Rule
	for _, q := range f.c.Admin {
		if q.Priority > t.Priority {
			break
		}
		for _, r := range q.Rules[d] {
			if r.Action == Pass && q != t {
				passing = append(passing, r)
			}
		}
	}
	for _, r := range t.Rules[d] {
		if r.Action == Pass {
			passing = append(passing, r)
			continue
		}
		if f.steps += len(passing); !slices.ContainsFunc(passing, func(q *Rule) bool { return portsMeet(q, r) && peersMeet(q, r) }) {
			out = append(out, candidate{RuleRef{Tier: t, Rule: r}, f.extent("", r)})
		}
	}
	f.decides[d][t] = out
	return out
}

// tier finds the rules of a tier that are never asked: others before them decide all that
// they are about. Policies of one priority have no order. What an earlier tier passes on is
// not decided.
func (f *redundancy) tier(d Direction, of, earlier []*TierPolicy) {
	for n, p := range of {
		var before []candidate
		same := func(q *TierPolicy) bool {
			return f.step() && implies(p.Namespaces, q.Namespaces) && implies(p.Pods, q.Pods)
		}
		for _, q := range earlier {
			if same(q) {
				before = append(before, f.deciding(d, q)...)
			}
		}
		for _, q := range of[:n] {
			if q.Priority >= p.Priority || !same(q) {
				continue
			}
			for _, r := range q.Rules[d] {
				before = append(before, candidate{RuleRef{Tier: q, Rule: r}, f.extent("", r)})
			}
		}
		for _, r := range p.Rules[d] {
			if f.steps += len(before); f.steps > maxRedundantSteps {
				return
			}
			if refs := f.covering("", r, before, true); refs != nil {
				f.out.Rules = append(f.out.Rules, Redundant{RuleRef{Tier: p, Rule: r}, d, refs})
			}
			before = append(before, candidate{RuleRef{Tier: p, Rule: r}, f.extent("", r)})
		}
	}
}

// Contest is two policies of a tier with one priority that may be about the same traffic,
// and say different things of it: which is asked first is not defined.
type Contest struct {
	First, Second *TierPolicy
	Direction     Direction
	Rules         [2]*Rule
}

// Contests finds policies of one priority that may contradict one another, for pods that are
// not there yet too. The second of them is told with the first one that it meets. It reports
// false where there are too many to compare.
func (c *Cluster) Contests() (out []Contest, all bool) {
	steps := 0
	for _, tier := range [][]*TierPolicy{c.Admin, c.Baseline} {
		for i, p := range tier {
			for _, q := range tier[:i] {
				if q.Priority != p.Priority {
					continue
				}
				if steps++; steps > maxRedundantSteps/10 {
					return out, false
				}
				if !mayMeet(p.Namespaces, q.Namespaces) || !mayMeet(p.Pods, q.Pods) {
					continue
				}
				if contest, ok := contradict(q, p); ok {
					out = append(out, contest)
					break
				}
			}
		}
	}
	return out, true
}

// contradict finds rules of two policies that may say different things of the same traffic.
func contradict(p, q *TierPolicy) (Contest, bool) {
	for d := range directions {
		for _, x := range p.Rules[d] {
			for _, y := range q.Rules[d] {
				if x.Action != y.Action && portsMeet(x, y) && peersMeet(x, y) {
					return Contest{p, q, d, [2]*Rule{x, y}}, true
				}
			}
		}
	}
	return Contest{}, false
}

// peersMeet reports whether two rules of tiers may be about the same end. Addresses may be
// those of pods, and of nodes and domain names they are not known.
func peersMeet(x, y *Rule) bool {
	if x.AllPeers || y.AllPeers {
		return x.AllPeers && y.AllPeers || x.AllPeers && len(y.Peers) > 0 || y.AllPeers && len(x.Peers) > 0
	}
	return slices.ContainsFunc(x.Peers, func(p Peer) bool {
		return slices.ContainsFunc(y.Peers, func(q Peer) bool {
			switch {
			case p.Pods != nil && q.Pods != nil:
				return mayMeet(p.Namespaces, q.Namespaces) && mayMeet(p.Pods, q.Pods)
			case p.Block.IsValid() && q.Block.IsValid():
				return p.Block.Overlaps(q.Block)
			case p.Nodes != nil && q.Nodes != nil:
				return mayMeet(p.Nodes, q.Nodes)
			}
			return true
		})
	})
}
