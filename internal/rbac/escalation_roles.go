package rbac

import "slices"

// clusterAdmin is the role that may do everything: the API server makes it anew when
// it is gone.
const clusterAdmin = "cluster-admin"

// bindInCluster binds a ClusterRole to oneself, or oneself to a binding that is there.
func bindInCluster(s *seeker) {
	if s.has&(1<<bindClusterRoles) == 0 {
		return
	}
	if made := s.create(createClusterRoleBindings, changeClusterRoleBindings); made[0] != nil {
		s.bindEach("", made...)
	}
	if s.has&(1<<changeClusterRoleBindings) != 0 {
		s.joinEach("")
	}
}

// bindInNamespace does so with a RoleBinding. Whether a role may be bound is asked in
// the namespace of the binding, of ClusterRoles too.
func bindInNamespace(s *seeker) {
	if s.has&(1<<bindClusterRoles|1<<bindRoles) == 0 {
		return
	}
	if made := s.create(createRoleBindings, changeRoleBindings); made[0] != nil {
		s.bindEach(s.namespace, made...)
		s.each(bindRoles, s.graph.namespacedRoles, made...)
	}
	if s.has&(1<<changeRoleBindings) != 0 {
		s.joinEach(s.namespace)
	}
}

// bindEach notes a step for each ClusterRole that may be bound. One that may do
// everything is as good as all.
func (s *seeker) bindEach(namespace string, made ...*held) {
	inCluster := made[0].request.Resource == "clusterrolebindings"
	names := s.names(bindClusterRoles)
	if s.find(bindClusterRoles, clusterAdmin) != nil {
		names = []string{clusterAdmin}
	}
	for _, name := range names {
		r := s.graph.role(roleKey{"", name})
		if r == nil {
			continue
		}
		to := s.graph.gainedIn(namespace, r)
		if inCluster {
			to = gainedKey("", r)
		}
		s.step(to, place{namespace: namespace}, append([]*held{s.find(bindClusterRoles, name)}, made...)...)
	}
}

// joinEach notes a step for each binding that one may add oneself to: of the whole
// cluster, or RoleBindings of a namespace or, where that is empty, of all of them.
func (s *seeker) joinEach(namespace string) {
	change, inCluster := changeRoleBindings, false
	bindings := s.graph.bindings[namespace]
	if s.primitive.cluster {
		change, inCluster, bindings = changeClusterRoleBindings, true, s.graph.clusterBindings
	}
	if s.anyOrNamed(change) == nil {
		return // there are many bindings to look through
	}
	for _, b := range bindings {
		bind := bindClusterRoles
		if b.role.namespace != "" {
			bind = bindRoles
		}
		r := s.graph.role(b.role)
		changed := s.find(change, b.ref.Name)
		if r == nil || changed == nil {
			continue
		}
		at := place{namespace: b.namespace}
		if inCluster {
			at = place{}
		}
		s.step(gainedKey(b.namespace, r), at, s.find(bind, b.role.name), changed)
	}
}

// rewriteClusterRole writes everything into a ClusterRole that one is bound to, or into
// a new one that such a role is aggregated of.
func rewriteClusterRole(s *seeker) {
	if s.has&(1<<escalateClusterRoles) == 0 {
		return
	}
	made := s.createEscalating()
	// Both requests are about the role: where one is for some names only, so is the step.
	// What it takes to make a role that others are aggregated into is for any of those.
	var names []string
	if slices.Contains(made, nil) {
		switch {
		case s.find(escalateClusterRoles, "") == nil:
			names = append([]string{}, s.names(escalateClusterRoles)...)
		case s.find(changeClusterRoles, "") == nil:
			names = append([]string{}, s.names(changeClusterRoles)...)
		}
	}
	visit := func(h *holding) {
		to, at := adminKey, place{}
		if h.namespace != "" {
			to, at = gainedKey(h.namespace, nil), place{namespace: h.namespace}
		}
		name := h.role.name
		s.of = h
		s.step(to, at, s.find(escalateClusterRoles, name), s.find(changeClusterRoles, name))
		if h.role.aggregation != nil && len(h.role.aggregation.ClusterRoleSelectors) > 0 {
			s.step(to, at, made...)
		}
	}
	s.from.own.allClusterRoles(names, visit)
}

// createEscalating returns what it takes to make a ClusterRole with any rules: plainly,
// where no request has a name, or by an update or apply of one that is not there.
func (s *seeker) createEscalating() []*held {
	plain := []*held{s.find(escalateClusterRoles, ""), s.find(createClusterRoles, "")}
	if !slices.Contains(plain, nil) {
		return plain
	}
	for _, name := range append(s.names(escalateClusterRoles), s.names(createClusterRoles)...) {
		named := []*held{s.find(escalateClusterRoles, name), s.find(createClusterRoles, name), s.find(changeClusterRoles, name)}
		if !slices.Contains(named, nil) {
			return named
		}
	}
	return []*held{nil}
}

// rewriteRole writes everything into a Role that one is bound to.
func rewriteRole(s *seeker) {
	if s.namespace == "" || s.has&(1<<escalateRoles) == 0 {
		return
	}
	s.from.own.within(s.namespace, func(h *holding) bool {
		if h.role != nil && h.role.namespace != "" {
			name := h.role.name
			s.of = h
			s.step(gainedKey(s.namespace, nil), place{namespace: s.namespace}, s.find(escalateRoles, name), s.find(changeRoles, name))
		}
		return true
	})
}
