package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

// liveCluster is a real API server with the example shop in namespaces of one test.
type liveCluster struct {
	path    string
	config  *rest.Config
	kube    kubernetes.Interface
	dynamic dynamic.Interface
	suffix  string
	// folder has the manifests as they were applied.
	folder string
}

func connectLive(t *testing.T) *liveCluster {
	t.Helper()
	config, path := testcluster.Config(t)
	return &liveCluster{path: path, config: config, kube: kubernetes.NewForConfigOrDie(config), dynamic: dynamic.NewForConfigOrDie(config), suffix: "-" + rand.String(6)}
}

// mine reports whether an object is one of this test.
func (c *liveCluster) mine(o finding.Ref) bool {
	return strings.HasSuffix(o.Namespace, c.suffix) || o.Namespace == "" && strings.HasSuffix(o.Name, c.suffix)
}

// loadShop applies the example shop, by server-side apply and under names that no
// other test has.
func (c *liveCluster) loadShop(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob("../../examples/shop/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("there is no example shop", err)
	}
	c.folder = t.TempDir()
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decoded := manifest.NewDecoder().Decode(model.Source{File: file}, data)
		var text bytes.Buffer
		for _, o := range decoded.Objects {
			content := c.renamed(o)
			document, err := yaml.Marshal(content)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&text, "---\n%s", document)
			c.apply(t, content)
		}
		if err := os.WriteFile(filepath.Join(c.folder, filepath.Base(file)), text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *liveCluster) renamed(o *model.Object) map[string]any {
	content := runtime.DeepCopyJSON(o.Content)
	resource, _ := model.BuiltinResource(o.GroupKind)
	if !resource.Namespaced {
		content["metadata"].(map[string]any)["name"] = o.Name + c.suffix
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				if s, ok := e.(string); ok && (k == "namespace" || k == "kubernetes.io/metadata.name" || k == "volumeName") {
					v[k] = s + c.suffix
				} else {
					walk(e)
				}
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(content)
	return content
}

// apply creates an object and removes it, with what is in it, after the test.
func (c *liveCluster) apply(t *testing.T, content map[string]any) {
	t.Helper()
	u := &unstructured.Unstructured{Object: content}
	gvk := u.GroupVersionKind()
	resource, _ := model.BuiltinResource(model.GroupKind{Group: gvk.Group, Kind: gvk.Kind})
	client := c.dynamic.Resource(schema.GroupVersionResource{Group: gvk.Group, Version: gvk.Version, Resource: resource.Name}).Namespace(u.GetNamespace())
	if _, err := client.Apply(t.Context(), u.GetName(), u, metav1.ApplyOptions{FieldManager: "test", Force: true}); err != nil {
		t.Fatalf("%s %s: %v", gvk.Kind, u.GetName(), err)
	}
	// A namespace takes its bindings along in its own time, and everybody is bound until then.
	if !resource.Namespaced || gvk.Kind == "RoleBinding" {
		t.Cleanup(func() {
			_ = client.Delete(context.WithoutCancel(t.Context()), u.GetName(), metav1.DeleteOptions{})
		})
	}
}

// waitForPods waits until the controllers have made the pods of the Deployments.
func (c *liveCluster) waitForPods(t *testing.T, namespace string, n int) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		pods, err := c.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		return err == nil && len(pods.Items) >= n, err
	})
	if err != nil {
		t.Fatalf("no %d pods in %s: %v", n, namespace, err)
	}
}

// scanner makes a service account, and a kubeconfig of it.
func (c *liveCluster) scanner(t *testing.T, namespace string) (name, kubeconfig string) {
	t.Helper()
	ctx := t.Context()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "scanner"}}
	if _, err := c.kube.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token, err := c.kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, "scanner", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig = c.kubeconfig(t, &api.AuthInfo{Token: token.Status.Token}, c.config.Host)
	return "system:serviceaccount:" + namespace + ":scanner", kubeconfig
}

func (c *liveCluster) kubeconfig(t *testing.T, user *api.AuthInfo, server string) string {
	t.Helper()
	config := api.NewConfig()
	config.Clusters["c"] = &api.Cluster{Server: server, CertificateAuthorityData: c.config.CAData, CertificateAuthority: c.config.CAFile}
	config.AuthInfos["u"] = user
	config.Contexts["test"] = &api.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// setRules changes what the scanner may do and waits until the API server knows.
func (c *liveCluster) setRules(t *testing.T, role *rbacv1.ClusterRole, user, group, resource string, allowed bool) {
	t.Helper()
	if _, err := c.kube.RbacV1().ClusterRoles().Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.waitUntil(t, user, group, resource, allowed)
}

func (c *liveCluster) waitUntil(t *testing.T, user, group, resource string, allowed bool) {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "list", Group: group, Resource: resource}}}
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		r, err := c.kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		return err == nil && r.Status.Allowed == allowed, err
	})
	if err != nil {
		t.Fatalf("list %s: %v", resource, err)
	}
}

func (c *liveCluster) bind(t *testing.T, role *rbacv1.ClusterRole, user string) {
	t.Helper()
	ctx := t.Context()
	created, err := c.kube.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: role.Name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}
	if _, err := c.kube.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = c.kube.RbacV1().ClusterRoles().Delete(ctx, created.Name, metav1.DeleteOptions{})
		_ = c.kube.RbacV1().ClusterRoleBindings().Delete(ctx, created.Name, metav1.DeleteOptions{})
	})
}

// served are the resources of the API server, as group/resource.
func (c *liveCluster) served(t *testing.T) map[string]bool {
	t.Helper()
	_, lists, err := c.kube.Discovery().ServerGroupsAndResources()
	testcluster.Discovered(t, err)
	out := map[string]bool{}
	for _, l := range lists {
		gv, _ := schema.ParseGroupVersion(l.GroupVersion)
		for _, r := range l.APIResources {
			out[gv.Group+"/"+r.Name] = true
		}
	}
	return out
}

// rolloutDefinition installs a custom resource that carries a pod.
func (c *liveCluster) rolloutDefinition(t *testing.T) {
	t.Helper()
	text := `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rollouts.argoproj.io}
spec:
  group: argoproj.io
  scope: Namespaced
  names: {kind: Rollout, plural: rollouts}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`
	var content map[string]any
	if err := yaml.Unmarshal([]byte(text), &content); err != nil {
		t.Fatal(err)
	}
	c.apply(t, content)
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		return c.served(t)["argoproj.io/rollouts"], nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
