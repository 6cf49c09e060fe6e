package reach

import (
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

// Peers are ends that something is said about.
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

// Map lists who reaches whom: of each workload, and of addresses outside of which the
// same is true, who reaches some pod of it, and by which ports. A workload that reaches
// itself is among them: its replicas reach one another.
func (e *Engine) Map() []Flow {
	workloads := e.Workloads()
	ofClass := make([][]int, len(e.classes))
	for i, w := range workloads {
		w.classes.Iterate(func(c uint32) bool {
			ofClass[c] = append(ofClass[c], i)
			return true
		})
	}
	cells := make([][]Cell, len(workloads))
	outside := map[string]*outsideFlow{}
	var order []string
	e.Connections(func(to End, from []Cell) {
		if n := int(to.number); n < len(e.classes) {
			for _, w := range ofClass[n] {
				cells[w] = append(cells[w], from...)
			}
			return
		}
		piece := int(to.number) - len(e.classes)
		for _, c := range from {
			key := c.Ports.String() + "\x00" + keyOf(c.Peers, uint32(len(e.classes)))
			if outside[key] == nil {
				outside[key] = &outsideFlow{cell: c}
				order = append(order, key)
			}
			outside[key].pieces = append(outside[key].pieces, piece)
		}
	})
	var out []Flow
	for i, w := range workloads {
		if len(cells[i]) == 0 {
			out = append(out, Flow{To: w})
		}
		for _, c := range join(cells[i]) {
			out = append(out, Flow{To: w, Ports: c.Ports, From: e.peersOf(c.Peers, workloads, ofClass)})
		}
	}
	for _, key := range order {
		f := outside[key]
		peers := e.peersOf(f.cell.Peers, workloads, ofClass)
		if peers.Addresses = nil; len(peers.Workloads) > 0 {
			out = append(out, Flow{Addresses: e.prefixes(f.pieces), Ports: f.cell.Ports, From: peers})
		}
	}
	return out
}

// outsideFlow is what the same pods may send to several pieces of addresses.
type outsideFlow struct {
	cell   Cell
	pieces []int
}

// keyOf tells sets of classes apart.
func keyOf(b *roaring.Bitmap, classes uint32) string {
	pods := b.Clone()
	pods.RemoveRange(uint64(classes), 1<<32)
	pods.RunOptimize()
	text, _ := pods.ToBytes()
	return string(text)
}

// peersOf names the workloads of which some pod is in a set, and its addresses.
func (e *Engine) peersOf(b *roaring.Bitmap, workloads []*Workload, ofClass [][]int) (out Peers) {
	seen := make([]bool, len(workloads))
	var pieces []int
	b.Iterate(func(n uint32) bool {
		if int(n) >= len(e.classes) {
			pieces = append(pieces, int(n)-len(e.classes))
			return true
		}
		for _, w := range ofClass[n] {
			seen[w] = true
		}
		return true
	})
	for i, w := range workloads {
		if seen[i] {
			out.Workloads = append(out.Workloads, w)
		}
	}
	out.Addresses = e.prefixes(pieces)
	return out
}

// prefixes are pieces of addresses as blocks.
func (e *Engine) prefixes(pieces []int) []netip.Prefix {
	var b netipx.IPSetBuilder
	for _, p := range pieces {
		b.AddRange(e.addresses.Range(p))
	}
	set, err := b.IPSet()
	if err != nil {
		return nil // pieces are valid ranges
	}
	return set.Prefixes()
}
