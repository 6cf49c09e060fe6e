package reach

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"bulkhead.dev/bulkhead/internal/model"
)

// TierPolicy is a policy over namespaces: a ClusterNetworkPolicy (v1alpha2), or an
// AdminNetworkPolicy or BaselineAdminNetworkPolicy (v1alpha1). Its rules are asked in
// order, and the first that is about some traffic decides.
type TierPolicy struct {
	Object   *model.Object
	Name     string
	Priority int32
	// Namespaces and Pods select whom it is about.
	Namespaces, Pods labels.Selector
	Rules            [directions][]*Rule
}

const tierGroup = "policy.networking.k8s.io"

var (
	clusterPolicyKind  = model.GroupKind{Group: tierGroup, Kind: "ClusterNetworkPolicy"}
	adminPolicyKind    = model.GroupKind{Group: tierGroup, Kind: "AdminNetworkPolicy"}
	baselinePolicyKind = model.GroupKind{Group: tierGroup, Kind: "BaselineAdminNetworkPolicy"}
)

// readTiers reads the policies of both tiers, in the order in which they are asked. Of
// the same priority the order is not defined: theirs is that of their names.
func (c *Cluster) readTiers(w *model.World) {
	for _, gk := range []model.GroupKind{clusterPolicyKind, adminPolicyKind, baselinePolicyKind} {
		for _, o := range c.latest(w.Kind(gk)) {
			p, baseline, path, err := newTierPolicy(o)
			if err != nil {
				c.refuse(o, path, err)
				continue
			}
			p.Object, p.Name = o, o.Name
			if baseline {
				c.Baseline = append(c.Baseline, p)
			} else {
				c.Admin = append(c.Admin, p)
			}
		}
	}
	for _, tier := range [][]*TierPolicy{c.Admin, c.Baseline} {
		slices.SortStableFunc(tier, compareTiers)
	}
}

// compareTiers is the order in which policies of a tier are asked.
func compareTiers(a, b *TierPolicy) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), strings.Compare(a.Name, b.Name))
}

// newTierPolicy reads the policy of an object, and of which tier it is.
func newTierPolicy(o *model.Object) (p *TierPolicy, baseline bool, at model.Path, err error) {
	spec := model.Path{}.Keys("spec")
	switch o.Kind {
	case clusterPolicyKind.Kind:
		var content v1alpha2.ClusterNetworkPolicy
		if err := model.Decode(o.Content, &content); err != nil {
			return nil, false, nil, err
		}
		s := &content.Spec
		switch s.Tier {
		case v1alpha2.AdminTier, v1alpha2.BaselineTier:
		default:
			return nil, false, spec.Keys("tier"), fmt.Errorf("tier %q is neither Admin nor Baseline", s.Tier)
		}
		p, err = newSubject(s.Subject.Namespaces, (*namespacedPod)(s.Subject.Pods))
		if err != nil {
			return nil, false, spec.Keys("subject"), err
		}
		if p.Priority, err = parsePriority(s.Priority); err != nil {
			return nil, false, spec.Keys("priority"), err
		}
		at, err = p.readClusterRules(s)
		return p, s.Tier == v1alpha2.BaselineTier, at, err
	case adminPolicyKind.Kind:
		var content v1alpha1.AdminNetworkPolicy
		if err := model.Decode(o.Content, &content); err != nil {
			return nil, false, nil, err
		}
		p, err = newSubject(content.Spec.Subject.Namespaces, oldPods(content.Spec.Subject.Pods))
		if err != nil {
			return nil, false, spec.Keys("subject"), err
		}
		if p.Priority, err = parsePriority(content.Spec.Priority); err != nil {
			return nil, false, spec.Keys("priority"), err
		}
	default:
		var content v1alpha1.BaselineAdminNetworkPolicy
		if err := model.Decode(o.Content, &content); err != nil {
			return nil, true, nil, err
		}
		if o.Name != "default" {
			return nil, true, model.Path{}.Keys("metadata", "name"), errors.New("a BaselineAdminNetworkPolicy is named default")
		}
		p, err = newSubject(content.Spec.Subject.Namespaces, oldPods(content.Spec.Subject.Pods))
		if err != nil {
			return nil, true, spec.Keys("subject"), err
		}
	}
	at, err = p.readOldRules(o)
	return p, o.Kind == baselinePolicyKind.Kind, at, err
}

