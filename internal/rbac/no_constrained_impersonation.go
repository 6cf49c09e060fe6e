package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// constrainedImpersonation are its modes. Groups go together with a name, whichever.
var constrainedImpersonation = []combination{
	assuming("user-info", "users", systemNames, anyRequest),
	{find: assumes("user-info", "groups", systemNames), also: []detector{assumes("user-info", "users", ofAnyName), onRequests("user-info", anyRequest)}},
	assuming("serviceaccount", "serviceaccounts", nil, anyRequest),
	assuming("arbitrary-node", "nodes", nil, anyRequest),
	// It is asked about the node *, whichever node it is. To see what its own node sees
	// is what the mode is for.
	assuming("associated-node", "nodes", func(names []string) bool { return slices.Contains(names, "*") }, beyondLooking),
}

func assuming(mode, resource string, named func([]string) bool, minded func(r *rbacv1.PolicyRule, verb string) bool) combination {
	return combination{find: assumes(mode, resource, named), also: []detector{onRequests(mode, minded)}}
}

// assumes finds the right to take a name. Only accounts belong to a namespace.
func assumes(mode, resource string, named func([]string) bool) detector {
	return anyOf(func(version int) []power {
		if version < assumeSince {
			return nil
		}
		return []power{{verbs: []string{"impersonate:" + mode}, group: authenticationGroup, resources: []string{resource}, clusterScoped: resource != "serviceaccounts",
			named: named, may: "make requests as any of " + resource}}
	})
}

// onRequests finds the right to make a request in another's name that is minded. A
// verb of * is all of them.
func onRequests(mode string, minded func(r *rbacv1.PolicyRule, verb string) bool) detector {
	return inAnyVersion(func(r *rbacv1.PolicyRule, _ *reach) []hit {
		for i, v := range r.Verbs {
			verb, on := strings.CutPrefix(v, "impersonate-on:"+mode+":")
			if on = on || v == rbacv1.VerbAll; on && len(r.Resources) > 0 && minded(r, verb) {
				return []hit{{"verbs", i, "make requests"}}
			}
		}
		return nil
	})
}

func anyRequest(*rbacv1.PolicyRule, string) bool { return true }

// beyondLooking leaves out reading anything but Secrets.
func beyondLooking(r *rbacv1.PolicyRule, verb string) bool {
	return !slices.Contains(readVerbs, verb) || groupIndex(r, "") >= 0 && resourceIndex(r, "secrets") >= 0
}

// systemNames are those of parts of Kubernetes.
func systemNames(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "system:") })
}

var noConstrainedImpersonation = check.Control{
	Rule: finding.Rule{
		Name: "no-constrained-impersonation", Title: "Nobody acts as any user, account or node, not even for single requests", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "Constrained impersonation takes two rights: to take the name of another, and to make a request in it. " +
			"Where neither is limited to names, the holder makes that request with the rights of any user, service account or node of the cluster. " +
			"Kubernetes has it from 1.36.",
		Remedy: "List in resourceNames who is impersonated, and name only the verbs and resources that are asked for in their names. " +
			"An agent that acts as the node it runs on needs impersonate:associated-node, and to read no more than that node may.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whom the holder acts as, and for which requests.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: anywhere, ways: constrainedImpersonation}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: portal
rules:
  - apiGroups: [authentication.k8s.io]
    resources: [users] # want
    verbs: ["impersonate:user-info"]
  - apiGroups: [""]
    resources: [pods, secrets]
    verbs: ["impersonate-on:user-info:get"]
`, `# By two roles, of which one holds in a namespace.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: accounts
rules:
  - apiGroups: [authentication.k8s.io]
    resources: [serviceaccounts] # want
    verbs: ["impersonate:serviceaccount"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: pods
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [pods]
    verbs: ["impersonate-on:serviceaccount:create"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: accounts
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: accounts}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: pods
  namespace: shop
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: pods}
subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: agent
rules:
  - apiGroups: [authentication.k8s.io]
    resources: [nodes] # want
    verbs: ["impersonate:associated-node"]
  - apiGroups: [""]
    resources: [secrets]
    verbs: ["impersonate-on:associated-node:get"]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: portal
rules:
  - apiGroups: [authentication.k8s.io]
    resources: [users]
    verbs: ["impersonate:user-info"]
  - apiGroups: [authentication.k8s.io]
    resources: [users]
    resourceNames: [jane]
    verbs: ["impersonate:user-info"]
  - apiGroups: [""]
    resources: [pods]
    verbs: ["impersonate-on:serviceaccount:get"]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: portal
rules:
  - apiGroups: [authentication.k8s.io]
    resources: [users]
    resourceNames: [jane]
    verbs: ["impersonate:user-info"]
  - apiGroups: [""]
    resources: [pods]
    verbs: ["impersonate-on:user-info:get"]
`, `# An agent that sees the pods of its own node.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: agent
rules:
  - apiGroups: [authentication.k8s.io]
    resources: [nodes]
    verbs: ["impersonate:associated-node"]
  - apiGroups: [""]
    resources: [pods]
    verbs: ["impersonate-on:associated-node:list"]
`},
	},
}
