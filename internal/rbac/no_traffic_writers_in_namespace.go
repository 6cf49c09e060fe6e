package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

var noTrafficWritersInNamespace = check.Control{
	Rule: finding.Rule{
		Name: "no-traffic-writers-in-namespace", Title: "Few redirect traffic in a namespace", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Services, endpoints, Ingresses and routes say where traffic goes, and network policies where it may go. Whoever deploys writes them; " +
			"who does not can answer for the workloads of the namespace, and endpoints and external names reach into other namespaces.",
		Remedy: "Leave them to the account that deploys, and network policies to those who decide on them. " +
			"Nobody has to write endpoints: their controller does.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whether the holder deploys to the namespace.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: someNamespaces, find: anyOf(directsTraffic)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: deployer
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [services, endpoints] # want
    verbs: [create, update]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: viewer
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [services, endpoints]
    verbs: [get, list, watch, delete]
`},
	},
}
