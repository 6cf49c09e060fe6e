package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// writesPolicies lists the engines' resources. Those that are about one namespace
// matter where they can be written in all.
func writesPolicies(int) []power {
	const policies, exceptions = "change what policies refuse, alter and make", "exempt from policies"
	inCluster := func(group string, resources ...string) power {
		return power{verbs: alterVerbs, group: group, resources: resources, clusterScoped: true, may: policies}
	}
	return []power{
		inCluster("kyverno.io", "clusterpolicies", "policies", "clustercleanuppolicies", "cleanuppolicies", "globalcontextentries"),
		inCluster("policies.kyverno.io"),
		inCluster("templates.gatekeeper.sh", "constrainttemplates"),
		inCluster("constraints.gatekeeper.sh"),
		inCluster("mutations.gatekeeper.sh"),
		inCluster("expansion.gatekeeper.sh", "expansiontemplate"),
		inCluster("config.gatekeeper.sh", "configs"),
		inCluster("policies.kubewarden.io"),
		inCluster("policy.sigstore.dev", "clusterimagepolicies"),
		{verbs: writeVerbs, group: "kyverno.io", resources: []string{"policyexceptions"}, may: exceptions},
		{verbs: writeVerbs, group: "policies.kyverno.io", resources: []string{"policyexceptions"}, may: exceptions},
		{verbs: writeVerbs, group: "bulkhead.dev", resources: []string{"waivers"}, may: exceptions},
	}
}

var noPolicyWriters = check.Control{
	Rule: finding.Rule{
		Name: "no-policy-writers", Title: "Nobody writes the policies of a policy engine", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A policy of Kyverno or Gatekeeper refuses, changes and, with Kyverno, makes objects with the rights of the engine, which are those of the cluster. " +
			"Who writes policies has these rights, and who writes an exception, which may stand in any namespace, lifts what the others forbid.",
		Remedy: "Leave policies and exceptions to those who run the cluster, and have exceptions reviewed like code. " +
			"Let the engine take exceptions from one namespace only.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whether the holder decides on policies.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: anywhere, find: anyOf(writesPolicies)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: platform
rules:
  - apiGroups: [kyverno.io]
    resources: [clusterpolicies] # want
    verbs: [get, create]
  - apiGroups: [constraints.gatekeeper.sh]
    resources: ["*"] # want
    verbs: [delete]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: team
  namespace: shop
rules:
  - apiGroups: [kyverno.io]
    resources: [policyexceptions] # want
    verbs: [create]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: auditor
rules:
  - apiGroups: [kyverno.io, policies.kyverno.io, templates.gatekeeper.sh]
    resources: ["*"]
    verbs: [get, list, watch]
  - apiGroups: [wgpolicyk8s.io]
    resources: [policyreports]
    verbs: [create]
  - apiGroups: [constraints.gatekeeper.sh]
    resources: [k8sallowedrepos/status]
    verbs: [update]
`, `# A policy of one namespace is about that namespace.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: team
  namespace: shop
rules:
  - apiGroups: [kyverno.io]
    resources: [policies]
    verbs: [create]
`},
	},
}
