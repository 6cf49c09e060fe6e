package entry

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// routeKind is a kind of route, and which protocols of listeners serve it (Gateway API,
// Listener.protocol and allowedRoutes.kinds).
type routeKind struct {
	model.GroupKind
	listeners []string
	protocol  reach.Protocol
	hosts     bool
}

var routeKinds = []routeKind{
	{model.GroupKind{Group: gatewayGroup, Kind: "HTTPRoute"}, []string{"HTTP", "HTTPS"}, reach.TCP, true},
	{model.GroupKind{Group: gatewayGroup, Kind: "GRPCRoute"}, []string{"HTTP", "HTTPS"}, reach.TCP, true},
	{model.GroupKind{Group: gatewayGroup, Kind: "TLSRoute"}, []string{"TLS"}, reach.TCP, true},
	{model.GroupKind{Group: gatewayGroup, Kind: "TCPRoute"}, []string{"TCP", "TLS"}, reach.TCP, false},
	{model.GroupKind{Group: gatewayGroup, Kind: "UDPRoute"}, []string{"UDP"}, reach.UDP, false},
}

// Listener is one listener of a Gateway.
type Listener struct {
	Gateway *model.Object
	// Index is its place in the list.
	Index                    int
	Name, Protocol, Hostname string
	Port                     uint16
	content                  any
}

// Listeners are those of a Gateway.
func Listeners(gateway *model.Object) (out []Listener) {
	for i, item := range gateway.List("spec", "listeners") {
		l := Listener{Gateway: gateway, Index: i, Name: textOf(item, "name"), Protocol: textOf(item, "protocol"), Hostname: textOf(item, "hostname"), content: item}
		l.Port, _ = portOf(model.Get(item, "port"))
		out = append(out, l)
	}
	return out
}

// routesByGateway lists the routes that name each Gateway, by its namespace and name.
var routesByGateway = model.NewFact(func(w *model.World) map[[2]string][]attachment {
	out := map[[2]string][]attachment{}
	for _, k := range routeKinds {
		for _, o := range latest(w.Kind(k.GroupKind)) {
			for _, ref := range o.List("spec", "parentRefs") {
				if text(ref, "group", gatewayGroup) != gatewayGroup || text(ref, "kind", "Gateway") != "Gateway" {
					continue // a Service of a mesh takes routes as well
				}
				key := [2]string{text(ref, "namespace", o.Namespace), textOf(ref, "name")}
				out[key] = append(out[key], attachment{o, k, ref})
			}
		}
	}
	return out
})

// attachment is a route with one of the parents that it names.
type attachment struct {
	route *model.Object
	kind  routeKind
	ref   any
}

func text(v any, key, otherwise string) string {
	if s := textOf(v, key); s != "" {
		return s
	}
	return otherwise
}

// Attached are the routes that a listener serves, each once.
func (l *Listener) Attached(w *model.World) (out []*model.Object) {
	for _, a := range l.attached(w) {
		out = append(out, a.route)
	}
	return out
}

func (l *Listener) attached(w *model.World) (out []attachment) {
	for _, a := range routesByGateway.Of(w)[[2]string{l.Gateway.Namespace, l.Gateway.Name}] {
		port, named := model.Get(a.ref, "port").(int64)
		switch {
		case text(a.ref, "sectionName", l.Name) != l.Name, named && port != int64(l.Port):
		case !l.takes(a.kind) || !l.admits(w, a.route) || a.kind.hosts && len(l.hosts(a.route)) == 0:
		case slices.ContainsFunc(out, func(b attachment) bool { return b.route == a.route }):
		default:
			out = append(out, a)
		}
	}
	return out
}

// takes reports whether the listener serves routes of a kind.
func (l *Listener) takes(k routeKind) bool {
	if !slices.Contains(k.listeners, l.Protocol) {
		return false
	}
	kinds, _ := model.Get(l.content, "allowedRoutes", "kinds").([]any)
	return len(kinds) == 0 || slices.ContainsFunc(kinds, func(item any) bool {
		return textOf(item, "kind") == k.Kind && text(item, "group", gatewayGroup) == k.Group
	})
}

