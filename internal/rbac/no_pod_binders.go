package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func bindsPods(int) []power {
	return []power{{verbs: []string{"create"}, resources: []string{"pods/binding", "bindings"}, may: "put pods onto nodes of their choice"}}
}

var noPodBinders = check.Control{
	Rule: finding.Rule{
		Name: "no-pod-binders", Title: "Nobody binds pods to nodes in place of the scheduler", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A binding puts a pod onto a node whatever its tolerations, its affinity and the state of the node say: " +
			"a pod of one tenant onto a node that is set aside for another, or onto one that the attacker holds, where its token is read.",
		Remedy:    "Leave it to the scheduler. Waive this control for a scheduler of your own.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whether the holder is a scheduler.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: anywhere, find: anyOf(bindsPods)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: packer
rules:
  - apiGroups: [""]
    resources: [pods, pods/binding] # want
    verbs: [get, create]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: packer
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [bindings] # want
    verbs: [create]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: packer
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [pods/binding]
    verbs: [get]
  - apiGroups: [""]
    resources: [pods/eviction]
    verbs: [create]
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [bindings]
    verbs: [create]
`},
	},
}
