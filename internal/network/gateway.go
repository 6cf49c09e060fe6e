package network

import (
	"fmt"
	"slices"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/entry"
)

const gatewayGroup = "gateway.networking.k8s.io"

var gatewayKind = model.GroupKind{Group: gatewayGroup, Kind: "Gateway"}

// plainRoutes are the kinds of route that a listener of protocol HTTP may serve.
var plainRoutes = []model.GroupKind{{Group: gatewayGroup, Kind: "HTTPRoute"}, {Group: gatewayGroup, Kind: "GRPCRoute"}}

// encrypted reports whether a listener speaks TLS, or hands it on.
func encrypted(l entry.Listener) bool { return l.Protocol == "HTTPS" || l.Protocol == "TLS" }

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
