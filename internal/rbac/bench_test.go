package rbac

import (
	"fmt"
	"testing"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// BenchmarkLargeCluster judges 4,000 ClusterRoles and 20,000 RoleBindings in 1,000
// namespaces by all controls of this package that judge a whole world, and measures
// the time and memory of one assessment.
func BenchmarkLargeCluster(b *testing.B) {
	controls, err := Controls()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		w := largeWorld()
		b.StartTimer()
		for _, c := range controls {
			if c.World != nil {
				c.World(&check.Input{World: w, Version: 37})
			}
		}
	}
}

func largeWorld() *model.World {
	var objects []*model.Object
	add := func(kind, namespace, name string, content map[string]any) {
		content["apiVersion"], content["kind"], content["metadata"] = apiGroup+"/v1", kind, map[string]any{"name": name, "namespace": namespace}
		o, _ := model.NewObject(content, nil, model.Source{})
		objects = append(objects, o)
	}
	for i := range 4000 {
		add("ClusterRole", "", fmt.Sprintf("role-%d", i), map[string]any{"rules": []any{
			map[string]any{"apiGroups": []any{""}, "resources": []any{"secrets", "pods"}, "verbs": []any{"get", "create"}},
			map[string]any{"apiGroups": []any{"apps"}, "resources": []any{"*"}, "verbs": []any{"*"}}}})
	}
	for i := range 20000 {
		add("RoleBinding", fmt.Sprintf("ns-%d", i%1000), fmt.Sprintf("b-%d", i), map[string]any{
			"roleRef":  map[string]any{"apiGroup": apiGroup, "kind": "ClusterRole", "name": fmt.Sprintf("role-%d", i%4000)},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "web"}, map[string]any{"kind": "User", "name": "jane"}}})
	}
	return model.NewWorld(objects, model.WorldOptions{Live: true})
}
