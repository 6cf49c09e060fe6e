package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/finding"
)

// scanned is what a command wrote, and its exit code.
type scanned struct {
	code   int
	stdout string
	stderr string
}

func command(t *testing.T, args ...string) scanned {
	t.Helper()
	var out, problems bytes.Buffer
	code := Run(t.Context(), Env{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &problems, Getenv: func(string) string { return "" }})
	return scanned{code, out.String(), problems.String()}
}

func scanResult(t *testing.T, args ...string) (*finding.Result, scanned) {
	t.Helper()
	s := command(t, append([]string{"scan", "-o", "json"}, args...)...)
	r := &finding.Result{}
	if err := json.Unmarshal([]byte(s.stdout), r); err != nil {
		t.Fatalf("scan %v: exit code %d, %v\n%s", args, s.code, err, s.stderr)
	}
	return r, s
}

// failures are the failures about a test's own objects.
func (c *liveCluster) failures(r *finding.Result) map[string]bool {
	out := map[string]bool{}
	for _, f := range r.Findings {
		if c.mine(f.Object) {
			out[describeFailure(f)] = true
		}
	}
	return out
}

// describeFailure is all of a finding that does not depend on the order in which
// objects were read: of a namespace some of its workloads are named.
func describeFailure(f finding.Finding) string {
	s := fmt.Sprintf("%s %s %s %s %s", f.Verdict, f.Control, f.Object, f.Container, f.Path)
	if f.Object.Kind != "Namespace" {
		s += ": " + f.Message
	}
	return s
}

func same(t *testing.T, what string, want, got map[string]bool) {
	t.Helper()
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if !got[k] {
			t.Errorf("%s lacks %s", what, k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if !want[k] {
			t.Errorf("%s has, beside, %s", what, k)
		}
	}
}

const (
	// withoutOthers leaves out how far a break-in spreads, which is other with what other
	// tests have in the cluster at the time.
	withoutOthers = "--skip=limited-blast-radius"
	// withoutNetwork leaves out as well what is unknown of a cluster that has no network
	// plugin and no controller of Ingresses. Files may be for one that has.
	withoutNetwork = withoutOthers + ",network-policies-enforced,no-exposed-workloads"
)

// TestScanOfTheClusterAgreesWithThatOfTheFiles: what the API server made of the
// manifests, with defaults, ReplicaSets and pods, has the same failures at the same
// fields, at the objects that people wrote.
func TestScanOfTheClusterAgreesWithThatOfTheFiles(t *testing.T) {
	c := connectLive(t)
	c.loadShop(t)
	c.waitForPods(t, "shop"+c.suffix, 4)
	files, _ := scanResult(t, c.folder, "--profile", "all", withoutNetwork)
	cluster, _ := scanResult(t, "--kubeconfig", c.path, "--profile", "all", withoutNetwork)
	want := c.failures(files)
	if len(want) < 80 {
		t.Fatalf("only %d failures in the files", len(want))
	}
	same(t, "the cluster", want, c.failures(cluster))
	if cluster.Inputs[0] == "" || cluster.Summary.Kinds["Pod"] < 4 {
		t.Errorf("inputs %q, kinds %v", cluster.Inputs, cluster.Summary.Kinds)
	}
	for _, f := range cluster.Findings {
		if f.Location != nil {
			t.Fatalf("%s has a place in a file: %v", f.Object, f.Location)
		}
	}

	// One namespace: the same, of what is in it.
	one, _ := scanResult(t, "--kubeconfig", c.path, "--profile", "all", withoutNetwork, "-n", "shop-data"+c.suffix)
	inNamespace := map[string]bool{}
	for _, f := range files.Findings {
		if f.Object.InNamespace() == "shop-data"+c.suffix {
			inNamespace[describeFailure(f)] = true
		}
	}
	same(t, "scan -n", inNamespace, c.failures(one))

	// A selector: only what has the label, judged by what all the rest says.
	labelled, _ := scanResult(t, "--kubeconfig", c.path, "--profile", "all", "-l", "kubernetes.io/metadata.name=shop"+c.suffix)
	for _, f := range labelled.Findings {
		if f.Object.Kind != "Namespace" || f.Object.Name != "shop"+c.suffix {
			t.Errorf("--selector lets through %s", f.Object)
		}
	}
	if len(labelled.Findings) == 0 {
		t.Error("--selector leaves nothing")
	}
}

// TestDebuggedPod: a pod into which somebody put a container is judged as it runs,
// and its replicas still at their Deployment.
func TestDebuggedPod(t *testing.T) {
	c := connectLive(t)
	c.loadShop(t)
	namespace := "shop" + c.suffix
	c.waitForPods(t, namespace, 4)
	ctx := t.Context()
	pods, err := c.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=backend"})
	if err != nil || len(pods.Items) < 2 {
		t.Fatal(err, len(pods.Items))
	}
	pod := &pods.Items[0]
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "busybox:1", ImagePullPolicy: corev1.PullAlways, TerminationMessagePolicy: corev1.TerminationMessageReadFile}}}
	if _, err := c.kube.CoreV1().Pods(namespace).UpdateEphemeralContainers(ctx, pod.Name, pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r, _ := scanResult(t, "--kubeconfig", c.path, "--profile", "all", "-n", namespace)
	judged := map[string]bool{}
	for _, f := range r.Findings {
		if f.Object.Kind == "Pod" {
			judged[f.Object.Name] = true
		}
		if f.Object.Kind == "ReplicaSet" {
			t.Errorf("a ReplicaSet is judged: %s", f.Object)
		}
	}
	if !judged[pod.Name] || len(judged) != 1 {
		t.Errorf("judged pods: %v, want %s", judged, pod.Name)
	}
	if !slices.ContainsFunc(r.Findings, func(f finding.Finding) bool {
		return f.Control == "no-debug-containers" && f.Object.Name == pod.Name && f.Container == "debug"
	}) {
		t.Error("the debug container is not found")
	}
}

