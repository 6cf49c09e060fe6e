package entry

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

// everywhere are all addresses, and private those that are not on the internet.
var (
	everywhere = blocks("0.0.0.0/0", "::/0")
	private    = blocks("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)

func blocks(texts ...string) (out []netip.Prefix) {
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// internal are annotations that keep a load balancer off the internet: of AWS, Google,
// Azure and others, as their cloud providers document them.
var internal = map[string][]string{
	"service.beta.kubernetes.io/aws-load-balancer-scheme":                {"internal"},
	"service.beta.kubernetes.io/aws-load-balancer-internal":              {"true", "0.0.0.0/0"},
	"networking.gke.io/load-balancer-type":                               {"internal"},
	"cloud.google.com/load-balancer-type":                                {"internal"},
	"service.beta.kubernetes.io/azure-load-balancer-internal":            {"true"},
	"service.beta.kubernetes.io/openstack-internal-load-balancer":        {"true"},
	"service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type": {"intranet"},
	"service.beta.kubernetes.io/oci-load-balancer-internal":              {"true"},
	"oci-network-load-balancer.oraclecloud.com/internal":                 {"true"},
	"service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type":     {"private"},
	"service.kubernetes.io/qcloud-loadbalancer-internal-subnetid":        nil,
	"service.beta.kubernetes.io/do-loadbalancer-network":                 {"internal"},
	"load-balancer.hetzner.cloud/disable-public-network":                 {"true"},
	"service.beta.kubernetes.io/scw-loadbalancer-private":                {"true"},
}

// isInternal reports whether annotations, and the class of a load balancer, ask for one
// with a private address. AWS' own controller makes such unless it is told otherwise.
func isInternal(annotations map[string]string, class string) bool {
	for key, values := range internal {
		if text := annotations[key]; text != "" && (len(values) == 0 || slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, text) })) {
			return true
		}
	}
	own := class == "service.k8s.aws/nlb" || slices.Contains([]string{"external", "nlb-ip"}, annotations["service.beta.kubernetes.io/aws-load-balancer-type"])
	return own && annotations["service.beta.kubernetes.io/aws-load-balancer-scheme"] == ""
}

