package rbac

import (
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// index is the roles and bindings of a world, joined.
type index struct {
	world *model.World
	// given are the roles and bindings of the world, in the order they were read.
	given    []*role
	bindings []*binding
	roles    map[roleKey]*role
	defaults *defaults
	// everyBindingSeen says whether a ClusterRole without a binding is held by nobody.
	everyBindingSeen bool
	// steps are those that may still be taken to follow aggregation.
	steps int
}

// roleKey names a role. The namespace of a ClusterRole is empty.
type roleKey struct{ namespace, name string }

func refKey(ref rbacv1.RoleRef, namespace string) roleKey {
	if ref.Kind == "ClusterRole" {
		namespace = ""
	}
	return roleKey{namespace, ref.Name}
}

func (k roleKey) kind() string {
	if k.namespace == "" {
		return "ClusterRole"
	}
	return "Role"
}

// role is a Role or ClusterRole.
type role struct {
	// object is nil for a role of Kubernetes itself that is not among the objects.
	object *model.Object
	ref    *finding.Ref
	roleKey
	labels      labels.Set
	aggregation *rbacv1.AggregationRule
	// stored are the rules that the object has.
	stored []rbacv1.PolicyRule
	// problem says why the object is no role.
	problem string
	// system roles belong to Kubernetes; they are not judged, bindings to them are.
	system bool

	bindings []*binding
	held     reach
	// judged are the rules that the role answers for.
	judged []judgedRule
	// full says that the role grants everything.
	full bool
	// selects and parents are the two ends of aggregation.
	selects, parents []*role
	// leaves are the roles that an aggregated role takes its rules from in the end;
	// systemLeaves are those of Kubernetes itself among them.
	leaves, systemLeaves []*role
}

// binding is a RoleBinding or ClusterRoleBinding.
type binding struct {
	object *model.Object
	ref    *finding.Ref
	// namespace is empty for a ClusterRoleBinding.
	namespace string
	role      roleKey
	subjects  []Subject
	problem   string
	system    bool
}

var facts = model.NewFact(newIndex)

func newIndex(w *model.World) *index {
	d, err := readDefaults()
	if err != nil {
		d = &defaults{} // Controls has refused to run
	}
	ix := &index{world: w, roles: map[roleKey]*role{}, defaults: d, steps: maxSteps}
	for _, gk := range []model.GroupKind{clusterRoleKind, roleKind} {
		for _, o := range w.Kind(gk) {
			r := newRole(o)
			ix.given = append(ix.given, r)
			ix.roles[r.roleKey] = r
			r.system = reservedName(r.name) || d.roles[r.roleKey] != nil
		}
	}
	for key, o := range d.roles {
		if ix.roles[key] == nil {
			ref := &finding.Ref{Group: apiGroup, Version: "v1", Kind: key.kind(), Namespace: key.namespace, Name: key.name}
			ix.roles[key] = &role{ref: ref, roleKey: key, labels: o.Labels, aggregation: o.AggregationRule, stored: o.Rules, system: true}
		}
	}
	ix.aggregate()
	for _, gk := range []model.GroupKind{clusterRoleBindingKind, roleBindingKind} {
		for _, o := range w.Kind(gk) {
			b := newBinding(o)
			b.system = ix.isSystem(b)
			ix.bindings = append(ix.bindings, b)
			if r := ix.roles[b.role]; r != nil && len(b.subjects) > 0 {
				r.bindings = append(r.bindings, b)
			}
		}
	}
	ix.everyBindingSeen = w.Closed("")
	for _, ns := range w.Namespaces() {
		ix.everyBindingSeen = ix.everyBindingSeen && w.Unobserved(roleBindingKind, ns) == ""
	}
	for _, r := range ix.given {
		r.held, r.judged = ix.newReach(r), ix.newJudged(r)
	}
	if ix.steps < 0 {
		for _, r := range ix.given {
			r.problem = "the cluster roles select each other in more ways than can be followed"
		}
	}
	return ix
}

func newRole(o *model.Object) *role {
	ref := o.Ref()
	r := &role{object: o, ref: &ref, roleKey: roleKey{o.Namespace, o.Name}, labels: o.Labels()}
	var content rbacv1.ClusterRole
	if err := model.Decode(o.Content, &content); err != nil {
		r.problem = fmt.Sprintf("the API server would refuse it: %v", err)
		return r
	}
	r.stored = content.Rules
	if o.Kind == "ClusterRole" {
		r.aggregation = content.AggregationRule
	}
	return r
}

func newBinding(o *model.Object) *binding {
	ref := o.Ref()
	b := &binding{object: o, ref: &ref, namespace: o.Namespace}
	var content rbacv1.RoleBinding // a ClusterRoleBinding has the same fields
	if err := model.Decode(o.Content, &content); err != nil {
		b.problem = fmt.Sprintf("the API server would refuse it: %v", err)
		return b
	}
	b.role = refKey(content.RoleRef, o.Namespace)
	for _, s := range content.Subjects {
		b.subjects = append(b.subjects, newSubject(s, o.Namespace))
	}
	b.problem = b.refused()
	return b
}

// isSystem reports whether a binding is one of Kubernetes' own: it has a reserved
// or default name, and binds nobody whom the defaults do not bind and who is no
// part of Kubernetes.
func (ix *index) isSystem(b *binding) bool {
	if b.problem != "" || !reservedName(b.object.Name) && ix.defaults.bindings[roleKey{b.namespace, b.object.Name}] == nil {
		return false
	}
	for _, s := range b.subjects {
		if !s.system() && !ix.defaults.granted[b.role][s] {
			return false
		}
	}
	return true
}
