package rbac

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func findFullAccess(r *rbacv1.PolicyRule, _ *reach) []hit {
	if !fullAccess(*r) {
		return nil
	}
	return []hit{{"resources", slices.Index(r.Resources, rbacv1.ResourceAll), "do everything with everything"}}
}

var noFullAccessRoles = check.Control{
	Rule: finding.Rule{
		Name: "no-full-access-roles", Title: "No role grants every verb on every resource", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Such a role is cluster-admin by another name: it reads all Secrets, runs commands in all pods and changes who may do what. " +
			"Under its own name it escapes those who look for cluster-admin.",
		Remedy:    "List the resources and verbs that are used. Bind cluster-admin itself where everything is really meant.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide what the holder has to do; the audit log tells.",
	Subsumes: slices.Concat(wildcardControls, lesserControls, []string{
		"no-admission-writers", "no-csr-approval", "no-escalation-verbs", "no-escalation-verbs-in-namespace", "no-node-proxy", "no-pod-creators",
		"no-pod-exec", "no-secret-readers", "no-secret-readers-in-namespace", "no-token-minting", "no-volume-creators"}),
	Needs: grantKinds,
	World: rolesControl{scope: anywhere, find: inAnyVersion(findFullAccess), rolesOnly: true}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: ["*"]
    resources:
      - "*" # want
    verbs: ["*"]
  - nonResourceURLs: ["*"]
    verbs: ["*"]
`, `# Every role of the cluster is among those that it takes its rules from.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: everything
aggregationRule: # want
  clusterRoleSelectors:
    - matchLabels: {}
rules: []
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [apps]
    resources: ["*"]
    verbs: ["*"]
  - apiGroups: ["*"]
    resources: ["*"]
    verbs: [get, list, watch]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: tickets
aggregationRule:
  clusterRoleSelectors:
    - matchLabels: {example.com/aggregate-to-tickets: "true"}
rules: []
`},
	},
}
