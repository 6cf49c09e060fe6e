package rbac

import (
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// approveClients minds the signers whose certificates the API server takes as
// proof of who somebody is, and no others.
func approveClients(int) []power {
	return []power{{verbs: []string{"approve"}, group: certificatesGroup, resources: []string{"signers"}, clusterScoped: true,
		named: func(names []string) bool {
			return slices.ContainsFunc(names, func(n string) bool {
				return n == "kubernetes.io/*" || strings.HasPrefix(n, "kubernetes.io/kube-apiserver-client")
			})
		},
		may: "approve client certificates in anybody's name"}}
}

var noCSRApproval = check.Control{
	Rule: finding.Rule{
		Name: "no-csr-approval", Title: "Nobody approves client certificates", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Who may ask for a certificate and approve it becomes any user, group or node, the controllers of the control plane included. " +
			"A client certificate cannot be revoked.",
		Remedy: "Leave approval to the controller manager and to people who run the cluster. " +
			"An approver of its own needs the signer that it serves, by resourceNames: kubernetes.io/kubelet-serving, for one.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide which signer the holder approves requests for.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, find: anyOf(approveClients)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: approver
rules:
  - apiGroups: [certificates.k8s.io]
    resources: [certificatesigningrequests/approval]
    verbs: [update]
  - apiGroups: [certificates.k8s.io]
    resources: [signers] # want
    resourceNames: [kubernetes.io/kube-apiserver-client]
    verbs: [approve]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: approver
rules:
  - apiGroups: [certificates.k8s.io]
    resources: [certificatesigningrequests/approval]
    verbs: [update]
  - apiGroups: [certificates.k8s.io]
    resources: [signers]
    resourceNames: [kubernetes.io/kubelet-serving, "example.com/*"]
    verbs: [approve]
  - apiGroups: [certificates.k8s.io]
    resources: [signers]
    resourceNames: [example.com/internal]
    verbs: [sign]
`},
	},
}
