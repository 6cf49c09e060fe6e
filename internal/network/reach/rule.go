package reach

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"k8s.io/apimachinery/pkg/labels"
)

// ruleCells are what a rule is about. A named port is resolved by who receives: for
// traffic that a class receives its own counts, and for what it sends that of each peer.
func (b *builder) ruleCells(d Direction, class int, r *Rule) []Cell {
	named := slices.ContainsFunc(r.Ports, func(p PortRule) bool { return p.Name != "" })
	if known, ok := b.rules[r]; ok && (d == Egress || !named) {
		return known
	}
	peers := b.peers(class, r)
	var out []Cell
	numbered := Ports{}
	if r.AllPorts {
		numbered = AllPorts
	}
	for _, p := range r.Ports {
		switch {
		case p.Name == "":
			numbered = numbered.Union(PortRange(p.Protocol, p.From, p.To))
		case d == Ingress:
			for _, protocol := range p.named() {
				if port := b.classes[class].named[NamedPort{protocol, p.Name}]; port != 0 {
					numbered = numbered.Union(OnePort(protocol, port))
				}
			}
		default:
			out = append(out, b.resolve(p, peers)...)
		}
	}
	if !numbered.Empty() {
		out = append(out, Cell{numbered, peers})
	}
	if d == Egress || !named {
		b.rules[r] = out
	}
	return out
}

// resolve finds the ports of a name, of all peers that have it.
func (b *builder) resolve(p PortRule, peers *roaring.Bitmap) []Cell {
	having := map[NamedPort]map[uint16]*roaring.Bitmap{}
	var out []Cell
	for _, protocol := range p.named() {
		name := NamedPort{protocol, p.Name}
		having[name] = map[uint16]*roaring.Bitmap{}
		peers.Iterate(func(i uint32) bool {
			if int(i) >= len(b.classes) {
				return false
			}
			if port := b.classes[i].named[name]; port != 0 {
				if having[name][port] == nil {
					having[name][port] = roaring.New()
				}
				having[name][port].Add(i)
			}
			return true
		})
		for port, who := range having[name] {
			out = append(out, Cell{OnePort(protocol, port), who})
		}
	}
	slices.SortFunc(out, func(a, b Cell) int { return cmp.Compare(a.Ports.String(), b.Ports.String()) })
	return out
}

// peers are the other side of a rule. Those of selectors are shared, and not changed.
func (b *builder) peers(class int, r *Rule) *roaring.Bitmap {
	if r.AllPeers {
		return b.everybody
	}
	var sets []*roaring.Bitmap
	for _, p := range r.Peers {
		switch {
		case p.Block.IsValid():
			sets = append(sets, b.block(p))
		case p.Nodes != nil:
			sets = append(sets, b.nodes(p.Nodes))
		case p.Pods != nil:
			hosts := b.cluster.Profile.SelectorsMatchHostPods && p.Labelled && !p.Tier
			sets = append(sets, b.pods(b.classes[class].namespace, p.Namespaces, p.Pods, hosts))
		}
	}
	if len(sets) == 1 {
		return sets[0]
	}
	return roaring.FastOr(sets...)
}

// block are the addresses of a block and, where the profile has it so, pods and nodes at
// them. A pod whose address is not known is at a private one.
func (b *builder) block(p Peer) *roaring.Bitmap {
	out := roaring.New()
	from, to := b.addresses.within(p.Block)
	out.AddRange(uint64(b.numberOf(from)), uint64(b.numberOf(to)))
	for _, e := range p.Except {
		from, to := b.addresses.within(e)
		out.RemoveRange(uint64(b.numberOf(from)), uint64(b.numberOf(to)))
	}
	pods := b.at(from, to).Clone()
	for _, e := range p.Except {
		pods.AndNot(roaring.AndNot(b.at(b.addresses.within(e)), b.several))
	}
	roaring.And(pods, b.several).Iterate(func(class uint32) bool {
		if !slices.ContainsFunc(b.classes[class].pieces, func(piece int) bool { return out.Contains(b.numberOf(piece)) }) {
			pods.Remove(class)
		}
		return true
	})
	if p.holdsPrivate() {
		pods.Or(b.unaddressed)
	}
	if !p.Tier && !b.cluster.Profile.BlocksMatchPods {
		pods.And(b.hosts)
	}
	if !p.Tier && !b.cluster.Profile.BlocksMatchNodes {
		pods.AndNot(b.hosts)
		for _, n := range b.cluster.Nodes {
			for _, a := range n.Addresses {
				out.Remove(b.numberOf(b.addresses.piece(a)))
			}
		}
	}
	out.Or(pods)
	return out
}

// at are the classes that have an address in some pieces, from the first up to, but
// without, the last. A piece is in few different blocks, so that all of them take little.
func (b *builder) at(from, to int) *roaring.Bitmap {
	key := [2]int{from, to}
	if known := b.between[key]; known != nil {
		return known
	}
	var sets []*roaring.Bitmap
	for piece := from; piece < to; piece++ {
		if at := b.byPiece[piece]; at != nil {
			sets = append(sets, at)
		}
	}
	b.between[key] = roaring.FastOr(sets...)
	return b.between[key]
}

// holdsPrivate reports whether all private addresses are in the block.
func (p *Peer) holdsPrivate() bool {
	return !slices.ContainsFunc(private, func(r netip.Prefix) bool {
		return p.Block.Bits() > r.Bits() || !p.Block.Contains(r.Addr()) || slices.ContainsFunc(p.Except, r.Overlaps)
	})
}

// nodes are the addresses of the nodes that a selector chooses, and the pods that are at
// them, which are in their network.
func (b *builder) nodes(s labels.Selector) *roaring.Bitmap {
	out := roaring.New()
	for _, n := range b.cluster.Nodes {
		if !s.Matches(labels.Set(n.Labels)) {
			continue
		}
		for _, a := range n.Addresses {
			piece := b.addresses.piece(a)
			out.Add(b.numberOf(piece))
			if at := b.byPiece[piece]; at != nil {
				out.Or(at)
			}
		}
	}
	if b.cluster.allNodes(s) {
		out.Or(roaring.And(b.hosts, b.unaddressed))
	}
	return out
}

// allNodes reports whether a selector chooses every node, so that a pod in the network of
// some node is among them.
func (c *Cluster) allNodes(s labels.Selector) bool {
	for _, n := range c.Nodes {
		if !s.Matches(labels.Set(n.Labels)) {
			return false
		}
	}
	return len(c.Nodes) > 0 || s.Empty()
}
