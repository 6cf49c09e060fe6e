package psp

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"bulkhead.dev/bulkhead/internal/admission"
)

// Comparison is a policy beside the nearest level of Pod Security.
type Comparison struct {
	Policy string
	Level  psapi.Level
	Rows   []Row
}

// Row is a field of a policy beside what a level does.
type Row struct {
	Field string
	// Policy and Level say what each does.
	Policy, Level string
	// Loosens and Tightens name what the level admits and the policy refuses, and the
	// other way round; empty where there is nothing.
	Loosens, Tightens []string
	// Fills is what the policy fills in and the level does not; empty for nothing.
	Fills string

	disjoint bool
}

// Differs reports whether pods fare differently.
func (r *Row) Differs() bool { return len(r.Loosens)+len(r.Tightens) > 0 || r.Fills != "" }

// Compare sets a policy beside each level of Pod Security, from the strictest, and says
// which is nearest: the one that differs from it in the fewest fields, and the
// strictest of those; but none that in some field admits nothing of what the policy
// does. Both are asked, the policy by the expressions that are exported of it and the
// level by the library that the API server uses, about pods that differ in the field.
// One that is Unusable is an error.
func Compare(ctx context.Context, p *Policy, minor int) (levels []*Comparison, nearest int, err error) {
	if p.Unusable != "" {
		return nil, 0, fmt.Errorf("PodSecurityPolicy %s cannot be compared: %s", p.Name, p.Unusable)
	}
	judge, err := newJudge(p)
	if err != nil {
		return nil, 0, fmt.Errorf("PodSecurityPolicy %s: %w", p.Name, err)
	}
	nearest = -1
	for i, level := range []psapi.Level{psapi.LevelRestricted, psapi.LevelBaseline, psapi.LevelPrivileged} {
		c := &Comparison{Policy: p.Name, Level: level}
		for _, f := range tableFields {
			row, err := f.compare(ctx, judge, p, level, minor)
			if err != nil {
				return nil, 0, err
			}
			c.Rows = append(c.Rows, *row)
		}
		if levels = append(levels, c); c.possible() && (nearest < 0 || c.Differing() < levels[nearest].Differing()) {
			nearest = i
		}
	}
	return levels, nearest, nil
}

// Differing counts the fields that differ.
func (c *Comparison) Differing() int {
	n := 0
	for i := range c.Rows {
		if c.Rows[i].Differs() {
			n++
		}
	}
	return n
}

// possible reports whether pods of the policy can run under the level.
func (c *Comparison) possible() bool {
	return !slices.ContainsFunc(c.Rows, func(r Row) bool { return r.disjoint })
}

// judge says which fields of a policy refuse a pod, filled in.
type judge struct {
	compiled *admission.CompiledPolicy
	rules    map[string]rule
}

// judgeMinor is a release whose CEL has all that rules use.
const judgeMinor = 37

func newJudge(p *Policy) (*judge, error) {
	at := place{}
	rules := p.rules(at)
	e := &exporter{}
	spec := &admissionv1.ValidatingAdmissionPolicySpec{Variables: e.shared(at)}
	for _, field := range sortedKeys(rules) {
		if r := rules[field].refusals; len(r) > 0 {
			spec.Validations = append(spec.Validations, admissionv1.Validation{Message: field, Expression: "size(" + sum(r) + ") == 0"})
		}
	}
	compiled, err := admission.CompileNative(spec, judgeMinor)
	return &judge{compiled, rules}, err
}

// refuses names the fields. A rule that cannot be evaluated is an error.
func (j *judge) refuses(ctx context.Context, pod map[string]any) ([]string, error) {
	fields := j.compiled.Validate(ctx, &admission.Request{Object: pod, Resource: schema.GroupVersionResource{Version: "v1", Resource: "pods"}, User: &user.DefaultInfo{}})
	for _, f := range fields {
		if _, ok := j.rules[f]; !ok {
			return nil, fmt.Errorf("a rule cannot be evaluated: %s", f)
		}
	}
	return fields, nil
}

// levelRefuses names the checks of a level that a pod fails.
func levelRefuses(pod map[string]any, level psapi.Level, minor int) ([]policy.CheckID, error) {
	data, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	var p corev1.Pod
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, err
	}
	return failedChecks(&p.ObjectMeta, &p.Spec, level, minor), nil
}

func failedChecks(meta *metav1.ObjectMeta, spec *corev1.PodSpec, level psapi.Level, minor int) []policy.CheckID {
	var out []policy.CheckID
	for _, c := range policy.DefaultChecks() {
		if level == psapi.LevelPrivileged || c.Level == psapi.LevelRestricted && level != psapi.LevelRestricted {
			continue
		}
		var check policy.CheckPodFn
		for _, v := range c.Versions {
			if v.MinimumVersion.Minor() <= minor {
				check = v.CheckPod
			}
		}
		if check != nil && !check(meta, spec).Allowed {
			out = append(out, c.ID)
		}
	}
	return out
}

// compare asks about each pod of a field.
func (f *tableField) compare(ctx context.Context, j *judge, p *Policy, level psapi.Level, minor int) (*Row, error) {
	row := &Row{Field: f.name, Policy: f.says(p), Level: f.does(level), Fills: f.fills(j.rules)}
	both, byLevelOnly := 0, 0
	for _, probe := range f.probes(p) {
		refused, err := j.refuses(ctx, probe.pod)
		if err != nil {
			return nil, err
		}
		failed, err := levelRefuses(probe.pod, level, minor)
		if err != nil {
			return nil, err
		}
		byPolicy := slices.ContainsFunc(refused, func(r string) bool { return slices.Contains(f.rules, r) })
		byLevel := slices.ContainsFunc(failed, func(id policy.CheckID) bool { return slices.Contains(f.checks, id) })
		switch {
		case byPolicy && !byLevel:
			row.Loosens = append(row.Loosens, probe.words)
		case byLevel && !byPolicy:
			row.Tightens = append(row.Tightens, probe.words)
			byLevelOnly++
		case !byPolicy:
			both++
		}
	}
	row.disjoint = f.exhaustive && both == 0 && byLevelOnly > 0
	return row, nil
}

func (f *tableField) fills(rules map[string]rule) string {
	var out []string
	for _, name := range f.rules {
		r := rules[name]
		for _, f := range slices.Concat(r.pod, r.container) {
			out = append(out, pointerName(f.pointer)+": "+f.words)
		}
	}
	return strings.Join(out, "; ")
}
