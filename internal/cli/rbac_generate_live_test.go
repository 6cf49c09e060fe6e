package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/persona"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// livePersonas has every role, every kind of subject, and extras; X stands for the test's
// own part of names.
const livePersonas = `
apiVersion: bulkhead.dev/v1
kind: Personas
metadata: {name: acmeX}
spec:
  teams:
    - name: shop
      namespaces: [shopX, stagingX]
      personas:
        - {role: viewer, groups: [viewersX], users: [janeX]}
        - {role: developer, groups: [developersX], extra: ["update,patch configmaps flags,settings", "create,delete leases.coordination.k8s.io", "get widgets.example.com/status"]}
        - {role: admin, groups: [adminsX], namespaces: [stagingX], extra: [create serviceaccounts/token]}
        - {role: operator, groups: [keepersX]}
        - {role: admin, name: deployer, serviceAccounts: [ciX/deployer]}
    - name: blog
      namespaces: [blogX]
      personas:
        - {role: auditor, groups: [readersX]}
        - {role: viewer, groups: [developersX]}
  organisation:
    - {role: viewer, groups: [everybodyX]}
    - {role: operator, groups: [operatorsX], extra: ["get /metrics/cadvisor", "delete leases.coordination.k8s.io"]}
    - {role: auditor, groups: [auditorsX]}
    - {role: break-glass, groups: [glassX]}
`

// personaCluster is a cluster with generated roles, and what they are to allow.
type personaCluster struct {
	*liveCluster
	check     *persona.Check
	checkFile string
}

func applyPersonas(t *testing.T) *personaCluster {
	t.Helper()
	c := &personaCluster{liveCluster: connectLive(t)}
	for _, ns := range []string{"shop", "staging", "blog", "ci", "other"} {
		c.apply(t, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns + c.suffix}})
	}
	folder := t.TempDir()
	personas := filepath.Join(folder, "personas.yaml")
	c.checkFile = filepath.Join(folder, "access.yaml")
	if err := os.WriteFile(personas, []byte(strings.ReplaceAll(livePersonas, "X", c.suffix)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := command(t, "rbac", "generate", personas, "--check", c.checkFile)
	if s.code != 0 {
		t.Fatalf("exit code %d\n%s", s.code, s.stderr)
	}
	t.Log(s.stderr)
	c.kubectl(t, s.stdout, "apply", "-f", "-")
	t.Cleanup(func() { c.kubectl(t, s.stdout, "delete", "--ignore-not-found", "-f", "-") })
	text, err := os.ReadFile(c.checkFile)
	if err != nil {
		t.Fatal(err)
	}
	if c.check, err = persona.ParseCheck(manifest.NewDecoder().Decode(model.Source{File: c.checkFile}, text).Objects[0]); err != nil {
		t.Fatal(err)
	}
	c.settle(t)
	return c
}

// kubectl runs the real one.
func (c *personaCluster) kubectl(t *testing.T, input string, args ...string) (string, int) {
	t.Helper()
	path, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("there is no kubectl")
	}
	run := exec.Command(path, append([]string{"--kubeconfig", c.path}, args...)...)
	var out bytes.Buffer
	run.Stdin, run.Stdout, run.Stderr = strings.NewReader(input), &out, &out
	err = run.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && args[0] == "auth" {
		return out.String(), exit.ExitCode()
	} else if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String(), 0
}

// settle waits until the authorizer has seen the last of the bindings.
func (c *personaCluster) settle(t *testing.T) {
	t.Helper()
	for _, q := range []rbac.Request{{Verb: "get", Resource: "pods", Namespace: "blog" + c.suffix}} {
		err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
			return c.review(ctx, rbac.Identity{Groups: []string{"readers" + c.suffix}}, q)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond)
}

