package network

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

var defaultDenyEgress = check.Control{
	Rule: finding.Rule{
		Name: "default-deny-egress", Title: "Namespaces deny egress by default", Severity: finding.Medium, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "A pod that may connect anywhere fetches an attacker's tools, sends what it holds to the internet, " +
			"and asks the cloud's metadata service for the node's credentials.",
		Remedy: "Add a NetworkPolicy with podSelector: {} and policyTypes: [Egress] that allows DNS (UDP and TCP port 53) and nothing else, " +
			"and beside it one policy for each connection that is wanted.",
		FixSafety: finding.FixManual,
	},
	Subsumes: []string{"no-metadata-access", "no-node-access", "no-open-internet-egress", "no-half-isolated-namespaces"},
	FixNote:  "Decide which connections the pods need; the policies that allow them have to be there first.",
	Needs:    defaultDenyNeeds,
	World:    judgeDefaultDeny(reach.Egress),
	Examples: check.Examples{
		Bad: []string{`# Without policyTypes a policy without egress rules is about ingress alone.
apiVersion: v1
kind: Namespace
metadata:
  name: shop # want
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: deny
  namespace: shop
spec:
  podSelector: {}
---
apiVersion: v1
kind: Namespace
metadata:
  name: internet # want
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: internet
  namespace: internet
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - ipBlock: {cidr: 0.0.0.0/0}
`},
		Good: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: dns
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - ports:
        - {port: 53, protocol: UDP}
        - {port: 53, protocol: TCP}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: public
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32, 10.0.0.0/8]}
`, `apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata:
  name: nothing-out
spec:
  tier: Baseline
  priority: 100
  subject:
    namespaces: {}
  egress:
    - action: Deny
      to:
        - networks: [0.0.0.0/0, "::/0"]
`},
	},
}
