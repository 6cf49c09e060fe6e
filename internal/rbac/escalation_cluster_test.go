package rbac

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"bulkhead.dev/bulkhead/internal/model"
)

// TestNobodyEscalatesByDefault reads what a real API server and its controllers make,
// and nothing else: who becomes cluster admin is meant to.
func TestNobodyEscalatesByDefault(t *testing.T) {
	client := connect(t)
	var objects []*model.Object
	for _, o := range readWorld(t, client).Objects {
		if o.Group != apiGroup || o.Labels()["kubernetes.io/bootstrapping"] == "rbac-defaults" {
			objects = append(objects, o)
		}
	}
	e, err := AccessOf(model.NewWorld(objects, model.WorldOptions{Live: true})).Escalations(37)
	must(t, err)
	var meant []string
	for _, x := range e.ToAdmin() {
		if !x.Meant {
			t.Errorf("%s becomes cluster admin: %+v", x.From, x.Steps)
		}
		meant = append(meant, x.From.String())
		if s := x.From; s.Namespace != "kube-system" && s.Name != mastersGroup && s.Name != "system:kube-controller-manager" {
			t.Errorf("%s is taken to be meant", s)
		}
	}
	t.Logf("of %d subjects become cluster admin: %s", len(e.graph.bound), strings.Join(meant, ", "))
	for _, want := range []string{"Group system:masters", "ServiceAccount kube-system/clusterrole-aggregation-controller", "ServiceAccount kube-system/daemon-set-controller", "User system:kube-controller-manager"} {
		if !slices.Contains(meant, want) {
			t.Errorf("%s is not among them", want)
		}
	}
	for _, x := range e.ToAdmin() {
		at := IdentityOf(x.From)
		for _, s := range x.Steps {
			for _, n := range s.Needs {
				allowed, err := review(t.Context(), client, asked{n.Request, at})
				must(t, err)
				if !allowed {
					t.Errorf("%s: %s of step %s is not allowed to %v", x.From, n.Request, s.Name, at)
				}
			}
			if s.To.Subject != nil {
				at = IdentityOf(*s.To.Subject)
			}
		}
	}
}

// readWorld reads all that escalations depend on.
func readWorld(t *testing.T, client kubernetes.Interface) *model.World {
	t.Helper()
	objects := stored(t, client, metav1.ListOptions{}).Objects
	for _, kind := range EscalationKinds() {
		r, ok := model.BuiltinResource(kind)
		if !ok {
			t.Fatalf("%s has no resource", kind)
		}
		path, version := "/api/v1/", "v1"
		if kind.Group != "" {
			path, version = "/apis/"+kind.Group+"/v1/", kind.Group+"/v1"
		}
		text, err := client.CoreV1().RESTClient().Get().AbsPath(path + r.Name).DoRaw(t.Context())
		must(t, err)
		var list struct{ Items []map[string]any }
		must(t, json.Unmarshal(text, &list))
		for _, content := range list.Items {
			content["apiVersion"], content["kind"] = version, kind.Kind
			o, _ := model.NewObject(content, nil, model.Source{})
			objects = append(objects, o)
		}
	}
	return model.NewWorld(objects, model.WorldOptions{Live: true})
}

// escalationCase is a subject with some rights in two namespaces, own and other, in the
// latter of which the account boss is cluster admin.
type escalationCase struct {
	name string
	// user is GROUP where a member of a group starts, and not the service account start.
	user string
	// cluster are rules of a ClusterRole that is bound in the cluster, and the others of
	// Roles in the two namespaces. Fields: group/resource verbs [names].
	cluster, own, other []string
	// aggregated says that the ClusterRole is aggregated of others.
	aggregated bool
	// one and two are rules of two accounts whose tokens start may mint: bound in the
	// cluster, and in the namespace other those that begin with "other:".
	one, two []string
	// extra are those of a ClusterRole that is bound to nobody.
	extra []string
	// steps are the names of the chain's.
	steps []string
}

