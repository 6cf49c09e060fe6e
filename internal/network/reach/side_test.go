package reach

import (
	"net/netip"
	"slices"
	"testing"
)

// TestAddressSides compares the addresses that stand for others with all of those at both
// sides of every bound: each is in the same blocks of policies as one that is found, and no
// two that are found are in the same ones.
func TestAddressSides(t *testing.T) {
	found, asked := 0, 0
	for seed := range uint64(300) {
		d := deal(seed, Upstream)
		e := New(d.cluster())
		named := e.Cluster.blocks()
		key := func(a netip.Addr) string {
			out := []byte{byte(a.BitLen())}
			for _, b := range named {
				if b.Contains(a) {
					out = append(out, 1)
				} else {
					out = append(out, 0)
				}
			}
			return string(out)
		}
		for _, within := range [][]netip.Prefix{public, {netip.MustParsePrefix("10.0.0.0/8")}, {netip.MustParsePrefix("10.1.2.4/31")}} {
			var except []netip.Prefix
			if len(within) == 2 {
				except = notPublic
			}
			keys := map[string]bool{}
			for _, s := range e.addressSides(within, except) {
				if k := key(s.Address); keys[k] {
					t.Fatalf("seed %d: %v is in the same blocks as another", seed, s)
				} else {
					keys[k] = true
					found++
				}
			}
			for _, a := range d.addresses() {
				in := func(p netip.Prefix) bool { return p.Contains(a) }
				if slices.ContainsFunc(within, in) && !slices.ContainsFunc(except, in) {
					asked++
					if !keys[key(a)] {
						t.Fatalf("seed %d: nothing stands for %v", seed, a)
					}
				}
			}
		}
	}
	if found == 0 || asked == 0 {
		t.Error("nothing was compared")
	}
}
