package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// stealsPods takes something that drives pods away and something that steers where
// they go then.
var stealsPods = []combination{{
	find: anyOf(func(int) []power {
		return []power{{verbs: changeVerbs, resources: []string{"nodes", "nodes/status"}, clusterScoped: true, may: "have pods made anew on a node of their choice"}}
	}),
	also: []detector{anyOf(func(int) []power {
		return []power{
			{verbs: []string{"delete", "deletecollection"}, resources: []string{"pods"}},
			{verbs: []string{"create"}, resources: []string{"pods/eviction"}},
			{verbs: []string{"delete", "deletecollection"}, resources: []string{"nodes"}, clusterScoped: true},
		}
	})},
}}

var noPodStealing = check.Control{
	Rule: finding.Rule{
		Name: "no-pod-stealing", Title: "Nobody moves pods to a node of their choice", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Who changes nodes can make all but one unfit to run pods, and who removes pods or nodes has their controllers make them anew. " +
			"Together they bring a pod with a powerful service account to the node that the attacker holds, where its token is read.",
		Remedy: "Grant what removes pods and what changes nodes to different accounts, or name the nodes in resourceNames. " +
			"Waive this control for what drains or scales nodes, and keep it off the nodes that run other workloads.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whether the holder drains nodes.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, ways: stealsPods}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: drain
rules:
  - apiGroups: [""]
    resources: [nodes] # want
    verbs: [get, patch]
  - apiGroups: [""]
    resources: [pods/eviction]
    verbs: [create]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: agent
rules:
  - apiGroups: [""]
    resources: [nodes/status] # want
    verbs: [update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: cleaner
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [pods]
    verbs: [deletecollection]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: agent
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: agent}
subjects:
  - {kind: ServiceAccount, name: agent, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: cleaner
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: cleaner}
subjects:
  - {kind: ServiceAccount, name: agent, namespace: shop}
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: problems
rules:
  - apiGroups: [""]
    resources: [nodes/status]
    verbs: [patch]
  - apiGroups: [""]
    resources: [pods]
    verbs: [get, list]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: agent
rules:
  - apiGroups: [""]
    resources: [nodes]
    resourceNames: [node-1]
    verbs: [patch]
  - apiGroups: [""]
    resources: [pods]
    verbs: [delete]
`},
	},
}
