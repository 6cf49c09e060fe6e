package psp

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/model"
)

// GrantsExtensions reports whether an object is a role that grants the use of
// policies in the API group extensions alone.
func GrantsExtensions(o *model.Object) bool {
	if o.Group != "rbac.authorization.k8s.io" || o.Kind != "Role" && o.Kind != "ClusterRole" {
		return false
	}
	var extensions, policies bool
	for _, r := range o.List("rules") {
		has := func(field string, values ...string) bool {
			return slices.ContainsFunc(model.Strings(model.Get(r, field)), func(v string) bool { return slices.Contains(values, v) })
		}
		if has("verbs", "use", "*") && has("resources", "podsecuritypolicies", "*") {
			extensions = extensions || has("apiGroups", extensionsGroup)
			policies = policies || has("apiGroups", policyGroup, "*")
		}
	}
	return extensions && !policies
}
