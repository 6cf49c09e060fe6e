package rbac

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// combination is a power that takes more than one permission. They may stand in
// different rules, and in different roles of one holder.
type combination struct {
	// find says what a finding points at.
	find detector
	// also lists what the holder needs beside it, all of it.
	also []detector
}

// search finds in roles what a control minds.
type search struct {
	index *index
	ways  []compiledWay
	// joint says who holds what the ways need beside what is found; nil where they
	// need nothing.
	joint *jointHolders
}

// compiledWay is a combination in one version of Kubernetes.
type compiledWay struct {
	find  find
	needs uint16
}

func (c rolesControl) newSearch(ix *index, version int) *search {
	s := &search{index: ix}
	if c.find != nil {
		s.ways = []compiledWay{{find: c.find(version)}}
		return s
	}
	var all []find
	for _, w := range c.ways {
		one := compiledWay{find: w.find(version)}
		for _, a := range w.also {
			one.needs |= 1 << len(all)
			all = append(all, a(version))
		}
		s.ways = append(s.ways, one)
	}
	s.joint = newJointHolders(ix, all)
	return s
}

// find returns what a rule of a role is good for, and who of its holders can make
// use of it, where.
func (s *search) find(rule *rbacv1.PolicyRule, r *role, held *reach) (hits []hit, by *reach) {
	for _, w := range s.ways {
		found := w.find(rule, held)
		if len(found) == 0 {
			continue
		}
		who := held
		if w.needs != 0 {
			if who = s.joint.narrow(r, held, w.needs); who == nil {
				continue
			}
		}
		if hits = append(hits, found...); by == nil {
			by = who
		}
	}
	return hits, by
}

// grantedAnyway reports whether a role adds nothing: it is only ever aggregated
// into default roles, and they all grant the same already.
func (s *search) grantedAnyway(r *role, hits []hit, held *reach) bool {
	if len(r.parents) == 0 || len(r.bindings) > 0 {
		return false
	}
	for _, p := range r.parents {
		if !p.system {
			return false
		}
		granted := map[string]bool{}
		for _, leaf := range p.systemLeaves {
			for _, rule := range leaf.stored {
				for _, w := range s.ways {
					for _, h := range w.find(&rule, held) {
						granted[h.may] = true
					}
				}
			}
		}
		if slices.ContainsFunc(hits, func(h hit) bool { return !granted[h.may] }) {
			return false
		}
	}
	return true
}