// review asks the API server, which adds no groups to what a review names.
func (c *personaCluster) review(ctx context.Context, who rbac.Identity, q rbac.Request) (bool, error) {
	spec := authorizationv1.SubjectAccessReviewSpec{User: who.User, Groups: who.Groups}
	if q.URL != "" {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: q.URL, Verb: q.Verb}
	} else {
		spec.ResourceAttributes = &authorizationv1.ResourceAttributes{Namespace: q.Namespace, Verb: q.Verb, Group: q.Group, Resource: q.Resource, Subresource: q.Subresource, Name: q.Name}
	}
	if who.User == "" && len(who.Groups) == 0 {
		return false, errors.New("nobody asks")
	}
	r, err := c.kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return r.Status.Allowed, nil
}

// says reads the check naively: whether it lists a request as allowed to a subject.
func (c *personaCluster) says(s rbac.Subject, q rbac.Request) bool {
	for _, e := range c.check.Entries {
		if !slices.Contains(e.Subjects, s) || len(e.Namespaces) > 0 && !slices.Contains(e.Namespaces, q.Namespace) {
			continue
		}
		for _, a := range e.Can {
			if !slices.Contains(a.Verbs, q.Verb) && !slices.Contains(a.Verbs, "*") {
				continue
			}
			if q.URL != "" && (slices.Contains(a.URLs, q.URL) || slices.Contains(a.URLs, "/*")) {
				return true
			}
			for _, r := range a.Resources {
				if q.URL == "" && (r.Name == "*" || r.Name == q.Resource && r.Subresource == q.Subresource && r.Group == q.Group) && (len(a.Names) == 0 || slices.Contains(a.Names, q.Name)) {
					return true
				}
			}
		}
	}
	return false
}

