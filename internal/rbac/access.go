package rbac

import (
	"fmt"
	"slices"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Access says who may do what in a world, as the API server's RBAC authorizer does
// (k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac). It may be used by many
// goroutines at once.
//
// In files the roles that every cluster has are known, and who is bound to them there
// is not: what the files do not say is not granted. In a cluster what is stored counts.
type Access struct {
	index *index
	// byResource lists the rules that name a resource the way they write it, such as
	// pods, pods/exec, */exec and *.
	byResource map[string][]*heldRule
	// urls are the rules about requests to no resource.
	urls []*heldRule
	// bySubject are the bindings of everyone whom a binding names.
	bySubject map[Subject]*boundTo
	holders   map[*role]*boundTo
	rules     map[*role]*roleRules
	problems  []Problem

	mu sync.Mutex
	// matching are the rules that allow something, as it is asked for.
	matching map[question][]*heldRule
}

// question is a request but for where and to what it is made.
type question struct{ verb, group, resource, url string }

// maxQuestions bounds what is remembered of what was asked.
const maxQuestions = 1 << 12

// Problem is a role or binding that grants nothing, because no API server would take it.
type Problem struct {
	Object finding.Ref
	Reason string
}

// boundTo are bindings by where they hold.
type boundTo struct {
	everywhere []*binding
	in         map[string][]*binding
}

func (t *boundTo) add(b *binding) {
	if b.namespace == "" {
		t.everywhere = append(t.everywhere, b)
		return
	}
	if t.in == nil {
		t.in = map[string][]*binding{}
	}
	t.in[b.namespace] = append(t.in[b.namespace], b)
}

// each visits the bindings that hold for requests in a namespace, as the authorizer
// does: first those of the whole cluster.
func (t *boundTo) each(namespace string, visit func(*binding) bool) {
	if t == nil {
		return
	}
	for _, b := range t.everywhere {
		if !visit(b) {
			return
		}
	}
	if namespace == "" {
		return
	}
	for _, b := range t.in[namespace] {
		if !visit(b) {
			return
		}
	}
}

// heldRule is a rule of a role that somebody is bound to.
type heldRule struct {
	*rbacv1.PolicyRule
	// held is the role that is bound, and written is the one that the rule stands in:
	// another where the former is aggregated.
	held, written *role
	at            int
}

// roleRules are the rules of a role by what they are about.
type roleRules struct {
	byResource map[string][]*heldRule
	urls       []*heldRule
}

// accesses is the access of a world, computed once.
var accesses = model.NewFact(newAccess)

// AccessOf returns who may do what in a world.
func AccessOf(w *model.World) *Access { return accesses.Of(w) }

func newAccess(w *model.World) *Access {
	a := &Access{index: facts.Of(w), byResource: map[string][]*heldRule{}, bySubject: map[Subject]*boundTo{},
		holders: map[*role]*boundTo{}, rules: map[*role]*roleRules{}, matching: map[question][]*heldRule{}}
	for _, r := range a.index.given {
		if r.problem != "" {
			a.problems = append(a.problems, Problem{r.object.Ref(), r.problem})
		}
	}
	for _, b := range a.index.bindings {
		if b.problem != "" {
			a.problems = append(a.problems, Problem{b.object.Ref(), b.problem})
			continue
		}
		r := a.index.roles[b.role]
		if r == nil || r.object == nil && w.Live && w.Unobserved(clusterRoleKind, "") == "" {
			continue // in a cluster, a role that is not stored does not exist
		}
		a.bind(b, r)
	}
	return a
}

func (a *Access) bind(b *binding, r *role) {
	for _, s := range b.subjects {
		if a.bySubject[s] == nil {
			a.bySubject[s] = &boundTo{}
		}
		a.bySubject[s].add(b)
	}
	if a.holders[r] == nil {
		a.holders[r] = &boundTo{}
		a.rules[r] = a.readRules(r)
	}
	a.holders[r].add(b)
}

// readRules indexes the rules of a role, once for all of its bindings.
func (a *Access) readRules(r *role) *roleRules {
	out := newRoleRules(a.index, r)
	for resource, rules := range out.byResource {
		a.byResource[resource] = append(a.byResource[resource], rules...)
	}
	a.urls = append(a.urls, out.urls...)
	return out
}

func newRoleRules(ix *index, r *role) *roleRules {
	out := &roleRules{byResource: map[string][]*heldRule{}}
	for _, from := range ix.written(r) {
		for i := range from.stored {
			rule := &heldRule{&from.stored[i], r, from, i}
			for n, resource := range rule.Resources {
				if !slices.Contains(rule.Resources[:n], resource) {
					out.byResource[resource] = append(out.byResource[resource], rule)
				}
			}
			if len(rule.NonResourceURLs) > 0 {
				out.urls = append(out.urls, rule)
			}
		}
	}
	return out
}

// written lists the roles that the rules of a role stand in: itself, or in files those
// that it is aggregated of.
func (ix *index) written(r *role) []*role {
	if r.aggregation == nil || ix.world.Live && r.object != nil {
		return []*role{r}
	}
	return r.leaves
}

// refused says why the API server would not take a binding; empty where it would.
func (b *binding) refused() string {
	group, kind := b.object.Text("roleRef", "apiGroup"), b.object.Text("roleRef", "kind")
	switch {
	case group != "" && group != apiGroup:
		return fmt.Sprintf("the API server would refuse it: roleRef.apiGroup is %q and not %s", group, apiGroup)
	case kind != "ClusterRole" && (kind != "Role" || b.object.Kind == "ClusterRoleBinding"):
		return fmt.Sprintf("the API server would refuse it: a %s cannot refer to a %s", b.object.Kind, kind)
	}
	for i, s := range b.subjects {
		switch {
		case s.Kind != rbacv1.UserKind && s.Kind != rbacv1.GroupKind && s.Kind != rbacv1.ServiceAccountKind:
			return fmt.Sprintf("the API server would refuse it: subjects[%d] is of kind %q and not User, Group or ServiceAccount", i, s.Kind)
		case s.Kind == rbacv1.ServiceAccountKind && s.Namespace == "":
			return fmt.Sprintf("the API server would refuse it: subjects[%d] is a ServiceAccount of no namespace", i)
		}
	}
	return ""
}

// Problems lists what grants nothing because no API server would take it.
func (a *Access) Problems() []Problem { return a.problems }

// Unobserved says why it is not known who may do something in a namespace, or in the
// whole cluster where that is empty; empty where it is known.
func (a *Access) Unobserved(namespace string) string {
	kinds := []model.GroupKind{clusterRoleKind, clusterRoleBindingKind}
	if namespace != "" {
		kinds = append(kinds, roleKind, roleBindingKind)
	}
	for _, gk := range kinds {
		if reason := a.index.world.Unobserved(gk, namespace); reason != "" {
			return fmt.Sprintf("%ss could not all be read: %s", gk.Kind, reason)
		}
	}
	return ""
}
