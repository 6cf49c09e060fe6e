package network

import (
	"fmt"
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

func judgeDNS(w *model.World, o *model.Object, limits bool) check.Judgement {
	locked := withoutDNS.Of(w)[o]
	switch {
	case locked == nil && !limits:
		return check.Inapplicable(o)
	case locked == nil:
		return check.Passed(o)
	case locked.unknown != "":
		return check.Unobserved(o, "%s", locked.unknown)
	}
	who := fewOf(workloadNames(locked.pods))
	by := "TCP, which long answers need"
	if slices.Contains(locked.protocols, reach.UDP) {
		by = "UDP"
		if slices.Contains(locked.protocols, reach.TCP) {
			by = "UDP and TCP"
		}
	}
	return check.Failed(o, check.Violation{Path: model.Path(nil).Keys("metadata", "name"),
		Detail: fmt.Sprintf("%s may send to others, and %s not reach the resolver by %s", who, verb(who, "does", "do"), by)})
}

var dnsAllowed = check.Control{
	Rule: finding.Rule{
		Name: "dns-allowed", Title: "Pods that may send anything may resolve names", Severity: finding.Low, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "Whoever limits what pods send and forgets the resolver cuts off everything that is called by name, and the fault looks like any other. " +
			"In a hurry the whole policy is taken away then. By TCP, answers come that are too long for UDP.",
		Remedy: "Allow UDP and TCP port 53 to the pods of the resolver: those with k8s-app: kube-dns in namespace kube-system, mostly. " +
			"OpenShift's listen at port 5353, and a cache on each node at 169.254.20.10.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which resolver the pods use.",
	Needs:   append([]model.GroupKind{{Kind: "Service"}}, reachNeeds...),
	World: func(in *check.Input) []check.Judgement {
		return append(
			eachPolicy(func(w *model.World, p *reach.Policy) check.Judgement {
				return judgeDNS(w, p.Object, p.Isolates[reach.Egress])
			})(in),
			eachTierPolicy(func(w *model.World, p *reach.TierPolicy) check.Judgement {
				return judgeDNS(w, p.Object, len(p.Rules[reach.Egress]) > 0)
			})(in)...)
	},
	Examples: check.Examples{
		Bad: []string{webPod + `---
# No resolver is seen, and no port of one is open.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web # want
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: web}
  policyTypes: [Egress]
  egress:
    - to:
        - podSelector: {matchLabels: {app: database}}
      ports:
        - {port: 5432}
`, webPod + resolverExample + `---
# By UDP only, and to another namespace than the resolver's.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web # want
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - podSelector: {matchLabels: {app: database}}
    - to:
        - podSelector: {matchLabels: {k8s-app: kube-dns}}
      ports:
        - {port: 53, protocol: UDP}
`},
		Good: []string{webPod + resolverExample + `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - podSelector: {matchLabels: {app: database}}
    - to:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
          podSelector: {matchLabels: {k8s-app: kube-dns}}
      ports:
        - {port: 53, protocol: UDP}
        - {port: 53, protocol: TCP}
`, webPod + `---
# It sends nothing, so that it needs no names.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Egress]
`},
	},
}

const webPod = `apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
  labels: {app: web}
spec:
  containers:
    - name: web
      image: example.com/web:1
`

const resolverExample = `---
apiVersion: v1
kind: Service
metadata:
  name: kube-dns
  namespace: kube-system
spec:
  selector: {k8s-app: kube-dns}
  ports:
    - {name: dns, port: 53, protocol: UDP}
    - {name: dns-tcp, port: 53, protocol: TCP}
---
apiVersion: v1
kind: Pod
metadata:
  name: coredns
  namespace: kube-system
  labels: {k8s-app: kube-dns}
spec:
  containers:
    - name: coredns
      image: registry.k8s.io/coredns/coredns:v1.12.0
`
