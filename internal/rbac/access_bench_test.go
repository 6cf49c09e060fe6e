package rbac

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// accessWorld has 2,000 roles, 10,000 bindings and 5,000 subjects in 500 namespaces;
// one binding in twenty is of the whole cluster.
func accessWorld() *model.World { return accessWorldOf(10) }

// accessWorldOf has the same for thousands of bindings.
func accessWorldOf(thousands int) *model.World {
	roles, namespaces := 200*thousands, 50*thousands
	r := rand.New(rand.NewPCG(1, 2))
	var objects []*model.Object
	add := func(kind, namespace, name string, content map[string]any) {
		meta := map[string]any{"name": name}
		if namespace != "" {
			meta["namespace"] = namespace
		}
		content["apiVersion"], content["kind"], content["metadata"] = apiGroup+"/v1", kind, meta
		o, _ := model.NewObject(content, nil, model.Source{})
		objects = append(objects, o)
	}
	resources := []any{"pods", "pods/exec", "pods/log", "secrets", "configmaps", "services", "deployments", "jobs", "ingresses", "events", "widgets", "gadgets"}
	verbs := []any{"get", "list", "watch", "create", "update", "patch", "delete"}
	some := func(from []any) []any {
		i := r.IntN(len(from) - 2)
		return from[i : i+1+r.IntN(len(from)-i)]
	}
	for i := range roles {
		var rules []any
		for range 1 + r.IntN(5) {
			rules = append(rules, map[string]any{"apiGroups": []any{"", "apps"}[r.IntN(2) : 1+r.IntN(1)+1], "resources": some(resources), "verbs": some(verbs)})
		}
		add("ClusterRole", "", fmt.Sprintf("role-%d", i), map[string]any{"rules": rules})
	}
	for i := range 1000 * thousands {
		kind, namespace := "RoleBinding", fmt.Sprintf("ns-%d", i%namespaces)
		if i%20 == 0 {
			kind, namespace = "ClusterRoleBinding", ""
		}
		add(kind, namespace, fmt.Sprintf("b-%d", i), map[string]any{
			"roleRef":  map[string]any{"apiGroup": apiGroup, "kind": "ClusterRole", "name": fmt.Sprintf("role-%d", r.IntN(roles))},
			"subjects": []any{map[string]any{"kind": "User", "name": fmt.Sprintf("user-%d", r.IntN(5*namespaces))}, map[string]any{"kind": "ServiceAccount", "namespace": fmt.Sprintf("ns-%d", r.IntN(namespaces)), "name": fmt.Sprintf("sa-%d", r.IntN(5))}}})
	}
	return model.NewWorld(objects, model.WorldOptions{Live: true})
}

// BenchmarkAccess measures how long the index of a large cluster takes to make, and
// what it holds.
func BenchmarkAccess(b *testing.B) {
	for _, thousands := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(1000*thousands), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				w := accessWorldOf(thousands)
				before := heap()
				b.StartTimer()
				a := newAccess(w)
				b.StopTimer()
				b.ReportMetric(float64(heap()-before)/1e6, "MB")
				runtime.KeepAlive(a)
				b.StartTimer()
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkQuery measures questions of an index: the first of its kind, which finds
// the rules, is a part of each.
func BenchmarkQuery(b *testing.B) {
	a := newAccess(accessWorld())
	request := Request{Verb: "get", Resource: "secrets", Namespace: "ns-7"}
	b.Run("can", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			a.Can(IdentityOf(Subject{"User", "", fmt.Sprintf("user-%d", i%2500)}), request)
		}
	})
	b.Run("who-can", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			request.Namespace = fmt.Sprintf("ns-%d", i%500)
			a.WhoCan(request, false)
		}
	})
}
