package rbac

import (
	"fmt"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// possession is a subject that holds a role in a namespace, or in the whole cluster
// where that is empty.
type possession struct {
	Subject
	role      roleKey
	namespace string
}

// firstBindings are the first bindings by which subjects hold roles.
var firstBindings = model.NewFact(func(w *model.World) map[possession]*binding {
	first := map[possession]*binding{}
	for _, b := range facts.Of(w).bindings {
		if b.problem != "" {
			continue
		}
		for _, s := range b.subjects {
			if key := (possession{s, b.role, b.namespace}); first[key] == nil {
				first[key] = b
			}
		}
	}
	return first
})

// heldAnyway returns the binding that gives a subject of b the role where b does: to
// the subject itself, or to a group that every cluster puts it into. Of two bindings
// that do the same the later one is redundant; a wider one never is.
func heldAnyway(first map[possession]*binding, b *binding, s Subject) (by *binding, as Subject) {
	for _, holder := range IdentityOf(s).subjects() {
		for _, namespace := range []string{"", b.namespace} {
			other := first[possession{holder, b.role, namespace}]
			if other != nil && (other != b || holder != s) {
				return other, holder
			}
		}
	}
	return nil, s
}

func judgeRedundant(in *check.Input, _ *index, b *binding) check.Judgement {
	first := firstBindings.Of(in.World)
	var violations []check.Violation
	needed := false
	seen := map[Subject]bool{}
	for i, s := range b.subjects {
		if seen[s] {
			continue // no-duplicate-subjects tells
		}
		seen[s] = true
		by, as := heldAnyway(first, b, s)
		if by == nil {
			needed = true
			continue
		}
		violations = append(violations, check.Violation{Path: model.Path(nil).Append(model.Key("subjects"), model.Index(i), model.Key("name")),
			Detail: fmt.Sprintf("%s has %s already%s", s, b.what(), byWhat(b, by, s, as))})
	}
	if needed || len(violations) < 2 {
		return check.Failed(b.object, violations...)
	}
	by, as := heldAnyway(first, b, b.subjects[0])
	return check.Failed(b.object, check.Violation{Path: objectName,
		Detail: fmt.Sprintf("all subjects have %s without it: %s%s, for one", b.what(), b.subjects[0], byWhat(b, by, b.subjects[0], as))})
}

// byWhat says by which binding, and by which group, somebody holds a role.
func byWhat(b, by *binding, s, as Subject) string {
	text := ""
	if as != s {
		text = " as one of " + as.String()
	}
	if by == b {
		return text + ", which this binding names, too"
	}
	return fmt.Sprintf("%s, by %s %s", text, by.object.Kind, by.object.Name)
}

var noRedundantBindings = check.Control{
	Rule: finding.Rule{
		Name: "no-redundant-bindings", Title: "A binding gives something that no other gives", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Who is bound twice to a role, in a namespace and in the whole cluster or by itself and by a group, keeps it when one of the bindings is deleted: " +
			"rights that somebody took away are still there.",
		Remedy:    "Delete the binding, or the subject in it; or the wider one, where it is too wide.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which of the bindings stays.",
	Needs:   grantKinds,
	World:   eachBinding(judgeRedundant),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: viewers
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
  - {kind: Group, name: "system:serviceaccounts:shop", apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: shop-viewers
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - kind: User
    name: jane # want
    apiGroup: rbac.authorization.k8s.io
  - kind: ServiceAccount
    name: web # want
  - kind: User
    name: joe
    apiGroup: rbac.authorization.k8s.io
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: more-viewers # want
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - {kind: User, name: joe, apiGroup: rbac.authorization.k8s.io}
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: viewers
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
  - {kind: Group, name: jane, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: viewers
  namespace: bank
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: editors
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
`},
	},
}
