package reach

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"

	"bulkhead.dev/bulkhead/internal/model"
)

// Direction is one of the two ways that traffic has for a pod.
type Direction uint8

// The directions of a policy.
const (
	Ingress Direction = iota
	Egress

	directions
)

func (d Direction) String() string { return [...]string{"ingress", "egress"}[d] }

// peersField is what a rule of the direction calls the other side.
func (d Direction) peersField() string { return [...]string{"from", "to"}[d] }

// Policy is a NetworkPolicy.
type Policy struct {
	Object    *model.Object
	Namespace string
	Name      string
	Subject   labels.Selector
	// Isolates says for which directions the pods that it selects have no more than what
	// some policy allows.
	Isolates [directions]bool
	// Rules allow; a direction that is not isolated has none.
	Rules [directions][]*Rule
}

// Rule is one item of ingress or egress.
type Rule struct {
	// Index is its place in the list.
	Index int
	// Action is Accept but for policies of a tier.
	Action Action
	// AllPeers says that the rule is about everybody, and AllPorts about all ports.
	AllPeers, AllPorts bool
	Peers              []Peer
	Ports              []PortRule
}

// Action is what a rule says to what it is about.
type Action uint8

// The actions of a rule. Pass ends the tier.
const (
	Accept Action = iota
	Deny
	Pass
)

func (a Action) String() string { return [...]string{"Accept", "Deny", "Pass"}[a] }

// Peer is one item of from or to: pods, or addresses.
type Peer struct {
	// Index is its place in the list.
	Index int
	// Namespaces and Pods select pods; without Namespaces those of the policy's own
	// namespace. Pods is nil where the peer is not about pods.
	Namespaces, Pods labels.Selector
	// Labelled says that podSelector is written, if only to choose all.
	Labelled bool
	// Tier says that it is one of a tier, which does not depend on the network plugin.
	Tier bool
	// Nodes selects nodes.
	Nodes labels.Selector
	// Block are addresses, but for Except.
	Block  netip.Prefix
	Except []netip.Prefix
	// Names are domain names.
	Names []string
	// chosen tells what Namespaces and Pods select apart from what others do; empty where
	// nobody noted it.
	chosen string
}

// PortRule is one item of ports: a range of numbers of a protocol, or a name that each
// pod resolves for itself.
type PortRule struct {
	Protocol Protocol
	// AnyProtocol says that a name stands for whatever protocol a pod has it for.
	AnyProtocol bool
	From, To    uint16
	Name        string
}

var networkPolicyKind = model.GroupKind{Group: "networking.k8s.io", Kind: "NetworkPolicy"}

// readPolicy reads a NetworkPolicy. One that the API server would refuse is a problem and
// no policy.
func (c *Cluster) readPolicy(o *model.Object) []*Policy {
	var content networkingv1.NetworkPolicy
	if err := model.Decode(o.Content, &content); err != nil {
		c.refuse(o, nil, err)
		return nil
	}
	p, path, err := newPolicy(&content)
	if err != nil {
		c.refuse(o, path, err)
		return nil
	}
	p.Object = o
	p.Namespace, p.Name = o.Namespace, o.Name
	return []*Policy{p}
}

func (c *Cluster) refuse(o *model.Object, path model.Path, err error) {
	reason := "the API server would refuse it"
	if errors.As(err, new(undefinedError)) {
		reason = "it is not valid, and what a network plugin makes of it is not defined"
		c.Unknown = append(c.Unknown, o)
	}
	c.Problems = append(c.Problems, Problem{o.Ref(), o.Locate(path), fmt.Sprintf("%s: %v", reason, err)})
}

// undefinedError is a fault of a policy of a tier that its definition does not refuse.
type undefinedError struct{ error }

// newPolicy reads the spec. The path says where an error is.
func newPolicy(content *networkingv1.NetworkPolicy) (*Policy, model.Path, error) {
	s := &content.Spec
	p := &Policy{Namespace: content.Namespace, Name: content.Name}
	path := model.Path{}.Keys("spec")
	var err error
	if p.Subject, err = metav1.LabelSelectorAsSelector(&s.PodSelector); err != nil {
		return nil, path.Keys("podSelector"), err
	}
	if len(s.PolicyTypes) > int(directions) {
		return nil, path.Keys("policyTypes"), errors.New("policyTypes has more than two items")
	}
	for _, t := range s.PolicyTypes {
		if t != networkingv1.PolicyTypeIngress && t != networkingv1.PolicyTypeEgress {
			return nil, path.Keys("policyTypes"), fmt.Errorf("policy type %q is neither Ingress nor Egress", t)
		}
	}
	// Where policyTypes is absent, a policy is about ingress, and about egress if it has
	// egress rules.
	p.Isolates[Ingress] = len(s.PolicyTypes) == 0 || slices.Contains(s.PolicyTypes, networkingv1.PolicyTypeIngress)
	p.Isolates[Egress] = len(s.PolicyTypes) == 0 && len(s.Egress) > 0 || slices.Contains(s.PolicyTypes, networkingv1.PolicyTypeEgress)
	add := func(d Direction, i int, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) (model.Path, error) {
		at := path.Keys(d.String()).Append(model.Index(i))
		r := &Rule{Index: i, AllPeers: len(peers) == 0, AllPorts: len(ports) == 0}
		for n, peer := range peers {
			read, err := newPeer(n, &peer)
			if err != nil {
				return at.Keys(d.peersField()).Append(model.Index(n)), err
			}
			r.Peers = append(r.Peers, read)
		}
		for n, port := range ports {
			read, err := newPortRule(&port)
			if err != nil {
				return at.Keys("ports").Append(model.Index(n)), err
			}
			r.Ports = append(r.Ports, read)
		}
		if p.Isolates[d] {
			p.Rules[d] = append(p.Rules[d], r)
		}
		return nil, nil
	}
	for i, r := range s.Ingress {
		if at, err := add(Ingress, i, r.From, r.Ports); err != nil {
			return nil, at, err
		}
	}
	for i, r := range s.Egress {
		if at, err := add(Egress, i, r.To, r.Ports); err != nil {
			return nil, at, err
		}
	}
	return p, nil, nil
}

