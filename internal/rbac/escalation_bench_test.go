package rbac

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// escalationWorld is accessWorld with all its service accounts, and a pod, a token and a
// Deployment of each. One account of each tenth namespace may bind roles in the next,
// and one in the cluster is cluster admin, so that chains are long. Where everybody is true,
// system:authenticated is bound in each namespace, too.
func escalationWorld(everybody bool) *model.World { return escalationWorldOf(10, everybody) }

// escalationWorldOf is the same of thousands of bindings.
func escalationWorldOf(thousands int, everybody bool) *model.World {
	namespaces := 50 * thousands
	objects := accessWorldOf(thousands).Objects
	add := func(apiVersion, kind, namespace, name string, content map[string]any) {
		meta := map[string]any{"name": name}
		if namespace != "" {
			meta["namespace"] = namespace
		}
		if content["annotations"] != nil {
			meta["annotations"] = content["annotations"]
		}
		content["apiVersion"], content["kind"], content["metadata"] = apiVersion, kind, meta
		o, _ := model.NewObject(content, nil, model.Source{})
		objects = append(objects, o)
	}
	const v1 = apiGroup + "/v1"
	add(v1, "ClusterRole", "", clusterAdmin, map[string]any{"rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"*"}}}})
	add(v1, "ClusterRole", "", "binder", map[string]any{"rules": []any{map[string]any{"apiGroups": []any{apiGroup}, "resources": []any{"clusterroles", "rolebindings"}, "verbs": []any{"bind", "create", "patch"}}}})
	bind := func(kind, namespace, role string, account int) {
		add(v1, kind, namespace, "e-"+role, map[string]any{"roleRef": map[string]any{"apiGroup": apiGroup, "kind": "ClusterRole", "name": role},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": fmt.Sprintf("ns-%d", account), "name": "sa-0"}}})
	}
	bind("ClusterRoleBinding", "", clusterAdmin, 0)
	for i := 1; i < namespaces; i++ {
		if i%10 == 0 {
			bind("RoleBinding", fmt.Sprintf("ns-%d", i-1), "binder", i)
		}
	}
	for i := range namespaces {
		if everybody {
			add(v1, "RoleBinding", fmt.Sprintf("ns-%d", i), "everybody", map[string]any{"roleRef": map[string]any{"apiGroup": apiGroup, "kind": "ClusterRole", "name": "role-7"},
				"subjects": []any{map[string]any{"kind": "Group", "name": "system:authenticated"}}})
		}
		for n := range 5 {
			ns, name := fmt.Sprintf("ns-%d", i), fmt.Sprintf("sa-%d", n)
			add("v1", "ServiceAccount", ns, name, map[string]any{})
			add("v1", "Pod", ns, "pod-"+name, map[string]any{"spec": map[string]any{"serviceAccountName": name, "containers": []any{}}})
			add("v1", "Secret", ns, "token-"+name, map[string]any{"type": "kubernetes.io/service-account-token", "annotations": map[string]any{"kubernetes.io/service-account.name": name}})
			add("apps/v1", "Deployment", ns, name, map[string]any{"spec": map[string]any{}})
		}
	}
	return model.NewWorld(objects, model.WorldOptions{Live: true})
}

// BenchmarkEscalations measures all shortest chains of a large cluster, and what the
// graph holds.
func BenchmarkEscalations(b *testing.B) {
	b.Run("chains-1000", func(b *testing.B) { benchmarkEscalations(b, escalationWorldOf(1, false)) })
	b.Run("chains", func(b *testing.B) { benchmarkEscalations(b, escalationWorld(false)) })
	b.Run("chains-100000", func(b *testing.B) { benchmarkEscalations(b, escalationWorldOf(100, false)) })
	b.Run("everybody", func(b *testing.B) { benchmarkEscalations(b, escalationWorld(true)) })
	b.Run("nobody", func(b *testing.B) { benchmarkEscalations(b, withoutAdmin(escalationWorld(false))) })
}

func benchmarkEscalations(b *testing.B, w *model.World) {
	a := newAccess(w)
	if _, err := meantIn(37); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		before := heap()
		b.StartTimer()
		e, err := a.Escalations(37)
		if err != nil {
			b.Fatal(err)
		}
		found := e.ToAdmin()
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/1e6, "MB")
		b.ReportMetric(float64(len(found)), "chains")
		longest := 0
		for _, x := range found {
			longest = max(longest, len(x.Steps))
		}
		b.ReportMetric(float64(longest), "longest")
		runtime.KeepAlive(e)
		b.StartTimer()
	}
}

// withoutAdmin is a world in which nobody is bound to cluster-admin: the search has to go
// to the end for everybody.
func withoutAdmin(w *model.World) *model.World {
	objects := slices.DeleteFunc(slices.Clone(w.Objects), func(o *model.Object) bool { return o.Kind == "ClusterRoleBinding" && o.Name == "e-"+clusterAdmin })
	return model.NewWorld(objects, model.WorldOptions{Live: true})
}
