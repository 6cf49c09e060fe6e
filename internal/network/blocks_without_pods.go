package network

import (
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// podRange is where pods have their addresses.
type podRange struct {
	// known are addresses of pods that run, and of the ranges of nodes.
	known *netipx.IPSet
	// sorted are pods and their addresses, in order.
	sorted []podAddress
}

type podAddress struct {
	netip.Addr
	pod *reach.Pod
}

var podRanges = model.NewFact(func(w *model.World) podRange {
	var b netipx.IPSetBuilder
	var out podRange
	for _, p := range clusters.Of(w).Pods {
		if p.HostNetwork {
			continue
		}
		for _, a := range p.Addresses {
			b.Add(a)
			out.sorted = append(out.sorted, podAddress{a, p})
		}
	}
	for _, o := range w.Kind(model.GroupKind{Kind: "Node"}) {
		for _, text := range append(model.Strings(o.Get("spec", "podCIDRs")), o.Text("spec", "podCIDR")) {
			if block, err := netip.ParsePrefix(text); err == nil {
				b.AddPrefix(block)
			}
		}
	}
	slices.SortFunc(out.sorted, func(a, b podAddress) int { return a.Compare(b.Addr) })
	out.known, _ = b.IPSet()
	return out
})

// private are the ranges in which pods have their addresses, where these are not known.
var private = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16")}

// podsAt says which pods are surely in a block; empty where it may have none.
func podsAt(r podRange, p reach.Peer) string {
	var b netipx.IPSetBuilder
	b.AddPrefix(p.Block)
	for _, e := range p.Except {
		b.RemovePrefix(e)
	}
	set, err := b.IPSet()
	if err != nil {
		return ""
	}
	if len(r.known.Ranges()) == 0 {
		if !slices.ContainsFunc(private, func(p netip.Prefix) bool { return !set.ContainsPrefix(p) }) {
			return "all private addresses, pods among them"
		}
		return ""
	}
	first, _ := slices.BinarySearchFunc(r.sorted, p.Block.Addr(), func(a podAddress, b netip.Addr) int { return a.Compare(b) })
	for i := first; i < len(r.sorted) && i < first+1000 && p.Block.Contains(r.sorted[i].Addr); i++ {
		if at := r.sorted[i]; set.Contains(at.Addr) {
			return fmt.Sprintf("%s, which is %s", at.Addr, at.pod)
		}
	}
	if set.Overlaps(r.known) {
		return "addresses of the pod range of nodes"
	}
	return ""
}

func judgeBlocks(w *model.World, p *reach.Policy) check.Judgement {
	asked := false
	var out []check.Violation
	for d := range p.Rules {
		for _, r := range p.Rules[d] {
			// Where all pods are allowed beside it, they are meant.
			if slices.ContainsFunc(r.Peers, func(p reach.Peer) bool { return p.Namespaces != nil && p.Namespaces.Empty() && p.Pods.Empty() }) {
				continue
			}
			for _, peer := range r.Peers {
				if !peer.Block.IsValid() {
					continue
				}
				asked = true
				if pods := podsAt(podRanges.Of(w), peer); pods != "" {
					path := rulePath(reach.Direction(d), r.Index, model.Key(peersField(reach.Direction(d))), model.Index(peer.Index), model.Key("ipBlock"), model.Key("cidr"))
					out = append(out, check.Violation{Path: path, Detail: fmt.Sprintf("%s has %s", peer.Block, pods)})
				}
			}
		}
	}
	if !asked {
		return check.Inapplicable(p.Object)
	}
	return check.Failed(p.Object, out...)
}

var blocksWithoutPods = check.Control{
	Rule: finding.Rule{
		Name: "blocks-without-pods", Title: "Blocks of addresses in network policies are about what is outside", Severity: finding.Low, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "A block that has the addresses of pods opens them, all namespaces together, with most network plugins; with Cilium it does not. " +
			"0.0.0.0/0 is mostly meant as the internet. And a pod's address is another's tomorrow.",
		Remedy:    "Leave the range of pods out by except, and choose pods by their labels.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide whether pods were meant, and which; connections between pods that use the block are cut off.",
	Needs:   []model.GroupKind{networkPolicyKind, {Kind: "Pod"}, {Kind: "Node"}},
	World:   eachPolicy(judgeBlocks),
	Examples: check.Examples{
		Bad: []string{`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - ipBlock:
            cidr: 0.0.0.0/0 # want
            except: [169.254.169.254/32]
`, `apiVersion: v1
kind: Node
metadata:
  name: node-1
spec:
  podCIDRs: [10.244.1.0/24]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector: {}
  ingress:
    - from:
        - ipBlock:
            cidr: 10.244.0.0/16 # want
        - ipBlock:
            cidr: 10.0.0.0/8
            except: [10.244.0.0/16]
`},
		Good: []string{`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - ipBlock:
            cidr: 0.0.0.0/0
            except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]
        # Where pods have their addresses is not known.
        - ipBlock: {cidr: 10.20.0.0/16}
    - to:
        - ipBlock: {cidr: 0.0.0.0/0}
        # All pods are meant as well.
        - namespaceSelector: {}
`},
	},
}
