package rbac

import (
	"cmp"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxSteps bounds the work of following aggregation, which grows with the square
// of the roles where they all select each other. A cluster of 10,000 roles with
// 100 aggregated ones takes a million.
const maxSteps = 4_000_000

// aggregate joins ClusterRoles with those that they select by label.
func (ix *index) aggregate() {
	var all []*role
	for key, r := range ix.roles {
		if key.namespace == "" {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *role) int { return cmp.Compare(a.name, b.name) })
	for _, parent := range all {
		if parent.aggregation == nil {
			continue
		}
		for _, selector := range parent.aggregation.ClusterRoleSelectors {
			s, err := metav1.LabelSelectorAsSelector(&selector)
			if ix.steps -= len(all); ix.steps < 0 || err != nil {
				continue // with an error the API server refuses the role
			}
			for _, child := range all {
				if child != parent && s.Matches(child.labels) {
					parent.selects = append(parent.selects, child)
					child.parents = append(child.parents, parent)
				}
			}
		}
	}
	for _, r := range all {
		r.leaves = ix.newLeaves(r)
		for _, leaf := range r.leaves {
			if leaf.system {
				r.systemLeaves = append(r.systemLeaves, leaf)
			}
		}
	}
	for _, r := range ix.roles {
		r.full = slices.ContainsFunc(r.stored, fullAccess)
		if r.aggregation != nil && !(ix.world.Live && r.object != nil) {
			r.full = slices.ContainsFunc(r.leaves, func(leaf *role) bool { return slices.ContainsFunc(leaf.stored, fullAccess) })
		}
	}
}

// walk lists the roles that can be reached from r, itself first, each once.
func (ix *index) walk(r *role, next func(*role) []*role) []*role {
	seen := map[*role]bool{r: true}
	all := []*role{r}
	for i := 0; i < len(all) && ix.steps >= 0; i++ {
		reached := next(all[i])
		ix.steps -= len(reached)
		for _, n := range reached {
			if !seen[n] {
				seen[n] = true
				all = append(all, n)
			}
		}
	}
	return all
}

// holders are the bindings that grant what the role says, by way of the roles
// that it is aggregated into too. Bindings to nobody are left out.
func (ix *index) holders(r *role) []*binding {
	if len(r.parents) == 0 {
		return r.bindings
	}
	var all []*binding
	for _, p := range ix.walk(r, func(r *role) []*role { return r.parents }) {
		if ix.steps -= len(p.bindings); ix.steps >= 0 {
			all = append(all, p.bindings...)
		}
	}
	return all
}

func (ix *index) newLeaves(r *role) []*role {
	if r.aggregation == nil {
		return nil
	}
	var out []*role
	for _, child := range ix.walk(r, func(r *role) []*role { return r.selects })[1:] {
		if child.aggregation == nil {
			out = append(out, child)
		}
	}
	return out
}

// rules are those that the role grants. On a cluster what is stored counts, as it
// does for the authorizer. In files no controller has filled an aggregated role
// yet, and it would replace what is written there.
func (ix *index) rules(r *role) []rbacv1.PolicyRule {
	if r.aggregation == nil || ix.world.Live && r.object != nil {
		return r.stored
	}
	var all []rbacv1.PolicyRule
	for _, leaf := range r.leaves {
		all = append(all, leaf.stored...)
	}
	return all
}
