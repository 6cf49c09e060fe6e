package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// A wildcard is counted as so many: what a plain cluster has, roughly.
const (
	resourcesOfAll = 100
	verbsOfAll     = 10
)

// entry is one verb on one resource, or URL, that a subject may do somewhere.
type entry struct {
	namespace, group, resource, url, verb string
	names                                 []string
}

// size is how many permissions an entry is counted as.
func (c *cutter) size(e entry) int64 {
	n := int64(1)
	if e.namespace == "" && e.url == "" {
		n = c.namespaces
	}
	if e.resource == rbacv1.ResourceAll && len(e.names) == 0 {
		n *= resourcesOfAll
	}
	if e.verb == rbacv1.VerbAll {
		n *= verbsOfAll
	}
	return n
}

// members is how many subjects are known to lose what a subject loses.
func (c *cutter) members(s Subject) int64 { return max(1, int64(len(c.access.Members(s)))) }

// priceOf counts the permissions that subjects lose by a change alone, and that nothing
// else grants them; and one for the change itself.
func (c *cutter) priceOf(ch *change) int64 {
	weight := int64(1)
	c.losses(ch, func(b *binding, s Subject, e entry) {
		if !covered(c.access, s, e, func(other *binding, as Subject, h *heldRule) bool { return c.ends(ch, b, s, other, as, h) }) {
			weight += c.size(e) * c.members(s)
		}
	})
	return weight
}

// losses visits what bindings grant no longer after a change.
func (c *cutter) losses(ch *change, visit func(b *binding, s Subject, e entry)) {
	if ch.subject != (Subject{}) {
		b := c.bindingOf[ch.object]
		for _, written := range c.access.index.written(c.access.index.roles[b.role]) {
			for i := range written.stored {
				eachEntry(&written.stored[i], b, nil, "", func(e entry) { visit(b, ch.subject, e) })
			}
		}
		return
	}
	if ch.verb == writeOut {
		return // what it ends has no resource of its own
	}
	rule := &c.stored[ch.object][ch.rule]
	for _, b := range c.holders(c.roleOf[ch.object]) {
		if b.problem != "" {
			continue
		}
		for i, s := range b.subjects {
			if !slices.Contains(b.subjects[:i], s) {
				eachEntry(rule, b, ch.cells, ch.verb, func(e entry) { visit(b, s, e) })
			}
		}
	}
}

// eachEntry visits what a rule grants by a binding, only some cells and one verb of it
// where those are given.
func eachEntry(r *rbacv1.PolicyRule, b *binding, only []cell, verb string, visit func(entry)) {
	cells, verbs := only, []string{verb}
	if only == nil {
		cells = cellsOf(r)
	}
	if verb == "" || verb == rbacv1.VerbAll {
		verbs = r.Verbs
	}
	if slices.Contains(verbs, rbacv1.VerbAll) {
		verbs = []string{rbacv1.VerbAll}
	}
	for _, v := range verbs {
		for _, at := range cells {
			visit(entry{namespace: b.namespace, group: at.group, resource: at.resource, names: r.ResourceNames, verb: v})
		}
		if only == nil && b.namespace == "" {
			for _, url := range r.NonResourceURLs {
				visit(entry{url: url, verb: v})
			}
		}
	}
}

// ends reports whether a grant is one that a change ends.
func (c *cutter) ends(ch *change, b *binding, s Subject, other *binding, as Subject, h *heldRule) bool {
	if ch.subject != (Subject{}) {
		return other == b && as == s
	}
	if h.written.object == ch.object {
		return h.at == ch.rule
	}
	// The controller of an aggregated role copies rules.
	return h.written.aggregation != nil && sameRule(h.PolicyRule, &c.stored[ch.object][ch.rule])
}

func sameRule(a, b *rbacv1.PolicyRule) bool {
	return slices.Equal(a.Verbs, b.Verbs) && slices.Equal(a.APIGroups, b.APIGroups) && slices.Equal(a.Resources, b.Resources) && slices.Equal(a.ResourceNames, b.ResourceNames)
}

// covered reports whether one rule grants a subject all of an entry, but for grants that
// are left out.
func covered(a *Access, s Subject, e entry, without func(*binding, Subject, *heldRule) bool) (found bool) {
	for _, who := range IdentityOf(s).subjects() {
		a.bySubject[who].each(e.namespace, func(b *binding) bool {
			rules := a.rules[a.index.roles[b.role]]
			for _, h := range rules.about(e) {
				if h.covers(e, b) && (without == nil || !without(b, who, h)) {
					found = true
					return false
				}
			}
			return true
		})
		if found {
			return true
		}
	}
	return false
}

// about lists the rules that may cover an entry.
func (r *roleRules) about(e entry) []*heldRule {
	if e.url != "" {
		return r.urls
	}
	out := r.byResource[e.resource]
	for _, wider := range []string{rbacv1.ResourceAll, "*/" + afterSlash(e.resource)} {
		if wider != e.resource && len(r.byResource[wider]) > 0 {
			out = append(slices.Clip(out), r.byResource[wider]...)
		}
	}
	return out
}

func afterSlash(resource string) string {
	_, sub, _ := strings.Cut(resource, "/")
	return sub
}

// covers reports whether the rule grants all of an entry.
func (h *heldRule) covers(e entry, b *binding) bool {
	if verbIndex(h.PolicyRule, e.verb) < 0 {
		return false
	}
	if e.url != "" {
		return b.namespace == "" && slices.ContainsFunc(h.NonResourceURLs, func(u string) bool { return urlMatches(u, e.url) })
	}
	if groupIndex(h.PolicyRule, e.group) < 0 {
		return false
	}
	return len(h.ResourceNames) == 0 || len(e.names) > 0 && !slices.ContainsFunc(e.names, func(n string) bool { return !slices.Contains(h.ResourceNames, n) })
}
