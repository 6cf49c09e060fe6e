package rbac

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/model"
)

// hostileWorld has what nobody should write, and API servers may hold.
func hostileWorld(t *testing.T) *model.World {
	t.Helper()
	var many strings.Builder
	many.WriteString("apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: many, namespace: shop}\nrules:\n")
	for i := range 10_000 {
		fmt.Fprintf(&many, "- {apiGroups: [g%d], resources: [r%d], verbs: [get, v%d]}\n", i, i, i)
	}
	many.WriteString("- {apiGroups: [''], resources: [secrets], verbs: [get]}\n---\n")
	role := func(name, body string) string {
		return "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: " + name + ", labels: {of: " + name + "}}\n" + body + "\n---\n"
	}
	return world(t, many.String()+
		bind("RoleBinding", "shop", "many", "Role", "many", jane)+
		role("unknown-verbs", "rules: [{apiGroups: [''], resources: [pods], verbs: [lst, GET, '', '*/*']}]")+
		role("empty-rules", "rules: [{}, {verbs: []}, {verbs: [get]}]")+
		role("no-groups", "rules: [{resources: [secrets], verbs: [get]}]")+
		role("ring-a", "aggregationRule: {clusterRoleSelectors: [{matchLabels: {of: ring-b}}]}\nrules: []")+
		role("ring-b", "aggregationRule: {clusterRoleSelectors: [{matchLabels: {of: ring-a}}, {matchLabels: {of: ring-b}}]}\nrules: []")+
		// The first letter is of another alphabet.
		role("ѕecrets", "rules: [{apiGroups: [''], resources: [ѕecrets], verbs: [get]}]")+
		bind("ClusterRoleBinding", "", "a", "ClusterRole", "unknown-verbs", jane)+
		bind("ClusterRoleBinding", "", "b", "ClusterRole", "empty-rules", jane)+
		bind("ClusterRoleBinding", "", "c", "ClusterRole", "no-groups", jane)+
		bind("ClusterRoleBinding", "", "d", "ClusterRole", "ring-a", jane)+
		bind("ClusterRoleBinding", "", "e", "ClusterRole", "ѕecrets", "{kind: User, name: jаne, apiGroup: rbac.authorization.k8s.io}")+
		bind("RoleBinding", "shop", "elsewhere", "Role", "of-another-namespace", jane)+
		bind("RoleBinding", "shop", "kind", "ClusterRole", "no-groups", "{kind: user, name: joe}")+
		bind("RoleBinding", "shop", "case", "ClusterRole", "ѕecrets", "{kind: User, name: Jane, apiGroup: rbac.authorization.k8s.io}"), model.WorldOptions{Live: true})
}

// TestHostile: every analysis answers, in little time, no grant is lost, and none is made
// of a name that only looks the same.
func TestHostile(t *testing.T) {
	w := hostileWorld(t)
	began := time.Now()
	a := AccessOf(w)
	can := func(user, verb, resource, namespace string) bool {
		_, ok, _ := a.Can(Identity{User: user}, Request{Verb: verb, Resource: resource, Namespace: namespace})
		return ok
	}
	for _, c := range []struct {
		user, verb, resource, namespace string
		want                            bool
	}{
		{"jane", "get", "secrets", "shop", true}, // the last of ten thousand rules
		{"jane", "get", "secrets", "blog", false},
		{"jane", "lst", "pods", "shop", true}, // the authorizer compares words
		{"jane", "list", "pods", "shop", false},
		{"jane", "get", "pods", "shop", false},
		{"jаne", "get", "ѕecrets", "shop", true},
		{"jаne", "get", "secrets", "shop", false},
		{"Jane", "get", "ѕecrets", "shop", true},
		{"Jane", "get", "secrets", "shop", false},
		{"joe", "get", "secrets", "shop", false},
	} {
		if got := can(c.user, c.verb, c.resource, c.namespace); got != c.want {
			t.Errorf("%q %s %s in %s: %v", c.user, c.verb, c.resource, c.namespace, got)
		}
	}
	if !slices.ContainsFunc(a.Problems(), func(p Problem) bool { return p.Object.Name == "kind" }) {
		t.Errorf("a subject of kind user is no problem: %v", a.Problems())
	}
	e, err := a.Escalations(37)
	must(t, err)
	for _, x := range e.ToAdmin() {
		if !x.Meant {
			t.Errorf("%s becomes cluster admin", x.From)
		}
	}
	if changes := Diff(a, AccessOf(hostileWorld(t))); len(changes) != 0 {
		t.Errorf("it differs from itself: %+v", changes)
	}
	cut, err := a.Cut(t.Context(), CutTask{Version: 37})
	must(t, err)
	if len(cut.Changes) != 0 {
		t.Errorf("nothing is to be taken away: %+v", cut.Changes)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}
