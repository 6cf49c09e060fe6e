package rbac

import (
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// sameKey is equal for roles that grant the same in the same scope and have a holder in
// common: a subject, or people, who are one holder here.
type sameKey struct {
	namespace, rules string
	holder           Subject
}

// sameRoles are the first roles with their key.
var sameRoles = model.NewFact(func(w *model.World) map[sameKey]*role {
	first := map[sameKey]*role{}
	for _, r := range facts.Of(w).given {
		for _, key := range r.sameAs() {
			if first[key] == nil {
				first[key] = r
			}
		}
	}
	return first
})

// sameAs lists the keys of a role, none for a role that has a purpose of its own.
// Roles that are aggregated differ by where they go, and what different programs bring
// along is alike by chance: each account has its own.
func (r *role) sameAs() []sameKey {
	if r.problem != "" || r.system || r.aggregation != nil || len(r.parents) > 0 || len(r.stored) == 0 {
		return nil
	}
	key := sameKey{namespace: r.namespace, rules: canonical(r.stored)}
	var out []sameKey
	for _, b := range r.bindings {
		for _, s := range b.subjects {
			if key.holder = s; s.person() || s.Kind == rbacv1.GroupKind && !reservedName(s.Name) {
				key.holder = Subject{Name: "people"}
			}
			out = append(out, key)
		}
	}
	return out
}

func judgeDuplicateRole(in *check.Input, _ *index, r *role) check.Judgement {
	keys := r.sameAs()
	if len(keys) == 0 {
		return check.Inapplicable(r.object)
	}
	first := sameRoles.Of(in.World)
	for _, key := range keys {
		if same := first[key]; same.roleKey != r.roleKey {
			return check.Failed(r.object, check.Violation{Path: objectName, Detail: fmt.Sprintf("grants just what the %s %s does", r.kind(), same.name)})
		}
	}
	return check.Passed(r.object)
}

var noDuplicateRoles = check.Control{
	Rule: finding.Rule{
		Name: "no-duplicate-roles", Title: "No two roles for the same people or account grant the same", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why:       "Two roles with the same rules are reviewed twice and changed once: what is taken from the one, the holders of the other keep.",
		Remedy:    "Bind the holders of both to one role, and delete the other.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which of the roles stays.",
	Needs:   grantKinds,
	World:   eachRole(judgeDuplicateRole),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: reader
  namespace: shop
rules:
  - {apiGroups: [""], resources: [pods, services], verbs: [get]}
  - {apiGroups: [apps], resources: [deployments], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: viewer # want
  namespace: shop
rules:
  - {apiGroups: [apps], resources: [deployments], verbs: [get]}
  - {apiGroups: [""], resources: [services, pods], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: reader
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
  - {kind: Group, name: dev, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: viewer
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: viewer}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
`},
		Good: []string{`# Two programs that need the same have a role each.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: api
  namespace: shop
rules:
  - {apiGroups: [""], resources: [pods], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: web
  namespace: shop
rules:
  - {apiGroups: [""], resources: [pods], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: api
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: api}
subjects:
  - {kind: ServiceAccount, name: api}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: web
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: web}
subjects:
  - {kind: ServiceAccount, name: web}
`},
	},
}
