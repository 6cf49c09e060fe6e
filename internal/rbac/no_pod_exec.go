package rbac

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func enterPods(version int) []power {
	stream := []string{"create"}
	if version <= execByGetUntil {
		stream = append(stream, "get")
	}
	return []power{
		{verbs: stream, resources: []string{"pods/exec", "pods/attach"}, may: "run commands in pods"},
		{verbs: []string{"update", "patch"}, resources: []string{"pods/ephemeralcontainers"}, may: "add containers to running pods"},
		{verbs: stream, resources: []string{"pods/portforward"}, may: "open connections into pods"},
		{verbs: []string{"get", "create", "update", "patch", "delete"}, resources: []string{"pods/proxy", "services/proxy"}, may: "open connections into pods"},
	}
}

var noPodExec = check.Control{
	Rule: finding.Rule{
		Name: "no-pod-exec", Title: "Nobody gets into running pods", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A shell in a pod has its files, its secrets and its service account's token, whatever those may do; " +
			"a forwarded port reaches it past network policies and past the login in front of it.",
		Remedy: "Remove the subresources exec, attach, ephemeralcontainers, portforward and proxy. " +
			"Give them to people for as long as they debug, by a RoleBinding in the namespace, or limit them to pods by resourceNames.",
		FixSafety: finding.FixRisky,
	},
	FixNote: "kubectl exec, attach, cp, debug, port-forward and proxy are refused to the holder, and so is a program that starts commands in pods, " +
		"a CI runner or a backup for instance. Where a wildcard or a role of Kubernetes grants it, decide what the holder needs.",
	Subsumes: slices.Concat(wildcardControls, lesserControls),
	Needs:    grantKinds,
	World:    rolesControl{scope: anywhere, find: anyOf(enterPods)}.judge,
	Fix:      closePods(),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: debug
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [pods]
    verbs: [get, list]
  - apiGroups: [""]
    resources:
      - pods/log
      - pods/exec # want
      - pods/attach
    verbs: [create]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: any-subresource
rules:
  - apiGroups: ["*"]
    resources: ["*/ephemeralcontainers"] # want
    verbs: [patch]
  - apiGroups: [""]
    resources: [services/proxy] # want
    verbs: [get]
`},
		Good: []string{`# pods/* is no wildcard that the API server knows, and get no longer opens a shell.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: view
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [pods, "pods/*", pods/log]
    verbs: ["*"]
  - apiGroups: [""]
    resources: [pods/exec]
    verbs: [get]
  - apiGroups: [""]
    resources: [pods/exec]
    resourceNames: [toolbox]
    verbs: [create]
`},
	},
}
