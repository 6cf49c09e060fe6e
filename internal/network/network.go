// Package network holds the controls of what can be reached: Services, Ingresses
// and Gateways from outside, and pods from each other under network policies.
package network

import (
	"embed"
	"io/fs"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
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
	for _, c := range append([]check.Control{
		defaultDenyIngress,
		defaultDenyEgress,
		distinguishableWorkloads,
		gatewayTLS,
		limitedBlastRadius,
		noExposedWorkloads,
		noNodeAccess,
		noOpenInternetEgress,
	}, lints...) {
		controls = append(controls, &c)
	}
	return controls, nil
}

var (
	namespaceKind     = model.GroupKind{Kind: "Namespace"}
	networkPolicyKind = model.GroupKind{Group: "networking.k8s.io", Kind: "NetworkPolicy"}
)
