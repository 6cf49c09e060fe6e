package rbac

import (
	"fmt"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// jointWorldOf has a namespace with accounts that make Secrets where cluster admin is, and
// others that read them, so many of each. All accounts of 50 namespaces for a thousand,
// 20 bindings in each, may have tokens of them. One of them leads to cluster admin alone,
// by so many others.
func jointWorldOf(thousands, parts, relays int) *model.World {
	var objects []*model.Object
	add := func(apiVersion, kind, namespace, name string, content map[string]any) {
		meta := map[string]any{"name": name}
		if namespace != "" {
			meta["namespace"] = namespace
		}
		content["apiVersion"], content["kind"], content["metadata"] = apiVersion, kind, meta
		o, _ := model.NewObject(content, nil, model.Source{})
		objects = append(objects, o)
	}
	const v1 = apiGroup + "/v1"
	bind := func(kind, namespace, role string, subject map[string]any) {
		add(v1, kind+"Binding", namespace, role, map[string]any{"roleRef": map[string]any{"apiGroup": apiGroup, "kind": kind, "name": role}, "subjects": []any{subject}})
	}
	grant := func(namespace, role, resource, verb string, subject map[string]any) {
		add(v1, "Role", namespace, role, map[string]any{"rules": []any{map[string]any{"apiGroups": []any{""}, "resources": []any{resource}, "verbs": []any{verb}}}})
		bind("Role", namespace, role, subject)
	}
	account := func(namespace, name string) map[string]any {
		add("v1", "ServiceAccount", namespace, name, map[string]any{})
		return map[string]any{"kind": "ServiceAccount", "namespace": namespace, "name": name}
	}
	add(v1, "ClusterRole", "", clusterAdmin, map[string]any{"rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"*"}}}})
	bind("ClusterRole", "", clusterAdmin, account("ops", "boss"))
	for i := range parts {
		grant("ops", fmt.Sprint("make-", i), "secrets", "create", account("tools", fmt.Sprint("maker-", i)))
		grant("ops", fmt.Sprint("read-", i), "secrets", "get", account("tools", fmt.Sprint("reader-", i)))
	}
	if relays > 0 {
		who := account("tools", "relay")
		for i := range relays - 1 {
			ns := fmt.Sprint("relay-", i)
			next := account(ns, "relay")
			grant(ns, "relay", "serviceaccounts/token", "create", who)
			who = next
		}
		grant("ops", "relay", "serviceaccounts/token", "create", who)
	}
	for i := range 50 * thousands {
		for n := range 5 {
			namespace := fmt.Sprint("ns-", i)
			who := account(namespace, fmt.Sprint("sa-", n))
			for _, resource := range []string{"pods", "configmaps", "events"} {
				grant(namespace, fmt.Sprint(resource, "-", n), resource, "get", who)
			}
			grant("tools", fmt.Sprint("token-", n, "-", i), "serviceaccounts/token", "create", who)
		}
	}
	return model.NewWorld(objects, model.WorldOptions{Live: true})
}

// BenchmarkJointEscalations measures the shortest chains of a large cluster in which each
// takes several identities, or alone more steps.
func BenchmarkJointEscalations(b *testing.B) {
	for _, parts := range []int{5, 100} {
		b.Run(fmt.Sprint(parts), func(b *testing.B) { benchmarkEscalations(b, jointWorldOf(10, parts, 0)) })
	}
	b.Run("100-shorter", func(b *testing.B) { benchmarkEscalations(b, jointWorldOf(10, 100, 3)) })
	b.Run("100-as-long", func(b *testing.B) { benchmarkEscalations(b, jointWorldOf(10, 100, 2)) })
}
