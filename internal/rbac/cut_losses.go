package rbac

import (
	"cmp"
	"slices"
	"strings"
)

// Loss is what a subject may do no longer, in one place to one resource or URL.
type Loss struct {
	Subject Subject
	Permission
}

// lossesOf lists what subjects lose by changes together: what is granted otherwise they
// keep.
func (c *cutter) lossesOf(made []int, t *trial) []Loss {
	type key struct {
		subject Subject
		permissionKey
	}
	found := map[key]*Loss{}
	for _, id := range made {
		c.losses(c.changes[id], func(_ *binding, s Subject, e entry) {
			if covered(t.access, s, e, nil) {
				return
			}
			k := key{s, permissionKey{e.namespace, e.group, e.resource, strings.Join(e.names, "\x00"), e.url}}
			l := found[k]
			if l == nil {
				l = &Loss{s, Permission{Namespace: e.namespace, Group: e.group, Resource: e.resource, ResourceNames: e.names, URL: e.url}}
				found[k] = l
			}
			if !slices.Contains(l.Verbs, e.verb) {
				l.Verbs = append(l.Verbs, e.verb)
			}
		})
	}
	out := make([]Loss, 0, len(found))
	for _, l := range found {
		slices.Sort(l.Verbs)
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b Loss) int {
		return cmp.Or(compareSubjects(a.Subject, b.Subject), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.URL, b.URL), cmp.Compare(a.Group, b.Group),
			cmp.Compare(a.Resource, b.Resource), slices.Compare(a.ResourceNames, b.ResourceNames))
	})
	return out
}
