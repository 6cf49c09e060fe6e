package userpolicy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/userpolicy/creation"
	"bulkhead.dev/bulkhead/internal/userpolicy/gatekeeper"
	"bulkhead.dev/bulkhead/internal/userpolicy/vap"
)

// Set is the policies that a user gave.
type Set struct {
	// Controls are all of them, by name.
	Controls []*check.Control
	// Problems are those that act on nothing as they were given.
	Problems []finding.Problem
	// Notes say what of them no scan can judge.
	Notes []string

	objects  []*model.Object
	policies map[string]source
}

// source is a policy that is not of this program's own form, as it was read.
type source interface {
	// compile makes it ready to judge.
	compile(ctx context.Context, o Options, given []*model.Object) (judge, error)
	// kinds are the kinds that it is about, of those that there are.
	kinds(all []model.Resource) []model.GroupKind
	// reads are kinds that it reads beside what it judges.
	reads() []model.GroupKind
}

// Options are what judging by policies takes.
type Options struct {
	// Minor is the minor version of Kubernetes 1 to judge for.
	Minor int
	// Authorizer is who answers what a subject may do, to policies that are judged in a
	// world; nil where nobody can.
	Authorizer func(*model.World) authorizer.UnconditionalAuthorizer
	// User creates the objects; nil where that is not known.
	User user.Info
}

// ControlKind is the kind of a control file.
var ControlKind = model.GroupKind{Group: "bulkhead.dev", Kind: "Control"}