// admits reports whether the listener takes routes of a route's namespace. Labels of a
// namespace that were not seen are taken to fit.
func (l *Listener) admits(w *model.World, route *model.Object) bool {
	switch textOf(l.content, "allowedRoutes", "namespaces", "from") {
	case "All":
		return true
	case "None":
		return false
	case "Selector":
		content, _ := model.Get(l.content, "allowedRoutes", "namespaces", "selector").(map[string]any)
		var selector metav1.LabelSelector
		if model.Decode(content, &selector) != nil {
			return false
		}
		s, err := metav1.LabelSelectorAsSelector(&selector)
		has, seen := w.NamespaceLabels(route.Namespace)
		return err == nil && (!seen || s.Matches(labels.Set(has)))
	}
	return route.Namespace == l.Gateway.Namespace
}

// hosts are the names of a route that the listener serves; empty for none, and "" for any.
func (l *Listener) hosts(route *model.Object) (out []string) {
	named := model.Strings(route.Get("spec", "hostnames"))
	if len(named) == 0 {
		return []string{l.Hostname}
	}
	for _, h := range named {
		if l.Hostname == "" || hostsMeet(l.Hostname, h) {
			out = append(out, h)
		}
	}
	return out
}

// hostsMeet compares two host names, of which *.example.com stands for all names below
// example.com (Gateway API, Hostname).
func hostsMeet(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	under := func(host, wildcard string) bool {
		suffix, ok := strings.CutPrefix(wildcard, "*")
		return ok && strings.HasSuffix(strings.TrimPrefix(host, "*"), suffix)
	}
	return a == b || under(a, b) || under(b, a)
}

// gateways makes an entry for each Service that a listener of a Gateway leads to.
func (r *reader) gateways() {
	classes := map[string]string{}
	for _, o := range r.world.Kind(gatewayClassKind) {
		classes[o.Name] = o.Text("spec", "controllerName")
	}
	found := map[[2]string]bool{}
	for _, g := range latest(r.world.Kind(gatewayKind)) {
		found[[2]string{g.Namespace, g.Name}] = true
		class := g.Text("spec", "gatewayClassName")
		c := r.gatewayController(g, class, classes[class])
		served := map[*model.Object]bool{}
		for _, l := range Listeners(g) {
			f := r.frontOf(c, l.Port)
			for _, a := range l.attached(r.world) {
				served[a.route] = true
				e := Entry{Kind: "Gateway", Namespace: g.Namespace, Name: g.Name, Type: class, Object: a.route, Port: l.Port, Controller: c}
				r.lead(e, r.routeBackends(a, l.hosts(a.route)), f)
			}
		}
		for _, a := range routesByGateway.Of(r.world)[[2]string{g.Namespace, g.Name}] {
			if !served[a.route] {
				served[a.route] = true
				r.lost(a.route, true, specPath("parentRefs"), "no listener of Gateway %s/%s takes %s %s/%s", g.Namespace, g.Name, a.route.Kind, a.route.Namespace, a.route.Name)
			}
		}
	}
	r.orphans(found)
}

// orphans are routes of Gateways that are not there.
func (r *reader) orphans(found map[[2]string]bool) {
	for _, k := range routeKinds {
		for _, o := range latest(r.world.Kind(k.GroupKind)) {
			for i, ref := range o.List("spec", "parentRefs") {
				key := [2]string{text(ref, "namespace", o.Namespace), textOf(ref, "name")}
				if text(ref, "kind", "Gateway") == "Gateway" && text(ref, "group", gatewayGroup) == gatewayGroup && !found[key] {
					r.lost(o, r.world.Closed(key[0]), specPath("parentRefs").Append(model.Index(i)), "%s %s/%s is for Gateway %s/%s, which is not there", o.Kind, o.Namespace, o.Name, key[0], key[1])
				}
			}
		}
	}
}

