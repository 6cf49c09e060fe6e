package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/finding"
)

var deploymentsResource = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

// inNamespace makes a namespace with the objects of a YAML text, as the manager test.
func (c *liveCluster) inNamespace(t *testing.T, text string) string {
	t.Helper()
	namespace := "fix" + c.suffix
	c.apply(t, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}})
	for _, document := range strings.Split(text, "\n---\n") {
		var content map[string]any
		if err := yaml.Unmarshal([]byte(document), &content); err != nil {
			t.Fatal(err)
		}
		content["metadata"].(map[string]any)["namespace"] = namespace
		c.apply(t, content)
	}
	return namespace
}

func (c *liveCluster) deployment(t *testing.T, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	u, err := c.dynamic.Resource(deploymentsResource).Namespace(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func fixResult(t *testing.T, args ...string) (*finding.FixResult, scanned) {
	t.Helper()
	s := command(t, append([]string{"fix", "--live", "-o", "json"}, args...)...)
	r := &finding.FixResult{}
	if err := json.Unmarshal([]byte(s.stdout), r); err != nil {
		t.Fatalf("fix %v: exit code %d, %v\n%s", args, s.code, err, s.stderr)
	}
	return r, s
}

// left are the reasons why findings about an object are left, by control.
func left(r *finding.FixResult, object string) map[string]string {
	out := map[string]string{}
	for _, l := range r.Left {
		if strings.HasSuffix(l.Object.String(), object) {
			out[l.Control] = l.Reason
		}
	}
	return out
}

// twoContainers has a field to add, one to replace, and one to remove, each in a list
// that is merged by a key.
const twoContainers = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.example/web:1
        args: [serve, --port=8080]
        securityContext: {privileged: true}
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
      - name: helper
        image: registry.example/helper:1
        ports: [{containerPort: 9000, hostPort: 9000}]`

// TestFixLive: what is printed is what kubectl applies; a dry run and printing change
// nothing; --apply changes the objects, and the findings are gone from the next scan.
func TestFixLive(t *testing.T) {
	c := connectLive(t)
	namespace := c.inNamespace(t, twoContainers)
	c.waitForPods(t, namespace, 1)
	before := c.deployment(t, namespace, "web")
	common := []string{"--kubeconfig", c.path, "-n", namespace, "--profile", "pss-restricted", "--risky", "--force-conflicts"}

	printed := command(t, append([]string{"fix", "--live"}, common...)...)
	if printed.code != 0 || !strings.Contains(printed.stderr, "The API server was not asked") {
		t.Fatalf("exit code %d: %s", printed.code, printed.stderr)
	}
	offline, _ := fixResult(t, common...)
	dry, s := fixResult(t, append(common, "--dry-run")...)
	if len(offline.Fixed) < 6 || len(dry.Fixed) != len(offline.Fixed) || dry.Proof != finding.ProofDryRun || dry.Written {
		t.Fatalf("offline %d are fixed, in the dry run %d: %s", len(offline.Fixed), len(dry.Fixed), s.stderr)
	}
	if now := c.deployment(t, namespace, "web"); now.GetGeneration() != before.GetGeneration() {
		t.Fatal("what only prints has changed the object")
	}

	applied, s := fixResult(t, append(common, "--apply")...)
	if s.code != 0 || !applied.Written || applied.Proof != finding.ProofReadBack || len(applied.Fixed) != len(dry.Fixed) || applied.Summary.New != 0 {
		t.Fatalf("exit code %d, %+v: %s", s.code, applied.Summary, s.stderr)
	}
	result, _ := scanResult(t, "--kubeconfig", c.path, "-n", namespace, "--profile", "pss-restricted")
	for _, f := range result.Findings {
		for _, fixed := range applied.Fixed {
			if f.Object == fixed.Object && f.Control == fixed.Control {
				t.Errorf("%s still has %s: %s", f.Object, f.Control, f.Message)
			}
		}
	}
	after := c.deployment(t, namespace, "web")
	containers, _, _ := unstructured.NestedSlice(after.Object, "spec", "template", "spec", "containers")
	web := containers[0].(map[string]any)
	if args, _, _ := unstructured.NestedStringSlice(web, "args"); web["name"] != "web" || !slices.Equal(args, []string{"serve", "--port=8080"}) || len(web["env"].([]any)) != 2 {
		t.Errorf("more than the finding was changed: %v", web)
	}
	if !slices.ContainsFunc(after.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool { return e.Manager == "bulkhead" }) {
		t.Error("the changed fields have no owner")
	}
	again, _ := fixResult(t, append(common, "--apply")...)
	if len(again.Objects) != 0 || len(again.Fixed) != 0 {
		t.Errorf("a second run changes %d objects", len(again.Objects))
	}
}

// TestFixLiveDocuments: the YAML on standard output is taken by server-side apply as it
// stands, and fixes what is said.
func TestFixLiveDocuments(t *testing.T) {
	c := connectLive(t)
	namespace := c.inNamespace(t, twoContainers)
	args := []string{"fix", "--live", "--kubeconfig", c.path, "-n", namespace, "--risky", "--control", "no-privilege-escalation,seccomp-profile,drop-all-capabilities"}
	s := command(t, args...)
	if s.code != 0 {
		t.Fatalf("exit code %d: %s", s.code, s.stderr)
	}
	n := 0
	for _, document := range strings.Split(s.stdout, "\n---\n")[1:] {
		var u unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil || u.Object == nil {
			t.Fatalf("%v in %s", err, document)
		}
		if _, err := c.dynamic.Resource(deploymentsResource).Namespace(namespace).Apply(t.Context(), u.GetName(), &u, metav1.ApplyOptions{FieldManager: "bulkhead"}); err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		n++
	}
	result, _ := scanResult(t, "--kubeconfig", c.path, "-n", namespace, "--profile", "pss-restricted")
	for _, f := range result.Findings {
		if f.Object.Kind == "Deployment" && slices.Contains([]string{"no-privilege-escalation", "seccomp-profile", "drop-all-capabilities"}, f.Control) && f.Container != "web" {
			t.Errorf("%s has %s still: %s", f.Object, f.Control, f.Message)
		}
	}
	if n != 1 || strings.Contains(s.stdout, "image:") || strings.Contains(s.stdout, "replicas") {
		t.Errorf("%d documents; more is applied than what is fixed:\n%s", n, s.stdout)
	}
}

// TestFixLiveKeepsEarlierFixes: what this manager applied before stays when it applies
// something else, though server-side apply takes away what is not repeated.
func TestFixLiveKeepsEarlierFixes(t *testing.T) {
	c := connectLive(t)
	namespace := c.inNamespace(t, twoContainers)
	for _, control := range []string{"seccomp-profile", "drop-all-capabilities"} {
		r, s := fixResult(t, "--kubeconfig", c.path, "-n", namespace, "--risky", "--apply", "--control", control)
		if len(r.Fixed) == 0 {
			t.Fatalf("%s: nothing is fixed: %+v %s", control, r.Left, s.stderr)
		}
	}
	result, _ := scanResult(t, "--kubeconfig", c.path, "-n", namespace, "--control", "seccomp-profile,drop-all-capabilities")
	for _, f := range result.Findings {
		if f.Object.Kind == "Deployment" {
			t.Errorf("%s is back: %s", f.Control, f.Message)
		}
	}
}

// TestFixLiveRemoves: what server-side apply cannot remove is a JSON Patch that tests
// what it removes.
func TestFixLiveRemoves(t *testing.T) {
	c := connectLive(t)
	namespace := c.inNamespace(t, twoContainers)
	args := []string{"--kubeconfig", c.path, "-n", namespace, "--risky", "--control", "no-host-ports"}
	r, s := fixResult(t, args...)
	if len(r.Objects) != 1 || r.Objects[0].Type != "json" {
		t.Fatalf("%+v %s", r.Objects, s.stderr)
	}
	operations, _ := json.Marshal(r.Objects[0].Patch)
	if !strings.Contains(string(operations), `"op":"test"`) || !strings.Contains(string(operations), `"op":"remove"`) {
		t.Errorf("%s", operations)
	}
	if text := command(t, append([]string{"fix", "--live"}, args...)...); !strings.Contains(text.stdout, "# kubectl patch deployments.apps 'web' -n '"+namespace+"' --type=json") {
		t.Errorf("%s", text.stdout)
	}
	if r, s = fixResult(t, append(args, "--apply")...); len(r.Fixed) != 1 || !r.Objects[0].Done || s.code != 0 {
		t.Fatalf("exit code %d: %+v %s", s.code, r, s.stderr)
	}
}

// TestFixLiveConflicts: a field that somebody else applied is taken over on request
// alone, and what else can be fixed is.
func TestFixLiveConflicts(t *testing.T) {
	c := connectLive(t)
	namespace := c.inNamespace(t, twoContainers)
	args := []string{"--kubeconfig", c.path, "-n", namespace, "--risky", "--apply", "--control", "no-privileged-containers,seccomp-profile"}
	r, s := fixResult(t, args...)
	if reason := left(r, "Deployment/web")["no-privileged-containers"]; !strings.Contains(reason, `conflict with "test"`) || !strings.Contains(reason, "--force-conflicts") {
		t.Errorf("exit code %d, reason %q: %s", s.code, reason, s.stderr)
	}
	if len(r.Fixed) == 0 || !r.Objects[0].Done {
		t.Errorf("the other fix was not made: %+v", r.Left)
	}
	if r, _ = fixResult(t, append(args, "--force-conflicts")...); len(r.Fixed) != 1 || !slices.Equal(r.Objects[0].Managers, []string{"test"}) {
		t.Errorf("%+v", r)
	}
}

// TestFixLiveLeaves: what somebody else makes, or cannot be changed, is left, with what
// to do instead.
func TestFixLiveLeaves(t *testing.T) {
	c := connectLive(t)
	namespace := c.inNamespace(t, twoContainers+`
---
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec: {containers: [{name: a, image: "registry.example/a:1"}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: "registry.example/a:1"}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: released, labels: {app.kubernetes.io/managed-by: Helm}, annotations: {meta.helm.sh/release-name: shop, meta.helm.sh/release-namespace: x}}
spec: {serviceName: s, selector: {matchLabels: {app: s}}, template: {metadata: {labels: {app: s}}, spec: {containers: [{name: a, image: "registry.example/a:1"}]}}}`)
	c.waitForPods(t, namespace, 2)
	pods, err := c.kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil || len(pods.Items) != 1 {
		t.Fatal(err, len(pods.Items))
	}
	// A debug container makes the pod differ from its template.
	pod := pods.Items[0]
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "registry.example/debug:1"}}}
	if _, err := c.kube.CoreV1().Pods(namespace).UpdateEphemeralContainers(t.Context(), pod.Name, &pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r, s := fixResult(t, "--kubeconfig", c.path, "-n", namespace, "--risky", "--apply", "--control", "seccomp-profile")
	for object, want := range map[string]string{
		"Pod/alone":       "almost nothing of a running pod can be changed",
		"Job/once":        "the template of a Job cannot be changed",
		"Pod/" + pod.Name: "ReplicaSet/",
	} {
		if reason := left(r, object)["seccomp-profile"]; !strings.Contains(reason, want) {
			t.Errorf("%s: %q, want %q", object, reason, want)
		}
	}
	var changed []string
	for _, o := range r.Objects {
		changed = append(changed, o.Object.Kind+"/"+o.Object.Name)
	}
	if !slices.Equal(changed, []string{"Deployment/web", "StatefulSet/released"}) {
		t.Errorf("exit code %d, changed %v: %s", s.code, changed, s.stderr)
	}
	if !slices.ContainsFunc(r.Notes, func(n string) bool {
		return strings.Contains(n, "StatefulSet/released is managed by Helm release shop")
	}) {
		t.Errorf("notes %q", r.Notes)
	}
}

// through is a kubeconfig that reaches the API server by way of a function that may
// answer itself.
func (c *liveCluster) through(t *testing.T, before func(http.ResponseWriter, *http.Request) bool) string {
	t.Helper()
	target, err := url.Parse(c.config.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(c.config)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !before(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	plain := *c
	plain.config = &rest.Config{}
	return plain.kubeconfig(t, &api.AuthInfo{}, server.URL)
}

// TestFixLiveRaces: an object that somebody changes after the dry run is left as it
// then is; one of which only what nobody judges changed is fixed all the same.
func TestFixLiveRaces(t *testing.T) {
	for name, test := range map[string]struct {
		patch string
		fixed bool
	}{
		"the template":    {`{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":7}}}}`, false},
		"the status only": {`{"status":{"observedGeneration":1000}}`, true},
	} {
		for _, control := range []string{"seccomp-profile", "no-host-ports"} {
			t.Run(name+" before "+control, func(t *testing.T) {
				c := connectLive(t)
				namespace := c.inNamespace(t, strings.Replace(twoContainers, "replicas: 1", "replicas: 0", 1))
				var once atomic.Bool
				path := c.through(t, func(_ http.ResponseWriter, r *http.Request) bool {
					if r.Method == http.MethodPatch && !r.URL.Query().Has("dryRun") && !once.Swap(true) {
						var subresources []string
						if test.fixed {
							subresources = []string{"status"}
						}
						if _, err := c.dynamic.Resource(deploymentsResource).Namespace(namespace).Patch(t.Context(), "web", "application/merge-patch+json", []byte(test.patch), metav1.PatchOptions{}, subresources...); err != nil {
							t.Error(err)
						}
					}
					return false
				})
				r, s := fixResult(t, "--kubeconfig", path, "-n", namespace, "--risky", "--apply", "--control", control)
				if !once.Load() || len(r.Objects) != 1 {
					t.Fatalf("nothing was sent: %s", s.stderr)
				}
				if r.Objects[0].Done != test.fixed || (len(r.Fixed) > 0) != test.fixed || (s.code == 0) != test.fixed {
					t.Errorf("exit code %d, %+v %+v %s", s.code, r.Objects[0].Failure, r.Summary, s.stderr)
				}
				if reason := left(r, "web")[control]; !test.fixed && !strings.Contains(reason, "changed since it was read") {
					t.Errorf("reason %q", reason)
				}
			})
		}
	}
}

// another has the first again, under another name.
var another = twoContainers + "\n---" + strings.Replace(twoContainers, "name: web, ", "name: xyz, ", 1)

// TestFixLiveInterrupted: of a run that is ended it is said what was changed and what
// was not, and that is true.
func TestFixLiveInterrupted(t *testing.T) {
	c := connectLive(t)
	namespace := c.inNamespace(t, another)
	ctx, cancel := context.WithCancel(t.Context())
	path := c.through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch && !r.URL.Query().Has("dryRun") && strings.HasSuffix(r.URL.Path, "/xyz") {
			cancel()
			panic(http.ErrAbortHandler)
		}
		return false
	})
	var out, problems bytes.Buffer
	code := Run(ctx, Env{Args: []string{"fix", "--live", "-o", "json", "--kubeconfig", path, "-n", namespace, "--risky", "--apply", "--control", "seccomp-profile"},
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &problems, Getenv: func(string) string { return "" }})
	r := &finding.FixResult{}
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		t.Fatalf("exit code %d, %v: %s", code, err, problems.String())
	}
	if code != exitNothing || !strings.Contains(problems.String(), "interrupted") || len(r.Objects) != 2 || !r.Objects[0].Done || r.Objects[1].Done {
		t.Errorf("exit code %d, %+v: %s", code, r.Objects, problems.String())
	}
	if r.Summary.Fixed != 2 || r.Summary.Left != 2 || r.Summary.Objects != 1 {
		t.Errorf("%+v", r.Summary)
	}
	for name, changed := range map[string]bool{"web": true, "xyz": false} {
		if got := c.deployment(t, namespace, name).GetGeneration() > 1; got != changed {
			t.Errorf("%s: changed %v, want %v", name, got, changed)
		}
	}
}

