package reach

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Unknown says why the answer for two ends may be wrong; it is empty where it is not.
// Doubts about one direction do not count where the other lets nothing through.
func (e *Engine) Unknown(from, to End) []string {
	f, t := e.side(from), e.side(to)
	egress := append(e.Cluster.doubts(Egress, f, t, t), e.pluginDoubts(from)...)
	ingress := append(e.Cluster.doubts(Ingress, t, f, t), e.pluginDoubts(to)...)
	var out []string
	if len(ingress) > 0 || !e.ports(Ingress, to, from).Empty() {
		out = append(out, egress...)
	}
	if len(egress) > 0 || !e.ports(Egress, from, to).Empty() {
		out = append(out, ingress...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// side is the first of an end's pods, which stands for all, or its first address.
func (e *Engine) side(of End) Side {
	n := int(of.number)
	if n >= len(e.classes) {
		return Side{Address: e.addresses.starts[n-len(e.classes)]}
	}
	return Side{Pod: e.classes[n].pods[0]}
}

// pluginDoubts are about the other pods of an end: what policies that are not understood
// choose by does not tell classes apart.
func (e *Engine) pluginDoubts(of End) []string {
	pods := e.Pods(of)
	if len(e.Cluster.Unknown) == 0 || len(pods) == 0 || e.Cluster.Pods[pods[0]].HostNetwork {
		return nil
	}
	b := &doubter{Cluster: e.Cluster}
	for _, p := range pods[1:] {
		b.subject = Side{Pod: e.Cluster.Pods[p]}
		if b.plugins(); len(b.out) > 0 {
			break
		}
	}
	return b.out
}

// Doubts says why an answer about traffic from one side to another may be wrong; it is
// empty where it is not.
func (c *Cluster) Doubts(from, to Side) []string {
	if isSelf(from, to) || c.isOwnNode(from, to) {
		return nil
	}
	out := append(c.doubts(Egress, from, to, to), c.doubts(Ingress, to, from, to)...)
	slices.Sort(out)
	return slices.Compact(out)
}

// Disagree lists the profiles, other than the cluster's, that let traffic through where
// the cluster's does not, or the other way round.
func (c *Cluster) Disagree(from, to Side, protocol Protocol, port uint16) (out []string) {
	allowed := c.Explain(from, to, protocol, port).Allowed
	for _, p := range Profiles {
		other := *c
		if other.Profile = p; other.Explain(from, to, protocol, port).Allowed != allowed {
			out = append(out, p.Name)
		}
	}
	return out
}

// doubter collects doubts about one direction of some traffic.
type doubter struct {
	*Cluster
	direction               Direction
	subject, peer, receiver Side
	out                     []string
}

func (c *Cluster) doubts(d Direction, subject, peer, receiver Side) []string {
	if subject.Pod == nil || subject.Pod.HostNetwork {
		return nil
	}
	b := &doubter{c, d, subject, peer, receiver, nil}
	b.plugins()
	b.unread()
	b.tier(c.Admin)
	b.policies()
	b.tier(c.Baseline)
	return b.out
}

func (b *doubter) say(format string, a ...any) { b.out = append(b.out, fmt.Sprintf(format, a...)) }

func (b *doubter) plugins() {
	for _, o := range b.Unknown {
		if o.Group == tierGroup {
			b.say("%s is not valid, and what a network plugin makes of it is not defined", o.Ref())
			continue
		}
		if (o.Namespace == "" || o.Namespace == b.subject.Pod.Namespace) && b.mayChoose(o, b.subject.Pod) {
			b.say("%s is a policy of a network plugin, which is not understood; it may be about %s", o.Ref(), b.subject.Pod)
		}
	}
}

func (b *doubter) unread() {
	for _, u := range b.Unread {
		if u.Namespace == "" || u.Namespace == b.subject.Pod.Namespace {
			b.say("%s could not all be read: %s", u.GroupKind, u.Reason)
		}
	}
}

// policies are those about the subject. One that allows everything leaves no doubt.
func (b *doubter) policies() {
	var about []*Policy
	for _, p := range b.Policies {
		if !p.Isolates[b.direction] || p.Namespace != b.subject.Pod.Namespace || !p.Subject.Matches(labels.Set(b.subject.Pod.Labels)) {
			continue
		}
		if slices.ContainsFunc(p.Rules[b.direction], func(r *Rule) bool { return r.AllPeers && r.AllPorts }) {
			return
		}
		about = append(about, p)
	}
	for _, p := range about {
		for _, r := range p.Rules[b.direction] {
			b.rule(fmt.Sprintf("rule %d of NetworkPolicy %s/%s", r.Index, p.Namespace, p.Name), r)
		}
	}
}

func (b *doubter) tier(policies []*TierPolicy) {
	var about []*TierPolicy
	for _, p := range policies {
		if len(p.Rules[b.direction]) == 0 || !p.Pods.Matches(labels.Set(b.subject.Pod.Labels)) {
			continue
		}
		unclear := b.unclear(p.Namespaces, b.subject.Pod.Namespace)
		if unclear {
			b.say("the labels of namespace %s are not known, and %s asks for them", b.subject.Pod.Namespace, p)
		} else if !b.selects(p.Namespaces, p.Pods, b.subject.Pod) {
			continue
		}
		for _, r := range p.Rules[b.direction] {
			b.rule(fmt.Sprintf("rule %d of %s", r.Index, p), r)
		}
		about = append(about, p)
	}
	for i, p := range about {
		for _, q := range about[i+1:] {
			if p.Priority == q.Priority && b.differ(p, q) {
				b.say("%s and %s have the same priority, and which is asked first is not defined", p, q)
			}
		}
	}
}

// String is for people.
func (p *TierPolicy) String() string {
	if p.Object == nil {
		return p.Name
	}
	return p.Object.Ref().String()
}

// differ reports whether two policies may say something else about the same traffic.
func (b *doubter) differ(p, q *TierPolicy) bool {
	for _, x := range p.Rules[b.direction] {
		for _, y := range q.Rules[b.direction] {
			if x.Action != y.Action && b.matchesPeer("", x, b.peer) && b.matchesPeer("", y, b.peer) && portsMeet(x, y) {
				return true
			}
		}
	}
	return false
}

// portsMeet reports whether two rules may be about the same port. Names may be any.
func portsMeet(x, y *Rule) bool {
	ports := func(r *Rule) (out Ports) {
		if r.AllPorts {
			return AllPorts
		}
		for _, p := range r.Ports {
			for _, protocol := range p.named() {
				out = out.Union(PortRange(protocol, 1, lastPort))
			}
			if p.Name == "" {
				out = out.Union(PortRange(p.Protocol, p.From, p.To))
			}
		}
		return out
	}
	return !ports(x).Intersect(ports(y)).Empty()
}

// rule is about what of a rule is not known.
func (b *doubter) rule(name string, r *Rule) {
	if to := b.receiver.Pod; to != nil {
		for _, p := range r.Ports {
			for _, protocol := range p.named() {
				if slices.Contains(to.Ambiguous, NamedPort{protocol, p.Name}) {
					b.say("%s asks for port %s, a name that %s gives to several ports", name, p.Name, to)
				}
			}
		}
	}
	if r.AllPeers || slices.ContainsFunc(r.Peers, b.surely) {
		return
	}
	for _, p := range r.Peers {
		switch {
		case len(p.Names) > 0:
			if b.peer.Pod == nil {
				b.say("%s accepts domain names, whose addresses are not known", name)
			}
		case p.Nodes != nil:
			b.nodes(name, p.Nodes)
		case p.Block.IsValid():
			b.block(name, p)
		case b.peer.Pod != nil && p.Namespaces != nil && p.Pods.Matches(labels.Set(b.peer.Pod.Labels)) && b.unclear(p.Namespaces, b.peer.Pod.Namespace):
			b.say("the labels of namespace %s are not known, and %s asks for them", b.peer.Pod.Namespace, name)
		}
	}
}

// surely reports whether an item of a rule is about the peer, whatever is not known.
func (b *doubter) surely(p Peer) bool {
	if pod := b.peer.Pod; pod != nil {
		if p.Namespaces != nil && b.unclear(p.Namespaces, pod.Namespace) ||
			p.Block.IsValid() && slices.ContainsFunc(pod.Addresses, func(a netip.Addr) bool { return !p.covers(a) }) {
			return false
		}
	}
	return b.matchesPeer(b.subject.Pod.Namespace, &Rule{Peers: []Peer{p}}, b.peer)
}

// unclear reports whether a selector asks for labels of a namespace that are not known. The
// label of its name is.
func (c *Cluster) unclear(s labels.Selector, namespace string) bool {
	if ns := c.Namespaces[namespace]; ns != nil && ns.Seen {
		return false
	}
	requirements, selectable := s.Requirements()
	others := false
	for _, r := range requirements {
		if r.Key() != corev1.LabelMetadataName {
			others = true
		} else if !r.Matches(labels.Set{corev1.LabelMetadataName: namespace}) {
			return false
		}
	}
	return selectable && others
}

func (b *doubter) nodes(name string, s labels.Selector) {
	switch p := b.peer.Pod; {
	case len(b.Nodes) == 0 && (p == nil || p.HostNetwork && !s.Empty()):
		b.say("%s is about nodes, and which there are is not known", name)
	case p != nil && p.HostNetwork && len(p.Addresses) == 0 && !b.allNodes(s) && b.someNode(s):
		b.say("%s is about some nodes, and which one %s is on is not known", name, p)
	}
}

func (c *Cluster) someNode(s labels.Selector) bool {
	for _, n := range c.Nodes {
		if s.Matches(labels.Set(n.Labels)) {
			return true
		}
	}
	return false
}

// block is about pods whose address is not known, where a block has only some of those
// that it may be, and about pods with several, where it has only one.
func (b *doubter) block(name string, p Peer) {
	pod := b.peer.Pod
	if pod == nil || !p.Tier && (pod.HostNetwork && !b.Profile.BlocksMatchNodes || !pod.HostNetwork && !b.Profile.BlocksMatchPods) {
		return
	}
	if len(pod.Addresses) > 0 {
		in := 0
		for _, a := range pod.Addresses {
			if p.covers(a) {
				in++
			}
		}
		if in > 0 && in < len(pod.Addresses) {
			b.say("%s is about one of the addresses of %s only", name, pod)
		}
		return
	}
	if !b.matchesBlock(p, b.peer) && slices.ContainsFunc(append(slices.Clip(private), uniqueLocal), p.coversSome) {
		b.say("the address of %s is not known, and %s is about some private ones", pod, name)
	}
}

// covers reports whether an address is in the block, and in no exception.
func (p *Peer) covers(a netip.Addr) bool {
	return p.Block.Contains(a) && !slices.ContainsFunc(p.Except, func(e netip.Prefix) bool { return e.Contains(a) })
}

// coversSome reports whether some address of a range is in the block. Exceptions may be
// many small ones that leave nothing together; then it says so all the same.
func (p *Peer) coversSome(r netip.Prefix) bool {
	return p.Block.Overlaps(r) && !slices.ContainsFunc(p.Except, func(e netip.Prefix) bool {
		return e.Bits() <= max(r.Bits(), p.Block.Bits()) && e.Overlaps(r)
	})
}
