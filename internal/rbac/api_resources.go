package rbac

import (
	"slices"
	"strings"
	"sync"

	"github.com/agnivade/levenshtein"

	"bulkhead.dev/bulkhead/internal/model"
)

// moreResources are what rules may name in the groups of the API server beside the
// kinds that model lists and what the default roles name: subresources, resources of
// which no object is stored, those that a release serves only where it is asked to,
// and names that stand for no object and that some part of Kubernetes asks the
// authorizer about. A test holds them against discovery of the API server and against
// the types of client-go.
const moreResources = `
core bindings namespaces/finalize nodes/checkpoint nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/spec nodes/stats pods/attach pods/binding pods/ephemeralcontainers pods/eviction pods/exec pods/log pods/portforward pods/proxy pods/resize replicationcontrollers/scale serviceaccounts/token services/proxy endpoints/restricted users groups rangeallocations
apps daemonsets/rollback deployments/rollback deployments/scale replicasets/scale statefulsets/scale
authentication.k8s.io tokenreviews selfsubjectreviews users groups uids userextras serviceaccounts nodes
authorization.k8s.io localsubjectaccessreviews selfsubjectaccessreviews selfsubjectrulesreviews subjectaccessreviews
certificates.k8s.io certificatesigningrequests/approval certificatesigningrequests/nodeclient certificatesigningrequests/selfnodeclient certificatesigningrequests/selfnodeserver signers
coordination.k8s.io leasecandidates
internal.apiserver.k8s.io storageversions
lifecycle.k8s.io evictionrequests evictions
policy evictions
resource.k8s.io resourceclaims/binding resourceclaims/driver resourcepoolstatusrequests
scheduling.k8s.io workloads podgroups compositepodgroups
`

// definedGroups are groups that Kubernetes publishes as custom resources, so that a
// cluster may have them in any version, or not at all; what was in extensions was
// served up to 1.21.
var definedGroups = []string{"extensions", "gateway.networking.k8s.io", "policy.networking.k8s.io"}

// serverResources are what rules may name in the groups of the API server itself, with
// subresources.
var serverResources = sync.OnceValue(func() map[string]map[string]bool {
	out := map[string]map[string]bool{}
	add := func(group, resource string) {
		if out[group] == nil {
			out[group] = map[string]bool{}
		}
		out[group][resource] = true
	}
	for _, r := range model.BuiltinResources() {
		if !slices.Contains(definedGroups, r.Group) {
			add(r.Group, r.Name)
		}
	}
	for line := range strings.Lines(moreResources) {
		group, names, _ := strings.Cut(strings.TrimSpace(line), " ")
		if group == "core" {
			group = ""
		}
		for _, name := range strings.Fields(names) {
			add(group, name)
		}
	}
	d, err := readDefaults()
	if err != nil {
		return out // Controls has refused to run
	}
	for _, role := range d.roles {
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, name := range rule.Resources {
					if out[group] != nil && !strings.Contains(name, "*") {
						add(group, name)
					}
				}
			}
		}
	}
	return out
})

// isServerGroup reports whether the API server itself serves a group.
func isServerGroup(group string) bool { return serverResources()[group] != nil }

// nearest is the name with the fewest typing errors to a word, at most two and less
// than half of it; empty where none is like it.
func nearest(word string, names []string) string {
	best, fewest := "", min(3, (len(word)+1)/2)
	for _, name := range names {
		// One that differs by its length alone need not be compared.
		if d := len(name) - len(word); d >= fewest || -d >= fewest {
			continue
		}
		if d := levenshtein.ComputeDistance(word, name); d < fewest {
			best, fewest = name, d
		}
	}
	return best
}
