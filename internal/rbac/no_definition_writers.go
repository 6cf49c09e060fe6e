package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func writesDefinitions(int) []power {
	return []power{{verbs: alterVerbs, group: "apiextensions.k8s.io", resources: []string{"customresourcedefinitions"}, clusterScoped: true,
		may: "change what custom resources are, and who converts them"}}
}

var noDefinitionWriters = check.Control{
	Rule: finding.Rule{
		Name: "no-definition-writers", Title: "Nobody writes CustomResourceDefinitions", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A definition says which server converts its objects between versions: that server reads and changes every one of them. " +
			"Who takes a validation away makes controllers act on what they never expected, and who deletes a definition deletes all objects of that kind.",
		Remedy: "Install definitions with the account that installs the operator, not with the one that it runs as. " +
			"An operator that keeps its own fresh needs get, update and patch on those, by resourceNames.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide which definitions, if any, the holder has to keep.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, find: anyOf(writesDefinitions)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [apiextensions.k8s.io]
    resources: [customresourcedefinitions] # want
    verbs: [get, create, update]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [apiextensions.k8s.io]
    resources: [customresourcedefinitions]
    verbs: [get, list, watch]
  - apiGroups: [apiextensions.k8s.io]
    resources: [customresourcedefinitions]
    resourceNames: [shops.example.com]
    verbs: [update]
  - apiGroups: [apiextensions.k8s.io]
    resources: [customresourcedefinitions/status]
    verbs: [update]
`},
	},
}
