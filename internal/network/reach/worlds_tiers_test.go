package reach

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

const (
	newTierVersion = "policy.networking.k8s.io/v1alpha2"
	oldTierVersion = "policy.networking.k8s.io/v1alpha1"
)

// dealtTierPeer is one item of from or to, in the fields of both versions.
type dealtTierPeer struct {
	namespaces, nodes *metav1.LabelSelector
	pods              *namespacedSelectors
	networks          []string
	names             []string
}

// tierPeers never has networks, nodes or names for ingress, where the API has no such
// fields. Some peer is empty: what an unknown kind of peer looks like.
func (d *dealer) tierPeers(egress, accept, named bool) (out []dealtTierPeer) {
	for range 1 + d.IntN(3) {
		var p dealtTierPeer
		kinds := 6
		if egress && !named {
			kinds = 12
		}
		namespaces, nodes := d.ofNamespaces(), d.selector("role", "zone")
		switch n := d.IntN(kinds); {
		case n < 2:
			p.namespaces = &namespaces
		case n < 6 && d.chance(93):
			p.pods = &namespacedSelectors{d.ofNamespaces(), d.pods()}
		case n < 6: // nothing
		case n < 8:
			p.nodes = &nodes
		case n == 8 && accept:
			p.names = []string{"example.com", "*.example.org"}
		default:
			p.networks = []string{pick(d, dealtCIDRs[:5])}
			if other := pick(d, dealtCIDRs); d.chance(50) && !slices.Contains(p.networks, other) {
				p.networks = append(p.networks, other)
			}
		}
		out = append(out, p)
	}
	return out
}

func (d *dealer) subject() dealtTierPeer {
	if namespaces := d.ofNamespaces(); d.chance(50) {
		return dealtTierPeer{namespaces: &namespaces}
	}
	return dealtTierPeer{pods: &namespacedSelectors{d.ofNamespaces(), d.pods()}}
}

func cast[T, S ~string](of []S) (out []T) {
	for _, s := range of {
		out = append(out, T(s))
	}
	return out
}

func (d *dealer) protocols() (out []v1alpha2.ClusterNetworkPolicyProtocol, named bool) {
	for range d.IntN(3) {
		var p v1alpha2.ClusterNetworkPolicyProtocol
		port := &v1alpha2.Port{Number: pick(d, dealtPorts)}
		if other := pick(d, dealtPorts); other > port.Number && d.chance(50) {
			port = &v1alpha2.Port{Range: &v1alpha2.PortRange{Start: port.Number, End: other}}
		}
		switch d.IntN(5) {
		case 0:
			p.DestinationNamedPort, named = pick(d, dealtNames), true
		case 1:
			p.UDP = &v1alpha2.ClusterNetworkPolicyProtocolUDP{DestinationPort: port}
		case 2:
			p.SCTP = &v1alpha2.ClusterNetworkPolicyProtocolSCTP{DestinationPort: port}
		default:
			p.TCP = &v1alpha2.ClusterNetworkPolicyProtocolTCP{DestinationPort: port}
		}
		out = append(out, p)
	}
	return out, named
}

func (d *dealer) clusterPolicy(name string) {
	p := v1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Tier = pick(d, []v1alpha2.Tier{v1alpha2.AdminTier, v1alpha2.BaselineTier})
	p.Spec.Priority = int32(d.IntN(4))
	subject := d.subject()
	p.Spec.Subject = v1alpha2.ClusterNetworkPolicySubject{Namespaces: subject.namespaces, Pods: (*v1alpha2.NamespacedPod)(subject.pods)}
	actions := []v1alpha2.ClusterNetworkPolicyRuleAction{"Accept", "Deny", "Pass"}
	for range d.IntN(4) {
		r := v1alpha2.ClusterNetworkPolicyIngressRule{Action: pick(d, actions)}
		r.Protocols, _ = d.protocols()
		for _, peer := range d.tierPeers(false, false, false) {
			r.From = append(r.From, v1alpha2.ClusterNetworkPolicyIngressPeer{Namespaces: peer.namespaces, Pods: (*v1alpha2.NamespacedPod)(peer.pods)})
		}
		p.Spec.Ingress = append(p.Spec.Ingress, r)
	}
	for range d.IntN(4) {
		r := v1alpha2.ClusterNetworkPolicyEgressRule{Action: pick(d, actions)}
		var named bool
		r.Protocols, named = d.protocols()
		for _, peer := range d.tierPeers(true, r.Action == "Accept", named) {
			r.To = append(r.To, v1alpha2.ClusterNetworkPolicyEgressPeer{Namespaces: peer.namespaces, Pods: (*v1alpha2.NamespacedPod)(peer.pods),
				Nodes: peer.nodes, Networks: cast[v1alpha2.CIDR](peer.networks), DomainNames: cast[v1alpha2.DomainName](peer.names)})
		}
		p.Spec.Egress = append(p.Spec.Egress, r)
	}
	content := d.add(newTierVersion, "ClusterNetworkPolicy", &p)
	if d.chance(12) {
		spoilTier(d, content)
		d.refused = append(d.refused, name)
		return
	}
	d.w.tiers = append(d.w.tiers, p)
}

