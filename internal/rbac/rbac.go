// Package rbac holds the controls of roles and bindings. A role is judged with
// its bindings: who holds it, and where.
package rbac

import (
	"embed"
	"io/fs"
	"slices"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

//go:embed controls/*.yaml
var files embed.FS

// Controls lists the controls of this package.
func Controls() ([]*check.Control, error) {
	if _, err := readDefaults(); err != nil {
		return nil, err
	}
	dir, err := fs.Sub(files, "controls")
	if err != nil {
		return nil, err
	}
	out, err := admission.ParseControls(dir, nil)
	if err != nil {
		return nil, err
	}
	for _, c := range append([]check.Control{
		noAdmissionWriters,
		noAnonymousAccess,
		noAPIServiceWriters,
		noAuthenticatedAccess,
		noClusterAdminBindings,
		noClusterAdminInNamespace,
		noCollectionDeletion,
		noConstrainedImpersonation,
		noCSRApproval,
		noCSRSigning,
		noDefinitionWriters,
		noEscalationVerbs,
		noEscalationVerbsInNamespace,
		noFullAccessRoles,
		noImpersonatedAttributes,
		noNamespaceWriters,
		noNodeProxy,
		noPodBinders,
		noPodCreators,
		noPodCreatorsInNamespace,
		noPodExec,
		noPodStealing,
		noPolicyParameterWriters,
		noPolicyWriters,
		noSecretReaders,
		noSecretReadersInNamespace,
		noServiceAccountWriters,
		noStatusWriters,
		noStorageWriters,
		noSystemConfigWriters,
		noTokenMinting,
		noTokenSecrets,
		noTokenSecretsInNamespace,
		noTrafficWriters,
		noTrafficWritersInNamespace,
		noVolumeCreators,
		noWildcardGroups,
		noWildcardResources,
		noWildcardVerbs,
	}, lints...) {
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

// Kinds are what says who may do what.
func Kinds() []model.GroupKind { return slices.Clone(grantKinds) }

// wildcardControls are weaker than any control that says what a rule is good
// for: a rule that both fail is reported by the latter.
var wildcardControls = []string{"no-wildcard-groups", "no-wildcard-resources", "no-wildcard-verbs"}

// lesserControls say what else a rule is good for that starts pods in the whole
// cluster, or gets into them: who can do that needs none of it. Once the former is
// taken away the latter is reported.
var lesserControls = []string{
	"no-api-service-writers", "no-collection-deletion", "no-constrained-impersonation", "no-csr-signing", "no-definition-writers",
	"no-impersonated-attributes", "no-namespace-writers", "no-pod-binders", "no-pod-creators-in-namespace", "no-pod-stealing",
	"no-policy-parameter-writers", "no-policy-writers", "no-service-account-writers", "no-status-writers", "no-storage-writers",
	"no-system-config-writers", "no-token-secrets", "no-token-secrets-in-namespace", "no-traffic-writers", "no-traffic-writers-in-namespace",
}
