package rbac

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
)

func dump(w *model.World) string {
	var out strings.Builder
	for _, o := range w.Objects {
		fmt.Fprintln(&out, o.Content)
	}
	return out.String()
}

// twinGenerator makes small random worlds, in which names meet.
type twinGenerator struct {
	*rand.Rand
	// split gives what does more together to several accounts.
	split bool
	// alone has an account get there without others.
	alone bool
	// inGroups gives a part of it to groups that they are always in.
	inGroups bool
}

// addSplit has a user become two accounts of a namespace, each of which may do a part of
// what does more together, there or in the whole cluster.
func (g *twinGenerator) addSplit(add func(apiVersion, kind, namespace, name string, content map[string]any), ref func(kind, name string) map[string]any) {
	const v1 = apiGroup + "/v1"
	ns := g.one("c", "c", "c", "a") // one of c is cluster admin
	set := splitSets[g.IntN(len(splitSets))]
	parts := [][]any{{}, {}}
	for n := range parts {
		for _, i := range set[n] {
			rule := g.rule(i)
			if g.IntN(2) == 0 {
				delete(rule, "resourceNames")
			}
			parts[n] = append(parts[n], rule)
		}
	}
	kind, in := "Role", ns
	if g.IntN(2) == 0 {
		kind, in = "ClusterRole", ""
	}
	mint := g.rule(0)
	mint["resourceNames"] = []any{"x", "y"}
	for n, rules := range append(parts, []any{mint}) {
		name, kind, in := fmt.Sprint("part", n), kind, in
		subject := map[string]any{"kind": "ServiceAccount", "namespace": ns, "name": twinNames[n]}
		if n == 2 {
			kind, in, subject = "Role", ns, map[string]any{"kind": "User", "name": "u"}
		}
		add(v1, kind, in, name, map[string]any{"rules": rules})
		add(v1, kind+"Binding", in, name, map[string]any{"roleRef": ref(kind, name), "subjects": []any{subject}})
		if n < 2 {
			add("v1", "ServiceAccount", ns, twinNames[n], map[string]any{})
		}
	}
	add("v1", "Secret", ns, "s2", map[string]any{"type": "kubernetes.io/service-account-token", "annotations": map[string]any{"kubernetes.io/service-account.name": g.one(twinNames...)}})
}

func (g *twinGenerator) one(from ...string) string { return from[g.IntN(len(from))] }

var (
	twinNamespaces = []string{"a", "b", "c"}
	twinNames      = []string{"x", "y", "default"}
	twinUsers      = []string{"u", "v"}
	twinTeams      = []string{"dev", "system:serviceaccounts:a", "system:serviceaccounts", "system:authenticated"}
	twinRules      = []string{
		"/serviceaccounts/token create", "/secrets get", "/secrets list", "/secrets create", "/secrets patch", "/serviceaccounts create", "/pods create",
		"/replicationcontrollers create", "apps/deployments patch", "apps/deployments update", "batch/cronjobs update", "batch/jobs create", "batch/jobs update", "/pods patch", "/pods update",
		"/pods/ephemeralcontainers patch", "/pods/exec create", "/pods/exec get", "/pods/attach create", "/nodes/proxy get", "/users impersonate",
		"/groups impersonate", "/serviceaccounts impersonate", "R/clusterroles escalate", "R/clusterroles patch", "R/clusterroles create", "R/roles escalate", "R/roles update",
		"R/clusterroles bind", "R/roles bind", "R/clusterrolebindings create", "R/clusterrolebindings patch", "R/rolebindings create", "R/rolebindings patch", "R/rolebindings update",
		"certificates.k8s.io/certificatesigningrequests create", "certificates.k8s.io/certificatesigningrequests watch", "certificates.k8s.io/certificatesigningrequests/approval update", "certificates.k8s.io/signers approve",
		"admissionregistration.k8s.io/mutatingwebhookconfigurations create", "admissionregistration.k8s.io/mutatingwebhookconfigurations patch",
		"admissionregistration.k8s.io/mutatingadmissionpolicies create", "admissionregistration.k8s.io/mutatingadmissionpolicies update", "admissionregistration.k8s.io/mutatingadmissionpolicybindings patch",
		"A/users impersonate:user-info", "A/groups impersonate:user-info", "A/serviceaccounts impersonate:serviceaccount",
		"R/clusterrolebindings impersonate-on:user-info:create", "/secrets impersonate-on:serviceaccount:create", "/secrets impersonate-on:serviceaccount:list",
		"/serviceaccounts/token impersonate-on:serviceaccount:create", "R/rolebindings impersonate-on:serviceaccount:create", "R/roles impersonate-on:serviceaccount:update",
		"/secrets impersonate-on:user-info:get", "/pods impersonate-on:user-info:create", "*/* *",
	}
	// twinSets are rules that do more together.
	twinSets = [][]int{{1, 3}, {2, 4}, {3, 4, 1}, {20, 21}, {22, 21}, {23, 24}, {23, 25}, {23, 25, 24}, {26, 27}, {28, 30}, {28, 31}, {28, 30, 31}, {28, 32}, {29, 32}, {28, 33}, {29, 34}, {35, 36, 37, 38}, {39}, {40}, {41, 43}, {42, 43}, {0, 5}, {44, 47}, {44, 45, 53}, {44, 45, 54}, {46, 50}, {46, 48, 49}, {46, 51}, {46, 52}}
	// splitSets are rules that do more together even where several accounts have them.
	splitSets = [][2][]int{{{1}, {3}}, {{3}, {2}}, {{23, 24}, {1}}, {{23, 25}, {1}}, {{26, 27}, {2}}, {{35}, {36, 37, 38}}, {{37, 38}, {35, 36}}, {{41}, {43}}, {{43}, {42}}, {{28, 30}, {24}}, {{28, 31}, {23}}, {{28, 32}, {1}}}
	twinNamed = []string{"x", "y", "r0", "r1", "c0", "c1", "c2", "part0", "part1", "cb0", "rb0", "p", "s", "u", "dev", "system:masters", "cluster-admin", "kubernetes.io/*", ""}
)