func newPeer(i int, peer *networkingv1.NetworkPolicyPeer) (Peer, error) {
	out := Peer{Index: i}
	var err error
	if peer.IPBlock != nil {
		if peer.PodSelector != nil || peer.NamespaceSelector != nil {
			return out, errors.New("ipBlock stands beside a selector; make two items of them")
		}
		out.Block, out.Except, err = newBlock(peer.IPBlock.CIDR, peer.IPBlock.Except)
		return out, err
	}
	if peer.PodSelector == nil && peer.NamespaceSelector == nil {
		return out, errors.New("a peer needs podSelector, namespaceSelector or ipBlock")
	}
	out.Pods = labels.Everything()
	if peer.PodSelector != nil {
		out.Labelled = true
		if out.Pods, err = metav1.LabelSelectorAsSelector(peer.PodSelector); err != nil {
			return out, err
		}
	}
	if peer.NamespaceSelector != nil {
		out.Namespaces, err = metav1.LabelSelectorAsSelector(peer.NamespaceSelector)
	}
	out.chosen = selectionOf(out.Namespaces, out.Pods)
	return out, err
}

// selectionOf is the same for selectors that choose the same.
func selectionOf(namespaces, pods labels.Selector) string {
	if namespaces == nil {
		return "own\x00" + pods.String()
	}
	return namespaces.String() + "\x00" + pods.String()
}

func newBlock(cidr string, except []string) (netip.Prefix, []netip.Prefix, error) {
	block, err := parseCIDR(cidr)
	if err != nil {
		return block, nil, err
	}
	var out []netip.Prefix
	for _, e := range except {
		p, err := parseCIDR(e)
		if err != nil {
			return block, nil, err
		}
		if p.Addr().Is4() != block.Addr().Is4() || p.Bits() <= block.Bits() || !block.Contains(p.Addr()) {
			return block, nil, fmt.Errorf("except %s is no part of %s", e, cidr)
		}
		out = append(out, p)
	}
	return block, out, nil
}

// parseCIDR reads a block as all API servers do that ever took one: with leading zeros too,
// with bits of the host, which do not count, and IPv4 in the form of IPv6. Newer ones (1.37)
// take none of these from who writes a policy, and leave those that are there.
func parseCIDR(text string) (netip.Prefix, error) {
	bad := fmt.Errorf("%q is no CIDR: write 10.0.0.0/8 or fd00::/8", text)
	_, parsed, err := netutils.ParseCIDRSloppy(text)
	if err != nil {
		return netip.Prefix{}, bad
	}
	ones, bits := parsed.Mask.Size()
	a, ok := netip.AddrFromSlice(parsed.IP)
	if !ok {
		return netip.Prefix{}, bad
	}
	if a.Is4In6() {
		a, ones = a.Unmap(), ones-(bits-32)
	}
	if ones < 0 {
		return netip.Prefix{}, bad
	}
	return netip.PrefixFrom(a, ones).Masked(), nil
}

func newPortRule(port *networkingv1.NetworkPolicyPort) (PortRule, error) {
	out := PortRule{From: 1, To: lastPort}
	var err error
	if port.Protocol != nil {
		if *port.Protocol == "" {
			return out, errors.New("protocol is empty; leave it out for TCP")
		}
		if out.Protocol, err = ParseProtocol(*port.Protocol); err != nil {
			return out, err
		}
	}
	switch {
	case port.Port == nil && port.EndPort != nil:
		return out, errors.New("endPort needs port")
	case port.Port == nil:
		return out, nil
	case port.Port.Type == intstr.String:
		if port.EndPort != nil {
			return out, errors.New("endPort cannot stand beside a named port")
		}
		if wrong := validation.IsValidPortName(port.Port.StrVal); len(wrong) > 0 {
			return out, fmt.Errorf("port %q is no name of a port: it %s", port.Port.StrVal, wrong[0])
		}
		out.Name = port.Port.StrVal
		return out, nil
	}
	if n := port.Port.IntVal; n < 1 || n > lastPort {
		return out, fmt.Errorf("port %d is not between 1 and 65535", n)
	}
	out.From, out.To = uint16(port.Port.IntVal), uint16(port.Port.IntVal)
	if port.EndPort != nil {
		if *port.EndPort < port.Port.IntVal || *port.EndPort > lastPort {
			return out, fmt.Errorf("endPort %d is not between port %d and 65535", *port.EndPort, port.Port.IntVal)
		}
		out.To = uint16(*port.EndPort)
	}
	return out, nil
}
