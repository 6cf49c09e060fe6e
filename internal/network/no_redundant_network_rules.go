package network

import (
	"fmt"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

func judgeRedundantRules(w *model.World, p *reach.Policy) check.Judgement {
	other := func(r reach.Redundant) bool { return !ownCover(r) }
	return judgeRedundant(w, p.Object, p.Namespace, other, func(r reach.Redundant) string {
		by := ruleNames(r.By, p.Object)
		if r.By[0].Tier != nil {
			return fmt.Sprintf("rule %d of %s is never asked: %s %s all that it is about", r.Rule.Index+1, r.Direction, by, verb(by, "decides", "decide"))
		}
		return fmt.Sprintf("rule %d of %s allows nothing that %s %s not, for all pods that it is about", r.Rule.Index+1, r.Direction, by, verb(by, "does", "do"))
	})
}

var noRedundantNetworkRules = check.Control{
	Rule: finding.Rule{
		Name: "no-redundant-network-rules", Title: "A network policy allows something that no other does", Severity: finding.Low, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "What another policy allows the same pods already stays open when this rule is taken away: a connection that somebody closed is still there. " +
			"What a policy of the Admin tier decides before is open, or closed, whatever the rule says.",
		Remedy:    "Remove the rule; or the wider one, where that is too wide.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which of the rules stays.",
	Needs:   append([]model.GroupKind{networkPolicyKind}, clusterPolicyKinds...),
	World:   eachPolicy(judgeRedundantRules),
	Examples: check.Examples{
		Bad: []string{`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: all
  namespace: shop
spec:
  podSelector: {}
  ingress:
    - from:
        - podSelector: {}
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
    - from: # want
        - podSelector: {matchLabels: {app: web}}
      ports:
        - {port: 5432}
    - from:
        - namespaceSelector: {matchLabels: {team: web}}
`},
		Good: []string{`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: web}
  ingress:
    - from:
        - podSelector: {}
---
# About other pods, and in another namespace.
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
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: bank
spec:
  podSelector:
    matchLabels: {app: web}
  ingress:
    - from:
        - podSelector: {}
---
# It only isolates what others open.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: deny
  namespace: shop
spec:
  podSelector: {}
`},
	},
}
