package reach

import (
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// addresses are those of both families, cut where some block begins or ends: of two in
// the same piece no policy can tell one from the other.
type addresses struct {
	// starts are the first addresses of the pieces, those of IPv4 first.
	starts []netip.Addr
	// four is the number of pieces of IPv4.
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

// newAddresses cuts at the bounds of blocks.
func newAddresses(blocks []netip.Prefix) *addresses {
	var four, six []netip.Addr
	for _, b := range append(slices.Clone(private), blocks...) {
		to := &six
		if b.Addr().Is4() {
			to = &four
		}
		*to = append(*to, b.Masked().Addr())
		if after := netipx.PrefixLastIP(b).Next(); after.IsValid() {
			*to = append(*to, after)
		}
	}
	sorted := func(first netip.Addr, all []netip.Addr) []netip.Addr {
		all = append(all, first)
		slices.SortFunc(all, netip.Addr.Compare)
		return slices.Compact(all)
	}
	four, six = sorted(firstIPv4, four), sorted(firstIPv6, six)
	return &addresses{append(four, six...), len(four)}
}

// piece is the number of the piece that an address is in. IPv4 in the form of IPv6 is IPv4.
func (a *addresses) piece(of netip.Addr) int { return a.find(of.Unmap().WithZone("")) }

func (a *addresses) find(of netip.Addr) int {
	from, to := 0, a.four
	if of.Is6() {
		from, to = a.four, len(a.starts)
	}
	i, found := slices.BinarySearchFunc(a.starts[from:to], of, netip.Addr.Compare)
	if !found {
		i--
	}
	return from + i
}

// within are the pieces that a block is made of: from the first up to, but without, the last.
func (a *addresses) within(b netip.Prefix) (from, to int) {
	return a.find(b.Masked().Addr()), a.find(netipx.PrefixLastIP(b)) + 1
}

// Range is a piece of addresses, both ends among them.
func (a *addresses) Range(piece int) netipx.IPRange {
	from := a.starts[piece]
	switch {
	case piece+1 == a.four:
		return netipx.IPRangeFrom(from, netip.AddrFrom4([4]byte{255, 255, 255, 255}))
	case piece+1 == len(a.starts):
		return netipx.IPRangeFrom(from, netipx.PrefixLastIP(netip.PrefixFrom(firstIPv6, 0)))
	}
	return netipx.IPRangeFrom(from, a.starts[piece+1].Prev())
}
