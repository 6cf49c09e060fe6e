package cli

import (
	"slices"
	"strings"
)

var (
	writing  = []string{"create", "update", "patch"}
	changing = []string{"update", "patch"}
)

// sensitiveVerbs are the verbs on a resource, by its group, that steps to other
// identities are made of (see rbac.Primitive), and those that read Secrets. Others of
// a resource are drawn with its like.
var sensitiveVerbs = map[string]map[string][]string{
	"": {
		"secrets": {"get", "list", "watch", "create", "update", "patch"}, "pods": writing, "pods/ephemeralcontainers": changing,
		"pods/exec": {"create", "get"}, "pods/attach": {"create", "get"}, "serviceaccounts/token": {"create"}, "nodes/proxy": {"get", "create"},
		"users": {"impersonate"}, "groups": {"impersonate"}, "serviceaccounts": {"impersonate"},
		"replicationcontrollers": writing,
	},
	"apps":                      {"deployments": writing, "daemonsets": writing, "statefulsets": writing, "replicasets": writing},
	"batch":                     {"jobs": {"create"}, "cronjobs": writing},
	"authentication.k8s.io":     {"users": {"impersonate:user-info"}, "groups": {"impersonate:user-info"}, "serviceaccounts": {"impersonate:serviceaccount"}},
	"rbac.authorization.k8s.io": {"roles": {"bind", "escalate"}, "clusterroles": {"bind", "escalate"}, "rolebindings": writing, "clusterrolebindings": writing},
	"certificates.k8s.io":       {"certificatesigningrequests/approval": changing, "signers": {"approve", "sign"}},
	"admissionregistration.k8s.io": {"mutatingwebhookconfigurations": writing, "validatingwebhookconfigurations": writing,
		"mutatingadmissionpolicies": writing, "mutatingadmissionpolicybindings": writing},
}

// sensitive reports whether a drawing shows a resource by itself for these verbs.
func sensitive(group, resource string, verbs []string) bool {
	if group == "*" || resource == "*" || strings.HasPrefix(resource, "*/") {
		return true
	}
	mind := sensitiveVerbs[group][resource]
	return len(mind) > 0 && slices.ContainsFunc(verbs, func(v string) bool { return v == "*" || slices.Contains(mind, v) })
}
