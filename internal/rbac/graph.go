package rbac

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Binding is a binding that grants something, as a drawing shows it.
type Binding struct {
	Ref, Role *finding.Ref
	// Subjects are each named once.
	Subjects []Subject
	// Default says that every cluster has it: it has the name of a default binding, or one
	// that is reserved, and binds nobody else.
	Default bool
	// At is where it is written; nil in a cluster.
	At *finding.Location
	// Rules are those of the role, shared by all of its bindings.
	Rules []Rule
}

// Rule is a rule of a role that somebody is bound to.
type Rule struct {
	*rbacv1.PolicyRule
	// Written is the role that the rule stands in, another than the one that is bound where
	// that is aggregated.
	Written *finding.Ref
	// Number is its place in the list of Written, from 0.
	Number int
	// At is where it is written; nil in a cluster, and for a role that every cluster has.
	At *finding.Location
}

// Bindings lists the bindings by which anybody may do anything.
func (a *Access) Bindings() []Binding {
	rules := map[*role][]Rule{}
	var out []Binding
	for _, b := range a.index.bindings {
		r := a.index.roles[b.role]
		if b.problem != "" || len(b.subjects) == 0 || a.holders[r] == nil {
			continue
		}
		if _, known := rules[r]; !known {
			rules[r] = a.index.rulesOf(r)
		}
		bound := Binding{Ref: b.ref, Role: r.ref, Default: b.system, At: b.object.Locate(nil), Rules: rules[r]}
		for _, s := range b.subjects {
			if !slices.Contains(bound.Subjects, s) {
				bound.Subjects = append(bound.Subjects, s)
			}
		}
		out = append(out, bound)
	}
	return out
}

// rulesOf lists the rules of a role with where they are written.
func (ix *index) rulesOf(r *role) []Rule {
	var out []Rule
	for _, from := range ix.written(r) {
		for i := range from.stored {
			rule := Rule{PolicyRule: &from.stored[i], Written: from.ref, Number: i}
			if from.object != nil {
				rule.At = from.object.Locate(model.Path(nil).Append(model.Key("rules"), model.Index(i)))
			}
			out = append(out, rule)
		}
	}
	return out
}
