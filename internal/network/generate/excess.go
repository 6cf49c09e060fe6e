package generate

import (
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"go4.org/netipx"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// numbers are a unit as the engine numbers ends: the classes of which all pods are its
// own, and the pieces all of whose addresses are.
type numbers struct{ ends *roaring.Bitmap }

func (p *prover) numbers(u *unit) *roaring.Bitmap {
	if known := p.numbered[u.End]; known != nil {
		return known.ends
	}
	out := p.engine.Numbers(u.members, u.addresses)
	for _, n := range out.ToArray() {
		end := p.engine.EndOf(n)
		whole := true
		for _, pod := range p.engine.Pods(end) {
			whole = whole && u.members.Contains(uint32(pod))
		}
		if r, ok := p.engine.RangeOf(end); ok {
			whole = u.addresses.ContainsRange(r)
		}
		if !whole {
			out.Remove(n)
		}
	}
	p.numbered[u.End] = &numbers{out}
	return out
}

// nothingElse compares who reaches each end with who should, or does by policies of others.
func (p *prover) nothingElse() {
	byPod, byAddress := p.wantsByReceiver()
	base := newTranslation(p.before, p.engine)
	denied := p.deniedEnds()
	p.engine.Connections(func(to reach.End, from []reach.Cell) {
		if !denied.Contains(p.engine.Number(to)) { // only who sends may be denied something
			from = only(from, denied)
		}
		for _, c := range from {
			p.out.Pairs += c.Peers.GetCardinality()
		}
		if r, address := p.engine.RangeOf(to); address {
			var wants []*Want
			for _, w := range byAddress {
				if u, err := p.units.of(w.To); err == nil && u.addresses.ContainsRange(r) {
					wants = append(wants, w)
				}
			}
			p.compare(reach.Side{Address: r.From()}, from, wants, base)
			return
		}
		seen := map[string]bool{}
		for _, n := range p.engine.Pods(to) {
			pod := p.after.Pods[n]
			key := keyOf(byPod[uint32(n)], pod)
			if !seen[key] { // pods of one class may be wanted differently
				seen[key] = true
				p.compare(reach.Side{Pod: pod}, from, byPod[uint32(n)], base)
			}
		}
	})
}

// deniedEnds are the pods that the default denials are about. What others do with one
// another is not changed by what is written.
func (p *prover) deniedEnds() *roaring.Bitmap {
	pods := roaring.New()
	for i, pod := range p.after.Pods {
		if !pod.HostNetwork && slices.Contains(p.namespaces, pod.Namespace) {
			pods.Add(uint32(i))
		}
	}
	return p.engine.Numbers(pods, &netipx.IPSet{})
}

// only keeps the peers that are among some.
func only(cells []reach.Cell, peers *roaring.Bitmap) (out []reach.Cell) {
	for _, c := range cells {
		if both := roaring.And(c.Peers, peers); !both.IsEmpty() {
			out = append(out, reach.Cell{Ports: c.Ports, Peers: both})
		}
	}
	return out
}

func keyOf(wants []*Want, pod *reach.Pod) string {
	key := ""
	for _, w := range wants {
		key += w.From.String() + "\x00" + portsOf(w, pod).String() + "\x00"
	}
	return key
}

// wantsByReceiver are the wants of each pod that receives, and those of addresses.
func (p *prover) wantsByReceiver() (byPod map[uint32][]*Want, byAddress []*Want) {
	byPod = map[uint32][]*Want{}
	for _, w := range p.Wants {
		u, err := p.units.of(w.To)
		if err != nil {
			continue
		}
		u.members.Iterate(func(n uint32) bool {
			byPod[n] = append(byPod[n], w)
			return true
		})
		if len(u.addresses.Ranges()) > 0 {
			byAddress = append(byAddress, w)
		}
	}
	return byPod, byAddress
}

// compare takes away from who reaches a side those who should, and those who did.
func (p *prover) compare(to reach.Side, from []reach.Cell, wants []*Want, base *translation) {
	left := from
	for _, w := range wants {
		u, err := p.units.of(w.From)
		if err != nil {
			continue
		}
		ports := w.Ports
		if to.Pod != nil {
			ports = portsOf(w, to.Pod)
		}
		left = reach.Without(left, reach.Cell{Ports: ports, Peers: p.numbers(u)})
	}
	for _, c := range left {
		p.out.Left += c.Peers.GetCardinality()
	}
	for _, c := range base.cells(to) {
		left = reach.Without(left, c)
	}
	for _, c := range left {
		p.out.Left -= min(p.out.Left, c.Peers.GetCardinality())
		c.Peers.Iterate(func(n uint32) bool {
			p.excess(p.engine.EndOf(n), to, c.Ports, wants)
			return len(p.out.Excess) < p.most
		})
	}
}

// excess notes that an end reaches a side, if it is not all wanted of one by one: of the
// pods of a class some wants may be about one, and some about others.
func (p *prover) excess(from reach.End, to reach.Side, all reach.Ports, wants []*Want) {
	ports := all
	var side reach.Side
	name := ""
	if r, ok := p.engine.RangeOf(from); ok {
		if to.Pod == nil {
			return // between addresses
		}
		side, name = reach.Side{Address: r.From()}, r.String()
	}
	for _, n := range p.engine.Pods(from) {
		s := reach.Side{Pod: p.after.Pods[n]}
		if ports = p.unwanted(n, to, all, wants); !ports.Empty() && !p.after.Exempt(s, to) {
			side, name = s, s.String()
			break
		}
	}
	if name == "" || len(p.out.Excess) >= p.most {
		return // whatever policies say
	}
	protocol, port := firstOf(ports)
	x := p.after.Explain(side, to, protocol, port)
	var by []string
	for _, r := range append(x.Egress.Rules, x.Ingress.Rules...) {
		if r.Policy != nil {
			by = append(by, "NetworkPolicy "+r.Policy.Namespace+"/"+r.Policy.Name)
		}
	}
	p.out.Excess = append(p.out.Excess, Failure{From: name, To: to.String(), Ports: ports.String(), Why: "it is open by " + strings.Join(by, ", ") + ", and nobody wants it"})
}

// unwanted are the ports that nobody wants from a pod.
func (p *prover) unwanted(pod int, to reach.Side, ports reach.Ports, wants []*Want) reach.Ports {
	for _, w := range wants {
		if u, err := p.units.of(w.From); err == nil && u.members.Contains(uint32(pod)) {
			ports = ports.Minus(wanted(w, to))
		}
	}
	return ports
}

// translation says who reached whom before, by the numbers of the engine after.
type translation struct {
	before, after *reach.Engine
	received      map[uint32][]reach.Cell
	podNumbers    map[*reach.Pod]int
	// numbers are those before of each end after: ends after are finer.
	numbers [][]uint32
	known   map[*roaring.Bitmap]*roaring.Bitmap
}

func newTranslation(before, after *reach.Engine) *translation {
	t := &translation{before: before, after: after, received: map[uint32][]reach.Cell{}, podNumbers: map[*reach.Pod]int{}, known: map[*roaring.Bitmap]*roaring.Bitmap{}}
	for i, p := range before.Cluster.Pods {
		t.podNumbers[p] = i
	}
	before.Connections(func(to reach.End, from []reach.Cell) { t.received[before.Number(to)] = from })
	after.Connections(func(to reach.End, _ []reach.Cell) {
		seen := map[uint32]bool{}
		var all []uint32
		add := func(n uint32) {
			if !seen[n] {
				seen[n] = true
				all = append(all, n)
			}
		}
		for _, n := range after.Pods(to) {
			add(before.Number(before.PodEnd(t.podNumbers[after.Cluster.Pods[n]])))
		}
		if r, ok := after.RangeOf(to); ok {
			add(before.Number(before.AddressEnd(r.From())))
			add(before.Number(before.AddressEnd(r.To())))
		}
		for int(after.Number(to)) >= len(t.numbers) {
			t.numbers = append(t.numbers, nil)
		}
		t.numbers[after.Number(to)] = all
	})
	return t
}

// cells are who reached a side before.
func (t *translation) cells(to reach.Side) (out []reach.Cell) {
	end, ok := t.before.End(to)
	if !ok {
		return nil
	}
	for _, c := range t.received[t.before.Number(end)] {
		peers := t.known[c.Peers]
		if peers == nil {
			peers = roaring.New()
			for after, all := range t.numbers {
				whole := true
				for _, n := range all {
					whole = whole && c.Peers.Contains(n)
				}
				if whole {
					peers.Add(uint32(after))
				}
			}
			t.known[c.Peers] = peers
		}
		out = append(out, reach.Cell{Ports: c.Ports, Peers: peers})
	}
	return out
}
