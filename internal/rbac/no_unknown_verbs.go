package rbac

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

var (
	// requestVerbs are those that the API server makes of requests to resources.
	requestVerbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}
	// askedVerbs are those that parts of Kubernetes ask the authorizer about. Those
	// of constrained impersonation have a colon. proxy was one once, and default roles
	// still name it.
	askedVerbs = []string{"use", "bind", "escalate", "impersonate", "approve", "sign", "attest", "proxy",
		"unsafe-delete-ignore-read-errors", "request-serviceaccounts-token-audience"}
	// urlVerbs are the methods of HTTP, as the authorizer sees them.
	urlVerbs = []string{"get", "head", "post", "put", "patch", "delete", "options", "connect", "trace"}
	// methods are verbs that people write for those that the API server makes of them.
	methods = map[string]string{"post": "create", "put": "update", "read": "get", "write": "update", "edit": "update", "apply": "patch",
		"remove": "delete", "add": "create", "all": "*", "any": "*", "exec": "create", "scale": "update"}
)

// findUnknownVerbs finds verbs that no request has. In groups of others a verb may be
// whatever their programs ask about, but for one that is of Kubernetes and written in
// another case.
func findUnknownVerbs(_ *check.Input, r *role) []check.Violation {
	var out []check.Violation
	for i := range r.stored {
		rule := &r.stored[i]
		ours := len(rule.Resources) > 0 && !slices.ContainsFunc(rule.APIGroups, func(g string) bool { return !isServerGroup(g) })
		for n, verb := range rule.Verbs {
			why := ""
			switch {
			case verb == rbacv1.VerbAll:
			case len(rule.NonResourceURLs) > 0 && len(rule.Resources) == 0:
				if !slices.Contains(urlVerbs, verb) {
					why = "no request to a URL has the verb " + quoted(verb) + "; they are " + strings.Join(urlVerbs, ", ")
				}
			case slices.Contains(requestVerbs, verb):
			case slices.Contains(requestVerbs, strings.ToLower(verb)):
				why = fmt.Sprintf("no request has the verb %s: verbs are compared as they are written, and this one is %s", quoted(verb), strings.ToLower(verb))
			case ours && !slices.Contains(askedVerbs, verb) && !strings.Contains(verb, ":"):
				why = fmt.Sprintf("no request to %s has the verb %s%s", someOf(rule.Resources), quoted(verb), suggestVerb(verb))
			}
			if why != "" {
				out = append(out, check.Violation{Path: rulePath(i, model.Key("verbs"), model.Index(n)), Part: rulePath(i).String(), Detail: why})
			}
		}
	}
	return out
}

func quoted(word string) string { return fmt.Sprintf("%q", word) }

func suggestVerb(verb string) string {
	lower := strings.ToLower(verb)
	meant := methods[lower]
	if slices.Contains(askedVerbs, lower) {
		meant = lower
	}
	if meant == "" {
		meant = nearest(lower, slices.Concat(requestVerbs, askedVerbs))
	}
	if meant == "" {
		return ""
	}
	return "; did you mean " + meant + "?"
}

var noUnknownVerbs = check.Control{
	Rule: finding.Rule{
		Name: "no-unknown-verbs", Title: "Rules name verbs that requests have", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "The API server takes any verb in a rule and compares it with that of the request as it is written. " +
			"One that no request has grants nothing, so the holder is refused, and the next person who looks into it grants *.",
		Remedy:    "Write get, list, watch, create, update, patch, delete or deletecollection, in lower case; for URLs the method of HTTP.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which verb was meant; removing it changes nothing.",
	Needs:   grantKinds,
	World:   eachWrittenRule(findUnknownVerbs),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: reader
rules:
  - apiGroups: [""]
    resources: [pods]
    verbs:
      - get
      - lst # want
  - apiGroups: [example.com]
    resources: [widgets]
    verbs:
      - Get # want
      - polish
  - apiGroups: ["", apps]
    resources: [pods, deployments]
    verbs:
      - read # want
  - nonResourceURLs: [/metrics]
    verbs:
      - get
      - list # want
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - {apiGroups: [""], resources: [pods], verbs: [get, deletecollection]}
  - {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [bind, escalate]}
  - {apiGroups: [certificates.k8s.io], resources: [signers], verbs: [approve, sign, attest]}
  - {apiGroups: [authentication.k8s.io], resources: [users], verbs: ["impersonate:user-info"]}
  - {apiGroups: [""], resources: [vault], verbs: [request-serviceaccounts-token-audience]}
  - {apiGroups: [policy], resources: [podsecuritypolicies], verbs: [use]}
  # What a program of one's own asks about.
  - {apiGroups: [example.com], resources: [widgets], verbs: [polish, GET-ALL]}
  - {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}
  - {nonResourceURLs: [/metrics], verbs: [get, post]}
`},
	},
}
