package workload

import (
	"testing"
	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

func TestNull(t *testing.T) {
	f := manifest.NewDecoder().Decode(model.Source{File: "x"}, []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  securityContext:\n  containers:\n  - name: a\n    securityContext:\n  - name: b\n    securityContext: {capabilities: }\n"))
	model.NewWorld(f.Objects, model.WorldOptions{})
	for _, e := range []string{
		`variables.containers.filter(k, k.c.?securityContext.?capabilities.?drop.orValue([]).exists(c, c == "ALL")).map(k, JSONPatch{op: "remove", path: k.pointer})`,
		`variables.containers.filter(k, has(k.c.securityContext)).map(k, JSONPatch{op: "add", path: k.pointer, value: 1})`,
		`variables.containers.filter(k, k.c.?securityContext.orValue({}) == null).map(k, JSONPatch{op: "add", path: k.pointer + "/x", value: 1})`,
		`variables.containers.filter(k, k.c.?securityContext.orValue(null) == null).map(k, JSONPatch{op: "add", path: k.pointer + "/x", value: 1})`,
	} {
		m, err := admission.CompileMutation(&check.Control{Object: &check.ObjectPolicy{Pods: true, Mutation: e}}, nil)
		if err != nil { t.Error(err); continue }
		got, err := m.Apply(t.Context(), f.Objects[0])
		t.Log(e, got, err)
	}
}
