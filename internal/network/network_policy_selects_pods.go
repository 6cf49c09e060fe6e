package network

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

func judgeSelectsPods(in *check.Input) []check.Judgement {
	return append(eachPolicy(judgeSelector)(in), eachTierPolicy(judgeSubject)(in)...)
}

func judgeSelector(w *model.World, p *reach.Policy) check.Judgement {
	selects := func(l workload) bool { return p.Subject.Matches(labels.Set(l.labels)) }
	ns := p.Namespace
	switch {
	case len(policies.Of(w)[ns])*len(workloads.Of(w)[ns]) > maxComparisons:
		return check.Unobserved(p.Object, "namespace %s has too many policies and workloads to compare them all", ns)
	case p.Subject.Empty() || slices.ContainsFunc(workloads.Of(w)[ns], selects):
		return check.Passed(p.Object)
	case !w.Closed(ns) || reach.UnknownMakers.Of(w)[ns] || !w.Live && usesPlatformLabels(p.Subject):
		return check.Inapplicable(p.Object)
	}
	return check.Failed(p.Object, check.Violation{Path: model.Path(nil).Keys("spec", "podSelector"),
		Detail: fmt.Sprintf("no pod of namespace %s matches %s", ns, p.Subject)})
}

// judgeSubject judges a policy over namespaces. One that is about all pods of some
// namespaces is about those of tomorrow too.
func judgeSubject(w *model.World, p *reach.TierPolicy) check.Judgement {
	c := clusters.Of(w)
	some, unread := false, false
	if (len(c.Admin)+len(c.Baseline))*len(c.Pods) > 5*maxComparisons {
		return check.Unobserved(p.Object, "there are too many policies and pods to compare them all")
	}
	for _, ns := range c.Namespaces {
		if !p.Namespaces.Matches(labels.Set(ns.Labels)) {
			unread = unread || mayMatch(p.Namespaces, ns)
			continue
		}
		some = true
		if p.Pods.Empty() || slices.ContainsFunc(workloads.Of(w)[ns.Name], func(l workload) bool { return p.Pods.Matches(labels.Set(l.labels)) }) {
			return check.Passed(p.Object)
		}
		unread = unread || reach.UnknownMakers.Of(w)[ns.Name]
	}
	if !w.Closed("") || unread || !w.Live && usesPlatformLabels(p.Pods) {
		return check.Inapplicable(p.Object)
	}
	detail := fmt.Sprintf("no pod matches %s in the namespaces that it is about", p.Pods)
	if !some {
		detail = "no namespace matches " + p.Namespaces.String()
	}
	return check.Failed(p.Object, check.Violation{Path: model.Path(nil).Keys("spec", "subject"), Detail: detail})
}

func usesPlatformLabels(s labels.Selector) bool {
	requirements, _ := s.Requirements()
	return slices.ContainsFunc(requirements, func(r labels.Requirement) bool { return reach.PlatformLabel(r.Key()) })
}

var networkPolicySelectsPods = check.Control{
	Rule: finding.Rule{
		Name: "network-policy-selects-pods", Title: "Network policies select some pod", Severity: finding.Low, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "A policy that selects nothing protects nothing, and looks as if it did. " +
			"Mostly a label is misspelt, or was changed on the workload only.",
		Remedy:    "Correct spec.podSelector, or delete the policy.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which pods were meant.",
	Needs: slices.Concat([]model.GroupKind{networkPolicyKind, namespaceKind}, clusterPolicyKinds, []model.GroupKind{{Kind: "Pod"}, {Kind: "ReplicationController"}, {Group: "apps", Kind: "Deployment"},
		{Group: "apps", Kind: "ReplicaSet"}, {Group: "apps", Kind: "StatefulSet"}, {Group: "apps", Kind: "DaemonSet"}, {Group: "batch", Kind: "Job"}, {Group: "batch", Kind: "CronJob"}}),
	World: judgeSelectsPods,
	Examples: check.Examples{
		Bad: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: database
  namespace: shop
spec:
  podSelector: # want
    matchLabels: {app: database}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: database
  namespace: shop
  labels: {app: database}
spec:
  serviceName: database
  selector:
    matchLabels: {app: postgres}
  template:
    metadata:
      labels: {app: postgres}
    spec:
      containers:
        - name: postgres
          image: example.com/postgres:17
`},
		Good: []string{`# The pods may be made by other files than these.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: database
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: database}
`, `apiVersion: v1
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
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: report
  namespace: shop
spec:
  podSelector:
    matchExpressions:
      - {key: job-name, operator: Exists}
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: report
  namespace: shop
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
	},
}
