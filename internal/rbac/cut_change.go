package rbac

import (
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

// cell is one pair of what a rule multiplies: a group and a resource, as it writes them.
type cell struct{ group, resource string }

// changeKey tells the changes apart that a cut may be made of: a subject taken out of a
// binding, or a verb taken off some cells of a rule.
type changeKey struct {
	object *model.Object
	// subject is that of a binding.
	subject Subject
	// rule is its number in a role, verb what is taken away; * is every verb.
	rule  int
	verb  string
	cells string
}

// change is a change with its price.
type change struct {
	changeKey
	cells  []cell
	weight int64
}

// use is something that a chain rests on: a subject in a binding, or that a rule allows
// a verb on some cells, all of which do.
type use struct {
	object  *model.Object
	subject Subject
	rule    int
	verb    string
	cells   []cell
}

func (u use) ofBinding() bool { return u.subject != Subject{} }

// cellsOf lists what a rule multiplies, each once.
func cellsOf(r *rbacv1.PolicyRule) []cell {
	var out []cell
	seen := map[cell]bool{}
	for _, g := range r.APIGroups {
		for _, s := range r.Resources {
			if c := (cell{g, s}); !seen[c] {
				seen[c] = true
				out = append(out, c)
			}
		}
	}
	return out
}

// matches reports whether a cell covers the resource of a request.
func (c cell) matches(group, resource string) bool {
	r := rbacv1.PolicyRule{APIGroups: []string{c.group}, Resources: []string{c.resource}}
	return groupIndex(&r, group) >= 0 && resourceIndex(&r, resource) >= 0
}

// plainVerbs are those that every resource may have.
var plainVerbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

// specialVerbs are further ones that RBAC and others ask about. Of what * stands for
// they and plainVerbs are written out when one verb is taken away.
var specialVerbs = map[cell][]string{
	{"", "users"}: {"impersonate"}, {"", "groups"}: {"impersonate"}, {"", "serviceaccounts"}: {"impersonate"},
	{apiGroup, "roles"}: {"bind", "escalate"}, {apiGroup, "clusterroles"}: {"bind", "escalate"},
	{"certificates.k8s.io", "signers"}:                      {"approve", "sign", "attest"},
	{"authentication.k8s.io", "userextras"}:                 {"impersonate"},
	{"authentication.k8s.io", "uids"}:                       {"impersonate", "impersonate:user-info"},
	{"authentication.k8s.io", "users"}:                      {"impersonate:user-info"},
	{"authentication.k8s.io", "groups"}:                     {"impersonate:user-info"},
	{"authentication.k8s.io", "serviceaccounts"}:            {"impersonate:serviceaccount"},
	{"authentication.k8s.io", "nodes"}:                      {"impersonate:arbitrary-node", "impersonate:associated-node"},
	{"networking.k8s.io", "servicecidrs"}:                   {"use"},
	{"scheduling.k8s.io", "priorityclasses"}:                {"use"},
	{"storage.k8s.io", "volumeattributesclasses"}:           {"use"},
	{"policy", "podsecuritypolicies"}:                       {"use"},
	{"resource.k8s.io", "resourceclaims/status"}:            {"associated-node:update", "associated-node:patch"},
	{"security.openshift.io", "securitycontextconstraints"}: {"use"},
}

// writtenOut is what * of a cell stands for, nil where it cannot be said: under every
// resource there is no telling which verbs there are, or what would be kept.
func (c cell) writtenOut() []string {
	if c.resource == rbacv1.ResourceAll && (c.group == rbacv1.APIGroupAll || c.group == "") {
		return nil
	}
	out := slices.Clone(plainVerbs)
	for _, known := range slices.SortedFunc(maps.Keys(specialVerbs), cell.compare) {
		if c.matches(known.group, known.resource) {
			for _, v := range specialVerbs[known] {
				if !slices.Contains(out, v) {
					out = append(out, v)
				}
			}
		}
	}
	return out
}

func (c cell) compare(o cell) int {
	return slices.Compare([]string{c.group, c.resource}, []string{o.group, o.resource})
}

// verbsOn are the verbs that a rule has on a cell, with * written out where it can be.
func verbsOn(r *rbacv1.PolicyRule, c cell) []string {
	if !slices.Contains(r.Verbs, rbacv1.VerbAll) {
		return r.Verbs
	}
	out := c.writtenOut()
	if out == nil {
		return []string{rbacv1.VerbAll}
	}
	for _, v := range r.Verbs {
		if v != rbacv1.VerbAll && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// writeOut stands for the change that takes no verb away, and only says which * stands
// for: it ends verbs that no resource has by itself, such as those of impersonation.
const writeOut = "*-"

// taking is the change that ends the use of a rule, and as little else as can be.
func taking(u use, r *rbacv1.PolicyRule) changeKey {
	verb := u.verb
	for _, c := range u.cells {
		switch {
		case verb == rbacv1.VerbAll || slices.Contains(verbsOn(r, c), u.verb):
		case c.writtenOut() != nil:
			verb = writeOut
		default:
			verb = rbacv1.VerbAll
		}
	}
	names := make([]string, len(u.cells))
	for i, c := range u.cells {
		names[i] = c.group + "\x00" + c.resource
	}
	return changeKey{object: u.object, rule: u.rule, verb: verb, cells: strings.Join(names, "\x01")}
}

// touches reports whether a change may end a use, or a part of it. What it does not
// touch stays as it was.
func (c *change) touches(u use, r *rbacv1.PolicyRule) bool {
	if c.object != u.object || c.subject != u.subject || c.rule != u.rule {
		return false
	}
	if u.ofBinding() {
		return true
	}
	for _, at := range c.cells {
		if slices.Contains(u.cells, at) && (c.verb == u.verb || c.verb == rbacv1.VerbAll || !slices.Contains(verbsOn(r, at), u.verb)) {
			return true
		}
	}
	return false
}

// narrowed is a rule without what changes take away, in as many rules as that needs.
func narrowed(r *rbacv1.PolicyRule, changes []*change) []rbacv1.PolicyRule {
	type part struct {
		verbs     []string
		groups    []string
		resources map[string][]string
	}
	var split []*part
	for _, at := range cellsOf(r) {
		verbs := verbsLeft(r, at, changes)
		if len(verbs) == 0 {
			continue
		}
		i := slices.IndexFunc(split, func(p *part) bool { return slices.Equal(p.verbs, verbs) })
		if i < 0 {
			i = len(split)
			split = append(split, &part{verbs: verbs, resources: map[string][]string{}})
		}
		p := split[i]
		if p.resources[at.group] == nil {
			p.groups = append(p.groups, at.group)
		}
		p.resources[at.group] = append(p.resources[at.group], at.resource)
	}
	var out []rbacv1.PolicyRule
	for _, p := range split {
		from := len(out)
		for _, g := range p.groups {
			resources := p.resources[g]
			if i := slices.IndexFunc(out[from:], func(o rbacv1.PolicyRule) bool { return slices.Equal(o.Resources, resources) }); i >= 0 {
				out[from+i].APIGroups = append(out[from+i].APIGroups, g)
				continue
			}
			out = append(out, rbacv1.PolicyRule{Verbs: p.verbs, APIGroups: []string{g}, Resources: resources, ResourceNames: r.ResourceNames})
		}
	}
	if len(r.NonResourceURLs) > 0 {
		out = append(out, rbacv1.PolicyRule{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
	}
	return out
}

func verbsLeft(r *rbacv1.PolicyRule, at cell, changes []*change) []string {
	taken := map[string]bool{}
	for _, c := range changes {
		if slices.Contains(c.cells, at) {
			taken[c.verb] = true
		}
	}
	switch {
	case len(taken) == 0:
		return r.Verbs
	case taken[rbacv1.VerbAll]:
		return nil
	}
	return slices.DeleteFunc(slices.Clone(verbsOn(r, at)), func(v string) bool { return taken[v] })
}