// escalationCases are one for each step at least; CASE stands for the case's own part of
// names.
var escalationCases = []escalationCase{
	{name: "mint", other: []string{"/serviceaccounts/token create boss"}, steps: []string{"mint-token"}},
	{name: "mint-by-group", user: "GROUP", other: []string{"/serviceaccounts/token create boss"}, steps: []string{"mint-token"}},
	{name: "read", other: []string{"/secrets get boss-token"}, steps: []string{"read-token"}},
	{name: "list", other: []string{"/secrets list"}, steps: []string{"read-token"}},
	{name: "make-secret", other: []string{"/secrets create", "/secrets get mine"}, steps: []string{"make-token-secret"}},
	{name: "apply-secret", other: []string{"/secrets create,patch,get mine"}, steps: []string{"make-token-secret"}},
	{name: "turn-secret", other: []string{"/secrets update,get clerk-token"}, steps: []string{"make-token-secret"}},
	{name: "impersonate-account", other: []string{"/serviceaccounts impersonate boss"}, steps: []string{"impersonate-account"}},
	{name: "impersonate-user", cluster: []string{"/users impersonate CASE-boss"}, steps: []string{"impersonate"}},
	{name: "impersonate-masters", cluster: []string{"/users impersonate nobody", "/groups impersonate system:masters"}, steps: []string{"impersonate"}},
	{name: "impersonate-group", cluster: []string{"/groups impersonate CASE-bosses"}, other: []string{"/serviceaccounts impersonate clerk"}, steps: []string{"impersonate"}},
	{name: "bind", cluster: []string{"R/clusterroles bind cluster-admin", "R/clusterrolebindings create"}, steps: []string{"bind-role"}},
	{name: "bind-by-update", cluster: []string{"R/clusterroles bind", "R/clusterrolebindings create,update,get CASE-mine"}, steps: []string{"bind-role"}},
	{name: "join", cluster: []string{"R/clusterroles bind cluster-admin", "R/clusterrolebindings patch CASE-boss"}, steps: []string{"bind-role"}},
	{name: "bind-in-namespace", other: []string{"R/clusterroles bind admin", "R/rolebindings create"}, steps: []string{"bind-role-in-namespace", "impersonate-account"}},
	{name: "bind-role", other: []string{"R/roles bind minter", "R/rolebindings create"}, steps: []string{"bind-role-in-namespace", "mint-token"}},
	{name: "escalate", cluster: []string{"R/clusterroles escalate,patch"}, steps: []string{"rewrite-role"}},
	{name: "escalate-named", cluster: []string{"R/clusterroles escalate,update,get CASE"}, steps: []string{"rewrite-role"}},
	{name: "escalate-aggregated", cluster: []string{"R/clusterroles escalate,create"}, aggregated: true, steps: []string{"rewrite-role"}},
	{name: "escalate-in-namespace", other: []string{"R/roles escalate,patch CASE"}, steps: []string{"rewrite-role-in-namespace", "impersonate-account"}},
	{name: "certificate", cluster: []string{"certificates.k8s.io/certificatesigningrequests create,get", "certificates.k8s.io/certificatesigningrequests/approval update", "certificates.k8s.io/signers approve kubernetes.io/kube-apiserver-client"},
		steps: []string{"approve-certificate"}},
	{name: "certificate-of-domain", cluster: []string{"certificates.k8s.io/certificatesigningrequests create,list", "certificates.k8s.io/certificatesigningrequests/approval patch", "certificates.k8s.io/signers approve kubernetes.io/*"},
		steps: []string{"approve-certificate"}},
	{name: "constrained", cluster: []string{"A/users impersonate:user-info CASE-boss", "R/clusterrolebindings impersonate-on:user-info:create"}, steps: []string{"impersonate-constrained", "bind-role"}},
	{name: "constrained-group", cluster: []string{"A/users impersonate:user-info nobody", "A/groups impersonate:user-info CASE-bosses", "/serviceaccounts/token impersonate-on:user-info:create"}, steps: []string{"impersonate-constrained", "mint-token"}},
	{name: "constrained-account", other: []string{"A/serviceaccounts impersonate:serviceaccount boss", "/secrets impersonate-on:serviceaccount:list"}, steps: []string{"impersonate-constrained", "read-token"}},
	{name: "run", other: []string{"apps/deployments create"}, steps: []string{"run-as"}},
	{name: "run-pod", other: []string{"/pods create"}, steps: []string{"run-as"}},
	{name: "change", other: []string{"apps/deployments patch web"}, steps: []string{"change-workload"}},
	{name: "exec", other: []string{"/pods/exec create runner"}, steps: []string{"exec"}},
	{name: "attach", other: []string{"/pods/attach create"}, steps: []string{"exec"}},
	{name: "ephemeral", other: []string{"/pods/ephemeralcontainers patch runner"}, steps: []string{"add-container"}},
	{name: "change-pod", other: []string{"/pods patch runner"}, steps: []string{"change-pod"}},
	{name: "kubelet", cluster: []string{"/nodes/proxy get"}, steps: []string{"kubelet"}},
	{name: "webhook", cluster: []string{"admissionregistration.k8s.io/mutatingwebhookconfigurations create"}, steps: []string{"mutate-requests"}},
	{name: "policy", cluster: []string{"admissionregistration.k8s.io/mutatingadmissionpolicies create", "admissionregistration.k8s.io/mutatingadmissionpolicybindings create"}, steps: []string{"mutate-requests-by-policy"}},
	{name: "two-accounts", own: []string{"/serviceaccounts/token create helper"}, steps: []string{"mint-token", "mint-token"}},

	// What several do together.
	{name: "one-makes-two-reads", one: []string{"other:/secrets create"}, two: []string{"other:/secrets get mine"}, steps: []string{"mint-token", "mint-token", "make-token-secret"}},
	{name: "one-asks-two-approves", one: []string{"certificates.k8s.io/certificatesigningrequests create,get"},
		two: []string{"certificates.k8s.io/certificatesigningrequests/approval patch", "certificates.k8s.io/signers approve kubernetes.io/kube-apiserver-client"}, steps: []string{"mint-token", "mint-token", "approve-certificate"}},
	{name: "one-rewrites-two", one: []string{"R/clusterroles escalate,patch CASE-two"}, two: []string{"/pods get"}, steps: []string{"mint-token", "mint-token", "rewrite-role"}},
	{name: "one-policy-two-binding", one: []string{"admissionregistration.k8s.io/mutatingadmissionpolicies create"}, two: []string{"admissionregistration.k8s.io/mutatingadmissionpolicybindings create"},
		steps: []string{"mint-token", "mint-token", "mutate-requests-by-policy"}},
	{name: "gained-and-own", cluster: []string{"R/clusterroles bind CASE-extra", "R/clusterrolebindings create", "R/clusterroles patch CASE"}, extra: []string{"R/clusterroles escalate"}, steps: []string{"bind-role", "rewrite-role"}},

	// What does not suffice.
	{name: "one-updates-two-approves", one: []string{"certificates.k8s.io/certificatesigningrequests create,get", "certificates.k8s.io/certificatesigningrequests/approval patch"}, two: []string{"certificates.k8s.io/signers approve"}},
	{name: "one-escalates-two-patches", one: []string{"R/clusterroles escalate"}, two: []string{"R/clusterroles patch"}},
	{name: "no-bind", cluster: []string{"R/clusterrolebindings create"}},
	{name: "no-escalate", cluster: []string{"R/clusterroles patch,create"}},
	{name: "bind-view-only", cluster: []string{"R/clusterroles bind view", "R/clusterrolebindings create"}},
	{name: "other-name", other: []string{"/serviceaccounts/token create clerk", "/secrets get clerk-token", "/serviceaccounts impersonate clerk"}},
	{name: "named-create", other: []string{"/secrets create,get mine", "/pods create web"}},
	{name: "constrained-to-one-verb", cluster: []string{"A/users impersonate:user-info CASE-boss", "/configmaps impersonate-on:user-info:get"}},
	{name: "constrained-without-user", cluster: []string{"R/clusterrolebindings impersonate-on:user-info:create"}},
	{name: "group-without-name", cluster: []string{"/groups impersonate"}},
	{name: "exec-by-get", other: []string{"/pods/exec get"}},
	{name: "signer-of-others", cluster: []string{"certificates.k8s.io/certificatesigningrequests create,get", "certificates.k8s.io/certificatesigningrequests/approval update", "certificates.k8s.io/signers approve kubernetes.io/kubelet-serving"}},
	{name: "own-namespace", own: []string{"*/* *"}, steps: []string{"impersonate-account", "mint-token"}},
}

