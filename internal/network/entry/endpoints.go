package entry

import (
	"net/netip"

	discoveryv1 "k8s.io/api/discovery/v1"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// endpoints are those that somebody wrote, for Services without a selector.
type endpoints struct {
	pods *podIndex
	// of are the ports of each Service, by its namespace and name.
	of map[[2]string][]endpointPort
}

// endpointPort is a port of some addresses. The name says which port of the Service leads
// to it (API of EndpointSlice, ports[].name).
type endpointPort struct {
	name     string
	protocol reach.Protocol
	// port is 0 for all.
	port      uint16
	pods      []*reach.Pod
	addresses []netip.Addr
	// hosts are names, which lead nobody knows where.
	hosts []string
}

// newEndpoints reads EndpointSlices, and the older Endpoints. What mirrors the latter says
// the same again.
func newEndpoints(w *model.World, pods *podIndex) *endpoints {
	e := &endpoints{pods, map[[2]string][]endpointPort{}}
	for _, o := range w.Kind(endpointSliceKind) {
		key := [2]string{o.Namespace, o.Labels()[discoveryv1.LabelServiceName]}
		var all endpointPort
		for _, item := range o.List("endpoints") {
			for _, a := range model.Strings(model.Get(item, "addresses")) {
				if o.Text("addressType") == string(discoveryv1.AddressTypeFQDN) {
					all.hosts = append(all.hosts, a)
				} else {
					e.add(&all, a)
				}
			}
		}
		for _, item := range o.List("ports") {
			e.port(key, all, item)
		}
	}
	for _, o := range w.Kind(endpointsKind) {
		key := [2]string{o.Namespace, o.Name}
		for _, subset := range o.List("subsets") {
			var all endpointPort
			for _, list := range []string{"addresses", "notReadyAddresses"} {
				items, _ := model.Get(subset, list).([]any)
				for _, item := range items {
					e.add(&all, textOf(item, "ip"))
				}
			}
			ports, _ := model.Get(subset, "ports").([]any)
			for _, item := range ports {
				e.port(key, all, item)
			}
		}
	}
	return e
}

func (e *endpoints) add(to *endpointPort, text string) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return
	}
	a = a.Unmap().WithZone("")
	if pod := e.pods.at(a); pod != nil {
		to.pods = append(to.pods, pod)
	} else {
		to.addresses = append(to.addresses, a)
	}
}

func (e *endpoints) port(key [2]string, all endpointPort, item any) {
	protocol, err := protocolOf(item)
	if err != nil {
		return
	}
	all.name, all.protocol = textOf(item, "name"), protocol
	all.port, _ = portOf(model.Get(item, "port"))
	e.of[key] = append(e.of[key], all)
}

// written notes where the ports of a Service without a selector lead.
func (s *Services) written(w *model.World, one *Service, from *endpoints) {
	found := from.of[[2]string{one.Namespace, one.Name}]
	if len(found) == 0 {
		// A cluster has some, at least that of the API server: without any they were not read,
		// as for a snapshot.
		read := !w.Live || len(w.Kind(endpointSliceKind)) > 0 && w.Unobserved(endpointSliceKind, one.Namespace) == ""
		s.lost(one.Object, w.Closed(one.Namespace) && read, specPath(), "Service %s has no selector, and nobody wrote endpoints for it", one)
		return
	}
	for i := range one.Ports {
		p := &one.Ports[i]
		seen := map[any]bool{}
		for _, f := range found {
			if p.Port != 0 && (f.name != p.Name || f.protocol != p.Protocol) {
				continue
			}
			for _, host := range f.hosts {
				one.Doubts = append(one.Doubts, "where the name "+host+" leads, which is an endpoint of Service "+one.String()+", is not known")
			}
			for _, t := range byWorkload(distinct(seen, f.pods, f.port), distinct(seen, f.addresses, f.port)) {
				t.Protocol, t.Port = f.protocol, f.port
				p.Targets = append(p.Targets, t)
			}
		}
		if len(p.Targets) == 0 && len(found) > 0 && p.Port != 0 {
			s.lost(one.Object, true, specPath("ports").Append(model.Index(p.Index)), "no endpoint of Service %s is for its port %d", one, p.Port)
		}
		sortTargets(p.Targets)
	}
}

// distinct leaves out what was seen before with the same port.
func distinct[T comparable](seen map[any]bool, of []T, port uint16) (out []T) {
	type key struct {
		end  T
		port uint16
	}
	for _, v := range of {
		if k := (key{v, port}); !seen[k] {
			seen[k] = true
			out = append(out, v)
		}
	}
	return out
}
