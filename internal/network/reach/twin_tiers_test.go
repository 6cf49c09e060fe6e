package reach

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// first is the first rule that is about some traffic, and its action. A rule with a peer
// that is not understood accepts nothing, or denies everything.
func (w *twin) first(rules []twinRule) (name, action string) {
	yes := func(f func() bool) bool { return f() }
	for _, r := range rules {
		switch {
		case r.closed && r.action == "Accept":
		case r.closed:
			return r.name, "Deny"
		case slices.ContainsFunc(r.peers, yes) && (len(r.ports) == 0 || slices.ContainsFunc(r.ports, yes)):
			return r.name, r.action
		}
	}
	return "", ""
}

// tierRules are the rules of a tier that are about a pod, in order.
func (w *twin) tierRules(baseline, egress bool, subject, peer, receiver twinSide, protocol corev1.Protocol, port int32) []twinRule {
	type policy struct {
		priority int32
		name     string
		rules    []twinRule
	}
	var all []policy
	e := tierEvaluator{w, peer, receiver, protocol, port}
	for _, p := range w.tiers {
		if (p.Spec.Tier == v1alpha2.BaselineTier) != baseline || !w.subject(p.Spec.Subject.Namespaces, (*namespacedSelectors)(p.Spec.Subject.Pods), subject) {
			continue
		}
		all = append(all, policy{p.Spec.Priority, p.Name, e.cluster(&p, egress)})
	}
	if baseline {
		for _, p := range w.baseline {
			if w.subject(p.Spec.Subject.Namespaces, oldSelectors(p.Spec.Subject.Pods), subject) {
				all = append(all, policy{0, p.Name, e.oldBaseline(&p, egress)})
			}
		}
	} else {
		for _, p := range w.admin {
			if w.subject(p.Spec.Subject.Namespaces, oldSelectors(p.Spec.Subject.Pods), subject) {
				all = append(all, policy{p.Spec.Priority, p.Name, e.oldAdmin(&p, egress)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b policy) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), strings.Compare(a.name, b.name))
	})
	var out []twinRule
	for _, p := range all {
		out = append(out, p.rules...)
	}
	return out
}

type namespacedSelectors v1alpha2.NamespacedPod

func oldSelectors(p *v1alpha1.NamespacedPod) *namespacedSelectors {
	if p == nil {
		return nil
	}
	return &namespacedSelectors{p.NamespaceSelector, p.PodSelector}
}

func (w *twin) subject(namespaces *metav1.LabelSelector, pods *namespacedSelectors, s twinSide) bool {
	if s.pod.Spec.HostNetwork {
		return false
	}
	labels := w.namespaces[s.pod.Namespace]
	if namespaces != nil {
		return twinMatches(namespaces, labels)
	}
	return twinMatches(&pods.NamespaceSelector, labels) && twinMatches(&pods.PodSelector, s.pod.Labels)
}

// tierEvaluator asks about one connection.
type tierEvaluator struct {
	*twin
	peer, receiver twinSide
	protocol       corev1.Protocol
	port           int32
}

// peers are the tests of one item; none is an item that is not understood.
func (e tierEvaluator) peers(namespaces *metav1.LabelSelector, pods *namespacedSelectors, nodes *metav1.LabelSelector, networks []string, names int) []func() bool {
	var out []func() bool
	switch {
	case namespaces != nil || pods != nil:
		out = append(out, func() bool { return e.peer.pod != nil && e.subject(namespaces, pods, e.peer) })
	case nodes != nil:
		out = append(out, func() bool { return e.isNodePeer(nodes) })
	case len(networks) > 0:
		for _, n := range networks {
			out = append(out, func() bool { return e.inBlock(n, nil, e.peer, true, true) })
		}
	case names > 0:
		// What names stand for is not known; they are no answer here.
		out = append(out, func() bool { return false })
	}
	return out
}

func (e tierEvaluator) isNodePeer(s *metav1.LabelSelector) bool {
	at := e.addresses(e.peer)
	all := true
	for _, n := range e.nodes {
		if !twinMatches(s, n.Labels) {
			all = false
			continue
		}
		for _, a := range nodeAddresses(n) {
			if slices.Contains(at, a) {
				return true
			}
		}
	}
	empty := len(s.MatchLabels)+len(s.MatchExpressions) == 0
	return e.peer.pod != nil && e.peer.pod.Spec.HostNetwork && len(at) == 0 && all && (empty || len(e.nodes) > 0)
}

func (r *twinRule) add(peers []func() bool) {
	r.closed = r.closed || len(peers) == 0
	r.peers = append(r.peers, peers...)
}

