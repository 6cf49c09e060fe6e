package rbac

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

func cutOf(t *testing.T, w *model.World, allowed ...Subject) *Cut {
	t.Helper()
	c, err := AccessOf(w).Cut(t.Context(), CutTask{Version: 37, Allowed: allowed})
	must(t, err)
	return c
}

// text writes the changes of a cut, one a line.
func (c *Cut) text() string {
	var out []string
	for _, ch := range c.Changes {
		for _, p := range ch.Parts {
			line := ch.Object.Ref().String() + ": "
			if p.Subject != nil {
				line += "without " + p.Subject.String()
			} else {
				line += fmt.Sprintf("rule %d without %s on %s", p.Rule+1, p.Verb, strings.Join(p.Resources, ", "))
			}
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func admin(subjects ...string) string {
	return bind("ClusterRoleBinding", "", "boss", "ClusterRole", "cluster-admin", subjects...)
}

const (
	deployer = "{kind: ServiceAccount, namespace: ops, name: deployer}"
	joe      = "{kind: User, name: joe, apiGroup: rbac.authorization.k8s.io}"
	dev      = "{kind: Group, name: dev, apiGroup: rbac.authorization.k8s.io}"
)

func roleText(kind, namespace, name, rules string) string {
	return fmt.Sprintf("apiVersion: rbac.authorization.k8s.io/v1\nkind: %s\nmetadata: {name: %q, namespace: %q}\nrules: [%s]\n---\n", kind, name, namespace, rules)
}

var opsDeployer = Subject{"ServiceAccount", "ops", "deployer"}

// TestCut: by hand, what is taken away, and from whom.
func TestCut(t *testing.T) {
	boss := []Subject{opsDeployer}
	const pods = `{apiGroups: [""], resources: [pods], verbs: [create]}`
	for _, c := range []struct {
		name, text, want string
		allowed          []Subject
		remaining        int
	}{
		{name: "nobody", text: admin(deployer), allowed: boss},
		{name: "an administrator who is not allowed", text: admin(deployer, jane), allowed: boss, want: "ClusterRoleBinding/boss: without User jane"},
		{name: "the only one of a binding", text: admin(deployer), want: "ClusterRoleBinding/boss: without ServiceAccount ops/deployer"},
		{name: "the last step serves all chains, and breaks more than each of them",
			text: admin(deployer) + roleText("Role", "ops", "dev", pods) + bind("RoleBinding", "ops", "dev", "Role", "dev", dev, joe),
			want: "ClusterRoleBinding/boss: without ServiceAccount ops/deployer"},
		{name: "one verb of a role with others, for all who have it",
			text: admin(deployer) + roleText("Role", "ops", "dev", `{apiGroups: [""], resources: [pods, services, configmaps], verbs: [get, list, create, delete]}`) +
				bind("RoleBinding", "ops", "dev", "Role", "dev", dev, jane, joe),
			allowed: boss, want: "ops/Role/dev: rule 1 without create on pods"},
		{name: "a subject, where many others have the role in places where it does no harm",
			text: admin(deployer) + roleText("ClusterRole", "", "dev", pods) + bind("RoleBinding", "ops", "dev", "ClusterRole", "dev", jane) +
				bind("RoleBinding", "shop", "dev", "ClusterRole", "dev", dev, joe, jane),
			allowed: boss, want: "ops/RoleBinding/dev: without User jane"},
		{name: "a role that an allowed subject has, too, stays as it is",
			text:    admin(deployer) + roleText("ClusterRole", "", "dev", pods) + bind("RoleBinding", "ops", "dev", "ClusterRole", "dev", jane, deployer),
			allowed: boss, want: "ops/RoleBinding/dev: without User jane"},
		{name: "granted twice, taken twice",
			text: admin(deployer) + roleText("Role", "ops", "one", pods) + roleText("Role", "ops", "two", pods) +
				bind("RoleBinding", "ops", "one", "Role", "one", jane) + bind("RoleBinding", "ops", "two", "Role", "two", jane),
			allowed: boss, want: "ops/RoleBinding/one: without User jane\nops/RoleBinding/two: without User jane"},
		{name: "of two permissions that a step needs the one that breaks less",
			text: admin(deployer) + roleText("ClusterRole", "", "bind", `{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles, roles], resourceNames: [cluster-admin], verbs: [bind]}`) +
				roleText("ClusterRole", "", "create", `{apiGroups: [rbac.authorization.k8s.io], resources: [clusterrolebindings], verbs: [create]}`) +
				bind("ClusterRoleBinding", "", "bind", "ClusterRole", "bind", jane, joe) + bind("ClusterRoleBinding", "", "create", "ClusterRole", "create", jane),
			allowed: boss, want: "ClusterRoleBinding/create: without User jane"},
		{name: "all verbs are written out, but for the one",
			text:    admin(deployer) + roleText("Role", "ops", "dev", `{apiGroups: [""], resources: [serviceaccounts/token], verbs: ["*"]}`) + bind("RoleBinding", "ops", "dev", "Role", "dev", jane),
			allowed: boss, want: "ops/Role/dev: rule 1 without create on serviceaccounts/token"},
		{name: "all resources, which nothing can be taken off",
			text:    admin(deployer) + roleText("ClusterRole", "", "all", `{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}, {apiGroups: [""], resources: [pods], verbs: [get]}`) + bind("ClusterRoleBinding", "", "all", "ClusterRole", "all", jane),
			allowed: boss, want: "ClusterRole/all: rule 1 without * on *.*"},
		{name: "what is aggregated is changed where it is written",
			text: admin(deployer) + strings.Replace(roleText("ClusterRole", "", "leaf", pods+`, {apiGroups: [""], resources: [services], verbs: [get]}`), "{name: \"leaf\"", "{labels: {a: b}, name: \"leaf\"", 1) +
				strings.Replace(roleText("ClusterRole", "", "whole", ""), "rules: []", "aggregationRule: {clusterRoleSelectors: [{matchLabels: {a: b}}]}", 1) +
				bind("RoleBinding", "ops", "whole", "ClusterRole", "whole", jane, joe),
			allowed: boss, want: "ClusterRole/leaf: rule 1 without create on pods"},
		{name: "an account that is written as a user",
			text:    admin(deployer, "{kind: User, name: 'system:serviceaccount:shop:web', apiGroup: rbac.authorization.k8s.io}"),
			allowed: boss, want: "ClusterRoleBinding/boss: without ServiceAccount shop/web"},
		{name: "who is in an allowed group",
			text:    admin("{kind: ServiceAccount, namespace: shop, name: web}"),
			allowed: []Subject{{Kind: "Group", Name: "system:serviceaccounts:shop"}}},
		{name: "one who was added to a default binding",
			text: bind("ClusterRoleBinding", "", "cluster-admin", "ClusterRole", "cluster-admin", "{kind: Group, name: 'system:masters', apiGroup: rbac.authorization.k8s.io}", jane),
			want: "ClusterRoleBinding/cluster-admin: without User jane"},
		{name: "a default role that was changed", text: roleText("ClusterRole", "", "system:basic-user", `{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}`), remaining: 1},
		{name: "a role that the platform keeps",
			text: strings.Replace(bind("ClusterRoleBinding", "", "kept", "ClusterRole", "cluster-admin", jane), "namespace: \"\"", "labels: {addonmanager.kubernetes.io/mode: Reconcile}", 1) + admin(joe),
			want: "ClusterRoleBinding/boss: without User joe", remaining: 1},
	} {
		got := cutOf(t, world(t, c.text), c.allowed...)
		if got.text() != c.want || len(got.Remaining) != c.remaining || !got.Exact() {
			t.Errorf("%s: weight %d, bound %d, %d remain:\n%s", c.name, got.Weight, got.Bound, len(got.Remaining), got.text())
			continue
		}
		if again := cutOf(t, got.World, c.allowed...); len(again.Changes) > 0 || len(again.Before) != c.remaining {
			t.Errorf("%s: a second time:\n%s", c.name, again.text())
		}
	}
}

// TestNarrowed: a rule is split so that only a verb on a resource goes.
func TestNarrowed(t *testing.T) {
	rule := rbacv1.PolicyRule{APIGroups: []string{"", "apps"}, Resources: []string{"pods", "deployments"}, Verbs: []string{"get", "create"}, ResourceNames: []string{"web"}}
	got := narrowed(&rule, []*change{{changeKey: changeKey{verb: "create"}, cells: []cell{{"", "pods"}}}})
	want := []rbacv1.PolicyRule{
		{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}, ResourceNames: []string{"web"}},
		{Verbs: []string{"get", "create"}, APIGroups: []string{""}, Resources: []string{"deployments"}, ResourceNames: []string{"web"}},
		{Verbs: []string{"get", "create"}, APIGroups: []string{"apps"}, Resources: []string{"pods", "deployments"}, ResourceNames: []string{"web"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// TestCutLimit: however little time there is, a cut is found, and the bound holds.
func TestCutLimit(t *testing.T) {
	text := admin(deployer)
	for i := range 30 {
		name := fmt.Sprint("r", i)
		text += roleText("Role", "ops", name, `{apiGroups: [""], resources: [pods, secrets, "pods/exec", "serviceaccounts/token"], verbs: [create, get, patch]}`) +
			bind("RoleBinding", "ops", name, "Role", name, fmt.Sprintf("{kind: User, name: u%d, apiGroup: rbac.authorization.k8s.io}", i%7), fmt.Sprintf("{kind: User, name: u%d, apiGroup: rbac.authorization.k8s.io}", i%11))
	}
	w := world(t, text)
	best := cutOf(t, w, opsDeployer)
	got, err := AccessOf(w).Cut(t.Context(), CutTask{Version: 37, Allowed: []Subject{opsDeployer}, Limit: 1})
	must(t, err)
	if got.Bound > best.Weight || got.Weight < best.Weight || len(got.Remaining) > 0 || len(got.Changes) == 0 {
		t.Errorf("weight %d and bound %d, the best weighs %d", got.Weight, got.Bound, best.Weight)
	}
	if !best.Exact() {
		t.Errorf("weight %d, bound %d", best.Weight, best.Bound)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := AccessOf(w).Cut(ctx, CutTask{Version: 37}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
