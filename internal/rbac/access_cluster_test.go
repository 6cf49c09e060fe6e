package rbac

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"bulkhead.dev/bulkhead/internal/model"
)

// requestsVariable is the environment variable that says how many requests
// TestAccess compares; make fuzz-rbac sets it.
const requestsVariable = "BULKHEAD_RBAC_REQUESTS"

// TestAccess makes random roles and bindings on a real API server and asks its
// authorizer and the index the same random requests.
func TestAccess(t *testing.T) {
	client := connect(t)
	want, seed := 6000, uint64(1)
	if text := os.Getenv(requestsVariable); text != "" {
		n, err := strconv.Atoi(text)
		must(t, err)
		want, seed = n, uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 7))}
	var compared, yes, urls atomic.Int64
	for round := 0; int(compared.Load()) < want; round++ {
		g.fill(t, client, round)
		a := AccessOf(stored(t, client, metav1.ListOptions{}))
		awaitAuthorizer(t, client, round)
		requests := make([]asked, min(2000, want-int(compared.Load())))
		for i := range requests {
			requests[i] = g.request()
		}
		group, ctx := errgroup.WithContext(t.Context())
		group.SetLimit(24)
		for _, q := range requests {
			group.Go(func() error {
				allowed, err := review(ctx, client, q)
				if err != nil {
					return err
				}
				_, got, unknown := a.Can(q.who, q.Request)
				if got != allowed || unknown != "" {
					t.Errorf("%+v: %+v: the API server says %v, the index %v %s", q.who, q.Request, allowed, got, unknown)
				}
				if listed := a.lists(q); listed != got {
					t.Errorf("%+v: %+v: Can says %v, WhoCan %v", q.who, q.Request, got, listed)
				}
				compared.Add(1)
				if allowed {
					yes.Add(1)
				}
				if q.URL != "" {
					urls.Add(1)
				}
				return nil
			})
		}
		must(t, group.Wait())
		if t.Failed() {
			break
		}
	}
	n := compared.Load()
	t.Logf("compared %d requests, %d of them allowed, %d for URLs", n, yes.Load(), urls.Load())
	if y := yes.Load(); y < n/20 || y > n*19/20 {
		t.Error("the requests are one-sided")
	}
}

// asked is a request and who makes it.
type asked struct {
	Request
	who Identity
}

// lists reports whether WhoCan lists a subject that the identity is.
func (a *Access) lists(q asked) bool {
	if slices.Contains(q.who.Groups, mastersGroup) {
		return true
	}
	subjects := q.who.subjects()
	grants, _ := a.WhoCan(q.Request, false)
	return slices.ContainsFunc(grants, func(g Grant) bool {
		return slices.ContainsFunc(g.Subjects, func(s Subject) bool { return slices.Contains(subjects, s) })
	})
}

func review(ctx context.Context, client kubernetes.Interface, q asked) (bool, error) {
	spec := authorizationv1.SubjectAccessReviewSpec{User: q.who.User, Groups: q.who.Groups}
	if q.URL != "" {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: q.URL, Verb: q.Verb}
	} else {
		spec.ResourceAttributes = &authorizationv1.ResourceAttributes{Namespace: q.Namespace, Verb: q.Verb, Group: q.Group, Resource: q.Resource, Subresource: q.Subresource, Name: q.Name}
	}
	r, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return r.Status.Allowed, nil
}

// generator makes random roles, bindings and requests out of few names, so that they
// meet.
type generator struct {
	*rand.Rand
	namespaces []string
}

func (g *generator) one(from ...string) string { return from[g.IntN(len(from))] }

func (g *generator) some(from ...string) []string {
	var out []string
	for range 1 + g.IntN(3) {
		out = append(out, g.one(from...))
	}
	return out
}

var (
	fuzzVerbs     = []string{"get", "list", "create", "delete", "escalate", "use", "*", "Get"}
	fuzzGroups    = []string{"", "apps", "example.com", "*"}
	fuzzResources = []string{"pods", "pods/exec", "pods/log", "secrets", "services/proxy", "deployments", "deployments/scale", "*", "*/exec", "*/scale", "pods/*", "*/*", "exec"}
	fuzzURLs      = []string{"/metrics", "/healthz", "/healthz/etcd", "/heal", "/api/v1", "/"}
	fuzzPatterns  = []string{"/metrics", "/healthz", "/healthz/*", "/heal*", "/h**", "*", "/api/*", "/"}
	fuzzNames     = []string{"a", "b"}
	fuzzUsers     = []string{"jane", "joe", "system:serviceaccount:fuzz-0:web", "system:serviceaccount:fuzz-1:web", "system:anonymous", "Jane"}
	fuzzTeams     = []string{"dev", "ops", "system:serviceaccounts", "system:serviceaccounts:fuzz-0", "system:authenticated", "system:unauthenticated"}
)

