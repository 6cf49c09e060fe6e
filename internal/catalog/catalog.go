// Package catalog is every control, profile and framework in one list. Which
// requirement of which framework a control serves is said here and nowhere else.
package catalog

//go:generate go run ./gendocs -o ../../docs/controls

import (
	"cmp"
	"fmt"
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/controlplane"
	"bulkhead.dev/bulkhead/internal/image"
	"bulkhead.dev/bulkhead/internal/network"
	"bulkhead.dev/bulkhead/internal/rbac"
	"bulkhead.dev/bulkhead/internal/workload"
)

// Controls returns every control, by name.
func Controls() ([]*check.Control, error) {
	var all []*check.Control
	for _, domain := range []func() ([]*check.Control, error){
		workload.Controls,
		image.Controls,
		controlplane.Controls,
		network.Controls,
		rbac.Controls,
	} {
		controls, err := domain()
		if err != nil {
			return nil, err
		}
		all = append(all, controls...)
	}
	slices.SortFunc(all, func(a, b *check.Control) int { return cmp.Compare(a.Name, b.Name) })
	names := map[string]bool{}
	for _, c := range all {
		if names[c.Name] {
			return nil, fmt.Errorf("there are two controls named %q", c.Name)
		}
		names[c.Name] = true
	}
	for _, c := range all {
		if err := c.Validate(); err != nil {
			return nil, err
		}
		for _, weaker := range c.Subsumes {
			if !names[weaker] {
				return nil, fmt.Errorf("control %q subsumes %q, which does not exist", c.Name, weaker)
			}
		}
	}
	return all, Attach(all)
}