// sourceRanges are the blocks that a load balancer takes traffic from; empty for all.
func sourceRanges(o *model.Object) (out []netip.Prefix) {
	texts := model.Strings(o.Get("spec", "loadBalancerSourceRanges"))
	if len(texts) == 0 { // as it was written before there was a field
		texts = strings.Split(o.Annotations()[corev1.AnnotationLoadBalancerSourceRangesKey], ",")
	}
	for _, text := range texts {
		if p, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

// balancerExposure says from where a Service of type LoadBalancer is reached. What a cluster
// says that the address is counts more than what was asked for.
func balancerExposure(o *model.Object) (Exposure, []netip.Prefix) {
	sources := sourceRanges(o)
	closed := isInternal(o.Annotations(), o.Text("spec", "loadBalancerClass"))
	if given := o.List("status", "loadBalancer", "ingress"); len(given) > 0 && !closed {
		closed = !slices.ContainsFunc(given, func(item any) bool {
			a, err := netip.ParseAddr(textOf(item, "ip"))
			return err != nil || !isPrivate(a)
		})
	}
	switch {
	case len(sources) > 0 && !slices.ContainsFunc(sources, func(p netip.Prefix) bool { return p.Bits() == 0 }):
		return Addresses, sources
	case closed:
		return Addresses, private
	}
	return Internet, everywhere
}

func isPrivate(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsLinkLocalUnicast() || slices.ContainsFunc(private, func(p netip.Prefix) bool { return p.Contains(a) })
}

// services makes entries of Services.
func (r *reader) services() {
	r.Dangling = append(r.Dangling, r.Services.dangling...)
	for _, s := range r.Services.All() {
		switch s.Type {
		case externalName: // a name, which leads out of the cluster
			continue
		case string(corev1.ServiceTypeLoadBalancer):
			exposure, sources := balancerExposure(s.Object)
			r.service(s, s.Type, exposure, sources, func(p *ServicePort) uint16 { return p.Port })
			if allocates, set := s.Object.Get("spec", "allocateLoadBalancerNodePorts").(bool); allocates || !set || hasNodePort(s) {
				r.service(s, string(corev1.ServiceTypeNodePort), Node, everywhere, func(p *ServicePort) uint16 { return p.NodePort })
			}
		case string(corev1.ServiceTypeNodePort):
			r.service(s, s.Type, Node, everywhere, func(p *ServicePort) uint16 { return p.NodePort })
		}
		r.external(s)
		r.service(s, string(corev1.ServiceTypeClusterIP), Cluster, nil, func(p *ServicePort) uint16 { return p.Port })
	}
}

func hasNodePort(s *Service) bool {
	return slices.ContainsFunc(s.Ports, func(p ServicePort) bool { return p.NodePort != 0 })
}

func (r *reader) lost(o *model.Object, sure bool, at model.Path, format string, a ...any) {
	r.Dangling = append(r.Dangling, Dangling{o, at, fmt.Sprintf(format, a...), sure})
}

// external makes entries of addresses that a Service claims, and that nodes take traffic
// for.
func (r *reader) external(s *Service) {
	var public, other []netip.Prefix
	for _, text := range model.Strings(s.Object.Get("spec", "externalIPs")) {
		a, err := netip.ParseAddr(text)
		switch {
		case err != nil:
			r.lost(s.Object, true, specPath("externalIPs"), "%q of externalIPs is no address", text)
		case isPrivate(a):
			other = append(other, netip.PrefixFrom(a, a.BitLen()))
		default:
			public = append(public, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	port := func(p *ServicePort) uint16 { return p.Port }
	if len(public) > 0 {
		r.service(s, ExternalIPs, Internet, everywhere, port)
	}
	if len(other) > 0 {
		r.service(s, ExternalIPs, Addresses, private, port)
	}
}

// service makes an entry of each port of a Service.
func (r *reader) service(s *Service, kind string, exposure Exposure, sources []netip.Prefix, port func(*ServicePort) uint16) {
	local := exposure == Cluster || s.Object.Text("spec", "externalTrafficPolicy") == string(corev1.ServiceExternalTrafficPolicyLocal)
	for i := range s.Ports {
		p := &s.Ports[i]
		e := Entry{Kind: "Service", Namespace: s.Namespace, Name: s.Name, Type: kind, Object: s.Object, Exposure: exposure, Sources: sources,
			At: specPath("ports").Append(model.Index(p.Index)), Protocol: p.Protocol, Port: port(p), Doubts: s.Doubts}
		if kind == string(corev1.ServiceTypeNodePort) && e.Port == 0 {
			e.Doubts = append(slices.Clip(e.Doubts), "the port of the nodes is not written, and is given when the Service is created")
		}
		if kind == string(corev1.ServiceTypeNodePort) {
			e.Exposure, e.Doubts = r.nodeExposure(e.Doubts)
		}
		way := way{sources: sources, rewritten: !local}
		for _, t := range p.Targets {
			e.Backends = append(e.Backends, r.judge.target(s, t, way)...)
		}
		r.Entries = append(r.Entries, e)
	}
}

// nodeExposure says from where nodes are reached: from the internet if one has an address
// there.
func (r *reader) nodeExposure(doubts []string) (Exposure, []string) {
	for _, n := range r.cluster.Nodes {
		for _, a := range n.Addresses {
			if !isPrivate(a) {
				return Internet, append(slices.Clip(doubts), fmt.Sprintf("node %s has the address %s; whether a firewall is before it is not known", n.Name, a))
			}
		}
	}
	return Node, doubts
}

// PrivateAddresses are those of Entry.Sources where an entry is not for the internet.
func PrivateAddresses() []netip.Prefix { return slices.Clone(private) }
