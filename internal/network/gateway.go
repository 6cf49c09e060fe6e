package network

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
)

const gatewayGroup = "gateway.networking.k8s.io"

var gatewayKind = model.GroupKind{Group: gatewayGroup, Kind: "Gateway"}

// plainRoutes are the kinds of route that a listener of protocol HTTP may serve.
var plainRoutes = []model.GroupKind{{Group: gatewayGroup, Kind: "HTTPRoute"}, {Group: gatewayGroup, Kind: "GRPCRoute"}}

// listener is one listener of a Gateway.
type listener struct {
	gateway  *model.Object
	index    int
	content  map[string]any
	name     string
	protocol string
}

func listeners(gateway *model.Object) []listener {
	var out []listener
	for i, item := range gateway.List("spec", "listeners") {
		content, _ := item.(map[string]any)
		l := listener{gateway: gateway, index: i, content: content}
		l.name, _ = content["name"].(string)
		l.protocol, _ = content["protocol"].(string)
		out = append(out, l)
	}
	return out
}

// encrypted reports whether the listener speaks TLS, or hands it on.
func (l listener) encrypted() bool { return l.protocol == "HTTPS" || l.protocol == "TLS" }

// routesByGateway lists the routes that name each Gateway, which is written
// namespace/name.
var routesByGateway = model.NewFact(func(w *model.World) map[string][]parentRef {
	out := map[string][]parentRef{}
	for _, gk := range plainRoutes {
		for _, o := range w.Kind(gk) {
			for _, item := range o.List("spec", "parentRefs") {
				ref, _ := item.(map[string]any)
				if text(ref, "group", gatewayGroup) != gatewayGroup || text(ref, "kind", "Gateway") != "Gateway" {
					continue
				}
				key := text(ref, "namespace", o.Namespace) + "/" + text(ref, "name", "")
				out[key] = append(out[key], parentRef{o, ref})
			}
		}
	}
	return out
})

// parentRef is a route with one of the parents that it names.
type parentRef struct {
	route *model.Object
	ref   map[string]any
}

func text(m map[string]any, key, otherwise string) string {
	if s, _ := m[key].(string); s != "" {
		return s
	}
	return otherwise
}

// attached lists the routes that the listener serves, each once.
func (l listener) attached(w *model.World) []*model.Object {
	var out []*model.Object
	for _, p := range routesByGateway.Of(w)[l.gateway.Namespace+"/"+l.gateway.Name] {
		if s := text(p.ref, "sectionName", l.name); s != l.name {
			continue
		}
		if port, named := p.ref["port"]; named && port != l.content["port"] {
			continue
		}
		if l.admits(w, p.route) && l.sharesHost(p.route) && !slices.Contains(out, p.route) {
			out = append(out, p.route)
		}
	}
	return out
}

// admits reports whether the listener takes routes of the route's namespace and
// kind. Labels of a namespace that were not seen are taken to fit.
func (l listener) admits(w *model.World, route *model.Object) bool {
	if kinds, _ := model.Get(l.content, "allowedRoutes", "kinds").([]any); len(kinds) > 0 &&
		!slices.ContainsFunc(kinds, func(k any) bool { return model.Get(k, "kind") == route.Kind }) {
		return false
	}
	switch model.Get(l.content, "allowedRoutes", "namespaces", "from") {
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
		known, seen := w.NamespaceLabels(route.Namespace)
		return err == nil && (!seen || s.Matches(labels.Set(known)))
	}
	return route.Namespace == l.gateway.Namespace
}

// sharesHost reports whether some host is both the listener's and the route's.
func (l listener) sharesHost(route *model.Object) bool {
	mine, hosts := text(l.content, "hostname", ""), model.Strings(route.Get("spec", "hostnames"))
	return mine == "" || len(hosts) == 0 || slices.ContainsFunc(hosts, func(h string) bool { return hostsMeet(mine, h) })
}

// hostsMeet compares two hostnames, of which *.example.com stands for all names
// below example.com.
func hostsMeet(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	under := func(host, wildcard string) bool {
		suffix, ok := strings.CutPrefix(wildcard, "*")
		return ok && strings.HasSuffix(strings.TrimPrefix(host, "*"), suffix)
	}
	return a == b || under(a, b) || under(b, a)
}

// onlyRedirects reports whether a route sends every request on to HTTPS.
func onlyRedirects(route *model.Object) bool {
	rules := route.List("spec", "rules")
	return len(rules) > 0 && !slices.ContainsFunc(rules, func(rule any) bool {
		filters, _ := model.Get(rule, "filters").([]any)
		return !slices.ContainsFunc(filters, func(f any) bool {
			return model.Get(f, "type") == "RequestRedirect" && model.Get(f, "requestRedirect", "scheme") == "https"
		})
	})
}

func describeRoute(route *model.Object) string {
	return fmt.Sprintf("%s %s/%s", route.Kind, route.Namespace, route.Name)
}
