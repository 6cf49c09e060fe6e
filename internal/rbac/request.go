package rbac

import (
	"cmp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Request is what somebody asks of the API server. Names are as RBAC has them: the
// resource is plural and lower-case, the group of core is empty.
type Request struct {
	Verb                         string
	Group, Resource, Subresource string
	// Namespace is empty for a resource of the whole cluster, and for one in all
	// namespaces at once.
	Namespace string
	// Name is empty where the request is about no single object.
	Name string
	// URL is set instead of a resource: /metrics.
	URL string
}

func (r Request) String() string {
	if r.URL != "" {
		return r.Verb + " " + r.URL
	}
	text := r.Verb + " " + Qualified(r.Group, r.combined())
	if r.Name != "" {
		text += " " + r.Name
	}
	if r.Namespace != "" {
		text += " in " + r.Namespace
	}
	return text
}

// Qualified is a resource with its group, as kubectl writes it: deployments.apps/scale.
func Qualified(group, resource string) string {
	if group == "" {
		return resource
	}
	name, sub, ok := strings.Cut(resource, "/")
	if ok {
		sub = "/" + sub
	}
	return name + "." + group + sub
}

// combined is the resource as rules name it: pods/exec.
func (r Request) combined() string {
	if r.Subresource == "" {
		return r.Resource
	}
	return r.Resource + "/" + r.Subresource
}

// Identity is who asks, as the API server knows them once they are authenticated.
type Identity struct {
	User   string
	Groups []string
}

// mastersGroup may do everything: it is let through before RBAC is asked.
const mastersGroup = "system:masters"

// IdentityOf is how the API server knows a subject, with the groups that it adds
// itself. Of a group it is somebody who is in it, and of a user it does not have the
// groups that only the organisation knows.
func IdentityOf(s Subject) Identity {
	switch {
	case s.Kind == rbacv1.ServiceAccountKind:
		return Identity{serviceaccount.MakeUsername(s.Namespace, s.Name), append(serviceaccount.MakeGroupNames(s.Namespace), "system:authenticated")}
	case s.Kind == rbacv1.GroupKind && (s.Name == "system:unauthenticated" || s.Name == "system:authenticated"):
		return Identity{Groups: []string{s.Name}}
	case s.Kind == rbacv1.GroupKind:
		groups := []string{s.Name}
		if _, whole := s.wholeNamespace(); whole {
			groups = append(groups, serviceAccountsGroup)
		}
		return Identity{Groups: append(groups, "system:authenticated")}
	case s.Name == "system:anonymous":
		return Identity{s.Name, []string{"system:unauthenticated"}}
	}
	return Identity{s.Name, []string{"system:authenticated"}}
}

// subjects are those whose bindings are the identity's.
func (i Identity) subjects() []Subject {
	var out []Subject
	if i.User != "" {
		out = append(out, newSubject(rbacv1.Subject{Kind: rbacv1.UserKind, Name: i.User}, ""))
	}
	for _, g := range i.Groups {
		out = append(out, Subject{Kind: rbacv1.GroupKind, Name: g})
	}
	return out
}

// Grant is why something is allowed: a binding gives a role with a rule to subjects.
type Grant struct {
	Subjects []Subject
	// Binding is nil where RBAC is not asked: for system:masters.
	Binding *finding.Ref
	// Role is what is bound; Written is the role that the rule stands in, another where
	// Role is aggregated.
	Role, Written *finding.Ref
	// Rule is the number of the rule in the list of Written, from 0.
	Rule int
	// At is where the rule is written; nil in a cluster, and for a role that every
	// cluster has.
	At, BoundAt *finding.Location
}

func (h *heldRule) grant(b *binding, subjects []Subject) Grant {
	g := Grant{Subjects: subjects, Binding: b.ref, Role: h.held.ref, Written: h.written.ref, Rule: h.at, BoundAt: b.object.Locate(nil)}
	if h.written.object != nil {
		g.At = h.written.object.Locate(model.Path(nil).Append(model.Key("rules"), model.Index(h.at)))
	}
	return g
}

// Can says whether an identity may make a request, and by which grant. The last result
// says why a no may be wrong: something could not be read.
func (a *Access) Can(who Identity, r Request) (grant Grant, allowed bool, unknown string) {
	if slices.Contains(who.Groups, mastersGroup) {
		return Grant{Subjects: []Subject{{Kind: rbacv1.GroupKind, Name: mastersGroup}}}, true, ""
	}
	for _, s := range who.subjects() {
		a.bySubject[s].each(r.Namespace, func(b *binding) bool {
			if rule := a.rules[a.index.roles[b.role]].find(&r); rule != nil {
				grant, allowed = rule.grant(b, []Subject{s}), true
			}
			return !allowed
		})
		if allowed {
			return grant, true, ""
		}
	}
	return Grant{}, false, a.Unobserved(r.Namespace)
}

// find returns a rule of the role that allows the request, nil where none does.
func (r *roleRules) find(request *Request) *heldRule {
	if request.URL != "" {
		for _, rule := range r.urls {
			if rule.allows(request) {
				return rule
			}
		}
		return nil
	}
	for _, key := range request.keys() {
		for _, rule := range r.byResource[key] {
			if rule.allows(request) {
				return rule
			}
		}
	}
	return nil
}

// keys are the ways in which a rule may name the resource.
func (r *Request) keys() []string {
	keys := []string{r.combined(), rbacv1.ResourceAll}
	if r.Subresource != "" {
		keys = append(keys, "*/"+r.Subresource)
	}
	return keys
}

// allows reports whether a rule that names the resource allows the request.
func (h *heldRule) allows(r *Request) bool {
	if verbIndex(h.PolicyRule, r.Verb) < 0 {
		return false
	}
	if r.URL != "" {
		return slices.ContainsFunc(h.NonResourceURLs, func(url string) bool { return urlMatches(url, r.URL) })
	}
	return groupIndex(h.PolicyRule, r.Group) >= 0 && (len(h.ResourceNames) == 0 || slices.Contains(h.ResourceNames, r.Name))
}

// urlMatches compares a path with that of a rule, which may end in any number of stars.
func urlMatches(pattern, path string) bool {
	return pattern == rbacv1.NonResourceAll || pattern == path ||
		strings.HasSuffix(pattern, "*") && strings.HasPrefix(path, strings.TrimRight(pattern, "*"))
}

// WhoCan lists the grants by which a request is allowed, each binding once, in order
// of their names. Nobody is asked of RBAC for system:masters, which is left out.
// Where every is true, so are grants in single namespaces: the request is then made in
// whichever namespace that is.
func (a *Access) WhoCan(r Request, every bool) (grants []Grant, unknown string) {
	seen := map[*binding]bool{}
	for _, rule := range a.matchingRules(&r) {
		if r.URL == "" && len(rule.ResourceNames) > 0 && !slices.Contains(rule.ResourceNames, r.Name) {
			continue
		}
		visit := func(b *binding) bool {
			if !seen[b] && len(b.subjects) > 0 {
				seen[b] = true
				grants = append(grants, rule.grant(b, b.subjects))
			}
			return true
		}
		holders := a.holders[rule.held]
		holders.each(r.Namespace, visit)
		if every && r.Namespace == "" && r.URL == "" {
			for namespace := range holders.in {
				holders.each(namespace, visit)
			}
		}
	}
	slices.SortFunc(grants, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Binding.Namespace, b.Binding.Namespace), cmp.Compare(a.Binding.Name, b.Binding.Name), cmp.Compare(a.Binding.Kind, b.Binding.Kind))
	})
	return grants, a.Unobserved(r.Namespace)
}

// matchingRules are the rules that allow the verb on the resource, whatever names and
// whoever is bound.
func (a *Access) matchingRules(r *Request) []*heldRule {
	key := question{r.Verb, r.Group, r.combined(), r.URL}
	a.mu.Lock()
	known, ok := a.matching[key]
	a.mu.Unlock()
	if ok {
		return known
	}
	var out []*heldRule
	if r.URL != "" {
		for _, rule := range a.urls {
			if rule.allows(r) {
				out = append(out, rule)
			}
		}
	} else {
		seen := map[*heldRule]bool{}
		for _, name := range r.keys() {
			for _, rule := range a.byResource[name] {
				if !seen[rule] && verbIndex(rule.PolicyRule, r.Verb) >= 0 && groupIndex(rule.PolicyRule, r.Group) >= 0 {
					seen[rule] = true
					out = append(out, rule)
				}
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.matching) < maxQuestions {
		a.matching[key] = out
	}
	return out
}
