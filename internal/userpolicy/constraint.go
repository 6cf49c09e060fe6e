package userpolicy

import (
	"context"
	"fmt"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/userpolicy/creation"
	"bulkhead.dev/bulkhead/internal/userpolicy/gatekeeper"
)

// constraint is a constraint of Gatekeeper as a source of findings.
type constraint struct {
	object   *model.Object
	template *gatekeeper.Template
	parsed   *gatekeeper.Constraint
}

// constraints reads Gatekeeper's templates and the constraints of them.
func (s *Set) constraints(ctx context.Context) error {
	templates, used := map[string]*gatekeeper.Template{}, map[string]bool{}
	for _, o := range s.objects {
		if o.GroupKind != gatekeeper.TemplateKind {
			continue
		}
		t, err := gatekeeper.ParseTemplate(o)
		if err != nil {
			return fmt.Errorf("%s: %w", place(o), err)
		}
		if templates[t.Kind] != nil {
			return fmt.Errorf("%s: %s is a template for %s too", place(o), templates[t.Kind].Object.Ref(), t.Kind)
		}
		templates[t.Kind] = t
	}
	for _, o := range s.objects {
		if !gatekeeper.IsConstraint(o) {
			continue
		}
		t := templates[o.Kind]
		if used[o.Kind] = true; t == nil {
			s.problem(o, fmt.Sprintf("%s is of a ConstraintTemplate that is not among the policies; give it too", o.Ref()))
			continue
		}
		if err := s.constraint(ctx, o, t); err != nil {
			return fmt.Errorf("%s: %w", place(o), err)
		}
	}
	for _, o := range s.objects {
		if t := o.Text("spec", "crd", "spec", "names", "kind"); o.GroupKind == gatekeeper.TemplateKind && !used[t] {
			s.problem(o, fmt.Sprintf("%s has no constraint among the policies, so that it acts on nothing; give a %s too", o.Ref(), t))
		}
	}
	return nil
}

func (s *Set) constraint(ctx context.Context, o *model.Object, t *gatekeeper.Template) error {
	rule, err := ruleOf(o, "gatekeeper-"+o.Kind+"-"+o.Name, "an object that the constraint would refuse", t.Object)
	if err != nil {
		return err
	}
	c := &constraint{object: o, template: t}
	if c.parsed, err = gatekeeper.Compile(ctx, t, o, newest); err != nil {
		return err
	}
	s.add(rule, c, o, t.Object)
	return nil
}

func (c *constraint) compile(ctx context.Context, o Options, _ []*model.Object) (judge, error) {
	compiled, err := gatekeeper.Compile(ctx, c.template, c.object, o.Minor)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place(c.object), err)
	}
	return &constraintJudge{compiled}, nil
}

func (c *constraint) kinds(all []model.Resource) []model.GroupKind {
	var out []model.GroupKind
	for _, r := range all {
		if c.parsed.Concerns(r.GroupKind) && !slices.Contains(out, r.GroupKind) {
			out = append(out, r.GroupKind)
		}
	}
	return withMakers(out)
}

func (c *constraint) reads() []model.GroupKind {
	if !c.template.Referential() {
		return nil
	}
	return c.template.SyncData()
}

type constraintJudge struct{ *gatekeeper.Constraint }

func (c *constraintJudge) judge(ctx context.Context, r *creation.Request) (said, bool, error) {
	result, err := c.Evaluate(ctx, r)
	if err != nil || !result.Matched {
		return said{}, false, err
	}
	out := said{judged: true, refusals: result.Violations, unknown: result.Unknown}
	if len(out.refusals) > 0 {
		out.evidence = []finding.Evidence{c.evidence()}
		if c.Template.Referential() && !r.World.Complete {
			out.evidence = append(out.evidence, finding.Evidence{Source: "data.inventory", Detail: "the objects that were given; there may be more"})
		}
	}
	return out, true, nil
}

// metadataOnly is not known of a template.
func (c *constraintJudge) metadataOnly() bool { return false }

// evidence says what Gatekeeper does about a violation.
func (c *constraintJudge) evidence() finding.Evidence {
	e := finding.Evidence{Source: c.Object.Kind + "/" + c.Object.Name, Detail: "its enforcementAction is " + c.Action}
	if scope := c.Scope(); scope != "" {
		e.Detail += ": " + scope
	}
	if c.Action == "warn" || c.Action == "dryrun" {
		e.Detail += ": Gatekeeper lets the object through"
	}
	if l := c.Object.Locate(nil); l != nil {
		e.Source += fmt.Sprintf(" (%s:%d)", l.File, l.Line)
	}
	return e
}
