package reach

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Numbers are the numbers, as Cell.Peers has them, of the classes of some pods, which are
// numbers of Cluster.Pods, and of the pieces that addresses are in. A class is among them
// if one of its pods is, and a piece if one of its addresses is.
func (e *Engine) Numbers(pods *roaring.Bitmap, addresses *netipx.IPSet) *roaring.Bitmap {
	out := roaring.New()
	pods.Iterate(func(p uint32) bool {
		out.Add(uint32(e.classOf[p]))
		return true
	})
	for _, r := range addresses.Ranges() {
		out.AddRange(uint64(e.numberOf(e.addresses.piece(r.From()))), uint64(e.numberOf(e.addresses.piece(r.To())))+1)
	}
	return out
}

// EndOf is the end of a number.
func (e *Engine) EndOf(number uint32) End { return End{number} }

// Number is the number of an end.
func (e *Engine) Number(of End) uint32 { return of.number }

// RangeOf are the addresses of an end; false for pods.
func (e *Engine) RangeOf(of End) (netipx.IPRange, bool) {
	if int(of.number) < len(e.classes) {
		return netipx.IPRange{}, false
	}
	return e.addresses.Range(int(of.number) - len(e.classes)), true
}

// PublicAddresses are those that Internet is a name for.
func PublicAddresses() *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, p := range public {
		b.AddPrefix(p)
	}
	for _, p := range notPublic {
		b.RemovePrefix(p)
	}
	set, err := b.IPSet()
	if err != nil {
		panic(err) // all are valid: they are constants
	}
	return set
}

// Exempt reports whether traffic arrives whatever policies say: that of a pod to itself,
// and between a node and a pod on it where the profile has it so.
func (c *Cluster) Exempt(from, to Side) bool { return isSelf(from, to) || c.isOwnNode(from, to) }

// Screen says of which pods answers are certain, so that not all pairs have to be asked for
// what is unknown. It errs on the side of doubt. It is for one goroutine.
type Screen struct {
	c           *Cluster
	byNamespace map[string][]*Policy
	// ambiguous, unseen: some pod has a name for several ports, some namespace's labels are
	// not known. several, hosts: some pod has several addresses, or is in the network of its
	// node.
	ambiguous, unseen, several, hosts bool
	// unaddressed is a pod without addresses, and one in the network of its node, if there are.
	unaddressed []*Pod
}

// NewScreen makes a screen of a cluster.
func NewScreen(c *Cluster) *Screen {
	s := &Screen{c: c, byNamespace: map[string][]*Policy{}}
	for _, p := range c.Policies {
		s.byNamespace[p.Namespace] = append(s.byNamespace[p.Namespace], p)
	}
	for _, n := range c.Namespaces {
		s.unseen = s.unseen || !n.Seen
	}
	for _, p := range c.Pods {
		s.ambiguous = s.ambiguous || len(p.Ambiguous) > 0
		s.several = s.several || len(p.Addresses) > 1
		if len(p.Addresses) == 0 && !slices.ContainsFunc(s.unaddressed, func(q *Pod) bool { return q.HostNetwork == p.HostNetwork }) {
			s.unaddressed = append(s.unaddressed, p)
		}
		s.hosts = s.hosts || p.HostNetwork
	}
	return s
}

// Doubt says with which peers an answer may be unknown.
type Doubt struct{ Pods, Addresses bool }

func (d *Doubt) add(other Doubt) {
	d.Pods, d.Addresses = d.Pods || other.Pods, d.Addresses || other.Addresses
}

// Of says with which peers an answer about one direction of a pod may be unknown.
func (s *Screen) Of(d Direction, p *Pod) (out Doubt) {
	both := Doubt{true, true}
	if p.HostNetwork {
		return out
	}
	for _, o := range s.c.Unknown {
		if (o.Namespace == "" || o.Namespace == p.Namespace) && s.c.mayChoose(o, p) {
			return both
		}
	}
	for _, u := range s.c.Unread {
		if u.Namespace == "" || u.Namespace == p.Namespace {
			return both
		}
	}
	for _, tier := range [][]*TierPolicy{s.c.Admin, s.c.Baseline} {
		out.add(s.tier(d, p, tier))
	}
	var about []*Rule
	for _, policy := range s.byNamespace[p.Namespace] {
		if policy.Isolates[d] && policy.Subject.Matches(labels.Set(p.Labels)) {
			about = append(about, policy.Rules[d]...)
		}
	}
	for _, r := range about {
		out.add(s.rule(r))
	}
	return out
}

func (s *Screen) tier(d Direction, p *Pod, policies []*TierPolicy) (out Doubt) {
	priorities := map[int32]bool{}
	for _, t := range policies {
		if len(t.Rules[d]) == 0 || !t.Pods.Matches(labels.Set(p.Labels)) {
			continue
		}
		if s.c.unclear(t.Namespaces, p.Namespace) {
			return Doubt{true, true}
		}
		if !s.c.selects(t.Namespaces, t.Pods, p) {
			continue
		}
		if priorities[t.Priority] {
			return Doubt{true, true} // which is asked first is not defined
		}
		priorities[t.Priority] = true
		for _, r := range t.Rules[d] {
			out.add(s.rule(r))
		}
	}
	return out
}

func (s *Screen) rule(r *Rule) (out Doubt) {
	for _, p := range r.Ports {
		if s.ambiguous && p.Name != "" {
			return Doubt{true, true}
		}
	}
	if r.AllPeers {
		return out
	}
	for _, p := range r.Peers {
		switch {
		case len(p.Names) > 0:
			out.Addresses = true
		case p.Nodes != nil:
			out.add(Doubt{s.hosts, len(s.c.Nodes) == 0})
		case p.Block.IsValid():
			out.Pods = out.Pods || s.several || slices.ContainsFunc(s.unaddressed, func(pod *Pod) bool { return s.blockDoubted(p, pod) })
		case p.Namespaces != nil && s.unseen:
			requirements, _ := p.Namespaces.Requirements()
			out.Pods = out.Pods || slices.ContainsFunc(requirements, func(r labels.Requirement) bool { return r.Key() != corev1.LabelMetadataName })
		}
	}
	return out
}

// UnknownBetween says why the answer for two sides may be wrong; it is empty where it is
// not. Unlike Unknown it is about these very pods, where policies that are not understood
// tell apart what others do not.
func (e *Engine) UnknownBetween(from, to Side) []string {
	a, known := e.End(from)
	b, alsoKnown := e.End(to)
	if !known || !alsoKnown {
		return nil
	}
	egress, ingress := e.Cluster.doubts(Egress, from, to, to), e.Cluster.doubts(Ingress, to, from, to)
	var out []string
	if len(ingress) > 0 || !e.ports(Ingress, b, a).Empty() {
		out = append(out, egress...)
	}
	if len(egress) > 0 || !e.ports(Egress, a, b).Empty() {
		out = append(out, ingress...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// blockDoubted reports whether it is in doubt that a block is about a pod without
// addresses; of such pods all are alike.
func (s *Screen) blockDoubted(p Peer, pod *Pod) bool {
	b := &doubter{Cluster: s.c, peer: Side{Pod: pod}}
	b.block("", p)
	return len(b.out) > 0
}
