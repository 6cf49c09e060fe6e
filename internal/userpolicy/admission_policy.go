package userpolicy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/userpolicy/creation"
	"bulkhead.dev/bulkhead/internal/userpolicy/vap"
)

// admissionPolicy is a ValidatingAdmissionPolicy as a source of findings.
type admissionPolicy struct {
	policy   *model.Object
	bindings []*model.Object
	rule     finding.Rule
	parsed   *vap.Policy
}

func (p *admissionPolicy) compile(_ context.Context, o Options, given []*model.Object) (judge, error) {
	compiled, err := vap.Compile(p.policy, p.bindings, vap.Options{Minor: o.Minor, Given: given, Authorizer: o.Authorizer})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place(p.policy), err)
	}
	return &admissionJudge{compiled, p.bindings}, nil
}

// kinds are those of the resources that the rules name.
func (p *admissionPolicy) kinds(all []model.Resource) []model.GroupKind {
	var out []model.GroupKind
	for _, r := range all {
		if slices.ContainsFunc(p.parsed.Definition.Spec.MatchConstraints.ResourceRules, func(rule admissionv1.NamedRuleWithOperations) bool {
			return (slices.Contains(rule.APIGroups, r.Group) || slices.Contains(rule.APIGroups, "*")) && slices.ContainsFunc(rule.Resources, func(name string) bool {
				return name == "*" || name == "*/*" || name == r.Name
			})
		}) && !slices.Contains(out, r.GroupKind) {
			out = append(out, r.GroupKind)
		}
	}
	return withMakers(out)
}

// withMakers adds the kinds that make objects of one of these: they are judged for what
// they make.
func withMakers(out []model.GroupKind) []model.GroupKind {
	for _, t := range model.PodTemplates() {
		if len(t.Path) > 0 && !slices.Contains(out, t.GroupKind) && slices.ContainsFunc(creation.MadeKinds(t.GroupKind), func(gk model.GroupKind) bool { return slices.Contains(out, gk) }) {
			out = append(out, t.GroupKind)
		}
	}
	return out
}

func (p *admissionPolicy) reads() []model.GroupKind {
	kind := p.parsed.Definition.Spec.ParamKind
	if kind == nil {
		return nil
	}
	gv, err := schema.ParseGroupVersion(kind.APIVersion)
	if err != nil {
		return nil
	}
	return []model.GroupKind{{Group: gv.Group, Kind: kind.Kind}}
}

type admissionJudge struct {
	*vap.Policy
	bindings []*model.Object
}

func (p *admissionJudge) judge(ctx context.Context, r *creation.Request) (said, bool, error) {
	result, err := p.Evaluate(ctx, r)
	if err != nil || !result.Matched {
		return said{}, false, err
	}
	out := said{judged: result.Judged, unknown: result.Unknown}
	for _, d := range result.Denials {
		out.refusals = append(out.refusals, d.Message)
		out.evidence = append(out.evidence, p.evidence(d.Binding))
	}
	return out, true, nil
}

func (p *admissionJudge) metadataOnly() bool { return p.MetadataOnly() }

// evidence says under which binding a policy acts, and what comes of it.
func (p *admissionJudge) evidence(b *admissionv1.ValidatingAdmissionPolicyBinding) finding.Evidence {
	var actions []string
	for _, a := range b.Spec.ValidationActions {
		actions = append(actions, string(a))
	}
	e := finding.Evidence{Source: vap.BindingKind.Kind + "/" + b.Name, Detail: "its action is " + strings.Join(actions, ", ")}
	if !slices.Contains(b.Spec.ValidationActions, admissionv1.Deny) {
		e.Detail += ": the API server lets the object through"
	}
	if i := slices.IndexFunc(p.bindings, func(o *model.Object) bool { return o.Name == b.Name }); i >= 0 {
		if l := p.bindings[i].Locate(nil); l != nil {
			e.Source += fmt.Sprintf(" (%s:%d)", l.File, l.Line)
		}
	}
	return e
}
