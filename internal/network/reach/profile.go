package reach

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
)

// Profile is what network plugins do differently where the API leaves it open. The
// policies of tiers say it themselves, so that it is about NetworkPolicies alone.
type Profile struct {
	// Name is that of --cni.
	Name string
	// BlocksMatchPods says that an ipBlock is about the addresses of pods too. The
	// upstream end-to-end tests ("should allow egress access to server in CIDR block")
	// expect it. In Cilium an address that has an identity in the cluster is no CIDR
	// (docs.cilium.io, "Layer 3 policies: IP/CIDR based").
	BlocksMatchPods bool
	// BlocksMatchNodes says the same of the addresses of nodes, which pods in the network
	// of their node have too. In Cilium they are the entities host and remote-node, unless
	// policy-cidr-match-mode is nodes (github.com/cilium/cilium/issues/16308).
	BlocksMatchNodes bool
	// SelectorsMatchHostPods says that a peer with a podSelector chooses pods in the
	// network of their node too, by their labels. OVN-Kubernetes does (docs.okd.io, "About
	// network policy": a namespaceSelector alone does not include them, one beside
	// podSelector does). Calico (github.com/projectcalico/calico/issues/4667), Antrea
	// (github.com/antrea-io/antrea/pull/3080) and Cilium, for which they are entities, do not.
	SelectorsMatchHostPods bool
	// OpenToOwnNode says that a pod always reaches the node that it is on. The concept page
	// of NetworkPolicies says so of both ways; the API itself, and plugins, only of traffic
	// that comes from the node. Calico decides after the rules for egress
	// (defaultEndpointToHostAction), for Cilium the node is the entity host.
	OpenToOwnNode bool
}

// The profiles. Upstream is what the documents of the API and its end-to-end tests say.
var (
	Upstream = Profile{Name: "upstream", BlocksMatchPods: true, BlocksMatchNodes: true, OpenToOwnNode: true}
	Calico   = Profile{Name: "calico", BlocksMatchPods: true, BlocksMatchNodes: true}
	Cilium   = Profile{Name: "cilium"}
	OVN      = Profile{Name: "ovn", BlocksMatchPods: true, BlocksMatchNodes: true, SelectorsMatchHostPods: true}
	Antrea   = Profile{Name: "antrea", BlocksMatchPods: true, BlocksMatchNodes: true}
)

// PluginPolicies are kinds of network plugins that isolate pods as well, and that are
// not understood.
var PluginPolicies = []model.GroupKind{
	{Group: "cilium.io", Kind: "CiliumNetworkPolicy"},
	{Group: "cilium.io", Kind: "CiliumClusterwideNetworkPolicy"},
	{Group: "crd.projectcalico.org", Kind: "NetworkPolicy"},
	{Group: "crd.projectcalico.org", Kind: "GlobalNetworkPolicy"},
	{Group: "projectcalico.org", Kind: "NetworkPolicy"},
	{Group: "projectcalico.org", Kind: "GlobalNetworkPolicy"},
	{Group: "crd.antrea.io", Kind: "NetworkPolicy"},
	{Group: "crd.antrea.io", Kind: "ClusterNetworkPolicy"},
}

// Profiles are those that there are.
var Profiles = []Profile{Upstream, Calico, Cilium, OVN, Antrea}

// ParseProfile returns the profile of a name.
func ParseProfile(name string) (Profile, error) {
	for _, p := range Profiles {
		if p.Name == name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("unknown network plugin %q: use %s", name, strings.Join(ProfileNames(), ", "))
}

// ProfileNames are those of Profiles.
func ProfileNames() []string {
	var names []string
	for _, p := range Profiles {
		names = append(names, p.Name)
	}
	return names
}

// Kinds are what of a cluster is read.
func Kinds() []model.GroupKind {
	kinds := []model.GroupKind{networkPolicyKind, clusterPolicyKind, adminPolicyKind, baselinePolicyKind,
		{Kind: "Namespace"}, {Kind: "Pod"}, {Kind: "Service"}, {Kind: "Node"}, {Group: "networking.k8s.io", Kind: "Ingress"}}
	for _, t := range model.PodTemplates() {
		kinds = append(kinds, t.GroupKind)
	}
	return append(kinds, PluginPolicies...)
}

// decides reports whether objects of a kind decide about traffic: policies, and what these
// choose by.
func decides(gk model.GroupKind) bool {
	return slices.Contains([]model.GroupKind{networkPolicyKind, clusterPolicyKind, adminPolicyKind, baselinePolicyKind, {Kind: "Namespace"}, nodeKind}, gk) ||
		slices.Contains(PluginPolicies, gk)
}
