package network

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// clusterPolicyKinds are the policies over namespaces.
var clusterPolicyKinds = []model.GroupKind{
	{Group: "policy.networking.k8s.io", Kind: "AdminNetworkPolicy"},
	{Group: "policy.networking.k8s.io", Kind: "BaselineAdminNetworkPolicy"},
	{Group: "policy.networking.k8s.io", Kind: "ClusterNetworkPolicy"},
}

// answer is what a policy, or a tier of them, says to all traffic of a namespace.
type answer int

const (
	silent answer = iota
	denies
	allows
	// passes ends a tier.
	passes
	// unclear depends on labels of the namespace that were not seen.
	unclear
)

// ask returns what a tier says to all traffic of all pods of a namespace, and the
// policy that says it. Rules about some of it are left aside.
func ask(tier []*reach.TierPolicy, ns *reach.Namespace, d reach.Direction) (answer, *model.Object) {
	for _, p := range tier {
		a := firstOfAll(p, d)
		if a == silent || !p.Pods.Empty() {
			continue
		}
		switch {
		case p.Namespaces.Matches(labels.Set(ns.Labels)):
			return a, p.Object
		case mayMatch(p.Namespaces, ns):
			return unclear, p.Object
		}
	}
	return silent, nil
}

// mayMatch reports whether a selector asks for labels of a namespace that were not seen,
// and may choose it. The label of its name is known.
func mayMatch(s labels.Selector, ns *reach.Namespace) bool {
	requirements, selectable := s.Requirements()
	return !ns.Seen && selectable && !slices.ContainsFunc(requirements, func(r labels.Requirement) bool {
		return r.Key() == corev1.LabelMetadataName && !r.Matches(labels.Set(ns.Labels))
	})
}

// firstOfAll is the action of the first rule that is about all traffic.
func firstOfAll(p *reach.TierPolicy, d reach.Direction) answer {
	for _, r := range p.Rules[d] {
		if !aboutEverything(r, d) {
			continue
		}
		switch r.Action {
		case reach.Deny:
			return denies
		case reach.Pass:
			return passes
		}
		return allows
	}
	return silent
}

// aboutEverything reports whether a rule of a tier is about all that the direction can be
// about: every pod for ingress, every address for egress.
func aboutEverything(r *reach.Rule, d reach.Direction) bool {
	return allPorts(r) && (r.AllPeers || slices.ContainsFunc(r.Peers, func(p reach.Peer) bool {
		if d == reach.Egress {
			return p.Block.IsValid() && p.Block.Bits() == 0 && len(p.Except) == 0
		}
		return p.Namespaces != nil && p.Namespaces.Empty() && p.Pods.Empty()
	}))
}

// allPorts reports whether a rule leaves no port out.
func allPorts(r *reach.Rule) bool {
	all := reach.Ports{}
	for _, p := range r.Ports {
		if p.Name == "" {
			all = all.Union(reach.PortRange(p.Protocol, p.From, p.To))
		}
	}
	return r.AllPorts || all.All()
}
