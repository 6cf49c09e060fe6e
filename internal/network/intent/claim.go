package intent

import (
	"net/netip"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"go4.org/netipx"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// claimKind is what a claim says of the pairs of its two sets.
type claimKind uint8

const (
	// none may talk by any of the ports, all may by each, and some by one.
	none claimKind = iota
	all
	some
)

// claim is a part of an assertion.
type claim struct {
	kind     claimKind
	from, to set
	ports    reach.Ports
	// breaks says what it is that breaks the claim.
	breaks string
}

// Bounds of what is looked for.
const (
	maxCounterexamples = 5
	// maxDoubted is how many counterexamples that may be none are passed over.
	maxDoubted = 500
	// maxPairs is how many pairs of classes are asked for what is unknown.
	maxPairs = 20_000
	// maxTried is how many pairs of pods of two classes are tried for one that policies
	// are about.
	maxTried = 100_000
	// fewTried is how many are tried for others once there is one.
	fewTried = 100
)

// outcome is what is found of a claim.
type outcome struct {
	verdict  Verdict
	why      []string
	examples []Counterexample
	more     bool
}

// search looks for pairs that are what it is asked for.
type search struct {
	*checker
	claim
	// fromNumbers and toNumbers are the classes and pieces of the sets.
	fromNumbers, toNumbers *roaring.Bitmap
	// fromPods leaves out addresses: two of these are not about the cluster.
	fromPods *roaring.Bitmap
	stopped  bool
	visit    func(a, b reach.Side, ports reach.Ports) (more bool)
}

func (c *checker) newSearch(of claim, stopped bool, visit func(a, b reach.Side, ports reach.Ports) bool) *search {
	s := &search{checker: c, claim: of, stopped: stopped, visit: visit}
	s.fromNumbers = c.engine.Numbers(of.from.pods, of.from.addresses)
	s.toNumbers = c.engine.Numbers(of.to.pods, of.to.addresses)
	s.fromPods = c.engine.Numbers(of.from.pods, noAddresses())
	return s
}

// run visits pairs that may talk by one of the ports or, where stopped is asked for, may
// not by one.
func (s *search) run() {
	known := map[*reach.Cell]bool{} // what has no such pair, among receivers of the same
	s.toNumbers.Iterate(func(n uint32) bool {
		to := s.engine.EndOf(n)
		cells := s.incoming(n)
		from := s.fromNumbers
		_, address := s.engine.RangeOf(to)
		if address {
			from = s.fromPods
		}
		if len(cells) > 0 && !address && known[&cells[0]] {
			return true
		}
		hits := s.hits(cells, from)
		if len(hits) == 0 && len(cells) > 0 && !address {
			known[&cells[0]] = true
		}
		for _, h := range hits {
			more := true
			h.Peers.Iterate(func(f uint32) bool {
				more = s.pair(s.engine.EndOf(f), to, h.Ports)
				return more
			})
			if !more {
				return false
			}
		}
		return true
	})
}

// hits are the peers that are what is asked for, and by which ports.
func (s *search) hits(cells []reach.Cell, from *roaring.Bitmap) (out []reach.Cell) {
	if s.stopped {
		return missing(cells, from, s.ports)
	}
	for _, c := range cells {
		if ports := c.Ports.Intersect(s.ports); !ports.Empty() && c.Peers.Intersects(from) {
			out = append(out, reach.Cell{Ports: ports, Peers: roaring.And(c.Peers, from)})
		}
	}
	return out
}

// missing is what of some ports some peers have not.
func missing(cells []reach.Cell, from *roaring.Bitmap, ports reach.Ports) []reach.Cell {
	left := []reach.Cell{{Ports: ports, Peers: from}}
	if from.IsEmpty() {
		return nil
	}
	for _, c := range cells {
		left = reach.Without(left, c)
	}
	return left
}

// pair visits sides of two ends that policies are about, of different workloads while there
// are few of them.
func (s *search) pair(from, to reach.End, ports reach.Ports) bool {
	tried, found := 0, false
	for a := range s.sides(from, s.from) {
		for b := range s.sides(to, s.to) {
			if tried++; tried > maxTried || found && tried > fewTried {
				return true
			}
			if s.engine.Cluster.Exempt(a, b) {
				continue
			}
			found = true
			if !s.visit(a, b, ports) {
				return false
			}
		}
	}
	return true
}

// counterexample is what two sides are that are found.
func (s *search) counterexample(a, b reach.Side, ports reach.Ports) Counterexample {
	x := Counterexample{From: a, To: b, Ports: ports, Stopped: s.stopped, Breaks: s.breaks, Doubts: s.engine.UnknownBetween(a, b)}
	x.Protocol, x.Port = firstOf(ports)
	return x
}

// sides visits the pods of a set that are in a class, or addresses of it in a piece: the
// first ones of each range, and beyond those of nodes.
func (s *search) sides(of reach.End, in set) func(func(reach.Side) bool) {
	piece, address := s.engine.RangeOf(of)
	return func(visit func(reach.Side) bool) {
		if !address {
			for _, n := range s.engine.Pods(of) {
				if in.pods.Contains(uint32(n)) && !visit(reach.Side{Pod: s.engine.Cluster.Pods[n]}) {
					return
				}
			}
			return
		}
		for a := range s.addressesIn(piece, in.addresses) {
			if !visit(reach.Side{Address: a}) {
				return
			}
		}
	}
}

func (s *search) addressesIn(piece netipx.IPRange, in *netipx.IPSet) func(func(netip.Addr) bool) {
	return func(visit func(netip.Addr) bool) {
		for _, r := range in.Ranges() {
			if !r.Overlaps(piece) {
				continue
			}
			first, last := r.From(), r.To()
			if first.Less(piece.From()) {
				first = piece.From()
			}
			if piece.To().Less(last) {
				last = piece.To()
			}
			if first.IsUnspecified() && first != last {
				first = first.Next() // it is no address of anybody
			}
			for range len(s.nodeAddresses) + 1 { // one of so many is no node's
				if !visit(first) {
					return
				}
				if first == last {
					break
				}
				first = first.Next()
			}
		}
	}
}

func firstOf(ports reach.Ports) (protocol reach.Protocol, port uint16) {
	ports.Each(func(p reach.Protocol, from, _ uint16) {
		if port == 0 {
			protocol, port = p, from
		}
	})
	return protocol, port
}

// collector takes counterexamples, those without doubt first.
type collector struct {
	out              outcome
	certain, doubted int
	seen             map[[2]string]bool
}

// take takes two sides, and says whether others are wanted.
func (c *collector) take(s *search, a, b reach.Side, ports reach.Ports) bool {
	key := [2]string{s.breaks, s.breaks}
	if a.Pod != nil { // one address of all is enough
		key[0] = a.String()
	}
	if b.Pod != nil {
		key[1] = b.String()
	}
	switch {
	case c.seen[key]:
		return true
	case c.certain == maxCounterexamples:
		c.out.more = true
		return false
	}
	x := s.counterexample(a, b, ports)
	if len(x.Doubts) > 0 {
		if c.doubted++; c.doubted == 1 && c.certain == 0 {
			c.out.why, c.out.examples = x.Doubts, []Counterexample{x}
		}
		return c.doubted < maxDoubted
	}
	if c.certain == 0 {
		c.out.why, c.out.examples = []string{s.breaks}, nil
	}
	c.certain++
	c.seen[key] = true
	c.out.examples = append(c.out.examples, x)
	return true
}

// prove finds out whether a claim is true.
func (c *checker) prove(of claim) outcome {
	if of.from.empty() || of.to.empty() {
		return outcome{verdict: Holds}
	}
	if of.kind == some {
		return c.proveSome(of)
	}
	found := collector{seen: map[[2]string]bool{}}
	s := c.newSearch(of, of.kind == all, nil)
	s.visit = func(a, b reach.Side, ports reach.Ports) bool { return found.take(s, a, b, ports) }
	s.run()
	switch {
	case found.certain > 0:
		found.out.verdict = Refuted
	case found.doubted > 0:
		found.out.verdict = Unknown
	default:
		found.out.verdict = Holds
		if found.out.why = c.doubts(of); len(found.out.why) > 0 {
			found.out.verdict = Unknown
		}
	}
	return found.out
}

// proveSome looks for one pair that may talk. Where there is none, one that may not is the
// counterexample.
func (c *checker) proveSome(of claim) outcome {
	var doubts []string
	found, doubted := false, 0
	s := c.newSearch(of, false, nil)
	s.visit = func(a, b reach.Side, ports reach.Ports) bool {
		x := s.counterexample(a, b, ports)
		found = len(x.Doubts) == 0
		doubts = x.Doubts
		doubted++
		return !found && doubted < maxDoubted
	}
	if s.run(); found {
		return outcome{verdict: Holds}
	}
	if doubted == 0 {
		doubts = c.doubts(of)
	}
	if len(doubts) > 0 {
		return outcome{verdict: Unknown, why: doubts}
	}
	out := outcome{verdict: Refuted, why: []string{of.breaks}}
	s.stopped = true
	s.visit = func(a, b reach.Side, ports reach.Ports) bool {
		out.examples = append(out.examples, s.counterexample(a, b, ports))
		return false
	}
	if s.run(); len(out.examples) == 0 { // all pairs talk whatever policies say
		return outcome{verdict: Holds}
	}
	return out
}

// doubts say why a claim of which no counterexample is found may be false all the same.
func (c *checker) doubts(of claim) []string {
	s := c.newSearch(of, false, nil)
	asked := 0
	for _, t := range s.toNumbers.ToArray() {
		receiver, address := c.doubtOf(reach.Ingress, t)
		for _, f := range s.fromNumbers.ToArray() {
			sender, fromAddress := c.doubtOf(reach.Egress, f)
			if address && fromAddress || !meets(receiver, fromAddress) && !meets(sender, address) {
				continue
			}
			if why := s.doubtsBetween(c.engine.EndOf(f), c.engine.EndOf(t), &asked); len(why) > 0 {
				return why
			}
			if asked > maxPairs {
				return []string{"the answers for many pairs may be unknown, more than are looked at: name fewer ends"}
			}
		}
	}
	return nil
}

// doubtsBetween asks one pair of two ends or, where there are policies that are not
// understood and may choose some pods of a class, all pairs.
func (s *search) doubtsBetween(from, to reach.End, asked *int) []string {
	for a := range s.sides(from, s.from) {
		for b := range s.sides(to, s.to) {
			if *asked++; *asked > maxPairs {
				return nil
			}
			if s.engine.Cluster.Exempt(a, b) {
				continue
			}
			if why := s.engine.UnknownBetween(a, b); len(why) > 0 || len(s.engine.Cluster.Unknown) == 0 {
				return why
			}
		}
	}
	return nil
}

// meets reports whether a doubt is about a peer that is an address, or a pod.
func meets(d reach.Doubt, address bool) bool {
	if address {
		return d.Addresses
	}
	return d.Pods
}

// doubtOf is the doubt about a class; of an address there is none.
func (c *checker) doubtOf(d reach.Direction, n uint32) (reach.Doubt, bool) {
	end := c.engine.EndOf(n)
	pods := c.engine.Pods(end)
	if len(pods) == 0 {
		return reach.Doubt{}, true
	}
	known, ok := c.doubtful[d][n]
	if !ok {
		for _, p := range pods {
			one := c.screen.Of(d, c.engine.Cluster.Pods[p])
			known.Pods, known.Addresses = known.Pods || one.Pods, known.Addresses || one.Addresses
			if len(c.engine.Cluster.Unknown) == 0 {
				break // of a class all are alike, but for policies that are not understood
			}
		}
		c.doubtful[d][n] = known
	}
	return known, false
}

// unique are texts, each once.
func unique(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}
