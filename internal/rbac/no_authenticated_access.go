package rbac

import (
	"fmt"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func everyoneGrant(_ *check.Input, ix *index, b *binding, s Subject) string {
	if !s.everyone() || ix.defaults.granted[b.role][s] {
		return ""
	}
	who := "everyone who can log in, and every pod,"
	if s.Name == serviceAccountsGroup {
		who = "every pod of the cluster"
	}
	return fmt.Sprintf("%s: %s has %s", s, who, b.what())
}

var noAuthenticatedAccess = check.Control{
	Rule: finding.Rule{
		Name: "no-authenticated-access", Title: "Nothing is granted to everyone who has an account", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "system:authenticated holds every user, with some providers anyone who has an account there, and the service account of every pod: " +
			"one pod that is broken into is enough. system:serviceaccounts is every pod.",
		Remedy:    "Bind the group or the service account that needs the role.",
		FixSafety: finding.FixRisky,
	},
	FixNote: "Every user and pod that has the role by this subject alone is refused what it allows. Bind those that need it first. " +
		"Where nobody else is bound, delete the binding.",
	Subsumes: []string{"no-cluster-admin-bindings", "no-cluster-admin-in-namespace"},
	Needs:    grantKinds,
	World:    eachSubject(everyoneGrant),
	Fix:      removeSubjects(`s.kind == "Group" && s.name in ["system:authenticated", "system:serviceaccounts"]`),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: readers
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - apiGroup: rbac.authorization.k8s.io
    kind: Group
    name: system:authenticated # want
  - apiGroup: rbac.authorization.k8s.io
    kind: Group
    name: system:serviceaccounts # want
  - apiGroup: rbac.authorization.k8s.io
    kind: Group
    name: developers
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: discovery
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:discovery"}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:authenticated"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: users
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  # A user of that name is no group.
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:authenticated"}
`},
	},
}
