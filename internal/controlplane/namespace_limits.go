package controlplane

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

var limitRangeKind = model.GroupKind{Kind: "LimitRange"}

// boundsContainers reports whether a LimitRange is about containers or pods, not
// about storage alone.
func boundsContainers(o *model.Object) bool {
	return slices.ContainsFunc(o.List("spec", "limits"), func(l any) bool {
		t := model.Get(l, "type")
		return t == "Container" || t == "Pod"
	})
}

var namespaceLimits = check.Control{
	Rule: finding.Rule{
		Name: "namespace-limits", Title: "Namespaces have limits for containers that name none", Severity: finding.Low, Layer: finding.LayerNamespace, Since: "v0.1",
		Why: "A container without limits takes whatever its node has, and what shares the node is evicted or starved. " +
			"A LimitRange gives a bound to those that name none.",
		Remedy:    "Add a LimitRange of type Container with default and defaultRequest.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide what a container gets that names nothing.",
	Needs:   []model.GroupKind{namespaceKind, limitRangeKind},
	World:   judgeNamespaces(limitRangeKind, boundsContainers, "no LimitRange bounds containers that name no limits"),
	Examples: check.Examples{
		Bad: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop # want
---
apiVersion: v1
kind: LimitRange
metadata:
  name: storage
  namespace: shop
spec:
  limits:
    - type: PersistentVolumeClaim
      max: {storage: 10Gi}
`},
		Good: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: v1
kind: LimitRange
metadata:
  name: containers
  namespace: shop
spec:
  limits:
    - type: Container
      default: {cpu: 500m, memory: 256Mi}
      defaultRequest: {cpu: 100m, memory: 128Mi}
`},
	},
}
