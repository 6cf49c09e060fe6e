package conformance

import (
	"testing"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestFixedTogether gives every example all the fixes that concern it, and sends it
// to the API server: what it took before it must take then, or two fixes do not go
// together.
func TestFixedTogether(t *testing.T) {
	c := connect(t)
	controls, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	var fixes []*admission.Mutation
	for _, control := range check.FixOrder(controls) {
		if control.FixPolicy() != nil {
			m, err := admission.CompileMutation(control, check.Defaults(controls)[control.Name])
			if err != nil {
				t.Fatal(err)
			}
			fixes = append(fixes, m)
		}
	}
	sent := 0
	for _, control := range controls {
		for _, o := range examples(t, control) {
			if o.List("spec", "ephemeralContainers") != nil {
				continue // such a pod exists already; nobody makes one
			}
			if _, err := c.create(t.Context(), o); err != nil {
				continue
			}
			for _, m := range fixes {
				if !m.Concerns(o) {
					continue
				}
				content, err := m.Apply(t.Context(), o)
				if err != nil {
					t.Fatalf("%s of %s: %v", o.Ref(), control.Name, err)
				}
				o, _ = model.NewObject(content, nil, model.Source{})
				model.NewWorld([]*model.Object{o}, model.WorldOptions{})
			}
			if _, err := c.create(t.Context(), o); err != nil {
				t.Errorf("%s of %s with all fixes: %v", o.Ref(), control.Name, err)
			}
			sent++
		}
	}
	t.Logf("sent %d objects", sent)
}
