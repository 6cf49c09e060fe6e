package cli

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"
)

// rbacFixWorld has, for each way to change an object, somebody who becomes cluster admin
// by it: SUFFIX stands for that of the test.
const rbacFixWorld = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: admins-SUFFIX}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: boss-SUFFIX}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: jane-SUFFIX}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: joe-SUFFIX}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: joe-SUFFIX}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: dev-SUFFIX, namespace: kube-system}
rules: [{apiGroups: [""], resources: [pods, services], verbs: [get, create, delete]}, {apiGroups: [""], resources: [serviceaccounts/token, configmaps], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: dev-SUFFIX, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: dev-SUFFIX}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: dev-SUFFIX}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: leaf-SUFFIX, labels: {ops-SUFFIX: "true"}}
rules: [{apiGroups: [""], resources: [users, groups], verbs: [impersonate]}, {apiGroups: [""], resources: [nodes], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: whole-SUFFIX}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {ops-SUFFIX: "true"}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ops-SUFFIX}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: whole-SUFFIX}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ops-SUFFIX}]
`

// TestRBACFixOfACluster runs the commands that rbac fix prints against a real API server,
// and asks that who may do what before and after.
func TestRBACFixOfACluster(t *testing.T) {
	c := connectLive(t)
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("there is no kubectl to run the commands with")
	}
	suffix := c.suffix[1:]
	for _, document := range strings.Split(strings.ReplaceAll(rbacFixWorld, "SUFFIX", suffix), "\n---\n") {
		var content map[string]any
		if err := yaml.Unmarshal([]byte(document), &content); err != nil {
			t.Fatal(err)
		}
		c.apply(t, content)
	}
	t.Cleanup(func() {
		c.runKubectl(t, kubectl, "kubectl delete role,rolebinding -n kube-system dev-"+suffix+" --ignore-not-found")
	})

	for _, q := range rbacFixQuestions {
		c.waitForAnswer(t, q, suffix, q.before)
	}
	allow := []string{"rbac", "fix", "--kubeconfig", c.path, "--allow", "boss-" + suffix}
	s := command(t, append(allow, "-o", "json")...)
	var found rbacFixJSON
	if err := json.Unmarshal([]byte(s.stdout), &found); err != nil || s.code != 0 {
		t.Fatalf("exit code %d, %v\n%s%s", s.code, err, s.stdout, s.stderr)
	}
	if !found.Exact {
		t.Errorf("weight %d, bound %d", found.Weight, found.Bound)
	}
	script := command(t, allow...)
	ran := 0
	for _, change := range found.Changes {
		if !strings.HasSuffix(change.Object.Name, suffix) {
			continue // another test's
		}
		if !strings.Contains(script.stdout, "\n"+change.Command+"\n") {
			t.Errorf("%s is not among the commands:\n%s", change.Command, script.stdout)
		}
		c.runKubectl(t, kubectl, change.Command)
		ran++
	}
	if ran != 4 {
		t.Errorf("%d commands: %s", ran, script.stdout)
	}
	for _, q := range rbacFixQuestions {
		c.waitForAnswer(t, q, suffix, q.after)
	}
	// What was patched is no longer what was judged: no patch fits twice.
	for _, change := range found.Changes {
		if strings.Contains(change.Command, "kubectl patch") && strings.HasSuffix(change.Object.Name, suffix) {
			if out, err := c.kubectl(t, kubectl, change.Command); err == nil {
				t.Errorf("%s fits twice: %s", change.Command, out)
			}
		}
	}
	s = command(t, append(allow, "-o", "json")...)
	found = rbacFixJSON{}
	if err := json.Unmarshal([]byte(s.stdout), &found); err != nil {
		t.Fatal(err)
	}
	for _, x := range found.Before {
		if strings.HasSuffix(x.Subject.Name, suffix) {
			t.Errorf("%s still becomes cluster admin", x.Subject.Name)
		}
	}
}

// rbacFixQuestions are asked of the API server before and after.
var rbacFixQuestions = []struct {
	user, group, verb, resource, sub, namespace string
	before, after                               bool
}{
	{user: "boss", verb: "delete", resource: "nodes", before: true, after: true},
	{user: "jane", verb: "delete", resource: "nodes", before: true},
	{user: "joe", verb: "delete", resource: "nodes", before: true},
	{user: "x", group: "dev", verb: "create", resource: "pods", namespace: "kube-system", before: true},
	{user: "x", group: "dev", verb: "get", resource: "pods", namespace: "kube-system", before: true, after: true},
	{user: "x", group: "dev", verb: "delete", resource: "pods", namespace: "kube-system", before: true, after: true},
	{user: "x", group: "dev", verb: "create", resource: "services", namespace: "kube-system", before: true, after: true},
	{user: "x", group: "dev", verb: "create", resource: "serviceaccounts", sub: "token", namespace: "kube-system", before: true},
	{user: "x", group: "dev", verb: "create", resource: "configmaps", namespace: "kube-system", before: true, after: true},
	{user: "ops", verb: "impersonate", resource: "users", before: true},
	{user: "ops", verb: "get", resource: "nodes", before: true, after: true},
}

func (c *liveCluster) waitForAnswer(t *testing.T, q struct {
	user, group, verb, resource, sub, namespace string
	before, after                               bool
}, suffix string, want bool) {
	t.Helper()
	spec := authorizationv1.SubjectAccessReviewSpec{User: q.user + "-" + suffix, ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: q.verb, Resource: q.resource, Subresource: q.sub, Namespace: q.namespace}}
	if q.group != "" {
		spec.Groups = []string{q.group + "-" + suffix}
	}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		r, err := c.kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
		return err == nil && r.Status.Allowed == want, err
	})
	if err != nil {
		t.Errorf("%+v: not %v: %v", q, want, err)
	}
}

// kubectl runs a command as it was printed.
func (c *liveCluster) kubectl(t *testing.T, path, command string) (string, error) {
	t.Helper()
	run := exec.CommandContext(context.WithoutCancel(t.Context()), "sh", "-c", strings.Replace(command, "kubectl", path, 1))
	run.Env = append(os.Environ(), "KUBECONFIG="+c.path)
	out, err := run.CombinedOutput()
	return string(out), err
}

func (c *liveCluster) runKubectl(t *testing.T, path, command string) {
	t.Helper()
	if out, err := c.kubectl(t, path, command); err != nil {
		t.Errorf("%s: %v\n%s", command, err, out)
	}
}