// Read makes controls of the objects of policy files. Taken are the names that other
// controls have. An error names the file and the line of what is wrong.
func Read(ctx context.Context, objects []*model.Object, taken []string) (*Set, error) {
	s := &Set{objects: objects, policies: map[string]source{}}
	bindings := map[string][]*model.Object{}
	for _, o := range objects {
		if o.GroupKind == vap.BindingKind {
			bindings[vap.PolicyName(o)] = append(bindings[vap.PolicyName(o)], o)
		}
	}
	for _, o := range objects {
		var err error
		switch o.GroupKind {
		case ControlKind:
			err = s.control(o)
		case vap.PolicyKind:
			err = s.admissionPolicy(o, bindings[o.Name])
			delete(bindings, o.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", place(o), err)
		}
	}
	for _, o := range objects {
		if o.GroupKind == vap.BindingKind && bindings[vap.PolicyName(o)] != nil {
			s.problem(o, fmt.Sprintf("%s is of the policy %q, which is not among the policies; give it too", o.Ref(), vap.PolicyName(o)))
		}
	}
	if err := s.constraints(ctx); err != nil {
		return nil, err
	}
	s.unsupported()
	slices.SortFunc(s.Controls, func(a, b *check.Control) int { return cmp.Compare(a.Name, b.Name) })
	return s, s.unique(taken)
}

// policyGroups are API groups of policies; of those kinds that are no source of findings
// it is said that they are not.
var policyGroups = []string{vap.Group, "templates.gatekeeper.sh", "mutations.gatekeeper.sh", "expansion.gatekeeper.sh", "externaldata.gatekeeper.sh", "kyverno.io", "policies.kyverno.io"}

func (s *Set) unsupported() {
	for _, o := range s.objects {
		if slices.Contains(policyGroups, o.Group) && o.GroupKind != vap.PolicyKind && o.GroupKind != vap.BindingKind && o.GroupKind != gatekeeper.TemplateKind {
			s.Notes = append(s.Notes, fmt.Sprintf("%s: a scan does not judge by a %s", place(o), o.Kind))
		}
	}
}

// place is where an object was read, for messages.
func place(o *model.Object) string {
	if l := o.Locate(nil); l != nil {
		return fmt.Sprintf("%s:%d: %s", l.File, l.Line, o.Ref())
	}
	return o.Ref().String()
}

func (s *Set) problem(o *model.Object, message string) {
	p := finding.Problem{Message: message}
	if l := o.Locate(nil); l != nil {
		p.Location = *l
	}
	s.Problems = append(s.Problems, p)
}

// unique reports a name that two controls have.
func (s *Set) unique(taken []string) error {
	for i, c := range s.Controls {
		switch {
		case slices.Contains(taken, c.Name):
			return fmt.Errorf("there is a control named %q already: give yours another name", c.Name)
		case i > 0 && s.Controls[i-1].Name == c.Name:
			return fmt.Errorf("two policies would be reported as %q: give one of them another name", c.Name)
		}
		for _, weaker := range c.Subsumes {
			if !slices.Contains(taken, weaker) && !slices.ContainsFunc(s.Controls, func(o *check.Control) bool { return o.Name == weaker }) {
				return fmt.Errorf("control %q subsumes %q, which does not exist", c.Name, weaker)
			}
		}
	}
	return nil
}

// control reads a control file.
func (s *Set) control(o *model.Object) error {
	// JSON is YAML; what the file said is decoded already.
	data, err := json.Marshal(o.Content)
	if err != nil {
		return err
	}
	c, err := admission.ParseControl(data, nil)
	if err != nil {
		return err
	}
	// What does not compile is said now, and not with the first object that it is about.
	if _, err := admission.Compile([]*check.Control{c}, check.Defaults([]*check.Control{c}), 0); err != nil {
		return err
	}
	if c.FixPolicy() != nil {
		if _, err := admission.CompileMutation(c, check.Defaults([]*check.Control{c})[c.Name]); err != nil {
			return err
		}
	}
	s.Controls = append(s.Controls, c)
	return nil
}

func (s *Set) admissionPolicy(o *model.Object, bindings []*model.Object) error {
	rule, err := ruleOf(o, "vap-"+o.Name, "an object that the policy would refuse")
	if err != nil {
		return err
	}
	p := &admissionPolicy{policy: o, bindings: bindings, rule: rule}
	parsed, err := vap.Compile(o, bindings, vap.Options{Minor: newest})
	if err != nil {
		return err
	}
	p.parsed = parsed
	if len(bindings) == 0 {
		s.problem(o, fmt.Sprintf("%s has no ValidatingAdmissionPolicyBinding among the policies, so that it acts on nothing; give its binding too", o.Ref()))
	}
	if beyond := parsed.Beyond(); beyond != "" {
		s.Notes = append(s.Notes, fmt.Sprintf("%s: %s: a scan judges objects as they would be created, and not that", place(o), beyond))
	}
	s.add(rule, p, append([]*model.Object{o}, bindings...)...)
	return nil
}

// newest is a release that takes every expression: whether the one that is judged for
// does is said when it is known.
const newest = 1000

// mark tells a policy from what it was before it was changed: what a snapshot recorded of
// its verdicts is of use only while it is the same.
func mark(objects []*model.Object) string {
	h := sha256.New()
	for _, o := range objects {
		_ = json.NewEncoder(h).Encode(o.Content) // a hash does not fail
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func (s *Set) add(rule finding.Rule, p source, of ...*model.Object) {
	c := &check.Control{Rule: rule, FixNote: "only its author knows what the policy wants in its place",
		Object: &check.ObjectPolicy{Kinds: p.kinds(s.resources()), Variables: []check.Variable{{Name: "policy", Expression: mark(of)}}}}
	s.Controls = append(s.Controls, c)
	s.policies[c.Name] = p
}

// resources are all that are known without a cluster.
func (s *Set) resources() []model.Resource {
	out := model.BuiltinResources()
	for _, d := range creation.Definitions(s.objects) {
		out = append(out, model.DefinedResource(d))
	}
	return out
}

// Serve tells the policies which resources a cluster serves, custom ones too, so that
// they know what they are about there.
func (s *Set) Serve(all []model.Resource) {
	for _, c := range s.Controls {
		if p := s.policies[c.Name]; p != nil {
			c.Object.Kinds = p.kinds(append(all, s.resources()...))
		}
	}
}

// Reads are kinds that the policies read beside what they judge.
func (s *Set) Reads() []model.GroupKind {
	var out []model.GroupKind
	for _, p := range s.policies {
		out = append(out, p.reads()...)
	}
	return out
}
