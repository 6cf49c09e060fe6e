package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd/api"

	"bulkhead.dev/bulkhead/internal/testcluster"
)

// enforced is a real API server with two namespaces, in the first of which there is a
// Deployment that offends no-latest-tag.
type enforced struct {
	*liveCluster
	a, b string
}

func connectEnforced(t *testing.T) *enforced {
	t.Helper()
	e := &enforced{liveCluster: connectLive(t)}
	testcluster.Exclusive(t, "policies")
	e.a, e.b = "enforced-a"+e.suffix, "enforced-b"+e.suffix
	for _, name := range []string{e.a, e.b} {
		e.apply(t, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}})
	}
	pod := map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "web"}}, "spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "example.com/a:latest"}}}}
	e.apply(t, map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web", "namespace": e.a},
		"spec": map[string]any{"replicas": int64(1), "selector": map[string]any{"matchLabels": map[string]any{"app": "web"}}, "template": pod}})
	e.waitForPods(t, e.a, 1)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if s := run(ctx, "policy", "remove", "--kubeconfig", e.path); s.code != 0 {
			t.Errorf("remove: %s", s.stderr)
		}
	})
	return e
}

func run(ctx context.Context, args ...string) scanned {
	var out, problems strings.Builder
	code := Run(ctx, Env{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &problems, Getenv: func(string) string { return "" }})
	return scanned{code, out.String(), problems.String()}
}

// policy runs a command and wants its exit code.
func (e *enforced) policy(t *testing.T, code int, args ...string) scanned {
	t.Helper()
	s := command(t, append([]string{"policy", "--kubeconfig", e.path}, args...)...)
	if s.code != code {
		t.Fatalf("policy %v: exit code %d, want %d\n%s%s", args, s.code, code, s.stdout, s.stderr)
	}
	return s
}

// change runs a command with -o json.
func (e *enforced) change(t *testing.T, code int, args ...string) *enforcementReport {
	t.Helper()
	s := e.policy(t, code, append(args, "-o", "json")...)
	r := &enforcementReport{}
	if err := json.Unmarshal([]byte(s.stdout), r); err != nil {
		t.Fatalf("policy %v: %v\n%s", args, err, s.stdout)
	}
	return r
}

func (r *enforcementReport) changed() map[string]string {
	out := map[string]string{}
	for _, c := range r.Changes {
		kind, name, _ := strings.Cut(c.Object, "/")
		kind, _, _ = strings.Cut(kind, ".")
		out[kind+"/"+name] = c.Change
	}
	return out
}

// refusal is what the API server says to the creation of a pod with a moving tag.
func (e *enforced) refusal(t *testing.T, namespace string) string {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "bad"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example.com/a:latest"}}}}
	_, err := e.kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil {
		return ""
	}
	return err.Error()
}

func (e *enforced) await(t *testing.T, namespace string, refused bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		return (e.refusal(t, namespace) != "") == refused, nil
	})
	if err != nil {
		t.Fatalf("refused in %s: %v wanted", namespace, refused)
	}
}

// enforcing lists the policies, bindings and this test's namespaces, with their
// versions.
func (e *enforced) enforcing(t *testing.T) string {
	t.Helper()
	var out []string
	policies, err := e.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range policies.Items {
		out = append(out, fmt.Sprint("policy ", p.Name, " ", p.Generation))
	}
	bindings, err := e.kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bindings.Items {
		out = append(out, fmt.Sprint("binding ", b.Name, " ", b.ResourceVersion))
	}
	// Tests of other packages make policies of their own at the same time.
	out = slices.DeleteFunc(out, func(s string) bool { return strings.Contains(s, "conformance-") })
	for _, name := range []string{e.a, e.b} {
		ns, err := e.kube.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprint("namespace ", ns.Name, " ", ns.Labels))
	}
	return strings.Join(out, "\n")
}

