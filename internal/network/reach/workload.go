package reach

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"go4.org/netipx"
)

// Workload is all pods that one object makes.
type Workload struct {
	Namespace, Kind, Name string
	// Pods are numbers of Cluster.Pods.
	Pods    []int
	classes *roaring.Bitmap
}

func (w *Workload) String() string { return w.Namespace + "/" + w.Kind + "/" + w.Name }

// Workloads lists the workloads, by namespace and name.
func (e *Engine) Workloads() []*Workload {
	var out []*Workload
	at := map[string]*Workload{}
	for i, p := range e.Cluster.Pods {
		key := p.String()
		w := at[key]
		if w == nil {
			w = &Workload{Namespace: p.Namespace, Kind: p.Kind, Name: p.Name, classes: roaring.New()}
			at[key] = w
			out = append(out, w)
		}
		w.Pods = append(w.Pods, i)
		w.classes.Add(uint32(e.classOf[i]))
	}
	slices.SortStableFunc(out, func(a, b *Workload) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// Peers are ends that something is said about. Flows share them: they are not to be
// changed.
type Peers struct {
	Workloads []*Workload
	// Addresses are outside the cluster.
	Addresses []netip.Prefix
}

// Flow says who reaches some ends, by which ports.
type Flow struct {
	// To is a workload, or Addresses are those outside that are reached.
	To        *Workload
	Addresses []netip.Prefix
	Ports     Ports
	From      Peers
}

// mapper names the ends of a map.
type mapper struct {
	*Engine
	workloads []*Workload
	// ofClass are the workloads of each class.
	ofClass [][]int
	// known are sets that were named, by their checksums: many flows are from the same.
	known map[uint64][]namedSet
}

type namedSet struct {
	set   *roaring.Bitmap
	peers Peers
}

// Map lists who reaches whom: of each workload, who reaches some pod of it, and by which
// ports; and of addresses outside, by which ports they are reached by whom. A workload that
// reaches itself is among them: its replicas reach one another.
func (e *Engine) Map() []Flow {
	m := &mapper{e, e.Workloads(), make([][]int, len(e.classes)), map[uint64][]namedSet{}}
	for i, w := range m.workloads {
		w.classes.Iterate(func(c uint32) bool {
			m.ofClass[c] = append(m.ofClass[c], i)
			return true
		})
	}
	cells := make([][]Cell, len(m.workloads))
	e.Connections(func(to End, from []Cell) {
		if n := int(to.number); n < len(e.classes) {
			for _, w := range m.ofClass[n] {
				cells[w] = append(cells[w], from...)
			}
		}
	})
	var out []Flow
	for i, w := range m.workloads {
		if len(cells[i]) == 0 {
			out = append(out, Flow{To: w})
		}
		for _, c := range sortCells(join(cells[i])) {
			out = append(out, Flow{To: w, Ports: c.Ports, From: m.peers(c.Peers)})
		}
	}
	return append(out, m.outside()...)
}

// outside lists who reaches addresses outside: all of which the same rules are about
// together. By address there may be as many lists of nearly all workloads as there are
// pieces: each namespace may have exceptions of its own.
func (m *mapper) outside() (out []Flow) {
	type reached struct {
		pieces *roaring.Bitmap
		ports  Ports
		from   []*roaring.Bitmap
	}
	at := map[string]*reached{}
	var all []*reached
	for _, g := range m.groups[Egress] {
		for _, c := range g.cells {
			pieces := c.Peers.Clone()
			pieces.RemoveRange(0, uint64(m.numberOf(0)))
			if pieces.IsEmpty() {
				continue
			}
			key := c.Ports.String() + "\x00" + keyOf(pieces, 1<<32-1)
			if at[key] == nil {
				at[key] = &reached{pieces: pieces, ports: c.Ports}
				all = append(all, at[key])
			}
			at[key].from = append(at[key].from, g.members)
		}
	}
	for _, r := range all {
		if from := m.peers(roaring.FastOr(r.from...)); len(from.Workloads) > 0 {
			out = append(out, Flow{Addresses: m.prefixes(r.pieces), Ports: r.ports, From: Peers{Workloads: from.Workloads}})
		}
	}
	slices.SortFunc(out, func(a, b Flow) int {
		return cmp.Or(slices.CompareFunc(a.Addresses, b.Addresses, func(a, b netip.Prefix) int {
			return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
		}), a.Ports.compare(b.Ports))
	})
	return out
}

// keyOf tells sets of classes apart.
func keyOf(b *roaring.Bitmap, classes uint32) string {
	pods := b.Clone()
	pods.RemoveRange(uint64(classes), 1<<32)
	pods.RunOptimize()
	text, _ := pods.ToBytes()
	return string(text)
}

// peers names the workloads of which some pod is in a set, and its addresses. Sets that are
// the same share them.
func (m *mapper) peers(set *roaring.Bitmap) (out Peers) {
	sum := set.Checksum()
	for _, n := range m.known[sum] {
		if n.set.Equals(set) {
			return n.peers
		}
	}
	var numbers []int
	pieces := roaring.New()
	for first, after := range set.Ranges() {
		for n := uint64(first); n < after; n++ {
			if n >= uint64(len(m.classes)) {
				pieces.AddRange(n, after)
				break
			}
			numbers = append(numbers, m.ofClass[n]...)
		}
	}
	slices.Sort(numbers)
	for _, i := range slices.Compact(numbers) {
		out.Workloads = append(out.Workloads, m.workloads[i])
	}
	out.Addresses = m.prefixes(pieces)
	m.known[sum] = append(m.known[sum], namedSet{set, out})
	return out
}

// prefixes are pieces of addresses as blocks.
func (e *Engine) prefixes(pieces *roaring.Bitmap) []netip.Prefix {
	var b netipx.IPSetBuilder
	for first, after := range pieces.Ranges() {
		e.addresses.ranges(int(first)-len(e.classes), int(after)-len(e.classes), b.AddRange)
	}
	set, err := b.IPSet()
	if err != nil {
		return nil // pieces are valid ranges
	}
	return set.Prefixes()
}
