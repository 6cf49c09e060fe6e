package workload

import (
	"fmt"
	"slices"

	psapi "k8s.io/pod-security-admission/api"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

func podSecurityEnforced() *check.Control {
	return &check.Control{
		Rule: finding.Rule{
			Name:     "pod-security-enforced",
			Title:    "Namespaces enforce a Pod Security level",
			Severity: finding.Medium,
			Layer:    finding.LayerNamespace,
			Why: "Where no level is enforced, whoever may create a pod may create a privileged one, and so take over a node " +
				"with every pod and credential on it. A right to deploy an application becomes a right to the cluster.",
			Remedy: "Label the namespace pod-security.kubernetes.io/enforce with baseline, or restricted where its pods allow it " +
				"(pod-security-level says so). A namespace for what manages nodes is labelled privileged on purpose: set the " +
				"parameter level for it, or waive it.",
			Since:     "v0.1",
			FixSafety: finding.FixRisky,
		},
		FixNote: "Pods that break the level are no longer made: those that run stay, until they are replaced. " +
			"kubectl label --dry-run=server --overwrite namespace NAME pod-security.kubernetes.io/enforce=baseline lists them.",
		Parameters: []check.Parameter{{Name: "level", Default: string(psapi.LevelBaseline),
			Description: "The level that has to be enforced, or a stricter one: privileged, baseline or restricted."}},
		Needs:    []model.GroupKind{namespaceKind},
		World:    judgeEnforced,
		Fix:      enforcedFix,
		Examples: check.Examples{Bad: []string{enforcedBad, enforcedInvalid}, Good: []string{enforcedGood}},
	}
}

func judgeEnforced(in *check.Input) []check.Judgement {
	return judgeNamespaces(in.World, func(name string, o *model.Object) check.Judgement {
		want, err := levelParameter(in, name)
		if err != nil {
			return check.Unobserved(o, "parameter level of pod-security-enforced %v", err)
		}
		policy, errs := podSecurityPolicy(o)
		violations := invalidLabels(errs, psapi.EnforceLevelLabel, psapi.EnforceVersionLabel)
		if len(violations) == 0 && psapi.CompareLevels(policy.Enforce.Level, want) < 0 {
			detail := fmt.Sprintf("namespace %s enforces %s, not %s", name, policy.Enforce.Level, want)
			if o == nil || o.Labels()[psapi.EnforceLevelLabel] == "" {
				detail = fmt.Sprintf("namespace %s enforces no Pod Security level", name)
			}
			violations = append(violations, check.Violation{Path: labelPath(psapi.EnforceLevelLabel), Detail: detail})
		}
		j := check.Failed(o, violations...)
		if len(violations) == 0 {
			j.Evidence = []finding.Evidence{{Source: "Namespace/" + name, Detail: "enforces " + policy.Enforce.String()}}
		}
		return j
	})
}

// enforcedFix sets the level that is asked for; one that is strict enough but
// misspelt it corrects.
var enforcedFix = &check.ObjectPolicy{
	Kinds: []model.GroupKind{namespaceKind},
	Variables: append(slices.Clone(namespaceLabelVariables),
		check.Variable{Name: "meant", Expression: `variables.enforced.lowerAscii()`},
		check.Variable{Name: "level", Expression: `variables.levels.indexOf(variables.meant) >= variables.levels.indexOf(string(variables.params.level))
  ? variables.meant : string(variables.params.level)`},
		check.Variable{Name: "wrong", Expression: `variables.enforced == variables.level ? [] :
  [{"label": "pod-security.kubernetes.io/enforce", "level": variables.level}]`},
		check.Variable{Name: "versions", Expression: `["pod-security.kubernetes.io/enforce-version"]`}),
	Mutation: setLabels,
}

const enforcedBad = `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: # want
    team: shop
    pod-security.kubernetes.io/warn: restricted
---
apiVersion: v1
kind: Namespace
metadata:
  name: tools
  labels:
    pod-security.kubernetes.io/enforce: privileged # want
`

const enforcedInvalid = `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    pod-security.kubernetes.io/enforce: Restricted # want
    pod-security.kubernetes.io/enforce-version: "1.34" # want
`

const enforcedGood = `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    pod-security.kubernetes.io/enforce: baseline
---
apiVersion: v1
kind: Namespace
metadata:
  name: payment
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/enforce-version: v1.34
---
apiVersion: v1
kind: Namespace
metadata:
  name: kube-system
`
