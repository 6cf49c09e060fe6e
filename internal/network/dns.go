package network

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/intent"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// resolverPort is a pod that answers what is asked of it, by a protocol.
type resolverPort struct {
	pod      *reach.Pod
	protocol reach.Protocol
	port     uint16
}

// resolvers are the pods behind the resolver's Service; none where it is not seen.
var resolvers = model.NewFact(func(w *model.World) (out []resolverPort) {
	c := clusters.Of(w)
	all, err := intent.Resolvers(c, w)
	if err != nil {
		return nil // then what policies say of ports is all there is
	}
	for _, r := range all {
		r.Pods.Iterate(func(i uint32) bool {
			r.Ports.Each(func(protocol reach.Protocol, from, _ uint16) {
				out = append(out, resolverPort{c.Pods[i], protocol, from})
			})
			return true
		})
	}
	return out
})

// lockedOut are workloads whose pods resolve no names, by the policy that keeps them from it.
type lockedOut struct {
	pods      []*reach.Pod
	protocols []reach.Protocol
	unknown   string
}

var withoutDNS = model.NewFact(func(w *model.World) map[*model.Object]*lockedOut {
	c, e := clusters.Of(w), engines.Of(w)
	out := map[*model.Object]*lockedOut{}
	judged := map[reach.End][]lock{}
	for i, p := range c.Pods {
		if p.HostNetwork || !asksCluster(p) {
			continue
		}
		end := e.PodEnd(i)
		locks, known := judged[end]
		if !known {
			locks = dnsLocks(w, p)
			judged[end] = locks
		}
		for _, l := range locks {
			o := out[l.by]
			if o == nil {
				o = &lockedOut{}
				out[l.by] = o
			}
			if o.pods = append(o.pods, p); !slices.Contains(o.protocols, l.protocol) {
				o.protocols = append(o.protocols, l.protocol)
			}
			if l.unknown != "" {
				o.unknown = l.unknown
			}
		}
	}
	return out
})

// asksCluster reports whether a pod asks the cluster's resolver.
func asksCluster(p *reach.Pod) bool {
	if p.Object == nil || p.Object.Pod() == nil {
		return true
	}
	policy, _ := p.Object.Pod().Spec["dnsPolicy"].(string)
	return policy != "Default" && policy != "None"
}

// lock is a policy that keeps a pod from resolving names by a protocol.
type lock struct {
	by       *model.Object
	protocol reach.Protocol
	// unknown says why it may not.
	unknown string
}

// dnsLocks finds what keeps a pod from the resolver. One that may send nothing, or to single
// addresses alone, resolves no names.
func dnsLocks(w *model.World, p *reach.Pod) (out []lock) {
	own := isolating(w, p)
	if len(own) > 0 && !slices.ContainsFunc(own, needsNames) {
		return nil
	}
	all := resolvers.Of(w)
	if len(all) == 0 {
		return locksOfPorts(w, p, own)
	}
	if nodeLocal(w) && len(locksOfPorts(w, p, own)) == 0 {
		return nil // it asks an address of its node
	}
	for _, protocol := range []reach.Protocol{reach.UDP, reach.TCP} {
		reached, asked := false, resolverPort{}
		for _, r := range all {
			if r.protocol == protocol {
				asked = r
				reached = reached || r.pod == p || reachesPod(w, p, r)
			}
		}
		if asked.pod == nil || reached {
			continue
		}
		if by := stopping(w, p, asked); by != nil {
			why := engines.Of(w).UnknownBetween(reach.Side{Pod: p}, reach.Side{Pod: asked.pod})
			out = append(out, lock{by, protocol, strings.Join(why, "; ")})
		}
	}
	return out
}

func reachesPod(w *model.World, p *reach.Pod, r resolverPort) bool {
	return engines.Of(w).Between(reach.Side{Pod: p}, reach.Side{Pod: r.pod}).Contains(r.protocol, r.port)
}

// stopping is the policy that keeps a pod from a resolver: one about the pod or, where those
// let it out, about the resolver.
func stopping(w *model.World, p *reach.Pod, r resolverPort) *model.Object {
	why := clusters.Of(w).Explain(reach.Side{Pod: p}, reach.Side{Pod: r.pod}, r.protocol, r.port)
	reason := why.Egress
	if reason.Allowed {
		reason = why.Ingress
	}
	switch {
	case len(reason.Isolated) > 0:
		return reason.Isolated[0].Object
	case len(reason.Rules) > 0 && reason.Rules[0].Tier != nil:
		return reason.Rules[0].Tier.Object
	}
	return nil
}

// isolating are the NetworkPolicies that limit what a pod sends.
func isolating(w *model.World, p *reach.Pod) (out []*reach.Policy) {
	for _, policy := range policies.Of(w)[p.Namespace] {
		if policy.Isolates[reach.Egress] && policy.Subject.Matches(labels.Set(p.Labels)) {
			out = append(out, policy)
		}
	}
	return out
}

// needsNames reports whether a policy allows what is found by a name: pods, and the internet.
func needsNames(p *reach.Policy) bool {
	return slices.ContainsFunc(p.Rules[reach.Egress], func(r *reach.Rule) bool {
		return r.AllPeers || slices.ContainsFunc(r.Peers, func(p reach.Peer) bool { return p.Pods != nil || p.Block.IsValid() && p.Block.Bits() == 0 })
	})
}

// locksOfPorts finds the protocols by which the policies about a pod allow no port of
// resolvers to anybody, and no tier does before. 5353 is that of OpenShift's.
func locksOfPorts(w *model.World, p *reach.Pod, own []*reach.Policy) (out []lock) {
	if len(own) == 0 || pluginPolicy(w, p.Namespace) != nil {
		return nil
	}
	for _, protocol := range []reach.Protocol{reach.UDP, reach.TCP} {
		open := func(r *reach.Rule) bool {
			return r.AllPorts || slices.ContainsFunc(r.Ports, func(of reach.PortRule) bool {
				return of.Name != "" || of.Protocol == protocol && (of.From <= 53 && 53 <= of.To || of.From <= 5353 && 5353 <= of.To)
			})
		}
		allowed := slices.ContainsFunc(own, func(p *reach.Policy) bool { return slices.ContainsFunc(p.Rules[reach.Egress], open) })
		for _, t := range clusters.Of(w).Admin {
			allowed = allowed || slices.ContainsFunc(t.Rules[reach.Egress], func(r *reach.Rule) bool { return r.Action == reach.Accept && open(r) })
		}
		if !allowed {
			out = append(out, lock{own[0].Object, protocol, ""})
		}
	}
	return out
}

// nodeLocal reports whether each node has a cache of names, which pods ask in place of the
// resolver (kubernetes.io, "Using NodeLocal DNSCache").
func nodeLocal(w *model.World) bool {
	return slices.ContainsFunc(w.KindIn(model.GroupKind{Group: "apps", Kind: "DaemonSet"}, "kube-system"), func(o *model.Object) bool {
		return o.Name == "node-local-dns" || o.Labels()["k8s-app"] == "node-local-dns"
	})
}
