// Package workload holds the controls of pods and of what runs them: the Pod
// Security Standards and beyond.
package workload

import (
	"embed"
	"io/fs"
	"slices"

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
	controls, err := admission.ParseControls(dir, podSecurityJudges())
	if err != nil {
		return nil, err
	}
	return slices.Concat(controls, namespaceControls(), serviceAccountControls()), nil
}
