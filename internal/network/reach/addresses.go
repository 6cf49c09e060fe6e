package reach

import (
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// addresses are those of both families, cut where some block begins or ends: of two in
// the same piece no policy can tell one from the other.
type addresses struct {
	// starts are the first addresses of the pieces, by their numbers; the zero value where
	// a number is free.
	starts []netip.Addr
	// order are the numbers by address, those of IPv4 first.
	order []int
	// sorted says that the numbers are in this order, as they are until the cuts change.
	sorted bool
	// four is how many pieces are of IPv4.
	four int
}

var (
	firstIPv4, firstIPv6 = netip.IPv4Unspecified(), netip.IPv6Unspecified()

	// private are the ranges in which a pod has its address, where that is not known.
	private = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16")}
	// uniqueLocal is where it may be in a cluster of IPv6. No block of it is taken to hold
	// a pod whose address is not known, which is said as a doubt.
	uniqueLocal = netip.MustParsePrefix("fc00::/7")
)

// boundsOf are the first address of a block, and the one after its last, if there is one.
func boundsOf(b netip.Prefix) []netip.Addr {
	out := []netip.Addr{b.Masked().Addr()}
	if after := netipx.PrefixLastIP(b).Next(); after.IsValid() {
		out = append(out, after)
	}
	return out
}

// permanent are the bounds that there always are.
var permanent = func() []netip.Addr {
	out := []netip.Addr{firstIPv4, firstIPv6}
	for _, b := range private {
		out = append(out, boundsOf(b)...)
	}
	return out
}()

// newAddresses cuts at the bounds of blocks.
func newAddresses(blocks []netip.Prefix) *addresses {
	var bounds []netip.Addr
	for _, b := range blocks {
		bounds = append(bounds, boundsOf(b)...)
	}
	return cutAt(bounds)
}

// cutAt cuts at bounds, and at those that there always are.
func cutAt(bounds []netip.Addr) *addresses {
	starts := append(slices.Clone(permanent), bounds...)
	slices.SortFunc(starts, netip.Addr.Compare) // IPv4 comes first
	a := &addresses{starts: slices.Compact(starts), sorted: true}
	a.order = make([]int, len(a.starts))
	for i, start := range a.starts {
		a.order[i] = i
		if start.Is4() {
			a.four++
		}
	}
	return a
}

// recut returns the addresses with other cuts, the numbers of the new pieces, and those
// that are free now. A piece keeps its number as long as it has its first address.
func (a *addresses) recut(came, gone []netip.Addr) (out *addresses, added, freed []int) {
	out = &addresses{starts: slices.Clone(a.starts), order: slices.Clone(a.order), four: a.four}
	for _, bound := range gone {
		if slices.Contains(permanent, bound) {
			continue
		}
		at := out.place(bound)
		n := out.order[at]
		out.order = slices.Delete(out.order, at, at+1)
		out.starts[n] = netip.Addr{}
		out.count(bound, -1)
		freed = append(freed, n)
	}
	for _, bound := range came {
		at := out.place(bound)
		if out.starts[out.order[at]] == bound {
			continue // it is one of those that there always are
		}
		n := slices.Index(out.starts, netip.Addr{})
		if n < 0 {
			n = len(out.starts)
			out.starts = append(out.starts, bound)
		}
		out.starts[n] = bound
		out.order = slices.Insert(out.order, at+1, n)
		out.count(bound, 1)
		added = append(added, n)
	}
	return out, added, freed
}

func (a *addresses) count(bound netip.Addr, by int) {
	if bound.Is4() {
		a.four += by
	}
}

// piece is the number of the piece that an address is in. IPv4 in the form of IPv6 is IPv4.
func (a *addresses) piece(of netip.Addr) int { return a.find(of.Unmap().WithZone("")) }

func (a *addresses) find(of netip.Addr) int { return a.order[a.place(of)] }

// place is where in the order the piece is that an address is in.
func (a *addresses) place(of netip.Addr) int {
	from, to := 0, a.four
	if of.Is6() {
		from, to = a.four, len(a.order)
	}
	i, found := slices.BinarySearchFunc(a.order[from:to], of, func(n int, of netip.Addr) int { return a.starts[n].Compare(of) })
	if !found {
		i--
	}
	return from + i
}

// within are the places of the pieces that a block is made of: from the first up to, but
// without, the last.
func (a *addresses) within(b netip.Prefix) (from, to int) {
	return a.place(b.Masked().Addr()), a.place(netipx.PrefixLastIP(b)) + 1
}

// runs visits the numbers of the pieces of a block, as runs of such as follow one another:
// from the first up to, but without, the last.
func (a *addresses) runs(block netip.Prefix, visit func(first, last int)) {
	from, to := a.within(block)
	if a.sorted {
		visit(from, to)
		return
	}
	for from < to {
		end := from + 1
		for end < to && a.order[end] == a.order[end-1]+1 {
			end++
		}
		visit(a.order[from], a.order[end-1]+1)
		from = end
	}
}

// Range is a piece of addresses, both ends among them.
func (a *addresses) Range(piece int) netipx.IPRange {
	from := a.starts[piece]
	at := a.place(from)
	switch {
	case at+1 == a.four:
		return netipx.IPRangeFrom(from, netip.AddrFrom4([4]byte{255, 255, 255, 255}))
	case at+1 == len(a.order):
		return netipx.IPRangeFrom(from, netipx.PrefixLastIP(netip.PrefixFrom(firstIPv6, 0)))
	}
	return netipx.IPRangeFrom(from, a.starts[a.order[at+1]].Prev())
}

// ranges visits the addresses of pieces whose numbers follow one another, as few ranges.
func (a *addresses) ranges(from, to int, visit func(netipx.IPRange)) {
	step := 1
	for ; from < to; from += step {
		if a.sorted { // so do their addresses, within a family
			if step = to - from; from < a.four {
				step = min(step, a.four-from)
			}
		}
		visit(netipx.IPRangeFrom(a.starts[from], a.Range(from+step-1).To()))
	}
}