// TestApplyAndRemove: what would be refused is said, and stops the way to deny; what
// is applied refuses with the control's own message, in that namespace alone; and all
// of it goes again.
func TestApplyAndRemove(t *testing.T) {
	e := connectEnforced(t)
	before := e.enforcing(t)
	apply := []string{"apply", "--mode", "deny", "--control", "no-latest-tag,no-node-port", "--namespaces", e.a}
	for _, dry := range []string{"none", "server", "client"} {
		s := e.policy(t, exitFindings, append(apply, "--dry-run", dry)...)
		for _, want := range []string{"namespace " + e.a + ": off -> deny", "no-latest-tag: 1 object\n", "deny  " + e.a + "/Deployment/web  container c runs example.com/a:latest, a tag that moves", "nothing, by 1 policy:\n  no-node-port\n"} {
			if !strings.Contains(s.stdout, want) {
				t.Errorf("--dry-run=%s does not say %q:\n%s", dry, want, s.stdout)
			}
		}
		if strings.Contains(s.stdout, "Pod/") || strings.Contains(s.stdout, "ReplicaSet") || !strings.Contains(s.stderr, "--allow-violations") {
			t.Errorf("--dry-run=%s says\n%s%s", dry, s.stdout, s.stderr)
		}
	}
	for _, dry := range []string{"server", "client"} {
		r := e.change(t, 0, append(apply, "--allow-violations", "--dry-run", dry)...)
		if r.DryRun != dry || r.changed()["validatingadmissionpolicybinding/no-latest-tag.deny.bulkhead.dev"] != "created" || len(r.Refusals) != 1 || !r.Refusals[0].Rises {
			t.Errorf("--dry-run=%s: %+v", dry, r)
		}
	}
	if now := e.enforcing(t); now != before {
		t.Fatalf("nothing was to change:\n%s\nwas\n%s", now, before)
	}
	if r := e.change(t, 0, append(apply, "--allow-violations")...); len(r.Changes) != 4 {
		t.Errorf("applied %v", r.changed())
	}
	e.await(t, e.a, true)
	const message = "ValidatingAdmissionPolicy 'no-latest-tag.bulkhead.dev' with binding 'no-latest-tag.deny.bulkhead.dev' denied request: container c runs example.com/a:latest, a tag that moves (spec.containers[0].image)"
	if got := e.refusal(t, e.a); !strings.Contains(got, message) {
		t.Errorf("the refusal is %q", got)
	}
	if got := e.refusal(t, e.b); got != "" {
		t.Errorf("refused in another namespace: %q", got)
	}
	// Once they are applied, nothing is new about what they refuse.
	versions := e.enforcing(t)
	for _, args := range [][]string{apply, {"apply", "--control", "no-latest-tag,no-node-port"}} {
		r := e.change(t, 0, args...)
		for name, change := range r.changed() {
			if change != "unchanged" {
				t.Errorf("%v again: %s %s", args, name, change)
			}
		}
		if len(r.Moves) != 0 || len(r.Refusals) != 1 || r.Refusals[0].Rises {
			t.Errorf("%v again: %+v", args, r)
		}
	}
	if now := e.enforcing(t); now != versions {
		t.Errorf("applied again:\n%s\nwas\n%s", now, versions)
	}
	if got := e.change(t, 0, "apply", "--control", "no-node-port").changed(); got["validatingadmissionpolicy/no-latest-tag.bulkhead.dev"] != "deleted" || got["validatingadmissionpolicybinding/no-latest-tag.deny.bulkhead.dev"] != "deleted" || got["validatingadmissionpolicy/no-node-port.bulkhead.dev"] != "unchanged" {
		t.Errorf("with another set: %v", got)
	}
	e.await(t, e.a, false)
	if s := e.policy(t, 0, "remove", "--dry-run=server"); !strings.Contains(s.stdout, "no-node-port.bulkhead.dev deleted (server dry run)\n") {
		t.Errorf("the dry run of the removal says\n%s", s.stdout)
	}
	e.policy(t, 0, "remove")
	if now := e.enforcing(t); now != before {
		t.Errorf("after the removal:\n%s\nwas\n%s", now, before)
	}
	if s := e.policy(t, 0, "remove"); s.stdout != "Nothing was applied.\n" {
		t.Errorf("a second removal says %q", s.stdout)
	}
}

// status is the line of a namespace.
func (e *enforced) status(t *testing.T, namespace string) string {
	t.Helper()
	s := e.policy(t, 0, "rollout", "status")
	for line := range strings.Lines(s.stdout) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == namespace {
			return strings.Join(fields[1:], " ")
		}
	}
	t.Fatalf("no line of %s:\n%s", namespace, s.stdout)
	return ""
}

