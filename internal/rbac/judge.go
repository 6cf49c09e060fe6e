package rbac

import (
	"fmt"
	"maps"
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
	find  detector
	// ways are set instead of find where it takes more than one permission.
	ways []combination
	// rolesOnly leaves out bindings to roles of Kubernetes itself.
	rolesOnly bool
}

// detector returns how to find what is wrong with a rule for who holds it where.
// Version is the minor version of Kubernetes 1.
type detector func(version int) find

type find func(r *rbacv1.PolicyRule, held *reach) []hit

// anyOf finds powers.
func anyOf(powers func(version int) []power) detector {
	return func(version int) find {
		all := powers(version)
		return func(r *rbacv1.PolicyRule, held *reach) []hit {
			var hits []hit
			for i := range all {
				if !held.reaches(&all[i]) {
					continue
				}
				if h, ok := all[i].find(r); ok {
					hits = append(hits, h)
				}
			}
			return hits
		}
	}
}

// inAnyVersion makes a detector of what does not depend on the version.
func inAnyVersion(f find) detector { return func(int) find { return f } }

// reach is who holds a role, and where. What is held in the whole cluster is held
// in every namespace, so that only the former is told.
type reach struct {
	// nobody holds the role, as far as everything is seen.
	nobody     bool
	everywhere bool
	namespaces []string
	bindings   []*binding
	// subjects are those of the bindings that matter, where not all do.
	subjects []Subject
	evidence []finding.Evidence
}

// newReach finds out who holds a role. Where not every binding is seen, a role that
// none is seen of may be bound wherever it can be.
func (ix *index) newReach(r *role) reach {
	var out reach
	namespaces := map[string]bool{}
	for _, b := range ix.holders(r) {
		if b.namespace == "" && !out.everywhere {
			out.everywhere, out.bindings = true, nil
		}
		if out.everywhere == (b.namespace == "") {
			out.bindings = append(out.bindings, b)
			namespaces[b.namespace] = true
		}
	}
	switch {
	case out.everywhere:
	case len(out.bindings) > 0:
		out.namespaces = slices.Sorted(maps.Keys(namespaces))
	case r.namespace == "":
		out.everywhere, out.nobody = true, ix.everyBindingSeen
	default:
		out.namespaces = []string{r.namespace}
		out.nobody = ix.world.Closed(r.namespace) && ix.world.Unobserved(roleBindingKind, r.namespace) == ""
	}
	out.evidence = evidence(out.bindings)
	return out
}

// within reports whether the reach is in a scope.
func (r *reach) within(s scope) bool {
	return s == anywhere || r.everywhere == (s == everyNamespace)
}

// reaches reports whether what a power is about is in the reach.
func (r *reach) reaches(p *power) bool {
	return r.everywhere || !p.clusterScoped && (p.namespace == "" || slices.Contains(r.namespaces, p.namespace))
}

func (r *reach) who() string {
	if len(r.subjects) > 0 {
		return enumerate(r.subjects)
	}
	if len(r.bindings) == 0 {
		return "whoever is bound to it"
	}
	var all []Subject
	for _, b := range r.bindings {
		all = append(all, b.subjects...)
	}
	return enumerate(all)
}

