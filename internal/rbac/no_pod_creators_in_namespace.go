package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

var noPodCreatorsInNamespace = check.Control{
	Rule: finding.Rule{
		Name: "no-pod-creators-in-namespace", Title: "Few start pods in a namespace", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A pod runs as any service account of its namespace and mounts any Secret there: who makes or changes pods has the rights of all of them. " +
			"Whoever deploys needs that. What it is worth to an attacker depends on the accounts of the namespace and on its Pod Security level.",
		Remedy: "Leave deployments to one account, that of the pipeline for instance. Enforce the restricted level of Pod Security in the namespace, " +
			"and keep service accounts that may do more elsewhere.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whether the holder deploys to the namespace.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: someNamespaces, find: anyOf(startPods)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: deployer
  namespace: shop
rules:
  - apiGroups: [apps]
    resources: [deployments, statefulsets] # want
    verbs: [get, create]
  - apiGroups: [""]
    resources: [pods] # want
    verbs: [patch]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: scaler
  namespace: shop
rules:
  - apiGroups: [apps]
    resources: [deployments/scale]
    verbs: [update, patch]
  - apiGroups: [""]
    resources: [pods]
    verbs: [get, list, watch, delete]
  - apiGroups: [batch]
    resources: [jobs]
    resourceNames: [nightly]
    verbs: [update]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: deployer
rules:
  - apiGroups: [apps]
    resources: [deployments]
    verbs: [create]
`},
	},
}
