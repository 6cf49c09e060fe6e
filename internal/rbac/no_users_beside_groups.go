package rbac

import (
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// roleInScope is a role where it is bound; the namespace is empty for the whole cluster.
type roleInScope struct {
	role      roleKey
	namespace string
}

// groupsOf are the groups of the organisation that are bound to roles, the first by
// each.
var groupsOf = model.NewFact(func(w *model.World) map[roleInScope]Subject {
	out := map[roleInScope]Subject{}
	for _, b := range facts.Of(w).bindings {
		for _, s := range b.subjects {
			key := roleInScope{b.role, b.namespace}
			if _, known := out[key]; !known && b.problem == "" && s.Kind == rbacv1.GroupKind && !reservedName(s.Name) {
				out[key] = s
			}
		}
	}
	return out
})

// person reports whether a subject may be a member of a group of the organisation's:
// it is no part of Kubernetes, and no account that a cloud makes for programs.
func (s Subject) person() bool {
	return s.Kind == rbacv1.UserKind && !reservedName(s.Name) && !strings.HasSuffix(s.Name, ".gserviceaccount.com") && !strings.HasPrefix(s.Name, "spiffe://")
}

func judgeUsersBesideGroups(in *check.Input, _ *index, b *binding) check.Judgement {
	group, ok := groupsOf.Of(in.World)[roleInScope{b.role, b.namespace}]
	if !ok {
		return check.Inapplicable(b.object)
	}
	var people []Subject
	first := -1
	for i, s := range b.subjects {
		if s.person() {
			people = append(people, s)
			if first < 0 {
				first = i
			}
		}
	}
	if first < 0 {
		return check.Passed(b.object)
	}
	return check.Failed(b.object, check.Violation{Path: model.Path(nil).Append(model.Key("subjects"), model.Index(first), model.Key("name")),
		Detail: fmt.Sprintf("%s: bound one by one to %s, which %s has", enumerate(people), b.what(), group)})
}

var noUsersBesideGroups = check.Control{
	Rule: finding.Rule{
		Name: "no-users-beside-groups", Title: "People have a role by the group that has it", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A group has the role, and people are bound to it by name as well. When one of them leaves or changes teams, " +
			"the group is updated where people are managed, and the binding in the cluster is forgotten.",
		Remedy:    "Put the people into the group, and take them out of the binding.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Only the organisation knows who is in the group.",
	Needs:   grantKinds,
	World:   eachBinding(judgeUsersBesideGroups),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: editors
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects:
  - {kind: Group, name: shop-team, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: more-editors
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects:
  - kind: ServiceAccount
    name: ci
  - kind: User
    name: jane # want
    apiGroup: rbac.authorization.k8s.io
  - kind: User
    name: joe
    apiGroup: rbac.authorization.k8s.io
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: editors
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects:
  - {kind: Group, name: shop-team, apiGroup: rbac.authorization.k8s.io}
  - {kind: ServiceAccount, name: ci}
---
# No group has this role here.
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: admins
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
  - {kind: Group, name: "system:serviceaccounts:shop", apiGroup: rbac.authorization.k8s.io}
`},
	},
}
