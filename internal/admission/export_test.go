package admission

import (
	"context"

	"bulkhead.dev/bulkhead/internal/model"
)

// Patched is what the API server's patch package makes of an object.
func (m *Mutation) Patched(ctx context.Context, o *model.Object) (map[string]any, error) {
	path := anyBuiltin
	if p := o.Pod(); p != nil && !builtinPods[o.GroupKind] {
		path = p.Path.String()
	}
	c, err := m.at(path)
	if err != nil {
		return nil, err
	}
	return c.patched(ctx, attributesOf(o))
}
