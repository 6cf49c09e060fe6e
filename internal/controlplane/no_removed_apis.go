package controlplane

import (
	"fmt"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

var noRemovedAPIs = check.Control{
	Rule: finding.Rule{
		Name: "no-removed-apis", Title: "Objects use versions of the API that the cluster serves", Severity: finding.High, Layer: finding.LayerControlPlane, Since: "v0.1",
		Why: "The API server refuses an object in a version that it no longer serves: a deployment stops half way, " +
			"and what the object should have guarded, a PodSecurityPolicy or a NetworkPolicy for instance, is not guarded.",
		Remedy:    "Write the object in the version that the finding names. Fields may have moved; kubectl convert helps.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide how the fields that moved or are gone are written in the new version.",
	World: judgeVersions(func(l lifecycle, v versionedKind, version int) string {
		if l.removed == 0 || l.removed > version {
			return ""
		}
		return fmt.Sprintf("%s %s is not served from Kubernetes 1.%d on; %s", v.apiVersion, v.kind, l.removed, l.advice(v.kind, version))
	}),
	Examples: check.Examples{
		Bad: []string{`apiVersion: extensions/v1beta1 # want
kind: Ingress
metadata:
  name: shop
spec:
  backend: {serviceName: web, servicePort: 80}
---
apiVersion: policy/v1beta1 # want
kind: PodSecurityPolicy
metadata:
  name: restricted
spec:
  privileged: false
---
apiVersion: batch/v1beta1 # want
kind: CronJob
metadata:
  name: report
spec:
  schedule: "@daily"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: report
              image: example.com/report:1
`},
		Good: []string{`# A custom resource may have a group and version that look like one.
apiVersion: batch/v1
kind: CronJob
metadata:
  name: report
spec:
  schedule: "@daily"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: report
              image: example.com/report:1
---
apiVersion: extensions.example.com/v1beta1
kind: Ingress
metadata:
  name: own
---
apiVersion: resource.k8s.io/v1beta2
kind: DeviceClass
metadata:
  name: gpu
spec: {}
`},
	},
}
