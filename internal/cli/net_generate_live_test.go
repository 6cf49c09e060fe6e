package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestNetGenerateOfACluster: policies are made of pods that run in a real cluster, which
// takes them, and has them replaced by themselves when asked again.
func TestNetGenerateOfACluster(t *testing.T) {
	c := connectLive(t)
	namespace := "generate" + c.suffix
	c.apply(t, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}})
	for _, name := range []string{"web", "db"} {
		meta := map[string]any{"name": name, "namespace": namespace}
		labels := map[string]any{"app": name}
		container := map[string]any{"name": "c", "image": "registry.example/a:1", "env": []any{map[string]any{"name": "DB_HOST", "value": "db"}}}
		c.apply(t, map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": map[string]any{"replicas": 2, "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{container}}}}})
		c.apply(t, map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": map[string]any{"selector": labels, "ports": []any{map[string]any{"port": 5432, "targetPort": 5433, "protocol": "TCP"}}}})
	}
	c.waitForPods(t, namespace, 4)

	first := command(t, "net", "generate", "--kubeconfig", c.path, "-n", namespace)
	if first.code != 0 || !strings.Contains(first.stdout, "port: 5433") || strings.Contains(first.stdout, "pod-template-hash") {
		t.Fatalf("exit code %d: %s\n%s", first.code, first.stderr, first.stdout)
	}
	for document := range strings.SplitSeq(first.stdout, "\n---\n") {
		var content map[string]any
		if err := yaml.Unmarshal([]byte(document), &content); err != nil {
			t.Fatal(err)
		}
		c.apply(t, content)
	}
	if s := command(t, "net", "can", "--kubeconfig", c.path, namespace+"/web", namespace+"/db:5433"); s.code != 0 {
		t.Errorf("exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	if s := command(t, "net", "can", "--kubeconfig", c.path, namespace+"/db", namespace+"/web"); s.code != 1 {
		t.Errorf("exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	again := command(t, "net", "generate", "--kubeconfig", c.path, "-n", namespace)
	if again.code != 0 || again.stdout != first.stdout || strings.Count(again.stderr, "of an earlier run is replaced") != strings.Count(first.stdout, "kind: NetworkPolicy") {
		t.Errorf("exit code %d: %s\n%s\nat first\n%s", again.code, again.stderr, again.stdout, first.stdout)
	}

	flows := filepath.Join(t.TempDir(), "flows.jsonl")
	if err := os.WriteFile(flows, []byte(`{"from":"`+namespace+`/web","to":"`+namespace+`/db","port":5433}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := command(t, "net", "generate", "--kubeconfig", c.path, "-n", namespace, "--flows", flows); s.code != 0 || !strings.Contains(s.stderr, "2 wanted connections pass") {
		t.Errorf("exit code %d: %s", s.code, s.stderr)
	}
}
