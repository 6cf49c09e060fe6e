package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func writesStatus(int) []power {
	return []power{
		{verbs: changeVerbs, resources: []string{"pods/status"}, may: "write the status of pods"},
		{verbs: changeVerbs, resources: []string{"services/status"}, may: "write the status of Services, and have traffic for any address"},
	}
}

var noStatusWriters = check.Control{
	Rule: finding.Rule{
		Name: "no-status-writers", Title: "Nobody writes the status of pods and Services", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "The status of a Service says which addresses its load balancer has: every node then sends traffic for them to its pods, whoever they belong to (CVE-2020-8554). " +
			"The status of a pod has its address and its labels in reach: Services send traffic there, and controllers take the pod for one of theirs or let it go.",
		Remedy:    "Leave status to the kubelets and to the controllers of Kubernetes, and services/status to the one that provides load balancers. Waive this control for it.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whether the holder provides load balancers or nodes.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: anywhere, find: anyOf(writesStatus)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [""]
    resources: [pods, pods/status] # want
    verbs: [get, patch]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: balancer
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [services/status] # want
    verbs: [update]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [""]
    resources: [pods/status, services/status]
    verbs: [get]
  - apiGroups: [apps]
    resources: [deployments/status]
    verbs: [update]
  - apiGroups: [shop.example.com]
    resources: [services/status]
    verbs: [update]
`},
	},
}
