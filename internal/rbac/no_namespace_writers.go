package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func changesNamespaces(int) []power {
	return []power{{verbs: changeVerbs, resources: []string{"namespaces"}, named: ofAnyName, may: "change the labels of namespaces"}}
}

var noNamespaceWriters = check.Control{
	Rule: finding.Rule{
		Name: "no-namespace-writers", Title: "Nobody changes the labels of namespaces", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Labels of a namespace say which level of Pod Security is enforced there, which network policies and which admission policies concern it. " +
			"Who changes them, those of a single namespace included, lets privileged pods in and traffic through.",
		Remedy: "Leave namespaces to those who run the cluster: to make one and to delete it changes no labels of others. " +
			"Where a controller has to set labels of its own, guard the others by a ValidatingAdmissionPolicy and waive this control.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whether the holder has to change namespaces, and which labels.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: anywhere, find: anyOf(changesNamespaces)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: tenants
rules:
  - apiGroups: [""]
    resources: [namespaces] # want
    verbs: [get, create, patch]
  - apiGroups: [""]
    resources: [namespaces] # want
    resourceNames: [shop]
    verbs: [update]
`, `# A request for a namespace is made in it, so that a Role there is enough.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: owner
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [namespaces] # want
    verbs: [update]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: tenants
rules:
  - apiGroups: [""]
    resources: [namespaces, namespaces/status]
    verbs: [get, list, watch, create, delete]
  - apiGroups: [""]
    resources: [namespaces/finalize]
    verbs: [update]
`},
	},
}
