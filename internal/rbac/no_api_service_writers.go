package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func registersServers(int) []power {
	return []power{{verbs: writeVerbs, group: "apiregistration.k8s.io", resources: []string{"apiservices"}, clusterScoped: true,
		may: "have a server of theirs answer for an API group"}}
}

var noAPIServiceWriters = check.Control{
	Rule: finding.Rule{
		Name: "no-api-service-writers", Title: "Nobody registers extension API servers", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "An APIService hands requests for an API group to a server of its author's choice. That server sees who asks and what for, " +
			"answers as it likes, for metrics that scale workloads for instance, and takes the place of the one that was registered before.",
		Remedy:    "Leave APIServices to those who run the cluster. What installs an extension server needs create, update and patch on its own one, by resourceNames.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whether the holder installs an extension server.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, find: anyOf(registersServers)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [apiregistration.k8s.io]
    resources: [apiservices] # want
    verbs: [get, create]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [apiregistration.k8s.io]
    resources: [apiservices]
    verbs: [get, list, watch]
  - apiGroups: [apiregistration.k8s.io]
    resources: [apiservices]
    resourceNames: [v1beta1.metrics.k8s.io]
    verbs: [update]
  - apiGroups: [apiregistration.k8s.io]
    resources: [apiservices/status]
    verbs: [update]
`},
	},
}
