package persona

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/rbac"
)

// scope is what somebody may do, by namespace; that of the empty one holds in the whole
// cluster.
type scope map[string]map[thing]bool

// add notes an action in namespaces; none is the whole cluster.
func (s scope) add(namespaces []string, a Action) {
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, ns := range namespaces {
		if s[ns] == nil {
			s[ns] = map[thing]bool{}
		}
		for _, t := range a.things() {
			s[ns][t] = true
		}
	}
}

// allows reports whether a permission is within the scope. A star of the permission is
// so only by a star: it would mean more than anything that is listed.
func (s scope) allows(namespace string, t thing) bool {
	return covers(s[""], t) || namespace != "" && covers(s[namespace], t)
}

func covers(all map[thing]bool, t thing) bool {
	if len(all) == 0 {
		return false
	}
	if t.url != "" {
		for known := range all {
			if (known.verb == t.verb || known.verb == rbacv1.VerbAll) && urlCovers(known.url, t.url) {
				return true
			}
		}
		return false
	}
	resources := []string{t.resource, rbacv1.ResourceAll}
	if _, sub, ok := strings.Cut(t.resource, "/"); ok {
		resources = append(resources, "*/"+sub)
	}
	for _, verb := range []string{t.verb, rbacv1.VerbAll} {
		for _, group := range []string{t.group, rbacv1.APIGroupAll} {
			for _, resource := range resources {
				if all[thing{verb: verb, group: group, resource: resource, name: t.name}] || all[thing{verb: verb, group: group, resource: resource}] {
					return true
				}
			}
		}
	}
	return false
}

// urlCovers reports whether every path that one pattern matches is matched by another.
func urlCovers(pattern, other string) bool {
	prefix := strings.TrimRight(pattern, "*")
	switch {
	case pattern == "" || pattern == other:
		return pattern != ""
	case !strings.HasSuffix(pattern, "*"):
		return false
	case prefix == "/":
		return true // all paths start with a slash, so that /* is *
	}
	return strings.HasPrefix(strings.TrimRight(other, "*"), prefix)
}

// overlaps reports whether a permission gives any of a thing that must not be done, be
// it for single objects only.
func overlaps(p *rbac.Permission, t thing) bool {
	if t.verb != rbacv1.VerbAll && !slices.Contains(p.Verbs, t.verb) && !slices.Contains(p.Verbs, rbacv1.VerbAll) {
		return false
	}
	if t.url != "" || p.URL != "" {
		return t.url != "" && p.URL != "" && (urlCovers(t.url, p.URL) || urlCovers(p.URL, t.url))
	}
	if t.group != p.Group && t.group != rbacv1.APIGroupAll && p.Group != rbacv1.APIGroupAll {
		return false
	}
	return sameResource(p.Resource, t.resource) && (t.name == "" || len(p.ResourceNames) == 0 || slices.Contains(p.ResourceNames, t.name))
}

// sameResource compares resources, each of which may be *, or of one subresource of all.
func sameResource(a, b string) bool {
	if a == b || a == rbacv1.ResourceAll || b == rbacv1.ResourceAll {
		return true
	}
	nameA, subA, _ := strings.Cut(a, "/")
	nameB, subB, _ := strings.Cut(b, "/")
	return subA == subB && subA != "" && (nameA == "*" || nameB == "*")
}

// permissions are the action as package rbac lists what a rule of it grants.
func (a Action) permissions() []rbac.Permission {
	var out []rbac.Permission
	for _, u := range a.URLs {
		out = append(out, rbac.Permission{URL: u, Verbs: a.Verbs})
	}
	for _, r := range a.Resources {
		out = append(out, rbac.Permission{Group: r.Group, Resource: inRules(r), ResourceNames: a.Names, Verbs: a.Verbs})
	}
	return out
}
