package rbac

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// writesSystemConfig counts who changes them: a file of that name is there already
// where anything reads it.
func writesSystemConfig(int) []power {
	change := func(name, may string) power {
		return power{verbs: changeVerbs, resources: []string{"configmaps"}, namespace: "kube-system", may: may,
			named: func(names []string) bool { return slices.Contains(names, name) }}
	}
	return []power{
		change("aws-auth", "change aws-auth, which says who logs in to EKS as whom"),
		change("coredns", "change coredns, which says where names lead"),
	}
}

var noSystemConfigWriters = check.Control{
	Rule: finding.Rule{
		Name: "no-system-config-writers", Title: "Nobody writes aws-auth and coredns", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "On EKS the ConfigMap aws-auth gives users and roles of AWS the groups of the cluster, system:masters among them: who changes it is whoever it likes. " +
			"coredns says how names are resolved: who changes it leads the traffic of every pod elsewhere. " +
			"Both are in kube-system, where whoever writes ConfigMaps in every namespace writes too.",
		Remedy: "Bind the role by a RoleBinding in the namespaces where the holder keeps ConfigMaps, or name them in resourceNames. " +
			"On EKS use access entries in place of aws-auth.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide which ConfigMaps the holder changes, in which namespaces.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: anywhere, find: anyOf(writesSystemConfig)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [""]
    resources: [configmaps] # want
    verbs: [get, create, update]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: login
  namespace: kube-system
rules:
  - apiGroups: [""]
    resources: [configmaps] # want
    resourceNames: [aws-auth]
    verbs: [patch]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [get, create, delete]
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames: [operator-lock]
    verbs: [update]
`, `# Elsewhere a ConfigMap of that name means nothing.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: operator
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [update]
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames: [coredns]
    verbs: [patch]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: election
  namespace: kube-system
rules:
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames: [election]
    verbs: [update]
`},
	},
}
