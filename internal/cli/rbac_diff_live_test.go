package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestRBACDiffOfACluster compares a real cluster with what it is once a role and its
// binding are applied, before and after that is done.
func TestRBACDiffOfACluster(t *testing.T) {
	c := connectLive(t)
	namespace, jane := "diff"+c.suffix, "jane"+c.suffix
	c.apply(t, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}})
	const group = "rbac.authorization.k8s.io"
	objects := []map[string]any{
		{"apiVersion": group + "/v1", "kind": "Role", "metadata": map[string]any{"name": "reader", "namespace": namespace},
			"rules": []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"pods"}, "verbs": []any{"get"}}}},
		{"apiVersion": group + "/v1", "kind": "RoleBinding", "metadata": map[string]any{"name": "reader", "namespace": namespace},
			"roleRef": map[string]any{"apiGroup": group, "kind": "Role", "name": "reader"}, "subjects": []any{map[string]any{"apiGroup": group, "kind": "User", "name": jane}}},
	}
	path := filepath.Join(t.TempDir(), "reader.yaml")
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
	expect := func(code int, want string) {
		t.Helper()
		s := command(t, "rbac", "diff", path, "--live", "--kubeconfig", c.path, "--fail-on", "gained")
		if s.code != code || !strings.Contains(s.stdout, want) {
			t.Errorf("exit code %d, want %d and %q\n%s%s", s.code, code, want, s.stdout, s.stderr)
		}
	}
	write()
	expect(1, fmt.Sprintf("User %s\n  + get pods in %s\n", jane, namespace))
	for _, o := range objects {
		c.apply(t, o)
	}
	expect(0, "Everybody may do what they could do before.")
	objects[0]["rules"].([]any)[0].(map[string]any)["verbs"] = []any{"*"}
	write()
	expect(1, fmt.Sprintf("User %s\n  + * pods (but for get) in %s\n", jane, namespace))
}
