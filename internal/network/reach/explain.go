package reach

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// Side is who sends or receives, one by one: a pod, which need not be there yet, or an
// address.
type Side struct {
	// Pod is nil for an address.
	Pod     *Pod
	Address netip.Addr
}

// Basis is what decides about traffic in one direction.
type Basis uint8

// What decides, in the order in which it is asked.
const (
	// ByNothing: it is an address, or a pod in the network of its node.
	ByNothing Basis = iota
	ByAdmin
	ByPolicies
	ByBaseline
	// ByDefault: no policy is about the pod.
	ByDefault
)

func (b Basis) String() string {
	return [...]string{"no policy can be about it", "the Admin tier", "NetworkPolicies", "the Baseline tier", "no policy is about it"}[b]
}

// RuleRef is a rule of a policy.
type RuleRef struct {
	Policy *Policy
	Tier   *TierPolicy
	Rule   *Rule
}

// Reason says why one direction lets traffic through, or not.
type Reason struct {
	Allowed bool
	Basis   Basis
	// Rules decided: of NetworkPolicies all that allow it, of a tier the one that was first.
	Rules []RuleRef
	// Passed are rules of the Admin tier that passed it on.
	Passed []RuleRef
	// Isolated are the NetworkPolicies that are about the pod.
	Isolated []*Policy
}

// Explanation says why traffic arrives, or does not.
type Explanation struct {
	Allowed bool
	// Self says that it does not leave the pod, which no policy is about.
	Self bool
	// OwnNode says that it is between a node and a pod on it, which no policy is about
	// either: always from the node, and the other way where the profile has it so.
	OwnNode         bool
	Ingress, Egress Reason
}

// Explain asks every policy about traffic from one side to another, by one port.
func (c *Cluster) Explain(from, to Side, protocol Protocol, port uint16) Explanation {
	e := Explanation{Egress: c.reason(Egress, from, to, to, protocol, port), Ingress: c.reason(Ingress, to, from, to, protocol, port)}
	e.Self, e.OwnNode = isSelf(from, to), c.isOwnNode(from, to)
	e.Allowed = e.Self || e.OwnNode || e.Egress.Allowed && e.Ingress.Allowed
	return e
}

// isSelf reports whether traffic does not leave a pod. Replicas of one workload are not
// the same pod.
func isSelf(from, to Side) bool {
	return from.Pod != nil && from.Pod == to.Pod && from.Pod.Runs()
}

// Runs reports whether it is one pod, and not all that a template makes.
func (p *Pod) Runs() bool { return p.Object != nil && p.Object.GroupKind == podKind }

// isOwnNode reports whether traffic is between a node and a pod on it, and open for that.
func (c *Cluster) isOwnNode(from, to Side) bool {
	return c.isNodeOf(from, to) || c.Profile.OpenToOwnNode && c.isNodeOf(to, from)
}

// isNodeOf reports whether a side is the node that a pod is on.
func (c *Cluster) isNodeOf(s, pod Side) bool {
	if pod.Pod == nil || pod.Pod.HostNetwork || pod.Pod.Node == "" {
		return false
	}
	if s.Pod != nil {
		return s.Pod.HostNetwork && s.Pod.Node == pod.Pod.Node
	}
	node := c.Nodes[pod.Pod.Node]
	return node != nil && slices.Contains(node.Addresses, s.Address.Unmap().WithZone(""))
}

