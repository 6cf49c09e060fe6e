package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// reachKubelets counts get as well: a WebSocket is opened by a GET request, so
// that get is enough to run commands.
func reachKubelets(int) []power {
	return []power{{verbs: []string{"get", "create", "update", "patch", "delete"}, resources: []string{"nodes/proxy"}, clusterScoped: true,
		named: ofAnyName, may: "run commands in every pod through the kubelets"}}
}

var noNodeProxy = check.Control{
	Rule: finding.Rule{
		Name: "no-node-proxy", Title: "Nobody reaches the kubelets through nodes/proxy", Severity: finding.Critical, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "nodes/proxy is the whole kubelet API. Even get is enough to run commands in any pod of the node, the privileged ones included, " +
			"and who asks the kubelet itself leaves no trace in the API server's audit log.",
		Remedy: "Grant nodes/metrics, nodes/stats, nodes/log, nodes/configz or nodes/healthz, which the kubelet knows one by one from Kubernetes 1.33. " +
			"Read metrics from the kubelet's port, not through the API server.",
		FixSafety: finding.FixRisky,
	},
	FixNote: "nodes/proxy becomes nodes/configz, nodes/healthz, nodes/log, nodes/metrics and nodes/stats. What reads them through the API server, at " +
		"/api/v1/nodes/NAME/proxy, is refused and has to ask the kubelet's port; before Kubernetes 1.33 kubelets refuse configz and healthz as well. " +
		"Where a wildcard or a role of Kubernetes grants nodes/proxy, decide what the holder needs.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, find: anyOf(reachKubelets)}.judge,
	Fix:      kubeletEndpoints(),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: monitoring
rules:
  - apiGroups: [""]
    resources:
      - nodes
      - nodes/metrics
      - nodes/proxy # want
    verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: monitoring
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: monitoring}
subjects:
  - {kind: ServiceAccount, name: agent, namespace: monitoring}
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: monitoring
rules:
  - apiGroups: [""]
    resources: [nodes, nodes/metrics, nodes/stats, nodes/configz]
    verbs: [get, list, watch]
`, `# Nodes belong to no namespace: a RoleBinding does not grant them.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: monitoring
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [nodes/proxy]
    verbs: [get]
`},
	},
}
