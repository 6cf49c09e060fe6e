package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// tokenSecrets are the ways to a token by a Secret. To make one it need not be known
// which other Secrets there are: a rule to read a single name is enough, while a
// change makes a token of nothing but a Secret that holds one.
var tokenSecrets = []combination{
	{find: anyOf(writesSecrets("create")), also: []detector{anyOf(seeSecretsOrMount(ofAnyName))}},
	{find: anyOf(writesSecrets(changeVerbs...)), also: []detector{anyOf(seeSecretsOrMount(nil))}},
}

func writesSecrets(verbs ...string) func(int) []power {
	return func(int) []power {
		return []power{{verbs: verbs, resources: []string{"secrets"}, may: "make a token of any ServiceAccount by a Secret"}}
	}
}

// seeSecretsOrMount is how the token is got out of the Secret: it is read, or mounted.
func seeSecretsOrMount(named func([]string) bool) func(int) []power {
	return func(version int) []power {
		read := readSecrets(version)[0]
		read.named = named
		return append(startPods(version), read)
	}
}

var noTokenSecrets = check.Control{
	Rule: finding.Rule{
		Name: "no-token-secrets", Title: "Nobody makes Secrets with tokens of service accounts in the whole cluster", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A Secret of type kubernetes.io/service-account-token is filled with a token of the account that it names, and that token does not expire. " +
			"Who writes Secrets, and reads them or mounts them into a pod, becomes any service account of the cluster.",
		Remedy: "Grant either to write Secrets or to read them and start pods, by a Role in the namespaces where it is needed. " +
			"Where a program makes a Secret of its own, make it beforehand and grant get and update on it, by resourceNames.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whether the holder has to write Secrets, in which namespaces, and which it reads.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, ways: tokenSecrets}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: certificates
rules:
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [get]
  - apiGroups: [""]
    resources: [secrets] # want
    verbs: [create, delete]
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [web-tls]
    verbs: [get, update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: certificates
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: certificates}
subjects:
  - {kind: ServiceAccount, name: issuer, namespace: certificates}
`, `# One role writes Secrets, another one starts the pods that mount them.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: secrets
rules:
  - apiGroups: [""]
    resources: [secrets] # want
    verbs: [patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: jobs
rules:
  - apiGroups: [batch]
    resources: [jobs]
    verbs: [create]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: secrets
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: secrets}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: jobs
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: jobs}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: secrets
rules:
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create, update, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: secrets
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: secrets}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
`, `# What two people hold, neither of them holds.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: writer
rules:
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: reader
rules:
  - apiGroups: [""]
    resources: [secrets]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: writer
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: writer}
subjects:
  - {kind: ServiceAccount, name: writer, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: reader
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects:
  - {kind: ServiceAccount, name: reader, namespace: shop}
`},
	},
}
