package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// directsTraffic counts what takes a network policy away as well.
func directsTraffic(int) []power {
	const send, open = "send traffic where they like", "open what network policies close"
	return []power{
		{verbs: writeVerbs, resources: []string{"services", "endpoints"}, may: send},
		{verbs: writeVerbs, group: "discovery.k8s.io", resources: []string{"endpointslices"}, may: send},
		{verbs: writeVerbs, group: "networking.k8s.io", resources: []string{"ingresses"}, may: send},
		{verbs: writeVerbs, group: "gateway.networking.k8s.io", may: send,
			resources: []string{"gateways", "httproutes", "grpcroutes", "tcproutes", "tlsroutes", "udproutes", "referencegrants"}},
		{verbs: alterVerbs, group: "networking.k8s.io", resources: []string{"networkpolicies"}, may: open},
		{verbs: alterVerbs, group: "policy.networking.k8s.io", may: open, clusterScoped: true,
			resources: []string{"clusternetworkpolicies", "adminnetworkpolicies", "baselineadminnetworkpolicies"}},
		{verbs: alterVerbs, group: "cilium.io", resources: []string{"ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies"}, may: open},
		{verbs: alterVerbs, group: "projectcalico.org", resources: []string{"networkpolicies", "globalnetworkpolicies"}, may: open},
		{verbs: alterVerbs, group: "crd.projectcalico.org", resources: []string{"networkpolicies", "globalnetworkpolicies"}, may: open},
	}
}

var noTrafficWriters = check.Control{
	Rule: finding.Rule{
		Name: "no-traffic-writers", Title: "Nobody redirects traffic in every namespace", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Services, endpoints, Ingresses and routes say where traffic goes, and network policies where it may go. " +
			"Who writes them in every namespace reads and answers what is meant for others, and opens what was closed.",
		Remedy: "Bind the role by a RoleBinding in each namespace that the holder deploys to. A controller that makes Services for its own workloads " +
			"often needs them in its own namespace alone.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide which namespaces the holder deploys to.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, find: anyOf(directsTraffic)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [""]
    resources: [pods, services] # want
    verbs: [get, create]
  - apiGroups: [networking.k8s.io]
    resources: [networkpolicies] # want
    verbs: [delete]
  - apiGroups: [gateway.networking.k8s.io]
    resources: [httproutes] # want
    verbs: [update]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [""]
    resources: [services, endpoints]
    verbs: [get, list, watch]
  - apiGroups: [""]
    resources: [services/finalizers]
    verbs: [update]
  - apiGroups: [networking.k8s.io]
    resources: [ingresses/status]
    verbs: [update]
  - apiGroups: [""]
    resources: [services]
    resourceNames: [operator]
    verbs: [update]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: operator
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [services]
    verbs: [create]
`},
	},
}
