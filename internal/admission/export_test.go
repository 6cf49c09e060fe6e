package admission

import (
	"context"

	"bulkhead.dev/bulkhead/internal/model"
)

// Patched is what the API server's patch package makes of an object.
func (m *Mutation) Patched(ctx context.Context, o *model.Object) (map[string]any, error) {
	c, err := m.forObject(o)
	if err != nil {
		return nil, err
	}
	return c.patched(ctx, attributesOf(o))
}
