package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// lints are the controls about roles and bindings that do not do what they say, or do
// what others do already.
var lints = []check.Control{
	noCoveredRules,
	noDanglingRoleRefs,
	noDefaultAccountGrants,
	noDuplicateRoles,
	noDuplicateSubjects,
	noEmptyBindings,
	noMissingSubjects,
	noRedundantBindings,
	noUnknownResources,
	noUnknownVerbs,
	noUnusedRoles,
	noUsersBesideGroups,
}

// Lints names the controls that bulkhead rbac lint runs.
func Lints() []string {
	names := make([]string, 0, len(lints))
	for _, c := range lints {
		names = append(names, c.Name)
	}
	return names
}

// objectName is where a fault of a whole role or binding points.
var objectName = model.Path(nil).Keys("metadata", "name")

// eachRole judges the roles that are not Kubernetes' own.
func eachRole(judge func(in *check.Input, ix *index, r *role) check.Judgement) func(*check.Input) []check.Judgement {
	return func(in *check.Input) []check.Judgement {
		ix := facts.Of(in.World)
		out := make([]check.Judgement, 0, len(ix.given))
		for _, r := range ix.given {
			switch {
			case r.problem != "":
				out = append(out, check.Unobserved(r.object, "%s", r.problem))
			case r.system:
				out = append(out, check.Inapplicable(r.object))
			default:
				out = append(out, judge(in, ix, r))
			}
		}
		return out
	}
}

// eachWrittenRule judges the rules that somebody has written. Those of an aggregated
// role are written by a controller.
func eachWrittenRule(judge func(in *check.Input, r *role) []check.Violation) func(*check.Input) []check.Judgement {
	return eachRole(func(in *check.Input, _ *index, r *role) check.Judgement {
		if r.aggregation != nil || len(r.stored) == 0 {
			return check.Inapplicable(r.object)
		}
		return check.Failed(r.object, judge(in, r)...)
	})
}

// rulePath is where a rule of a role stands, or an item of it.
func rulePath(rule int, steps ...model.Step) model.Path {
	return model.Path(nil).Append(model.Key("rules"), model.Index(rule)).Append(steps...)
}

// canonical is the same text for rules that are written in another order, and else
// for no others.
func canonical(rules []rbacv1.PolicyRule) string {
	texts := make([]string, 0, len(rules))
	for i := range rules {
		texts = append(texts, canonicalRule(&rules[i]))
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), "\x02")
}

func canonicalRule(r *rbacv1.PolicyRule) string {
	var b strings.Builder
	for _, list := range [][]string{r.Verbs, r.APIGroups, r.Resources, r.ResourceNames, r.NonResourceURLs} {
		list = slices.Sorted(slices.Values(list))
		for _, item := range slices.Compact(list) {
			b.WriteString(item)
			b.WriteByte(0)
		}
		b.WriteByte(1)
	}
	return b.String()
}
