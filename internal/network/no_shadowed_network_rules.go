package network

import (
	"fmt"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

func judgeShadowed(w *model.World, p *reach.TierPolicy) check.Judgement {
	return judgeRedundant(w, p.Object, "", func(reach.Redundant) bool { return true }, func(r reach.Redundant) string {
		by := ruleNames(r.By, p.Object)
		return fmt.Sprintf("rule %d of %s is never asked: %s %s all that it is about (%s)", r.Rule.Index+1, r.Direction, by, verb(by, "decides", "decide"), r.By[0].Rule.Action)
	})
}

var noShadowedNetworkRules = check.Control{
	Rule: finding.Rule{
		Name: "no-shadowed-network-rules", Title: "Every rule of a cluster network policy is reached", Severity: finding.Medium, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "Rules of these policies are asked in order, by priority, and the first that is about some traffic decides. One that comes after others that decide " +
			"all of it does nothing: a denial that is written down, and denies nothing, looks like a wall.",
		Remedy:    "Move the rule before those that hide it, give its policy a lower priority number, or remove it.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which of the rules was meant to win.",
	Needs:   clusterPolicyKinds,
	World:   eachTierPolicy(judgeShadowed),
	Examples: check.Examples{
		Bad: []string{`apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata:
  name: monitoring
spec:
  tier: Admin
  priority: 10
  subject:
    namespaces: {}
  ingress:
    - action: Accept
      from:
        - namespaces: {matchLabels: {team: monitoring}}
    - action: Deny # want
      from:
        - pods:
            namespaceSelector: {matchLabels: {team: monitoring}}
            podSelector: {matchLabels: {app: shell}}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata:
  name: shop
spec:
  tier: Admin
  priority: 20
  subject:
    namespaces: {matchLabels: {team: shop}}
  ingress:
    - action: Deny # want
      from:
        - namespaces: {matchLabels: {team: monitoring}}
      protocols:
        - tcp: {destinationPort: {number: 5432}}
`},
		Good: []string{`apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata:
  name: monitoring
spec:
  tier: Admin
  priority: 10
  subject:
    namespaces: {matchLabels: {team: shop}}
  ingress:
    # The narrower rule comes first.
    - action: Deny
      from:
        - pods:
            namespaceSelector: {matchLabels: {team: monitoring}}
            podSelector: {matchLabels: {app: shell}}
    - action: Accept
      from:
        - namespaces: {matchLabels: {team: monitoring}}
---
# It is about more namespaces than the one before it.
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata:
  name: all
spec:
  tier: Admin
  priority: 20
  subject:
    namespaces: {}
  ingress:
    - action: Deny
      from:
        - namespaces: {matchLabels: {team: monitoring}}
`},
	},
}
