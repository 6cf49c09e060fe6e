package intent

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"go4.org/netipx"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// set are pods, by number, and addresses that are no pod's.
type set struct {
	pods      *roaring.Bitmap
	addresses *netipx.IPSet
}

func (s set) empty() bool { return s.pods.IsEmpty() && len(s.addresses.Ranges()) == 0 }

// ipSet ends what was built of valid blocks, which cannot fail.
func ipSet(b *netipx.IPSetBuilder) *netipx.IPSet {
	out, err := b.IPSet()
	if err != nil {
		return &netipx.IPSet{}
	}
	return out
}

func noAddresses() *netipx.IPSet { return &netipx.IPSet{} }

// minus is what of a set is not in another.
func (s set) minus(other set) set {
	var b netipx.IPSetBuilder
	b.AddSet(s.addresses)
	b.RemoveSet(other.addresses)
	return set{roaring.AndNot(s.pods, other.pods), ipSet(&b)}
}

func (s set) plus(other set) set {
	var b netipx.IPSetBuilder
	b.AddSet(s.addresses)
	b.AddSet(other.addresses)
	return set{roaring.Or(s.pods, other.pods), ipSet(&b)}
}

// everybody are all pods, and all addresses that are no pod's.
func (c *checker) everybody() set {
	var b netipx.IPSetBuilder
	b.AddPrefix(netip.MustParsePrefix("0.0.0.0/0"))
	b.AddPrefix(netip.MustParsePrefix("::/0"))
	all := set{pods: roaring.New()}
	all.pods.AddRange(0, uint64(len(c.engine.Cluster.Pods)))
	for _, p := range c.engine.Cluster.Pods {
		for _, a := range p.Addresses {
			if !p.HostNetwork { // those of nodes are more than their pods
				b.Remove(a)
			}
		}
	}
	all.addresses = ipSet(&b)
	return all
}

// podsOf are the pods of a namespace.
func (c *checker) podsOf(namespace string) set {
	out := set{roaring.New(), noAddresses()}
	for i, p := range c.engine.Cluster.Pods {
		if p.Namespace == namespace {
			out.pods.Add(uint32(i))
		}
	}
	return out
}

// find are all ends of some names. It fails where one of them stands for nothing: of
// nothing everything is true.
func (c *checker) find(names Ends, namespace string) (set, error) {
	out := set{roaring.New(), noAddresses()}
	for _, name := range names {
		one, err := c.findOne(name, namespace)
		if err != nil {
			return out, err
		}
		out = out.plus(one)
	}
	return out, nil
}

func (c *checker) findOne(name, namespace string) (set, error) {
	key := namespace + "\x00" + name
	if known, ok := c.found[key]; ok {
		return known, nil
	}
	out := set{roaring.New(), noAddresses()}
	var b netipx.IPSetBuilder
	block, err := netip.ParsePrefix(name)
	address, notOne := netip.ParseAddr(name)
	switch {
	case name == reach.Internet:
		out.addresses = reach.PublicAddresses()
	case err == nil:
		b.AddPrefix(block.Masked())
		b.Intersect(c.all.addresses)
		if out.addresses = ipSet(&b); out.empty() {
			return out, fmt.Errorf("%s is all addresses of pods: name the pods", name)
		}
	case notOne == nil: // of a node it is that of all pods in its network, and of the node
		for i, p := range c.engine.Cluster.Pods {
			if slices.Contains(p.Addresses, address.Unmap()) {
				out.pods.Add(uint32(i))
			}
		}
		b.Add(address.Unmap())
		b.Intersect(c.all.addresses)
		out.addresses = ipSet(&b)
	default:
		sides, err := c.engine.Find(name, namespace)
		if err != nil && namespace != "" {
			return out, fmt.Errorf("%w in namespace %s", err, namespace)
		} else if err != nil {
			return out, err
		}
		for _, s := range sides {
			out.pods.Add(c.numbers[s.Pod])
		}
	}
	c.found[key] = out
	return out, nil
}
