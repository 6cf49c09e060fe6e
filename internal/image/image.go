// Package image holds the controls of what pods run: references to images, and
// the registries that they come from.
package image

import (
	"embed"
	"io/fs"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
)

//go:embed controls/*.yaml
var files embed.FS

// Controls lists the controls of this package.
func Controls() ([]*check.Control, error) {
	dir, err := fs.Sub(files, "controls")
	if err != nil {
		return nil, err
	}
	return admission.ParseControls(dir, nil)
}
