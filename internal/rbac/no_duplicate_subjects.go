package rbac

import (
	"fmt"
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

func judgeDuplicateSubjects(_ *check.Input, _ *index, b *binding) check.Judgement {
	first := map[Subject]int{}
	var violations []check.Violation
	for i, s := range b.subjects {
		if at, ok := first[s]; ok {
			violations = append(violations, check.Violation{Path: model.Path(nil).Append(model.Key("subjects"), model.Index(i), model.Key("name")),
				Detail: fmt.Sprintf("%s is subject %d already", s, at+1)})
			continue
		}
		first[s] = i
	}
	return check.Failed(b.object, violations...)
}

// removeDuplicates keeps the first of the subjects that are the same. A User that is
// a service account is written as one here, as the authorizer sees it.
func removeDuplicates() *check.ObjectPolicy {
	return &check.ObjectPolicy{
		Kinds: []model.GroupKind{clusterRoleBindingKind, roleBindingKind},
		Variables: []check.Variable{
			{Name: "subjects", Expression: `object.?subjects.orValue([])`},
			{Name: "keys", Expression: `variables.subjects.map(s, s.?kind.orValue("") == "ServiceAccount" ?
  "User system:serviceaccount:" + string(s.?namespace.orValue("") == "" ? object.metadata.?namespace.orValue("") : s.namespace) + ":" + string(s.?name.orValue("")) :
  string(s.?kind.orValue("")) + " " + string(s.?name.orValue("")))`},
			{Name: "kept", Expression: `variables.subjects.transformList(i, s, variables.keys.indexOf(variables.keys[i]) == i, s)`},
		},
		Mutation: `size(variables.kept) == size(variables.subjects) ? [] :
  [JSONPatch{op: "replace", path: "/subjects", value: variables.kept}]`,
	}
}

var noDuplicateSubjects = check.Control{
	Rule: finding.Rule{
		Name: "no-duplicate-subjects", Title: "A binding names each subject once", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why:       "Whoever takes a subject out of the binding sees it gone, and it is bound still by the second mention.",
		Remedy:    "Remove the second mention.",
		FixSafety: finding.FixSafe,
	},
	Needs: slices.Clone(grantKinds),
	World: eachBinding(judgeDuplicateSubjects),
	Fix:   removeDuplicates(),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: viewers
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - kind: User
    name: jane
    apiGroup: rbac.authorization.k8s.io
  - kind: ServiceAccount
    name: web
    namespace: shop
  - kind: User
    name: jane # want
    apiGroup: rbac.authorization.k8s.io
  - kind: User
    name: system:serviceaccount:shop:web # want
    apiGroup: rbac.authorization.k8s.io
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: viewers
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - {kind: User, name: web, apiGroup: rbac.authorization.k8s.io}
  - {kind: Group, name: web, apiGroup: rbac.authorization.k8s.io}
  - {kind: ServiceAccount, name: web}
  - {kind: ServiceAccount, name: web, namespace: bank}
`},
	},
}
