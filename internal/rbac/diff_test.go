package rbac

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

// diffWorlds makes random worlds of few names, so that rules meet.
type diffWorlds struct {
	*rand.Rand
	objects []*model.Object
}

func (g *diffWorlds) some(from ...string) []any {
	var out []any
	for range 1 + g.IntN(3) {
		out = append(out, from[g.IntN(len(from))])
	}
	return out
}

func (g *diffWorlds) rule(urls bool) map[string]any {
	if urls && g.IntN(5) == 0 {
		return map[string]any{"verbs": g.some("get", "post", "*"), "nonResourceURLs": g.some("/a", "/a*", "/a/b", "/a/*", "/b**", "*", "/")}
	}
	r := map[string]any{"verbs": g.some("get", "list", "create", "*", "get"), "apiGroups": g.some("", "apps", "*", ""),
		"resources": g.some("pods", "pods", "secrets", "pods/log", "*", "*/log", "*/scale", "deployments/scale", "pods/", "pods/*")}
	if g.IntN(3) == 0 {
		r["resourceNames"] = g.some("x", "y", "")
	}
	return r
}

func (g *diffWorlds) add(kind, namespace, name string, content map[string]any) {
	meta := map[string]any{"name": name, "labels": map[string]any{"part": []any{"a", "b"}[g.IntN(2)]}}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	content["apiVersion"], content["kind"], content["metadata"] = apiGroup+"/v1", kind, meta
	o, _ := model.NewObject(content, nil, model.Source{})
	g.objects = append(g.objects, o)
}

var diffSubjects = []map[string]any{
	{"kind": "User", "name": "jane"}, {"kind": "User", "name": "system:serviceaccount:shop:web"}, {"kind": "User", "name": "system:anonymous"},
	{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}, {"kind": "ServiceAccount", "name": "web", "namespace": "bank"},
	{"kind": "Group", "name": "dev"}, {"kind": "Group", "name": "system:serviceaccounts:shop"}, {"kind": "Group", "name": "system:serviceaccounts"},
	{"kind": "Group", "name": "system:authenticated"}, {"kind": "Group", "name": "system:masters"}}

func (g *diffWorlds) fill() {
	roles := []roleKey{{"", "view"}, {"", "sum"}, {"shop", "missing"}}
	for i := range 5 {
		namespace, kind := []string{"", "shop", "bank"}[g.IntN(3)], "Role"
		if namespace == "" {
			kind = "ClusterRole"
		}
		var rules []any
		for range 1 + g.IntN(4) {
			rules = append(rules, g.rule(namespace == ""))
		}
		g.add(kind, namespace, fmt.Sprint("r", i), map[string]any{"rules": rules})
		roles = append(roles, roleKey{namespace, fmt.Sprint("r", i)})
	}
	g.add("ClusterRole", "", "sum", map[string]any{"aggregationRule": map[string]any{"clusterRoleSelectors": []any{map[string]any{"matchLabels": map[string]any{"part": "a"}}}}})
	for i := range 6 {
		role := roles[g.IntN(len(roles))]
		kind, namespace := "RoleBinding", []string{"shop", "bank"}[g.IntN(2)]
		if role.namespace == "" && g.IntN(2) == 0 {
			kind, namespace = "ClusterRoleBinding", ""
		}
		var subjects []any
		for range g.IntN(4) {
			subjects = append(subjects, diffSubjects[g.IntN(len(diffSubjects))])
		}
		g.add(kind, namespace, fmt.Sprint("b", i), map[string]any{"subjects": subjects, "roleRef": map[string]any{"apiGroup": apiGroup, "kind": role.kind(), "name": role.name}})
	}
}

