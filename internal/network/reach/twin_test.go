package reach

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// twin answers who reaches whom as the documents of the APIs say it, pod by pod and port
// by port, from the objects as they are written. It shares nothing with the engine but
// the names of what is compared.
type twin struct {
	profile    Profile
	namespaces map[string]map[string]string
	nodes      []corev1.Node
	pods       []twinPod
	policies   []networkingv1.NetworkPolicy
	tiers      []v1alpha2.ClusterNetworkPolicy
	admin      []v1alpha1.AdminNetworkPolicy
	baseline   []v1alpha1.BaselineAdminNetworkPolicy
	// private are addresses of each part of the private ranges that some block cuts.
	private []netip.Addr
}

// twinPod is a pod that runs, or a template, of which no address is known.
type twinPod struct {
	corev1.Pod
	kind string
}

// twinSide is a pod, or an address.
type twinSide struct {
	pod     *twinPod
	address netip.Addr
}

func (s twinSide) String() string {
	if s.pod == nil {
		return s.address.String()
	}
	return s.pod.kind + " " + s.pod.Namespace + "/" + s.pod.Name
}

// addresses are those of a pod in the network of a node too, which has its node's.
func (w *twin) addresses(s twinSide) (out []netip.Addr) {
	if s.pod == nil {
		return []netip.Addr{s.address}
	}
	for _, ip := range s.pod.Status.PodIPs {
		out = append(out, netip.MustParseAddr(ip.IP))
	}
	if len(out) == 0 && s.pod.Spec.HostNetwork && s.pod.Spec.NodeName != "" {
		for _, n := range w.nodes {
			if n.Name == s.pod.Spec.NodeName {
				out = nodeAddresses(n)
			}
		}
	}
	return out
}

func nodeAddresses(n corev1.Node) (out []netip.Addr) {
	for _, a := range n.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil {
			out = append(out, ip)
		}
	}
	return out
}

func (w *twin) isNode(a netip.Addr) bool {
	return slices.ContainsFunc(w.nodes, func(n corev1.Node) bool { return slices.Contains(nodeAddresses(n), a) })
}

// twinReason is what decides in one direction: the rules by the names of their policies.
type twinReason struct {
	allowed  bool
	basis    Basis
	rules    []string
	isolated []string
	// passed is the rule of the Admin tier that left it to others.
	passed string
}

func ruleName(kind, policy string, index int) string {
	return fmt.Sprintf("%s %s rule %d", kind, policy, index)
}

// reaches says what the policies of both sides say.
func (w *twin) reaches(from, to twinSide, protocol corev1.Protocol, port int32) (egress, ingress twinReason) {
	return w.reason(true, from, to, to, protocol, port), w.reason(false, to, from, to, protocol, port)
}

// exempt reports whether no policy is asked: traffic of a pod to itself, and that of a
// node and the pods on it.
func (w *twin) exempt(from, to twinSide) bool {
	if from.pod != nil && from.pod == to.pod && from.pod.kind == "Pod" {
		return true
	}
	return w.atNodeOf(from, to) || w.profile.OpenToOwnNode && w.atNodeOf(to, from)
}

// atNodeOf reports whether a side is the node that a pod is on.
func (w *twin) atNodeOf(s, pod twinSide) bool {
	if pod.pod == nil || pod.pod.kind != "Pod" || pod.pod.Spec.HostNetwork || pod.pod.Spec.NodeName == "" {
		return false
	}
	name := pod.pod.Spec.NodeName
	if s.pod != nil {
		return s.pod.kind == "Pod" && s.pod.Spec.HostNetwork && s.pod.Spec.NodeName == name
	}
	return slices.ContainsFunc(w.nodes, func(n corev1.Node) bool { return n.Name == name && slices.Contains(nodeAddresses(n), s.address) })
}

// twinRule is a rule of a tier, whatever the version of its API.
type twinRule struct {
	name, action string
	peers, ports []func() bool
	// closed says that some peer is of no kind that is known.
	closed bool
}

