// Package fix turns the changes that controls want of objects into changes of
// the files that people keep: manifests, the values of charts, patches of
// kustomizations. It reads and writes no file itself, and it judges nothing.
package fix

import (
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Change is what is wanted of one object.
type Change struct {
	Object *model.Object
	// Edits are a JSON Patch of add, replace and remove on the object's content
	// without the fields that are null.
	Edits []finding.Edit
	// After is that content with the edits made.
	After map[string]any
}

// Result is what changes come to in files.
type Result struct {
	// Files are the new contents of files, by the path that they have or are to
	// have. A file that is not there yet is to be made.
	Files map[string][]byte
	// Refused says of changes, by their index, why they cannot be made in whole.
	Refused map[int]string
	// Fields says for each field of those changes, by the JSON Pointer in the object,
	// why that one cannot be set. It may be left out.
	Fields map[int]map[string]string
	// Notes are for people: which value drives what, what was written out.
	Notes []string
}
