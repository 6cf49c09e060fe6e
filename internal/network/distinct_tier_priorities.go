package network

import (
	"fmt"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// contests are policies of one priority that may contradict another, by their objects.
type contests struct {
	of  map[*model.Object]reach.Contest
	all bool
}

var contested = model.NewFact(func(w *model.World) contests {
	found, all := clusters.Of(w).Contests()
	out := contests{map[*model.Object]reach.Contest{}, all}
	for _, c := range found {
		out.of[c.Second.Object] = c
	}
	return out
})

func judgePriority(w *model.World, p *reach.TierPolicy) check.Judgement {
	if c, ok := contested.Of(w).of[p.Object]; ok {
		return check.Failed(p.Object, check.Violation{Path: model.Path(nil).Keys("spec", "priority"),
			Detail: fmt.Sprintf("%s %s has priority %d too, and they may be about the same traffic: there rule %d of %s says %s, and here rule %d says %s",
				c.First.Object.Kind, c.First.Name, p.Priority, c.Rules[0].Index+1, c.Direction, c.Rules[0].Action, c.Rules[1].Index+1, c.Rules[1].Action)})
	}
	if !contested.Of(w).all {
		return check.Unobserved(p.Object, "there are too many policies of one priority to compare them all")
	}
	return check.Passed(p.Object)
}

var distinctTierPriorities = check.Control{
	Rule: finding.Rule{
		Name: "distinct-tier-priorities", Title: "Cluster network policies that contradict have an order", Severity: finding.Medium, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "Which of two policies of one priority is asked first is not defined: it differs from one network plugin to another, and may change when a policy is edited. " +
			"Where they contradict, nobody knows what is open.",
		Remedy:    "Give the policies priorities of their own.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which of the policies comes first.",
	Needs:   clusterPolicyKinds,
	World:   eachTierPolicy(judgePriority),
	Examples: check.Examples{
		Bad: []string{`# A namespace may have both labels, if none has them today.
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata:
  name: shop
spec:
  priority: 10
  subject:
    namespaces: {matchLabels: {team: shop}}
  ingress:
    - action: Allow
      from:
        - namespaces: {matchLabels: {team: web}}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata:
  name: tests
spec:
  priority: 10 # want
  subject:
    namespaces: {matchLabels: {stage: test}}
  ingress:
    - action: Deny
      from:
        - namespaces: {}
`},
		Good: []string{`apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata:
  name: shop
spec:
  priority: 10
  subject:
    namespaces: {matchLabels: {team: shop}}
  ingress:
    - action: Allow
      from:
        - namespaces: {matchLabels: {team: web}}
---
# No namespace is of both teams.
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata:
  name: bank
spec:
  priority: 10
  subject:
    namespaces: {matchLabels: {team: bank}}
  ingress:
    - action: Deny
      from:
        - namespaces: {}
---
# They say the same.
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata:
  name: tests
spec:
  priority: 10
  subject:
    namespaces: {matchLabels: {team: bank}}
  ingress:
    - action: Deny
      from:
        - namespaces: {matchLabels: {stage: test}}
`},
	},
}