func (r *reach) where() string {
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

func evidence(bindings []*binding) []finding.Evidence {
	if len(bindings) == 0 {
		return []finding.Evidence{{Source: "bindings", Detail: "none of this role was seen"}}
	}
	var out []finding.Evidence
	for i, b := range bindings {
		if i == maxEvidence {
			out = append(out, finding.Evidence{Source: "bindings", Detail: fmt.Sprintf("%d more", len(bindings)-i)})
			break
		}
		out = append(out, finding.Evidence{Source: b.object.Ref().String(), Detail: "binds " + enumerate(b.subjects)})
	}
	return out
}

func (c rolesControl) judge(in *check.Input) []check.Judgement {
	ix := facts.Of(in.World)
	search := c.newSearch(ix, in.Version)
	out := make([]check.Judgement, 0, len(ix.given))
	for _, r := range ix.given {
		out = append(out, c.judgeRole(r, search))
	}
	if c.rolesOnly {
		return out
	}
	for _, b := range toSystemRoles.Of(in.World) {
		out = append(out, c.judgeBinding(b, ix.roles[b.role], search))
	}
	return out
}

// toSystemRoles are the bindings that are not Kubernetes' own, to roles that are.
var toSystemRoles = model.NewFact(func(w *model.World) []*binding {
	ix := facts.Of(w)
	var out []*binding
	for _, b := range ix.bindings {
		if r := ix.roles[b.role]; b.problem == "" && !b.system && r != nil && r.system && !userFacing[r.roleKey] {
			out = append(out, b)
		}
	}
	return out
})

// userFacing are the roles that Kubernetes gives to people. Within a namespace
// they are meant for just what they grant; in the whole cluster
// no-cluster-admin-bindings judges them.
var userFacing = map[roleKey]bool{{"", "cluster-admin"}: true, {"", "admin"}: true, {"", "edit"}: true, {"", "view"}: true}

func (c rolesControl) judgeRole(r *role, search *search) check.Judgement {
	if r.problem != "" {
		return check.Unobserved(r.object, "%s", r.problem)
	}
	held := &r.held
	if r.system || held.nobody {
		return check.Inapplicable(r.object)
	}
	if !held.within(c.scope) {
		return check.Passed(r.object, held.evidence...)
	}
	var violations []check.Violation
	for _, rule := range r.judged {
		hits, by := search.find(rule.PolicyRule, r, held)
		if len(hits) == 0 || search.grantedAnyway(r, hits, held) {
			continue
		}
		violations = append(violations, check.Violation{Path: rule.path(hits[0]), Part: rule.at.String(),
			Detail: fmt.Sprintf("%s may %s %s", by.who(), mayAll(hits), by.where())})
	}
	j := check.Failed(r.object, violations...)
	j.Evidence = held.evidence
	return j
}

// judgeBinding judges a binding to a role that Kubernetes made for itself, whose
// rules nobody can change: what is wrong, if anything, is who is bound.
func (c rolesControl) judgeBinding(b *binding, r *role, search *search) check.Judgement {
	held := &reach{everywhere: b.namespace == "", namespaces: []string{b.namespace}, bindings: []*binding{b}}
	if !held.within(c.scope) || len(b.subjects) == 0 {
		return check.Passed(b.object)
	}
	var all []hit
	by := held
	for _, rule := range search.index.rules(r) {
		if hits, who := search.find(&rule, r, held); len(hits) > 0 {
			all, by = append(all, hits...), who
		}
	}
	if len(all) == 0 {
		return check.Passed(b.object)
	}
	return check.Failed(b.object, check.Violation{Path: model.Path(nil).Keys("roleRef", "name"), Part: wholeBinding,
		Detail: fmt.Sprintf("%s may %s %s by the role %s", by.who(), mayAll(all), by.where(), r.name)})
}

// judgedRule is a rule with the place that a finding about it points at.
type judgedRule struct {
	*rbacv1.PolicyRule
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

// newJudged lists the rules that a role answers for. What an aggregated role takes
// from the user's own roles is judged there, with its bindings; what it takes from
// Kubernetes' roles is judged here.
func (ix *index) newJudged(r *role) []judgedRule {
	var out []judgedRule
	if r.aggregation == nil || ix.world.Live {
		elsewhere := map[string]bool{}
		for _, leaf := range r.leaves {
			if ix.steps -= len(leaf.stored); !leaf.system && ix.steps >= 0 {
				for _, rule := range leaf.stored {
					elsewhere[rule.String()] = true
				}
			}
		}
		for i := range r.stored {
			if rule := &r.stored[i]; len(elsewhere) == 0 || !elsewhere[rule.String()] {
				out = append(out, judgedRule{rule, model.Path(nil).Append(model.Key("rules"), model.Index(i)), false})
			}
		}
		return out
	}
	at := model.Path(nil).Keys("aggregationRule")
	for _, leaf := range r.systemLeaves {
		if ix.steps -= len(leaf.stored); ix.steps < 0 {
			break
		}
		for i := range leaf.stored {
			out = append(out, judgedRule{&leaf.stored[i], at, true})
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
