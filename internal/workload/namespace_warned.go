package workload

import (
	"fmt"
	"slices"

	psapi "k8s.io/pod-security-admission/api"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

func podSecurityWarned() *check.Control {
	return &check.Control{
		Rule: finding.Rule{
			Name:     "pod-security-warned",
			Title:    "Namespaces warn of and audit violations of Pod Security",
			Severity: finding.Low,
			Layer:    finding.LayerNamespace,
			Why: "Enforcement looks at pods alone: a Deployment that breaks the rules is accepted and then makes no pods, and an " +
				"attempt that was refused stays unseen. Warnings tell whoever applies the Deployment, audit annotations tell the " +
				"team that watches the cluster.",
			Remedy: "Label the namespace pod-security.kubernetes.io/warn and pod-security.kubernetes.io/audit with the level that " +
				"is enforced or a stricter one; restricted is recommended, for it shows what is left to do and breaks nothing. " +
				"Without a label, warn follows enforce.",
			Since:     "v0.1",
			FixSafety: finding.FixSafe,
		},
		FixNote: "It refuses nothing: what breaks the level is applied as before, and said. A script that runs kubectl with " +
			"--warnings-as-errors then reports a failure for it. The fix asks for the level that is enforced, or that of the parameter.",
		Parameters: []check.Parameter{{Name: "level", Default: string(psapi.LevelBaseline),
			Description: "The level to warn of and audit at least, also where less is enforced: privileged, baseline or restricted."}},
		Needs:    []model.GroupKind{namespaceKind},
		World:    judgeWarned,
		Fix:      warnedFix,
		Examples: check.Examples{Bad: []string{warnedBad}, Good: []string{warnedGood}},
	}
}

func judgeWarned(in *check.Input) []check.Judgement {
	return judgeNamespaces(in.World, func(name string, o *model.Object) check.Judgement {
		want, err := levelParameter(in, name)
		if err != nil {
			return check.Unobserved(o, "parameter level of pod-security-warned %v", err)
		}
		policy, errs := podSecurityPolicy(o)
		want = stricter(want, policy.Enforce.Level)
		var violations []check.Violation
		for _, mode := range []struct {
			level        psapi.Level
			label, other string
			what         string
		}{
			{policy.Audit.Level, psapi.AuditLevelLabel, psapi.AuditVersionLabel, "the audit log does not say what violates %s (it is told of %s)"},
			{policy.Warn.Level, psapi.WarnLevelLabel, psapi.WarnVersionLabel, "nobody is warned of what violates %s (but of %s)"},
		} {
			invalid := invalidLabels(errs, mode.label, mode.other)
			violations = append(violations, invalid...)
			if len(invalid) == 0 && psapi.CompareLevels(mode.level, want) < 0 {
				violations = append(violations, check.Violation{Path: labelPath(mode.label),
					Detail: "namespace " + name + ": " + fmt.Sprintf(mode.what, want, mode.level)})
			}
		}
		return check.Failed(o, violations...)
	})
}

// warnedFix asks both for what the control wants at least. Without a label of its
// own warn follows enforce, where that is valid.
var warnedFix = &check.ObjectPolicy{
	Kinds: []model.GroupKind{namespaceKind},
	Variables: append(slices.Clone(namespaceLabelVariables),
		check.Variable{Name: "least", Expression: `[string(variables.params.level), variables.enforced in variables.levels ? variables.enforced : "restricted"].map(l,
  variables.levels.indexOf(l)).max()`},
		check.Variable{Name: "modes", Expression: `[
  {"label": "pod-security.kubernetes.io/audit", "says": "privileged"},
  {"label": "pod-security.kubernetes.io/warn", "says": variables.enforced in variables.levels ? variables.enforced : "privileged"}
].map(m, {"label": m.label, "says": string(variables.labels[?m.label].orValue(m.says))})`},
		check.Variable{Name: "wrong", Expression: `variables.modes.filter(m, variables.levels.indexOf(m.says) < variables.least).map(m, {"label": m.label,
  "level": variables.levels[[variables.least, variables.levels.indexOf(m.says.lowerAscii())].max()]})`},
		check.Variable{Name: "versions", Expression: `["pod-security.kubernetes.io/audit-version", "pod-security.kubernetes.io/warn-version"]`}),
	Mutation: setLabels,
}

const warnedBad = `apiVersion: v1
kind: Namespace
metadata: # want
  name: shop
---
apiVersion: v1
kind: Namespace
metadata:
  name: payment
  labels: # want
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: baseline # want
---
apiVersion: v1
kind: Namespace
metadata:
  name: typo
  labels:
    pod-security.kubernetes.io/enforce: baseline
    pod-security.kubernetes.io/audit: strict # want
    pod-security.kubernetes.io/warn: restricted
`

const warnedGood = `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    pod-security.kubernetes.io/enforce: baseline
    pod-security.kubernetes.io/audit: restricted
    pod-security.kubernetes.io/warn: restricted
---
# What is not labelled warn is warned of as it is enforced.
apiVersion: v1
kind: Namespace
metadata:
  name: payment
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/audit: restricted
---
apiVersion: v1
kind: Namespace
metadata:
  name: kube-public
`
