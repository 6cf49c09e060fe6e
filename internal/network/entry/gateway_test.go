package entry

import (
	"fmt"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

func gateway(listeners string) string {
	return fmt.Sprintf(`
---
{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: eg}, spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: front}, spec: {gatewayClassName: eg, listeners: [%s]}}
`, listeners)
}

func route(kind, meta, spec string) string {
	return fmt.Sprintf("\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: %s, metadata: {%s}, spec: {%s}}\n", kind, meta, spec)
}

const (
	httpListener = "{name: http, port: 8000, protocol: HTTP}"
	parent       = "parentRefs: [{name: front}], "
	backend      = "rules: [{backendRefs: [{name: web, port: 80}]}]"
	gatewayTo    = "Gateway shop/front eg internet: TCP 8000 -> shop/Deployment/web:8080 allowed"
)

func TestGateways(t *testing.T) {
	web := deployment("web", web) + shopWeb
	other := strings.ReplaceAll(deployment("api", "{name: http, containerPort: 7000}"), "name: api}", "name: api, namespace: other}") +
		"\n---\n{apiVersion: v1, kind: Service, metadata: {name: api, namespace: other}, spec: {selector: {app: api}, ports: [{port: 80, targetPort: http}]}}\n"
	toOther := "rules: [{backendRefs: [{name: api, namespace: other, port: 80}]}]"
	grant := func(from, to string) string {
		return "\n---\n{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g, namespace: other}, spec: {from: [{group: gateway.networking.k8s.io, kind: " + from + "}], to: [{group: '', kind: Service" + to + "}]}}\n"
	}
	ungranted := func(line int) string {
		return fmt.Sprintf("lost? %d: HTTPRoute shop/r leads to Service other/api, and no ReferenceGrant of namespace other lets it", line)
	}
	granted := "Gateway shop/front eg internet: TCP 8000 -> other/Deployment/api:7000 allowed"
	refused := func(kind string, line int) []string {
		return []string{fmt.Sprintf("lost %d: no listener of Gateway shop/front takes %s shop/r", line, kind)}
	}
	tests := []struct {
		name, text string
		want       []string
	}{
		{"a route", web + gateway(httpListener) + route("HTTPRoute", "name: r", parent+backend), []string{gatewayTo}},
		{"gRPC", web + gateway(httpListener) + route("GRPCRoute", "name: r", parent+backend), []string{gatewayTo}},
		{"TCP is not for HTTP", web + gateway(httpListener) + route("TCPRoute", "name: r", parent+backend), refused("TCPRoute", 17)},
		{"TCP", web + gateway("{name: t, port: 8000, protocol: TCP}") + route("TCPRoute", "name: r", parent+backend), []string{gatewayTo}},
		{"TLS", web + gateway("{name: t, port: 8000, protocol: TLS, hostname: '*.example.com'}") + route("TLSRoute", "name: r", parent+"hostnames: [a.example.com, b.example.org], "+backend), []string{
			"Gateway shop/front eg internet a.example.com: TCP 8000 -> shop/Deployment/web:8080 allowed"}},
		{"UDP wants a port of UDP", web + gateway("{name: u, port: 8000, protocol: UDP}") + route("UDPRoute", "name: r", parent+backend), []string{
			"lost 17: Gateway shop/front leads to port 80 of Service shop/web, which has no such UDP port"}},
		{"no hosts in common", web + gateway("{name: http, port: 8000, protocol: HTTP, hostname: a.example}") + route("HTTPRoute", "name: r", parent+"hostnames: [b.example], "+backend), refused("HTTPRoute", 17)},
		{"the section", web + gateway(httpListener+", {name: b, port: 9000, protocol: HTTP}") + route("HTTPRoute", "name: r", "parentRefs: [{name: front, sectionName: b}], "+backend), []string{
			"Gateway shop/front eg internet: TCP 9000 -> shop/Deployment/web:8080 allowed"}},
		{"the port", web + gateway(httpListener+", {name: b, port: 9000, protocol: HTTP}") + route("HTTPRoute", "name: r", "parentRefs: [{name: front, port: 9000}], "+backend), []string{
			"Gateway shop/front eg internet: TCP 9000 -> shop/Deployment/web:8080 allowed"}},
		{"a section that is not there", web + gateway(httpListener) + route("HTTPRoute", "name: r", "parentRefs: [{name: front, sectionName: c}], "+backend), refused("HTTPRoute", 17)},
		{"routes of other namespaces", web + other + gateway(httpListener) + route("HTTPRoute", "name: r, namespace: other", "parentRefs: [{name: front, namespace: shop}], "+strings.Replace(backend, "web", "api", 1)), []string{
			"lost 26: no listener of Gateway shop/front takes HTTPRoute other/r"}},
		{"which a listener may take", web + other + gateway(strings.Replace(httpListener, "HTTP}", "HTTP, allowedRoutes: {namespaces: {from: All}}}", 1)) + route("HTTPRoute", "name: r, namespace: other", "parentRefs: [{name: front, namespace: shop}], "+strings.Replace(backend, "web", "api", 1)), []string{granted}},
		{"by the labels of the namespace", "{apiVersion: v1, kind: Namespace, metadata: {name: other, labels: {a: b}}}\n" + web + other + gateway(strings.Replace(httpListener, "HTTP}", "HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: c}}}}}", 1)) + route("HTTPRoute", "name: r, namespace: other", "parentRefs: [{name: front, namespace: shop}], "+strings.Replace(backend, "web", "api", 1)), []string{
			"lost 27: no listener of Gateway shop/front takes HTTPRoute other/r"}},
		{"kinds of routes", web + gateway(strings.Replace(httpListener, "HTTP}", "HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}", 1)) + route("HTTPRoute", "name: r", parent+backend), refused("HTTPRoute", 17)},
		{"a Service of another namespace", web + other + gateway(httpListener) + route("HTTPRoute", "name: r", parent+toOther), []string{ungranted(26)}},
		{"that lets it", web + other + gateway(httpListener) + grant("HTTPRoute, namespace: shop", "") + route("HTTPRoute", "name: r", parent+toOther), []string{granted}},
		{"by its name", web + other + gateway(httpListener) + grant("HTTPRoute, namespace: shop", ", name: api") + route("HTTPRoute", "name: r", parent+toOther), []string{granted}},
		{"lets another Service", web + other + gateway(httpListener) + grant("HTTPRoute, namespace: shop", ", name: db") + route("HTTPRoute", "name: r", parent+toOther), []string{ungranted(29)}},
		{"lets another kind", web + other + gateway(httpListener) + grant("TCPRoute, namespace: shop", "") + route("HTTPRoute", "name: r", parent+toOther), []string{ungranted(29)}},
		{"lets another namespace", web + other + gateway(httpListener) + grant("HTTPRoute, namespace: dev", "") + route("HTTPRoute", "name: r", parent+toOther), []string{ungranted(29)}},
		{"two listeners, and nobody behind them", gateway(httpListener+", {name: b, port: 9000, protocol: HTTP}") + route("HTTPRoute", "name: r", parent+backend), []string{
			"lost? 8: Gateway shop/front leads to Service shop/web, which is not there"}},
		{"weight 0", web + gateway(httpListener) + route("HTTPRoute", "name: r", parent+strings.Replace(backend, "80}", "80, weight: 0}", 1)), nil},
		{"a copy", web + gateway(httpListener) + route("HTTPRoute", "name: r", parent+"rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: web, port: 80}}}]}]"), []string{gatewayTo}},
		{"a parent that is a Service", web + gateway(httpListener) + route("HTTPRoute", "name: r", "parentRefs: [{group: '', kind: Service, name: front}], "+backend), nil},
		{"a Gateway that is not there", web + route("HTTPRoute", "name: r", parent+backend), []string{"lost? 12: HTTPRoute shop/r is for Gateway shop/front, which is not there"}},
		{"an internal one", web + strings.Replace(gateway(httpListener), "listeners:", "infrastructure: {annotations: {networking.gke.io/load-balancer-type: Internal}}, listeners:", 1) + route("HTTPRoute", "name: r", parent+backend), []string{
			strings.Replace(gatewayTo, "internet", "addresses "+joined(private), 1)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			compare(t, lines(points(t, test.text, model.WorldOptions{}), "Gateway"), test.want...)
		})
	}
}

// TestGatewayPods are the pods that were made for a Gateway.
func TestGatewayPods(t *testing.T) {
	proxy := strings.Replace(deployment("proxy", "{containerPort: 10080}"), "labels: {app: proxy}", "labels: {app: proxy, gateway.networking.k8s.io/gateway-name: front}", 1)
	text := deployment("web", web) + shopWeb + gateway(httpListener) + route("HTTPRoute", "name: r", parent+backend) + proxy +
		service("proxy", "type: LoadBalancer, selector: {app: proxy}, ports: [{port: 8000, targetPort: 10080}]")
	from := func(app string) string {
		return policy("p", "podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: "+app+"}}}]}]")
	}
	compare(t, lines(points(t, text+from("proxy"), model.WorldOptions{}), "Gateway"), gatewayTo)
	compare(t, lines(points(t, text+from("other"), model.WorldOptions{}), "Gateway"), strings.Replace(gatewayTo, "allowed", "denied", 1))
}
