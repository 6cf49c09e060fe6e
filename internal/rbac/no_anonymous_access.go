package rbac

import (
	"fmt"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func anonymousGrant(_ *check.Input, ix *index, b *binding, s Subject) string {
	if !s.anonymous() || ix.defaults.granted[b.role][s] {
		return ""
	}
	return fmt.Sprintf("%s: whoever reaches the API server has %s without a login", s, b.what())
}

var noAnonymousAccess = check.Control{
	Rule: finding.Rule{
		Name: "no-anonymous-access", Title: "Nothing is granted to those who do not log in", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "system:anonymous and system:unauthenticated are everyone who can open a connection to the API server. " +
			"What is bound to them is public on the network, and on the internet where the API server is.",
		Remedy:    "Remove the subject. Give whoever needs the access credentials of their own.",
		FixSafety: finding.FixRisky,
	},
	FixNote: "Requests without a login are refused: health checks of load balancers and scripts among them, where they used this role. " +
		"Where nobody else is bound, delete the binding.",
	Subsumes: []string{"no-authenticated-access", "no-cluster-admin-bindings", "no-cluster-admin-in-namespace"},
	Needs:    grantKinds,
	World:    eachSubject(anonymousGrant),
	Fix:      removeSubjects(`s.kind == "User" && s.name == "system:anonymous" || s.kind == "Group" && s.name == "system:unauthenticated"`),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: dashboard
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - kind: Group
    name: developers
    apiGroup: rbac.authorization.k8s.io
  - kind: User
    name: system:anonymous # want
    apiGroup: rbac.authorization.k8s.io
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: system:public
  namespace: kube-public
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - kind: Group
    name: system:unauthenticated # want
    apiGroup: rbac.authorization.k8s.io
  - kind: Group
    name: developers
    apiGroup: rbac.authorization.k8s.io
`},
		Good: []string{`# By default the version and the health of the API server are public, and
# with kubeadm what a machine that joins has to know.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: version
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:public-info-viewer"}
subjects:
  - {kind: Group, name: "system:unauthenticated", apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: kubeadm:bootstrap-signer-clusterinfo
  namespace: kube-public
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "kubeadm:bootstrap-signer-clusterinfo"}
subjects:
  - {kind: User, name: "system:anonymous", apiGroup: rbac.authorization.k8s.io}
`},
	},
}
