package rbac

import (
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// signsCertificates takes both: the status is where the certificate is written.
var signsCertificates = []combination{{
	find: anyOf(func(int) []power {
		return []power{{verbs: []string{"sign"}, group: certificatesGroup, resources: []string{"signers"}, clusterScoped: true,
			named: func(names []string) bool {
				return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "kubernetes.io/") })
			},
			may: "sign certificates in the name of Kubernetes"}}
	}),
	also: []detector{anyOf(func(int) []power {
		return []power{{verbs: changeVerbs, group: certificatesGroup, resources: []string{"certificatesigningrequests/status"}, clusterScoped: true}}
	})},
}}

const certificatesGroup = "certificates.k8s.io"

var noCSRSigning = check.Control{
	Rule: finding.Rule{
		Name: "no-csr-signing", Title: "Nobody signs certificates for the signers of Kubernetes", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Who may sign for a signer, and write the status of requests, puts whatever certificate it likes into the requests of others. " +
			"Nodes and controllers take theirs from there: they stop working, or present a certificate of which somebody else has the key.",
		Remedy:    "Leave the signers of Kubernetes to the controller manager. A signer of your own needs sign on its own domain, by resourceNames.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide which signer the holder signs for.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, ways: signsCertificates}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: signer
rules:
  - apiGroups: [certificates.k8s.io]
    resources: [certificatesigningrequests/status]
    verbs: [update]
  - apiGroups: [certificates.k8s.io]
    resources: [signers] # want
    resourceNames: [kubernetes.io/kube-apiserver-client]
    verbs: [sign]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: signer
rules:
  - apiGroups: [certificates.k8s.io]
    resources: [certificatesigningrequests/status]
    verbs: [update]
  - apiGroups: [certificates.k8s.io]
    resources: [signers]
    resourceNames: ["issuers.example.com/*"]
    verbs: [sign]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: half-a-signer
rules:
  - apiGroups: [certificates.k8s.io]
    resources: [signers]
    verbs: [sign]
  - apiGroups: [certificates.k8s.io]
    resources: [certificatesigningrequests]
    verbs: [get, update]
`},
	},
}
