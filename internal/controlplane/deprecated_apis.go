package controlplane

import (
	"fmt"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

var deprecatedAPIs = check.Control{
	Rule: finding.Rule{
		Name: "deprecated-apis", Title: "Objects use versions of the API that will stay", Severity: finding.Low, Layer: finding.LayerControlPlane, Since: "v0.1",
		Why: "A deprecated version is gone some releases later. Until its last user has moved, the cluster cannot be upgraded, " +
			"and stays without the fixes of newer releases.",
		Remedy:    "Write the object in the version that the finding names.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide how the fields that moved are written in the new version.",
	World: judgeVersions(func(l lifecycle, v versionedKind, version int) string {
		if l.deprecated == 0 || l.deprecated > version || l.removed != 0 && l.removed <= version {
			return ""
		}
		until := ""
		if l.removed > 0 {
			until = fmt.Sprintf(" and is gone in 1.%d", l.removed)
		}
		return fmt.Sprintf("%s %s is deprecated since Kubernetes 1.%d%s; %s", v.apiVersion, v.kind, l.deprecated, until, l.advice(v.kind, version))
	}),
	Examples: check.Examples{
		Bad: []string{`apiVersion: resource.k8s.io/v1beta2 # want
kind: DeviceClass
metadata:
  name: gpu
spec: {}
---
apiVersion: v1 # want
kind: Endpoints
metadata:
  name: legacy
subsets:
  - addresses: [{ip: 192.0.2.10}]
    ports: [{port: 5432}]
`},
		Good: []string{`apiVersion: resource.k8s.io/v1
kind: DeviceClass
metadata:
  name: gpu
spec: {}
---
apiVersion: v1
kind: Service
metadata:
  name: legacy
spec:
  ports:
    - port: 5432
---
# What is gone is not deprecated any more: no-removed-apis reports it.
apiVersion: policy/v1beta1
kind: PodDisruptionBudget
metadata:
  name: web
`},
	},
}