func (g *diffWorlds) request() Request {
	one := func(from ...string) string { return from[g.IntN(len(from))] }
	if g.IntN(6) == 0 {
		return Request{Verb: one("get", "post", "put"), URL: one("/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "/bc", "/zz")}
	}
	return Request{Verb: one("get", "list", "create", "fresh"), Group: one("", "apps", "fresh.example.com"), Resource: one("pods", "secrets", "deployments", "fresh"),
		Subresource: one("", "", "log", "scale", "fresh", "*"), Namespace: one("", "shop", "bank", "fresh"), Name: one("", "x", "y", "fresh")}
}

// TestDiffAgainstCan compares what is gained and lost, in random worlds and for random
// requests, with what the authorizer's answers are in both.
func TestDiffAgainstCan(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(400) {
		g := &diffWorlds{Rand: rand.New(rand.NewPCG(seed, 3))}
		g.fill()
		before := AccessOf(model.NewWorld(g.objects, model.WorldOptions{}))
		if g.IntN(3) > 0 { // most changes are small
			g.objects = slices.Clone(g.objects)
			again := &diffWorlds{Rand: g.Rand}
			again.fill()
			i := g.IntN(len(g.objects))
			g.objects[i] = again.objects[i]
		} else {
			g.objects = nil
			g.fill()
		}
		after := AccessOf(model.NewWorld(g.objects, model.WorldOptions{}))
		compareWithCan(t, g, before, after, seen)
	}
	for _, what := range []string{"gained", "lost", "neither", "neither, and allowed", "url gained", "partly"} {
		if seen[what] < 100 {
			t.Errorf("%d requests were %s: too few to tell", seen[what], what)
		}
	}
}

func compareWithCan(t *testing.T, g *diffWorlds, before, after *Access, seen map[string]int) {
	t.Helper()
	gained, lost := map[Subject][]Change{}, map[Subject][]Change{}
	for _, c := range Diff(before, after) {
		gained[c.Subject], lost[c.Subject] = c.Gained, c.Lost
		for _, x := range slices.Concat(c.Gained, c.Lost) {
			if len(x.had) > 0 {
				seen["partly"]++
			}
		}
	}
	in := func(changes []Change, r Request) bool {
		return slices.ContainsFunc(changes, func(c Change) bool { return c.Covers(r) })
	}
	for _, subject := range diffSubjects {
		s := newSubject(rbacv1.Subject{Kind: subject["kind"].(string), Name: subject["name"].(string), Namespace: fmt.Sprint(subject["namespace"])}, "")
		who := IdentityOf(s)
		for range 40 {
			r := g.request()
			_, could, _ := before.Can(who, r)
			_, can, _ := after.Can(who, r)
			// Its own changes are changes of what it may do, and what changed for it is told
			// of it, or of a group that it is in.
			anyGained, anyLost := false, false
			for _, as := range who.subjects() {
				anyGained = anyGained || in(gained[as], r)
				anyLost = anyLost || in(lost[as], r)
			}
			if in(gained[s], r) && (could || !can) || can && !could && !anyGained {
				t.Fatalf("%s: %s: was allowed %t and is %t, and is gained %t\n%s", s, r, could, can, anyGained, texts(gained[s]))
			}
			if in(lost[s], r) && (can || !could) || could && !can && !anyLost {
				t.Fatalf("%s: %s: was allowed %t and is %t, and is lost %t\n%s", s, r, could, can, anyLost, texts(lost[s]))
			}
			switch {
			case can && !could && r.URL != "":
				seen["url gained"]++
			case can && !could:
				seen["gained"]++
			case could && !can:
				seen["lost"]++
			case could:
				seen["neither, and allowed"]++
			default:
				seen["neither"]++
			}
		}
	}
}

func texts(changes []Change) string {
	var out []string
	for _, l := range Lines(changes) {
		out = append(out, l.String())
	}
	return strings.Join(out, "\n")
}

const oldRole = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: r}
rules: [%s]
---
`

func TestDiff(t *testing.T) {
	inCluster := bind("ClusterRoleBinding", "", "b", "ClusterRole", "r", jane)
	inShop := bind("RoleBinding", "shop", "b", "ClusterRole", "r", jane)
	role := func(rules ...string) string { return fmt.Sprintf(oldRole, strings.Join(rules, ", ")) }
	const readPods = `{apiGroups: [""], resources: [pods], verbs: [get, list]}`
	for _, test := range []struct {
		name, before, after string
		want                []string
	}{
		{"the same by another name", role(readPods) + inShop, strings.ReplaceAll(role(readPods)+inShop, "name: r}", "name: s}") + strings.ReplaceAll(role(readPods)+inShop, `"r"`, `"s"`), nil},
		{"the same in two rules", role(readPods) + inShop, role(`{apiGroups: [""], resources: [pods], verbs: [list]}`, `{apiGroups: [""], resources: [pods], verbs: [get]}`) + inShop, nil},
		{"all verbs", role(readPods) + inShop, role(`{apiGroups: [""], resources: [pods], verbs: ["*"]}`) + inShop,
			[]string{"User jane + * pods (but for get, list) in shop"}},
		{"from a namespace to the cluster, and a verb", role(readPods) + inShop, role(`{apiGroups: [""], resources: [pods], verbs: [get, list, delete]}`) + inCluster,
			[]string{"User jane + delete pods in the whole cluster", "User jane + get, list pods in the whole cluster (but for shop)"}},
		{"less", role(readPods) + inCluster, role(readPods) + inShop, []string{"User jane - get, list pods in the whole cluster (but for shop)"}},
		{"names", role(`{apiGroups: [""], resources: [secrets], resourceNames: [a], verbs: [get]}`) + inShop, role(`{apiGroups: [""], resources: [secrets], verbs: [get]}`) + inShop,
			[]string{"User jane + get secrets (but for the names a) in shop"}},
		{"a subresource of all", role(readPods) + inShop, role(readPods, `{apiGroups: [""], resources: ["*/log", pods/exec], verbs: [get]}`) + inShop,
			[]string{"User jane + get */log, pods/exec in shop"}},
		{"everything", role(readPods) + inShop, role(readPods, `{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}`) + inShop,
			[]string{"User jane + * *.* (but for get, list pods) in shop"}},
		{"a URL", role(`{nonResourceURLs: [/a/b*], verbs: [get]}`) + inCluster, role(`{nonResourceURLs: [/a*], verbs: [get]}`) + inCluster,
			[]string{"User jane + get /a* (but for /a/b*)"}},
		{"by a group that it is in anyway", role(readPods) + bind("RoleBinding", "shop", "b", "ClusterRole", "r", "{kind: ServiceAccount, name: web}"),
			role(readPods) + bind("RoleBinding", "shop", "b", "ClusterRole", "r", `{kind: Group, name: "system:serviceaccounts:shop"}`),
			[]string{"Group system:serviceaccounts:shop + get, list pods in shop"}},
		{"by aggregation", "", role(readPods) + strings.ReplaceAll(role(`{apiGroups: [""], resources: [secrets], verbs: [get]}`), "name: r}", `name: part, labels: {rbac.authorization.k8s.io/aggregate-to-view: "true"}}`) +
			bind("RoleBinding", "shop", "b", "ClusterRole", "view", jane) + "",
			nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := test.before
			if test.name == "by aggregation" { // view is bound before as well
				before = bind("RoleBinding", "shop", "b", "ClusterRole", "view", jane)
				test.want = []string{"User jane + get secrets in shop"}
			}
			var got []string
			for _, c := range Diff(AccessOf(world(t, before)), AccessOf(world(t, test.after))) {
				for _, l := range Lines(c.Gained) {
					got = append(got, c.Subject.String()+" + "+l.String())
				}
				for _, l := range Lines(c.Lost) {
					got = append(got, c.Subject.String()+" - "+l.String())
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}
