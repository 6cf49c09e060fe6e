package entry

import (
	"net/netip"
	"strconv"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// direct makes entries of ports that pods open on their node: hostPort, and those of pods
// in the network of their node. Pods of one workload that open the same are one entry.
func (r *reader) direct() {
	at := map[string]int{}
	var all []*opened
	for _, p := range r.cluster.Pods {
		for _, o := range openedBy(p) {
			key := p.String() + "\x00" + o.kind + "\x00" + o.hostIP + "\x00" + strconv.Itoa(int(o.target.Protocol)<<16|int(o.port)) + "\x00" + strconv.Itoa(int(o.target.Port))
			i, ok := at[key]
			if !ok {
				i = len(all)
				at[key] = i
				all = append(all, o)
			}
			if n := len(all[i].target.Pods); n == 0 || all[i].target.Pods[n-1] != p {
				all[i].target.Pods = append(all[i].target.Pods, p)
			}
		}
	}
	for _, o := range all {
		p := o.target.Pods[0]
		e := Entry{Kind: p.Kind, Namespace: p.Namespace, Name: p.Name, Type: o.kind, Object: p.Object, At: o.at, Exposure: Node, Sources: everywhere, Protocol: o.target.Protocol, Port: o.port}
		if a, err := netip.ParseAddr(o.hostIP); err == nil && !a.IsUnspecified() {
			if e.Exposure, e.Sources = Addresses, private; !isPrivate(a) {
				e.Exposure, e.Sources = Internet, everywhere
			}
		} else {
			e.Exposure, e.Doubts = r.nodeExposure(nil)
		}
		if o.port == 0 {
			e.Doubts = append(e.Doubts, "the pod is in the network of its node, and no port of it is written")
		}
		e.Backends = r.judge.target(nil, o.target, way{sources: e.Sources})
		r.Entries = append(r.Entries, e)
	}
}

// opened is a port of a node that pods open.
type opened struct {
	kind, hostIP string
	port         uint16
	target       Target
	at           model.Path
}

func openedBy(p *reach.Pod) (out []*opened) {
	if p.Object == nil || p.Object.Pod() == nil {
		return nil
	}
	of := p.Object.Pod()
	for c := range of.Containers() {
		if c.List != model.Containers && !c.Sidecar() {
			continue // it has ended before the pod serves anybody
		}
		ports, _ := c.Content["ports"].([]any)
		for i, item := range ports {
			inside, ok := portOf(model.Get(item, "containerPort"))
			protocol, err := protocolOf(item)
			port, opens := portOf(model.Get(item, "hostPort"))
			if p.HostNetwork {
				port, opens = inside, true
			}
			hostIP := textOf(item, "hostIP")
			if !ok || err != nil || !opens || isLoopback(hostIP) {
				continue
			}
			o := &opened{HostPort, hostIP, port, Target{Protocol: protocol, Port: inside}, c.Path.Append(model.Key("ports"), model.Index(i))}
			if p.HostNetwork {
				o.kind = HostNetwork
			}
			out = append(out, o)
		}
	}
	if p.HostNetwork && len(out) == 0 {
		out = append(out, &opened{kind: HostNetwork, at: of.SpecPath().Keys("hostNetwork")})
	}
	return out
}

// isLoopback reports whether only the node itself reaches an address.
func isLoopback(text string) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && a.Unmap().IsLoopback()
}
