package rbac

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// removeSubjects is the fix that takes away the subjects of which a condition on s
// is true. The last subject stays: a binding of nobody is a fault of its own, and no
// patch deletes one. Which of Kubernetes' own roles everyone has by default differs
// from release to release, so that bindings to them are left to a person.
func removeSubjects(condition string) *check.ObjectPolicy {
	return &check.ObjectPolicy{
		Kinds: []model.GroupKind{clusterRoleBindingKind, roleBindingKind},
		Variables: []check.Variable{
			{Name: "subjects", Expression: `object.?subjects.orValue([])`},
			{Name: "kept", Expression: `variables.subjects.filter(s, !(` + condition + `))`},
		},
		Mutation: `["system:", "kubeadm:"].exists(p, string(object.?roleRef.?name.orValue("")).startsWith(p)) ||
  size(variables.kept) == 0 || size(variables.kept) == size(variables.subjects) ? [] :
  [JSONPatch{op: "replace", path: "/subjects", value: variables.kept}]`,
	}
}

// ruleFix is the fix that changes a field of those rules of which a condition on r
// is true into the list that an expression of r gives. A rule of which nothing is
// left is removed, because the API server takes none without verbs or resources. The
// controller of an aggregated role writes its rules, so that they are left alone.
// In both $verbs, $resources, $groups and $names stand for the fields of the rule.
func ruleFix(field, condition, list string, kinds ...model.GroupKind) *check.ObjectPolicy {
	named := strings.NewReplacer("$verbs", `r.?verbs.orValue([])`, "$resources", `r.?resources.orValue([])`,
		"$groups", `r.?apiGroups.orValue([])`, "$names", `r.?resourceNames.orValue([])`)
	return &check.ObjectPolicy{
		Kinds: kinds,
		Variables: []check.Variable{
			{Name: "changed", Expression: named.Replace(fmt.Sprintf(`has(object.aggregationRule) ? [] :
  object.?rules.orValue([]).transformList(i, r, %s, {"index": dyn(i), "list": dyn(%s)})`, condition, list))},
		},
		Mutation: fmt.Sprintf(`variables.changed.filter(c, size(c.list) > 0).map(c,
  JSONPatch{op: "replace", path: "/rules/" + string(c.index) + "/%s", value: c.list}) +
variables.changed.filter(c, size(c.list) == 0).transformList(n, c,
  JSONPatch{op: "remove", path: "/rules/" + string(int(c.index) - n)})`, field),
	}
}

// ordinaryVerbs are what * is replaced by: reading and writing, one object at a time.
const ordinaryVerbs = `["get", "list", "watch", "create", "update", "patch", "delete"]`

// nameVerbs is the fix of rules that grant all verbs on named resources, in the
// groups that the control minds.
func nameVerbs() *check.ObjectPolicy {
	return ruleFix("verbs",
		`"*" in $verbs && size($resources) > 0 && !("*" in $resources) && size($names) == 0 && `+inGroups(),
		`$verbs.filter(v, v != "*") + `+ordinaryVerbs+`.filter(v, !(v in $verbs))`,
		clusterRoleKind, roleKind)
}

// inGroups is true of rules in the groups of Kubernetes.
func inGroups() string {
	groups := slices.Sorted(maps.Keys(kubernetesGroups))
	for i, g := range groups {
		groups[i] = strconv.Quote(g)
	}
	return `$groups.exists(g, g in [` + strings.Join(groups, ", ") + `])`
}

// deleteOneByOne is the fix that takes deletecollection away, but not delete. What *
// grants is left to the fix of wildcards.
func deleteOneByOne() *check.ObjectPolicy {
	return ruleFix("verbs",
		`"deletecollection" in $verbs && size($resources) > 0 && size($names) == 0 && `+inGroups(),
		`$verbs.filter(v, v != "deletecollection")`,
		clusterRoleKind)
}

// keepAttributes is the fix that takes away who chooses the UID and extra fields.
func keepAttributes() *check.ObjectPolicy {
	const chosen = `(s == "uids" || s.startsWith("userextras/") && s != "userextras/*")`
	return ruleFix("resources",
		`size($names) == 0 && !("*" in $resources) && $verbs.exists(v, v in ["impersonate", "*"]) && $groups.exists(g, g in ["authentication.k8s.io", "*"]) &&
    $resources.exists(s, `+chosen+`)`,
		`$resources.filter(s, !`+chosen+`)`,
		clusterRoleKind)
}

// kubeletEndpoints is the fix that grants what the kubelet knows one by one in place
// of nodes/proxy. What all subresources named proxy, or all resources, stand for is
// left to a person.
func kubeletEndpoints() *check.ObjectPolicy {
	return ruleFix("resources",
		`"nodes/proxy" in $resources && !("*" in $resources) && !("*/proxy" in $resources) && $groups.exists(g, g in ["", "*"]) &&
    $verbs.exists(v, v in ["get", "create", "update", "patch", "delete", "*"])`,
		`$resources.filter(s, s != "nodes/proxy") +
    ["nodes/configz", "nodes/healthz", "nodes/log", "nodes/metrics", "nodes/stats"].filter(s, !(s in $resources))`,
		clusterRoleKind)
}

// closePods is the fix that takes away the subresources by which somebody gets into
// a pod, where the verbs open them. Under all resources they cannot be taken away.
func closePods() *check.ObjectPolicy {
	const opened = `(s in ["pods/exec", "*/exec", "pods/attach", "*/attach", "pods/portforward", "*/portforward"] && $verbs.exists(v, v in ["create", "*"]) ||
    s in ["pods/ephemeralcontainers", "*/ephemeralcontainers"] && $verbs.exists(v, v in ["update", "patch", "*"]) ||
    s in ["pods/proxy", "services/proxy", "*/proxy"] && $verbs.exists(v, v in ["get", "create", "update", "patch", "delete", "*"]))`
	return ruleFix("resources",
		`size($names) == 0 && !("*" in $resources) && $groups.exists(g, g in ["", "*"]) && $resources.exists(s, `+opened+`)`,
		`$resources.filter(s, !`+opened+`)`,
		clusterRoleKind, roleKind)
}

// takeEscalation is the fix that takes away escalate, bind and impersonate where
// they lift the limits of their holder, and writes out the other verbs where * grants
// them. Users, groups and escalate on ClusterRoles are out of a Role's reach.
func takeEscalation() *check.ObjectPolicy {
	const (
		all   = `!("*" in $resources)`
		roles = `$groups.exists(g, g in ["` + apiGroup + `", "*"]) && $resources.exists(s, s in ["roles", "clusterroles"])`
		taken = `{"escalate": ` + roles + ` && ("roles" in $resources || object.kind == "ClusterRole"),
    "bind": ` + roles + ` && (size($names) == 0 || "cluster-admin" in $names),
    "impersonate": $groups.exists(g, g in ["", "*"]) && ("serviceaccounts" in $resources && size($names) == 0 ||
      object.kind == "ClusterRole" && $resources.exists(s, s in ["users", "groups"]) && (size($names) == 0 || $names.exists(n, n.startsWith("system:"))))}`
		offends = all + ` && ` + taken + `.exists(v, ` + taken + `[v] && $verbs.exists(w, w in [v, "*"]))`
	)
	return ruleFix("verbs", offends,
		`($verbs.filter(v, v != "*") + ("*" in $verbs ? `+ordinaryVerbs+`.filter(v, !(v in $verbs)) : [])).filter(v, !`+taken+`[?v].orValue(false))`,
		clusterRoleKind, roleKind)
}
