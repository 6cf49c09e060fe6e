package controlplane

import (
	"strings"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

var resourceQuotaKind = model.GroupKind{Kind: "ResourceQuota"}

// boundsCompute reports whether a quota bounds what pods may use, or how many
// there may be. One for some pods only (scopes) does not bound the namespace.
func boundsCompute(o *model.Object) bool {
	if len(o.List("spec", "scopes")) > 0 || len(o.List("spec", "scopeSelector", "matchExpressions")) > 0 {
		return false
	}
	for resource := range o.Map("spec", "hard") {
		switch strings.TrimPrefix(strings.TrimPrefix(resource, "requests."), "limits.") {
		case "cpu", "memory", "pods", "count/pods":
			return true
		}
	}
	return false
}

var namespaceQuota = check.Control{
	Rule: finding.Rule{
		Name: "namespace-quota", Title: "Namespaces have a quota", Severity: finding.Low, Layer: finding.LayerNamespace, Since: "v0.1",
		Why: "Without a ResourceQuota one namespace can fill the cluster, by a bug, a runaway autoscaler or a miner, " +
			"and the pods of all others stay pending.",
		Remedy:    "Add a ResourceQuota that bounds CPU, memory or the number of pods.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide how much the namespace may use.",
	Needs:   []model.GroupKind{namespaceKind, resourceQuotaKind},
	World:   judgeNamespaces(resourceQuotaKind, boundsCompute, "no ResourceQuota bounds what its pods may use"),
	Examples: check.Examples{
		Bad: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop # want
---
apiVersion: v1
kind: Namespace
metadata:
  name: services # want
---
apiVersion: v1
kind: ResourceQuota
metadata:
  name: services
  namespace: services
spec:
  hard:
    services.loadbalancers: "1"
`},
		Good: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: v1
kind: ResourceQuota
metadata:
  name: compute
  namespace: shop
spec:
  hard:
    requests.cpu: "20"
    limits.memory: 64Gi
---
apiVersion: v1
kind: Namespace
metadata:
  name: kube-system
`},
	},
}
