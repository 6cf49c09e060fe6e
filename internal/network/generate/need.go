package generate

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// needed says of each rule that was written, taken apart into one peer and one range of
// ports each, whether some wanted connection passes by it alone.
func (p *prover) needed() error {
	var parts []*networkingv1.NetworkPolicy
	var names []string
	for _, w := range p.written {
		for d, of := range apart(w) {
			for i, part := range of {
				parts = append(parts, part)
				names = append(names, fmt.Sprintf("NetworkPolicy %s, part %d of its %s", nameOf(w), i+1, d))
			}
		}
	}
	p.out.Rules = len(parts)
	read, err := read(parts, p.after.Profile)
	if err != nil {
		return err
	}
	byNamespace := map[string][]*reach.Policy{}
	for _, q := range append(slices.Clone(p.denied.Policies), read...) {
		byNamespace[q.Namespace] = append(byNamespace[q.Namespace], q)
	}
	alone := map[*reach.Policy]bool{}
	for _, w := range p.Wants {
		if err := p.alone(w, byNamespace, alone); err != nil {
			return err
		}
	}
	for i, q := range read {
		if !alone[q] {
			p.out.Unneeded = append(p.out.Unneeded, names[i])
		}
	}
	slices.Sort(p.out.Unneeded)
	p.denialsNeeded()
	return nil
}

// alone notes the policies that alone let some connection of a want through.
func (p *prover) alone(w *Want, byNamespace map[string][]*reach.Policy, alone map[*reach.Policy]bool) error {
	from, err := p.units.of(w.From)
	if err != nil {
		return err
	}
	to, err := p.units.of(w.To)
	if err != nil {
		return err
	}
	for _, d := range []reach.Direction{reach.Egress, reach.Ingress} {
		subject, peer := from, to
		if d == reach.Ingress {
			subject, peer = to, from
		}
		if !subject.pods() {
			continue
		}
		c := *p.after
		c.Policies = byNamespace[subject.Namespace]
		ports := bounds(c.Policies, d)
		for a := range sides(p.engine, subject) {
			for b := range sides(p.engine, peer) {
				x, y := a, b
				if d == reach.Ingress {
					x, y = b, a
				}
				for _, item := range itemsOf(wanted(w, y)) {
					for _, s := range item.samples(y, ports) {
						reason := reasonOf(&c, d, x, y, s)
						if reason.Basis == reach.ByPolicies && len(reason.Rules) == 1 {
							alone[reason.Rules[0].Policy] = true
						}
					}
				}
			}
		}
	}
	return nil
}

// denialsNeeded says of each default denial whether a pod that nothing else is about would
// be open without it.
func (p *prover) denialsNeeded() {
	for _, w := range p.written {
		if len(w.Spec.Ingress)+len(w.Spec.Egress) > 0 {
			continue
		}
		p.out.Rules += len(w.Spec.PolicyTypes)
		c := *p.after
		c.Policies = slices.DeleteFunc(slices.Clone(c.Policies), func(q *reach.Policy) bool { return q.Namespace == w.Namespace && q.Name == w.Name })
		future := reach.Side{Pod: &reach.Pod{Namespace: w.Namespace, Kind: assumedKind}}
		x := c.Explain(future, future, reach.TCP, 1)
		for _, t := range w.Spec.PolicyTypes {
			reason := x.Ingress
			if t == networkingv1.PolicyTypeEgress {
				reason = x.Egress
			}
			if len(reason.Isolated) > 0 && !onlyOfNamespace(reason.Isolated, p.Set) {
				p.out.Unneeded = append(p.out.Unneeded, fmt.Sprintf("NetworkPolicy %s for %s", nameOf(w), t))
			}
		}
	}
}

// onlyOfNamespace reports whether all policies are generated ones about all pods, such as
// that for DNS: they deny the rest too, but are there for what they allow.
func onlyOfNamespace(policies []*reach.Policy, s *Set) bool {
	return !slices.ContainsFunc(policies, func(q *reach.Policy) bool {
		return !slices.ContainsFunc(s.Policies, func(p *Policy) bool { return p.Namespace == q.Namespace && p.Name == q.Name })
	})
}

// apart takes a policy apart: a policy for each peer and port of its rules.
func apart(p *networkingv1.NetworkPolicy) map[reach.Direction][]*networkingv1.NetworkPolicy {
	out := map[reach.Direction][]*networkingv1.NetworkPolicy{}
	part := func(d reach.Direction, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
		one := &networkingv1.NetworkPolicy{ObjectMeta: p.ObjectMeta}
		one.Name = fmt.Sprintf("%s-%s-%d", dashed(p.Name), d, len(out[d]))
		one.Spec.PodSelector = p.Spec.PodSelector
		one.Spec.PolicyTypes = []networkingv1.PolicyType{policyType(d)}
		if d == reach.Ingress {
			one.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: peers, Ports: ports}}
		} else {
			one.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: peers, Ports: ports}}
		}
		out[d] = append(out[d], one)
	}
	split := func(d reach.Direction, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
		for _, of := range each(peers) {
			for _, by := range each(ports) {
				part(d, of, by)
			}
		}
	}
	for _, r := range p.Spec.Ingress {
		split(reach.Ingress, r.From, r.Ports)
	}
	for _, r := range p.Spec.Egress {
		split(reach.Egress, r.To, r.Ports)
	}
	return out
}

// each makes a list of each item; of no items one list without any, which means all.
func each[T any](items []T) [][]T {
	if len(items) == 0 {
		return [][]T{nil}
	}
	var out [][]T
	for _, item := range items {
		out = append(out, []T{item})
	}
	return out
}
