package cli

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// planted is written wherever a cluster may hold a credential.
const planted = "MARKER-hunter2-x8Kq2mPz7Lw4"

// TestSnapshotOfACluster: a record of a real cluster has the same findings as the
// cluster itself, and none of its secrets.
func TestSnapshotOfACluster(t *testing.T) {
	c := connectLive(t)
	c.loadShop(t)
	namespace := "shop" + c.suffix
	meta := func(name string) map[string]any {
		return map[string]any{"name": name, "namespace": namespace, "annotations": map[string]any{"kubectl.kubernetes.io/last-applied-configuration": `{"password":"` + planted + `"}`}}
	}
	container := map[string]any{"name": "a", "image": "registry.example/a:1", "args": []any{"--password=" + planted, "-p", planted},
		"env": []any{map[string]any{"name": "DB_PASSWORD", "value": planted}}}
	pod := map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "planted"}}, "spec": map[string]any{"containers": []any{container}}}
	for _, object := range []map[string]any{
		{"apiVersion": "v1", "kind": "Secret", "metadata": meta("planted"), "stringData": map[string]any{"password": planted}},
		{"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": meta("sh.helm.release.v1.planted.v1"), "stringData": map[string]any{"release": planted}},
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("planted"), "data": map[string]any{"app.conf": "password=" + planted}},
		{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("planted"), "spec": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": "planted"}}, "template": pod}},
	} {
		c.apply(t, object)
	}
	c.waitForPods(t, namespace, 5)

	file := filepath.Join(t.TempDir(), "cluster.snapshot")
	if s := command(t, "snapshot", "--kubeconfig", c.path, "-o", file); s.code != 0 {
		t.Fatalf("exit code %d: %s", s.code, s.stderr)
	}
	if text := unzipped(t, file); strings.Contains(text, "MARKER") || strings.Contains(text, "hunter2") || !strings.Contains(text, `"name":"planted"`) {
		t.Error("a secret value is in the record, or nothing is")
	}
	live, _ := scanResult(t, "--kubeconfig", c.path, "--profile", "all", withoutNetwork)
	record, s := scanResult(t, file, "--profile", "all", withoutNetwork)
	want, got := c.failures(live), c.failures(record)
	if len(want) < 80 || s.code == 3 {
		t.Fatalf("%d failures, exit code %d: %s", len(want), s.code, s.stderr)
	}
	same(t, "the record", want, got)
	found := 0
	for f := range got {
		if strings.Contains(f, "no-credentials-in-") && strings.Contains(f, "planted") {
			found++
		}
		if strings.Contains(f, "hunter2") {
			t.Errorf("a finding tells a value: %s", f)
		}
	}
	if found < 3 {
		t.Errorf("%d of the planted credentials were found", found)
	}
}

func unzipped(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
