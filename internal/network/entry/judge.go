package entry

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"go4.org/netipx"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// way is how traffic comes to a backend.
type way struct {
	// sources are addresses; nil for any pod of the cluster, unless from names pods.
	sources []netip.Prefix
	// from are pods that pass traffic on.
	from []*reach.Pod
	// rewritten says that a node may put its own address in the place of the client's.
	rewritten bool
	// guessed says that some of the sources are it, and which is not known: traffic that
	// only some may send is not known to arrive.
	guessed bool
}

// judge asks an engine whether traffic arrives, each question once.
type judge struct {
	engine *reach.Engine
	screen *reach.Screen
	sets   map[string]*senders
	known  map[question]Backend
	split  map[splitKey][]Target
	// every are all pods, and everyone their numbers.
	every    *senders
	everyone *roaring.Bitmap
	// pods are those of an end: the first, and how many there are.
	pods map[reach.End]members
	// letIn are those whom policies let in, of a class and port.
	letIn map[question]admission
}

// members are the first pod of an end, which stands for all, and their number.
type members struct {
	first *reach.Pod
	count int
	// doubtful says to whom it may not be known what they may send.
	doubtful reach.Doubt
}

func (j *judge) members(of reach.End) members {
	known, ok := j.pods[of]
	if !ok {
		if pods := j.engine.Pods(of); len(pods) > 0 {
			first := j.engine.Cluster.Pods[pods[0]]
			known = members{first, len(pods), j.screen.Of(reach.Egress, first)}
		}
		j.pods[of] = known
	}
	return known
}

// senders are ends that may send, and where they are addresses, which.
type senders struct {
	number    int
	ends      []reach.End
	addresses *netipx.IPSet
}

type question struct {
	from               int
	to                 reach.End
	protocol           reach.Protocol
	port               uint16
	rewritten, guessed bool
}

type splitKey struct {
	first *reach.Pod
	count int
}

func newJudge(e *reach.Engine) *judge {
	return &judge{engine: e, screen: reach.NewScreen(e.Cluster), sets: map[string]*senders{}, known: map[question]Backend{}, split: map[splitKey][]Target{}, letIn: map[question]admission{}, pods: map[reach.End]members{}}
}

// target judges the pods of a target, those that policies tell apart each by themselves.
func (j *judge) target(s *Service, t Target, w way) (out []Backend) {
	if len(t.Pods) == 0 {
		b := Backend{Verdict: Allowed} // nodes send on what comes from outside, which no policy is about
		if w.sources == nil {
			b = j.backend(t, w)
		}
		b.Address, b.Service, b.Protocol, b.Port = t.Address, s, t.Protocol, t.Port
		return []Backend{b}
	}
	for _, part := range j.parts(t) {
		b := j.backend(part, w)
		b.Service = s
		out = append(out, b)
	}
	return out
}

// side is the first of a target's pods, which stands for all, or its address.
func (t *Target) side() reach.Side {
	if len(t.Pods) == 0 {
		return reach.Side{Address: t.Address}
	}
	return reach.Side{Pod: t.Pods[0]}
}

// anyNode is said of traffic that a node may put its own address on.
func (j *judge) anyNode() string {
	addresses := ""
	for _, name := range slices.Sorted(maps.Keys(j.engine.Cluster.Nodes)) {
		node := j.engine.Cluster.Nodes[name]
		if len(node.Addresses) == 0 {
			continue
		}
		if addresses != "" {
			addresses += ", or of another"
			break
		}
		addresses = ", " + node.Addresses[0].String() + " of " + name
	}
	return fmt.Sprintf("externalTrafficPolicy is Cluster: policies may see the address of the node where traffic arrives (%s) in place of the client's, and a pod always lets in its own node; which one they see differs by network plugin",
		cmp.Or(strings.TrimPrefix(addresses, ", "), "which nodes there are is not known"))
}

// parts are the pods of a target by their class.
func (j *judge) parts(t Target) []Target {
	key := splitKey{t.Pods[0], len(t.Pods)}
	known, ok := j.split[key]
	if !ok {
		at := map[reach.End]int{}
		for _, p := range t.Pods {
			end, _ := j.engine.End(reach.Side{Pod: p})
			i, seen := at[end]
			if !seen {
				i = len(known)
				at[end] = i
				known = append(known, Target{})
			}
			known[i].Pods = append(known[i].Pods, p)
		}
		j.split[key] = known
	}
	out := make([]Target, len(known))
	for i, part := range known {
		out[i] = Target{Pods: part.Pods, Protocol: t.Protocol, Port: t.Port}
	}
	return out
}

