package rbac

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// run judges a world by every control and returns "control object: message" of
// each finding, sorted.
func run(t *testing.T, w *model.World, version int) ([]string, *check.Outcome) {
	t.Helper()
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	out, err := check.Run(t.Context(), &model.Snapshot{Worlds: []*model.World{w}}, check.Options{Controls: controls, Version: version,
		Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
			return admission.Compile(cs, p, v)
		}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range out.Findings {
		got = append(got, fmt.Sprintf("%s %s: %s", f.Control, f.Object, f.Message))
	}
	slices.Sort(got)
	return got, out
}

const secretReader = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader, labels: {example.com/into: parent}}
rules:
  - {apiGroups: [""], resources: [secrets], verbs: [get]}
---
`

func bind(kind, namespace, name, roleKind, role string, subjects ...string) string {
	return fmt.Sprintf(`apiVersion: rbac.authorization.k8s.io/v1
kind: %s
metadata: {name: %q, namespace: %q}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: %s, name: %q}
subjects: [%s]
---
`, kind, name, namespace, roleKind, role, strings.Join(subjects, ", "))
}

const jane = "{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}"

func TestJudgedWithBindings(t *testing.T) {
	inCluster := bind("ClusterRoleBinding", "", "b", "ClusterRole", "reader", jane)
	inShop := bind("RoleBinding", "shop", "b", "ClusterRole", "reader", jane)
	complete := model.WorldOptions{Complete: true}
	for _, test := range []struct {
		name, text string
		options    model.WorldOptions
		version    int
		want       []string
	}{
		{name: "files, no binding seen", text: secretReader,
			want: []string{"no-secret-readers ClusterRole/reader: whoever is bound to it may read every Secret in the whole cluster"}},
		{name: "everything is seen, nobody is bound", text: secretReader, options: complete},
		{name: "everything is seen but some bindings", text: secretReader + "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}",
			options: model.WorldOptions{Live: true, Unobserved: []model.Unobserved{{GroupKind: roleBindingKind, Namespace: "shop", Reason: "forbidden"}}},
			want:    []string{"no-secret-readers ClusterRole/reader: whoever is bound to it may read every Secret in the whole cluster"}},
		{name: "bound to nobody", text: secretReader + bind("ClusterRoleBinding", "", "b", "ClusterRole", "reader"), options: complete,
			want: []string{"no-empty-bindings ClusterRoleBinding/b: nobody is bound to the ClusterRole reader in the whole cluster"}},
		{name: "bound in the cluster", text: secretReader + inCluster, options: complete,
			want: []string{"no-secret-readers ClusterRole/reader: User jane may read every Secret in the whole cluster"}},
		{name: "bound in a namespace", text: secretReader + inShop,
			want: []string{"no-secret-readers-in-namespace ClusterRole/reader: User jane may read every Secret in namespace shop"}},
		{name: "bound in both", text: secretReader + inShop + inCluster,
			want: []string{"no-secret-readers ClusterRole/reader: User jane may read every Secret in the whole cluster"}},
		{name: "a Role of another namespace of that name", text: secretReader + bind("RoleBinding", "shop", "b", "Role", "reader", jane), options: complete,
			want: []string{"no-dangling-role-refs shop/RoleBinding/b: Role reader does not exist; whoever makes it decides what User jane may do"}},
		{name: "by way of aggregation", options: complete, text: secretReader + `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: parent}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {example.com/into: parent}}]}
---
` + bind("ClusterRoleBinding", "", "b", "ClusterRole", "parent", jane, "{kind: ServiceAccount, name: default, namespace: x}", "{kind: Group, name: a}"),
			want: []string{
				"no-default-account-grants ClusterRoleBinding/b: every pod of namespace x that names no account of its own has the ClusterRole parent in the whole cluster",
				"no-secret-readers ClusterRole/reader: Group a, ServiceAccount x/default and 1 more may read every Secret in the whole cluster"}},
		{name: "aggregation in a circle", options: complete, text: secretReader + `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: parent, labels: {example.com/into: parent, x: z}}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {example.com/into: parent}}, {matchLabels: {x: z}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: other, labels: {x: z}}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {x: z}}]}
---
` + bind("RoleBinding", "shop", "b", "ClusterRole", "other", jane),
			want: []string{"no-secret-readers-in-namespace ClusterRole/reader: User jane may read every Secret in namespace shop"}},
		{name: "a role that view takes in", text: strings.Replace(secretReader, "example.com/into: parent", `rbac.authorization.k8s.io/aggregate-to-view: "true"`, 1),
			want: []string{"no-secret-readers ClusterRole/reader: whoever is bound to it may read every Secret in the whole cluster"}},
		{name: "a role that edit takes in, which reads Secrets anyway", text: strings.Replace(secretReader, "example.com/into: parent", `rbac.authorization.k8s.io/aggregate-to-edit: "true"`, 1)},
		{name: "exec by get, which old versions allow", version: 34, text: `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: viewer, namespace: shop}