// TestRollout goes from audit to deny and back, with a waiver in between.
func TestRollout(t *testing.T) {
	e := connectEnforced(t)
	e.policy(t, exitNothing, "rollout", "status")
	e.policy(t, 0, "apply", "--mode", "audit", "--control", "no-latest-tag", "--namespaces", e.a+","+e.b)
	if got := e.status(t, e.a); got != "audit warn 1 object, by 1 policy" {
		t.Errorf("status of %s: %s", e.a, got)
	}
	if got := e.status(t, e.b); got != "audit warn -" {
		t.Errorf("status of %s: %s", e.b, got)
	}
	if r := e.change(t, 0, "rollout", "next", e.a, e.b); len(r.Moves) != 2 || len(r.Refusals) != 1 || r.Refusals[0].Step != "warn" || r.Refusals[0].Object.Name != "web" {
		t.Errorf("to warn: %+v", r)
	}
	if s := e.policy(t, exitFindings, "rollout", "next", e.a, e.b); !strings.Contains(s.stdout, "namespace "+e.a+": warn -> deny\n") {
		t.Errorf("to deny says\n%s", s.stdout)
	}
	if got := e.status(t, e.b); got != "warn deny -" {
		t.Errorf("%s moved though nothing was to change: %s", e.b, got)
	}
	e.policy(t, 0, "rollout", "next", e.b)
	e.await(t, e.b, true)
	e.await(t, e.a, false)
	e.policy(t, 0, "rollout", "to", "deny", e.a, "--allow-violations")
	e.await(t, e.a, true)
	if got := e.status(t, e.a); got != "deny - 1 object, by 1 policy" {
		t.Errorf("status of %s: %s", e.a, got)
	}
	waivers := filepath.Join(t.TempDir(), "waivers.yaml")
	text := "apiVersion: bulkhead.dev/v1\nkind: Waiver\nmetadata: {name: web}\nspec:\n  control: no-latest-tag\n  resources: [{kind: Deployment, namespace: " + e.a + ", name: web}]\n  owner: o\n  reason: r\n  expires: \"2999-01-31\"\n"
	if err := os.WriteFile(waivers, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := e.policy(t, 0, "rollout", "status", "--waivers", waivers); !strings.Contains(s.stderr, "these policies were applied with other waivers") {
		t.Errorf("policies without the waiver: %s", s.stderr)
	}
	if r := e.change(t, 0, "apply", "--control", "no-latest-tag", "--waivers", waivers); len(r.Moves) != 0 || len(r.Refusals) != 0 || r.Waived["no-latest-tag"] != 1 {
		t.Errorf("with a waiver: %+v", r)
	}
	if s := e.policy(t, 0, "rollout", "status", e.a, "--waivers", waivers); strings.Contains(s.stderr, "Note") || !strings.Contains(s.stdout, "deny") || strings.Contains(s.stdout, "web") {
		t.Errorf("with the waiver: %s%s", s.stdout, s.stderr)
	}
	e.recorded(t)
	e.policy(t, 0, "rollout", "back", e.a, e.b)
	e.await(t, e.a, false)
	e.await(t, e.b, false)
	e.policy(t, 0, "rollout", "to", "off", e.a, e.b)
	if got := e.status(t, e.a); got != "off* audit 1 object, by 1 policy" {
		t.Errorf("status at the end: %s", got)
	}
	e.policy(t, exitNothing, "rollout", "to", "warn", "no-such-namespace")
}

// recorded: the refusals that were awaited are in the audit log.
func (e *enforced) recorded(t *testing.T) {
	t.Helper()
	log := filepath.Join(filepath.Dir(e.path), "audit.log")
	if _, err := os.Stat(log); err != nil {
		t.Logf("no audit log is read: %v", err)
		return
	}
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		s := e.policy(t, 0, "rollout", "status", e.a, e.b, "--audit-log", log, "-o", "json")
		var status rolloutStatus
		if err := json.Unmarshal([]byte(s.stdout), &status); err != nil {
			return false, err
		}
		counts := map[string]int{}
		for _, r := range status.Recorded {
			if r.Control != "no-latest-tag" {
				t.Errorf("recorded %+v", r)
			}
			counts[r.Namespace] = r.Requests
		}
		return counts[e.a] > 0 && counts[e.b] > 0, nil
	})
	if err != nil {
		t.Errorf("no refusal is in the audit log: %v", err)
	}
	if s := e.policy(t, exitNothing, "rollout", "status", "--audit-log", log+".not"); !strings.Contains(s.stderr, "read the audit log") {
		t.Errorf("an audit log that is not there: %s", s.stderr)
	}
}