func parsePriority(n int32) (int32, error) {
	if n < 0 || n > 1000 {
		return 0, fmt.Errorf("priority %d is not between 0 and 1000", n)
	}
	return n, nil
}

// namespacedPod selects pods of namespaces, in either version of the API.
type namespacedPod v1alpha2.NamespacedPod

func oldPods(p *v1alpha1.NamespacedPod) *namespacedPod {
	if p == nil {
		return nil
	}
	return &namespacedPod{NamespaceSelector: p.NamespaceSelector, PodSelector: p.PodSelector}
}

func newSubject(namespaces *metav1.LabelSelector, pods *namespacedPod) (*TierPolicy, error) {
	peer, ok, err := newTierPods(namespaces, pods)
	if err == nil && !ok {
		err = errors.New("a subject needs namespaces or pods")
	}
	if err != nil {
		return nil, err
	}
	return &TierPolicy{Namespaces: peer.Namespaces, Pods: peer.Pods}, nil
}

// newTierPods reads a choice of pods; ok is false where there is none.
func newTierPods(namespaces *metav1.LabelSelector, pods *namespacedPod) (p Peer, ok bool, err error) {
	switch {
	case namespaces != nil && pods != nil:
		return p, false, errors.New("namespaces stands beside pods; make two items of them")
	case namespaces != nil:
		p.Pods = labels.Everything()
		p.Namespaces, err = metav1.LabelSelectorAsSelector(namespaces)
	case pods != nil:
		if p.Namespaces, err = metav1.LabelSelectorAsSelector(&pods.NamespaceSelector); err == nil {
			p.Pods, err = metav1.LabelSelectorAsSelector(&pods.PodSelector)
		}
	default:
		return p, false, nil
	}
	if err != nil {
		return p, false, undefinedError{err}
	}
	p.chosen = selectionOf(p.Namespaces, p.Pods)
	return p, true, nil
}

// parseAction reads an action of either version. Which there are is a matter of the kind.
func parseAction(kind, text string) (Action, error) {
	accept := "Allow"
	if kind == clusterPolicyKind.Kind {
		accept = "Accept"
	}
	switch {
	case text == accept:
		return Accept, nil
	case text == "Deny":
		return Deny, nil
	case kind == baselinePolicyKind.Kind:
		return 0, fmt.Errorf("action %q is none: it is %s or Deny", text, accept)
	case text == "Pass":
		return Pass, nil
	}
	return 0, fmt.Errorf("action %q is none: it is %s, Deny or Pass", text, accept)
}

// failClosed makes a rule with a peer that is not understood what the API says that it
// is: one that accepts nothing, or denies everything.
func (r *Rule) failClosed() {
	r.Peers, r.AllPeers = nil, r.Action != Accept
	if r.Action == Pass {
		r.Action = Deny
	}
	r.Ports, r.AllPorts = nil, true
}

func (p *TierPolicy) readClusterRules(s *v1alpha2.ClusterNetworkPolicySpec) (model.Path, error) {
	for i, rule := range s.Ingress {
		peers := make([]tierPeer, len(rule.From))
		for n, peer := range rule.From {
			peers[n] = tierPeer{namespaces: peer.Namespaces, pods: (*namespacedPod)(peer.Pods)}
		}
		if at, err := p.addRule(Ingress, i, string(rule.Action), peers, rule.Protocols); err != nil {
			return at, err
		}
	}
	for i, rule := range s.Egress {
		peers := make([]tierPeer, len(rule.To))
		for n, peer := range rule.To {
			peers[n] = tierPeer{namespaces: peer.Namespaces, pods: (*namespacedPod)(peer.Pods), nodes: peer.Nodes}
			for _, cidr := range peer.Networks {
				peers[n].networks = append(peers[n].networks, string(cidr))
			}
			for _, name := range peer.DomainNames {
				peers[n].names = append(peers[n].names, string(name))
			}
		}
		if at, err := p.addRule(Egress, i, string(rule.Action), peers, rule.Protocols); err != nil {
			return at, err
		}
	}
	return nil, nil
}

