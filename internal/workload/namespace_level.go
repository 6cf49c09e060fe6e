package workload

import (
	"fmt"
	"strings"

	psapi "k8s.io/pod-security-admission/api"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

func podSecurityLevel() *check.Control {
	return &check.Control{
		Rule: finding.Rule{
			Name:     "pod-security-level",
			Title:    "Namespaces enforce the strictest Pod Security level that their pods allow",
			Severity: finding.Low,
			Layer:    finding.LayerNamespace,
			Why: "The stricter level costs nothing here: every pod already meets it. Until it is enforced, the next pod need not, " +
				"and an attacker who may create pods has all the room between the two levels.",
			Remedy:    "Label the namespace pod-security.kubernetes.io/enforce with the level that is possible. The evidence says what blocks the next one.",
			Since:     "v0.1",
			FixSafety: finding.FixManual,
		},
		FixNote: "Decide whether anything is to come that needs the weaker level: kubectl label --overwrite namespace NAME " +
			"pod-security.kubernetes.io/enforce=LEVEL applies to new pods, and none of those seen would be refused.",
		Needs:    append([]model.GroupKind{namespaceKind}, podKinds()...),
		World:    judgeLevel,
		Examples: check.Examples{Bad: []string{levelBad}, Good: []string{levelGood}},
	}
}

func judgeLevel(in *check.Input) []check.Judgement {
	levels := Levels(in.World, in.Version)
	return judgeNamespaces(in.World, func(name string, o *model.Object) check.Judgement {
		l := levels[name]
		if l.Unknown != "" {
			return check.Unobserved(o, "namespace %s: %s", name, l.Unknown)
		}
		// In files a namespace without pods says nothing: they may be rendered elsewhere.
		if l.Pods == 0 && !in.World.Complete {
			return check.Inapplicable(o)
		}
		j := check.Passed(o)
		if psapi.CompareLevels(l.Policy.Enforce.Level, l.Possible) < 0 {
			j = check.Failed(o, check.Violation{Path: labelPath(psapi.EnforceLevelLabel),
				Detail: fmt.Sprintf("namespace %s could enforce %s today; it enforces %s", name, l.Possible, l.Policy.Enforce.Level)})
		}
		j.Evidence = l.evidence()
		return j
	})
}

// maxEvidence is how many entries of evidence a namespace gets.
const maxEvidence = 10

// evidence says what was judged, and what blocks the next level.
func (l *NamespaceLevel) evidence() []finding.Evidence {
	if len(l.Blocking) == 0 {
		return []finding.Evidence{{Source: "pods", Detail: fmt.Sprintf("%s refuses none of %d", l.Possible, l.Pods)}}
	}
	var out []finding.Evidence
	for i, b := range l.Blocking {
		if i == maxEvidence-1 && len(l.Blocking) > maxEvidence {
			return append(out, finding.Evidence{Source: fmt.Sprintf("%d more objects", len(l.Blocking)-i), Detail: fmt.Sprintf("block %s", l.Next())})
		}
		out = append(out, finding.Evidence{Source: b.Object.String(), Detail: fmt.Sprintf("blocks %s: %s", l.Next(), strings.Join(b.Reasons, ", "))})
	}
	return out
}

const levelBad = `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    pod-security.kubernetes.io/enforce: baseline # want
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      securityContext:
        runAsNonRoot: true
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: web
          image: example.com/web:1
          securityContext:
            allowPrivilegeEscalation: false
            capabilities: {drop: [ALL]}
---
apiVersion: v1
kind: Namespace
metadata: # want
  name: tools
---
apiVersion: v1
kind: Pod
metadata:
  name: plain
  namespace: tools
spec:
  containers:
    - name: plain
      image: example.com/plain:1
`

const levelGood = `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    pod-security.kubernetes.io/enforce: baseline
---
# It sets no seccomp profile, and so blocks restricted.
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
---
apiVersion: v1
kind: Namespace
metadata:
  name: agents
---
apiVersion: v1
kind: Pod
metadata:
  name: agent
  namespace: agents
spec:
  hostPID: true
  containers:
    - name: agent
      image: example.com/agent:1
---
apiVersion: v1
kind: Namespace
metadata:
  name: empty
`