rules: [{apiGroups: [""], resources: [pods/exec], verbs: [get]}]
`, want: []string{"no-pod-exec shop/Role/viewer: whoever is bound to it may run commands in pods in namespace shop"}},
		{name: "what it takes is in two roles, that meet in a namespace",
			text: granted("writer", shopWeb+", "+jane, "", []string{"create secrets"}) + granted("lister", shopWeb, "tools", []string{"get secrets =a"}),
			want: []string{"no-token-secrets ClusterRole/writer: ServiceAccount shop/web may make a token of any ServiceAccount by a Secret in namespace tools"}},
		{name: "or by a group of the account",
			text: granted("writer", shopWeb+", "+jane, "shop", []string{"create secrets"}) + granted("lister", "{kind: Group, name: 'system:serviceaccounts:shop'}", "", []string{"get secrets =a"}),
			want: []string{
				"no-default-account-grants ClusterRoleBinding/lister: every pod of namespace shop has the ClusterRole lister in the whole cluster",
				"no-token-secrets-in-namespace ClusterRole/writer: ServiceAccount shop/web may make a token of any ServiceAccount by a Secret in namespace shop"}},
		{name: "what edit grants anyway",
			text: granted("writer", jane, "shop", []string{"create secrets"}) + bind("RoleBinding", "shop", "e", "ClusterRole", "edit", jane)},
		{name: "one rule, many powers, the gravest are told",
			text: granted("operator", jane, "", []string{"create,update,patch,delete *"}),
			want: []string{
				"no-node-proxy ClusterRole/operator: User jane may run commands in every pod through the kubelets in the whole cluster",
				"no-pod-creators ClusterRole/operator: User jane may start pods of their own making in the whole cluster",
				"no-pod-exec ClusterRole/operator: User jane may run commands in pods, and add containers to running pods, and open connections into pods in the whole cluster",
				"no-token-minting ClusterRole/operator: User jane may issue tokens of every ServiceAccount in the whole cluster",
				"no-volume-creators ClusterRole/operator: User jane may make a PersistentVolume of any folder of a node in the whole cluster"}},
		{name: "one fault, one finding", text: `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: all}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
---
` + bind("ClusterRoleBinding", "", "b", "ClusterRole", "all", "{kind: Group, name: system:authenticated}", jane),
			want: []string{
				"no-authenticated-access ClusterRoleBinding/b: Group system:authenticated: everyone who can log in, and every pod, has the ClusterRole all in the whole cluster",
				"no-full-access-roles ClusterRole/all: Group system:authenticated and User jane may do everything with everything in the whole cluster"}},
		{name: "names that look like the system's", text: bind("ClusterRoleBinding", "", "system:kube-scheduler", "ClusterRole", "system:kube-scheduler", "{kind: User, name: system:kube-scheduler}") +
			bind("ClusterRoleBinding", "", "system:kube-scheduler-2", "ClusterRole", "cluster-admin", jane) +
			bind("ClusterRoleBinding", "", "cluster-admin", "ClusterRole", "cluster-admin", "{kind: Group, name: system:masters}", jane),
			want: []string{
				"no-cluster-admin-bindings ClusterRoleBinding/cluster-admin: Group system:masters and User jane may do everything in the whole cluster by the role cluster-admin",
				"no-cluster-admin-bindings ClusterRoleBinding/system:kube-scheduler-2: User jane may do everything in the whole cluster by the role cluster-admin"}},
		{name: "no role", text: "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r, namespace: shop}, rules: yes}",
			want: nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			version := test.version
			if version == 0 {
				version = 37
			}
			got, out := run(t, world(t, test.text, test.options), version)
			if test.name == "no role" {
				if len(got) == 0 || out.Findings[0].Verdict != finding.Unknown {
					t.Errorf("a Role whose rules are no list is %v, want unknown", got)
				}
				return
			}
			got = slices.DeleteFunc(got, isLint)
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// older are the lints that these cases are about as well.
var older = map[string]bool{"no-dangling-role-refs": true, "no-default-account-grants": true, "no-empty-bindings": true, "no-missing-subjects": true}

// isLint reports whether a finding is one of the other lints, which have tests of their
// own.
func isLint(f string) bool {
	control, _, _ := strings.Cut(f, " ")
	return !older[control] && slices.ContainsFunc(lints, func(c check.Control) bool { return c.Name == control })
}

// TestStoredRulesCount: on a cluster an aggregated role grants what is stored in
// it, and the rules that come from another of the user's roles are judged there.
func TestStoredRulesCount(t *testing.T) {
	got, _ := run(t, world(t, secretReader+`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: parent}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {example.com/into: parent}}]}
rules:
  - {apiGroups: [""], resources: [secrets], verbs: [get]}
  - {apiGroups: [""], resources: [nodes/proxy], verbs: [get]}
---
`+bind("ClusterRoleBinding", "", "b", "ClusterRole", "parent", jane), model.WorldOptions{Live: true}), 37)
	want := []string{
		"no-node-proxy ClusterRole/parent: User jane may run commands in every pod through the kubelets in the whole cluster",
		"no-secret-readers ClusterRole/reader: User jane may read every Secret in the whole cluster"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestAggregationBound: roles that all select each other, with a binding each, are
// judged in bounded time and memory, or said not to be.
func TestAggregationBound(t *testing.T) {
	var objects []*model.Object
	for i := range 3000 {
		meta := map[string]any{"name": fmt.Sprint("role-", i), "labels": map[string]any{"a": "b"}}
		role, _ := model.NewObject(map[string]any{"apiVersion": apiGroup + "/v1", "kind": "ClusterRole", "metadata": meta,
			"aggregationRule": map[string]any{"clusterRoleSelectors": []any{map[string]any{}}}}, nil, model.Source{})
		objects = append(objects, role)
	}
	start := time.Now()
	judgements := noSecretReaders.World(&check.Input{World: model.NewWorld(objects, model.WorldOptions{}), Version: 37})
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	for _, j := range judgements {
		if j.Verdict != finding.Unknown {
			t.Fatalf("%s: %s, want unknown", j.Object.Ref(), j.Verdict)
		}
	}
}
