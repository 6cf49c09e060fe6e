package rbac

import (
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// world makes a world of YAML documents.
func world(t *testing.T, text string, options ...model.WorldOptions) *model.World {
	t.Helper()
	file := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text))
	if text != "" {
		for _, p := range file.Problems {
			t.Fatalf("line %d: %s", p.Location.Line, p.Message)
		}
	}
	o := model.WorldOptions{}
	if len(options) > 0 {
		o = options[0]
	}
	return model.NewWorld(file.Objects, o)
}