func (c *escalationCase) policyRules(t *testing.T, rules []string, id string) []rbacv1.PolicyRule {
	t.Helper()
	var out []rbacv1.PolicyRule
	for _, text := range rules {
		parts := strings.Fields(strings.ReplaceAll(text, "CASE", id))
		group, resource, _ := strings.Cut(parts[0], "/")
		switch group {
		case "R":
			group = apiGroup
		case "A":
			group = "authentication.k8s.io"
		}
		r := rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: strings.Split(parts[1], ",")}
		if len(parts) > 2 {
			r.ResourceNames = strings.Split(parts[2], ",")
		}
		out = append(out, r)
	}
	return out
}

// TestEscalationsAreReal makes each case on a real API server, looks for the chain in
// what is stored there, and then walks it: with tokens that it mints or reads, with
// certificates, by impersonation, by bindings and roles that it writes. The identity at
// the end may do everything.
func TestEscalationsAreReal(t *testing.T) {
	client := connect(t)
	base, err := clientcmd.BuildConfigFromFlags("", os.Getenv("BULKHEAD_TEST_KUBECONFIG"))
	must(t, err)
	base.QPS, base.Burst = 500, 500
	for _, c := range escalationCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{client: client, base: base, id: "esc-" + c.name + "-" + rand.String(5)}
			start := f.make(t, &c)
			f.await(t, start, &c)
			w := f.only(readWorld(t, client))
			e, err := AccessOf(w).Escalations(37)
			must(t, err)
			var found *Escalation
			for _, x := range e.ToAdmin() {
				if x.From == start {
					found = &x
				}
			}
			if len(c.steps) == 0 {
				if found != nil {
					t.Fatalf("%s becomes cluster admin: %+v", start, found.Steps)
				}
				return
			}
			if found == nil {
				t.Fatalf("%s does not become cluster admin", start)
			}
			var names []string
			for _, s := range found.Steps {
				names = append(names, s.Name)
			}
			if !slices.Equal(names, c.steps) {
				t.Fatalf("the chain is %v: %+v", names, found.Steps)
			}
			walker := &walker{fixture: f, now: f.start(t, start)}
			walker.own = walker.now
			walker.known = map[string]*rest.Config{start.String(): walker.now}
			t.Log(describeSteps(found.Steps))
			for _, s := range found.Steps {
				walker.take(t, s)
			}
			walker.isAdmin(t)
		})
	}
}