func (g *generator) rule(cluster bool) rbacv1.PolicyRule {
	if cluster && g.IntN(4) == 0 {
		return rbacv1.PolicyRule{Verbs: g.some(fuzzVerbs...), NonResourceURLs: g.some(fuzzPatterns...)}
	}
	r := rbacv1.PolicyRule{Verbs: g.some(fuzzVerbs...), APIGroups: g.some(fuzzGroups...), Resources: g.some(fuzzResources...)}
	if g.IntN(4) == 0 {
		r.ResourceNames = g.some(fuzzNames...)
	}
	return r
}

func (g *generator) rules(cluster bool) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for range g.IntN(4) {
		out = append(out, g.rule(cluster))
	}
	return out
}

func (g *generator) subjects(namespaced bool) []rbacv1.Subject {
	var out []rbacv1.Subject
	for range g.IntN(4) {
		switch g.IntN(3) {
		case 0:
			out = append(out, rbacv1.Subject{APIGroup: apiGroup, Kind: "User", Name: g.one(fuzzUsers...)})
		case 1:
			out = append(out, rbacv1.Subject{APIGroup: apiGroup, Kind: "Group", Name: g.one(fuzzTeams...)})
		default:
			s := rbacv1.Subject{Kind: "ServiceAccount", Name: g.one("web", "default"), Namespace: g.one("fuzz-0", "fuzz-1", "elsewhere")}
			if namespaced && g.IntN(3) == 0 {
				s.Namespace = "" // the API server takes it, and means the binding's
			}
			out = append(out, s)
		}
	}
	return out
}

const fuzzLabel = "bulkhead-test"

// fill replaces what the round before has made.
func (g *generator) fill(t *testing.T, client kubernetes.Interface, round int) {
	t.Helper()
	ctx := t.Context()
	clear := func(ctx context.Context) {
		list := metav1.ListOptions{LabelSelector: fuzzLabel + "=fuzz"}
		_ = client.RbacV1().ClusterRoleBindings().DeleteCollection(ctx, metav1.DeleteOptions{}, list)
		_ = client.RbacV1().ClusterRoles().DeleteCollection(ctx, metav1.DeleteOptions{}, list)
		for _, ns := range g.namespaces {
			_ = client.RbacV1().RoleBindings(ns).DeleteCollection(ctx, metav1.DeleteOptions{}, list)
			_ = client.RbacV1().Roles(ns).DeleteCollection(ctx, metav1.DeleteOptions{}, list)
		}
	}
	if round == 0 {
		g.namespaces = []string{"fuzz-0", "fuzz-1"}
		for _, ns := range g.namespaces {
			_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{})
			must(t, err)
		}
		t.Cleanup(func() {
			ctx := context.WithoutCancel(ctx)
			clear(ctx)
			for _, ns := range g.namespaces {
				_ = client.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{})
			}
		})
	}
	clear(ctx)
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Labels: map[string]string{fuzzLabel: "fuzz"}}
	}
	for i := range 12 {
		_, err := client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta(fmt.Sprint("fuzz-", i)), Rules: g.rules(true)}, metav1.CreateOptions{})
		must(t, err)
	}
	clusterRole := func() rbacv1.RoleRef {
		name := g.one("fuzz-0", "fuzz-1", "fuzz-2", "fuzz-3", "fuzz-4", "fuzz-5", "fuzz-6", "fuzz-7", "fuzz-8", "fuzz-9", "fuzz-10", "fuzz-11", "missing", "view", "system:discovery")
		return rbacv1.RoleRef{APIGroup: apiGroup, Kind: "ClusterRole", Name: name}
	}
	for i := range 8 {
		_, err := client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta(fmt.Sprint("fuzz-", i)), RoleRef: clusterRole(), Subjects: g.subjects(false)}, metav1.CreateOptions{})
		must(t, err)
	}
	for _, ns := range g.namespaces {
		for i := range 6 {
			_, err := client.RbacV1().Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: meta(fmt.Sprint("role-", i)), Rules: g.rules(false)}, metav1.CreateOptions{})
			must(t, err)
		}
		for i := range 10 {
			ref := clusterRole()
			if g.IntN(2) == 0 {
				ref.Kind, ref.Name = "Role", g.one("role-0", "role-1", "role-2", "role-3", "role-4", "role-5", "missing")
			}
			_, err := client.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta(fmt.Sprint("fuzz-", i)), RoleRef: ref, Subjects: g.subjects(true)}, metav1.CreateOptions{})
			must(t, err)
		}
	}
}

