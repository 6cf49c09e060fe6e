package rbac

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// scope is where a grant must hold for a control to mind it.
type scope int

const (
	anywhere scope = iota
	everyNamespace
	// someNamespaces leaves out what is granted in the whole cluster.
	someNamespaces
)

// rolesControl judges roles by their rules and by who holds them.
type rolesControl struct {
	scope scope
	find  func(version int, r *rbacv1.PolicyRule, everywhere bool) []hit
	// rolesOnly leaves out bindings to roles of Kubernetes itself.
	rolesOnly bool
}

// anyOf finds powers; version is the minor version of Kubernetes 1.
func anyOf(powers func(version int) []power) func(int, *rbacv1.PolicyRule, bool) []hit {
	return func(version int, r *rbacv1.PolicyRule, everywhere bool) []hit {
		var hits []hit
		for _, p := range powers(version) {
			if p.clusterScoped && !everywhere {
				continue
			}
			if h, ok := p.find(r); ok {
				hits = append(hits, h)
			}
		}
		return hits
	}
}

// reach is who holds a role, and where.
type reach struct {
	everywhere bool
	namespaces []string
	bindings   []*binding
}

// reach reports false where nobody holds the role. Where not every binding is
// seen, a role that none is seen of may be bound wherever it can be.
func (ix *index) reach(r *role) (reach, bool) {
	out := reach{bindings: r.holders()}
	namespaces := map[string]bool{}
	for _, b := range out.bindings {
		if b.namespace == "" {
			out.everywhere = true
		} else {
			namespaces[b.namespace] = true
		}
	}
	if len(out.bindings) > 0 {
		out.namespaces = slices.Sorted(maps.Keys(namespaces))
		return out, true
	}
	if r.namespace == "" {
		out.everywhere = true
		return out, !ix.everyBindingSeen
	}
	out.namespaces = []string{r.namespace}
	w := ix.world
	return out, !w.Closed(r.namespace) || w.Unobserved(roleBindingKind, r.namespace) != ""
}

// within narrows a reach to a scope; false where nothing is left.
func (r reach) within(s scope) (reach, bool) {
	if r.everywhere {
		r.bindings = slices.DeleteFunc(slices.Clone(r.bindings), func(b *binding) bool { return b.namespace != "" })
		r.namespaces = nil
		return r, s != someNamespaces
	}
	return r, s != everyNamespace
}

func (r reach) who() string {
	if len(r.bindings) == 0 {
		return "whoever is bound to it"
	}
	var all []subject
	for _, b := range r.bindings {
		all = append(all, b.subjects...)
	}
	return enumerate(all)
}

func (r reach) where() string {
	switch n := len(r.namespaces); {
	case r.everywhere:
		return "in the whole cluster"
	case n == 1:
		return "in namespace " + r.namespaces[0]
	case n == 2:
		return "in namespaces " + strings.Join(r.namespaces, " and ")
	default:
		return fmt.Sprintf("in namespaces %s, %s and %d more", r.namespaces[0], r.namespaces[1], n-2)
	}
}

// maxEvidence is how many bindings a finding names.
const maxEvidence = 5

func (r reach) evidence() []finding.Evidence {
	if len(r.bindings) == 0 {
		return []finding.Evidence{{Source: "bindings", Detail: "none of this role was seen"}}
	}
	var out []finding.Evidence
	for i, b := range r.bindings {
		if i == maxEvidence {
			out = append(out, finding.Evidence{Source: "bindings", Detail: fmt.Sprintf("%d more", len(r.bindings)-i)})
			break
		}
		out = append(out, finding.Evidence{Source: b.object.Ref().String(), Detail: "binds " + enumerate(b.subjects)})
	}
	return out
}

func (c rolesControl) judge(in *check.Input) []check.Judgement {
	ix := facts.Of(in.World)
	out := make([]check.Judgement, 0, len(ix.given)+len(ix.bindings))
	for _, r := range ix.given {
		out = append(out, c.judgeRole(ix, r, in.Version))
	}
	if c.rolesOnly {
		return out
	}
	for _, b := range ix.bindings {
		if r := ix.roles[b.role]; b.problem == "" && !b.system && r != nil && r.system && !userFacing[r.roleKey] {
			out = append(out, c.judgeBinding(ix, b, r, in.Version))
		}
	}
	return out
}

// userFacing are the roles that Kubernetes gives to people. Within a namespace
// they are meant for just what they grant; in the whole cluster
// no-cluster-admin-bindings judges them.
var userFacing = map[roleKey]bool{{"", "cluster-admin"}: true, {"", "admin"}: true, {"", "edit"}: true, {"", "view"}: true}

