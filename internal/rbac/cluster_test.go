package rbac

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"bulkhead.dev/bulkhead/internal/testcluster"
)

var update = flag.Bool("update", false, "write defaults.jsonl anew from the cluster")

// connect returns a client of the cluster made for tests.
func connect(t *testing.T) kubernetes.Interface {
	t.Helper()
	config, _ := testcluster.Config(t)
	config.QPS, config.Burst = 5000, 5000
	return kubernetes.NewForConfigOrDie(config)
}

// bootstrapped selects what the API server itself makes.
var bootstrapped = metav1.ListOptions{LabelSelector: "kubernetes.io/bootstrapping=rbac-defaults"}

// TestDefaults compares defaults.jsonl with what a real API server makes.
func TestDefaults(t *testing.T) {
	client := connect(t).RbacV1()
	var all []defaultObject
	add := func(kind string, meta metav1.ObjectMeta, o defaultObject) {
		o.Kind, o.Namespace, o.Name = kind, meta.Namespace, meta.Name
		for k, v := range meta.Labels {
			if strings.Contains(k, "aggregate-to") {
				o.Labels = map[string]string{k: v}
			}
		}
		if o.AggregationRule != nil {
			o.Rules = nil // another controller fills them in
		}
		all = append(all, o)
	}
	roles, err := client.ClusterRoles().List(t.Context(), bootstrapped)
	must(t, err)
	for _, r := range roles.Items {
		add("ClusterRole", r.ObjectMeta, defaultObject{Rules: r.Rules, AggregationRule: r.AggregationRule})
	}
	namespaced, err := client.Roles("").List(t.Context(), bootstrapped)
	must(t, err)
	for _, r := range namespaced.Items {
		add("Role", r.ObjectMeta, defaultObject{Rules: r.Rules})
	}
	bindings, err := client.ClusterRoleBindings().List(t.Context(), bootstrapped)
	must(t, err)
	for _, b := range bindings.Items {
		add("ClusterRoleBinding", b.ObjectMeta, defaultObject{RoleRef: &b.RoleRef, Subjects: b.Subjects})
	}
	inNamespaces, err := client.RoleBindings("").List(t.Context(), bootstrapped)
	must(t, err)
	for _, b := range inNamespaces.Items {
		add("RoleBinding", b.ObjectMeta, defaultObject{RoleRef: &b.RoleRef, Subjects: b.Subjects})
	}
	slices.SortFunc(all, func(a, b defaultObject) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	for _, o := range all {
		must(t, lines.Encode(o))
	}
	if *update {
		must(t, os.WriteFile("defaults.jsonl", text.Bytes(), 0o644))
	}
	have, err := os.ReadFile("defaults.jsonl")
	must(t, err)
	if !bytes.Equal(have, text.Bytes()) {
		t.Error("defaults.jsonl is not what the API server makes; run this test with -update against a cluster of the version to follow")
	}
	t.Logf("compared %d roles and bindings", len(all))
}

// TestAggregation compares the rules that the labels of the default roles lead to
// with those that the controller of a real cluster stores.
func TestAggregation(t *testing.T) {
	client := connect(t)
	ix := newIndex(world(t, ""))
	for _, name := range []string{"admin", "edit", "view"} {
		want := normal(ix.rules(ix.roles[roleKey{"", name}]))
		var got []string
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			r, err := client.RbacV1().ClusterRoles().Get(t.Context(), name, metav1.GetOptions{})
			must(t, err)
			if got = normal(r.Rules); len(got) > 0 && slices.Equal(got, want) {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the controller stores %d rules, the labels lead to %d", name, len(got), len(want))
		}
	}
}

// TestFreshCluster: what Kubernetes makes by itself is no fault of the user's.
func TestFreshCluster(t *testing.T) {
	w := stored(t, connect(t), bootstrapped)
	got, out := run(t, w, 37)
	if len(got) > 0 {
		t.Errorf("findings in a fresh cluster:\n%s", strings.Join(got, "\n"))
	}
	controls, err := Controls()
	must(t, err)
	for _, c := range controls {
		// What judges single objects knows none of Kubernetes' own, and passes them.
		if n := out.Counts[c.Name]; c.World != nil && (n.Pass > 0 || n.NotApplicable == 0) {
			t.Errorf("%s: %+v, want not applicable only", c.Name, *n)
		}
	}
}

// normal sorts rules and drops repetitions, as the controller does.
func normal(rules []rbacv1.PolicyRule) []string {
	var out []string
	for _, r := range rules {
		out = append(out, r.String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestAuthorizer asks a real API server what random rules grant, and compares.
func TestAuthorizer(t *testing.T) {
	client := connect(t)
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from []string) []string {
		n := 1 + random.IntN(2)
		return []string{from[random.IntN(len(from))], from[random.IntN(len(from))]}[:n]
	}
	verbs, groups := []string{"get", "create", "escalate", "*", "Get"}, []string{"", "apps", "*", "core"}
	resources := []string{"pods", "pods/exec", "*", "*/exec", "pods/*", "secrets", "exec", "*/*"}
	asked := []struct{ verb, group, resource string }{{"get", "", "pods"}, {"get", "", "pods/exec"}, {"create", "", "pods/exec"}, {"create", "apps", "deployments"},
		{"escalate", "", "secrets"}, {"get", "apps", "deployments/exec"}, {"create", "", "secrets"}, {"delete", "", "pods"}}
	rules := make([]rbacv1.PolicyRule, 150)
	user := func(i int) string { return fmt.Sprintf("random-%d", i) }
	for i := range rules {
		rules[i] = rbacv1.PolicyRule{Verbs: pick(verbs), APIGroups: pick(groups), Resources: pick(resources)}
		if random.IntN(4) == 0 {
			rules[i].ResourceNames = []string{"some"}
		}
		grant(t, client, user(i), rules[i])
	}
	// The authorizer reads from caches, in the order of writing.
	grant(t, client, "last", rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}})
	for deadline := time.Now().Add(30 * time.Second); !allowed(t, client, "last", "get", "", "pods"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the authorizer does not see the roles")
		}
	}
	granted := 0
	for i := range rules {
		for _, q := range asked {
			p := power{verbs: []string{q.verb}, group: q.group, resources: []string{q.resource}}
			_, want := p.find(&rules[i])
			if got := allowed(t, client, user(i), q.verb, q.group, q.resource); got != want {
				t.Errorf("%v: %v: API server %v, here %v", rules[i], q, got, want)
			}
			if want {
				granted++
			}
		}
	}
	if granted < 40 {
		t.Errorf("only %d of the questions are granted; the rules are too narrow to compare anything", granted)
	}
	t.Logf("compared %d answers, %d of them yes", len(rules)*len(asked), granted)
}

// grant binds a user to a ClusterRole of one rule.
func grant(t *testing.T, client kubernetes.Interface, user string, rule rbacv1.PolicyRule) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: "bulkhead-test-" + user}
	_, err := client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{rule}}, metav1.CreateOptions{})
	must(t, err)
	_, err = client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: meta,
		RoleRef:  rbacv1.RoleRef{APIGroup: apiGroup, Kind: "ClusterRole", Name: meta.Name},
		Subjects: []rbacv1.Subject{{APIGroup: apiGroup, Kind: "User", Name: user}}}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = client.RbacV1().ClusterRoleBindings().Delete(ctx, meta.Name, metav1.DeleteOptions{})
		_ = client.RbacV1().ClusterRoles().Delete(ctx, meta.Name, metav1.DeleteOptions{})
	})
}

// allowed asks the API server what a user may do in the namespace default.
func allowed(t *testing.T, client kubernetes.Interface, user, verb, group, resource string) bool {
	t.Helper()
	resource, sub, _ := strings.Cut(resource, "/")
	review, err := client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: verb, Group: group, Resource: resource, Subresource: sub},
	}}, metav1.CreateOptions{})
	must(t, err)
	return review.Status.Allowed
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