// tierPeer is one item of from or to, in either version of the API.
type tierPeer struct {
	namespaces      *metav1.LabelSelector
	pods            *namespacedPod
	nodes           *metav1.LabelSelector
	networks, names []string
}

// kinds is how many kinds of peer the item is; the API takes one.
func (p *tierPeer) kinds() (n int) {
	for _, is := range []bool{p.namespaces != nil, p.pods != nil, p.nodes != nil, len(p.networks) > 0, len(p.names) > 0} {
		if is {
			n++
		}
	}
	return n
}

// addRule adds a rule of v1alpha2.
func (p *TierPolicy) addRule(d Direction, i int, action string, peers []tierPeer, protocols []v1alpha2.ClusterNetworkPolicyProtocol) (model.Path, error) {
	at := model.Path{}.Keys("spec", d.String()).Append(model.Index(i))
	r := &Rule{Index: i, AllPorts: len(protocols) == 0}
	var err error
	if r.Action, err = parseAction(clusterPolicyKind.Kind, action); err != nil {
		return at.Keys("action"), err
	}
	for n, protocol := range protocols {
		port, err := newProtocol(&protocol)
		if err != nil {
			return at.Keys("protocols").Append(model.Index(n)), err
		}
		r.Ports = append(r.Ports, port)
	}
	if n, err := r.addPeers(peers); err != nil {
		return at.Keys(d.peersField()).Append(model.Index(n)), err
	}
	p.Rules[d] = append(p.Rules[d], r)
	return nil, nil
}

// addPeers adds the peers; the number is that of the one with an error.
func (r *Rule) addPeers(peers []tierPeer) (int, error) {
	if len(peers) == 0 {
		return 0, errors.New("a rule needs a peer")
	}
	named := slices.ContainsFunc(r.Ports, func(p PortRule) bool { return p.Name != "" })
	unknown := false
	for n, peer := range peers {
		read, ok, err := newTierPods(peer.namespaces, peer.pods)
		if err != nil {
			return n, err
		}
		if peer.kinds() > 1 {
			return n, errors.New("a peer has more than one of namespaces, pods, nodes, networks and domainNames; make several items of it")
		}
		if named && !ok && peer.kinds() > 0 {
			return n, errors.New("nodes, networks and domainNames have no named ports")
		}
		read.Index, read.Tier = n, true
		switch {
		case ok:
			r.Peers = append(r.Peers, read)
		case peer.nodes != nil:
			if read.Nodes, err = metav1.LabelSelectorAsSelector(peer.nodes); err != nil {
				return n, undefinedError{err}
			}
			r.Peers = append(r.Peers, read)
		case len(peer.networks) > 0:
			for _, cidr := range peer.networks {
				if read.Block, err = netip.ParsePrefix(cidr); err != nil || read.Block.Addr().Is4In6() {
					return n, fmt.Errorf("%q is no CIDR: write 10.0.0.0/8 or fd00::/8", cidr)
				}
				read.Block = read.Block.Masked()
				r.Peers = append(r.Peers, read)
			}
		case len(peer.names) > 0:
			if r.Action != Accept {
				return n, undefinedError{errors.New("domainNames stand in rules that accept only")}
			}
			read.Names = peer.names
			r.Peers = append(r.Peers, read)
		default:
			unknown = true
		}
	}
	if unknown {
		r.failClosed()
	}
	return 0, nil
}

func newProtocol(p *v1alpha2.ClusterNetworkPolicyProtocol) (PortRule, error) {
	var port *v1alpha2.Port
	out := PortRule{From: 1, To: lastPort}
	several := 0
	for _, is := range []bool{p.TCP != nil, p.UDP != nil, p.SCTP != nil, p.DestinationNamedPort != ""} {
		if is {
			several++
		}
	}
	switch {
	case several > 1:
		return out, errors.New("a protocol has more than one of tcp, udp, sctp and destinationNamedPort; make several items of it")
	case p.DestinationNamedPort != "":
		out.Name, out.AnyProtocol = p.DestinationNamedPort, true
		return out, nil
	case p.TCP != nil:
		port = p.TCP.DestinationPort
	case p.UDP != nil:
		out.Protocol, port = UDP, p.UDP.DestinationPort
	case p.SCTP != nil:
		out.Protocol, port = SCTP, p.SCTP.DestinationPort
	default:
		return out, errors.New("a protocol needs tcp, udp, sctp or destinationNamedPort")
	}
	switch {
	case port == nil:
		return out, nil
	case port.Range != nil && port.Number != 0:
		return out, errors.New("destinationPort has both number and range")
	case port.Range != nil && port.Range.Start == port.Range.End:
		return out, errors.New("the range of destinationPort has its start at its end: write number")
	case port.Range != nil:
		return numbered(out, port.Range.Start, port.Range.End)
	}
	return numbered(out, port.Number, port.Number)
}