// reason asks the policies of one direction that are about subject.
func (c *Cluster) reason(d Direction, subject, peer, receiver Side, protocol Protocol, port uint16) Reason {
	if subject.Pod == nil || subject.Pod.HostNetwork {
		return Reason{Allowed: true, Basis: ByNothing}
	}
	var out Reason
	about := func(r *Rule) bool {
		return c.matchesPeer(subject.Pod.Namespace, r, peer) && matchesPort(r, receiver, protocol, port)
	}
	tier := func(policies []*TierPolicy) *RuleRef {
		for _, p := range policies {
			if !c.selects(p.Namespaces, p.Pods, subject.Pod) {
				continue
			}
			if i := slices.IndexFunc(p.Rules[d], about); i >= 0 {
				return &RuleRef{Tier: p, Rule: p.Rules[d][i]}
			}
		}
		return nil
	}
	if first := tier(c.Admin); first != nil && first.Rule.Action == Pass {
		out.Passed = []RuleRef{*first}
	} else if first != nil {
		return Reason{Allowed: first.Rule.Action == Accept, Basis: ByAdmin, Rules: []RuleRef{*first}}
	}
	for _, p := range c.Policies {
		if p.Isolates[d] && p.Namespace == subject.Pod.Namespace && p.Subject.Matches(labels.Set(subject.Pod.Labels)) {
			out.Isolated = append(out.Isolated, p)
			for _, r := range p.Rules[d] {
				if about(r) {
					out.Rules = append(out.Rules, RuleRef{Policy: p, Rule: r})
				}
			}
		}
	}
	if len(out.Isolated) > 0 {
		out.Allowed, out.Basis = len(out.Rules) > 0, ByPolicies
		return out
	}
	out.Allowed, out.Basis = true, ByDefault
	if first := tier(c.Baseline); first != nil {
		out.Allowed, out.Basis, out.Rules = first.Rule.Action != Deny, ByBaseline, []RuleRef{*first}
	}
	return out
}

// selects reports whether a pod is among those of namespaces that selectors choose.
func (c *Cluster) selects(namespaces, pods labels.Selector, p *Pod) bool {
	return !p.HostNetwork && c.chooses(namespaces, pods, p)
}

func (c *Cluster) chooses(namespaces, pods labels.Selector, p *Pod) bool {
	if !pods.Matches(labels.Set(p.Labels)) {
		return false
	}
	ns := c.Namespaces[p.Namespace]
	return ns != nil && namespaces.Matches(labels.Set(ns.Labels))
}

func (c *Cluster) matchesPeer(own string, r *Rule, side Side) bool {
	return r.AllPeers || slices.ContainsFunc(r.Peers, func(p Peer) bool {
		switch {
		case p.Block.IsValid():
			return c.matchesBlock(p, side)
		case p.Nodes != nil:
			return c.matchesNodes(p.Nodes, side)
		case side.Pod == nil || p.Pods == nil:
			return false
		case side.Pod.HostNetwork && (p.Tier || !p.Labelled || !c.Profile.SelectorsMatchHostPods):
			return false
		case p.Namespaces == nil:
			return side.Pod.Namespace == own && p.Pods.Matches(labels.Set(side.Pod.Labels))
		}
		return c.chooses(p.Namespaces, p.Pods, side.Pod)
	})
}

func (c *Cluster) matchesBlock(p Peer, side Side) bool {
	switch {
	case side.Pod == nil:
		a := side.Address.Unmap().WithZone("")
		return p.covers(a) && (p.Tier || c.Profile.BlocksMatchNodes || !c.isNode(a))
	case !p.Tier && side.Pod.HostNetwork && !c.Profile.BlocksMatchNodes:
		return false
	case !p.Tier && !side.Pod.HostNetwork && !c.Profile.BlocksMatchPods:
		return false
	case len(side.Pod.Addresses) > 0:
		return slices.ContainsFunc(side.Pod.Addresses, p.covers)
	}
	return p.holdsPrivate() // it is at some private address
}

// isNode reports whether an address is one of a node.
func (c *Cluster) isNode(a netip.Addr) bool {
	for _, n := range c.Nodes {
		if slices.Contains(n.Addresses, a) {
			return true
		}
	}
	return false
}

// matchesNodes reports whether a side is at an address of the nodes that a selector
// chooses.
func (c *Cluster) matchesNodes(s labels.Selector, side Side) bool {
	at := []netip.Addr{side.Address.Unmap().WithZone("")}
	if side.Pod != nil {
		at = side.Pod.Addresses
		if len(at) == 0 {
			return side.Pod.HostNetwork && c.allNodes(s)
		}
	}
	for _, n := range c.Nodes {
		if s.Matches(labels.Set(n.Labels)) && slices.ContainsFunc(at, func(a netip.Addr) bool { return slices.Contains(n.Addresses, a) }) {
			return true
		}
	}
	return false
}

func matchesPort(r *Rule, receiver Side, protocol Protocol, port uint16) bool {
	return r.AllPorts || slices.ContainsFunc(r.Ports, func(p PortRule) bool {
		if p.Name == "" {
			return p.Protocol == protocol && p.From <= port && port <= p.To
		}
		return receiver.Pod != nil && slices.Contains(p.named(), protocol) && receiver.Pod.Named[NamedPort{protocol, p.Name}] == port
	})
}