// gatewayController finds the pods that serve a Gateway: those that were made for it, by
// the label that the Gateway API recommends (GEP-1762) or that of Envoy Gateway, or those
// of the class.
func (r *reader) gatewayController(g *model.Object, class, controller string) *Controller {
	annotations := model.StringMap(g.Get("spec", "infrastructure", "annotations"))
	c := r.serving(class, controller, annotations)
	made, _ := r.Services.pods.choose(g.Namespace, map[string]string{"gateway.networking.k8s.io/gateway-name": g.Name})
	own := made.pods
	if len(own) == 0 {
		own = r.labelled(map[string]string{"gateway.envoyproxy.io/owning-gateway-name": g.Name, "gateway.envoyproxy.io/owning-gateway-namespace": g.Namespace})
	}
	if len(own) > 0 {
		c.Pods, c.Outside, c.Proxy, c.Doubts = own, nil, false, nil
	}
	c.Internal = c.Internal || isInternal(annotations, "") || isInternal(g.Annotations(), "")
	return c
}

// routeBackends are the Services that a route leads to, or sends a copy to.
func (r *reader) routeBackends(a attachment, hosts []string) (out []backendRef) {
	if hosts = slices.Clone(hosts); !a.kind.hosts || slices.Contains(hosts, "") {
		hosts = nil
	}
	add := func(content any, at model.Path) {
		if weight, set := model.Get(content, "weight").(int64); content == nil || set && weight == 0 {
			return // of weight 0 nothing is sent there
		}
		ref := backendRef{namespace: text(content, "namespace", a.route.Namespace), name: textOf(content, "name"), protocol: a.kind.protocol, hosts: hosts, at: at}
		ref.port, _ = portOf(model.Get(content, "port"))
		if kind := text(content, "kind", "Service"); kind != "Service" || textOf(content, "group") != "" {
			r.lost(a.route, false, at, "%s %s is what it leads to, which is not understood", kind, ref.name)
			return
		}
		if !r.granted(a.route, ref) {
			r.lost(a.route, r.world.Closed(ref.namespace), at, "%s %s/%s leads to Service %s/%s, and no ReferenceGrant of namespace %s lets it", a.route.Kind, a.route.Namespace, a.route.Name, ref.namespace, ref.name, ref.namespace)
			return
		}
		out = append(out, ref)
	}
	for i, rule := range a.route.List("spec", "rules") {
		at := specPath("rules").Append(model.Index(i))
		refs, _ := model.Get(rule, "backendRefs").([]any)
		for k, ref := range refs {
			add(ref, at.Append(model.Key("backendRefs"), model.Index(k)))
		}
		filters, _ := model.Get(rule, "filters").([]any)
		for k, filter := range filters {
			add(model.Get(filter, "requestMirror", "backendRef"), at.Append(model.Key("filters"), model.Index(k), model.Key("requestMirror")))
		}
	}
	return out
}

// granted reports whether a route may lead to a Service: one of its own namespace, or one
// that a ReferenceGrant beside the Service lets it (Gateway API, ReferenceGrant).
func (r *reader) granted(route *model.Object, ref backendRef) bool {
	return ref.namespace == route.Namespace || slices.ContainsFunc(r.world.KindIn(grantKind, ref.namespace), func(grant *model.Object) bool {
		from := slices.ContainsFunc(grant.List("spec", "from"), func(item any) bool {
			return textOf(item, "group") == gatewayGroup && textOf(item, "kind") == route.Kind && textOf(item, "namespace") == route.Namespace
		})
		return from && slices.ContainsFunc(grant.List("spec", "to"), func(item any) bool {
			return textOf(item, "group") == "" && textOf(item, "kind") == "Service" && text(item, "name", ref.name) == ref.name
		})
	})
}