func (g *generator) request() asked {
	var q asked
	q.who.User = g.one(fuzzUsers...)
	if g.IntN(3) == 0 {
		q.who = IdentityOf(newSubject(rbacv1.Subject{Kind: "User", Name: q.who.User}, ""))
	}
	for g.IntN(3) > 0 {
		q.who.Groups = append(q.who.Groups, g.one(fuzzTeams...))
	}
	if g.IntN(50) == 0 {
		q.who.Groups = append(q.who.Groups, mastersGroup)
	}
	q.Verb = g.one(append(fuzzVerbs, "get", "get", "list", "create")...)
	if g.IntN(5) == 0 {
		q.URL = g.one(fuzzURLs...)
		return q
	}
	q.Group = g.one(append(fuzzGroups, "", "")...)
	q.Resource, q.Subresource, _ = strings.Cut(g.one(fuzzResources...), "/")
	q.Namespace = g.one("", "fuzz-0", "fuzz-1", "elsewhere")
	q.Name = g.one("", "a", "b", "c")
	return q
}

// awaitAuthorizer waits until the authorizer has seen all that was written before: it
// reads from caches, one for each kind, in the order of writing.
func awaitAuthorizer(t *testing.T, client kubernetes.Interface, round int) {
	t.Helper()
	ctx := t.Context()
	user, ns := fmt.Sprint("last-", round), "fuzz-1"
	meta := metav1.ObjectMeta{Name: user, Labels: map[string]string{fuzzLabel: "fuzz"}}
	rule := func(verb string) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{Verbs: []string{verb}, APIGroups: []string{"last.example.com"}, Resources: []string{"last"}}}
	}
	subjects := []rbacv1.Subject{{APIGroup: apiGroup, Kind: "User", Name: user}}
	_, err := client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rule("get")}, metav1.CreateOptions{})
	must(t, err)
	_, err = client.RbacV1().Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rule("list")}, metav1.CreateOptions{})
	must(t, err)
	_, err = client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: apiGroup, Kind: "ClusterRole", Name: user}}, metav1.CreateOptions{})
	must(t, err)
	_, err = client.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: apiGroup, Kind: "Role", Name: user}}, metav1.CreateOptions{})
	must(t, err)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		seen := true
		for _, verb := range []string{"get", "list"} {
			ok, err := review(ctx, client, asked{Request{Verb: verb, Group: "last.example.com", Resource: "last", Namespace: ns}, Identity{User: user}})
			must(t, err)
			seen = seen && ok
		}
		if seen {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the authorizer does not see the roles")
		}
	}
}

// stored reads roles and bindings of the API server.
func stored(t *testing.T, client kubernetes.Interface, which metav1.ListOptions) *model.World {
	t.Helper()
	ctx := t.Context()
	var objects []*model.Object
	add := func(kind string, item any) {
		text, err := json.Marshal(item)
		must(t, err)
		content := map[string]any{}
		must(t, json.Unmarshal(text, &content))
		content["apiVersion"], content["kind"] = apiGroup+"/v1", kind
		o, _ := model.NewObject(content, nil, model.Source{})
		objects = append(objects, o)
	}
	roles, err := client.RbacV1().ClusterRoles().List(ctx, which)
	must(t, err)
	for _, o := range roles.Items {
		add("ClusterRole", o)
	}
	namespaced, err := client.RbacV1().Roles("").List(ctx, which)
	must(t, err)
	for _, o := range namespaced.Items {
		add("Role", o)
	}
	clusterBindings, err := client.RbacV1().ClusterRoleBindings().List(ctx, which)
	must(t, err)
	for _, o := range clusterBindings.Items {
		add("ClusterRoleBinding", o)
	}
	bindings, err := client.RbacV1().RoleBindings("").List(ctx, which)
	must(t, err)
	for _, o := range bindings.Items {
		add("RoleBinding", o)
	}
	return model.NewWorld(objects, model.WorldOptions{Live: true})
}
