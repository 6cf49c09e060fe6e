package persona

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// worldOf makes a world of contents.
func worldOf(contents ...map[string]any) *model.World {
	var objects []*model.Object
	for _, c := range contents {
		o, _ := model.NewObject(c, nil, model.Source{})
		objects = append(objects, o)
	}
	return model.NewWorld(objects, model.WorldOptions{Complete: true})
}

func contents(t *testing.T, s *Set) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, o := range s.Objects {
		text, err := yaml.Marshal(o.Content)
		if err != nil {
			t.Fatal(err)
		}
		var copied map[string]any
		if err := yaml.Unmarshal(text, &copied); err != nil {
			t.Fatal(err)
		}
		out = append(out, copied)
	}
	return out
}

// TestCheckIsReadBack writes the check of the example and reads it again.
func TestCheckIsReadBack(t *testing.T) {
	s, err := generate(t, Example)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(s.Check.Content())
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseCheck(decode(t, string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.Content(), s.Check.Content()) {
		t.Errorf("%+v is read back as %+v", s.Check.Content(), again.Content())
	}
	if again.Entries[0].At == nil || again.Entries[0].At.Line == 0 {
		t.Error("it is not known where an entry is written")
	}
	r, err := again.Compare(worldOf(contents(t, s)...), version)
	if err != nil || len(r.Differences)+len(r.Unknown) > 0 {
		t.Errorf("%v: %+v", err, r)
	}
	second, err := generate(t, Example)
	if err != nil || !reflect.DeepEqual(contents(t, second), contents(t, s)) {
		t.Error("the same file makes something else the second time")
	}
}

// TestTampering changes each generated object in turn: something is always found.
func TestTampering(t *testing.T) {
	s, err := generate(t, strings.Replace(Example, "shop, shop-staging]", "shop-staging]", 1))
	if err != nil {
		t.Fatal(err)
	}
	find := func(i int, what string, want []DifferenceKind, change func(o map[string]any)) {
		t.Helper()
		all := contents(t, s)
		change(all[i])
		r, err := s.Check.Compare(worldOf(all...), version)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range want {
			at := slices.IndexFunc(r.Differences, func(d Difference) bool { return d.Kind == kind })
			if at < 0 {
				t.Errorf("%s %s of %v: no difference is %s", s.Objects[i].Ref(), what, all[i]["metadata"], kind)
			} else if d := r.Differences[at]; kind != Missing && kind != UnknownHolder && kind != Escalation && len(d.Grants) == 0 {
				t.Errorf("%s %s: %s of %s is by nothing", s.Objects[i].Ref(), what, d.What, d.Subject)
			}
		}
	}
	for i, o := range s.Objects {
		emergency := strings.HasSuffix(o.Name, ":break-glass")
		switch o.Kind {
		case "ClusterRole", "Role":
			find(i, "with a rule", []DifferenceKind{Extra}, func(o map[string]any) {
				o["rules"] = append(o["rules"].([]any), map[string]any{"apiGroups": []any{"example.com"}, "resources": []any{"widgets"}, "verbs": []any{"get"}})
			})
			find(i, "without a rule", []DifferenceKind{Missing}, func(o map[string]any) { o["rules"] = o["rules"].([]any)[1:] })
			if !strings.Contains(o.Name, "admin") {
				find(i, "with a star", []DifferenceKind{Forbidden}, func(o map[string]any) {
					o["rules"].([]any)[0].(map[string]any)["verbs"] = []any{"*"}
				})
			}
		default:
			find(i, "without its subject", []DifferenceKind{Missing}, func(o map[string]any) { o["subjects"] = []any{} })
			want := []DifferenceKind{Missing, UnknownHolder}
			if emergency {
				want = want[:1]
			}
			find(i, "with another subject", want, func(o map[string]any) { o["subjects"].([]any)[0].(map[string]any)["name"] = "stranger" })
			if !emergency {
				find(i, "to another role", []DifferenceKind{Forbidden}, func(o map[string]any) {
					o["roleRef"] = map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
				})
			}
		}
	}
}

// randomAccess makes random roles of one subject, of few names, so that they meet.
type randomAccess struct{ *rand.Rand }

func (g randomAccess) some(from ...string) []any {
	var out []any
	for range 1 + g.IntN(2) {
		out = append(out, from[g.IntN(len(from))])
	}
	return out
}

var (
	randomVerbs     = []string{"get", "list", "create", "*"}
	randomGroups    = []string{"", "apps", "*"}
	randomResources = []string{"pods", "secrets", "deployments", "pods/exec", "deployments/scale", "*", "*/scale"}
	randomNames     = []string{"a", "b"}
	randomURLs      = []string{"/metrics", "/m*", "*", "/healthz/*", "/healthz/x"}
)

func (g randomAccess) rules(cluster bool) []any {
	var out []any
	for range 1 + g.IntN(3) {
		if cluster && g.IntN(4) == 0 {
			out = append(out, map[string]any{"verbs": g.some(randomVerbs...), "nonResourceURLs": g.some(randomURLs...)})
			continue
		}
		r := map[string]any{"verbs": g.some(randomVerbs...), "apiGroups": g.some(randomGroups...), "resources": g.some(randomResources...)}
		if g.IntN(4) == 0 {
			r["resourceNames"] = g.some(randomNames...)
		}
		out = append(out, r)
	}
	return out
}

// world binds the subject in two namespaces and in the cluster.
func (g randomAccess) world() *model.World {
	var all []map[string]any
	for _, ns := range []string{"", "one", "two"} {
		if g.IntN(3) == 0 {
			continue
		}
		prefix, meta := "Cluster", map[string]any{"name": "r"}
		if ns != "" {
			prefix, meta = "", map[string]any{"name": "r", "namespace": ns}
		}
		ref := map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": prefix + "Role", "name": "r"}
		all = append(all, map[string]any{"apiVersion": apiVersion, "kind": prefix + "Role", "metadata": meta, "rules": g.rules(ns == "")},
			map[string]any{"apiVersion": apiVersion, "kind": prefix + "RoleBinding", "metadata": meta, "roleRef": ref, "subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "g"}}})
	}
	return worldOf(all...)
}

// universe are all requests of few names.
func universe() []rbac.Request {
	var out []rbac.Request
	for _, v := range []string{"get", "list", "create", "delete"} {
		for _, u := range []string{"/metrics", "/m", "/healthz/x", "/x"} {
			out = append(out, rbac.Request{Verb: v, URL: u})
		}
		for _, group := range []string{"", "apps", "batch"} {
			for _, resource := range []string{"pods", "secrets", "deployments", "jobs", "pods/exec", "deployments/scale", "jobs/scale"} {
				for _, ns := range []string{"", "one", "two"} {
					for _, name := range []string{"", "a", "c"} {
						kind, sub, _ := strings.Cut(resource, "/")
						out = append(out, rbac.Request{Verb: v, Group: group, Resource: kind, Subresource: sub, Namespace: ns, Name: name})
					}
				}
			}
		}
	}
	return out
}

// actionsOf are what a world allows the subject, as entries of a check.
func actionsOf(w *model.World) []Entry {
	var out []Entry
	for _, p := range rbac.AccessOf(w).Permissions(rbac.Identity{Groups: []string{"g"}}) {
		a := Action{Verbs: p.Verbs, Names: p.ResourceNames}
		if p.URL != "" {
			a.URLs = []string{p.URL}
		} else {
			name, sub, _ := strings.Cut(p.Resource, "/")
			a.Resources = []rbac.Resource{{Group: p.Group, Name: name, Subresource: sub}}
		}
		e := Entry{Subjects: []rbac.Subject{{Kind: "Group", Name: "g"}}, Can: []Action{a}}
		if p.Namespace != "" {
			e.Namespaces = []string{p.Namespace}
		}
		out = append(out, e)
	}
	return out
}

// TestCompareWithRequests holds random worlds against what others allow, and the result
// against every single request.
func TestCompareWithRequests(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := randomAccess{rand.New(rand.NewPCG(seed, 3))}
	requests, who := universe(), rbac.Identity{Groups: []string{"g"}}
	var differ, same int
	for range 700 {
		wanted, stored := g.world(), g.world()
		if g.IntN(4) == 0 {
			stored = wanted
		}
		c := &Check{Entries: append(actionsOf(wanted), Entry{Subjects: []rbac.Subject{{Kind: "Group", Name: "g"}}, NothingElse: true})}
		r, err := c.Compare(stored, version)
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[DifferenceKind]bool{}
		for _, d := range r.Differences {
			kinds[d.Kind] = true
		}
		if stored == wanted && len(kinds) > 0 {
			t.Fatalf("the same differs: %+v\n%s", r.Differences, show(stored))
		}
		for _, q := range requests {
			_, want, _ := rbac.AccessOf(wanted).Can(who, q)
			_, got, _ := rbac.AccessOf(stored).Can(who, q)
			if got && !want && !kinds[Extra] {
				t.Fatalf("%s is allowed and not listed, and nothing is said\nwanted\n%s\nstored\n%s", q, show(wanted), show(stored))
			}
			if want && !got && !kinds[Missing] {
				t.Fatalf("%s is listed and not allowed, and nothing is said\nwanted\n%s\nstored\n%s", q, show(wanted), show(stored))
			}
			if got != want {
				differ++
			} else {
				same++
			}
		}
		g.forbidden(t, stored, requests)
	}
	t.Logf("compared %d requests, %d of which differ", differ+same, differ)
}

// forbidden takes a request that must not be: it is told if and only if something that it
// names is allowed.
func (g randomAccess) forbidden(t *testing.T, w *model.World, requests []rbac.Request) {
	t.Helper()
	q := requests[g.IntN(len(requests))]
	a := Action{Verbs: []string{q.Verb}}
	if q.URL != "" {
		a.URLs = []string{q.URL}
	} else {
		a.Resources = []rbac.Resource{{Group: q.Group, Name: q.Resource, Subresource: q.Subresource}}
	}
	r, err := (&Check{Entries: []Entry{{Subjects: []rbac.Subject{{Kind: "Group", Name: "g"}}, Cannot: []Action{a}}}}).Compare(w, version)
	if err != nil {
		t.Fatal(err)
	}
	allowed := false
	for _, q.Namespace = range []string{"", "one", "two"} {
		for _, q.Name = range []string{"", "a", "b"} {
			_, ok, _ := rbac.AccessOf(w).Can(rbac.Identity{Groups: []string{"g"}}, q)
			allowed = allowed || ok
		}
	}
	if told := len(r.Differences) > 0; told != allowed {
		t.Fatalf("%s is allowed: %v, told: %v\n%s", a, allowed, told, show(w))
	}
}

func show(w *model.World) string {
	var out strings.Builder
	for _, o := range w.Objects {
		fmt.Fprintln(&out, o.Kind, o.Namespace, o.Content["rules"])
	}
	return out.String()
}

func TestCheckMistakes(t *testing.T) {
	const head = "apiVersion: bulkhead.dev/v1\nkind: AccessCheck\nmetadata: {name: a}\nspec:\n  "
	for text, want := range map[string]string{
		"checks: []":                                                       "checks nothing",
		"checks: [{subject: a}]":                                           "checks nothing: say what they can and cannot do",
		"checks: [{can: [get pods]}]":                                      "is nobody",
		"checks: [{subjcet: a}]":                                           "c.yaml:5: spec.checks[0].subjcet is no field here",
		"checks: [{subject: sa/a}]":                                        "is no subject",
		"checks: [{subject: a, can: [x]}]":                                 "write a verb and a resource",
		"checks: [{subject: a, cannot: [get secretz]}]":                    "is no resource of Kubernetes",
		"checks: [{subject: a, namespaces: [b], can: [list nodes]}]":       "nodes belong to the whole cluster",
		"checks: [{subject: a, namespaces: [b], can: [get /metrics]}]":     "a URL lies in no namespace",
		"checks: [{subject: a, namespaces: [], can: [get pods]}]":          "leave it out for the whole cluster",
		"checks: [{subject: a, nothingElse: 1}]":                           "must be true or false",
		"checks: [{subject: a, subjects: [b], can: [get pods]}]":           "stands beside subject",
		"checks: [{subjects: [a, User/a], can: [get pods]}]":               "is User a a second time",
		"holders: [{role: a, subjects: [a]}]":                              "must be ClusterRole/NAME or Role/NAME",
		"holders: [{role: Role/a, subjects: [a]}]":                         "a Role is in one",
		"holders: [{role: ClusterRole/a}]":                                 "is nobody",
		"checks: [{subject: a, can: [get pods]}]\n  extra: 1":              "c.yaml:6: spec.extra is no field here",
		"checks: [{subject: a, becomesAccountsOf: b}]":                     "must be a list",
		"checks: [{subject: a, can: [get pods], inGroups: [\"\"]}]":        "is empty: name a group",
		"checks: [{subject: a, can: [get pods], about: 1}]":                "must be a string",
		"checks: [{subject: a, can: [get pods], about: \"a\\u001b[1mb\"}]": "control characters",
	} {
		o := manifest.NewDecoder().Decode(model.Source{File: "c.yaml"}, []byte(head+text)).Objects[0]
		if _, err := ParseCheck(o); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "c.yaml:") {
			t.Errorf("%s: %v does not say %q", text, err, want)
		}
	}
}

// TestUnknown: what could not be read is neither missing nor in order.
func TestUnknown(t *testing.T) {
	o := model.WorldOptions{Live: true, Unobserved: []model.Unobserved{{GroupKind: model.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}, Namespace: "shop", Reason: "forbidden"}}}
	c := &Check{Entries: []Entry{{Subjects: []rbac.Subject{{Kind: "Group", Name: "g"}}, Namespaces: []string{"shop"}, Can: []Action{{Verbs: []string{"get"}, Resources: []rbac.Resource{{Name: "pods"}}}}}}}
	r, err := c.Compare(model.NewWorld(nil, o), version)
	if err != nil || len(r.Differences) > 0 || len(r.Unknown) != 1 || !strings.Contains(r.Unknown[0], "forbidden") {
		t.Errorf("%v: %+v", err, r)
	}
}
