// Package controlplane holds the controls of what extends and configures the API
// server through its own objects: webhooks, extension servers, API versions,
// tokens, volumes of the cluster and what bounds a namespace.
package controlplane

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
	controls, err := admission.ParseControls(dir, nil)
	if err != nil {
		return nil, err
	}
	if _, err := readLifecycles(); err != nil {
		return nil, err
	}
	for _, c := range []check.Control{deprecatedAPIs, namespaceLimits, namespaceQuota, noRemovedAPIs} {
		controls = append(controls, &c)
	}
	return controls, nil
}
