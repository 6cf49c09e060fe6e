package rbac

import (
	"fmt"
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// mentions are the roles that a binding names, if only for nobody, and those that
// somebody may bind by name.
type mentions struct {
	bound           map[roleKey]bool
	clusterByName   map[string]bool
	namespaceByName map[string]bool
}

var mentioned = model.NewFact(func(w *model.World) *mentions {
	ix := facts.Of(w)
	m := &mentions{map[roleKey]bool{}, map[string]bool{}, map[string]bool{}}
	for _, b := range ix.bindings {
		m.bound[b.role] = true
	}
	for _, r := range ix.given {
		for i := range r.stored {
			rule := &r.stored[i]
			if !slices.Contains(rule.Verbs, "bind") || groupIndex(rule, apiGroup) < 0 {
				continue
			}
			for _, name := range rule.ResourceNames {
				if resourceIndex(rule, "clusterroles") >= 0 {
					m.clusterByName[name] = true
				}
				if resourceIndex(rule, "roles") >= 0 {
					m.namespaceByName[name] = true
				}
			}
		}
	}
	return m
})

func (m *mentions) has(k roleKey) bool {
	if k.namespace == "" {
		return m.bound[k] || m.clusterByName[k.name]
	}
	return m.bound[k] || m.namespaceByName[k.name]
}

// judgeUnused leaves a role alone that others take their rules from, that somebody
// may bind when it is needed, and that may be bound where nobody has looked.
func judgeUnused(in *check.Input, _ *index, r *role) check.Judgement {
	switch {
	case len(r.parents) > 0 || mentioned.Of(in.World).has(r.roleKey):
		return check.Passed(r.object)
	case !r.held.nobody:
		return check.Inapplicable(r.object)
	}
	detail := fmt.Sprintf("no binding names the %s %s", r.kind(), r.name)
	if r.namespace == "" {
		detail += ", and no role is aggregated of it"
	}
	return check.Failed(r.object, check.Violation{Path: objectName, Detail: detail})
}

var noUnusedRoles = check.Control{
	Rule: finding.Rule{
		Name: "no-unused-roles", Title: "Roles are bound to somebody", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A role that nobody holds is reviewed by nobody, and lies ready: whoever may make bindings, and may bind it, " +
			"hands out rights that were meant for something that is gone.",
		Remedy:    "Delete the role, or bind those who need it.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide whether the role is still needed; a program may bind it later.",
	Needs:   grantKinds,
	World:   eachRole(judgeUnused),
	Examples: check.Examples{
		Bad: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: former # want
  namespace: shop
rules:
  - {apiGroups: [""], resources: [secrets], verbs: [get]}
`},
		Good: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: reader
  namespace: shop
rules:
  - {apiGroups: [""], resources: [pods], verbs: [get]}
---
# Binding nobody is a fault of the binding.
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: reader
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: []
---
# Somebody may bind this one when it is needed.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: on-call
  namespace: shop
rules:
  - {apiGroups: [""], resources: [pods/exec], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: on-call-binder
rules:
  - {apiGroups: [rbac.authorization.k8s.io], resources: [roles], resourceNames: [on-call], verbs: [bind]}
---
# Of other namespaces, and of the whole cluster, these files say too little.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: former
  namespace: bank
rules:
  - {apiGroups: [""], resources: [secrets], verbs: [get]}
`},
	},
}