func (w *twin) reason(egress bool, subject, peer, receiver twinSide, protocol corev1.Protocol, port int32) twinReason {
	if subject.pod == nil || subject.pod.Spec.HostNetwork {
		return twinReason{allowed: true, basis: ByNothing}
	}
	passed, action := w.first(w.tierRules(false, egress, subject, peer, receiver, protocol, port))
	if action != "" && action != "Pass" {
		return twinReason{allowed: action == "Accept", basis: ByAdmin, rules: []string{passed}}
	}
	out := twinReason{passed: passed}
	for i := range w.policies {
		p := &w.policies[i]
		if p.Namespace != subject.pod.Namespace || !twinMatches(&p.Spec.PodSelector, subject.pod.Labels) || !isAbout(p, egress) {
			continue
		}
		out.isolated = append(out.isolated, p.Namespace+"/"+p.Name)
		allows := func(index int, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
			peerOK := len(peers) == 0 || slices.ContainsFunc(peers, func(x networkingv1.NetworkPolicyPeer) bool { return w.isPeer(p.Namespace, x, peer) })
			portOK := len(ports) == 0 || slices.ContainsFunc(ports, func(x networkingv1.NetworkPolicyPort) bool { return isPort(x, receiver, protocol, port) })
			if peerOK && portOK {
				out.rules = append(out.rules, ruleName("NetworkPolicy", p.Namespace+"/"+p.Name, index))
			}
		}
		if egress {
			for n, r := range p.Spec.Egress {
				allows(n, r.To, r.Ports)
			}
		} else {
			for n, r := range p.Spec.Ingress {
				allows(n, r.From, r.Ports)
			}
		}
	}
	if len(out.isolated) > 0 {
		out.allowed, out.basis = len(out.rules) > 0, ByPolicies
		return out
	}
	rule, action := w.first(w.tierRules(true, egress, subject, peer, receiver, protocol, port))
	if action == "" {
		out.allowed, out.basis = true, ByDefault
		return out
	}
	out.allowed, out.basis, out.rules = action != "Deny", ByBaseline, []string{rule}
	return out
}

// isAbout says whether a policy isolates for a direction.
func isAbout(p *networkingv1.NetworkPolicy, egress bool) bool {
	if len(p.Spec.PolicyTypes) == 0 {
		return !egress || len(p.Spec.Egress) > 0
	}
	want := networkingv1.PolicyTypeIngress
	if egress {
		want = networkingv1.PolicyTypeEgress
	}
	return slices.Contains(p.Spec.PolicyTypes, want)
}

func (w *twin) isPeer(own string, p networkingv1.NetworkPolicyPeer, s twinSide) bool {
	if p.IPBlock != nil {
		return w.inBlock(p.IPBlock.CIDR, p.IPBlock.Except, s, w.profile.BlocksMatchPods, w.profile.BlocksMatchNodes)
	}
	if s.pod == nil || s.pod.Spec.HostNetwork && !(w.profile.SelectorsMatchHostPods && p.PodSelector != nil) {
		return false
	}
	if p.NamespaceSelector == nil && s.pod.Namespace != own {
		return false
	}
	return (p.NamespaceSelector == nil || twinMatches(p.NamespaceSelector, w.namespaces[s.pod.Namespace])) &&
		(p.PodSelector == nil || twinMatches(p.PodSelector, s.pod.Labels))
}

func (w *twin) inBlock(cidr string, except []string, s twinSide, pods, nodes bool) bool {
	in := func(a netip.Addr) bool {
		return netip.MustParsePrefix(cidr).Contains(a) &&
			!slices.ContainsFunc(except, func(e string) bool { return netip.MustParsePrefix(e).Contains(a) })
	}
	if s.pod == nil && !nodes && w.isNode(s.address) {
		return false
	}
	if s.pod != nil && (s.pod.Spec.HostNetwork && !nodes || !s.pod.Spec.HostNetwork && !pods) {
		return false
	}
	if at := w.addresses(s); len(at) > 0 {
		return slices.ContainsFunc(at, in)
	}
	// Its address is any private one: all of them have to be in the block.
	return !slices.ContainsFunc(w.private, func(a netip.Addr) bool { return !in(a) })
}

// isPort says whether an item of ports is about a port of who receives.
func isPort(p networkingv1.NetworkPolicyPort, receiver twinSide, protocol corev1.Protocol, port int32) bool {
	want := corev1.ProtocolTCP
	if p.Protocol != nil {
		want = *p.Protocol
	}
	switch {
	case want != protocol:
		return false
	case p.Port == nil:
		return true
	case p.Port.Type == intstr.String:
		return hasPort(receiver, p.Port.StrVal, protocol, port)
	case p.EndPort != nil:
		return p.Port.IntVal <= port && port <= *p.EndPort
	}
	return p.Port.IntVal == port
}

// hasPort says whether a pod gives a port this name: the first container that has the name
// for the protocol says so, sidecars last.
func hasPort(s twinSide, name string, protocol corev1.Protocol, port int32) bool {
	if s.pod == nil {
		return false
	}
	containers := slices.Clone(s.pod.Spec.Containers)
	for _, c := range s.pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			containers = append(containers, c)
		}
	}
	for _, c := range containers {
		for _, p := range c.Ports {
			if p.Name == name && cmp.Or(p.Protocol, corev1.ProtocolTCP) == protocol {
				return p.ContainerPort == port
			}
		}
	}
	return false
}

func twinMatches(s *metav1.LabelSelector, labels map[string]string) bool {
	for k, v := range s.MatchLabels {
		if has, ok := labels[k]; !ok || has != v {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		v, ok := labels[e.Key]
		listed := slices.Contains(e.Values, v)
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			if !ok || !listed {
				return false
			}
		case metav1.LabelSelectorOpNotIn:
			if ok && listed {
				return false
			}
		case metav1.LabelSelectorOpExists:
			if !ok {
				return false
			}
		case metav1.LabelSelectorOpDoesNotExist:
			if ok {
				return false
			}
		}
	}
	return true
}
