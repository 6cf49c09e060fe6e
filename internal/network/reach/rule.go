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
func (s *scope) ruleCells(d Direction, class int, r *Rule) []Cell {
	named := slices.ContainsFunc(r.Ports, func(p PortRule) bool { return p.Name != "" })
	if known, ok := s.rules[r]; ok && (d == Egress || !named) {
		return known
	}
	peers := s.peers(class, r)
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
				if port := s.classes[class].named[NamedPort{protocol, p.Name}]; port != 0 {
					numbered = numbered.Union(OnePort(protocol, port))
				}
			}
		default:
			out = append(out, s.resolve(p, peers)...)
		}
	}
	if !numbered.Empty() {
		out = append(out, Cell{numbered, peers})
	}
	if d == Egress || !named {
		s.rules[r] = out
	}
	return out
}

// resolve finds the ports of a name, of all peers that have it.
func (s *scope) resolve(p PortRule, peers *roaring.Bitmap) []Cell {
	having := map[NamedPort]map[uint16]*roaring.Bitmap{}
	var out []Cell
	for _, protocol := range p.named() {
		name := NamedPort{protocol, p.Name}
		having[name] = map[uint16]*roaring.Bitmap{}
		peers.Iterate(func(i uint32) bool {
			if int(i) >= len(s.classes) {
				return false
			}
			if port := s.classes[i].named[name]; port != 0 {
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
func (s *scope) peers(class int, r *Rule) *roaring.Bitmap {
	if r.AllPeers {
		return s.all
	}
	var sets []*roaring.Bitmap
	for _, p := range r.Peers {
		switch {
		case p.Block.IsValid():
			sets = append(sets, s.block(p))
		case p.Nodes != nil:
			sets = append(sets, s.nodes(p.Nodes))
		case p.Pods != nil:
			hosts := s.Cluster.Profile.SelectorsMatchHostPods && p.Labelled && !p.Tier
			sets = append(sets, s.peerPods(s.classes[class].namespace, p, hosts))
		}
	}
	sets = slices.DeleteFunc(sets, (*roaring.Bitmap).IsEmpty)
	switch len(sets) {
	case 0:
		return none
	case 1:
		return sets[0]
	}
	return roaring.FastOr(sets...)
}

// block are the addresses of a block and, where the profile has it so, pods and nodes at
// them. A pod whose address is not known is at a private one.
func (s *scope) block(p Peer) *roaring.Bitmap {
	out, pods := s.pieces(p), s.podsAt(p)
	if p.holdsPrivate() {
		pods.Or(s.placed().unaddressed)
	}
	if !p.Tier && !s.Cluster.Profile.BlocksMatchPods {
		pods.And(s.hosts)
	}
	if !p.Tier && !s.Cluster.Profile.BlocksMatchNodes {
		pods.AndNot(s.hosts)
		for _, n := range s.Cluster.Nodes {
			for _, a := range n.Addresses {
				out.Remove(s.numberOf(s.addresses.piece(a)))
			}
		}
	}
	out = roaring.Or(out, pods)
	out.RunOptimize()
	return out
}

// pieces are those of a block.
func (s *scope) pieces(p Peer) *roaring.Bitmap {
	out := roaring.New()
	if s.partial {
		for it := s.all.Iterator(); it.HasNext(); {
			it.AdvanceIfNeeded(s.numberOf(0))
			if it.HasNext() {
				if n := it.Next(); p.covers(s.addresses.starts[int(n)-len(s.classes)]) {
					out.Add(n)
				}
			}
		}
		return out
	}
	s.addresses.runs(p.Block, func(first, last int) { out.AddRange(uint64(s.numberOf(first)), uint64(s.numberOf(last))) })
	for _, e := range p.Except {
		s.addresses.runs(e, func(first, last int) { out.RemoveRange(uint64(s.numberOf(first)), uint64(s.numberOf(last))) })
	}
	return out
}

// podsAt are the classes of which an address is in a block: all of a piece are, or none.
func (s *scope) podsAt(p Peer) *roaring.Bitmap {
	covered := func(class uint32) bool {
		return slices.ContainsFunc(s.classes[class].pieces, func(piece int) bool { return p.covers(s.addresses.starts[piece]) })
	}
	if s.partial {
		out := roaring.New()
		for _, n := range s.numbers {
			if covered(n) {
				out.Add(n)
			}
		}
		return out
	}
	at := s.placed()
	out := s.at(s.addresses.within(p.Block)).Clone()
	for _, e := range p.Except {
		out.AndNot(roaring.AndNot(s.at(s.addresses.within(e)), at.several))
	}
	roaring.And(out, at.several).Iterate(func(class uint32) bool {
		if !covered(class) {
			out.Remove(class)
		}
		return true
	})
	return out
}

// places say at which addresses classes are.
type places struct {
	// unaddressed are the classes whose addresses are not known.
	unaddressed *roaring.Bitmap
	byPiece     map[int]*roaring.Bitmap
	// several are the classes with addresses in more than one piece, and between those
	// that have some in a range of pieces.
	several *roaring.Bitmap
	between map[[2]int]*roaring.Bitmap
}

// placed notes at which addresses classes are, once some block asks.
func (s *scope) placed() *places {
	if s.places != nil {
		return s.places
	}
	p := &places{unaddressed: roaring.New(), several: roaring.New(), byPiece: map[int]*roaring.Bitmap{}, between: map[[2]int]*roaring.Bitmap{}}
	for _, n := range s.numbers {
		pieces := s.classes[n].pieces
		if len(pieces) == 0 {
			p.unaddressed.Add(n)
		}
		if len(pieces) > 1 {
			p.several.Add(n)
		}
		for _, piece := range pieces {
			if p.byPiece[piece] == nil {
				p.byPiece[piece] = roaring.New()
			}
			p.byPiece[piece].Add(n)
		}
	}
	p.unaddressed.RunOptimize()
	s.places = p
	return p
}

// at are the classes that have an address in the pieces of some places, from the first up
// to, but without, the last. A piece is in few different blocks, so that all of them take
// little.
func (s *scope) at(from, to int) *roaring.Bitmap {
	key := [2]int{from, to}
	p := s.placed()
	if known := p.between[key]; known != nil {
		return known
	}
	if len(p.byPiece) == 0 {
		return none
	}
	var sets []*roaring.Bitmap
	for _, piece := range s.addresses.order[from:to] {
		if at := p.byPiece[piece]; at != nil {
			sets = append(sets, at)
		}
	}
	all := roaring.FastOr(sets...)
	all.RunOptimize()
	p.between[key] = all
	return all
}

// holdsPrivate reports whether all private addresses are in the block.
func (p *Peer) holdsPrivate() bool {
	return !slices.ContainsFunc(private, func(r netip.Prefix) bool {
		return p.Block.Bits() > r.Bits() || !p.Block.Contains(r.Addr()) || slices.ContainsFunc(p.Except, r.Overlaps)
	})
}

// nodes are the addresses of the nodes that a selector chooses, and the pods that are at
// them, which are in their network.
func (s *scope) nodes(of labels.Selector) *roaring.Bitmap {
	out := roaring.New()
	for _, n := range s.Cluster.Nodes {
		if !of.Matches(labels.Set(n.Labels)) {
			continue
		}
		for _, a := range n.Addresses {
			piece := s.addresses.piece(a)
			out.Add(s.numberOf(piece))
			if at := s.placed().byPiece[piece]; at != nil {
				out.Or(at)
			}
		}
	}
	if s.Cluster.allNodes(of) {
		out.Or(roaring.And(s.hosts, s.placed().unaddressed))
	}
	if s.partial {
		out.And(s.all)
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
