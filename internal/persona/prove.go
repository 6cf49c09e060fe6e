package persona

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/form"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// Prove has package rbac analyse what was generated, for a minor version of Kubernetes
// 1. Every subject may do what its personas list and nothing else, becomes nobody but
// service accounts that it is meant to, and no control finds fault with what is not
// meant to be powerful. The error says what is otherwise, with the file and line of the
// persona.
func (s *Set) Prove(ctx context.Context, version int) error {
	w := s.world()
	result, err := s.Check.Compare(w, version)
	if err != nil {
		return err
	}
	var problems []error
	for _, d := range result.Differences {
		problems = append(problems, fmt.Errorf("%s%s", form.Place(d.At), d.problem()))
	}
	found, err := s.faults(ctx, w, version)
	if err != nil {
		return err
	}
	problems = append(problems, found...)
	const maxProblems = 20
	if len(problems) > maxProblems {
		problems = append(problems[:maxProblems], fmt.Errorf("and %d problems more", len(problems)-maxProblems))
	}
	return errors.Join(problems...)
}

// problem says what is wrong with a persona.
func (d *Difference) problem() string {
	who := fmt.Sprintf("%s: %s", d.About, d.Subject)
	switch d.Kind {
	case Escalation:
		var steps []string
		for _, s := range d.Chain.Steps {
			steps = append(steps, fmt.Sprintf("%s to %s, as %s", s.Name, s.To, s.Why))
		}
		return fmt.Sprintf("%s would become %s: %s. Leave out what allows the first step", who, d.What, strings.Join(steps, "; "))
	case Missing:
		return fmt.Sprintf("%s could not %s", who, d.What)
	case UnknownHolder:
		return fmt.Sprintf("%s would be bound to %s", d.Subject, d.What)
	default:
		return fmt.Sprintf("%s could %s as well, by another persona or by a role of that name: leave the subject out of one of them", who, d.What)
	}
}

// probe names what is put into every namespace, so that a right to any object there
// leads to somebody.
const probe = "bulkhead-probe"

// world is what was generated, and the worst that it may meet: in each namespace a pod and
// a Secret with a token of an account, and others by every name that an extra is limited
// to.
func (s *Set) world() *model.World {
	objects := slices.Clone(s.Objects)
	add := func(content map[string]any) {
		o, _ := model.NewObject(content, nil, model.Source{})
		objects = append(objects, o)
	}
	namespaces, names := []string{"kube-system"}, []string{probe}
	for _, p := range s.file.Personas {
		namespaces = append(namespaces, p.Namespaces...)
		for _, x := range p.Extra {
			names = append(names, x.Names...)
		}
		for _, subject := range p.Subjects {
			if subject.Namespace != "" {
				namespaces = append(namespaces, subject.Namespace)
				add(map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"namespace": subject.Namespace, "name": subject.Name}})
			}
		}
	}
	slices.Sort(namespaces)
	slices.Sort(names)
	for _, ns := range slices.Compact(namespaces) {
		add(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns}})
		for _, name := range slices.Compact(names) {
			meta := func() map[string]any { return map[string]any{"namespace": ns, "name": name} }
			add(map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta()})
			add(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta(), "spec": map[string]any{"serviceAccountName": name, "containers": []any{}}})
			token := meta()
			token["annotations"] = map[string]any{"kubernetes.io/service-account.name": name}
			add(map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": token})
		}
	}
	return model.NewWorld(objects, model.WorldOptions{})
}

// faults runs the controls of roles and bindings.
func (s *Set) faults(ctx context.Context, w *model.World, version int) ([]error, error) {
	controls, err := rbac.Controls()
	if err != nil {
		return nil, err
	}
	out, err := check.Run(ctx, &model.Snapshot{Worlds: []*model.World{w}}, check.Options{Controls: controls, Version: version,
		Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
			return admission.Compile(cs, p, v)
		}})
	if err != nil {
		return nil, fmt.Errorf("judge the generated roles: %w", err)
	}
	var faults []error
	slices.SortFunc(out.Findings, func(a, b *check.Judged) int {
		return cmp.Or(strings.Compare(a.Object.String(), b.Object.String()), strings.Compare(a.Message, b.Message))
	})
	lints, noted := rbac.Lints(), map[string]bool{}
	for _, f := range out.Findings {
		from := s.origins[f.Of]
		if from == nil || from.role.Powerful {
			continue
		}
		at, what := s.blame(from, f.Path)
		if f.Verdict == finding.Fail && slices.Contains(lints, f.Control) {
			// One is enough: a persona has a binding for each of its namespaces.
			if key := form.Place(at) + f.Control; !noted[key] {
				noted[key] = true
				s.Notes = append(s.Notes, fmt.Sprintf("%s%s: %s (%s)", form.Place(at), what, f.Message, f.Control))
			}
			continue
		}
		verdict := "fails"
		if f.Verdict == finding.Unknown {
			verdict = "cannot be judged by"
		}
		faults = append(faults, fmt.Errorf("%s%s %s the control %s: %s. Leave it out, or give it to a role that is meant to be powerful", form.Place(at), what, verdict, f.Control, f.Message))
	}
	slices.Sort(s.Notes)
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return slices.CompactFunc(faults, func(a, b error) bool { return a.Error() == b.Error() }), nil
}

// blame finds what of the file a finding is about: an extra, a persona, or a role that
// several share.
func (s *Set) blame(from *origin, path string) (*finding.Location, string) {
	if from.persona == nil {
		return s.file.locate(nil), "the role " + from.role.Name
	}
	p := from.persona
	if at, err := model.ParsePath(path); err == nil && len(at) > 1 && at[0].Key == "rules" && at[1].Index < len(from.extra) {
		x := p.Extra[from.extra[at[1].Index]]
		return s.file.locate(x.at), fmt.Sprintf("%s: the extra %q", p.Title(), x.Action)
	}
	return s.file.locate(p.at), p.Title()
}
