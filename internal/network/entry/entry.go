// Package entry says how traffic gets to pods: by Services, by Ingresses and Gateways and
// the pods that serve them, and by ports of nodes; who may use each way, to which pods and
// ports it leads, and whether network policies let it in.
//
// What an address on the way does to traffic is often not defined: a node may put its own
// address in the place of the client's. Such things are said as doubts, and never guessed.
package entry

import (
	"net/netip"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// Exposure says from where a way in can be used.
type Exposure uint8

// The exposures, in the order of how many they let in.
const (
	// Cluster: by pods and nodes of the cluster.
	Cluster Exposure = iota
	// Addresses: from the blocks that are named.
	Addresses
	// Node: from wherever the address of a node can be reached.
	Node
	// Internet: from all addresses.
	Internet
)

func (e Exposure) String() string { return [...]string{"cluster", "addresses", "node", "internet"}[e] }

// Verdict says whether traffic arrives, as far as policies go.
type Verdict uint8

// The verdicts.
const (
	Denied Verdict = iota
	// Unknown is never a pass: Backend.Unknown says what is not known.
	Unknown
	Allowed
)

func (v Verdict) String() string { return [...]string{"denied", "unknown", "allowed"}[v] }

// The types of ways in that are not of a kind of their own.
const (
	ExternalIPs = "externalIPs"
	HostPort    = "hostPort"
	HostNetwork = "hostNetwork"
)

// Entry is one port by which traffic gets in.
type Entry struct {
	// Kind is Service, Ingress, Gateway or, for ports of nodes, that of the workload.
	Kind, Namespace, Name string
	// Type is ClusterIP, NodePort, LoadBalancer, externalIPs, hostPort, hostNetwork, or the
	// class of an Ingress or Gateway.
	Type   string
	Object *model.Object
	// At is the field that makes the entry.
	At       model.Path
	Exposure Exposure
	// Sources are the addresses that may use it, as far as the entry decides; of Cluster
	// there are none.
	Sources []netip.Prefix
	// Hosts are the names that are asked for; empty for any.
	Hosts    []string
	Protocol reach.Protocol
	// Port is that on the address where traffic arrives; 0 where it is not known.
	Port     uint16
	Backends []Backend
	// Controller serves an Ingress or Gateway; nil for other entries.
	Controller *Controller
	// Doubts are about the entry, whoever is behind it.
	Doubts []string
}

// Location is where the entry is written; nil for a cluster.
func (e *Entry) Location() *finding.Location { return e.Object.Locate(e.At) }

// String names what is written: Service shop/web.
func (e *Entry) String() string { return e.Kind + " " + e.Namespace + "/" + e.Name }

// Verdict is that of the backend that is most open; Denied without any.
func (e *Entry) Verdict() (out Verdict) {
	for _, b := range e.Backends {
		out = max(out, b.Verdict)
	}
	return out
}

// Backend are pods of one workload that no policy tells apart, or an address, and the port
// by which traffic arrives there.
type Backend struct {
	// Pods is empty for an address.
	Pods    []*reach.Pod
	Address netip.Addr
	// Service is what leads to them; nil for ports of nodes.
	Service  *Service
	Protocol reach.Protocol
	// Port is that of the pods; 0 stands for any.
	Port    uint16
	Verdict Verdict
	// Hops are an example of the way: from a client, or from the pods that serve an
	// Ingress. Each is as the verdict says.
	Hops []Hop
	// Admitted are those of the entry's sources that policies let in, where they do not let
	// in all.
	Admitted []netip.Prefix
	// Others is what becomes of the sources that are not among Admitted: Denied or Unknown.
	Others Verdict
	// LetIn says whom policies let in, where who sends is not known.
	LetIn []string
	// Unknown says why the verdict is not known; it is empty where it is.
	Unknown []string
	// Doubts say what else is not known: whether others than Admitted are let in.
	Doubts []string
}

// Workload names what makes the pods, or the address.
func (b *Backend) Workload() string {
	if len(b.Pods) == 0 {
		return b.Address.String()
	}
	return b.Pods[0].String()
}

// Hop is one step of a way, for reach.Cluster.Explain.
type Hop struct {
	From, To reach.Side
	Protocol reach.Protocol
	Port     uint16
}

// Dangling is something that leads nowhere.
type Dangling struct {
	Object *model.Object
	At     model.Path
	Reason string
	// Sure is false where what is missing may exist outside of what was read.
	Sure bool
}

// Location is where it is written; nil for a cluster.
func (d *Dangling) Location() *finding.Location { return d.Object.Locate(d.At) }

// Points are the ways in.
type Points struct {
	Services *Services
	Entries  []Entry
	// Dangling are references and selectors that lead nowhere.
	Dangling []Dangling
	// NotUnderstood are objects of kinds that open ways in as well, and are not read.
	NotUnderstood []*model.Object
	// Unread are kinds that could not all be read, and that say where ways lead.
	Unread []model.Unobserved
}

// The kinds that are read.
var (
	serviceKind       = model.GroupKind{Kind: "Service"}
	endpointsKind     = model.GroupKind{Kind: "Endpoints"}
	endpointSliceKind = model.GroupKind{Group: "discovery.k8s.io", Kind: "EndpointSlice"}
	ingressKind       = model.GroupKind{Group: "networking.k8s.io", Kind: "Ingress"}
	ingressClassKind  = model.GroupKind{Group: "networking.k8s.io", Kind: "IngressClass"}
	gatewayKind       = model.GroupKind{Group: gatewayGroup, Kind: "Gateway"}
	gatewayClassKind  = model.GroupKind{Group: gatewayGroup, Kind: "GatewayClass"}
	grantKind         = model.GroupKind{Group: gatewayGroup, Kind: "ReferenceGrant"}
)

const gatewayGroup = "gateway.networking.k8s.io"

// notUnderstood are kinds that open ways in, and are not read.
var notUnderstood = []model.GroupKind{
	{Group: "route.openshift.io", Kind: "Route"},
	{Group: "networking.istio.io", Kind: "Gateway"},
	{Group: "traefik.io", Kind: "IngressRoute"},
	{Group: "traefik.io", Kind: "IngressRouteTCP"},
	{Group: "traefik.io", Kind: "IngressRouteUDP"},
	{Group: "projectcontour.io", Kind: "HTTPProxy"},
	{Group: "configuration.konghq.com", Kind: "TCPIngress"},
	{Group: "configuration.konghq.com", Kind: "UDPIngress"},
	{Group: "k8s.nginx.org", Kind: "VirtualServer"},
	{Group: "k8s.nginx.org", Kind: "TransportServer"},
}

// Kinds are what of a cluster is read beside reach.Kinds.
func Kinds() []model.GroupKind {
	kinds := []model.GroupKind{serviceKind, endpointsKind, endpointSliceKind, ingressKind, ingressClassKind, gatewayKind, gatewayClassKind, grantKind}
	for _, k := range routeKinds {
		kinds = append(kinds, k.GroupKind)
	}
	return append(kinds, notUnderstood...)
}

// New reads the ways into a cluster, and asks for each whether policies let traffic in.
// The engine is that of the same world.
func New(w *model.World, e *reach.Engine) *Points {
	p := &Points{Services: NewServices(w, e.Cluster)}
	r := &reader{Points: p, world: w, cluster: e.Cluster, judge: newJudge(e), controllers: map[string]*Controller{}}
	r.services()
	r.direct()
	r.ingresses()
	r.gateways()
	p.Dangling = once(p.Dangling)
	for _, gk := range notUnderstood {
		p.NotUnderstood = append(p.NotUnderstood, w.Kind(gk)...)
	}
	for _, u := range w.Coverage() {
		if slices.Contains(Kinds(), u.GroupKind) && r.matters(u) {
			p.Unread = append(p.Unread, u)
		}
	}
	return p
}

// once leaves out what was found before: two listeners may serve one route.
func once(of []Dangling) (out []Dangling) {
	type key struct {
		object *model.Object
		reason string
	}
	seen := map[key]bool{}
	for _, d := range of {
		if k := (key{d.Object, d.Reason}); !seen[k] {
			seen[k] = true
			out = append(out, d)
		}
	}
	return out
}

// reader collects entries.
type reader struct {
	*Points
	world   *model.World
	cluster *reach.Cluster
	judge   *judge
	// controllers are those that were found, by their class and name.
	controllers map[string]*Controller
}

// matters reports whether an unread kind may open a way in. Endpoints do only for Services
// without a selector; that of the API server, which every cluster has, leads to no pod of
// anybody.
func (r *reader) matters(u model.Unobserved) bool {
	if u.GroupKind != endpointsKind && u.GroupKind != endpointSliceKind {
		return true
	}
	return slices.ContainsFunc(r.Services.All(), func(s *Service) bool {
		return len(s.Selector) == 0 && s.Type != externalName && s.String() != "default/kubernetes" && (u.Namespace == "" || u.Namespace == s.Namespace)
	})
}