// TestFixLiveLostAnswer: a change that was made is told to be, though the connection
// broke before the answer.
func TestFixLiveLostAnswer(t *testing.T) {
	c := connectLive(t)
	namespace := c.inNamespace(t, twoContainers)
	var lost atomic.Int64
	path := c.through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch || r.URL.Query().Has("dryRun") {
			return false
		}
		lost.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, err = c.dynamic.Resource(deploymentsResource).Namespace(namespace).Patch(t.Context(), "web", types.PatchType(r.Header.Get("Content-Type")), body, metav1.PatchOptions{FieldManager: "bulkhead"})
		if err != nil {
			t.Error(err)
		}
		panic(http.ErrAbortHandler)
	})
	r, s := fixResult(t, "--kubeconfig", path, "-n", namespace, "--risky", "--apply", "--control", "seccomp-profile")
	if lost.Load() != 1 || s.code != 0 || !r.Objects[0].Done || len(r.Fixed) != 2 {
		t.Errorf("exit code %d, %d answers lost, %+v: %s", s.code, lost.Load(), r.Objects, s.stderr)
	}
}

// TestFixLiveForbidden: without the right to change anything nothing is, and it is
// said.
func TestFixLiveForbidden(t *testing.T) {
	c := connectLive(t)
	namespace := c.inNamespace(t, twoContainers)
	var dry, real atomic.Int64
	path := c.through(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		if r.URL.Query().Has("dryRun") {
			dry.Add(1)
			return false
		}
		real.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"you may not","reason":"Forbidden","code":403}`)
		return true
	})
	r, s := fixResult(t, "--kubeconfig", path, "-n", namespace, "--risky", "--apply", "--control", "seccomp-profile")
	if s.code != 3 || len(r.Fixed) != 0 || dry.Load() == 0 || real.Load() != 1 || !strings.Contains(left(r, "web")["seccomp-profile"], "you may not") {
		t.Errorf("exit code %d, %+v, %d dry runs, %d patches: %s", s.code, r.Left, dry.Load(), real.Load(), s.stderr)
	}
}