// fixture is what a case is made of.
type fixture struct {
	client     kubernetes.Interface
	base       *rest.Config
	id         string
	own, other string
}

// only leaves out what other tests have made in the cluster meanwhile.
func (f *fixture) only(w *model.World) *model.World {
	objects := slices.DeleteFunc(slices.Clone(w.Objects), func(o *model.Object) bool {
		return !strings.HasPrefix(o.Namespace, f.id) && !strings.HasPrefix(o.Name, f.id) && o.Labels()["kubernetes.io/bootstrapping"] != "rbac-defaults" && o.Namespace != "kube-system"
	})
	return model.NewWorld(objects, model.WorldOptions{Live: true})
}

func (f *fixture) cleanup(t *testing.T, remove func(context.Context)) {
	t.Cleanup(func() { remove(context.WithoutCancel(t.Context())) })
}

// make makes the objects of a case and returns who starts.
func (f *fixture) make(t *testing.T, c *escalationCase) Subject {
	t.Helper()
	ctx, create, remove := t.Context(), metav1.CreateOptions{}, metav1.DeleteOptions{}
	f.own, f.other = f.id+"-own", f.id+"-other"
	for _, ns := range []string{f.own, f.other} {
		_, err := f.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, create)
		must(t, err)
		f.cleanup(t, func(ctx context.Context) { _ = f.client.CoreV1().Namespaces().Delete(ctx, ns, remove) })
	}
	account := func(ns, name string) rbacv1.Subject {
		_, err := f.client.CoreV1().ServiceAccounts(ns).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, create)
		must(t, err)
		return rbacv1.Subject{Kind: "ServiceAccount", Namespace: ns, Name: name}
	}
	start, boss, helper := account(f.own, "start"), account(f.other, "boss"), account(f.own, "helper")
	account(f.other, "clerk")
	if c.user == "GROUP" {
		start = rbacv1.Subject{APIGroup: apiGroup, Kind: "Group", Name: f.id}
	}
	bind := func(name, role string, subjects ...rbacv1.Subject) {
		_, err := f.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef: rbacv1.RoleRef{APIGroup: apiGroup, Kind: "ClusterRole", Name: role}, Subjects: subjects}, create)
		must(t, err)
		f.cleanup(t, func(ctx context.Context) { _ = f.client.RbacV1().ClusterRoleBindings().Delete(ctx, name, remove) })
	}
	bind(f.id+"-boss", clusterAdmin, boss, rbacv1.Subject{APIGroup: apiGroup, Kind: "User", Name: f.id + "-boss"}, rbacv1.Subject{APIGroup: apiGroup, Kind: "Group", Name: f.id + "-bosses"})
	for _, name := range []string{"boss", "clerk"} {
		_, err := f.client.CoreV1().Secrets(f.other).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name + "-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: name}},
			Type: corev1.SecretTypeServiceAccountToken}, create)
		must(t, err)
	}
	inNamespace := func(ns, name string, rules []rbacv1.PolicyRule, subjects ...rbacv1.Subject) {
		_, err := f.client.RbacV1().Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, create)
		must(t, err)
		if len(subjects) == 0 {
			return
		}
		_, err = f.client.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef: rbacv1.RoleRef{APIGroup: apiGroup, Kind: "Role", Name: name}, Subjects: subjects}, create)
		must(t, err)
	}
	mint := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}}}
	inNamespace(f.other, "minter", mint)
	inNamespace(f.other, "helper", mint, helper)
	if c.own != nil {
		inNamespace(f.own, f.id, c.policyRules(t, c.own, f.id), start)
	}
	if c.other != nil {
		inNamespace(f.other, f.id, c.policyRules(t, c.other, f.id), start)
	}
	if c.cluster != nil {
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: f.id}, Rules: c.policyRules(t, c.cluster, f.id)}
		if c.aggregated {
			part := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: f.id + "-part", Labels: map[string]string{"into": f.id}}, Rules: role.Rules}
			_, err := f.client.RbacV1().ClusterRoles().Create(ctx, part, create)
			must(t, err)
			f.cleanup(t, func(ctx context.Context) { _ = f.client.RbacV1().ClusterRoles().Delete(ctx, part.Name, remove) })
			role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"into": f.id}}}}
		}
		_, err := f.client.RbacV1().ClusterRoles().Create(ctx, role, create)
		must(t, err)
		f.cleanup(t, func(ctx context.Context) { _ = f.client.RbacV1().ClusterRoles().Delete(ctx, role.Name, remove) })
		bind(f.id, f.id, start)
	}
	clusterRole := func(name string, rules []string) {
		_, err := f.client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: c.policyRules(t, rules, f.id)}, create)
		must(t, err)
		f.cleanup(t, func(ctx context.Context) { _ = f.client.RbacV1().ClusterRoles().Delete(ctx, name, remove) })
	}
	if c.extra != nil {
		clusterRole(f.id+"-extra", c.extra)
	}
	if c.one != nil {
		inNamespace(f.own, "parts", []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}, ResourceNames: []string{"one", "two"}}}, start)
		for name, rules := range map[string][]string{"one": c.one, "two": c.two} {
			who := account(f.own, name)
			if other, cut := inOther(rules); cut {
				inNamespace(f.other, name, c.policyRules(t, other, f.id), who)
				continue
			}
			clusterRole(f.id+"-"+name, rules)
			bind(f.id+"-"+name, f.id+"-"+name, who)
		}
	}
	f.run(t)
	return newSubject(start, "")
}