// verdicts are what each control says of each of a test's objects.
func (c *liveCluster) verdicts(r *finding.Result) map[verdictKey]finding.Verdict {
	out := map[verdictKey]finding.Verdict{}
	for _, p := range r.Passes {
		if c.mine(p.Object) {
			out[verdictKey{p.Control, p.Object}] = finding.Pass
		}
	}
	for _, f := range r.Findings {
		if k := (verdictKey{f.Control, f.Object}); c.mine(f.Object) && out[k] != finding.Fail {
			out[k] = f.Verdict
		}
	}
	return out
}

type verdictKey struct {
	control string
	object  finding.Ref
}

// TestEachPermission: under exactly the role of rbac-for a scan finds what an admin's
// does. Without any one of its resources nothing passes that did not, something is
// unknown, and the exit code says so.
func TestEachPermission(t *testing.T) {
	c := connectLive(t)
	c.loadShop(t)
	namespace := "shop" + c.suffix
	c.waitForPods(t, namespace, 4)
	c.rolloutDefinition(t)
	user, kubeconfig := c.scanner(t, namespace)

	role := &rbacv1.ClusterRole{}
	printed := command(t, "rbac-for", "--profile", "all", "--name", "scan"+c.suffix+"-role")
	if err := yaml.UnmarshalStrict([]byte(printed.stdout), role); err != nil || printed.code != 0 {
		t.Fatal(err, printed)
	}
	c.bind(t, role, user)
	c.waitUntil(t, user, "", "pods", true)

	admin, _ := scanResult(t, "--kubeconfig", c.path, "--profile", "all", withoutOthers, "--show-pass")
	scanner, got := scanResult(t, "--kubeconfig", kubeconfig, "--profile", "all", withoutOthers, "--show-pass")
	if len(scanner.Unknown) > 0 {
		t.Errorf("unknown under the whole role, exit code %d: %v", got.code, scanner.Unknown)
	}
	same(t, "the scanner", c.failures(admin), c.failures(scanner))
	base := c.verdicts(admin)

	served := c.served(t)
	taken := 0
	whole := role.DeepCopy()
	for i, rule := range whole.Rules {
		for _, resource := range rule.Resources {
			group := rule.APIGroups[0]
			if !served[group+"/"+resource] {
				continue
			}
			taken++
			less := whole.DeepCopy()
			less.Rules[i].Resources = slices.DeleteFunc(slices.Clone(rule.Resources), func(r string) bool { return r == resource })
			if len(less.Rules[i].Resources) == 0 {
				less.Rules = slices.Delete(less.Rules, i, i+1)
			}
			c.setRules(t, less, user, group, resource, false)
			without, got := scanResult(t, "--kubeconfig", kubeconfig, "--profile", "all", withoutOthers, "--show-pass")
			if got.code != exitIncomplete || !slices.ContainsFunc(without.Unknown, func(u finding.Unmet) bool { return strings.Contains(u.Reason, "forbidden") }) && resource != "waivers" {
				t.Errorf("without %s: exit code %d, unknown %v", resource, got.code, without.Unknown)
			}
			c.noNewPass(t, resource, base, c.verdicts(without))
			c.setRules(t, whole, user, group, resource, true)
		}
	}
	if taken < 20 {
		t.Errorf("only %d resources were taken away", taken)
	}
	t.Logf("took %d resources away, one by one; %d verdicts each", taken, len(base))
}

// noNewPass fails for a verdict that is a pass and was none. What a controller made
// is judged by itself where the controller is not seen.
func (c *liveCluster) noNewPass(t *testing.T, resource string, base, without map[verdictKey]finding.Verdict) {
	t.Helper()
	made := []string{"Pod", "ReplicaSet", "Job"}
	for k, v := range without {
		was, judged := base[k]
		if v == finding.Pass && was != finding.Pass && (judged || !slices.Contains(made, k.object.Kind)) {
			t.Errorf("without %s, %s passes %s; it was %q", resource, k.object, k.control, was)
		}
	}
}

