package rbac

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// ruled is a ClusterRole with rules, each "GROUP/RESOURCE VERB [NAME]".
func ruled(name string, rules ...string) string { return roleIn(name, "", rules...) }

// holds is a role with such rules, bound to somebody.
func holds(name, namespace, subject string, rules ...string) string {
	kind := "ClusterRole"
	if namespace != "" {
		kind = "Role"
	}
	return roleIn(name, namespace, rules...) + bind(kind+"Binding", namespace, name, kind, name, subject)
}

func roleIn(name, namespace string, rules ...string) string {
	kind, meta := "ClusterRole", "name: "+name
	if namespace != "" {
		kind, meta = "Role", meta+", namespace: "+namespace
	}
	var out strings.Builder
	fmt.Fprintf(&out, "apiVersion: rbac.authorization.k8s.io/v1\nkind: %s\nmetadata: {%s}\nrules:\n", kind, meta)
	for _, r := range rules {
		words := strings.Fields(r)
		group, resource, _ := strings.Cut(words[0], "/")
		fmt.Fprintf(&out, "- {apiGroups: [%q], resources: [%q], verbs: [%q]", group, resource, words[1])
		if len(words) > 2 {
			fmt.Fprintf(&out, ", resourceNames: [%s]", words[2])
		}
		out.WriteString("}\n")
	}
	return out.String() + "---\n"
}

