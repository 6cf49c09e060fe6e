// Package reach says who may talk to whom in a cluster: pods, nodes and addresses,
// under NetworkPolicies and the policies of both tiers. It is exact: pods that no policy
// can tell apart are one class, addresses are cut where some block begins or ends, and
// what is allowed is kept as sets of classes and of ports. No pair of pods is looked at.
package reach

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// Engine answers who reaches whom in a cluster. It is immutable, and may be used by many
// goroutines at once.
type Engine struct {
	Cluster *Cluster
	classes []*class
	classOf []int
	// podNumbers are those in Cluster.Pods.
	podNumbers map[*Pod]int
	addresses  *addresses
	// everybody are all classes, and all pieces of addresses, which are numbered after
	// them.
	everybody *roaring.Bitmap
	// groups are classes that the same policies are about, and groupOf that of a class.
	groups  [directions][]*group
	groupOf [directions][]*group
	// open are the classes and addresses that no policy is about.
	open [directions]*group
}

// Cell says that some peers may be talked to by some ports.
type Cell struct {
	Ports Ports
	// Peers are numbers of classes, and of pieces of addresses behind them.
	Peers *roaring.Bitmap
}

// group are classes that may receive, or send, the same.
type group struct {
	members *roaring.Bitmap
	// isolated says that there is no more than what some policy allows.
	isolated bool
	cells    []Cell
}

// builder makes an engine.
type builder struct {
	*Engine
	cluster *Cluster
	blocks  []netip.Prefix
	names   []string
	in      map[string][2]uint32
	hosts   *roaring.Bitmap

	selected   map[string]*roaring.Bitmap
	namespaces map[string][]string
	// namesBy are namespaces by a label and its value.
	namesBy  map[[2]string][]string
	labelled map[string]labelled
	rules    map[*Rule][]Cell
	// unaddressed are the classes whose addresses are not known.
	unaddressed *roaring.Bitmap
	byPiece     map[int]*roaring.Bitmap
	// several are the classes with addresses in more than one piece, and between those
	// that have some in a range of pieces.
	several *roaring.Bitmap
	between map[[2]int]*roaring.Bitmap
}

// New builds the engine of a cluster.
func New(c *Cluster) *Engine {
	b := newBuilder(c)
	b.group()
	return b.Engine
}

// newBuilder numbers classes and pieces of addresses.
func newBuilder(c *Cluster) *builder {
	b := &builder{Engine: &Engine{Cluster: c}, cluster: c, selected: map[string]*roaring.Bitmap{}, namespaces: map[string][]string{}, rules: map[*Rule][]Cell{}}
	b.names = slices.Sorted(maps.Keys(c.Namespaces))
	b.blocks = c.blocks()
	b.addresses = newAddresses(b.blocks)
	b.classify()
	b.podNumbers = make(map[*Pod]int, len(c.Pods))
	for i, p := range c.Pods {
		b.podNumbers[p] = i
	}
	b.everybody = roaring.New()
	b.everybody.AddRange(0, uint64(len(b.classes)+len(b.addresses.starts)))
	b.placeAddresses()
	return b
}

// blocks are all of some rule, and the addresses of nodes where a rule tells them apart.
func (c *Cluster) blocks() (out []netip.Prefix) {
	nodes := false
	add := func(rules [directions][]*Rule) {
		for _, of := range rules {
			for _, r := range of {
				for _, p := range r.Peers {
					nodes = nodes || p.Nodes != nil || p.Block.IsValid() && !p.Tier && !c.Profile.BlocksMatchNodes
					if p.Block.IsValid() {
						out = append(append(out, p.Block), p.Except...)
					}
				}
			}
		}
	}
	for _, p := range c.Policies {
		add(p.Rules)
	}
	for _, p := range slices.Concat(c.Admin, c.Baseline) {
		add(p.Rules)
	}
	if nodes {
		for _, n := range c.Nodes {
			for _, a := range n.Addresses {
				out = append(out, netip.PrefixFrom(a, a.BitLen()))
			}
		}
	}
	return out
}

// placeAddresses notes at which addresses classes are.
func (b *builder) placeAddresses() {
	b.unaddressed, b.several = roaring.New(), roaring.New()
	b.byPiece, b.between = map[int]*roaring.Bitmap{}, map[[2]int]*roaring.Bitmap{}
	for i, c := range b.classes {
		if len(c.pieces) == 0 {
			b.unaddressed.Add(uint32(i))
		}
		if len(c.pieces) > 1 {
			b.several.Add(uint32(i))
		}
		for _, piece := range c.pieces {
			if b.byPiece[piece] == nil {
				b.byPiece[piece] = roaring.New()
			}
			b.byPiece[piece].Add(uint32(i))
		}
	}
}

// numberOf is the number of a piece of addresses.
func (e *Engine) numberOf(piece int) uint32 { return uint32(len(e.classes) + piece) }

// Allowed are the ports by which one end may reach the other, as far as policies go.
func (e *Engine) Allowed(from, to End) Ports {
	return e.ports(Ingress, to, from).Intersect(e.ports(Egress, from, to))
}

// ports are those by which one end receives from a peer, or sends to it.
func (e *Engine) ports(d Direction, of, peer End) (out Ports) {
	for _, c := range e.groupOfEnd(d, of).cells {
		if c.Peers.Contains(peer.number) {
			out = out.Union(c.Ports)
		}
	}
	return out
}

// End is who sends or receives: a pod, or an address.
type End struct {
	number uint32
}

// PodEnd is the pod of a number of Cluster.Pods.
func (e *Engine) PodEnd(pod int) End { return End{uint32(e.classOf[pod])} }

// AddressEnd is an address that is no pod's.
func (e *Engine) AddressEnd(a netip.Addr) End { return End{e.numberOf(e.addresses.piece(a))} }

func (e *Engine) groupOfEnd(d Direction, of End) *group {
	if int(of.number) >= len(e.classes) {
		return e.open[d]
	}
	return e.groupOf[d][of.number]
}