func (c *personaCluster) subjects() []rbac.Subject {
	var out []rbac.Subject
	for _, e := range c.check.Entries {
		for _, s := range e.Subjects {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// alone is the identity of a subject without what the API server adds.
func alone(s rbac.Subject) rbac.Identity {
	if s.Kind == rbacv1.GroupKind {
		return rbac.Identity{Groups: []string{s.Name}}
	}
	return rbac.Identity{User: rbac.IdentityOf(s).User}
}

// TestPersonasOnACluster applies what is generated to a real API server and asks its
// authorizer everything that the check lists, and many random requests.
func TestPersonasOnACluster(t *testing.T) {
	c := applyPersonas(t)
	var asked, yes atomic.Int64
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(16)
	ask := func(s rbac.Subject, q rbac.Request) {
		group.Go(func() error {
			got, err := c.review(ctx, alone(s), q)
			if err != nil {
				return err
			}
			if want := c.says(s, q); got != want {
				t.Errorf("%s: %s: the API server says %v, the check %v", s, q, got, want)
			}
			asked.Add(1)
			if got {
				yes.Add(1)
			}
			return nil
		})
	}
	pool := c.requests()
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for _, s := range c.subjects() {
		for _, q := range c.listed(s) {
			ask(s, q)
		}
		for range 400 {
			ask(s, pool[random.IntN(len(pool))])
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("asked %d requests of %d subjects, %d of them allowed", asked.Load(), len(c.subjects()), yes.Load())
	if y := yes.Load(); y < asked.Load()/10 || y > asked.Load()*9/10 {
		t.Error("the requests are one-sided")
	}
}

// listed are all requests that the check lists for a subject.
func (c *personaCluster) listed(s rbac.Subject) []rbac.Request {
	var out []rbac.Request
	for _, e := range c.check.Entries {
		namespaces := e.Namespaces
		if len(namespaces) == 0 {
			namespaces = []string{"", "other" + c.suffix}
		}
		for _, ns := range namespaces {
			for _, a := range e.Can {
				if slices.Contains(e.Subjects, s) && !slices.Contains(a.Verbs, "*") {
					out = append(out, expand(a, ns)...)
				}
			}
		}
	}
	return out
}

func expand(a persona.Action, namespace string) []rbac.Request {
	var out []rbac.Request
	for _, v := range a.Verbs {
		for _, u := range a.URLs {
			out = append(out, rbac.Request{Verb: v, URL: u})
		}
		for _, r := range a.Resources {
			for _, n := range append([]string{""}, a.Names...) {
				out = append(out, rbac.Request{Verb: v, Group: r.Group, Resource: r.Name, Subresource: r.Subresource, Namespace: namespace, Name: n})
			}
		}
	}
	return out
}

// requests are those of all verbs on everything that any entry names, in and out of the
// namespaces.
func (c *personaCluster) requests() []rbac.Request {
	what := map[rbac.Request]bool{}
	for _, e := range c.check.Entries {
		for _, a := range slices.Concat(e.Can, e.Cannot) {
			for _, q := range expand(a, "") {
				q.Verb = ""
				what[q] = true
			}
		}
	}
	var out []rbac.Request
	for q := range what {
		for _, q.Verb = range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "escalate", "bind", "impersonate"} {
			for _, ns := range []string{"shop", "staging", "blog", "other", "ci", "", "kube-system"} {
				if q.Namespace = ns; ns != "" && ns != "kube-system" {
					q.Namespace += c.suffix
				}
				if q.URL == "" || ns == "" {
					out = append(out, q)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b rbac.Request) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return out
}

// TestPersonasByKubectl asks kubectl auth can-i the same, for a table of requests.
func TestPersonasByKubectl(t *testing.T) {
	c := applyPersonas(t)
	requests := []struct{ verb, resource, sub, name, namespace string }{
		{"get", "pods", "", "", "shop"}, {"get", "pods", "log", "", "shop"}, {"get", "secrets", "", "", "shop"}, {"list", "secrets", "", "", "staging"}, {"create", "pods", "exec", "", "staging"},
		{"create", "pods", "eviction", "", "shop"}, {"delete", "pods", "", "", "shop"}, {"create", "pods", "", "", "staging"}, {"patch", "deployments.apps", "", "", "shop"},
		{"patch", "deployments.apps", "scale", "", "shop"}, {"update", "configmaps", "", "flags", "shop"}, {"update", "configmaps", "", "other", "shop"}, {"create", "rolebindings.rbac.authorization.k8s.io", "", "", "shop"},
		{"list", "roles.rbac.authorization.k8s.io", "", "", "blog"}, {"get", "pods", "", "", "other"}, {"list", "nodes", "", "", ""}, {"patch", "nodes", "", "", ""}, {"list", "clusterroles.rbac.authorization.k8s.io", "", "", ""},
		{"create", "clusterrolebindings.rbac.authorization.k8s.io", "", "", ""}, {"create", "serviceaccounts", "token", "", "staging"}, {"impersonate", "users", "", "", ""},
	}
	var yes int
	for _, s := range c.subjects() {
		args := []string{"--as", rbac.IdentityOf(s).User}
		if s.Kind == rbacv1.GroupKind {
			args = []string{"--as", "somebody" + c.suffix, "--as-group", s.Name}
		}
		for _, r := range requests {
			name, of, _ := strings.Cut(r.resource, ".")
			q := rbac.Request{Verb: r.verb, Group: of, Resource: name, Subresource: r.sub, Name: r.name}
			line := []string{"auth", "can-i", "-q", r.verb, r.resource}
			if r.name != "" {
				line[len(line)-1] += "/" + r.name
			}
			if r.sub != "" {
				line = append(line, "--subresource", r.sub)
			}
			if r.namespace != "" {
				q.Namespace = r.namespace + c.suffix
				line = append(line, "-n", q.Namespace)
			}
			want := c.says(s, q)
			out, code := c.kubectl(t, "", append(line, args...)...)
			if got := code == 0; got != want {
				// Another test may have granted it to everybody for a while.
				if all, err := c.review(t.Context(), rbac.Identity{User: "nobody" + c.suffix, Groups: []string{"system:authenticated", "system:serviceaccounts"}}, q); err != nil || !got || !all {
					t.Errorf("%s: kubectl %s says %v, the check %v\n%s", s, strings.Join(line, " "), got, want, out)
				}
			}
			if want {
				yes++
			}
		}
	}
	t.Logf("asked kubectl %d times for %d subjects, %d of them allowed", len(requests)*len(c.subjects()), len(c.subjects()), yes)
}

// TestDriftOfACluster changes what was applied, and the check finds who granted it.
func TestDriftOfACluster(t *testing.T) {
	c := applyPersonas(t)
	ctx := t.Context()
	if found := c.drift(t); len(found) > 0 {
		t.Fatalf("nothing has changed, and the check finds %+v", found)
	}
	shop := "shop" + c.suffix
	developers := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "developers" + c.suffix}
	_, err := c.kube.RbacV1().RoleBindings(shop).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "quick-fix"},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"}, Subjects: []rbacv1.Subject{developers}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := c.drift(t)
	quick := "RoleBinding/quick-fix"
	for _, want := range []string{
		"forbidden Group developersX shopX get secrets by shopX/" + quick, "forbidden Group developersX shopX create pods/exec by shopX/" + quick,
		"extra Group developersX shopX create configmaps by shopX/" + quick, "escalation Group developersX  ServiceAccount shopX/default",
	} {
		if want = strings.ReplaceAll(want, "X", c.suffix); !slices.Contains(found, want) {
			t.Errorf("%q is not found among %d", want, len(found))
		}
	}
	if err := c.kube.RbacV1().RoleBindings(shop).Delete(ctx, "quick-fix", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	mine := fmt.Sprintf("acme%s:shop:viewer", c.suffix)
	patch := fmt.Sprintf(`[{"op":"replace","path":"/subjects/0/name","value":"strangers%s"}]`, c.suffix)
	if _, err := c.kube.RbacV1().RoleBindings(shop).Patch(ctx, mine, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	found = c.drift(t)
	for _, want := range []string{"holder Group strangersX shopX ClusterRole acmeX:viewer by shopX/RoleBinding/acmeX:shop:viewer", "missing Group viewersX shopX get pods/log"} {
		if want = strings.ReplaceAll(want, "X", c.suffix); !slices.Contains(found, want) {
			t.Errorf("%q is not found among %q", want, found)
		}
	}
	user, kubeconfig := c.scanner(t, shop)
	c.bind(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "pods" + c.suffix}, Rules: listRules([]model.GroupKind{{Kind: "Pod"}})}, user)
	c.waitUntil(t, user, "", "pods", true)
	if s := command(t, "rbac", "check", c.checkFile, "--kubeconfig", kubeconfig); s.code != 3 {
		t.Errorf("who may read no roles finds out: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
}

// drift runs the check, and writes what it finds in lines. What another test has granted
// to everybody is left out.
func (c *personaCluster) drift(t *testing.T) []string {
	t.Helper()
	s := command(t, "rbac", "check", c.checkFile, "--kubeconfig", c.path, "-o", "json")
	var result accessDriftJSON
	if err := json.Unmarshal([]byte(s.stdout), &result); err != nil {
		t.Fatalf("exit code %d, %v\n%s%s", s.code, err, s.stdout, s.stderr)
	}
	if want := map[bool]int{true: 1, false: 0}[len(result.Differences) > 0]; s.code != want || len(result.Unknown) > 0 {
		t.Errorf("exit code %d with %d differences, %v", s.code, len(result.Differences), result.Unknown)
	}
	var out []string
	for _, d := range result.Differences {
		line := fmt.Sprintf("%s %s %s %s", d.Kind, d.Subject, d.Namespace, d.What)
		by := d.Binding
		for _, g := range d.By {
			by = g.Binding
		}
		if by != "" {
			line += " by " + by
		}
		if strings.Contains(line, "fuzz-") {
			continue
		}
		out = append(out, line)
	}
	return out
}
