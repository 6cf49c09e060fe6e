package network

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

var defaultDenyIngress = check.Control{
	Rule: finding.Rule{
		Name: "default-deny-ingress", Title: "Namespaces deny ingress by default", Severity: finding.Medium, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "Without a policy every pod of the cluster may connect to every port of these pods. One that is broken into " +
			"reaches the databases and the internal interfaces of all others.",
		Remedy: "Add a NetworkPolicy with podSelector: {} and policyTypes: [Ingress] and no rules, " +
			"and beside it one policy for each connection that is wanted.",
		FixSafety: finding.FixManual,
	},
	Subsumes: []string{"no-half-isolated-namespaces"},
	FixNote:  "Decide which connections the pods need; the policies that allow them have to be there first.",
	Needs:    defaultDenyNeeds,
	World:    judgeDefaultDeny(reach.Ingress),
	Examples: check.Examples{
		Bad: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop # want
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: database
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: database}
  ingress:
    - from:
        - podSelector: {matchLabels: {app: web}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - name: web
          image: example.com/web:1
`, `# Egress is denied, ingress is not: the policy is about egress alone.
apiVersion: v1
kind: Namespace
metadata:
  name: egress-only # want
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: deny
  namespace: egress-only
spec:
  podSelector: {}
  policyTypes: [Egress]
---
apiVersion: v1
kind: Namespace
metadata:
  name: allow-all # want
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: deny
  namespace: allow-all
spec:
  podSelector: {}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow
  namespace: allow-all
spec:
  podSelector: {}
  ingress:
    - {}
`},
		Good: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: deny
  namespace: shop
spec:
  podSelector: {}
  ingress: []
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: front
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: web}
  ingress:
    - {}
`, `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {tenant: a}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata:
  name: default
spec:
  subject:
    namespaces: {matchLabels: {tenant: a}}
  ingress:
    - name: monitoring
      action: Allow
      from:
        - namespaces: {matchLabels: {kubernetes.io/metadata.name: monitoring}}
    - name: others
      action: Deny
      from:
        - namespaces: {}
`},
	},
}
