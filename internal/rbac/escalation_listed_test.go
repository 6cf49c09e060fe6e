package rbac

import (
	"slices"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// listed compares who is listed with who becomes cluster admin when all whom it becomes act
// together: each is, or a group is that it is always in. A member that nothing is bound to
// does not stand beside its group. It counts those that stand there as a group.
func (tw *twin) listed(t *testing.T, seed int, e *Escalations) (asGroup int) {
	t.Helper()
	listed := map[Subject]bool{}
	for _, x := range e.ToAdmin() {
		if listed[x.From] {
			t.Fatalf("seed %d: %s is listed twice", seed, x.From)
		}
		listed[x.From] = true
	}
	for _, n := range tw.all {
		if n.isAdmin || n.gained || n.through > 0 || n.subject.Name == mastersGroup {
			continue
		}
		s := n.subject
		groups := IdentityOf(s).subjects()
		groups = groups[min(1, len(groups)):]
		byGroup := slices.ContainsFunc(groups, func(s Subject) bool { return listed[s] })
		switch becomes := tw.joint(s); {
		case becomes && !listed[s] && !byGroup:
			t.Fatalf("seed %d: %s becomes cluster admin and is not listed, nor are %v\n%s", seed, s, groups, dump(tw.world))
		case !becomes && listed[s]:
			t.Fatalf("seed %d: %s is listed\n%s", seed, s, dump(tw.world))
		case listed[s] && byGroup && len(e.graph.bound[s]) == 0:
			t.Fatalf("seed %d: %s is listed beside %v\n%s", seed, s, groups, dump(tw.world))
		case becomes && byGroup && !listed[s]:
			asGroup++
		}
	}
	return asGroup
}

// TestListedAsGroup: who gets there only by rights of groups that it is always in stands
// there as the narrowest of them, and by itself where anything of its own is needed.
func TestListedAsGroup(t *testing.T) {
	const (
		ofShop   = "{kind: Group, name: \"system:serviceaccounts:shop\"}"
		ofAll    = "{kind: Group, name: \"system:serviceaccounts\"}"
		everyone = "{kind: Group, name: \"system:authenticated\"}"
		a        = "{kind: ServiceAccount, namespace: shop, name: a}"
		b        = "{kind: ServiceAccount, namespace: tools, name: b}"
		admin    = "rbac.authorization.k8s.io/"
	)
	accounts := "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, namespace: shop}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: b, namespace: tools}\n---\n"
	boss := "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: boss, namespace: ops}\n---\n" + bind("ClusterRoleBinding", "", "boss", "ClusterRole", "cluster-admin", "{kind: ServiceAccount, namespace: ops, name: boss}")
	mints := func(who string) string { return holds("mint", "tools", who, "/serviceaccounts/token create b") }
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"two groups make and read a Secret": {
			holds("make", "ops", ofShop, "/secrets create") + holds("read", "ops", everyone, "/secrets get"),
			[]string{"Group system:serviceaccounts:shop"},
		},
		"three groups, and another account": {
			mints(ofShop) + holds("make", "ops", ofAll, "/secrets create") + holds("read", "ops", b, "/secrets get"),
			[]string{"Group system:serviceaccounts:shop", "ServiceAccount tools/b"},
		},
		"one group becomes an account, another has the rest": {
			mints(ofShop) + holds("make", "ops", b, "/secrets create") + holds("read", "ops", everyone, "/secrets get"),
			[]string{"Group system:serviceaccounts:shop", "ServiceAccount tools/b"},
		},
		"the wider group becomes an account, which is in the other": {
			mints(everyone) + holds("make", "ops", ofAll, "/secrets create") + holds("read", "ops", b, "/secrets get"),
			[]string{"Group system:authenticated", "ServiceAccount tools/b"},
		},
		"everybody rewrites one's own role": {
			holds("rewrite", "", everyone, admin+"clusterroles escalate", admin+"clusterroles patch held") + holds("held", "", a, "/pods get"),
			[]string{"ServiceAccount shop/a"},
		},
		"everybody impersonates, who may use it is one": {
			holds("assume", "", everyone, "authentication.k8s.io/serviceaccounts impersonate:serviceaccount b") +
				holds("use", "", a, "/serviceaccounts/token impersonate-on:serviceaccount:create") + holds("mint", "ops", b, "/serviceaccounts/token create boss"),
			[]string{"ServiceAccount shop/a", "ServiceAccount tools/b"},
		},
		"an own role is of no use": {
			holds("make", "ops", ofShop, "/secrets create") + holds("read", "ops", everyone, "/secrets get") + holds("own", "shop", a, "/pods get"),
			[]string{"Group system:serviceaccounts:shop"},
		},
	} {
		var got []string
		for _, x := range escalations(t, world(t, accounts+boss+c.text, model.WorldOptions{Complete: true})).ToAdmin() {
			if !x.Meant && x.From.Namespace != "ops" && x.From.Namespace != "kube-system" {
				got = append(got, x.From.String())
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
