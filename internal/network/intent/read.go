package intent

import (
	"bulkhead.dev/bulkhead/internal/form"
	"bulkhead.dev/bulkhead/internal/model"
)

// Bounds of a file: far above what people write.
const (
	maxAssertions = 1000
	maxEnds       = 200
)

// reader reads an object field by field.
type reader struct{ form.Reader }

// label returns the name of a namespace; empty where there is none.
func (r *reader) label(at model.Path, v any) string { return r.Label(at, v, "name a namespace") }

// header reads what every object has, and returns its spec.
func (r *reader) header(fields ...string) map[string]any {
	if !r.Header(Kind) {
		return nil
	}
	r.Fields(nil, r.Object.Content, "apiVersion", "kind", "metadata", "spec")
	if m := r.Object.Content["metadata"]; m != nil {
		at := model.Path{model.Key("metadata")}
		if meta := r.Fields(at, m, "name", "labels", "annotations"); meta["name"] != nil {
			r.Name(at.Keys("name"), meta["name"], "name the file, or leave it out")
		}
	}
	return r.Fields(model.Path{model.Key("spec")}, r.Object.Content["spec"], fields...)
}
