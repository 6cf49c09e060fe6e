// Package rollout has controls enforced by a cluster, step by step: off, audit, warn,
// deny. It makes the objects of exported policies and of the step that each namespace
// is at, reads what was applied before, says what differs, and applies it server-side
// once a dry run of everything has been accepted.
//
// What step a namespace is at is written in the cluster and nowhere else: in the
// bindings of the policies, which select namespaces by name.
package rollout

import (
	"fmt"
	"maps"
	"slices"

	"bulkhead.dev/bulkhead/internal/admission"
)

// Step is how strictly the policies act, the higher the stricter.
type Step int

// The steps.
const (
	Off   Step = iota // there is no binding
	Audit             // an annotation in the audit log
	Warn              // a warning to the client, too
	Deny              // a refusal
)

var stepNames = [...]string{"off", "audit", "warn", "deny"}

// String is off, audit, warn or deny.
func (s Step) String() string { return stepNames[s] }

// ParseStep reads off, audit, warn or deny.
func ParseStep(text string) (Step, error) {
	if i := slices.Index(stepNames[:], text); i >= 0 {
		return Step(i), nil
	}
	return Off, fmt.Errorf("%q is no step: use off, audit, warn or deny", text)
}

// StepOf is the step that policies of a mode are at.
func StepOf(m admission.Mode) Step { return Step(slices.Index(stepNames[:], string(m))) }

// mode is the one of policies that are at the step, which is not Off.
func (s Step) mode() admission.Mode { return admission.Mode(s.String()) }

// Next is the stricter step, Back the milder one; the ends stay where they are.
func (s Step) Next() Step { return min(s+1, Deny) }

// Back is the milder step.
func (s Step) Back() Step { return max(s-1, Off) }

// Steps say how strictly the policies act where. The zero value is off everywhere.
type Steps struct {
	// Named are namespaces that have a step of their own, Off among them.
	Named map[string]Step
	// Others is the step of all other namespaces, those to come too, but for the
	// namespaces of the system: they are off unless they are named.
	Others Step
	// Cluster is the step for objects that belong to no namespace.
	Cluster Step
}

// Of is the step at which an object in a namespace is judged; the empty name is the
// whole cluster.
func (s *Steps) Of(namespace string) Step {
	if namespace == "" {
		return s.Cluster
	}
	if step, ok := s.Named[namespace]; ok {
		return step
	}
	if slices.Contains(admission.SystemNamespaces(), namespace) {
		return Off
	}
	return s.Others
}

// At are the named namespaces at a step, in order.
func (s *Steps) At(step Step) []string {
	var out []string
	for name, at := range s.Named {
		if at == step {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Target names what is moved to another step.
type Target struct {
	Namespaces      []string
	Others, Cluster bool
}

// Moved returns the steps with those of the target changed.
func (s *Steps) Moved(t Target, move func(Step) Step) Steps {
	out := Steps{Named: maps.Clone(s.Named), Others: s.Others, Cluster: s.Cluster}
	if out.Named == nil {
		out.Named = map[string]Step{}
	}
	for _, name := range t.Namespaces {
		out.Named[name] = move(s.Of(name))
	}
	if t.Others {
		out.Others = move(s.Others)
	}
	if t.Cluster {
		out.Cluster = move(s.Cluster)
	}
	return out
}

// Move is a place whose step changes.
type Move struct {
	// Namespace is empty for Others and Cluster.
	Namespace       string
	Others, Cluster bool
	From, To        Step
}

// Place is how a person names what moves.
func (m *Move) Place() string {
	switch {
	case m.Others:
		return placeOthers
	case m.Cluster:
		return placeCluster
	}
	return placeOf(m.Namespace)
}

// How a person names the places that are no single namespace.
const (
	placeOthers  = "all other namespaces"
	placeCluster = "the whole cluster"
)

func placeOf(namespace string) string { return "namespace " + namespace }

// Moves lists the places at which two Steps differ.
func Moves(from, to *Steps) []Move {
	var out []Move
	if from.Others != to.Others {
		out = append(out, Move{Others: true, From: from.Others, To: to.Others})
	}
	if from.Cluster != to.Cluster {
		out = append(out, Move{Cluster: true, From: from.Cluster, To: to.Cluster})
	}
	named := map[string]bool{}
	for _, s := range []*Steps{from, to} {
		for name := range s.Named {
			named[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if a, b := from.Of(name), to.Of(name); a != b {
			out = append(out, Move{Namespace: name, From: a, To: b})
		}
	}
	return out
}