// inOther returns rules that are bound in the namespace other.
func inOther(rules []string) ([]string, bool) {
	var out []string
	for _, r := range rules {
		if rest, ok := strings.CutPrefix(r, "other:"); ok {
			out = append(out, rest)
		}
	}
	return out, len(out) > 0
}

// run makes a pod that runs as boss, and a Deployment that does not.
func (f *fixture) run(t *testing.T) {
	t.Helper()
	ctx, create := t.Context(), metav1.CreateOptions{}
	_, err := f.client.CoreV1().Pods(f.other).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "runner"}, Spec: podSpec("boss")}, create)
	must(t, err)
	_, err = f.client.AppsV1().Deployments(f.other).Create(ctx, deployment("web", "clerk"), create)
	must(t, err)
}

// await waits until the authorizer knows what the case grants, and the Secrets are filled.
func (f *fixture) await(t *testing.T, start Subject, c *escalationCase) {
	t.Helper()
	eventually(t, "the Secrets have their tokens", func(ctx context.Context) bool {
		filled := 0
		for _, name := range []string{"boss-token", "clerk-token"} {
			s, err := f.client.CoreV1().Secrets(f.other).Get(ctx, name, metav1.GetOptions{})
			if err == nil && len(s.Data[corev1.ServiceAccountTokenKey]) > 0 {
				filled++
			}
		}
		return filled == 2
	})
	if c.aggregated {
		eventually(t, "the role is aggregated", func(ctx context.Context) bool {
			r, err := f.client.RbacV1().ClusterRoles().Get(ctx, f.id, metav1.GetOptions{})
			return err == nil && len(r.Rules) > 0
		})
	}
	for ns, rules := range map[string][]string{"": c.cluster, f.own: c.own, f.other: c.other} {
		f.awaitRules(t, start, ns, c.policyRules(t, rules, f.id))
	}
	for name, rules := range map[string][]string{"one": c.one, "two": c.two} {
		ns := ""
		if other, cut := inOther(rules); cut {
			ns, rules = f.other, other
		}
		f.awaitRules(t, Subject{rbacv1.ServiceAccountKind, f.own, name}, ns, c.policyRules(t, rules, f.id))
	}
}

