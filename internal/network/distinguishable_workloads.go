package network

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

func judgeDistinguishable(in *check.Input) []check.Judgement {
	var out []check.Judgement
	byNamespace := workloads.Of(in.World)
	for _, ns := range slices.Sorted(maps.Keys(byNamespace)) {
		same := map[string]workload{}
		// The first by name keeps its labels; the others are asked to change theirs.
		all := slices.SortedFunc(slices.Values(byNamespace[ns]), func(a, b workload) int { return cmp.Compare(a.name, b.name) })
		for _, w := range all {
			if isHook(w.object) {
				out = append(out, check.Inapplicable(w.object))
				continue
			}
			out = append(out, judgeLabels(w, same))
		}
	}
	return out
}

// judgeLabels judges one workload; same holds those before it by their labels.
func judgeLabels(w workload, same map[string]workload) check.Judgement {
	path := w.object.Pod().Path.Keys("metadata", "labels")
	key := labelKey(w.labels)
	if key == "" {
		return check.Failed(w.object, check.Violation{Path: path, Detail: "its pods have no labels that a policy or Service could select"})
	}
	if first, ok := same[key]; ok {
		return check.Failed(w.object, check.Violation{Path: path, Detail: fmt.Sprintf("its pods have the very labels of those of %s", first.name)})
	}
	same[key] = w
	return check.Passed(w.object)
}

// isHook reports whether Helm runs the object once and removes it, as it does with
// the tests of a chart.
func isHook(o *model.Object) bool { return o.Annotations()["helm.sh/hook"] != "" }

// labelKey writes labels in order, without those that differ from pod to pod.
func labelKey(labels map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		// A Job's name is a label that stays as it is.
		if reach.PlatformLabel(k) && k != "job-name" {
			continue
		}
		parts = append(parts, fmt.Sprintf("%q=%q", k, labels[k]))
	}
	return strings.Join(parts, ",")
}

// ownLabel adds a label and changes none: the selector of a Deployment cannot be
// changed, and what is selected by today has to stay. A name that is too long for a
// label is left to a person.
var ownLabel = &check.ObjectPolicy{
	Pods: true,
	Variables: []check.Variable{
		{Name: "metadataPointer", Expression: `variables.specPointer.substring(0, variables.specPointer.size() - 4) + "metadata"`},
		{Name: "labels", Expression: `variables.template.?metadata.?labels.orValue({})`},
		{Name: "free", Expression: `object.metadata.?name.orValue("").matches("^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$") ?
  ["app.kubernetes.io/name", "app.kubernetes.io/component"].filter(l, !(l in variables.labels)) : []`},
	},
	Mutation: `size(variables.free) == 0 || ["app.kubernetes.io/name", "app.kubernetes.io/component"].exists(l, variables.labels[?l] == optional.of(object.metadata.name)) ? [] :
  (has(variables.template.metadata) ? [] : [JSONPatch{op: "add", path: variables.metadataPointer, value: {}}]) +
  (variables.template.?metadata.?labels.hasValue() ? [] : [JSONPatch{op: "add", path: variables.metadataPointer + "/labels", value: {}}]) +
  [JSONPatch{op: "add", path: variables.metadataPointer + "/labels/" + jsonpatch.escapeKey(variables.free[0]), value: object.metadata.name}]`,
}

var distinguishableWorkloads = check.Control{
	Rule: finding.Rule{
		Name: "distinguishable-workloads", Title: "Labels tell workloads apart", Severity: finding.Low, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "Services and network policies choose pods by their labels. Where two workloads have the same ones, " +
			"a Service sends requests to both and a policy that opens a port opens it on both; pods without labels cannot be chosen at all.",
		Remedy:    "Give the pods of each workload a label of their own, such as app.kubernetes.io/name or app.kubernetes.io/component.",
		FixSafety: finding.FixRisky,
	},
	FixNote: "The pods get the name of the workload as app.kubernetes.io/name or, where they have that, as app.kubernetes.io/component. " +
		"They are made anew, and a Service, a policy or an affinity that selects by that label chooses them as well.",
	Needs: []model.GroupKind{{Kind: "Pod"}, {Kind: "ReplicationController"}, {Group: "apps", Kind: "Deployment"}, {Group: "apps", Kind: "ReplicaSet"},
		{Group: "apps", Kind: "StatefulSet"}, {Group: "apps", Kind: "DaemonSet"}, {Group: "batch", Kind: "Job"}, {Group: "batch", Kind: "CronJob"}},
	World: judgeDistinguishable,
	Fix:   ownLabel,
	Examples: check.Examples{
		Bad: []string{`apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  namespace: shop
spec:
  selector:
    matchLabels: {app: shop}
  template:
    metadata:
      labels: {app: shop}
    spec:
      containers:
        - name: api
          image: example.com/api:1
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  selector:
    matchLabels: {app: shop}
  template:
    metadata:
      labels: {app: shop} # want
    spec:
      containers:
        - name: web
          image: example.com/web:1
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
      template: # want
        spec:
          restartPolicy: Never
          containers:
            - name: report
              image: example.com/report:1
`},
		Good: []string{`apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  namespace: shop
spec:
  selector:
    matchLabels: {app: shop, component: api}
  template:
    metadata:
      labels: {app: shop, component: api}
    spec:
      containers:
        - name: api
          image: example.com/api:1
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  namespace: shop-staging
spec:
  selector:
    matchLabels: {app: shop, component: api}
  template:
    metadata:
      labels: {app: shop, component: api}
    spec:
      containers:
        - name: api
          image: example.com/api:1
---
# A Job's pods have a label with its name.
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  namespace: shop
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: migrate
          image: example.com/migrate:1
---
apiVersion: v1
kind: Pod
metadata:
  name: shop-test
  namespace: shop
  labels: {app: shop, component: api}
  annotations: {helm.sh/hook: test}
spec:
  containers:
    - name: test
      image: example.com/test:1
`},
	},
}
