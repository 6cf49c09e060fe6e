package cluster

import (
	"maps"
	"slices"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestElsewhere: where one namespace is read, those that its objects name are not
// taken for empty ones.
func TestElsewhere(t *testing.T) {
	f := manifest.NewDecoder().Decode(model.Source{File: "f.yaml"}, []byte(`apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: shop}
subjects:
- {kind: ServiceAccount, name: runner, namespace: ci}
- {kind: User, name: "system:serviceaccount:ops:admin"}
- {kind: Group, name: "system:serviceaccounts:team"}
- {kind: User, name: "jane"}
`))
	accounts := model.GroupKind{Kind: "ServiceAccount"}
	roles := model.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}
	r := &reader{Options: Options{Namespace: "shop"}, lists: []*list{{resource: resource{GroupKind: accounts, namespaced: true}}, {resource: resource{GroupKind: roles}}}}
	r.elsewhere(f.Objects)
	named := map[string]bool{}
	for _, u := range r.unobserved {
		if u.GroupKind == accounts {
			named[u.Namespace] = true
		}
		if u.GroupKind == roles || u.Reason != "only namespace shop was read" {
			t.Errorf("%+v", u)
		}
	}
	if got := slices.Sorted(maps.Keys(named)); !slices.Equal(got, []string{"ci", "ops", "team"}) {
		t.Errorf("got %v", got)
	}
}

func TestNamespaceName(t *testing.T) {
	if _, err := Read(t.Context(), nil, Options{Namespace: "../../version"}); err == nil {
		t.Error("a path was taken for a namespace")
	}
}
