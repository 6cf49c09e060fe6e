package network

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

func judgeSelectsPods(in *check.Input) []check.Judgement {
	var out []check.Judgement
	byNamespace := policies.Of(in.World)
	for _, ns := range slices.Sorted(maps.Keys(byNamespace)) {
		for _, p := range byNamespace[ns] {
			out = append(out, judgeSelector(in.World, ns, p))
		}
	}
	return out
}

func judgeSelector(w *model.World, namespace string, p *policy) check.Judgement {
	selects := func(l workload) bool { return p.selector.Matches(labels.Set(l.labels)) }
	switch {
	case p.problem != "":
		return check.Unobserved(p.object, "%s", p.problem)
	case !fewEnough(policies.Of(w)[namespace], workloads.Of(w)[namespace]):
		return check.Unobserved(p.object, "namespace %s has too many policies and workloads to compare them all", namespace)
	case p.selectsAll() || slices.ContainsFunc(workloads.Of(w)[namespace], selects):
		return check.Passed(p.object)
	case !w.Closed(namespace) || unknownMakers.Of(w)[namespace] || !w.Live && usesPlatformLabels(p.selector):
		return check.Inapplicable(p.object)
	}
	return check.Failed(p.object, check.Violation{Path: model.Path(nil).Keys("spec", "podSelector"),
		Detail: fmt.Sprintf("no pod of namespace %s matches %s", namespace, p.selector)})
}

// unknownMakers are namespaces of files with custom resources: what pods their
// controllers will make cannot be told.
var unknownMakers = model.NewFact(func(w *model.World) map[string]bool {
	out := map[string]bool{}
	if w.Live {
		return out
	}
	for _, o := range w.Objects {
		if _, builtin := model.BuiltinResource(o.GroupKind); !builtin {
			out[o.Namespace] = true
		}
	}
	return out
})

func usesPlatformLabels(s labels.Selector) bool {
	requirements, _ := s.Requirements()
	return slices.ContainsFunc(requirements, func(r labels.Requirement) bool { return platformLabels[r.Key()] })
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
	Needs: slices.Concat([]model.GroupKind{networkPolicyKind}, []model.GroupKind{{Kind: "Pod"}, {Kind: "ReplicationController"}, {Group: "apps", Kind: "Deployment"},
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
