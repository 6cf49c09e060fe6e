package cli

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/finding"
)

// TestManagedObjects: findings of what the platform manages are told apart and counted
// apart; they are left out on request alone, which is said; nothing about them is
// hidden from the exit code, and their fingerprints are what they were.
func TestManagedObjects(t *testing.T) {
	c := connectLive(t)
	addon := strings.NewReplacer("labels: {app: web}}\nspec", "labels: {app: web, addonmanager.kubernetes.io/mode: Reconcile}}\nspec", "name: web, ", "name: addon, ", "app: web", "app: addon").Replace(twoContainers)
	namespace := c.inNamespace(t, twoContainers+"\n---"+addon)
	args := []string{"--kubeconfig", c.path, "-n", namespace, "--control", "no-privileged-containers,seccomp-profile"}
	r, s := scanResult(t, args...)
	managed := 0
	for _, f := range r.Findings {
		switch {
		case f.Object.Name != "addon" && f.Managed != nil:
			t.Errorf("%s is managed by %+v", f.Object, *f.Managed)
		case f.Object.Name == "addon" && (f.Managed == nil || *f.Managed != finding.Managed{By: "addon-manager", Sign: "label addonmanager.kubernetes.io/mode=Reconcile"}):
			t.Errorf("%s: %+v", f.Object, f.Managed)
		case f.Object.Name == "addon":
			managed++
		}
	}
	if managed < 2 || r.Summary.Managed != managed || r.Summary.Fail != 2*managed || s.code != exitFindings {
		t.Fatalf("exit code %d, %d of %+v", s.code, managed, r.Summary)
	}
	less, _ := scanResult(t, append(args, "--skip-managed")...)
	if less.Summary.SkippedManaged != managed || less.Summary.Managed != 0 || less.Summary.Fail != managed || len(less.Findings) != managed {
		t.Errorf("%+v", less.Summary)
	}
	for format, want := range map[string]string{
		"table": "Deployment/addon [managed by addon-manager]", "wide": "[managed by addon-manager]", "csv": ",addon-manager,label addonmanager.kubernetes.io/mode=Reconcile",
		"sarif": `"managedBy": "addon-manager"`, "openreports": "managedBy: addon-manager", "html": `"managed":{"by":"addon-manager"`,
	} {
		if s := command(t, append([]string{"scan", "-o", format}, args...)...); !strings.Contains(s.stdout, want) {
			t.Errorf("-o %s has no %q", format, want)
		}
	}
	if s := command(t, append([]string{"scan", "--skip-managed"}, args...)...); !strings.Contains(s.stdout, "left out by --skip-managed") || strings.Contains(s.stdout, "Deployment/addon") {
		t.Errorf("\n%s", s.stdout)
	}
	// What is left out fails nothing, but what is not does.
	if s := command(t, append([]string{"scan", "--skip-managed"}, args...)...); s.code != exitFindings {
		t.Errorf("exit code %d", s.code)
	}
	// A label that is taken away changes no fingerprint.
	fingerprints := map[string]bool{}
	for _, f := range r.Findings {
		fingerprints[f.Fingerprint] = true
	}
	if _, err := c.kube.AppsV1().Deployments(namespace).Patch(t.Context(), "addon", "application/merge-patch+json", []byte(`{"metadata":{"labels":{"addonmanager.kubernetes.io/mode":null}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	after, _ := scanResult(t, args...)
	for _, f := range after.Findings {
		if !fingerprints[f.Fingerprint] || f.Managed != nil {
			t.Errorf("%s %s: %+v", f.Object, f.Control, f)
		}
	}
}