// TestJoined: what somebody may do only as several identities together, or by fewer steps,
// is found.
func TestJoined(t *testing.T) {
	const (
		a, b  = "{kind: ServiceAccount, namespace: shop, name: a}", "{kind: ServiceAccount, namespace: shop, name: b}"
		admin = "rbac.authorization.k8s.io/"
		csr   = "certificates.k8s.io/certificatesigningrequests"
	)
	accounts := "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, namespace: shop}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: b, namespace: shop}\n---\n"
	const c, d = "{kind: ServiceAccount, namespace: shop, name: c}", "{kind: ServiceAccount, namespace: shop, name: d}"
	path := "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: c, namespace: shop}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: d, namespace: shop}\n---\n" + holds("b", "shop", b, "/serviceaccounts/token create c")
	boss := "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: boss, namespace: ops}\n---\n" + bind("ClusterRoleBinding", "", "boss", "ClusterRole", "cluster-admin", "{kind: ServiceAccount, namespace: ops, name: boss}")
	mints := holds("mint", "shop", jane, "/serviceaccounts/token create a", "/serviceaccounts/token create b")
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"one makes a Secret, another reads it": {
			holds("make", "ops", a, "/secrets create") + holds("read", "ops", b, "/secrets get"),
			[]string{"mint-token", "mint-token", "make-token-secret"},
		},
		"one alone reads nothing": {holds("make", "ops", a, "/secrets create"), nil},
		"in two namespaces":       {holds("make", "ops", a, "/secrets create") + holds("read", "shop", b, "/secrets get"), nil},
		"one asks for a certificate, another approves it": {
			holds("ask", "", a, csr+" create", csr+" get") + holds("approve", "", b, csr+"/approval update", "certificates.k8s.io/signers approve"),
			[]string{"mint-token", "mint-token", "approve-certificate"},
		},
		"who approves must be who updates": {
			holds("ask", "", a, csr+" create", csr+" get", csr+"/approval update") + holds("approve", "", b, "certificates.k8s.io/signers approve"), nil,
		},
		"one rewrites the role of another": {
			holds("held", "", b, "/pods get") + holds("rewrite", "", a, admin+"clusterroles escalate", admin+"clusterroles patch held"),
			[]string{"mint-token", "mint-token", "rewrite-role"},
		},
		"one makes a policy, another its binding": {
			holds("policy", "", a, "admissionregistration.k8s.io/mutatingadmissionpolicies create") + holds("bind", "", b, "admissionregistration.k8s.io/mutatingadmissionpolicybindings create"),
			[]string{"mint-token", "mint-token", "mutate-requests-by-policy"},
		},
		"a role that was gained, and one's own": {
			ruled("escalator", admin+"clusterroles escalate") +
				holds("binder", "", jane, admin+"clusterroles bind escalator", admin+"clusterrolebindings create", admin+"clusterroles patch binder"),
			[]string{"bind-role", "rewrite-role"},
		},
		"two roles that were gained": {
			ruled("escalator", admin+"clusterroles escalate") + ruled("patcher", admin+"clusterroles patch escalator") +
				holds("binder", "", jane, admin+"clusterroles bind escalator", admin+"clusterroles bind patcher", admin+"clusterrolebindings create"),
			[]string{"bind-role", "bind-role", "rewrite-role"},
		},
		"a role that was gained everywhere, and one's own in a namespace": {
			holds("joins", "", a, admin+"clusterroles bind binder", admin+"clusterrolebindings patch binder") + holds("binder", "", b, admin+"clusterroles bind") + holds("create", "ops", jane, admin+"rolebindings create"),
			[]string{"mint-token", "bind-role", "bind-role-in-namespace", "impersonate-account"},
		},
		"alone it takes more steps": {
			path + holds("c", "shop", c, "/serviceaccounts/token create d") + holds("d", "ops", d, "/serviceaccounts/token create boss") +
				holds("make", "ops", a, "/secrets create") + holds("read", "ops", b, "/secrets get"),
			[]string{"mint-token", "mint-token", "make-token-secret"},
		},
		"alone it takes as many": {
			path + holds("c", "ops", c, "/serviceaccounts/token create boss") +
				holds("make", "ops", a, "/secrets create") + holds("read", "ops", b, "/secrets get"),
			[]string{"mint-token", "mint-token", "mint-token"},
		},
		"others are too far away": {
			path + holds("c", "shop", c, "/serviceaccounts/token create d") + holds("d", "ops", d, "/serviceaccounts/token create boss") +
				holds("make", "ops", a, "/secrets create") + holds("read", "ops", d, "/secrets get"),
			[]string{"mint-token", "mint-token", "mint-token", "mint-token"},
		},
		"the role of who is impersonated, constrained, is another's": {
			holds("assume", "", jane, "authentication.k8s.io/serviceaccounts impersonate:serviceaccount c", "/secrets impersonate-on:serviceaccount:get", admin+"clusterroles escalate", admin+"clusterroles patch held") +
				holds("held", "", "{kind: ServiceAccount, namespace: shop, name: c}", "/secrets get"),
			nil,
		},
	} {
		e := escalations(t, world(t, accounts+boss+mints+c.text, model.WorldOptions{Complete: true}))
		var got []string
		for _, x := range e.ToAdmin() {
			if x.From == (Subject{Kind: "User", Name: "jane"}) {
				for _, s := range x.Steps {
					got = append(got, s.Name)
				}
				from, _ := e.From(x.From, nil)
				if i := slices.IndexFunc(from, Escalation.ToAdmin); i < 0 || len(from[i].Steps) != len(x.Steps) {
					t.Errorf("%s: From does not find it", name)
				}
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestJoinedSaysWho: requests of others than who takes the step are theirs.
func TestJoinedSaysWho(t *testing.T) {
	const a, b = "{kind: ServiceAccount, namespace: shop, name: a}", "{kind: ServiceAccount, namespace: shop, name: b}"
	e := escalations(t, world(t, holds("mint", "shop", jane, "/serviceaccounts/token create")+holds("make", "ops", a, "/secrets create")+holds("read", "ops", b, "/secrets get")+
		bind("ClusterRoleBinding", "", "boss", "ClusterRole", "cluster-admin", "{kind: ServiceAccount, namespace: ops, name: boss}")+
		"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: boss, namespace: ops}\n"))
	for _, x := range e.ToAdmin() {
		if x.From != (Subject{Kind: "User", Name: "jane"}) {
			continue
		}
		last := x.Steps[len(x.Steps)-1]
		if last.By.String() != "ServiceAccount shop/a" || last.Needs[0].As != nil || last.Needs[1].As == nil || last.Needs[1].As.String() != "ServiceAccount shop/b" {
			t.Errorf("%+v", last)
		}
		return
	}
	t.Error("jane does not become cluster admin")
}
