package network

import (
	"fmt"
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/entry"
)

// balancerCertificate is set where a load balancer of the cloud ends TLS before
// the Gateway.
const balancerCertificate = "service.beta.kubernetes.io/aws-load-balancer-ssl-cert"

func judgeGateways(in *check.Input) []check.Judgement {
	var out []check.Judgement
	for _, g := range in.World.Kind(gatewayKind) {
		if g.Annotations()[balancerCertificate] != "" || model.Get(g.Get("spec", "infrastructure", "annotations"), balancerCertificate) != nil {
			out = append(out, check.Passed(g, finding.Evidence{Source: g.Ref().String(), Detail: "the load balancer before it ends TLS"}))
			continue
		}
		all := entry.Listeners(g)
		secure := slices.ContainsFunc(all, encrypted)
		var violations []check.Violation
		for _, l := range all {
			if detail := plainDetail(in.World, l, secure); detail != "" {
				violations = append(violations, check.Violation{Detail: detail,
					Path: model.Path(nil).Append(model.Key("spec"), model.Key("listeners"), model.Index(l.Index), model.Key("protocol"))})
			}
		}
		out = append(out, check.Failed(g, violations...))
	}
	return out
}

// plainDetail says what a listener serves in plain text; empty is nothing. A
// listener that only redirects to HTTPS is as it should be. Beside one with TLS, a
// listener of which no route is seen is taken to be such a one.
func plainDetail(w *model.World, l entry.Listener, secure bool) string {
	if l.Protocol != "HTTP" {
		return ""
	}
	routes := l.Attached(w)
	if len(routes) == 0 {
		if secure {
			return ""
		}
		return fmt.Sprintf("listener %s is plain HTTP and no listener has TLS", l.Name)
	}
	for _, r := range routes {
		if !onlyRedirects(r) {
			return fmt.Sprintf("listener %s serves %s in plain text", l.Name, describeRoute(r))
		}
	}
	return ""
}

var gatewayTLS = check.Control{
	Rule: finding.Rule{
		Name: "gateway-tls", Title: "Gateway listeners serve with TLS", Severity: finding.Medium, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "What a listener serves in plain text, cookies and passwords among it, can be read and changed by everyone on the way. " +
			"A route that names no section of the Gateway is served by its plain listeners as well.",
		Remedy: "Serve routes from a listener of protocol HTTPS: set sectionName in their parentRefs. " +
			"Leave on the HTTP listener one HTTPRoute whose only filter is a RequestRedirect with scheme https.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which certificate the hosts are served with.",
	Needs:   slices.Concat([]model.GroupKind{gatewayKind}, plainRoutes),
	World:   judgeGateways,
	Examples: check.Examples{
		Bad: []string{`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: front
  namespace: shop
spec:
  gatewayClassName: example
  listeners:
    - name: plain
      port: 80
      protocol: HTTP # want
    - name: secure
      port: 443
      protocol: HTTPS
      tls:
        certificateRefs:
          - name: shop
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
  namespace: shop
spec:
  parentRefs:
    - name: front
  rules:
    - backendRefs:
        - {name: web, port: 80}
`, `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: plain
spec:
  gatewayClassName: example
  listeners:
    - name: http
      port: 80
      protocol: HTTP # want
`},
		Good: []string{`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: front
  namespace: shop
spec:
  gatewayClassName: example
  listeners:
    - name: plain
      port: 80
      protocol: HTTP
      hostname: "*.example.com"
    - name: secure
      port: 443
      protocol: HTTPS
      tls:
        certificateRefs:
          - name: shop
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: redirect
  namespace: shop
spec:
  parentRefs:
    - name: front
      sectionName: plain
  rules:
    - filters:
        - type: RequestRedirect
          requestRedirect: {scheme: https, statusCode: 301}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
  namespace: shop
spec:
  parentRefs:
    - name: front
      sectionName: secure
  rules:
    - backendRefs:
        - {name: web, port: 80}
---
# Another namespace's route is not taken, nor one for other hosts.
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: stray
  namespace: other
spec:
  parentRefs:
    - {name: front, namespace: shop}
  rules:
    - backendRefs:
        - {name: web, port: 80}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: elsewhere
  namespace: shop
spec:
  parentRefs:
    - name: front
  hostnames: [example.org]
  rules:
    - backendRefs:
        - {name: web, port: 80}
`},
	},
}