func (g *twinGenerator) rule(i int) map[string]any {
	what, verb, _ := strings.Cut(twinRules[i], " ")
	group, resource, _ := strings.Cut(what, "/")
	switch group {
	case "R":
		group = apiGroup
	case "A":
		group = "authentication.k8s.io"
	}
	r := map[string]any{"apiGroups": []any{group}, "resources": []any{resource}, "verbs": []any{verb}}
	if g.IntN(3) == 0 {
		r["resourceNames"] = []any{g.one(twinNamed...), g.one(twinNamed...)}
	}
	return r
}

func (g *twinGenerator) rules() []any {
	var out []any
	if g.split && g.IntN(4) > 0 {
		return out // little else, so that the parts are needed
	}
	for range g.IntN(3) {
		set := []int{g.IntN(len(twinRules) - 1)}
		switch n := g.IntN(24); {
		case n == 0:
			set = []int{len(twinRules) - 1}
		case n < 12:
			set = twinSets[g.IntN(len(twinSets))]
		}
		for _, i := range set {
			out = append(out, g.rule(i))
		}
	}
	return out
}

func (g *twinGenerator) subjects() []any {
	var out []any
	for range 1 + g.IntN(2) {
		switch g.IntN(8) {
		case 0:
			out = append(out, map[string]any{"kind": "User", "name": g.one(twinUsers...)})
		case 1:
			out = append(out, map[string]any{"kind": "Group", "name": g.one(twinTeams...)})
		default:
			out = append(out, map[string]any{"kind": "ServiceAccount", "namespace": g.one(twinNamespaces...), "name": g.one(twinNames...)})
		}
	}
	return out
}

func (g *twinGenerator) world() *model.World {
	var objects []*model.Object
	add := func(apiVersion, kind, namespace, name string, content map[string]any) {
		meta := map[string]any{"name": name}
		if namespace != "" {
			meta["namespace"] = namespace
		}
		for k, v := range content {
			if k == "annotations" || k == "labels" {
				meta[k] = v
				delete(content, k)
			}
		}
		content["apiVersion"], content["kind"], content["metadata"] = apiVersion, kind, meta
		o, _ := model.NewObject(content, nil, model.Source{})
		objects = append(objects, o)
	}
	const v1 = apiGroup + "/v1"
	add(v1, "ClusterRole", "", "cluster-admin", map[string]any{"rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"*"}}}})
	for i := range 3 {
		content := map[string]any{"rules": g.rules()}
		if i == 2 {
			content["aggregationRule"] = map[string]any{"clusterRoleSelectors": []any{map[string]any{"matchLabels": map[string]any{"a": "b"}}}}
		}
		add(v1, "ClusterRole", "", fmt.Sprint("c", i), content)
	}
	ref := func(kind, name string) map[string]any {
		return map[string]any{"apiGroup": apiGroup, "kind": kind, "name": name}
	}
	account := map[string]any{"kind": "ServiceAccount", "namespace": "c", "name": g.one(twinNames...)}
	if g.split {
		account["name"] = "default"
	}
	add(v1, "ClusterRoleBinding", "", "cb0", map[string]any{"roleRef": ref("ClusterRole", "cluster-admin"), "subjects": []any{account}})
	add(v1, "ClusterRoleBinding", "", "cb1", map[string]any{"roleRef": ref("ClusterRole", g.one("c0", "c1", "c2", "missing", "missing", "missing", "missing")), "subjects": g.subjects()})
	for _, ns := range twinNamespaces {
		add("v1", "Namespace", "", ns, map[string]any{})
		for i := range 3 {
			add(v1, "Role", ns, fmt.Sprint("r", i), map[string]any{"rules": g.rules()})
			to := ref("Role", g.one("r0", "r1", "r2"))
			if g.IntN(3) == 0 {
				to = ref("ClusterRole", g.one("c0", "c1", "c2"))
			}
			add(v1, "RoleBinding", ns, fmt.Sprint("rb", i), map[string]any{"roleRef": to, "subjects": g.subjects()})
		}
		if g.IntN(2) == 0 {
			add("v1", "ServiceAccount", ns, g.one("x", "y"), map[string]any{})
		}
		if g.IntN(2) == 0 {
			add("v1", "Pod", ns, "p", map[string]any{"spec": map[string]any{"serviceAccountName": g.one(twinNames...), "containers": []any{}}})
		}
		if g.IntN(2) == 0 {
			add("v1", "Secret", ns, "s", map[string]any{"type": "kubernetes.io/service-account-token", "annotations": map[string]any{"kubernetes.io/service-account.name": g.one(twinNames...)}})
		}
		if g.IntN(2) == 0 {
			add("apps/v1", "Deployment", ns, g.one("x", "y"), map[string]any{"spec": map[string]any{}})
		}
		if g.IntN(2) == 0 {
			add("batch/v1", "CronJob", ns, g.one("x", "y"), map[string]any{"spec": map[string]any{}})
		}
	}
	if g.split {
		g.addSplit(add, ref)
	}
	for _, kind := range []string{"MutatingWebhookConfiguration", "MutatingAdmissionPolicy"} {
		if g.IntN(2) == 0 {
			add("admissionregistration.k8s.io/v1", kind, "", g.one("x", "y"), map[string]any{})
		}
	}
	return model.NewWorld(objects, model.WorldOptions{Live: true})
}