func (d *dealer) oldPorts() (out *[]v1alpha1.AdminNetworkPolicyPort, named bool) {
	var ports []v1alpha1.AdminNetworkPolicyPort
	for range d.IntN(3) {
		var p v1alpha1.AdminNetworkPolicyPort
		from, to := pick(d, dealtPorts), pick(d, dealtPorts)
		protocol := pick(d, append(protocolNames, ""))
		switch d.IntN(3) {
		case 0:
			name := pick(d, dealtNames)
			p.NamedPort, named = &name, true
		case 1:
			p.PortNumber = &v1alpha1.Port{Protocol: cmp.Or(protocol, corev1.ProtocolTCP), Port: from}
		default:
			p.PortRange = &v1alpha1.PortRange{Protocol: protocol, Start: min(from, to), End: max(from, to)}
		}
		ports = append(ports, p)
	}
	if len(ports) == 0 {
		return nil, false
	}
	return &ports, named
}

func (d *dealer) adminPolicy(name string) {
	p := v1alpha1.AdminNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Priority = int32(d.IntN(4))
	subject := d.subject()
	p.Spec.Subject = v1alpha1.AdminNetworkPolicySubject{Namespaces: subject.namespaces, Pods: (*v1alpha1.NamespacedPod)(subject.pods)}
	actions := []v1alpha1.AdminNetworkPolicyRuleAction{"Allow", "Deny", "Pass"}
	for range d.IntN(3) {
		r := v1alpha1.AdminNetworkPolicyIngressRule{Action: pick(d, actions)}
		r.Ports, _ = d.oldPorts()
		for _, peer := range d.tierPeers(false, false, false) {
			r.From = append(r.From, v1alpha1.AdminNetworkPolicyIngressPeer{Namespaces: peer.namespaces, Pods: (*v1alpha1.NamespacedPod)(peer.pods)})
		}
		p.Spec.Ingress = append(p.Spec.Ingress, r)
	}
	for range d.IntN(3) {
		r := v1alpha1.AdminNetworkPolicyEgressRule{Action: pick(d, actions)}
		var named bool
		r.Ports, named = d.oldPorts()
		for _, peer := range d.tierPeers(true, r.Action == "Allow", named) {
			r.To = append(r.To, v1alpha1.AdminNetworkPolicyEgressPeer{Namespaces: peer.namespaces, Pods: (*v1alpha1.NamespacedPod)(peer.pods),
				Nodes: peer.nodes, Networks: cast[v1alpha1.CIDR](peer.networks), DomainNames: cast[v1alpha1.DomainName](peer.names)})
		}
		p.Spec.Egress = append(p.Spec.Egress, r)
	}
	content := d.add(oldTierVersion, "AdminNetworkPolicy", &p)
	if d.chance(12) {
		spoilTier(d, content)
		d.refused = append(d.refused, name)
		return
	}
	d.w.admin = append(d.w.admin, p)
}

func (d *dealer) baselinePolicy() {
	p := v1alpha1.BaselineAdminNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	subject := d.subject()
	p.Spec.Subject = v1alpha1.AdminNetworkPolicySubject{Namespaces: subject.namespaces, Pods: (*v1alpha1.NamespacedPod)(subject.pods)}
	actions := []v1alpha1.BaselineAdminNetworkPolicyRuleAction{"Allow", "Deny"}
	for range d.IntN(3) {
		r := v1alpha1.BaselineAdminNetworkPolicyIngressRule{Action: pick(d, actions)}
		r.Ports, _ = d.oldPorts()
		for _, peer := range d.tierPeers(false, false, false) {
			r.From = append(r.From, v1alpha1.AdminNetworkPolicyIngressPeer{Namespaces: peer.namespaces, Pods: (*v1alpha1.NamespacedPod)(peer.pods)})
		}
		p.Spec.Ingress = append(p.Spec.Ingress, r)
	}
	for range d.IntN(3) {
		r := v1alpha1.BaselineAdminNetworkPolicyEgressRule{Action: pick(d, actions)}
		var named bool
		r.Ports, named = d.oldPorts()
		for _, peer := range d.tierPeers(true, false, named) {
			r.To = append(r.To, v1alpha1.BaselineAdminNetworkPolicyEgressPeer{Namespaces: peer.namespaces, Pods: (*v1alpha1.NamespacedPod)(peer.pods),
				Nodes: peer.nodes, Networks: cast[v1alpha1.CIDR](peer.networks)})
		}
		p.Spec.Egress = append(p.Spec.Egress, r)
	}
	d.add(oldTierVersion, "BaselineAdminNetworkPolicy", &p)
	d.w.baseline = append(d.w.baseline, p)
}
