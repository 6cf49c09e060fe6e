package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bulkhead.dev/bulkhead/internal/finding"
)

func drift(t *testing.T, args ...string) (*finding.Drift, scanned) {
	t.Helper()
	s := command(t, append([]string{"diff", "--live", "-o", "json"}, args...)...)
	d := &finding.Drift{}
	if err := json.Unmarshal([]byte(s.stdout), d); err != nil {
		t.Fatalf("diff %v: exit code %d, %v\n%s", args, s.code, err, s.stderr)
	}
	return d, s
}

// faultsOf are findings as object, control and container.
func faultsOf(fs []finding.Finding) []string {
	var out []string
	for _, f := range fs {
		out = append(out, fmt.Sprintf("%s/%s %s %s", f.Object.Kind, f.Object.Name, f.Control, f.Container))
	}
	slices.Sort(out)
	return out
}

// TestDiffLiveOfWhatWasApplied: what the API server made of manifests, defaults and
// all, is no drift, by any control.
func TestDiffLiveOfWhatWasApplied(t *testing.T) {
	c := connectLive(t)
	c.loadShop(t)
	c.waitForPods(t, "shop"+c.suffix, 4)
	d, s := drift(t, c.folder, "--kubeconfig", c.path, "--profile", "all", withoutOthers)
	if len(d.OnlyInCluster)+len(d.OnlyInManifests)+len(d.Unjudged)+len(d.Absent)+len(d.Ambiguous) > 0 || s.code != 0 {
		t.Errorf("exit code %d: only in the cluster %q, only in the manifests %q, unjudged %q, absent %v: %s",
			s.code, faultsOf(d.OnlyInCluster), faultsOf(d.OnlyInManifests), faultsOf(d.Unjudged), d.Absent, s.stderr)
	}
	if d.Both < 80 || d.Compared < 15 || d.Cluster == "" {
		t.Errorf("%d findings of %d objects are in both", d.Both, d.Compared)
	}
}

// TestDiffLive: what was changed in the cluster is told apart from what was mended
// there, from what is missing, and from what is not in the manifests.
func TestDiffLive(t *testing.T) {
	c := connectLive(t)
	namespace := c.inNamespace(t, twoContainers)
	c.waitForPods(t, namespace, 1)
	// Scaling and labels are nobody's concern.
	for _, patch := range []string{
		`{"metadata":{"labels":{"by":"hand"}},"spec":{"replicas":0}}`,
		`{"spec":{"template":{"spec":{"hostNetwork":true,"containers":[{"name":"web","securityContext":{"privileged":false,"capabilities":{"add":["NET_ADMIN"]}}}]}}}}`,
	} {
		if _, err := c.kube.AppsV1().Deployments(namespace).Patch(t.Context(), "web", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c.apply(t, map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "more", "namespace": namespace}})
	folder := t.TempDir()
	manifests := strings.ReplaceAll(twoContainers, "name: web, labels", "name: web, namespace: "+namespace+", labels") + `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: gone, namespace: ` + namespace + `}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}}`
	if err := os.WriteFile(filepath.Join(folder, "web.yaml"), []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{folder, "--kubeconfig", c.path, "--control", "no-host-namespaces,no-privileged-containers,no-added-capabilities,seccomp-profile,no-credentials-in-config-maps"}
	d, s := drift(t, args...)
	if got := faultsOf(d.OnlyInCluster); s.code != 1 || !slices.Equal(got, []string{"Deployment/web no-added-capabilities web", "Deployment/web no-host-namespaces "}) {
		t.Errorf("exit code %d, only in the cluster %q: %s", s.code, got, s.stderr)
	}
	if got := faultsOf(d.OnlyInManifests); !slices.Equal(got, []string{"Deployment/web no-privileged-containers web"}) {
		t.Errorf("only in the manifests %q", got)
	}
	if d.Both < 1 || d.Compared != 1 || len(d.Absent) != 1 || d.Absent[0].Name != "gone" || d.NotInManifests["ConfigMap"] != 1 {
		t.Errorf("%d in both, absent %v, not in the manifests %v", d.Both, d.Absent, d.NotInManifests)
	}
	if s := command(t, append([]string{"diff", "--live", "--fail-on", "critical"}, args...)...); s.code != 0 ||
		!strings.Contains(s.stdout, "2 only in the cluster (+), 1 only in the manifests (-)") || !strings.Contains(s.stdout, "Deployment/gone is not in the cluster") {
		t.Errorf("exit code %d:\n%s%s", s.code, s.stdout, s.stderr)
	}
}

// TestDiffLiveOfAPod: a container that somebody put into a running pod is drift,
// though the Deployment is as it was; what its replicas have in common with it is not.
func TestDiffLiveOfAPod(t *testing.T) {
	c := connectLive(t)
	namespace := c.inNamespace(t, twoContainers)
	c.waitForPods(t, namespace, 1)
	pods, err := c.kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod := pods.Items[0]
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "registry.example/debug:1"}}}
	if _, err := c.kube.CoreV1().Pods(namespace).UpdateEphemeralContainers(t.Context(), pod.Name, &pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "web.yaml")
	if err := os.WriteFile(file, []byte(twoContainers), 0o600); err != nil {
		t.Fatal(err)
	}
	d, s := drift(t, file, "-n", namespace, "--kubeconfig", c.path, "--control", "no-debug-containers,no-privileged-containers,memory-limit")
	if got := faultsOf(d.OnlyInCluster); s.code != 1 || !slices.Equal(got, []string{"Pod/" + pod.Name + " no-debug-containers debug"}) {
		t.Errorf("exit code %d, only in the cluster %q: %s", s.code, got, s.stderr)
	}
	if len(d.OnlyInManifests) > 0 || d.Both < 3 {
		t.Errorf("%d in both, only in the manifests %q", d.Both, faultsOf(d.OnlyInManifests))
	}
}

// TestDiffLiveReadsOneNamespace: a team compares what is its own with the rights for
// its own namespace, and what it may not read is no drift.
func TestDiffLiveReadsOneNamespace(t *testing.T) {
	c := connectLive(t)
	namespace := c.inNamespace(t, twoContainers)
	file := filepath.Join(t.TempDir(), "web.yaml")
	if err := os.WriteFile(file, []byte(twoContainers), 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var elsewhere []string
	forbid := ""
	path := c.through(t, func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "/deployments") || strings.HasSuffix(r.URL.Path, "/pods") {
			if !strings.Contains(r.URL.Path, "/namespaces/"+namespace+"/") {
				elsewhere = append(elsewhere, r.URL.Path)
			}
		}
		if forbid == "" || !strings.HasSuffix(r.URL.Path, forbid) {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"you may not","reason":"Forbidden","code":403}`)
		return true
	})
	args := []string{file, "-n", namespace, "--kubeconfig", path, "--control", "seccomp-profile"}
	d, s := drift(t, args...)
	if len(elsewhere) > 0 || d.Compared != 1 || s.code != 0 {
		t.Errorf("exit code %d, read elsewhere: %v, %+v %s", s.code, elsewhere, d, s.stderr)
	}
	mu.Lock()
	forbid = "/deployments"
	mu.Unlock()
	d, s = drift(t, args...)
	if s.code != 3 || len(d.Unread) != 1 || d.Unread[0].What != "apps/Deployment" || len(d.OnlyInManifests)+len(d.Absent) > 0 {
		t.Errorf("exit code %d, %+v", s.code, d)
	}
}
