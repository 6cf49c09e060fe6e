package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

func (c testCluster) testDeployment(t *testing.T) {
	code, body := c.post(t, "/apis/apps/v1/namespaces/default/deployments", `{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
		"spec": {
			"replicas": 1,
			"selector": {"matchLabels": {"app": "web"}},
			"template": {
				"metadata": {"labels": {"app": "web"}},
				"spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]}
			}
		}
	}`)
	if code != http.StatusCreated {
		t.Fatalf("got %d %s", code, body)
	}
	type list struct {
		Items []struct {
			Status struct{ Phase string }
			Spec   struct{ ServiceAccountName string }
		}
	}
	c.eventually(t, func() error {
		var sets, pods list
		_, body := c.get(t, "/apis/apps/v1/namespaces/default/replicasets?labelSelector=app%3Dweb")
		decode(t, body, &sets)
		_, body = c.get(t, "/api/v1/namespaces/default/pods?labelSelector=app%3Dweb")
		decode(t, body, &pods)
		if len(sets.Items) != 1 || len(pods.Items) != 1 {
			return fmt.Errorf("got %d replica sets and %d pods, want one of each", len(sets.Items), len(pods.Items))
		}
		pod := pods.Items[0]
		if pod.Status.Phase != "Pending" || pod.Spec.ServiceAccountName != "default" {
			return fmt.Errorf("got pod %+v", pod)
		}
		return nil
	})
}

func (c testCluster) testPodSecurity(t *testing.T) {
	code, body := c.post(t, "/api/v1/namespaces", `{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": {"name": "strict", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
	}`)
	if code != http.StatusCreated {
		t.Fatalf("got %d %s", code, body)
	}
	c.eventually(t, func() error { // a pod needs it, and would be refused for that
		if code, body := c.get(t, "/api/v1/namespaces/strict/serviceaccounts/default"); code != http.StatusOK {
			return fmt.Errorf("got %d %s", code, body)
		}
		return nil
	})
	code, body = c.post(t, "/api/v1/namespaces/strict/pods", `{
		"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"},
		"spec": {"containers": [{"name": "root", "image": "registry.example/root:1", "securityContext": {"privileged": true}}]}
	}`)
	if code != http.StatusForbidden || !strings.Contains(string(body), "violates PodSecurity") {
		t.Errorf("got %d %s", code, body)
	}
}

func (c testCluster) testMutatingPolicy(t *testing.T) {
	const path = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies"
	for path, object := range map[string]string{
		path: `{
			"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": "mark"},
			"spec": {
				"matchConstraints": {"resourceRules": [
					{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
				]},
				"reinvocationPolicy": "Never",
				"mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {
					"expression": "Object{metadata: Object.metadata{labels: Object.metadata.labels{marked: 'yes'}}}"
				}}]
			}
		}`,
		path[:len(path)-len("policies")] + "policybindings": `{
			"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
			"metadata": {"name": "mark"}, "spec": {"policyName": "mark"}
		}`,
	} {
		if code, body := c.post(t, path, object); code != http.StatusCreated {
			t.Fatalf("got %d %s", code, body)
		}
	}
	c.eventually(t, func() error { // the API server takes a moment to notice a policy
		code, body := c.post(t, "/api/v1/namespaces/default/configmaps?dryRun=All",
			`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "marked"}}`)
		if code != http.StatusCreated || !strings.Contains(string(body), `"marked":"yes"`) {
			return fmt.Errorf("got %d %s", code, body)
		}
		return nil
	})
}

// testAudit finds the events of a role and of a Secret: the one with its bodies, the
// other without.
func (c testCluster) testAudit(t *testing.T) {
	for path, object := range map[string]string{
		"/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles": `{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "audited"}}`,
		"/api/v1/namespaces/default/secrets": `{
			"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "audited"}, "stringData": {"key": "hush"}}`,
	} {
		if code, body := c.post(t, path, object); code != http.StatusCreated {
			t.Fatalf("got %d %s", code, body)
		}
	}
	text, err := os.ReadFile(c.folder.file("audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		var event struct {
			Verb           string
			User           struct{ Username string }
			ObjectRef      struct{ Resource, Name string }
			RequestObject  json.RawMessage
			ResponseObject json.RawMessage
		}
		decode(t, lines.Bytes(), &event)
		if event.Verb == "create" && event.User.Username == "admin" {
			bodies[event.ObjectRef.Resource] = event.RequestObject != nil && event.ResponseObject != nil
		}
	}
	for resource, want := range map[string]bool{"roles": true, "secrets": false} {
		if got, ok := bodies[resource]; !ok || got != want {
			t.Errorf("%s: event found: %v, with bodies: %v, want %v", resource, ok, got, want)
		}
	}
	if bytes.Contains(text, []byte("hush")) {
		t.Error("the content of a Secret is in the audit log")
	}
}