func (f *fixture) awaitRules(t *testing.T, s Subject, namespace string, rules []rbacv1.PolicyRule) {
	t.Helper()
	for _, r := range rules {
		resource, sub, _ := strings.Cut(r.Resources[0], "/")
		q := asked{Request{Verb: r.Verbs[0], Group: r.APIGroups[0], Resource: resource, Subresource: sub, Namespace: namespace}, IdentityOf(s)}
		if len(r.ResourceNames) > 0 {
			q.Name = r.ResourceNames[0]
		}
		eventually(t, "the authorizer knows "+q.Request.String(), func(ctx context.Context) bool {
			allowed, err := review(ctx, f.client, q)
			return err == nil && allowed
		})
	}
}

func eventually(t *testing.T, what string, ok func(context.Context) bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(t.Context()); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never happens that %s", what)
		}
	}
}

// start returns credentials of who starts: a token of a service account; of a group
// somebody who is in it, by the test's own right to impersonate.
func (f *fixture) start(t *testing.T, s Subject) *rest.Config {
	t.Helper()
	if s.Kind == "ServiceAccount" {
		return f.token(t, s)
	}
	c := rest.CopyConfig(f.base)
	c.Impersonate = rest.ImpersonationConfig{UserName: f.id + "-somebody", Groups: []string{s.Name, "system:authenticated"}}
	return c
}

// token is what a kubelet would have put into a pod.
func (f *fixture) token(t *testing.T, s Subject) *rest.Config {
	t.Helper()
	return f.bearer(mintFor(t, f.client, s))
}

func (f *fixture) bearer(token string) *rest.Config {
	c := rest.AnonymousClientConfig(f.base)
	c.BearerToken, c.QPS, c.Burst = token, 500, 500
	return c
}

// selfReview asks the API server what the holder of credentials may do.
func selfReview(t *testing.T, client kubernetes.Interface, r Request) bool {
	t.Helper()
	spec := authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: r.Namespace, Verb: r.Verb, Group: r.Group, Resource: r.Resource, Subresource: r.Subresource, Name: r.Name}}
	got, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	must(t, err)
	return got.Status.Allowed
}

func describeSteps(steps []Step) string {
	var out []string
	for _, s := range steps {
		out = append(out, fmt.Sprint(s.Name, " -> ", s.To))
	}
	return strings.Join(out, "; ")
}
