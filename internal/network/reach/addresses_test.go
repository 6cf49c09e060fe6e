package reach

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// dealPrefix makes a block of either family, often near another.
func dealPrefix(r *rand.Rand) netip.Prefix {
	if r.IntN(2) == 0 {
		a := netip.AddrFrom4([4]byte{byte(r.IntN(4) * 85), byte(r.IntN(3)), byte(r.IntN(256)), byte(r.IntN(256))})
		return netip.PrefixFrom(a, r.IntN(33)).Masked()
	}
	b := [16]byte{byte(r.IntN(2) * 0xfd), byte(r.IntN(2) * 255), 15: byte(r.IntN(256))}
	return netip.PrefixFrom(netip.AddrFrom16(b), r.IntN(129)).Masked()
}

// TestAddresses cuts at random blocks, and looks at both sides of each cut: a piece is in a
// block with all of its addresses, or with none.
func TestAddresses(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var blocks []netip.Prefix
		for range r.IntN(12) {
			blocks = append(blocks, dealPrefix(r), netip.PrefixFrom(firstIPv6, 78+r.IntN(5)))
		}
		a := newAddresses(blocks)
		if a.starts[0] != firstIPv4 || a.starts[a.four] != firstIPv6 {
			t.Fatalf("%v: the families do not start at their first addresses", blocks)
		}
		for piece := range a.starts {
			of := a.Range(piece)
			if !of.IsValid() || a.find(of.From()) != piece || a.find(of.To()) != piece {
				t.Fatalf("%v: piece %d is %v", blocks, piece, of)
			}
			if next := of.To().Next(); piece+1 < len(a.starts) && piece+1 != a.four && a.starts[piece+1] != next {
				t.Fatalf("%v: after %v comes %v", blocks, of, a.starts[piece+1])
			}
			for _, b := range append(blocks, private...) {
				from, to := a.within(b)
				first, last := b.Contains(of.From()), b.Contains(of.To())
				if first != last || first != (from <= piece && piece < to) {
					t.Fatalf("%v in %v: %v and %v, pieces %d to %d, this is %d", of, b, first, last, from, to, piece)
				}
			}
		}
	}
}

func TestPieceOfMapped(t *testing.T) {
	a := newAddresses([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")})
	for _, text := range []string{"::ffff:10.0.0.7", "10.0.0.7"} {
		if from, _ := a.within(netip.MustParsePrefix("10.0.0.0/24")); a.piece(netip.MustParseAddr(text)) != from {
			t.Errorf("%s is not in the block", text)
		}
	}
	if a.piece(netip.MustParseAddr("fe80::1%eth0")) != a.four {
		t.Error("an address with a zone is lost")
	}
}
