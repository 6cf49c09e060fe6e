package rbac

import (
	"maps"
	"slices"
)

// jointHolders says who holds which of up to 16 permissions, where, by all their roles
// together. What the roles that Kubernetes gives to people grant is left out: to
// who has edit in a namespace another role adds nothing that edit has.
type jointHolders struct {
	index *index
	finds []find
	roles map[*role]roleShare
	held  map[Subject]*subjectShare
}

// roleShare are the permissions, a bit for each, that a role grants where it is bound
// in the whole cluster, and in a namespace.
type roleShare struct{ everywhere, inNamespace uint16 }

// subjectShare are the permissions that a subject holds.
type subjectShare struct {
	everywhere uint16
	in         map[string]uint16
}

func newJointHolders(ix *index, finds []find) *jointHolders {
	j := &jointHolders{ix, finds, map[*role]roleShare{}, map[Subject]*subjectShare{}}
	for _, b := range ix.bindings {
		r := ix.roles[b.role]
		if b.problem != "" || r == nil || r.system && userFacing[r.roleKey] {
			continue
		}
		bits := j.of(r).at(b.namespace)
		if bits == 0 {
			continue
		}
		for _, s := range b.subjects {
			to := j.held[s]
			if to == nil {
				to = &subjectShare{in: map[string]uint16{}}
				j.held[s] = to
			}
			if b.namespace == "" {
				to.everywhere |= bits
			} else {
				to.in[b.namespace] |= bits
			}
		}
	}
	return j
}

// at returns what the role grants in a namespace; empty is the whole cluster.
func (r roleShare) at(namespace string) uint16 {
	if namespace == "" {
		return r.everywhere
	}
	return r.inNamespace
}

func (j *jointHolders) of(r *role) roleShare {
	known, ok := j.roles[r]
	if ok {
		return known
	}
	cluster, namespaced := &reach{everywhere: true}, &reach{}
	for _, rule := range j.index.rules(r) {
		for i, find := range j.finds {
			if len(find(&rule, cluster)) > 0 {
				known.everywhere |= 1 << i
			}
			if len(find(&rule, namespaced)) > 0 {
				known.inNamespace |= 1 << i
			}
		}
	}
	j.roles[r] = known
	return known
}

// narrow returns those holders of a role who have all that is needed, and where; nil
// where nobody has.
func (j *jointHolders) narrow(r *role, held *reach, needs uint16) *reach {
	own := j.of(r)
	if len(held.bindings) == 0 {
		if held.everywhere && own.everywhere&needs == needs || own.inNamespace&needs == needs {
			return held
		}
		return nil
	}
	out := &reach{}
	namespaces := map[string]bool{}
	for _, b := range held.bindings {
		for _, s := range b.subjects {
			if j.places(s, b.namespace, own.at(b.namespace), needs, namespaces) {
				out.subjects = append(out.subjects, s)
			}
		}
	}
	if len(out.subjects) == 0 {
		return nil
	}
	out.everywhere = namespaces[""]
	out.namespaces = slices.Sorted(maps.Keys(namespaces))
	return out
}

// places adds where a subject, who holds some permissions by a binding in a namespace,
// has all that is needed: in it, or, of one in the whole cluster, in those where the
// rest is held. It reports whether there is such a place.
func (j *jointHolders) places(s Subject, namespace string, has, needs uint16, out map[string]bool) bool {
	as := IdentityOf(s).subjects()
	for _, of := range as {
		if to := j.held[of]; to != nil {
			has |= to.everywhere | to.in[namespace]
		}
	}
	if has&needs == needs {
		out[namespace] = true
		return true
	}
	if namespace != "" {
		return false
	}
	found := false
	in := map[string]uint16{}
	for _, of := range as {
		if to := j.held[of]; to != nil {
			for ns, bits := range to.in {
				if in[ns] |= bits; (has|in[ns])&needs == needs {
					found, out[ns] = true, true
				}
			}
		}
	}
	return found
}