// TestNamespaceLabels: labels are set on namespaces that exist, said to be refused by
// Pod Security itself, and given up.
func TestNamespaceLabels(t *testing.T) {
	e := connectEnforced(t)
	before := e.enforcing(t)
	if s := e.policy(t, exitNothing, "apply", "--namespace-labels", "no-such-namespace"); !strings.Contains(s.stderr, "there is no namespace") {
		t.Errorf("a namespace that is not there: %s", s.stderr)
	}
	s := e.policy(t, exitFindings, "apply", "--mode", "deny", "--namespace-labels", e.a)
	if !strings.Contains(s.stdout, "run-as-non-root: 1 object\n  deny  "+e.a+"/Deployment/web") || !strings.Contains(s.stderr, "existing pods in namespace") {
		t.Errorf("labels say\n%s%s", s.stdout, s.stderr)
	}
	e.policy(t, 0, "apply", "--mode", "deny", "--namespace-labels", e.a, "--allow-violations")
	e.await(t, e.a, true) // Pod Security learns of labels by a watch
	if got := e.refusal(t, e.a); !strings.Contains(got, "violates PodSecurity") {
		t.Errorf("a bad pod: %q", got)
	}
	if got := e.change(t, 0, "apply", "--mode", "warn", "--namespace-labels", e.b).changed(); got["namespace/"+e.a] != "released" || got["namespace/"+e.b] != "configured" {
		t.Errorf("another namespace: %v", got)
	}
	e.await(t, e.a, false)
	e.policy(t, 0, "remove")
	if now := e.enforcing(t); now != before {
		t.Errorf("after the removal:\n%s\nwas\n%s", now, before)
	}
}

// TestApplyWithoutRights: a 403 changes nothing, is said, and names what is missing;
// what may not be read is no reason to believe that nothing would be refused.
func TestApplyWithoutRights(t *testing.T) {
	e := connectEnforced(t)
	user, kubeconfig := e.scanner(t, e.a)
	args := []string{"policy", "apply", "--kubeconfig", kubeconfig, "--mode", "deny", "--control", "no-latest-tag", "--namespaces", e.b}
	if s := command(t, args...); s.code != exitNothing || !strings.Contains(s.stderr, "cannot list resource") {
		t.Errorf("without rights: exit code %d, %s", s.code, s.stderr)
	}
	rule := func(group, resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "enforced" + e.suffix}, Rules: []rbacv1.PolicyRule{
		rule("admissionregistration.k8s.io", "*", "list"), rule("", "namespaces", "list"), rule("", "pods", "list")}}
	e.bind(t, role, user)
	e.waitUntil(t, user, "admissionregistration.k8s.io", "validatingadmissionpolicies", true)
	before := e.enforcing(t)
	if s := command(t, args...); s.code != exitNothing || !strings.Contains(s.stderr, "nothing was changed") || !strings.Contains(s.stderr, "cannot patch resource") {
		t.Errorf("with the right to read: exit code %d, %s", s.code, s.stderr)
	}
	role.Rules[0].Verbs = []string{"*"}
	if _, err := e.kube.RbacV1().ClusterRoles().Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		return !strings.Contains(command(t, append(args, "--dry-run=server")...).stderr, "cannot patch"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := command(t, args...); s.code != exitIncomplete || !strings.Contains(s.stderr, "Not read: apps/Deployment: ") || !strings.Contains(s.stderr, "--allow-incomplete") {
		t.Errorf("without the right to read workloads: exit code %d, %s", s.code, s.stderr)
	}
	if now := e.enforcing(t); now != before {
		t.Errorf("nothing was to change:\n%s\nwas\n%s", now, before)
	}
	if s := command(t, append(args, "--allow-incomplete")...); s.code != 0 {
		t.Errorf("where that is accepted: exit code %d, %s", s.code, s.stderr)
	}
}

// TestApplyUnreachable: an API server that is not there, and an end from outside.
func TestApplyUnreachable(t *testing.T) {
	e := connectEnforced(t)
	nowhere := e.kubeconfig(t, &api.AuthInfo{}, "https://127.0.0.1:1")
	for _, args := range [][]string{{"apply"}, {"remove"}, {"rollout", "status"}, {"rollout", "next", "--all"}} {
		s := command(t, append([]string{"policy", "--kubeconfig", nowhere}, args...)...)
		if s.code != exitNothing || !strings.Contains(s.stderr, "cannot be reached") || strings.Count(s.stderr, "\n") > 2 {
			t.Errorf("%v: exit code %d, %s", args, s.code, s.stderr)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s := run(ctx, "policy", "apply", "--kubeconfig", e.path, "--namespaces", e.a); s.code != exitNothing || !strings.Contains(s.stderr, "interrupted") {
		t.Errorf("interrupted: exit code %d, %s", s.code, s.stderr)
	}
}