func numbered(out PortRule, from, to int32) (PortRule, error) {
	if from < 1 || to < from || to > lastPort {
		return out, fmt.Errorf("ports %d to %d are not between 1 and 65535", from, to)
	}
	out.From, out.To = uint16(from), uint16(to)
	return out, nil
}

// readOldRules adds the rules of v1alpha1, whose types have egress peers that not every
// release of the module knows.
func (p *TierPolicy) readOldRules(o *model.Object) (model.Path, error) {
	for d := range directions {
		for i, item := range o.List("spec", d.String()) {
			at := model.Path{}.Keys("spec", d.String()).Append(model.Index(i))
			var rule struct {
				Action string    `json:"action"`
				From   []oldPeer `json:"from"`
				To     []oldPeer `json:"to"`
				Ports  []oldPort `json:"ports"`
			}
			content, _ := item.(map[string]any)
			if err := model.Decode(content, &rule); err != nil {
				return at, err
			}
			r := &Rule{Index: i, AllPorts: len(rule.Ports) == 0}
			var err error
			if r.Action, err = parseAction(o.Kind, rule.Action); err != nil {
				return at.Keys("action"), err
			}
			for n, port := range rule.Ports {
				read, err := port.rule()
				if err != nil {
					return at.Keys("ports").Append(model.Index(n)), err
				}
				r.Ports = append(r.Ports, read)
			}
			peers := rule.From
			if d == Egress {
				peers = rule.To
			}
			read := make([]tierPeer, len(peers))
			for n, peer := range peers {
				read[n] = tierPeer{namespaces: peer.Namespaces, pods: oldPods(peer.Pods)}
				if d == Egress {
					read[n].nodes, read[n].networks, read[n].names = peer.Nodes, peer.Networks, peer.DomainNames
				}
			}
			if n, err := r.addPeers(read); err != nil {
				return at.Keys(d.peersField()).Append(model.Index(n)), err
			}
			p.Rules[d] = append(p.Rules[d], r)
		}
	}
	return nil, nil
}

type oldPeer struct {
	Namespaces  *metav1.LabelSelector   `json:"namespaces"`
	Pods        *v1alpha1.NamespacedPod `json:"pods"`
	Nodes       *metav1.LabelSelector   `json:"nodes"`
	Networks    []string                `json:"networks"`
	DomainNames []string                `json:"domainNames"`
}

type oldPort v1alpha1.AdminNetworkPolicyPort

func (p *oldPort) rule() (PortRule, error) {
	out := PortRule{From: 1, To: lastPort}
	var err error
	switch {
	case p.NamedPort != nil && (p.PortNumber != nil || p.PortRange != nil) || p.PortNumber != nil && p.PortRange != nil:
		return out, errors.New("a port has more than one of portNumber, portRange and namedPort; make several items of it")
	case p.NamedPort != nil:
		out.Name, out.AnyProtocol = *p.NamedPort, true
		return out, nil
	case p.PortNumber != nil:
		if out.Protocol, err = ParseProtocol(p.PortNumber.Protocol); err != nil {
			return out, err
		}
		return numbered(out, p.PortNumber.Port, p.PortNumber.Port)
	case p.PortRange != nil:
		if out.Protocol, err = ParseProtocol(p.PortRange.Protocol); err != nil {
			return out, err
		}
		return numbered(out, p.PortRange.Start, p.PortRange.End)
	}
	return out, errors.New("a port needs portNumber, portRange or namedPort")
}