// TestOneNamespace: a role for one namespace is enough to scan it, and where nothing
// of the whole cluster may be read that is said.
func TestOneNamespace(t *testing.T) {
	c := connectLive(t)
	c.loadShop(t)
	namespace := "shop" + c.suffix
	c.waitForPods(t, namespace, 4)
	user, kubeconfig := c.scanner(t, namespace)
	printed := command(t, "rbac-for", "--profile", "all", "-n", namespace, "--no-secrets", "--name", "scan"+c.suffix+"-role")
	documents := strings.SplitN(printed.stdout, "---\n", 2)
	if len(documents) != 2 {
		t.Fatal(printed)
	}
	var role rbacv1.Role
	var clusterRole rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict([]byte(documents[0]), &role); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(documents[1]), &clusterRole); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(printed.stdout, "secrets") || role.Namespace != namespace {
		t.Errorf("the role is\n%s", printed.stdout)
	}
	ctx := t.Context()
	if _, err := c.kube.RbacV1().Roles(namespace).Create(ctx, &role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: role.Name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}
	if _, err := c.kube.RbacV1().RoleBindings(namespace).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	args := []string{"--profile", "all", withoutOthers, "-n", namespace, "--no-secrets", "--show-pass"}
	admin, _ := scanResult(t, append(args, "--kubeconfig", c.path)...)
	if !slices.ContainsFunc(admin.Unknown, func(u finding.Unmet) bool {
		return u.What == "Secret" && u.Reason == "left out by --no-secrets" && slices.Contains(u.Controls, "no-long-lived-tokens")
	}) {
		t.Errorf("--no-secrets: unknown are %v", admin.Unknown)
	}
	var alone *finding.Result
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		s := command(t, append([]string{"scan", "-o", "json", "--kubeconfig", kubeconfig}, args...)...)
		alone = &finding.Result{}
		return json.Unmarshal([]byte(s.stdout), alone) == nil && alone.Summary.Workloads == admin.Summary.Workloads, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(alone.Unknown, func(u finding.Unmet) bool { return strings.HasSuffix(u.What, "/ClusterRoleBinding") }) {
		t.Errorf("nothing of the cluster may be read; unknown are %v", alone.Unknown)
	}
	c.noNewPass(t, "the cluster", c.verdicts(admin), c.verdicts(alone))

	clusterRole.Name = "scan" + c.suffix + "-cluster"
	c.bind(t, &clusterRole, user)
	c.waitUntil(t, user, rbacv1.GroupName, "clusterroles", true)
	both, _ := scanResult(t, append(args, "--kubeconfig", kubeconfig)...)
	same(t, "the scanner", c.failures(admin), c.failures(both))
	if len(both.Unknown) != len(admin.Unknown) {
		t.Errorf("unknown: %v, the admin: %v", both.Unknown, admin.Unknown)
	}
	if s := command(t, "scan", "--kubeconfig", c.path, "-n", "missing"+c.suffix); s.code != exitNothing || !strings.Contains(s.stderr, "there is no namespace") {
		t.Errorf("a missing namespace: %+v", s)
	}
}

// TestNobody: somebody who may list nothing is told so.
func TestNobody(t *testing.T) {
	c := connectLive(t)
	s := command(t, "scan", "--kubeconfig", c.path, "--as", "nobody"+c.suffix)
	if s.code != exitNothing || !strings.Contains(s.stderr, "bulkhead rbac-for") || s.stdout != "" {
		t.Errorf("got %+v", s)
	}
}

// TestBadKubeconfig: each fault has one message that says what to do, and the exit
// code 2.
func TestBadKubeconfig(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBECONFIG", "")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	gone := write("gone", `{apiVersion: v1, kind: Config, current-context: x, clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], contexts: [{name: x, context: {cluster: c, user: u}}], users: [{name: u, user: {token: t}}]}`)
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"none":        {nil, "there is no path and no kubeconfig"},
		"missing":     {[]string{"--kubeconfig", filepath.Join(dir, "nothing")}, "cannot be read"},
		"malformed":   {[]string{"--kubeconfig", write("malformed", "{{{")}, "cannot be read"},
		"no context":  {[]string{"--kubeconfig", gone, "--context", "other"}, "kubectl config get-contexts"},
		"refused":     {[]string{"--kubeconfig", gone}, "https://127.0.0.1:1 cannot be reached"},
		"for files":   {[]string{"--values", "v.yaml"}, "--values is for a scan of files"},
		"for cluster": {[]string{".", "-A"}, "--all-namespaces is for a scan of a cluster"},
		"selector":    {[]string{"--kubeconfig", gone, "-l", "a=b=c"}, "--selector"},
	} {
		t.Run(name, func(t *testing.T) {
			s := command(t, append([]string{"scan"}, test.args...)...)
			if s.code != exitNothing || !strings.Contains(s.stderr, test.want) || strings.Count(s.stderr, "bulkhead: ") != 1 || s.stdout != "" {
				t.Errorf("got %+v", s)
			}
		})
	}
	t.Run("unauthorised", func(t *testing.T) {
		c := connectLive(t)
		s := command(t, "scan", "--kubeconfig", c.kubeconfig(t, &api.AuthInfo{Token: "expired"}, c.config.Host))
		if s.code != exitNothing || !strings.Contains(s.stderr, "log in again") {
			t.Errorf("got %+v", s)
		}
	})
}