// backend judges pods of one class.
func (j *judge) backend(t Target, w way) Backend {
	side := t.side()
	end, _ := j.engine.End(side)
	from := j.senders(w)
	q := question{from.number, end, t.Protocol, t.Port, w.rewritten, w.guessed}
	b, ok := j.known[q]
	if !ok {
		b = j.ask(t, end, from)
		if w.guessed && len(b.Admitted) > 0 {
			b.Verdict, b.Others, b.Unknown = Unknown, Unknown, append(b.Unknown, "policies let in only some of the addresses that it may come from: "+list(b.Admitted))
		}
		switch {
		case w.rewritten && b.Verdict == Denied:
			b.Verdict, b.Unknown = Unknown, append(b.Unknown, j.anyNode())
		case w.rewritten && len(b.Admitted) > 0:
			b.Others, b.Doubts = Unknown, append(b.Doubts, j.anyNode())
		}
		j.known[q] = b
	}
	b.Pods, b.Protocol, b.Port = t.Pods, t.Protocol, t.Port
	if len(b.Hops) > 0 { // the example is about the first pod that was asked about
		b.Hops = slices.Clone(b.Hops)
		b.Hops[0].To = side
	}
	j.ownNode(&b, t, w.from)
	return b
}

func list(of []netip.Prefix) string {
	var out []string
	for i, p := range of {
		if i == 8 {
			out = append(out, "and others")
			break
		}
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

// ownNode is about pods that send from the network of their node, which every pod on that
// node lets in whatever policies say.
func (j *judge) ownNode(b *Backend, t Target, from []*reach.Pod) {
	if b.Verdict == Allowed || len(t.Pods) == 0 {
		return
	}
	nodes := map[string]*reach.Pod{}
	for _, p := range from {
		if p.HostNetwork {
			nodes[p.Node] = p
		}
	}
	if len(nodes) == 0 {
		return
	}
	for _, p := range t.Pods {
		if sender := nodes[p.Node]; p.Node != "" && sender != nil {
			b.Verdict, b.Unknown = Allowed, nil
			b.Hops = []Hop{{From: reach.Side{Pod: sender}, To: reach.Side{Pod: p}, Protocol: t.Protocol, Port: max(t.Port, 1)}}
			b.Doubts = append(slices.Clip(b.Doubts), fmt.Sprintf("policies stop it, but for that from the node that %s is on", p))
			return
		}
	}
	if nodes[""] != nil || t.Pods[0].Node == "" {
		b.Verdict = Unknown
		b.Unknown = append(slices.Clip(b.Unknown), fmt.Sprintf("%s is in the network of its node, which pods on that node always let in, and which node that is is not known", from[0]))
	}
}

// ask asks about each end that may send, until one may for certain. Of addresses all are
// asked, as it matters which may.
func (j *judge) ask(t Target, to reach.End, from *senders) (b Backend) {
	side := t.side()
	hop := func(of reach.End) Hop {
		port := t.Port
		if port == 0 {
			port = 1
		}
		return Hop{From: j.side(of, from), To: side, Protocol: t.Protocol, Port: port}
	}
	var about reach.Doubt
	if side.Pod != nil {
		about = j.screen.Of(reach.Ingress, side.Pod)
	}
	var in, out []reach.End
	for of := range j.asked(to, t, from) {
		if of == to && j.members(to).count == 1 && side.Pod.Runs() {
			continue // it would reach nobody but itself
		}
		if !arrives(j.engine.Allowed(of, to), t) {
			out = append(out, of)
			continue
		}
		if in = append(in, of); from.addresses == nil && len(j.doubts(of, to, about)) == 0 {
			break
		}
	}
	if len(in) > 0 {
		j.admitted(&b, in, out, from, hop, func(of reach.End) []string { return j.doubts(of, to, about) })
		return b
	}
	if len(from.ends) > 0 {
		b.Hops = []Hop{hop(from.ends[0])}
	}
	for i, of := range from.ends {
		if from == j.every && i == maxDoubted {
			b.Verdict, b.Unknown = Unknown, []string{fmt.Sprintf("of the pods that it may come from only %d were looked at for what is not known", maxDoubted)}
			break
		}
		if why := j.doubts(of, to, about); len(why) > 0 {
			b.Verdict, b.Unknown, b.Hops = Unknown, why, []Hop{hop(of)}
			break
		}
	}
	return b
}

// admitted judges pods that some ends are let in to, and others are not. Of addresses it
// says which for certain.
func (j *judge) admitted(b *Backend, in, out []reach.End, from *senders, hop func(reach.End) Hop, doubts func(reach.End) []string) {
	var sure, unsure []reach.End
	for _, of := range in {
		if len(doubts(of)) == 0 {
			sure = append(sure, of)
		} else {
			unsure = append(unsure, of)
		}
		if from.addresses == nil && len(sure) > 0 {
			break
		}
	}
	if len(sure) == 0 {
		b.Verdict, b.Unknown, b.Hops = Unknown, doubts(in[0]), []Hop{hop(in[0])}
		sure, unsure = in, nil
	} else {
		b.Verdict, b.Hops = Allowed, []Hop{hop(sure[0])}
	}
	if from.addresses == nil || len(out)+len(unsure) == 0 {
		return
	}
	b.Admitted = j.prefixes(sure, from)
	for _, of := range append(unsure, out...) {
		if why := doubts(of); len(why) > 0 {
			b.Others = Unknown
			if b.Verdict == Allowed {
				b.Doubts = append(b.Doubts, why...)
			}
			break
		}
	}
}

// maxDoubted bounds how many pods are asked about for an answer that is no for all.
const maxDoubted = 500

// asked are the ends that are asked about: of all pods only those whose traffic policies
// about the receiver let in, as there may be very many that they do not.
func (j *judge) asked(to reach.End, t Target, from *senders) iter.Seq[reach.End] {
	if from != j.every || t.Port == 0 {
		return slices.Values(from.ends)
	}
	peers := j.engine.Receives(to, t.Protocol, t.Port)
	peers.And(j.everyone)
	return func(yield func(reach.End) bool) {
		for it := peers.Iterator(); it.HasNext(); {
			if !yield(j.engine.EndOf(it.Next())) {
				return
			}
		}
	}
}

func arrives(ports reach.Ports, t Target) bool {
	if t.Port == 0 {
		return !ports.Empty()
	}
	return ports.Contains(t.Protocol, t.Port)
}

// doubts says why an answer may be wrong. Most pods are certain, and are not asked about.
func (j *judge) doubts(from, to reach.End, about reach.Doubt) []string {
	sender := j.members(from)
	if sender.first == nil && !about.Addresses || sender.first != nil && !about.Pods && !sender.doubtful.Pods && !sender.doubtful.Addresses {
		return nil
	}
	return j.engine.Unknown(from, to)
}

// senders are the ends of a way, each set once.
func (j *judge) senders(w way) *senders {
	if w.sources == nil && w.from == nil {
		if j.every == nil {
			all := roaring.New()
			all.AddRange(0, uint64(len(j.engine.Cluster.Pods)))
			j.everyone = j.engine.Numbers(all, &netipx.IPSet{})
			j.every = &senders{number: -1, ends: j.ends(j.everyone)}
		}
		return j.every
	}
	key := joined(w.sources)
	if w.from != nil {
		key = "pods of " + w.from[0].String()
	}
	if known := j.sets[key]; known != nil {
		return known
	}
	s := &senders{number: len(j.sets)}
	if w.from != nil {
		seen := map[reach.End]bool{}
		for _, p := range w.from {
			if end, ok := j.engine.End(reach.Side{Pod: p}); ok && !seen[end] {
				seen[end] = true
				s.ends = append(s.ends, end)
			}
		}
	} else {
		s.addresses = addressSet(w.sources)
		s.ends = j.ends(j.engine.Numbers(roaring.New(), s.addresses))
	}
	j.sets[key] = s
	return s
}

// joined tells lists of blocks apart.
func joined(of []netip.Prefix) string {
	var out []string
	for _, p := range of {
		out = append(out, p.String())
	}
	return strings.Join(out, ",")
}

// addressSet is a set of blocks.
func addressSet(of []netip.Prefix) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, p := range of {
		b.AddPrefix(p)
	}
	set, err := b.IPSet()
	if err != nil {
		return &netipx.IPSet{} // blocks that were parsed are valid
	}
	return set
}

func (j *judge) ends(of *roaring.Bitmap) (out []reach.End) {
	of.Iterate(func(n uint32) bool {
		out = append(out, j.engine.EndOf(n))
		return true
	})
	return out
}

// side is an example of an end: a pod, or an address that may send, of the internet if
// there is one.
func (j *judge) side(of reach.End, from *senders) reach.Side {
	if pod := j.members(of).first; pod != nil {
		return reach.Side{Pod: pod}
	}
	set := j.meet(of, from)
	var b netipx.IPSetBuilder
	b.AddSet(set)
	b.Intersect(reach.PublicAddresses())
	if public, err := b.IPSet(); err == nil && len(public.Ranges()) > 0 {
		set = public
	}
	if all := set.Ranges(); len(all) > 0 {
		return reach.Side{Address: all[0].From()}
	}
	return reach.Side{Address: netip.IPv4Unspecified()}
}

// meet are the addresses of an end that may send.
func (j *judge) meet(of reach.End, from *senders) *netipx.IPSet {
	var b netipx.IPSetBuilder
	if r, ok := j.engine.RangeOf(of); ok {
		b.AddRange(r)
	}
	if from.addresses != nil {
		b.Intersect(from.addresses)
	}
	set, err := b.IPSet()
	if err != nil {
		return &netipx.IPSet{}
	}
	return set
}

func (j *judge) prefixes(ends []reach.End, from *senders) []netip.Prefix {
	var b netipx.IPSetBuilder
	for _, of := range ends {
		b.AddSet(j.meet(of, from))
	}
	set, err := b.IPSet()
	if err != nil {
		return nil
	}
	return set.Prefixes()
}