func (e tierEvaluator) cluster(p *v1alpha2.ClusterNetworkPolicy, egress bool) (out []twinRule) {
	if egress {
		for i, r := range p.Spec.Egress {
			rule := twinRule{name: ruleName("ClusterNetworkPolicy", p.Name, i), action: string(r.Action), ports: e.protocols(r.Protocols)}
			for _, to := range r.To {
				rule.add(e.peers(to.Namespaces, (*namespacedSelectors)(to.Pods), to.Nodes, texts(to.Networks), len(to.DomainNames)))
			}
			out = append(out, rule)
		}
		return out
	}
	for i, r := range p.Spec.Ingress {
		rule := twinRule{name: ruleName("ClusterNetworkPolicy", p.Name, i), action: string(r.Action), ports: e.protocols(r.Protocols)}
		for _, from := range r.From {
			rule.add(e.peers(from.Namespaces, (*namespacedSelectors)(from.Pods), nil, nil, 0))
		}
		out = append(out, rule)
	}
	return out
}

func texts[T ~string](of []T) (out []string) {
	for _, t := range of {
		out = append(out, string(t))
	}
	return out
}

func (e tierEvaluator) protocols(of []v1alpha2.ClusterNetworkPolicyProtocol) (out []func() bool) {
	for _, p := range of {
		var of corev1.Protocol
		var port *v1alpha2.Port
		switch {
		case p.DestinationNamedPort != "":
			out = append(out, func() bool { return hasPort(e.receiver, p.DestinationNamedPort, e.protocol, e.port) })
			continue
		case p.TCP != nil:
			of, port = corev1.ProtocolTCP, p.TCP.DestinationPort
		case p.UDP != nil:
			of, port = corev1.ProtocolUDP, p.UDP.DestinationPort
		default:
			of, port = corev1.ProtocolSCTP, p.SCTP.DestinationPort
		}
		out = append(out, func() bool {
			return of == e.protocol && (port == nil || port.Number == e.port || port.Range != nil && port.Range.Start <= e.port && e.port <= port.Range.End)
		})
	}
	return out
}

func (e tierEvaluator) oldPorts(of *[]v1alpha1.AdminNetworkPolicyPort) (out []func() bool) {
	if of == nil {
		return nil
	}
	for _, p := range *of {
		out = append(out, func() bool {
			switch {
			case p.NamedPort != nil:
				return hasPort(e.receiver, *p.NamedPort, e.protocol, e.port)
			case p.PortNumber != nil:
				return cmp.Or(p.PortNumber.Protocol, corev1.ProtocolTCP) == e.protocol && p.PortNumber.Port == e.port
			}
			return cmp.Or(p.PortRange.Protocol, corev1.ProtocolTCP) == e.protocol && p.PortRange.Start <= e.port && e.port <= p.PortRange.End
		})
	}
	return out
}

// oldAction says Accept as v1alpha2 does.
func oldAction[T ~string](a T) string {
	if a == "Allow" {
		return "Accept"
	}
	return string(a)
}

func (e tierEvaluator) oldAdmin(p *v1alpha1.AdminNetworkPolicy, egress bool) (out []twinRule) {
	if egress {
		for i, r := range p.Spec.Egress {
			rule := twinRule{name: ruleName("AdminNetworkPolicy", p.Name, i), action: oldAction(r.Action), ports: e.oldPorts(r.Ports)}
			for _, to := range r.To {
				rule.add(e.peers(to.Namespaces, oldSelectors(to.Pods), to.Nodes, texts(to.Networks), len(to.DomainNames)))
			}
			out = append(out, rule)
		}
		return out
	}
	for i, r := range p.Spec.Ingress {
		rule := twinRule{name: ruleName("AdminNetworkPolicy", p.Name, i), action: oldAction(r.Action), ports: e.oldPorts(r.Ports)}
		for _, from := range r.From {
			rule.add(e.peers(from.Namespaces, oldSelectors(from.Pods), nil, nil, 0))
		}
		out = append(out, rule)
	}
	return out
}

func (e tierEvaluator) oldBaseline(p *v1alpha1.BaselineAdminNetworkPolicy, egress bool) (out []twinRule) {
	if egress {
		for i, r := range p.Spec.Egress {
			rule := twinRule{name: ruleName("BaselineAdminNetworkPolicy", p.Name, i), action: oldAction(r.Action), ports: e.oldPorts(r.Ports)}
			for _, to := range r.To {
				rule.add(e.peers(to.Namespaces, oldSelectors(to.Pods), to.Nodes, texts(to.Networks), 0))
			}
			out = append(out, rule)
		}
		return out
	}
	for i, r := range p.Spec.Ingress {
		rule := twinRule{name: ruleName("BaselineAdminNetworkPolicy", p.Name, i), action: oldAction(r.Action), ports: e.oldPorts(r.Ports)}
		for _, from := range r.From {
			rule.add(e.peers(from.Namespaces, oldSelectors(from.Pods), nil, nil, 0))
		}
		out = append(out, rule)
	}
	return out
}
