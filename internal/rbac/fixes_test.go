package rbac

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// request is what the holder of a role may ask for.
type request struct{ verb, group, resource, name string }

func allows(rules []rbacv1.PolicyRule, q request) bool {
	return slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool {
		return verbIndex(&r, q.verb) >= 0 && groupIndex(&r, q.group) >= 0 && resourceIndex(&r, q.resource) >= 0 &&
			(len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, q.name))
	})
}

var (
	fixVerbs     = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "escalate", "bind", "impersonate"}
	fixNames     = []string{"", "cluster-admin", "system:masters", "view"}
	fixResources = map[string][]string{
		"": {"pods", "pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers", "pods/proxy", "services/proxy", "nodes/proxy",
			"nodes/metrics", "secrets", "users", "groups", "serviceaccounts"},
		apiGroup: {"roles", "clusterroles"},
		"apps":   {"deployments"},
	}
)

func everyRequest() []request {
	var out []request
	for group, resources := range fixResources {
		for _, resource := range resources {
			for _, verb := range fixVerbs {
				for _, name := range fixNames {
					out = append(out, request{verb, group, resource, name})
				}
			}
		}
	}
	return out
}

// TestRuleFixes fixes random roles and asks for everything before and after: nothing
// is allowed that was not, what the fix is not about is allowed as before, and the
// control finds nothing more in rules that name their resources.
func TestRuleFixes(t *testing.T) {
	opens := func(q request) bool {
		_, sub, _ := strings.Cut(q.resource, "/")
		return slices.Contains([]string{"exec", "attach", "portforward", "ephemeralcontainers", "proxy"}, sub)
	}
	beyondOrdinary := func(q request) bool { return slices.Contains(fixVerbs[7:], q.verb) }
	for name, c := range map[string]struct {
		control *check.Control
		find    find
		lost    func(request) bool
		gained  string
	}{
		"pods":       {&noPodExec, anyOf(enterPods)(37), opens, ""},
		"kubelets":   {&noNodeProxy, anyOf(reachKubelets)(37), func(q request) bool { return q.resource == "nodes/proxy" }, "nodes/metrics"},
		"verbs":      {&noWildcardVerbs, findWildcardVerbs, beyondOrdinary, ""},
		"collection": {&noCollectionDeletion, deletesCollections, func(q request) bool { return q.verb == "deletecollection" }, ""},
		"escalation": {&noEscalationVerbs, anyOf(escalate)(37), beyondOrdinary, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			m, err := admission.CompileMutation(c.control, nil)
			if err != nil {
				t.Fatal(err)
			}
			changed := 0
			for range 400 {
				kind := clusterRoleKind
				if random.IntN(3) == 0 && slices.Contains(c.control.Fix.Kinds, roleKind) {
					kind = roleKind
				}
				before := randomRules(random)
				after := fixRules(t, m, kind.Kind, before)
				if len(mustJSON(t, before)) != len(mustJSON(t, after)) {
					changed++
				}
				for _, q := range everyRequest() {
					was, is := allows(before, q), allows(after, q)
					if is && !was && q.resource != c.gained || was && !is && !c.lost(q) {
						t.Fatalf("%+v: allowed before %v, after %v\n%s\n%s", q, was, is, mustJSON(t, before), mustJSON(t, after))
					}
				}
				for _, r := range after {
					if named := !slices.Contains(r.Resources, "*") && !slices.Contains(r.Resources, "*/proxy"); named && len(c.find(&r, &reach{everywhere: kind == clusterRoleKind})) > 0 {
						t.Fatalf("still found: %s\nof %s", mustJSON(t, r), mustJSON(t, before))
					}
				}
			}
			if changed < 10 {
				t.Errorf("the fix changed only %d roles", changed)
			}
		})
	}
}

func fixRules(t *testing.T, m *admission.Mutation, kind string, rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	t.Helper()
	var list []any
	if err := json.Unmarshal(mustJSON(t, rules), &list); err != nil {
		t.Fatal(err)
	}
	o, _ := model.NewObject(map[string]any{"apiVersion": apiGroup + "/v1", "kind": kind, "metadata": map[string]any{"name": "role"}, "rules": list},
		nil, model.Source{})
	content, err := m.Apply(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var out []rbacv1.PolicyRule
	if err := json.Unmarshal(mustJSON(t, content["rules"]), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func randomRules(random *rand.Rand) []rbacv1.PolicyRule {
	some := func(all ...string) []string {
		var out []string
		for range 1 + random.IntN(3) {
			out = append(out, all[random.IntN(len(all))])
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	resources := []string{"*/exec", "*/proxy", "pods/*", "*"}
	for _, names := range fixResources {
		resources = append(resources, names...)
	}
	slices.Sort(resources)
	out := []rbacv1.PolicyRule{}
	for range random.IntN(5) {
		r := rbacv1.PolicyRule{Verbs: some(append(slices.Clone(fixVerbs), "*", "*", "*")...), APIGroups: some("", "", apiGroup, "apps", "*"), Resources: some(resources...)}
		if random.IntN(4) == 0 {
			r.ResourceNames = some(fixNames[1:]...)
		}
		out = append(out, r)
	}
	return out
}
