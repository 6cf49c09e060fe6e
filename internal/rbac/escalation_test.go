package rbac

import (
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// reader may read Secrets of a namespace, and nothing else.
const reader = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}]
---
`

func escalations(t *testing.T, w *model.World) *Escalations {
	t.Helper()
	e, err := AccessOf(w).Escalations(37)
	must(t, err)
	return e
}

// TestUnknownEscalations: what could not be read is said where somebody could use it,
// and only there.
func TestUnknownEscalations(t *testing.T) {
	secrets := model.Unobserved{GroupKind: secretKind, Reason: "forbidden"}
	admin := bind("ClusterRoleBinding", "", "boss", "ClusterRole", "cluster-admin", jane)
	roles := `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: cluster-admin}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
---
`
	for name, c := range map[string]struct {
		text string
		gap  []model.Unobserved
		want string
	}{
		"nothing is missing":                {text: reader},
		"Secrets that jane may read":        {text: reader, gap: []model.Unobserved{secrets}, want: "Secrets could not all be read: forbidden"},
		"Secrets of her namespace":          {text: reader, gap: []model.Unobserved{{GroupKind: secretKind, Namespace: "shop", Reason: "no"}}, want: "Secrets could not all be read: no"},
		"Secrets of another":                {text: reader, gap: []model.Unobserved{{GroupKind: secretKind, Namespace: "blog", Reason: "no"}}},
		"Secrets that nobody may read":      {text: roles, gap: []model.Unobserved{secrets}},
		"Secrets, but jane is admin anyway": {text: roles + reader + admin, gap: []model.Unobserved{secrets}},
		"bindings":                          {text: reader, gap: []model.Unobserved{{GroupKind: clusterRoleBindingKind, Reason: "forbidden"}}, want: "ClusterRoleBindings could not all be read: forbidden"},
	} {
		e := escalations(t, world(t, c.text, model.WorldOptions{Live: true, Unobserved: c.gap}))
		if got := strings.Join(e.Unknown(), "; "); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
		if _, got := e.From(Subject{Kind: "User", Name: "jane"}, nil); strings.Join(got, "; ") != c.want {
			t.Errorf("%s: of jane: %q", name, got)
		}
		if _, got := e.From(Subject{Kind: "User", Name: "joe"}, nil); len(got) > 0 && len(c.gap) > 0 && c.gap[0].GroupKind == secretKind {
			t.Errorf("%s: of joe: %q", name, got)
		}
	}
}

// TestMeant: only what every cluster has is meant.
func TestMeant(t *testing.T) {
	account := func(name string) string { return "{kind: ServiceAccount, namespace: kube-system, name: " + name + "}" }
	text := bind("ClusterRoleBinding", "", "tiller", "ClusterRole", "cluster-admin", account("tiller")) +
		bind("ClusterRoleBinding", "", "system:tiller", "ClusterRole", "cluster-admin", account("helm")) +
		bind("ClusterRoleBinding", "", "kubeadm:cluster-admins", "ClusterRole", "cluster-admin", "{kind: Group, name: 'kubeadm:cluster-admins', apiGroup: rbac.authorization.k8s.io}") +
		bind("ClusterRoleBinding", "", "everybody", "ClusterRole", "cluster-admin", "{kind: Group, name: 'system:authenticated', apiGroup: rbac.authorization.k8s.io}")
	meant, others := []string{}, []string{}
	for _, x := range escalations(t, world(t, text)).ToAdmin() {
		if x.Meant {
			meant = append(meant, x.From.String())
		} else {
			others = append(others, x.From.String())
		}
	}
	if want := []string{"Group system:authenticated", "ServiceAccount kube-system/helm", "ServiceAccount kube-system/tiller"}; !slices.Equal(others, want) {
		t.Errorf("not meant: %v", others)
	}
	for _, want := range []string{"Group kubeadm:cluster-admins", "Group system:masters"} {
		if !slices.Contains(meant, want) {
			t.Errorf("%s is not meant, but %v", want, meant)
		}
	}
}

// TestGroupsSpeakForMembers: an account that gets all it has from a group is listed as
// the group, and one that has a right of its own as itself.
func TestGroupsSpeakForMembers(t *testing.T) {
	const mint = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: minter}
rules: [{apiGroups: [""], resources: [serviceaccounts/token], verbs: [create]}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: api, namespace: shop}
---
`
	text := mint + bind("ClusterRoleBinding", "", "shop", "ClusterRole", "minter", "{kind: Group, name: 'system:serviceaccounts:shop', apiGroup: rbac.authorization.k8s.io}") +
		bind("ClusterRoleBinding", "", "api", "ClusterRole", "minter", "{kind: ServiceAccount, namespace: shop, name: api}")
	e := escalations(t, world(t, text))
	var got []string
	for _, x := range e.ToAdmin() {
		if !x.Meant {
			got = append(got, x.From.String())
		}
	}
	if want := []string{"Group system:serviceaccounts:shop", "ServiceAccount shop/api"}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	web, _ := e.From(Subject{"ServiceAccount", "shop", "web"}, nil)
	if !slices.ContainsFunc(web, Escalation.ToAdmin) {
		t.Error("shop/web does not become cluster admin")
	}
	if joe, _ := e.From(Subject{Kind: "User", Name: "joe"}, nil); len(joe) != 0 {
		t.Error("joe becomes somebody")
	}
	if joe, _ := e.From(Subject{Kind: "User", Name: "joe"}, []string{"system:serviceaccounts:shop"}); len(joe) != len(web)+1 {
		t.Errorf("joe becomes %d, shop/web %d beside itself", len(joe), len(web))
	}
}

// TestFromAgreesWithToAdmin: forwards and backwards the chains are of the same length.
func TestFromAgreesWithToAdmin(t *testing.T) {
	e := escalations(t, world(t, reader))
	all := e.ToAdmin()
	if len(all) < 10 {
		t.Fatalf("%d chains", len(all))
	}
	for _, x := range all {
		from, _ := e.From(x.From, nil)
		i := slices.IndexFunc(from, Escalation.ToAdmin)
		if i < 0 || len(from[i].Steps) != len(x.Steps) {
			t.Errorf("%s: %d steps to cluster admin, and forwards %+v", x.From, len(x.Steps), from)
		}
	}
}

// TestManyWays: a role that may be bound wherever one likes, a thousand times, ends in
// an answer that says that it is not complete.
func TestManyWays(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes half a million nodes")
	}
	var text strings.Builder
	names := make([]string, 1200)
	for i := range names {
		names[i] = "r" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/182)
		text.WriteString("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: " + names[i] + "}\nrules: []\n---\n")
	}
	for i := range 600 {
		text.WriteString("apiVersion: v1\nkind: Namespace\nmetadata: {name: n" + strings.Repeat("x", i/26) + string(rune('a'+i%26)) + "}\n---\n")
	}
	text.WriteString("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: binder}\nrules:\n- {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [bind], resourceNames: [" + strings.Join(names, ", ") + "]}\n" +
		"- {apiGroups: [rbac.authorization.k8s.io], resources: [rolebindings], verbs: [create]}\n---\n")
	text.WriteString(bind("ClusterRoleBinding", "", "binder", "ClusterRole", "binder", jane))
	e := escalations(t, world(t, text.String()))
	if !slices.ContainsFunc(e.Unknown(), func(s string) bool { return strings.Contains(s, "than can be followed") }) {
		t.Errorf("%d nodes: %v", len(e.graph.nodes), e.Unknown())
	}
}
