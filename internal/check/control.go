// Package check runs controls over a snapshot and makes findings of what they say.
//
// A control is a value and one pure function. There are two kinds: those that
// judge one object at a time, so that the API server can enforce the very same
// policy, and those that read a whole world.
package check

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Control is one requirement: what it wants, why, and how it is judged.
type Control struct {
	finding.Rule
	// Subsumes names weaker controls: where both fail for the same container of
	// the same object, only this one is reported.
	Subsumes   []string
	Parameters []Parameter
	// FixNote says what a risky fix may break, or what a person has to decide.
	FixNote  string
	Examples Examples

	// Exactly one of Object and World is set.
	Object *ObjectPolicy
	World  func(*Input) []Judgement
	// Fix is, beside World, the mutation of the one object that a finding is about
	// and the kinds that it concerns; nil where a person has to decide. It sees that
	// object alone, so that it is for objects that have a finding: only they are
	// known to need it.
	Fix *ObjectPolicy
	// Needs are the kinds that World reads. Where one of them could not be
	// observed the control does not run and its verdict is unknown.
	Needs []model.GroupKind
}

// Examples are a control's fixtures and its documentation at once: YAML, one or
// more documents each. In a bad one every line that a finding must point at, and
// no other, ends in the comment "# want".
type Examples struct{ Bad, Good []string }

// FixPolicy is the policy whose Mutation fixes what the control finds; nil where a
// person has to decide.
func (c *Control) FixPolicy() *ObjectPolicy {
	if c.Object != nil && c.Object.Mutation != "" {
		return c.Object
	}
	return c.Fix
}

// FixOrder returns controls in the order in which their fixes are applied to one
// object, each to what those before it made: the gravest first, then by name. A
// container that is no longer privileged, for one, may then be kept from gaining
// privileges, which the API server refuses before.
func FixOrder(controls []*Control) []*Control {
	return slices.SortedFunc(slices.Values(controls), func(a, b *Control) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Name, b.Name))
	})
}

// Parameter is a setting of a control. Its type is that of its default: a
// string, a bool, an int64, or a list of strings ([]any).
type Parameter struct {
	Name        string
	Description string
	Default     any
}

// ObjectPolicy judges one object. Violations is an expression of the API server's CEL; for the
// Pod Security Standards Judge is set instead, and the verdict is that of the
// Kubernetes library that the API server uses.
type ObjectPolicy struct {
	// Pods selects every kind that is or makes a pod; Kinds selects others.
	Pods  bool
	Kinds []model.GroupKind
	// Linux means that the control does not apply to pods of other systems.
	Linux      bool
	Variables  []Variable
	Violations string
	Judge      func(PodInput) []Violation
	// Mutation is a CEL expression that yields a list of JSONPatch operations;
	// empty where a person has to decide.
	Mutation string
}

// Variable is a named CEL expression of a policy, evaluated when it is used.
type Variable struct{ Name, Expression string }

// PodInput is a pod for ObjectPolicy.Judge.
type PodInput struct {
	Pod  *model.Pod
	Meta *metav1.ObjectMeta
	Spec *corev1.PodSpec
	// Version is the minor version of Kubernetes 1 to judge for.
	Version int
}

// Violation is one thing that is wrong with an object.
type Violation struct {
	// Path is the field, which may be absent.
	Path      model.Path
	Container string
	// Detail says in one line what is wrong.
	Detail string
	// Part tells faults of one object apart that no container does, such as the
	// rules of a role: a stricter control subsumes a weaker one in the same part.
	Part string
}

// Judgement is what a control says of one object.
type Judgement struct {
	// Object is nil where the thing judged was not given as an object; then Ref
	// names it.
	Object *model.Object
	Ref    finding.Ref
	// Verdict is fail where there are violations.
	Verdict    finding.Verdict
	Violations []Violation
	// Reason says why the verdict is unknown.
	Reason   string
	Evidence []finding.Evidence
}

// Passed says that an object is as the control wants it.
func Passed(o *model.Object, evidence ...finding.Evidence) Judgement {
	return Judgement{Object: o, Verdict: finding.Pass, Evidence: evidence}
}

// Failed says what is wrong with an object; with nothing wrong it has passed.
func Failed(o *model.Object, violations ...Violation) Judgement {
	if len(violations) == 0 {
		return Passed(o)
	}
	return Judgement{Object: o, Verdict: finding.Fail, Violations: violations}
}

// Inapplicable says that the control has nothing to say of an object.
func Inapplicable(o *model.Object) Judgement {
	return Judgement{Object: o, Verdict: finding.NotApplicable}
}

// Unobserved says that something was needed to judge an object and not seen.
func Unobserved(o *model.Object, format string, args ...any) Judgement {
	return Judgement{Object: o, Verdict: finding.Unknown, Reason: fmt.Sprintf(format, args...)}
}

// Input is what a control of a whole world reads.
type Input struct {
	World *model.World
	// Version is the minor version of Kubernetes 1 to judge for.
	Version    int
	parameters func(namespace string) map[string]any
}

// Parameter returns the value of one of the control's parameters for a
// namespace; empty is the whole cluster.
func (in *Input) Parameter(name, namespace string) any { return in.parameters(namespace)[name] }

var (
	controlName  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	sinceVersion = regexp.MustCompile(`^v\d+\.\d+$`)
)

// Validate reports what is missing or contradictory in a control.
func (c *Control) Validate() error {
	var missing []string
	want := func(ok bool, what string) {
		if !ok {
			missing = append(missing, what)
		}
	}
	want(controlName.MatchString(c.Name), "a name of lower-case words joined by dashes")
	want(c.Title != "" && !strings.HasSuffix(c.Title, "."), "a title without a full stop")
	want(c.Severity >= finding.Low && c.Severity <= finding.Critical, "a severity")
	want(slices.Contains(finding.Layers(), c.Layer), "a known layer")
	want(c.Why != "", "why")
	want(c.Remedy != "", "a remedy")
	want(sinceVersion.MatchString(c.Since), "since (v0.1)")
	want(len(c.Examples.Bad) > 0 && len(c.Examples.Good) > 0, "a bad and a good example")
	want((c.Object == nil) != (c.World == nil), "exactly one way to judge")
	switch c.FixSafety {
	case finding.FixSafe:
	case finding.FixRisky, finding.FixManual:
		want(c.FixNote != "", "a note that says what the fix may break or what to decide")
	default:
		want(false, "a fix that is safe, risky or manual")
	}
	want((c.FixPolicy() == nil) == (c.FixSafety == finding.FixManual), "a mutation exactly where the fix is not manual")
	if p := c.Object; p != nil {
		want(p.Pods != (len(p.Kinds) > 0), "a target: pods, or kinds")
		want((p.Violations == "") != (p.Judge == nil), "one source of violations")
		want(c.Fix == nil, "its mutation in the policy that judges")
	}
	if p := c.Fix; p != nil {
		want(p.Pods != (len(p.Kinds) > 0), "a target of the fix: pods, or kinds")
		want(p.Mutation != "" && p.Violations == "" && p.Judge == nil, "a fix that mutates and does not judge")
	}
	if len(missing) > 0 {
		return fmt.Errorf("control %q needs %s", c.Name, strings.Join(missing, "; "))
	}
	return nil
}
