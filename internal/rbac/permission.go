package rbac

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

// Permission is what an identity may do to one resource, or URL, in one place. Names
// are as the rules write them: * is every verb, group or resource.
type Permission struct {
	// Namespace is empty for what holds in the whole cluster, all namespaces among it.
	Namespace       string
	Group, Resource string
	// ResourceNames limits it to objects of these names; nil is no limit.
	ResourceNames []string
	URL           string
	Verbs         []string
	Grants        []Grant
}

type permissionKey struct{ namespace, group, resource, names, url string }

// Permissions lists everything that an identity may do, by place and resource. Where
// it is in system:masters that is everything, by no rule.
func (a *Access) Permissions(who Identity) []Permission {
	found := map[permissionKey]*Permission{}
	if slices.Contains(who.Groups, mastersGroup) {
		by := []Grant{{Subjects: []Subject{{Kind: rbacv1.GroupKind, Name: mastersGroup}}}}
		found[permissionKey{group: "*", resource: "*"}] = &Permission{Group: "*", Resource: "*", Verbs: []string{"*"}, Grants: by}
		found[permissionKey{url: "*"}] = &Permission{URL: "*", Verbs: []string{"*"}, Grants: by}
	}
	for _, s := range who.subjects() {
		to := a.bySubject[s]
		if to == nil {
			continue
		}
		all := slices.Clone(to.everywhere)
		for _, in := range to.in {
			all = append(all, in...)
		}
		for _, b := range all {
			for _, from := range a.index.written(a.index.roles[b.role]) {
				for i := range from.stored {
					rule := &heldRule{&from.stored[i], a.index.roles[b.role], from, i}
					rule.add(found, b, s)
				}
			}
		}
	}
	out := make([]Permission, 0, len(found))
	for _, p := range found {
		slices.Sort(p.Verbs)
		if p.Verbs = slices.Compact(p.Verbs); slices.Contains(p.Verbs, rbacv1.VerbAll) {
			p.Verbs = []string{rbacv1.VerbAll}
		}
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b Permission) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.URL, b.URL), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource),
			slices.Compare(a.ResourceNames, b.ResourceNames))
	})
	return out
}

// add counts what the rule grants by a binding.
func (h *heldRule) add(found map[permissionKey]*Permission, b *binding, s Subject) {
	at := func(key permissionKey, p Permission) {
		known := found[key]
		if known == nil {
			known = &p
			found[key] = known
		}
		known.Verbs = append(known.Verbs, h.Verbs...)
		g := h.grant(b, []Subject{s})
		if !slices.ContainsFunc(known.Grants, func(k Grant) bool { return k.Binding == g.Binding && k.Rule == g.Rule && k.Written == g.Written }) {
			known.Grants = append(known.Grants, g)
		}
	}
	if b.namespace == "" {
		for _, url := range h.NonResourceURLs {
			at(permissionKey{url: url}, Permission{URL: url})
		}
	}
	names := slices.Sorted(slices.Values(h.ResourceNames))
	for _, group := range h.APIGroups {
		for _, resource := range h.Resources {
			key := permissionKey{b.namespace, group, resource, strings.Join(names, "\x00"), ""}
			at(key, Permission{Namespace: b.namespace, Group: group, Resource: resource, ResourceNames: names})
		}
	}
}

// Subjects lists everyone whom a binding names, in order.
func (a *Access) Subjects() []Subject {
	return slices.SortedFunc(maps.Keys(a.bySubject), func(a, b Subject) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// Members are the service accounts of the world that a group of Kubernetes' own
// stands for; nil for groups whose members only the organisation knows.
func (a *Access) Members(s Subject) []Subject {
	namespace, whole := s.wholeNamespace()
	if !whole && (s.Kind != rbacv1.GroupKind || s.Name != serviceAccountsGroup) {
		return nil
	}
	var out []Subject
	for _, o := range a.index.world.Kind(serviceAccountKind) {
		if !whole || o.Namespace == namespace {
			out = append(out, Subject{rbacv1.ServiceAccountKind, o.Namespace, o.Name})
		}
	}
	return out
}

// NoToken says why no token of its service account is in a pod; empty where one is,
// or may be.
func NoToken(w *model.World, p *model.Pod) string {
	const field = "automountServiceAccountToken"
	volumes, _ := p.Spec["volumes"].([]any)
	for _, v := range volumes {
		sources, _ := model.Get(v, "projected", "sources").([]any)
		for _, source := range sources {
			if model.Get(source, "serviceAccountToken") != nil {
				return ""
			}
		}
	}
	if says, told := p.Spec[field].(bool); told {
		if says {
			return ""
		}
		return field + " of the pod is false"
	}
	for _, o := range w.KindIn(serviceAccountKind, p.Object.Namespace) {
		if o.Name == p.ServiceAccount() && o.Content[field] == false {
			return field + " of the ServiceAccount is false"
		}
	}
	return ""
}
