package cli

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/workload"
)

// podSecurityLabels are the labels of a namespace that have Pod Security enforce
// controls: the strictest level that has no check beyond them.
type podSecurityLabels struct {
	level    psapi.Level // empty where every level has checks beyond the controls
	mode     admission.Mode
	minor    int
	controls []string // what the level enforces
	selected []*check.Control
}

// podSecurityControls tells the controls that are checks of Pod Security from others.
func podSecurityControls(controls []*check.Control) (standards, others []*check.Control) {
	for _, c := range controls {
		if c.Object != nil && c.Object.Judge != nil {
			standards = append(standards, c)
		} else {
			others = append(others, c)
		}
	}
	return standards, others
}

func levelOf(standards []*check.Control, minor int, mode admission.Mode) *podSecurityLabels {
	l := &podSecurityLabels{mode: mode, minor: minor, selected: standards}
	for _, level := range []psapi.Level{psapi.LevelBaseline, psapi.LevelRestricted} {
		if len(l.missing(level)) == 0 {
			l.level, l.controls = level, checksOf(level, minor)
		}
	}
	return l
}

// missing lists the controls of a level that were not selected.
func (l *podSecurityLabels) missing(level psapi.Level) []string {
	return slices.DeleteFunc(checksOf(level, l.minor), func(name string) bool {
		return slices.ContainsFunc(l.selected, func(c *check.Control) bool { return c.Name == name })
	})
}

// checksOf lists the controls whose checks a level has in a minor version of
// Kubernetes 1. Restricted has those of baseline too, but for the ones that its own
// stand in for.
func checksOf(level psapi.Level, minor int) []string {
	names, replaced := map[policy.CheckID]string{}, map[policy.CheckID]bool{}
	for _, c := range workload.PodSecurityChecks() {
		if c.At(minor) == nil || c.Level == psapi.LevelRestricted && level != psapi.LevelRestricted {
			continue
		}
		names[c.ID] = c.Control
		for _, v := range c.Versions {
			if v.MinimumVersion.Minor() <= minor {
				for _, id := range v.OverrideCheckIDs {
					replaced[id] = true
				}
			}
		}
	}
	var out []string
	for id, name := range names {
		if !replaced[id] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// pairs are the labels, as KEY=VALUE.
func (l *podSecurityLabels) pairs() []string {
	var out []string
	for key, value := range l.labels() {
		out = append(out, key+"="+value)
	}
	slices.Sort(out)
	return out
}

// labels name the version too, so that a newer API server does not enforce more than
// was looked at.
func (l *podSecurityLabels) labels() map[string]string {
	version := fmt.Sprintf("v1.%d", l.minor)
	out := map[string]string{psapi.AuditLevelLabel: string(l.level), psapi.AuditVersionLabel: version}
	if l.mode == admission.Warn || l.mode == admission.Deny {
		out[psapi.WarnLevelLabel], out[psapi.WarnVersionLabel] = string(l.level), version
	}
	if l.mode == admission.Deny {
		out[psapi.EnforceLevelLabel], out[psapi.EnforceVersionLabel] = string(l.level), version
	}
	return out
}

// namespaces are Namespaces with the labels and nothing else.
func (l *podSecurityLabels) namespaces(names []string) ([]any, error) {
	if l.level == "" {
		return nil, fmt.Errorf("labels of Pod Security enforce levels as a whole, and even baseline has what was not selected: %s", strings.Join(l.missing(psapi.LevelBaseline), ", "))
	}
	var out []any
	for _, name := range names {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			return nil, fmt.Errorf("%q is no name of a namespace: %s", name, problems[0])
		}
		out = append(out, &corev1.Namespace{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: l.labels()},
		})
	}
	return out, nil
}

// leftOut are the controls that no label enforces without others that were not asked
// for.
func (l *podSecurityLabels) leftOut() []admission.LeftOut {
	baseline, restricted := checksOf(psapi.LevelBaseline, l.minor), checksOf(psapi.LevelRestricted, l.minor)
	var out []admission.LeftOut
	for _, c := range l.selected {
		level := psapi.LevelRestricted
		if l.level == "" && slices.Contains(baseline, c.Name) {
			level = psapi.LevelBaseline
		}
		var reason string
		switch {
		case slices.Contains(l.controls, c.Name):
			continue
		case !slices.Contains(baseline, c.Name) && !slices.Contains(restricted, c.Name):
			reason = fmt.Sprintf("the Pod Security of Kubernetes 1.%d has no such check", l.minor)
		case l.level == psapi.LevelRestricted:
			reason = "a stricter check of Pod Security stands in for it"
		default:
			reason = fmt.Sprintf("Pod Security enforces levels as a whole, and %s has what was not selected: %s", level, strings.Join(l.missing(level), ", "))
		}
		out = append(out, admission.LeftOut{Control: c.Name, Reason: reason})
	}
	return out
}

// waived says of waivers that labels know no exceptions.
func (l *podSecurityLabels) waived(waivers []admission.ExportWaiver) []string {
	var out []string
	for _, w := range waivers {
		for _, name := range w.Controls {
			if slices.ContainsFunc(l.selected, func(c *check.Control) bool { return c.Name == name }) {
				out = append(out, fmt.Sprintf("waiver %s: %s: Pod Security knows no exceptions but whole namespaces", w.Name, name))
			}
		}
	}
	return out
}
