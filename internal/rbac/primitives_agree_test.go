package rbac

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// partsOfSteps are abilities that lead nowhere alone, so that no control minds them
// unless the others that a step takes are there.
var partsOfSteps = []ability{
	createSecrets, changeSecrets, applySecrets, createClusterRoles, changeClusterRoles, changeRoles, createClusterRoleBindings, changeClusterRoleBindings,
	createRoleBindings, changeRoleBindings, createCSRs, readCSRs, updateApprovals, assumeUsers, assumeGroups, assumeAccounts,
}

// TestControlsKnowEveryAbility: what chains of escalation are made of is found by a
// control in the same versions, each request alone, but for parts of steps.
func TestControlsKnowEveryAbility(t *testing.T) {
	for _, version := range []int{34, 35, 36} {
		asked := map[string]bool{}
		for a, requests := range newAbilities(version) {
			for _, r := range requests {
				text := fmt.Sprintf("%s %s:%s", r.Verb, r.Group, r.combined())
				if asked[text] || ability(a) == writePolicyBindings && version < mutatingPoliciesSince || slices.Contains([]ability{createPolicies, changePolicies}, ability(a)) && version < mutatingPoliciesSince {
					continue // the step has a version of its own
				}
				asked[text] = true
				got, _ := run(t, world(t, cluster(text)), version)
				got = slices.DeleteFunc(got, func(f string) bool { return !strings.Contains(f, "ServiceAccount shop/web may ") })
				if part := slices.Contains(partsOfSteps, ability(a)); part == (len(got) > 0) {
					t.Errorf("1.%d: %s: found %v, a part of a step: %v", version, text, got, part)
				}
			}
		}
		t.Logf("1.%d: %d requests", version, len(asked))
	}
}

// TestVersionsOfSteps: steps and controls begin with the same versions.
func TestVersionsOfSteps(t *testing.T) {
	for _, p := range primitives() {
		want := map[string]int{"impersonate-constrained": assumeSince, "mutate-requests-by-policy": mutatingPoliciesSince}[p.Name]
		if p.since != want {
			t.Errorf("%s: since 1.%d, and its control since 1.%d", p.Name, p.since, want)
		}
	}
}

// prize is a service account that may do everything, with all that leads to it.
const prize = `{apiVersion: v1, kind: ServiceAccount, metadata: {name: boss, namespace: shop}}
---
{apiVersion: v1, kind: Secret, metadata: {name: boss-token, namespace: shop, annotations: {kubernetes.io/service-account.name: boss}}, type: kubernetes.io/service-account-token}
---
{apiVersion: v1, kind: Pod, metadata: {name: boss, namespace: shop}, spec: {serviceAccountName: boss, nodeName: node-1, containers: [{name: a, image: a}]}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: everything}, rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: boss}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: everything}, subjects: [{kind: ServiceAccount, name: boss, namespace: shop}]}
---
`

// lastOfChains is the last row that chains of escalation know anything of.
const lastOfChains = 17

// TestControlsAndChainsAgree: by what a control finds a chain leads to the prize, but
// for what leads nowhere by itself; and by what no control finds, no chain does. Rights
// to single objects are left to the chains, which know what the objects are.
func TestControlsAndChainsAgree(t *testing.T) {
	reaches := func(text string, version int) bool {
		t.Helper()
		e, err := AccessOf(world(t, prize+text)).Escalations(version)
		must(t, err)
		chains, _ := e.From(Subject{"ServiceAccount", "shop", "web"}, nil)
		return slices.ContainsFunc(chains, Escalation.ToAdmin)
	}
	for _, p := range everyPrimitive()[:lastOfChains] {
		for _, tuple := range p.found {
			if reached := reaches(tuple.text, cmp.Or(tuple.until, newest)); reached == tuple.apart {
				t.Errorf("row %d, %s: a chain: %v, apart: %v:\n%s", p.row, tuple.control, reached, tuple.apart, tuple.text)
			}
		}
		for _, tuple := range p.near {
			if strings.Contains(tuple.text, "resourceNames") || !reaches(tuple.text, newest) {
				continue
			}
			got, _ := run(t, world(t, tuple.text), newest)
			if !slices.ContainsFunc(got, func(f string) bool { return strings.Contains(f, "ServiceAccount shop/web may ") }) {
				t.Errorf("row %d: a chain, and no control finds anything but %v:\n%s", p.row, got, tuple.text)
			}
		}
	}
}
