package rbac

import (
	"fmt"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

var roleRefName = model.Path(nil).Keys("roleRef", "name")

// eachBinding judges the bindings that are not Kubernetes' own.
func eachBinding(judge func(in *check.Input, ix *index, b *binding) check.Judgement) func(*check.Input) []check.Judgement {
	return func(in *check.Input) []check.Judgement {
		ix := facts.Of(in.World)
		out := make([]check.Judgement, 0, len(ix.bindings))
		for _, b := range ix.bindings {
			switch {
			case b.problem != "":
				out = append(out, check.Unobserved(b.object, "%s", b.problem))
			case b.system:
				out = append(out, check.Inapplicable(b.object))
			default:
				out = append(out, judge(in, ix, b))
			}
		}
		return out
	}
}

// eachSubject makes a control of what is wrong with single subjects of a binding;
// an empty detail is nothing.
func eachSubject(detail func(in *check.Input, ix *index, b *binding, s Subject) string) func(*check.Input) []check.Judgement {
	return eachBinding(func(in *check.Input, ix *index, b *binding) check.Judgement {
		if len(b.subjects) == 0 {
			return check.Inapplicable(b.object)
		}
		var violations []check.Violation
		for i, s := range b.subjects {
			if d := detail(in, ix, b, s); d != "" {
				violations = append(violations, check.Violation{Detail: d, Part: wholeBinding,
					Path: model.Path(nil).Append(model.Key("subjects"), model.Index(i), model.Key("name"))})
			}
		}
		return check.Failed(b.object, violations...)
	})
}

// what says what a binding grants, and where.
func (b *binding) what() string {
	where := "in the whole cluster"
	if b.namespace != "" {
		where = "in namespace " + b.namespace
	}
	return fmt.Sprintf("the %s %s %s", b.role.kind(), b.role.name, where)
}

// wholeBinding is the part of a binding that its faults are about, whichever of
// its fields they point at: who gets what is one fault.
const wholeBinding = "binding"
