package workload

import (
	"fmt"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// serviceAccountControls are the controls of a pod's identity that no policy of
// single objects can express: one joins the pod with its ServiceAccount, the
// other asks what was written before the API server completed it.
func serviceAccountControls() []*check.Control {
	return []*check.Control{noTokenAutomount(), noDeprecatedServiceAccountField()}
}

var serviceAccountKind = model.GroupKind{Kind: "ServiceAccount"}

// judgePods judges every object of the world that is or makes a pod.
func judgePods(w *model.World, judge func(*model.Pod) check.Judgement) []check.Judgement {
	var out []check.Judgement
	for _, o := range w.Objects {
		if pod := o.Pod(); pod != nil {
			out = append(out, judge(pod))
		}
	}
	return out
}

func noTokenAutomount() *check.Control {
	return &check.Control{
		Rule: finding.Rule{
			Name:     "no-token-automount",
			Title:    "No token for the API is mounted into every container",
			Severity: finding.Medium,
			Layer:    finding.LayerWorkload,
			Since:    "v0.1",
			Why: "Unless told otherwise Kubernetes mounts a token of the service account into every container. " +
				"Whoever reads a file in one of them, by a path traversal or a shell, then speaks to the API server as that account.",
			Remedy: "Set automountServiceAccountToken to false on the ServiceAccount and on the pod. " +
				"Where a container talks to the API mount a projected token there and nowhere else.",
			FixSafety: finding.FixRisky,
		},
		FixNote: "A program that talks to the API server no longer can: operators, ingress controllers, whatever elects a leader. " +
			"Mount a projected token into the container that needs one.",
		Needs:    append(podKinds(), serviceAccountKind),
		World:    judgeTokenAutomount,
		Fix:      tokenAutomountFix,
		Examples: tokenAutomountExamples,
	}
}

// serviceAccountRef is a service account's namespace and name.
type serviceAccountRef struct{ namespace, name string }

var serviceAccounts = model.NewFact(func(w *model.World) map[serviceAccountRef]*model.Object {
	out := map[serviceAccountRef]*model.Object{}
	for _, o := range w.Kind(serviceAccountKind) {
		out[serviceAccountRef{o.Namespace, o.Name}] = o
	}
	return out
})

const automountField = "automountServiceAccountToken"

func judgeTokenAutomount(in *check.Input) []check.Judgement {
	accounts := serviceAccounts.Of(in.World)
	return judgePods(in.World, func(pod *model.Pod) check.Judgement {
		o := pod.Object
		// The kubelet's static pods have no service account; these mirrors show them.
		if _, mirror := o.Annotations()["kubernetes.io/config.mirror"]; mirror {
			return check.Inapplicable(o)
		}
		says, told := pod.Spec[automountField].(bool)
		if told && !says {
			return check.Passed(o)
		}
		violation := check.Violation{Path: pod.SpecPath().Keys(automountField)}
		if told {
			violation.Detail = "the pod asks for a token of its service account in every container"
			return check.Failed(o, violation)
		}
		violation.Detail = "every container gets a token of the pod's service account"
		ref := serviceAccountRef{o.Namespace, pod.ServiceAccount()}
		evidence := finding.Evidence{Source: fmt.Sprintf("%s/ServiceAccount/%s", ref.namespace, ref.name)}
		account := accounts[ref]
		if account == nil {
			if reason := in.World.Unobserved(serviceAccountKind, ref.namespace); reason != "" {
				return check.Unobserved(o, "service account %s could not be read: %s", ref.name, reason)
			}
			evidence.Detail = "not among what was read; judged by the pod alone"
		} else if says, told := account.Content[automountField].(bool); told && !says {
			evidence.Detail = automountField + " is false"
			return check.Passed(o, evidence)
		} else {
			evidence.Detail = automountField + " is not false"
		}
		judgement := check.Failed(o, violation)
		judgement.Evidence = []finding.Evidence{evidence}
		return judgement
	})
}

var tokenAutomountFix = &check.ObjectPolicy{
	Pods: true,
	Mutation: `variables.podSpec.?automountServiceAccountToken.orValue(true) &&
  !("kubernetes.io/config.mirror" in object.metadata.?annotations.orValue({}))
  ? [JSONPatch{op: "add", path: variables.specPointer + "/automountServiceAccountToken", value: false}] : []`,
}

var tokenAutomountExamples = check.Examples{
	Bad: []string{`
apiVersion: apps/v1
kind: Deployment
metadata:
  name: silent
spec:
  selector:
    matchLabels: {app: silent}
  template:
    metadata:
      labels: {app: silent}
    spec: # want
      serviceAccountName: web
      containers:
        - name: web
          image: example.com/web:1
---
apiVersion: v1
kind: Pod
metadata:
  name: asks-for-it
spec:
  serviceAccountName: no-token
  automountServiceAccountToken: true # want
  containers:
    - name: web
      image: example.com/web:1
---
apiVersion: v1
kind: Pod
metadata:
  name: elsewhere
  namespace: other
spec: # want
  serviceAccountName: no-token
  containers:
    - name: web
      image: example.com/web:1
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: no-token
automountServiceAccountToken: false
`},
	Good: []string{`
apiVersion: batch/v1
kind: CronJob
metadata:
  name: by-the-account
spec:
  schedule: "@daily"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          serviceAccountName: no-token
          containers:
            - name: report
              image: example.com/report:1
---
apiVersion: v1
kind: Pod
metadata:
  name: by-the-pod
spec:
  serviceAccountName: web
  automountServiceAccountToken: false
  containers:
    - name: web
      image: example.com/web:1
  volumes:
    - name: token
      projected:
        sources:
          - serviceAccountToken: {path: token}
---
apiVersion: v1
kind: Pod
metadata:
  name: kube-scheduler-control-1
  annotations: {kubernetes.io/config.mirror: 6c3b7a4d}
spec:
  nodeName: control-1
  containers:
    - name: kube-scheduler
      image: registry.k8s.io/kube-scheduler:v1.37.0
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: no-token
automountServiceAccountToken: false
`},
}

func noDeprecatedServiceAccountField() *check.Control {
	return &check.Control{
		Rule: finding.Rule{
			Name:     "no-deprecated-service-account-field",
			Title:    "Pods name their service account in serviceAccountName",
			Severity: finding.Low,
			Layer:    finding.LayerWorkload,
			Since:    "v0.1",
			Why: "The field serviceAccount is an old alias. Tools and people who look for serviceAccountName take the pod for one " +
				"of the default account, and where both are written and differ the alias is silently ignored.",
			Remedy:    "Rename serviceAccount to serviceAccountName.",
			FixSafety: finding.FixSafe,
		},
		FixNote: "The pod keeps the account that it has. Where both fields were written and differ that is serviceAccountName's: " +
			"see whether the other one was meant.",
		Needs:    podKinds(),
		World:    judgeServiceAccountField,
		Fix:      serviceAccountFieldFix,
		Examples: serviceAccountFieldExamples,
	}
}

// judgeServiceAccountField looks at what was written: the API server copies each
// of the two fields into the other, so that what it stores has both.
func judgeServiceAccountField(in *check.Input) []check.Judgement {
	return judgePods(in.World, func(pod *model.Pod) check.Judgement {
		old, _ := pod.Spec["serviceAccount"].(string)
		name, _ := pod.Spec["serviceAccountName"].(string)
		if old == "" || old == name {
			return check.Passed(pod.Object)
		}
		detail := fmt.Sprintf("service account %s is named in a deprecated field", old)
		if name != "" {
			detail = fmt.Sprintf("service account %s is ignored in favour of %s", old, name)
		}
		return check.Failed(pod.Object, check.Violation{Path: pod.SpecPath().Keys("serviceAccount"), Detail: detail})
	})
}

var serviceAccountFieldFix = &check.ObjectPolicy{
	Pods: true,
	Variables: []check.Variable{
		{Name: "old", Expression: `variables.podSpec.?serviceAccount.orValue("")`},
		{Name: "name", Expression: `variables.podSpec.?serviceAccountName.orValue("")`},
	},
	Mutation: `variables.old == "" || variables.old == variables.name ? [] :
  [JSONPatch{op: "remove", path: variables.specPointer + "/serviceAccount"}] +
  (variables.name == "" ? [JSONPatch{op: "add", path: variables.specPointer + "/serviceAccountName", value: variables.old}] : [])`,
}

var serviceAccountFieldExamples = check.Examples{
	Bad: []string{`
apiVersion: batch/v1
kind: Job
metadata:
  name: old
spec:
  template:
    spec:
      restartPolicy: Never
      serviceAccount: importer # want
      containers:
        - name: import
          image: example.com/import:1
---
apiVersion: v1
kind: Pod
metadata:
  name: torn
spec:
  serviceAccountName: web
  serviceAccount: admin # want
  containers:
    - name: web
      image: example.com/web:1
`},
	Good: []string{`
apiVersion: v1
kind: Pod
metadata:
  name: as-stored
spec:
  serviceAccountName: web
  serviceAccount: web
  containers:
    - name: web
      image: example.com/web:1
---
apiVersion: v1
kind: Pod
metadata:
  name: silent
spec:
  containers:
    - name: web
      image: example.com/web:1
`},
}
