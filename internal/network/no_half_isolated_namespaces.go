package network

import (
	"fmt"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// judgeHalf judges whether NetworkPolicies are about all pods of a namespace, or none.
// Policies over namespaces may say the rest.
func judgeHalf(w *model.World, name string) check.Judgement {
	of := isolations.Of(w)[name]
	if reason := unreadable(w, name); reason != "" {
		return check.Unobserved(nil, "%s", reason)
	}
	pods := len(podsIn.Of(w)[name])
	if pods == 0 || len(policies.Of(w)[name]) == 0 {
		return check.Inapplicable(nil)
	}
	if len(of) < pods {
		return check.Unobserved(nil, "it has too many policies and pods to compare them all")
	}
	if o := pluginPolicy(w, name); o != nil {
		return check.Unobserved(nil, "%s %s may isolate the others; policies of network plugins are not judged", o.Kind, o.Name)
	}
	var counts [2]int
	for _, is := range of {
		for d := range counts {
			if is[d] {
				counts[d]++
			}
		}
	}
	c := clusters.Of(w)
	decided := func(d reach.Direction) bool {
		first, _ := ask(c.Admin, c.Namespaces[name], d)
		last, _ := ask(c.Baseline, c.Namespaces[name], d)
		return first == denies || last == denies || first == unclear || last == unclear
	}
	for _, d := range []reach.Direction{reach.Ingress, reach.Egress} {
		if counts[d] > 0 && counts[d] < pods && !decided(d) {
			open := fewOf(openWorkloads(w, name, d))
			return exposed(fmt.Sprintf("policies limit the %s of some pods, and not that of %s", d, open))
		}
	}
	for _, d := range []reach.Direction{reach.Ingress, reach.Egress} {
		if other := reach.Ingress + reach.Egress - d; counts[other] == pods && counts[d] == 0 && !decided(d) {
			return exposed(fmt.Sprintf("policies limit the %s of all pods, and the %s of none", other, d))
		}
	}
	return check.Passed(nil)
}

var noHalfIsolatedNamespaces = check.Control{
	Rule: finding.Rule{
		Name: "no-half-isolated-namespaces", Title: "Network policies are about all pods of a namespace, in both directions", Severity: finding.Low, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "A namespace with policies looks isolated. Pods that none of them is about receive from everybody, and through them an attacker reaches the others; " +
			"and where only what comes in is limited, what was stolen goes out.",
		Remedy:    "Add a policy with podSelector: {} and both policyTypes, and allow what is wanted beside it.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which connections the pods need; the policies that allow them have to be there first.",
	Needs:   reachNeeds,
	World:   eachNamespace(judgeHalf),
	Examples: check.Examples{
		Bad: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop # want
---
` + webPod + `---
apiVersion: v1
kind: Pod
metadata:
  name: database
  namespace: shop
  labels: {app: database}
spec:
  containers:
    - name: database
      image: example.com/postgres:17
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: database
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: database}
  policyTypes: [Ingress, Egress]
`, `# What comes in is limited, and what goes out is not.
apiVersion: v1
kind: Namespace
metadata:
  name: shop # want
---
` + webPod + `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: deny
  namespace: shop
spec:
  podSelector: {}
`},
		Good: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
` + webPod + `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: web}
  policyTypes: [Ingress, Egress]
---
# No pod of this one is isolated: default-deny-ingress tells.
apiVersion: v1
kind: Namespace
metadata:
  name: bank
`},
	},
}
