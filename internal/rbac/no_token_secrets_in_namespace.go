package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

var noTokenSecretsInNamespace = check.Control{
	Rule: finding.Rule{
		Name: "no-token-secrets-in-namespace", Title: "Nobody makes Secrets with tokens of service accounts in a namespace", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A Secret of type kubernetes.io/service-account-token is filled with a token of the account that it names, and that token does not expire. " +
			"Who writes Secrets in a namespace, and reads them or mounts them into a pod, becomes any service account there.",
		Remedy: "Make the Secret that a program needs beforehand and grant get and update on it, by resourceNames. " +
			"Keep accounts that may do much in namespaces where nobody else writes Secrets.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide which Secrets the holder has to make, and which accounts there may do more than it does.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: someNamespaces, ways: tokenSecrets}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: certificates
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [secrets] # want
    verbs: [create]
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [web-tls]
    verbs: [get, update]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: certificates
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [web-tls]
    verbs: [get, update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: exporter
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create]
`},
	},
}