func (c rolesControl) judgeRole(ix *index, r *role, version int) check.Judgement {
	if r.problem != "" {
		return check.Unobserved(r.object, "%s", r.problem)
	}
	held, ok := ix.reach(r)
	if r.system || !ok {
		return check.Inapplicable(r.object)
	}
	held, ok = held.within(c.scope)
	if !ok {
		return check.Passed(r.object, held.evidence()...)
	}
	var violations []check.Violation
	for _, rule := range ix.judged(r) {
		hits := c.find(version, &rule.PolicyRule, held.everywhere)
		if len(hits) == 0 || c.grantedAnyway(ix, r, version, hits, held.everywhere) {
			continue
		}
		violations = append(violations, check.Violation{Path: rule.path(hits[0]),
			Detail: fmt.Sprintf("%s may %s %s", held.who(), mayAll(hits), held.where())})
	}
	j := check.Failed(r.object, violations...)
	j.Evidence = held.evidence()
	return j
}

// judgeBinding judges a binding to a role that Kubernetes made for itself, whose
// rules nobody can change: what is wrong, if anything, is who is bound.
func (c rolesControl) judgeBinding(ix *index, b *binding, r *role, version int) check.Judgement {
	held := reach{everywhere: b.namespace == "", bindings: []*binding{b}}
	if b.namespace != "" {
		held.namespaces = []string{b.namespace}
	}
	held, ok := held.within(c.scope)
	if !ok || len(b.subjects) == 0 {
		return check.Passed(b.object)
	}
	var all []hit
	for _, rule := range ix.rules(r) {
		all = append(all, c.find(version, &rule, held.everywhere)...)
	}
	if len(all) == 0 {
		return check.Passed(b.object)
	}
	return check.Failed(b.object, check.Violation{Path: model.Path(nil).Keys("roleRef", "name"),
		Detail: fmt.Sprintf("%s may %s %s by the role %s", held.who(), mayAll(all), held.where(), r.name)})
}

// grantedAnyway reports whether a role adds nothing: it is only ever aggregated
// into default roles, and they all grant the same already.
func (c rolesControl) grantedAnyway(ix *index, r *role, version int, hits []hit, everywhere bool) bool {
	if len(r.parents) == 0 || len(r.bindings) > 0 {
		return false
	}
	for _, p := range r.parents {
		d := ix.defaults.roles[p.roleKey]
		if d == nil {
			return false
		}
		granted := map[string]bool{}
		for _, leaf := range p.leaves() {
			if ix.defaults.roles[leaf.roleKey] == nil {
				continue
			}
			for _, rule := range leaf.stored {
				for _, h := range c.find(version, &rule, everywhere) {
					granted[h.may] = true
				}
			}
		}
		if slices.ContainsFunc(hits, func(h hit) bool { return !granted[h.may] }) {
			return false
		}
	}
	return true
}

// judgedRule is a rule with the place that a finding about it points at.
type judgedRule struct {
	rbacv1.PolicyRule
	at model.Path
	// inherited rules are written in another role; at is the aggregation rule.
	inherited bool
}

func (r *judgedRule) path(h hit) model.Path {
	if r.inherited {
		return r.at
	}
	return r.at.Append(model.Key(h.field), model.Index(h.index))
}

// judged lists the rules that a role answers for. What an aggregated role takes
// from the user's own roles is judged there, with its bindings; what it takes from
// Kubernetes' roles is judged here.
func (ix *index) judged(r *role) []judgedRule {
	var out []judgedRule
	if r.aggregation == nil || ix.world.Live {
		var elsewhere []rbacv1.PolicyRule
		for _, leaf := range r.leaves() {
			if !leaf.system {
				elsewhere = append(elsewhere, leaf.stored...)
			}
		}
		for i, rule := range r.stored {
			if !slices.ContainsFunc(elsewhere, func(e rbacv1.PolicyRule) bool { return reflect.DeepEqual(e, rule) }) {
				out = append(out, judgedRule{rule, model.Path(nil).Append(model.Key("rules"), model.Index(i)), false})
			}
		}
		return out
	}
	for _, leaf := range r.leaves() {
		if leaf.system {
			for _, rule := range leaf.stored {
				out = append(out, judgedRule{rule, model.Path(nil).Keys("aggregationRule"), true})
			}
		}
	}
	return out
}

func mayAll(hits []hit) string {
	var parts []string
	for _, h := range hits {
		if !slices.Contains(parts, h.may) {
			parts = append(parts, h.may)
		}
	}
	return strings.Join(parts, ", and ")
}
