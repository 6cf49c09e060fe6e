package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestNetDiffOfACluster compares a real cluster, and a snapshot of it, with files that make
// a Service a load balancer and a policy let everybody in.
func TestNetDiffOfACluster(t *testing.T) {
	c := connectLive(t)
	namespace := "netdiff" + c.suffix
	c.apply(t, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}})
	meta, labels := map[string]any{"name": "web", "namespace": namespace}, map[string]any{"app": "web"}
	container := map[string]any{"name": "c", "image": "registry.example/a:1", "ports": []any{map[string]any{"containerPort": 8080}}}
	deployment := map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": map[string]any{"replicas": 2, "selector": map[string]any{"matchLabels": labels},
		"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{container}}}}}
	port := map[string]any{"port": 80, "targetPort": 8080, "protocol": "TCP"}
	service := map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": map[string]any{"selector": labels, "ports": []any{port}}}
	policy := map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": map[string]any{"podSelector": map[string]any{}, "policyTypes": []any{"Ingress"}}}
	objects := []map[string]any{deployment, service, policy}
	for _, o := range objects {
		c.apply(t, o)
	}
	c.waitForPods(t, namespace, 2)
	folder := t.TempDir()
	path, snapshot := filepath.Join(folder, "new.yaml"), filepath.Join(folder, "old.snapshot")
	write := func() {
		var text []string
		for _, o := range objects {
			data, err := yaml.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, string(data))
		}
		if err := os.WriteFile(path, []byte(strings.Join(text, "---\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(code int, args []string, want ...string) {
		t.Helper()
		s := command(t, append([]string{"net", "diff", "-n", namespace, "--fail-on", "gained"}, args...)...)
		if s.code != code {
			t.Errorf("%q: exit code %d, want %d\n%s%s", args, s.code, code, s.stdout, s.stderr)
		}
		for _, text := range want {
			if !strings.Contains(s.stdout, text) {
				t.Errorf("%q: %q is not in\n%s", args, text, s.stdout)
			}
		}
	}
	live := []string{path, "--live", "--kubeconfig", c.path}
	const nothing = "Everybody may talk to whom they could talk to before."
	write()
	expect(0, live, nothing)
	if s := command(t, "snapshot", "--kubeconfig", c.path, "-o", snapshot); s.code != 0 {
		t.Fatalf("exit code %d: %s", s.code, s.stderr)
	}
	expect(0, []string{snapshot, path}, nothing)

	service["spec"].(map[string]any)["type"] = "LoadBalancer"
	service["spec"].(map[string]any)["externalTrafficPolicy"] = "Local"
	policy["spec"].(map[string]any)["ingress"] = []any{map[string]any{}}
	write()
	want := []string{"any address -> " + namespace + "/Deployment/web: all", "ways in are gained, 0 lost",
		"+ internet -> " + namespace + "/Deployment/web: TCP 80 -> 8080, by Service " + namespace + "/web (LoadBalancer)", "was for the cluster only"}
	expect(1, live, want...)
	expect(1, []string{snapshot, path}, want...)
	for _, o := range objects { // the server gives ports of nodes, which the files do not name
		c.apply(t, o)
	}
	expect(0, live, nothing)
}
