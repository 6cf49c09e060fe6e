// Package reach says who may talk to whom in a cluster: pods, nodes and addresses,
// under NetworkPolicies and the policies of both tiers. It is exact: pods that no policy
// can tell apart are one class, addresses are cut where some block begins or ends, and
// what is allowed is kept as sets of classes and of ports. No pair of pods is looked at.
package reach

import (
	"net/netip"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
)

// Engine answers who reaches whom in a cluster. It is immutable, and may be used by many
// goroutines at once.
type Engine struct {
	Cluster *Cluster
	// classes are by their numbers; behind them are some that are free, for those that
	// changes bring.
	classes   []*class
	classOf   []int
	asked     *asked
	addresses *addresses
	// everybody are all classes, and all pieces of addresses, which are numbered after
	// them.
	everybody *roaring.Bitmap
	// groups are classes that the same policies are about, and groupOf the number of a
	// class's own. The first is of the classes and addresses that no policy is about.
	groups  [directions][]*group
	groupOf [directions][]int32
	// podNumbers are those in Cluster.Pods, and members those of each class. Few ask.
	podNumbers func() map[*Pod]int
	members    func() [][]int
}

// Cell says that some peers may be talked to by some ports.
type Cell struct {
	Ports Ports
	// Peers are numbers of classes, and of pieces of addresses behind them.
	Peers *roaring.Bitmap
}

// group are classes that may receive, or send, the same. One whose number is free has no
// members.
type group struct {
	members *roaring.Bitmap
	about   about
	// only is the namespace of all peers, if they are of one.
	only  string
	cells []Cell
}

// New builds the engine of a cluster.
func New(c *Cluster) *Engine {
	u := newUpdate(&Engine{Cluster: &Cluster{Profile: c.Profile}, asked: newAsked(), everybody: roaring.New()}, c)
	u.first = true
	u.make()
	return u.Engine
}

// index prepares what is computed once somebody asks.
func (e *Engine) index() {
	e.podNumbers = sync.OnceValue(func() map[*Pod]int {
		numbers := make(map[*Pod]int, len(e.Cluster.Pods))
		for i, p := range e.Cluster.Pods {
			numbers[p] = i
		}
		return numbers
	})
	e.members = sync.OnceValue(func() [][]int {
		out, all := make([][]int, len(e.classes)), make([]int, 0, len(e.classOf))
		for n, c := range e.classes {
			at := len(all)
			all = all[:at+len(c.pods)]
			out[n] = all[at:at:len(all)]
		}
		for pod, n := range e.classOf {
			out[n] = append(out[n], pod)
		}
		return out
	})
}

// blocks are all of some rule, and the addresses of nodes where a rule tells them apart.
func (c *Cluster) blocks() (out []netip.Prefix) {
	nodes := false
	for _, p := range c.ruled() {
		for _, rules := range p.rules {
			for _, r := range rules {
				for _, p := range r.Peers {
					nodes = nodes || c.tellsNodes(p)
					if p.Block.IsValid() {
						out = append(append(out, p.Block), p.Except...)
					}
				}
			}
		}
	}
	if nodes {
		out = append(out, c.nodeBlocks()...)
	}
	return out
}

// tellsNodes reports whether a peer tells nodes from other addresses.
func (c *Cluster) tellsNodes(p Peer) bool {
	return p.Nodes != nil || p.Block.IsValid() && !p.Tier && !c.Profile.BlocksMatchNodes
}

// nodeBlocks are the addresses of nodes.
func (c *Cluster) nodeBlocks() (out []netip.Prefix) {
	for _, n := range c.Nodes {
		for _, a := range n.Addresses {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return out
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
		return e.groups[d][0]
	}
	return e.groups[d][e.groupOf[d][of.number]]
}
