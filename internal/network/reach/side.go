package reach

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// Internet is a name for all addresses that are not private.
const Internet = "internet"

// public is an address that stands for those of the internet that no block is about.
var public = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// notPublic are addresses that do not come from the internet: private, of carriers, local
// to a link or a host, for documentation, for many.
var notPublic = func() (out []netip.Prefix) {
	for _, p := range []string{"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "::/127", "fc00::/7", "fe80::/10", "ff00::/8", "2001:db8::/32"} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}()

// Find returns whom a name stands for: internet, an address or a block, ns/NAMESPACE, a
// label selector, NAMESPACE/NAME, NAMESPACE/KIND/NAME, or a NAME in namespace. Of
// addresses there is one for each piece that policies tell apart.
func (e *Engine) Find(name, namespace string) ([]Side, error) {
	if name == Internet {
		return e.addressSides(public, notPublic), nil
	}
	if block, err := netip.ParsePrefix(name); err == nil {
		return e.addressSides([]netip.Prefix{block.Masked()}, nil), nil
	}
	if a, err := netip.ParseAddr(name); err == nil {
		for _, p := range e.Cluster.Pods {
			if slices.Contains(p.Addresses, a.Unmap()) {
				return []Side{{Pod: p}}, nil
			}
		}
		return []Side{{Address: a.Unmap()}}, nil
	}
	matches, err := podMatcher(name, namespace)
	if err != nil {
		return nil, err
	}
	var out []Side
	for _, p := range e.Cluster.Pods {
		if matches(p) {
			out = append(out, Side{Pod: p})
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there is no pod or workload %s", name)
	}
	return out, nil
}

func podMatcher(name, namespace string) (func(*Pod) bool, error) {
	if strings.ContainsAny(name, "=!(,") {
		s, err := labels.Parse(name)
		if err != nil {
			return nil, fmt.Errorf("%q is no label selector: %w", name, err)
		}
		return func(p *Pod) bool {
			return (namespace == "" || p.Namespace == namespace) && s.Matches(labels.Set(p.Labels))
		}, nil
	}
	parts := strings.Split(name, "/")
	switch {
	case len(parts) == 2 && parts[0] == "ns":
		return func(p *Pod) bool { return p.Namespace == parts[1] }, nil
	case len(parts) == 1 && namespace != "":
		parts = []string{namespace, parts[0]}
	case len(parts) == 1:
		return nil, fmt.Errorf("%q has no namespace: write NAMESPACE/%s, or name one with -n", name, name)
	}
	if len(parts) == 2 {
		return func(p *Pod) bool {
			return p.Namespace == parts[0] && (p.Name == parts[1] || p.Object != nil && p.Object.Name == parts[1])
		}, nil
	}
	if len(parts) == 3 {
		return func(p *Pod) bool {
			return p.Namespace == parts[0] && strings.EqualFold(p.Kind, parts[1]) && p.Name == parts[2]
		}, nil
	}
	return nil, fmt.Errorf("%q is neither NAMESPACE/NAME nor NAMESPACE/KIND/NAME", name)
}

// addressSides are addresses of blocks, but for others: one for all that are in the same
// blocks of policies, of each family. Blocks that hold an address lie in one another, so
// that the innermost one tells which ones they are.
func (e *Engine) addressSides(blocks, except []netip.Prefix) (out []Side) {
	named := e.Cluster.blocks()
	for i, b := range named {
		named[i] = b.Masked()
	}
	slices.SortFunc(named, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var around []netip.Prefix
	next := 0
	seen := map[netip.Prefix]bool{}
	for _, first := range newAddresses(slices.Concat(named, except, blocks)).starts {
		for ; next < len(named) && named[next].Addr().Compare(first) <= 0; next++ {
			for len(around) > 0 && !around[len(around)-1].Contains(named[next].Addr()) {
				around = around[:len(around)-1]
			}
			around = append(around, named[next])
		}
		for len(around) > 0 && !around[len(around)-1].Contains(first) {
			around = around[:len(around)-1]
		}
		in := func(p netip.Prefix) bool { return p.Contains(first) }
		if !slices.ContainsFunc(blocks, in) || slices.ContainsFunc(except, in) {
			continue
		}
		key := netip.PrefixFrom(first, 0).Masked() // its family, where no block is about it
		if len(around) > 0 {
			key = around[len(around)-1]
		}
		if !seen[key] {
			seen[key] = true
			out = append(out, Side{Address: first})
		}
	}
	return out
}

// End is the end of the engine that a side is.
func (e *Engine) End(s Side) (End, bool) {
	if s.Pod == nil {
		return e.AddressEnd(s.Address), true
	}
	i, ok := e.podNumbers()[s.Pod]
	if !ok {
		return End{}, false
	}
	return e.PodEnd(i), true
}

func (s Side) String() string {
	if s.Pod == nil {
		return s.Address.String()
	}
	return s.Pod.String()
}

// Between are the ports by which one side may reach another; a pod always reaches itself,
// and a node the pods on it. Pods that are not there yet are asked about one by one.
func (e *Engine) Between(from, to Side) Ports {
	if isSelf(from, to) || e.Cluster.isOwnNode(from, to) {
		return AllPorts
	}
	a, known := e.End(from)
	b, alsoKnown := e.End(to)
	if !known || !alsoKnown {
		return e.Cluster.Ports(from, to)
	}
	return e.Allowed(a, b)
}
