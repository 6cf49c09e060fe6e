package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// TestEscalationsOfACluster asks a real cluster: with all rights, and as an account that
// may not read Secrets.
func TestEscalationsOfACluster(t *testing.T) {
	c := connectLive(t)
	ctx, create, namespace := t.Context(), metav1.CreateOptions{}, "esc"+c.suffix
	c.apply(t, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}})
	user, kubeconfig := c.scanner(t, namespace)
	grant := func(in, name, resource, verb string, subject rbacv1.Subject) {
		role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{resource}, Verbs: []string{verb}}}}
		binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}, Subjects: []rbacv1.Subject{subject}}
		if _, err := c.kube.RbacV1().Roles(in).Create(ctx, role, create); err != nil {
			t.Fatal(err)
		}
		if _, err := c.kube.RbacV1().RoleBindings(in).Create(ctx, binding, create); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx := context.WithoutCancel(ctx)
			_ = c.kube.RbacV1().RoleBindings(in).Delete(ctx, name, metav1.DeleteOptions{})
			_ = c.kube.RbacV1().Roles(in).Delete(ctx, name, metav1.DeleteOptions{})
		})
	}
	jane := "jane" + c.suffix
	grant(namespace, "reader", "secrets", "get", rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: jane})
	minter := "minter" + c.suffix
	grant("kube-system", minter, "serviceaccounts/token", "create", rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: "default"})

	s := command(t, "rbac", "escalations", "sa/"+namespace+"/default", "--kubeconfig", c.path, "-o", "json")
	var found escalationsJSON
	if err := json.Unmarshal([]byte(s.stdout), &found); err != nil || s.code != 1 {
		t.Fatalf("exit code %d, %v\n%s%s", s.code, err, s.stdout, s.stderr)
	}
	admin := 0
	for _, e := range found.Escalations {
		if e.ClusterAdmin {
			admin++
		}
		if e.Meant || e.Steps[0].Name != "mint-token" || e.Steps[0].Needs[0].By.Binding != "kube-system/RoleBinding/"+minter {
			t.Errorf("%+v", e)
		}
	}
	if admin == 0 {
		t.Error("the token of no controller leads to cluster admin")
	}
	if s := command(t, "rbac", "escalations", "--kubeconfig", c.path); s.code != 1 || !strings.Contains(s.stdout, "ServiceAccount "+namespace+"/default: 2 steps\n  1. mint-token: ServiceAccount kube-system/") || strings.Contains(s.stdout, jane) {
		t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	if s := command(t, "rbac", "escalations", jane, "--kubeconfig", c.path); s.code != 0 {
		t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}

	kinds := append(rbac.EscalationKinds(), model.GroupKind{Kind: "Namespace"})
	for _, kind := range []string{"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} {
		kinds = append(kinds, model.GroupKind{Group: rbacv1.GroupName, Kind: kind})
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "esc" + c.suffix}}
	for _, r := range listRules(kinds) {
		for _, resource := range r.Resources {
			if resource != "secrets" {
				role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: r.APIGroups, Resources: []string{resource}, Verbs: r.Verbs})
			}
		}
	}
	c.bind(t, role, user)
	c.waitUntil(t, user, rbacv1.GroupName, "clusterrolebindings", true)
	if s := command(t, "rbac", "escalations", jane, "--kubeconfig", kubeconfig); s.code != 3 || !strings.Contains(s.stderr, "Secrets could not all be read") {
		t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
}
