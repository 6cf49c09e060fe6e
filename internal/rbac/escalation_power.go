package rbac

import (
	"cmp"
	"maps"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
)

// holding is a role that somebody has: by a binding, or because an earlier step of the
// chain gave it to them.
type holding struct {
	*roleAbilities
	by *binding
	as Subject
	// namespace is where the role holds; empty for everywhere.
	namespace string
	// whole is what this is a part of, where not all of a role may be used.
	whole *holding
}

// powers are all roles that somebody has, and where: those of one's own, and by
// inherited those of the groups that one is in, which are shared by all who are.
type powers struct {
	everywhere []*holding
	in         map[string][]*holding
	inherited  []*powers
	// has are the abilities of all of them; wide those of one's own that hold everywhere.
	has, wide uint64
	// clusterRoles are those of one's own that are ClusterRoles, and byName the first of
	// them, so many as are sorted: what several have together may be all of a cluster, and
	// each of them looks there for a few.
	clusterRoles []*holding
	byName       map[string][]*holding
	sorted       int
}

func (p *powers) add(h *holding) {
	p.has |= h.has
	if h.role != nil && h.role.namespace == "" {
		p.clusterRoles = append(p.clusterRoles, h)
	}
	if h.namespace == "" {
		p.wide |= h.has
		p.everywhere = append(p.everywhere, h)
		return
	}
	if p.in == nil {
		p.in = map[string][]*holding{}
	}
	p.in[h.namespace] = append(p.in[h.namespace], h)
}

// mixable are abilities that a step needs together with another one.
const mixable = 1<<createAccounts | 1<<seeSecrets | 1<<createSecrets | 1<<changeSecrets | 1<<applySecrets | 1<<createRoleBindings | 1<<changeRoleBindings |
	1<<bindClusterRoles | 1<<bindRoles | 1<<escalateRoles | 1<<changeRoles

// allNamespaces are those in which some role holds that does not hold everywhere.
func (p *powers) allNamespaces() []string {
	found := map[string]bool{}
	for _, part := range append([]*powers{p}, p.inherited...) {
		for ns := range part.in {
			found[ns] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// includes reports whether a role is one of the powers.
func (p *powers) includes(h *holding) (found bool) {
	p.within(h.namespace, func(own *holding) bool {
		found = own == h
		return !found
	})
	return found
}

// within visits the roles that hold in a namespace only, or only everywhere where that
// is empty, until visit returns false.
func (p *powers) within(namespace string, visit func(*holding) bool) bool {
	for i := -1; i < len(p.inherited); i++ {
		part := p
		if i >= 0 {
			part = p.inherited[i]
		}
		holdings := part.everywhere
		if namespace != "" {
			holdings = part.in[namespace]
		}
		for _, h := range holdings {
			if !visit(h) {
				return false
			}
		}
	}
	return true
}

// all visits every role, in order.
func (p *powers) all(visit func(*holding)) {
	for _, ns := range append([]string{""}, p.allNamespaces()...) {
		p.within(ns, func(h *holding) bool {
			visit(h)
			return true
		})
	}
}

// allClusterRoles visits every ClusterRole, in the order of all, or only those of some
// names.
func (p *powers) allClusterRoles(names []string, visit func(*holding)) {
	var found []*holding
	for i := -1; i < len(p.inherited); i++ {
		part := p
		if i >= 0 {
			part = p.inherited[i]
		}
		if names == nil {
			found = append(found, part.clusterRoles...)
			continue
		}
		for _, name := range names {
			found = append(found, part.named(name)...)
		}
	}
	slices.SortStableFunc(found, func(a, b *holding) int { return cmp.Compare(a.namespace, b.namespace) })
	for _, h := range found {
		visit(h)
	}
}

// named are the ClusterRoles of one's own that have a name.
func (p *powers) named(name string) []*holding {
	if p.byName == nil {
		p.byName = map[string][]*holding{}
	}
	for ; p.sorted < len(p.clusterRoles); p.sorted++ {
		h := p.clusterRoles[p.sorted]
		p.byName[h.role.name] = append(p.byName[h.role.name], h)
	}
	return p.byName[name]
}

// held is a request that somebody may make, and why.
type held struct {
	*way
	*holding
	// name is that of the object, where the step is about one that is known.
	name string
}

// view is what somebody may do in a namespace, or everywhere where that is empty.
type view struct {
	*powers
	namespace string
}

// holdings are those that count in the view; those of the whole cluster come first.
func (v view) holdings(visit func(*holding) bool) {
	if v.powers.within("", visit) && v.namespace != "" {
		v.powers.within(v.namespace, visit)
	}
}

// find returns why an object of a name may be treated so, nil where it may not. The
// empty name is that of a request about no single object, such as create.
func (v view) find(a ability, name string) (found *held) {
	if v.has&(1<<a) == 0 {
		return nil
	}
	v.holdings(func(h *holding) bool {
		if w := h.way(a, name); w != nil {
			found = &held{w, h, name}
		}
		return found == nil
	})
	return found
}

// any returns why all objects may be treated so.
func (v view) any(a ability) (found *held) {
	if v.has&(1<<a) == 0 {
		return nil
	}
	v.holdings(func(h *holding) bool {
		if w := h.granted[a]; w != nil && w.all != nil {
			found = &held{w.all, h, ""}
		}
		return found == nil
	})
	return found
}

func (h *holding) way(a ability, name string) *way {
	w := h.granted[a]
	if w == nil {
		return nil
	}
	if w.all != nil {
		return w.all
	}
	return w.named[name]
}

// names are those of single objects that may be treated so, in order.
func (v view) names(a ability) []string {
	if v.has&(1<<a) == 0 {
		return nil
	}
	found := map[string]bool{}
	v.holdings(func(h *holding) bool {
		if w := h.granted[a]; w != nil {
			for name := range w.named {
				if name != "" {
					found[name] = true
				}
			}
		}
		return true
	})
	return slices.Sorted(maps.Keys(found))
}

// anyOrNamed returns why some object may be treated so, with its name.
func (v view) anyOrNamed(a ability) *held {
	if h := v.any(a); h != nil {
		return h
	}
	if names := v.names(a); len(names) > 0 {
		return v.find(a, names[0])
	}
	return nil
}

// Needed is a request that a step needs, and what allows it.
type Needed struct {
	Request
	// Grant is nil where an earlier step of the chain has given it.
	Grant *Grant
	// Given is the role that the earlier step has given; nil for everything.
	Given *finding.Ref
	// Before is the number, from 1, of the step that has given it; 0 where a grant does.
	Before int
	// As is who makes the request, where that is another than who takes the step.
	As *Party
	// Impersonator says that who impersonates must be allowed it, and not who is
	// impersonated.
	Impersonator bool
}
