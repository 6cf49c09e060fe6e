package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

// staticServer says that the API server of the test was started with the policies of
// TestStaticFiles in files.
const staticServer = "BULKHEAD_TEST_STATIC_SERVER"

const admissionConfiguration = `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ValidatingAdmissionPolicy
  configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: ValidatingAdmissionPolicyConfiguration, staticManifestsDir: %q}
- name: MutatingAdmissionPolicy
  configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: MutatingAdmissionPolicyConfiguration, staticManifestsDir: %q}
`

// TestStaticFiles starts an API server of its own that reads the exported policies of
// the whole catalogue from files, and looks at it in TestStaticServer.
func TestStaticFiles(t *testing.T) {
	if os.Getenv(staticServer) != "" {
		t.Skip("this is the server of TestStaticFiles")
	}
	testcluster.Config(t)
	controls, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	folders := map[bool]string{false: filepath.Join(dir, "validating"), true: filepath.Join(dir, "mutating")}
	for mutate, folder := range folders {
		var docs []string
		for _, p := range export(t, controls, admission.ExportOptions{Mode: admission.Deny, Static: true, Mutate: mutate}).Policies {
			for _, o := range p.Objects() {
				text, err := json.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				docs = append(docs, string(text))
			}
		}
		t.Logf("mutating %v: %d objects", mutate, len(docs))
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, "bulkhead.yaml"), strings.Join(docs, "\n---\n"))
	}
	config := filepath.Join(dir, "admission.yaml")
	write(t, config, fmt.Sprintf(admissionConfiguration, folders[false], folders[true]))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "go", "run", ".", "exec", "--admission-config", config, "--", self, "-test.run", "^TestStaticServer$", "-test.v")
	c.Dir = filepath.Join("..", "..", "test", "cluster")
	c.Env = append(os.Environ(), staticServer+"=1")
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestStaticServer") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestStaticServer is the part of TestStaticFiles that runs with the server. The
// policies are there from the first request on, so that nothing waits for them.
func TestStaticServer(t *testing.T) {
	if os.Getenv(staticServer) == "" {
		t.Skip("TestStaticFiles runs it, with a server that reads policies from files")
	}
	l := &life{connect(t), "static"}
	pods := l.kube.CoreV1().Pods(l.namespace)
	pod := l.pod("web", "registry.k8s.io/web:1.4.2@sha256:"+strings.Repeat("ab", 32))
	_, err := pods.Create(t.Context(), pod, metav1.CreateOptions{})
	if text := refusal(err); err == nil || !strings.Contains(err.Error(), ".bulkhead.dev.static.k8s.io'") || strings.HasPrefix(text, "unexpected") {
		t.Errorf("an offender is answered with %v, want a refusal by a policy of the files", err)
	}
	if _, err := l.kube.CoreV1().Pods("kube-system").Create(t.Context(), pod, metav1.CreateOptions{DryRun: dryRun}); refusal(err) != "" {
		t.Errorf("a namespace of the system is not exempt: %v", err)
	}

	// A person decides what only a person can; the fixes do the rest.
	limits := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("1Gi")}
	if _, err := l.kube.CoreV1().ServiceAccounts(l.namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod.Spec.ServiceAccountName = "web"
	pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{Limits: limits, Requests: limits}
	created, err := pods.Create(t.Context(), pod, metav1.CreateOptions{DryRun: dryRun})
	if err != nil {
		t.Fatalf("a pod that the fixes make good is refused: %v", err)
	}
	if c := created.Spec.Containers[0].SecurityContext; c == nil || c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem {
		t.Errorf("no policy has changed the pod: %v", created.Spec)
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	service.Spec.Type, service.Spec.Ports = corev1.ServiceTypeNodePort, []corev1.ServicePort{{Port: 80}}
	stored, err := l.kube.CoreV1().Services(l.namespace).Create(t.Context(), service, metav1.CreateOptions{})
	if err != nil || stored.Spec.Type != corev1.ServiceTypeClusterIP {
		t.Errorf("no policy has changed the Service: %v, %v", stored, err)
	}

	policies, err := l.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(policies.Items) != 0 {
		t.Errorf("the policies of files are served by the API, which could delete them: %d, %v", len(policies.Items), err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
