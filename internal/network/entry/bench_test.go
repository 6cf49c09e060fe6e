package entry

import (
	"fmt"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// large is a cluster of 10,000 pods, 5,000 Services and 3,000 policies in 1,000 namespaces;
// each Service has two ports, every tenth is a load balancer, and every fifth has an
// Ingress.
func large(tb testing.TB) *model.World {
	tb.Helper()
	var all []*model.Object
	add := func(o map[string]any) {
		object, ok := model.NewObject(o, nil, model.Source{})
		if !ok {
			tb.Fatal("this is no object")
		}
		all = append(all, object)
	}
	type m = map[string]any
	for i := range 1000 {
		ns := fmt.Sprintf("ns-%04d", i)
		add(m{"apiVersion": "v1", "kind": "Namespace", "metadata": m{"name": ns}})
		for k := range 10 {
			app := fmt.Sprint("app-", k/2)
			add(m{"apiVersion": "v1", "kind": "Pod", "metadata": m{"name": fmt.Sprint("p", k), "namespace": ns, "labels": m{"app": app, "team": fmt.Sprint(i % 10)}},
				"spec":   m{"containers": []any{m{"name": "c", "image": "i", "ports": []any{m{"name": "http", "containerPort": int64(8080)}}}}},
				"status": m{"phase": "Running", "podIP": fmt.Sprintf("10.%d.%d.%d", i>>8, i&255, k)}})
		}
		for k := range 5 {
			spec := m{"selector": m{"app": fmt.Sprint("app-", k)}, "ports": []any{m{"name": "a", "port": int64(80), "targetPort": "http"}, m{"name": "b", "port": int64(9000)}}}
			if (i*5+k)%10 == 0 {
				spec["type"] = "LoadBalancer"
			}
			add(m{"apiVersion": "v1", "kind": "Service", "metadata": m{"name": fmt.Sprint("app-", k), "namespace": ns}, "spec": spec})
		}
		add(m{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": m{"name": "i", "namespace": ns},
			"spec": m{"ingressClassName": "nginx", "defaultBackend": m{"service": m{"name": "app-1", "port": m{"number": int64(80)}}}}})
		policies := []m{
			{"podSelector": m{}, "policyTypes": []any{"Ingress"}},
			{"podSelector": m{"matchLabels": m{"app": "app-0"}}, "ingress": []any{m{"from": []any{m{"ipBlock": m{"cidr": fmt.Sprintf("203.0.%d.0/24", i%100)}}}}}},
			{"podSelector": m{"matchLabels": m{"app": "app-1"}}, "ingress": []any{m{"from": []any{m{"namespaceSelector": m{"matchLabels": m{"kubernetes.io/metadata.name": "ingress"}}}, m{"podSelector": m{}}}}}},
		}
		for k, spec := range policies {
			add(m{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": m{"name": fmt.Sprint("p", k), "namespace": ns}, "spec": spec})
		}
	}
	return model.NewWorld(all, model.WorldOptions{Live: true, Complete: true})
}

// BenchmarkEntries reads and judges all ways into a cluster of 10,000 pods with 5,000
// Services, 1,000 Ingresses and 3,000 policies; the engine is built beforehand.
func BenchmarkEntries(b *testing.B) {
	w := large(b)
	e := reach.New(reach.NewCluster(w, reach.Upstream))
	for b.Loop() {
		New(w, e)
	}
}

// BenchmarkServices finds the pods behind 5,000 Services.
func BenchmarkServices(b *testing.B) {
	w := large(b)
	c := reach.NewCluster(w, reach.Upstream)
	for b.Loop() {
		NewServices(w, c)
	}
}
