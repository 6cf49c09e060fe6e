package rbac

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func startPods(int) []power {
	write := []string{"create", "update", "patch"}
	const may = "start pods of their own making"
	return []power{
		{verbs: write, resources: []string{"pods", "replicationcontrollers"}, may: may},
		{verbs: write, group: "apps", resources: []string{"deployments", "daemonsets", "statefulsets", "replicasets"}, may: may},
		{verbs: write, group: "batch", resources: []string{"jobs", "cronjobs"}, may: may},
	}
}

var noPodCreators = check.Control{
	Rule: finding.Rule{
		Name: "no-pod-creators", Title: "Nobody starts pods in every namespace", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A pod runs as any service account of its namespace and mounts any Secret there. Who makes or changes pods in every namespace " +
			"picks a controller's account in kube-system, or a namespace that admits privileged pods, and owns the cluster.",
		Remedy:    "Bind the role by a RoleBinding in each namespace that the holder deploys to.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide which namespaces the holder deploys to.",
	Subsumes: slices.Concat(wildcardControls, lesserControls),
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, find: anyOf(startPods)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: deployer
rules:
  - apiGroups: [apps]
    resources: [deployments] # want
    verbs: [get, list, patch]
  - apiGroups: [batch]
    resources: ["*"] # want
    verbs: ["*"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: deployer
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: deployer}
subjects:
  - {kind: User, name: "system:serviceaccount:ci:runner", apiGroup: rbac.authorization.k8s.io}
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: deployer
  namespace: shop
rules:
  - apiGroups: [apps]
    resources: [deployments]
    verbs: ["*"]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: scaler
rules:
  - apiGroups: [apps]
    resources: [deployments/scale, "*/status"]
    verbs: [update, patch]
  - apiGroups: [""]
    resources: [pods]
    verbs: [get, list, watch, delete]
  - apiGroups: [extensions.example.com]
    resources: [deployments]
    verbs: [create]
`, `# Aggregated into edit, which starts pods anyway where it is bound.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: jobs
  labels:
    rbac.authorization.k8s.io/aggregate-to-edit: "true"
rules:
  - apiGroups: [batch]
    resources: [jobs]
    verbs: [create]
`},
	},
}
