package rbac

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

// lint judges a world by the lints and returns "control object: message" of each
// finding, sorted.
func lint(t *testing.T, w *model.World, version int) []string {
	t.Helper()
	var controls []*check.Control
	for i := range lints {
		controls = append(controls, &lints[i])
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
		if f.Verdict == finding.Fail {
			got = append(got, fmt.Sprintf("%s %s: %s", f.Control, f.Object, f.Message))
		}
	}
	slices.Sort(got)
	return got
}

func lintRole(kind, namespace, name string, rules ...string) string {
	return fmt.Sprintf("apiVersion: rbac.authorization.k8s.io/v1\nkind: %s\nmetadata: {name: %q, namespace: %q}\nrules: [%s]\n---\n", kind, name, namespace, strings.Join(rules, ", "))
}

func TestLints(t *testing.T) {
	const (
		readPods = `{apiGroups: [""], resources: [pods], verbs: [get]}`
		shop     = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n---\n"
		crd      = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\nspec: {group: example.com, names: {kind: Widget, plural: widgets}}\n---\n"
		metrics  = "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1.metrics.k8s.io}\nspec: {group: metrics.k8s.io, version: v1, service: {name: m, namespace: shop}}\n---\n"
	)
	live, complete := model.WorldOptions{Live: true}, model.WorldOptions{Complete: true}
	used := bind("ClusterRoleBinding", "", "b", "ClusterRole", "r", jane)
	for _, test := range []struct {
		name, text string
		options    model.WorldOptions
		version    int
		want       []string
	}{
		{name: "a role that nobody holds, in files", text: lintRole("ClusterRole", "", "r", readPods)},
		{name: "and where everything is seen", text: lintRole("ClusterRole", "", "r", readPods), options: complete,
			want: []string{"no-unused-roles ClusterRole/r: no binding names the ClusterRole r, and no role is aggregated of it"}},
		{name: "where bindings could not be read", text: shop + lintRole("ClusterRole", "", "r", readPods),
			options: model.WorldOptions{Live: true, Unobserved: []model.Unobserved{{GroupKind: roleBindingKind, Namespace: "shop", Reason: "forbidden"}}}},
		{name: "a part of a default role", options: live,
			text: strings.Replace(lintRole("ClusterRole", "", "r", readPods), "namespace", `labels: {rbac.authorization.k8s.io/aggregate-to-view: "true"}, namespace`, 1) +
				"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: view}\naggregationRule: {clusterRoleSelectors: [{matchLabels: {rbac.authorization.k8s.io/aggregate-to-view: \"true\"}}]}\n"},
		{name: "default roles", options: live, text: lintRole("ClusterRole", "", "admin", readPods) + lintRole("ClusterRole", "", "system:lead", `{apiGroups: [""], resources: [Pod], verbs: [GET]}`)},
		{name: "a group that no server has", options: live, text: crd + metrics + used + lintRole("ClusterRole", "", "r",
			`{apiGroups: [example.com, gone.example.com], resources: [widgets], verbs: [get]}`, `{apiGroups: [metrics.k8s.io], resources: [whatever], verbs: [get]}`,
			`{apiGroups: [gone.example.com], resources: [a, b], verbs: [get]}`, `{apiGroups: [example.com], resources: [widget, gadgets], verbs: [get]}`,
			`{apiGroups: [extensions], resources: [ingresses], verbs: [get]}`, `{apiGroups: [gateway.networking.k8s.io], resources: [gateways], verbs: [get]}`),
			want: []string{`no-unknown-resources ClusterRole/r: group example.com has no resource "gadgets"; did you mean widgets?`,
				`no-unknown-resources ClusterRole/r: group example.com has no resource "widget"; did you mean widgets?`,
				"no-unknown-resources ClusterRole/r: the cluster serves no group gone.example.com, so that the rule grants nothing"}},
		{name: "the same in files", text: crd + lintRole("ClusterRole", "", "r", `{apiGroups: [gone.example.com], resources: [a, b], verbs: [get]}`,
			`{apiGroups: [example.com], resources: [widget, gadgets], verbs: [get]}`),
			want: []string{`no-unknown-resources ClusterRole/r: group example.com has no resource "widget"; did you mean widgets?`}},
		{name: "a release that is not known yet", version: newestTable + 1, text: lintRole("ClusterRole", "", "r", `{apiGroups: [apps], resources: [fleets, deployment], verbs: [get]}`),
			want: []string{`no-unknown-resources ClusterRole/r: group apps has no resource "deployment"; did you mean deployments?`}},
		{name: "a program's own subresource", text: lintRole("ClusterRole", "", "r", `{apiGroups: [""], resources: [namespaces/metrics, services/prometheus], verbs: [get]}`)},
		{name: "all redundant", text: bind("ClusterRoleBinding", "", "wide", "ClusterRole", "r", jane, "{kind: Group, name: dev}") + bind("RoleBinding", "shop", "narrow", "ClusterRole", "r", jane, "{kind: Group, name: dev}"),
			want: []string{"no-redundant-bindings shop/RoleBinding/narrow: all subjects have the ClusterRole r in namespace shop without it: User jane, by ClusterRoleBinding wide, for one",
				"no-users-beside-groups ClusterRoleBinding/wide: User jane: bound one by one to the ClusterRole r in the whole cluster, which Group dev has",
				"no-users-beside-groups shop/RoleBinding/narrow: User jane: bound one by one to the ClusterRole r in namespace shop, which Group dev has"}},
		{name: "both in one binding", text: bind("RoleBinding", "shop", "b", "ClusterRole", "r", `{kind: Group, name: "system:serviceaccounts:shop"}`, "{kind: ServiceAccount, name: web}"),
			want: []string{"no-default-account-grants shop/RoleBinding/b: every pod of namespace shop has the ClusterRole r in namespace shop",
				"no-redundant-bindings shop/RoleBinding/b: ServiceAccount shop/web has the ClusterRole r in namespace shop already as one of Group system:serviceaccounts:shop, which this binding names, too"}},
		{name: "a binding that no server takes covers nothing", text: bind("ClusterRoleBinding", "", "b", "Role", "r", jane) + bind("RoleBinding", "shop", "b", "Role", "r", jane)},
	} {
		t.Run(test.name, func(t *testing.T) {
			version := test.version
			if version == 0 {
				version = newestTable
			}
			if got := lint(t, world(t, test.text, test.options), version); !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// TestCovers compares covers with the areas of two random rules: nothing is left of
// the one without the other.
func TestCovers(t *testing.T) {
	g := &diffWorlds{Rand: rand.New(rand.NewPCG(7, 7))}
	seen := map[bool]int{}
	for range 30000 {
		a, b := ruleOf(t, g.rule(true)), ruleOf(t, g.rule(true))
		want := true
		var others []*area
		for _, x := range areasOf(&a) {
			others = append(others, &x)
		}
		for _, x := range areasOf(&b) {
			pieces, whole := x.left(others)
			want = want && !whole && len(pieces) == 0
		}
		// What grants nothing is covered by everything, which is not told of such a rule.
		if slices.ContainsFunc(b.Resources, func(s string) bool { return strings.HasSuffix(s, "/") }) {
			continue
		}
		if got := covers(&a, &b); got && !want {
			t.Fatalf("%v covers %v, and something is left of it", a, b)
		} else if !got && want && !slices.Contains(b.Resources, "*") && len(b.Resources) == 1 {
			t.Fatalf("%v does not cover %v, and nothing is left of it", a, b)
		}
		seen[want]++
	}
	if seen[true] < 300 {
		t.Errorf("%d of the rules are covered: too few to tell", seen[true])
	}
}

func ruleOf(t *testing.T, content map[string]any) rbacv1.PolicyRule {
	t.Helper()
	var r rbacv1.PolicyRule
	if err := model.Decode(content, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCoveredRulesFix removes covered rules from random roles: nobody may do less, no
// covered rule is left, and all others are.
func TestCoveredRulesFix(t *testing.T) {
	g := &diffWorlds{Rand: rand.New(rand.NewPCG(5, 5))}
	control := &noCoveredRules
	m, err := admission.CompileMutation(control, nil)
	if err != nil {
		t.Fatal(err)
	}
	removed := 0
	for i := range 150 {
		var rules []any
		for range 2 + g.IntN(5) {
			rules = append(rules, g.rule(true))
		}
		worldWith := func(rules any) (*model.World, *model.Object) {
			h := &diffWorlds{Rand: rand.New(rand.NewPCG(1, 1))}
			h.add("ClusterRole", "", "r", map[string]any{"rules": rules})
			h.add("ClusterRoleBinding", "", "b", map[string]any{"roleRef": map[string]any{"apiGroup": apiGroup, "kind": "ClusterRole", "name": "r"},
				"subjects": []any{map[string]any{"kind": "User", "name": "jane"}}})
			return model.NewWorld(h.objects, model.WorldOptions{}), h.objects[0]
		}
		before, role := worldWith(rules)
		found := findCovered(nil, newRole(role))
		changed, err := m.Apply(t.Context(), role)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		after, fixed := worldWith(changed["rules"])
		left := fixed.List("rules")
		// A URL that ends in several stars is left to a person.
		if stars := strings.Contains(fmt.Sprint(rules), "**"); len(left) < len(rules)-len(found) || !stars && len(left) != len(rules)-len(found) {
			t.Fatalf("%d: %d rules of %d are covered and %d are left\n%v\n%v", i, len(found), len(rules), len(left), rules, left)
		}
		if changes := Diff(AccessOf(before), AccessOf(after)); len(changes) > 0 {
			t.Fatalf("%d: the fix takes away %s\n%v\n%v", i, texts(changes[0].Lost), rules, left)
		}
		removed += len(rules) - len(left)
	}
	if removed < 50 {
		t.Errorf("%d rules were removed: too few to tell", removed)
	}
}

// TestServerResources holds the resources that rules may name against discovery of a
// real API server, and against the types that client-go knows.
func TestServerResources(t *testing.T) {
	notServed := []string{"scales", "tokenrequests"} // bodies of subresources
	for gvk, typ := range scheme.Scheme.AllKnownTypes() {
		if _, ok := reflect.New(typ).Interface().(metav1.Object); !ok || gvk.Group == "extensions" {
			continue
		}
		plural, _ := meta.UnsafeGuessKindToResource(gvk)
		if !slices.Contains(notServed, plural.Resource) && lookupServer(gvk.Group, plural.Resource, "", newestTable) != "" {
			t.Errorf("%s of group %q is not known", plural.Resource, gvk.Group)
		}
	}
	lists, err := connect(t).Discovery().ServerPreferredResources()
	testcluster.Discovered(t, err)
	_, all, err := connect(t).Discovery().ServerGroupsAndResources()
	testcluster.Discovered(t, err)
	n := 0
	for _, list := range append(lists, all...) {
		group, _, grouped := strings.Cut(list.GroupVersion, "/")
		if !grouped {
			group = ""
		}
		for _, r := range list.APIResources {
			n++
			if isServerGroup(group) && !serverResources()[group][r.Name] && !strings.HasSuffix(r.Name, "/status") {
				t.Errorf("%s of group %q is not known", r.Name, group)
			}
		}
	}
	if n < 100 {
		t.Errorf("the API server serves %d resources, which cannot be all", n)
	}
}

// TestLintsOfDefaults judges what a real API server makes by itself.
func TestLintsOfDefaults(t *testing.T) {
	w := stored(t, connect(t), bootstrapped)
	if len(w.Objects) < 100 {
		t.Fatalf("%d roles and bindings, which cannot be all", len(w.Objects))
	}
	for _, f := range lint(t, w, newestTable) {
		t.Error(f)
	}
}
