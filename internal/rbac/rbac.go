// Package rbac holds the controls of roles and bindings. A role is judged with
// its bindings: who holds it, and where.
package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// Controls lists the controls of this package.
func Controls() ([]*check.Control, error) {
	if _, err := readDefaults(); err != nil {
		return nil, err
	}
	var out []*check.Control
	for _, c := range []check.Control{
		noAdmissionWriters,
		noAnonymousAccess,
		noAuthenticatedAccess,
		noClusterAdminBindings,
		noClusterAdminInNamespace,
		noCSRApproval,
		noDanglingRoleRefs,
		noDefaultAccountGrants,
		noEmptyBindings,
		noEscalationVerbs,
		noEscalationVerbsInNamespace,
		noFullAccessRoles,
		noMissingSubjects,
		noNodeProxy,
		noPodCreators,
		noPodExec,
		noSecretReaders,
		noSecretReadersInNamespace,
		noTokenMinting,
		noVolumeCreators,
		noWildcardResources,
		noWildcardVerbs,
	} {
		out = append(out, &c)
	}
	return out, nil
}

const apiGroup = "rbac.authorization.k8s.io"

var (
	clusterRoleKind        = model.GroupKind{Group: apiGroup, Kind: "ClusterRole"}
	clusterRoleBindingKind = model.GroupKind{Group: apiGroup, Kind: "ClusterRoleBinding"}
	roleKind               = model.GroupKind{Group: apiGroup, Kind: "Role"}
	roleBindingKind        = model.GroupKind{Group: apiGroup, Kind: "RoleBinding"}

	// grantKinds are what every control of this package reads.
	grantKinds = []model.GroupKind{clusterRoleKind, clusterRoleBindingKind, roleKind, roleBindingKind}
)

// wildcardControls are weaker than any control that says what a rule is good
// for: a rule that both fail is reported by the latter.
var wildcardControls = []string{"no-wildcard-resources", "no-wildcard-verbs"}
