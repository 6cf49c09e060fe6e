package rbac

import (
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// ability is what a step of an escalation needs: one of several requests, any of
// which will do.
type ability int

const (
	everything ability = iota

	requestTokens
	seeSecrets
	createSecrets
	changeSecrets
	applySecrets
	createAccounts

	createWorkloads
	changeReplicationControllers
	changeDeployments
	changeDaemonSets
	changeStatefulSets
	changeReplicaSets
	changeCronJobs
	changePods
	addContainers
	runInPods
	proxyToKubelets

	impersonateUsers
	impersonateGroups
	impersonateAccounts
	assumeUsers
	assumeGroups
	assumeAccounts

	escalateClusterRoles
	createClusterRoles
	changeClusterRoles
	escalateRoles
	changeRoles
	bindClusterRoles
	bindRoles
	createClusterRoleBindings
	changeClusterRoleBindings
	createRoleBindings
	changeRoleBindings

	createCSRs
	readCSRs
	updateApprovals
	approveSigners

	createWebhooks
	changeWebhooks
	createPolicies
	changePolicies
	writePolicyBindings

	abilities
)

// requests are alternatives of an ability, the likeliest first.
func requests(group, resource string, verbs ...string) []Request {
	name, sub, _ := strings.Cut(resource, "/")
	var out []Request
	for _, v := range verbs {
		out = append(out, Request{Verb: v, Group: group, Resource: name, Subresource: sub})
	}
	return out
}

// execByGetUntil is the last minor version of Kubernetes 1 in which a WebSocket, which
// is opened by get, needed no create to run a command: KEP 4006, and the feature
// AuthorizePodWebsocketUpgradeCreatePermission.
const execByGetUntil = 34

// newAbilities lists the requests that make up each ability in a minor version.
func newAbilities(version int) *[abilities][]Request {
	run := []string{"create"}
	if version <= execByGetUntil {
		run = append(run, "get")
	}
	a := &[abilities][]Request{
		everything: {{Verb: rbacv1.VerbAll, Group: rbacv1.APIGroupAll, Resource: rbacv1.ResourceAll}},

		requestTokens:  requests("", "serviceaccounts/token", "create"),
		seeSecrets:     requests("", "secrets", "get", "list", "watch"),
		createSecrets:  requests("", "secrets", "create"),
		changeSecrets:  requests("", "secrets", "patch", "update"),
		applySecrets:   requests("", "secrets", "patch"),
		createAccounts: requests("", "serviceaccounts", "create"),

		changeReplicationControllers: requests("", "replicationcontrollers", "patch", "update"),
		changeCronJobs:               requests("batch", "cronjobs", "patch", "update"),
		changePods:                   requests("", "pods", "patch", "update"),
		addContainers:                requests("", "pods/ephemeralcontainers", "patch", "update"),
		runInPods:                    append(requests("", "pods/exec", run...), requests("", "pods/attach", run...)...),
		proxyToKubelets:              requests("", "nodes/proxy", "get", "create"),

		impersonateUsers:    requests("", "users", "impersonate"),
		impersonateGroups:   requests("", "groups", "impersonate"),
		impersonateAccounts: requests("", "serviceaccounts", "impersonate"),

		createCSRs:      requests("certificates.k8s.io", "certificatesigningrequests", "create"),
		readCSRs:        requests("certificates.k8s.io", "certificatesigningrequests", "get", "list", "watch"),
		updateApprovals: requests("certificates.k8s.io", "certificatesigningrequests/approval", "update", "patch"),
		approveSigners:  requests("certificates.k8s.io", "signers", "approve"),
	}
	if version >= assumeSince {
		const authentication = "authentication.k8s.io"
		a[assumeUsers], a[assumeGroups] = requests(authentication, "users", "impersonate:user-info"), requests(authentication, "groups", "impersonate:user-info")
		a[assumeAccounts] = requests(authentication, "serviceaccounts", "impersonate:serviceaccount")
	}
	a[createWorkloads] = requests("", "pods", "create")
	for of, resource := range map[ability]string{changeDeployments: "deployments", changeDaemonSets: "daemonsets", changeStatefulSets: "statefulsets", changeReplicaSets: "replicasets"} {
		a[of] = requests("apps", resource, "patch", "update")
	}
	for _, resource := range []string{"deployments.apps", "daemonsets.apps", "statefulsets.apps", "jobs.batch", "cronjobs.batch", "replicasets.apps", "replicationcontrollers"} {
		name, group, _ := strings.Cut(resource, ".")
		a[createWorkloads] = append(a[createWorkloads], requests(group, name, "create")...)
	}
	for resource, of := range map[string]struct{ create, change ability }{
		"clusterroles":        {createClusterRoles, changeClusterRoles},
		"clusterrolebindings": {createClusterRoleBindings, changeClusterRoleBindings},
		"rolebindings":        {createRoleBindings, changeRoleBindings},
	} {
		a[of.create], a[of.change] = requests(apiGroup, resource, "create"), requests(apiGroup, resource, "patch", "update")
	}
	a[changeRoles] = requests(apiGroup, "roles", "patch", "update")
	a[escalateClusterRoles], a[escalateRoles] = requests(apiGroup, "clusterroles", "escalate"), requests(apiGroup, "roles", "escalate")
	a[bindClusterRoles], a[bindRoles] = requests(apiGroup, "clusterroles", "bind"), requests(apiGroup, "roles", "bind")
	const admission = "admissionregistration.k8s.io"
	a[createWebhooks], a[changeWebhooks] = requests(admission, "mutatingwebhookconfigurations", "create"), requests(admission, "mutatingwebhookconfigurations", "patch", "update")
	a[createPolicies], a[changePolicies] = requests(admission, "mutatingadmissionpolicies", "create"), requests(admission, "mutatingadmissionpolicies", "patch", "update")
	a[writePolicyBindings] = requests(admission, "mutatingadmissionpolicybindings", "create", "patch", "update")
	return a
}

// way is how a rule grants an ability.
type way struct {
	request *Request
	rule    *heldRule
	// also is what constrained impersonation needs beside it.
	also *held
}

// ways are how a role grants an ability: for every name, and for single ones. A rule
// may list the empty name, which is that of a request about no single object.
type ways struct {
	all   *way
	named map[string]*way
}

// roleAbilities are what a role is good for. Which abilities those are stands in has,
// a bit for each.
type roleAbilities struct {
	role    *role
	has     uint64
	granted map[ability]*ways
}

func newRoleAbilities(r *role, rules *roleRules, of *[abilities][]Request) *roleAbilities {
	out := &roleAbilities{role: r, granted: map[ability]*ways{}}
	for a := range of {
		for i := range of[a] {
			out.read(ability(a), &of[a][i], rules)
		}
	}
	return out
}

// read adds how the rules allow a request.
func (r *roleAbilities) read(a ability, request *Request, rules *roleRules) {
	for _, key := range request.keys() {
		for _, rule := range rules.byResource[key] {
			if verbIndex(rule.PolicyRule, request.Verb) < 0 || groupIndex(rule.PolicyRule, request.Group) < 0 {
				continue
			}
			w := &way{request, rule, nil}
			if len(rule.ResourceNames) == 0 {
				r.addNamed(a, anyName, w)
			}
			for _, name := range rule.ResourceNames {
				r.addNamed(a, name, w)
			}
		}
	}
}

// addNamed keeps the first way to a name.
func (r *roleAbilities) addNamed(a ability, name string, w *way) {
	known := r.granted[a]
	if known == nil {
		known = &ways{}
		r.granted[a], r.has = known, r.has|1<<a
	}
	if name == anyName {
		if known.all == nil {
			known.all = w
		}
		return
	}
	if known.named == nil {
		known.named = map[string]*way{}
	}
	if known.named[name] == nil {
		known.named[name] = w
	}
}

func sortedNames(named map[string]*way) []string { return slices.Sorted(maps.Keys(named)) }
