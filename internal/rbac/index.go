package rbac

import (
	"cmp"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

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
	// selects and parents are the two ends of aggregation.
	selects, parents []*role
}

// binding is a RoleBinding or ClusterRoleBinding.
type binding struct {
	object *model.Object
	// namespace is empty for a ClusterRoleBinding.
	namespace string
	role      roleKey
	subjects  []subject
	problem   string
	system    bool
}

var facts = model.NewFact(newIndex)

func newIndex(w *model.World) *index {
	d, err := readDefaults()
	if err != nil {
		d = &defaults{} // Controls has refused to run
	}
	ix := &index{world: w, roles: map[roleKey]*role{}, defaults: d}
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
			ix.roles[key] = &role{roleKey: key, labels: o.Labels, aggregation: o.AggregationRule, stored: o.Rules, system: true}
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
	return ix
}

func newRole(o *model.Object) *role {
	r := &role{object: o, roleKey: roleKey{o.Namespace, o.Name}, labels: o.Labels()}
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
	b := &binding{object: o, namespace: o.Namespace}
	var content rbacv1.RoleBinding // a ClusterRoleBinding has the same fields
	if err := model.Decode(o.Content, &content); err != nil {
		b.problem = fmt.Sprintf("the API server would refuse it: %v", err)
		return b
	}
	b.role = refKey(content.RoleRef, o.Namespace)
	for _, s := range content.Subjects {
		b.subjects = append(b.subjects, newSubject(s, o.Namespace))
	}
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

// aggregate joins ClusterRoles with those that they select by label.
func (ix *index) aggregate() {
	var all []*role
	for key, r := range ix.roles {
		if key.namespace == "" {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *role) int { return cmp.Compare(a.name, b.name) })
	for _, parent := range all {
		if parent.aggregation == nil {
			continue
		}
		for _, selector := range parent.aggregation.ClusterRoleSelectors {
			s, err := metav1.LabelSelectorAsSelector(&selector)
			if err != nil {
				continue // the API server refuses the role
			}
			for _, child := range all {
				if child != parent && s.Matches(child.labels) {
					parent.selects = append(parent.selects, child)
					child.parents = append(child.parents, parent)
				}
			}
		}
	}
}

// walk lists the roles that can be reached from r, itself first, each once.
func (r *role) walk(next func(*role) []*role) []*role {
	seen := map[*role]bool{r: true}
	all := []*role{r}
	for i := 0; i < len(all); i++ {
		for _, n := range next(all[i]) {
			if !seen[n] {
				seen[n] = true
				all = append(all, n)
			}
		}
	}
	return all
}

// holders are the bindings that grant what the role says, by way of the roles
// that it is aggregated into too. Bindings to nobody are left out.
func (r *role) holders() []*binding {
	if len(r.parents) == 0 {
		return r.bindings
	}
	var all []*binding
	for _, p := range r.walk(func(r *role) []*role { return r.parents }) {
		all = append(all, p.bindings...)
	}
	return all
}

// leaves are the roles that an aggregated role takes its rules from.
func (r *role) leaves() []*role {
	var out []*role
	for _, child := range r.walk(func(r *role) []*role { return r.selects })[1:] {
		if child.aggregation == nil {
			out = append(out, child)
		}
	}
	return out
}

// rules are those that the role grants. On a cluster what is stored counts, as it
// does for the authorizer. In files no controller has filled an aggregated role
// yet, and it would replace what is written there.
func (ix *index) rules(r *role) []rbacv1.PolicyRule {
	if r.aggregation == nil || ix.world.Live && r.object != nil {
		return r.stored
	}
	var all []rbacv1.PolicyRule
	for _, leaf := range r.leaves() {
		all = append(all, leaf.stored...)
	}
	return all
}

// fullAccess reports whether the role grants everything.
func (ix *index) fullAccess(r *role) bool {
	for _, rule := range ix.rules(r) {
		if fullAccess(&rule) {
			return true
		}
	}
	return false
}
