package generate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

func noPods() *roaring.Bitmap { return roaring.New() }

// prune takes away atoms that are not needed: for which there is no wanted connection that
// they alone let through. Those that are about the fewest are tried first, so that the
// more general ones stay.
func (p *planner) prune() error {
	slices.SortStableFunc(p.atoms, func(a, b *atom) int {
		return cmp.Or(strings.Compare(a.subject.Namespace, b.subject.Namespace), -cmp.Compare(a.direction, b.direction), cmp.Compare(a.size(), b.size()),
			compareEnds(a.subject.End, b.subject.End), compareEnds(a.peer.End, b.peer.End), comparePorts(a.port, b.port))
	})
	var typed []*networkingv1.NetworkPolicy
	for i, a := range p.atoms {
		typed = append(typed, a.policy(i))
	}
	rules, err := read(typed, p.cluster.Profile)
	if err != nil {
		return err
	}
	others := map[string][]*reach.Policy{}
	for _, q := range p.set.denied.Policies {
		others[q.Namespace] = append(others[q.Namespace], q)
	}
	// No policy tells apart what this engine does not.
	e := reach.New(withPolicies(p.set.denied, rules))
	var kept []*atom
	for from := 0; from < len(p.atoms); {
		to := from
		for to < len(p.atoms) && p.atoms[to].direction == p.atoms[from].direction && p.atoms[to].subject.Namespace == p.atoms[from].subject.Namespace {
			to++
		}
		c := *p.set.denied
		c.Policies = slices.Concat(others[p.atoms[from].subject.Namespace], rules[from:to])
		kept = append(kept, p.needed(&c, e, p.atoms[from:to], rules[from:to])...)
		from = to
	}
	p.atoms = kept
	return nil
}

// needed are the atoms of a namespace and direction that are needed; the cluster has the
// policies of that namespace only, and the rules are those of the atoms.
func (p *planner) needed(c *reach.Cluster, e *reach.Engine, atoms []*atom, rules []*reach.Policy) (out []*atom) {
	ports := bounds(c.Policies, atoms[0].direction)
	for i, a := range atoms {
		if p.witness(c, e, rules[i], a, ports) {
			out = append(out, a)
			continue
		}
		c.Policies = slices.DeleteFunc(c.Policies, func(q *reach.Policy) bool { return q == rules[i] })
	}
	return out
}

// size is how many pairs an atom is about; addresses are more than any number of pods.
func (a *atom) size() uint64 {
	size := a.subject.members.GetCardinality() * max(1, a.peer.members.GetCardinality())
	for _, r := range a.peer.addresses.Ranges() {
		for _, p := range r.Prefixes() {
			size += 1 << (32 + (p.Addr().BitLen()-p.Bits())/6)
		}
	}
	return min(size, 1<<62)
}

// witness looks for a wanted connection that only one policy lets through.
func (p *planner) witness(c *reach.Cluster, e *reach.Engine, only *reach.Policy, a *atom, bounds []uint16) bool {
	for s := range sides(e, a.subject) {
		if s.Pod.HostNetwork {
			continue
		}
		for q := range sides(e, a.peer) {
			from, to := s, q
			if a.direction == reach.Ingress {
				from, to = q, s
			}
			for _, port := range a.port.samples(to, bounds) {
				reason := reasonOf(c, a.direction, from, to, port)
				if reason.Basis == reach.ByPolicies && len(reason.Rules) == 1 && reason.Rules[0].Policy == only {
					return true
				}
			}
		}
	}
	return false
}

// reasonOf is why one direction lets traffic through, or not.
func reasonOf(c *reach.Cluster, d reach.Direction, from, to reach.Side, port portItem) reach.Reason {
	x := c.Explain(from, to, port.protocol, port.from)
	if d == reach.Ingress {
		return x.Ingress
	}
	return x.Egress
}

// samples are ports of an item such that of every set of rules one of them is about, if
// any is, some port of the item.
func (i portItem) samples(to reach.Side, bounds []uint16) (out []portItem) {
	switch {
	case i.name != "":
		if to.Pod == nil {
			return nil
		}
		if port := to.Pod.Named[reach.NamedPort{Protocol: i.protocol, Name: i.name}]; port != 0 {
			out = append(out, portItem{protocol: i.protocol, from: port})
		}
		return out
	case i.all:
		for _, protocol := range []reach.Protocol{reach.TCP, reach.UDP, reach.SCTP} {
			out = append(out, portItem{protocol: protocol, from: 1, to: 65535}.samples(to, bounds)...)
		}
		return out
	}
	out = []portItem{{protocol: i.protocol, from: i.from}}
	if to.Pod != nil { // rules may know some by their names
		bounds = slices.Clip(bounds)
		for _, n := range to.Pod.Named {
			bounds = append(bounds, n, n+1)
		}
	}
	for _, b := range bounds {
		if i.from < b && b <= i.to {
			out = append(out, portItem{protocol: i.protocol, from: b})
		}
	}
	return out
}

// bounds are the ports at which rules begin, or end.
func bounds(policies []*reach.Policy, d reach.Direction) (out []uint16) {
	for _, p := range policies {
		for _, r := range p.Rules[d] {
			for _, port := range r.Ports {
				if out = append(out, port.From); port.To < 65535 {
					out = append(out, port.To+1)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// policy is one atom as a policy of its own.
func (a *atom) policy(number int) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{ObjectMeta: meta(a.subject.Namespace, fmt.Sprint("atom-", number))}
	p.Spec.PodSelector = *a.subject.selector.DeepCopy()
	p.Spec.PolicyTypes = []networkingv1.PolicyType{policyType(a.direction)}
	peers, ports := a.peer.peers(a.subject.Namespace), a.port.ports()
	if a.direction == reach.Ingress {
		p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: peers, Ports: ports}}
	} else {
		p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: peers, Ports: ports}}
	}
	return p
}

func policyType(d reach.Direction) networkingv1.PolicyType {
	if d == reach.Ingress {
		return networkingv1.PolicyTypeIngress
	}
	return networkingv1.PolicyTypeEgress
}

// ports are how a rule names the item; none is all.
func (i portItem) ports() []networkingv1.NetworkPolicyPort {
	if i.all {
		return nil
	}
	protocol := corev1.Protocol(i.protocol.String())
	out := networkingv1.NetworkPolicyPort{Protocol: &protocol}
	switch {
	case i.name != "":
		name := intstr.FromString(i.name)
		out.Port = &name
	case i.from == 1 && i.to == 65535:
	default:
		port := intstr.FromInt32(int32(i.from))
		if out.Port = &port; i.to > i.from {
			end := int32(i.to)
			out.EndPort = &end
		}
	}
	return []networkingv1.NetworkPolicyPort{out}
}
