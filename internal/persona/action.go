package persona

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// Action is something that may be done, or a few things that are alike: "get,list
// pods,deployments.apps/scale", "update configmaps settings" or "get /metrics".
// Resources are named as for kubectl; * stands for every verb or resource.
type Action struct {
	Verbs     []string
	Resources []rbac.Resource
	// Names limit it to objects of these names; none is no limit.
	Names []string
	// URLs are set instead of resources. One may end in a star.
	URLs []string
}

// Bounds of one action: what a person writes is far below them.
const (
	maxActionText = 4096
	maxThings     = 10_000
)

// noObjects is a world in which resources are those of Kubernetes itself.
var noObjects = model.NewWorld(nil, model.WorldOptions{})

// ParseAction reads VERBS RESOURCES [NAMES] or VERBS URLS; commas join several.
func ParseAction(text string) (Action, error) {
	if len(text) > maxActionText {
		return Action{}, fmt.Errorf("is longer than %d bytes: make several of it", maxActionText)
	}
	words := strings.Fields(text)
	if len(words) < 2 || len(words) > 3 {
		return Action{}, fmt.Errorf("is %q: write a verb and a resource, and a name if need be: get pods, or update configmaps settings", text)
	}
	a := Action{Verbs: split(words[0])}
	what := split(words[1])
	if slices.Contains(a.Verbs, "") || slices.Contains(what, "") {
		return a, fmt.Errorf("is %q: between commas something is missing", text)
	}
	if strings.HasPrefix(what[0], "/") {
		return a.urls(text, words, what)
	}
	for _, w := range what {
		r, err := findResource(w)
		if err != nil {
			return a, err
		}
		a.Resources = append(a.Resources, r)
	}
	for _, v := range a.Verbs {
		if err := a.knows(v); err != nil {
			return a, err
		}
	}
	if len(words) == 3 {
		if a.Names = split(words[2]); slices.Contains(a.Names, "") {
			return a, fmt.Errorf("is %q: between commas a name is missing", text)
		}
	}
	if len(a.Verbs)*len(a.Resources)*max(1, len(a.Names)) > maxThings {
		return a, fmt.Errorf("is more than %d things at once: make several of it", maxThings)
	}
	return a, nil
}

func (a Action) urls(text string, words, what []string) (Action, error) {
	if len(words) == 3 {
		return a, fmt.Errorf("is %q: a URL has no name", text)
	}
	for _, u := range what {
		if !strings.HasPrefix(u, "/") || strings.Contains(strings.TrimSuffix(u, "*"), "*") {
			return a, fmt.Errorf("is %q: a URL starts with / and has no star but at its end", text)
		}
	}
	a.URLs = what
	return a, nil
}

// split cuts a list at its commas and leaves out what is there twice.
func split(list string) []string {
	var out []string
	for _, s := range strings.Split(list, ",") {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// findResource takes a resource of Kubernetes, and any other with its group: one that is
// misspelt would be in no rule, so that to forbid it would say nothing.
func findResource(text string) (rbac.Resource, error) {
	r, err := rbac.FindResource(noObjects, text)
	switch {
	case err != nil:
		return r, err
	case !r.Known && !strings.Contains(text, ".") && !virtual[r.Name]:
		return r, fmt.Errorf("is of %q, which is no resource of Kubernetes: write that of a custom resource with its group, like widgets.example.com", text)
	case strings.Contains(r.Subresource, "/"):
		return r, fmt.Errorf("is of %q: a subresource has no subresource", text)
	}
	return r, nil
}

// virtual are resources of the core group that are only ever named in rules.
var virtual = map[string]bool{"users": true, "groups": true, "bindings": true}

// verbs are those of requests to resources, and the special ones of Kubernetes.
var verbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection",
	"bind", "escalate", "impersonate", "approve", "sign", "attest", "use", "request-serviceaccounts-token-audience", rbacv1.VerbAll}

// knows refuses a misspelt verb on a resource of Kubernetes.
func (a Action) knows(verb string) error {
	custom := slices.ContainsFunc(a.Resources, func(r rbac.Resource) bool { return !r.Known })
	if !custom && !slices.Contains(verbs, verb) && !strings.HasPrefix(verb, "impersonate") {
		return fmt.Errorf("has the verb %q: write one of %s", verb, strings.Join(verbs, ", "))
	}
	return nil
}

// String is the action as ParseAction reads it.
func (a Action) String() string {
	what := slices.Clone(a.URLs)
	for _, r := range a.Resources {
		what = append(what, resourceText(r))
	}
	text := strings.Join(a.Verbs, ",") + " " + strings.Join(what, ",")
	if len(a.Names) > 0 {
		text += " " + strings.Join(a.Names, ",")
	}
	return text
}

func resourceText(r rbac.Resource) string {
	if r.Name == rbacv1.ResourceAll && r.Group == rbacv1.APIGroupAll {
		return rbac.Qualified("", inRules(r))
	}
	return rbac.Qualified(r.Group, inRules(r))
}

// inRules is a resource as rules write it: pods/exec.
func inRules(r rbac.Resource) string {
	if r.Subresource == "" {
		return r.Name
	}
	return r.Name + "/" + r.Subresource
}

// Rules are what grants the action and nothing else: one rule for each group.
func (a Action) Rules() []rbacv1.PolicyRule {
	if len(a.URLs) > 0 {
		return []rbacv1.PolicyRule{{Verbs: a.Verbs, NonResourceURLs: a.URLs}}
	}
	var out []rbacv1.PolicyRule
	for _, r := range a.Resources {
		i := slices.IndexFunc(out, func(p rbacv1.PolicyRule) bool { return p.APIGroups[0] == r.Group })
		if i < 0 {
			i = len(out)
			out = append(out, rbacv1.PolicyRule{Verbs: a.Verbs, APIGroups: []string{r.Group}, ResourceNames: a.Names})
		}
		if name := inRules(r); !slices.Contains(out[i].Resources, name) {
			out[i].Resources = append(out[i].Resources, name)
		}
	}
	return out
}

// thing is one verb on one resource, object or URL.
type thing struct{ verb, group, resource, name, url string }

// things are all that the action allows, one by one.
func (a Action) things() []thing {
	var out []thing
	names := a.Names
	if len(names) == 0 {
		names = []string{""}
	}
	for _, v := range a.Verbs {
		for _, u := range a.URLs {
			out = append(out, thing{verb: v, url: u})
		}
		for _, r := range a.Resources {
			for _, n := range names {
				out = append(out, thing{verb: v, group: r.Group, resource: inRules(r), name: n})
			}
		}
	}
	return out
}

// request is the thing asked for in a namespace; empty is the whole cluster.
func (t thing) request(namespace string) rbac.Request {
	if t.url != "" {
		return rbac.Request{Verb: t.verb, URL: t.url}
	}
	name, sub, _ := strings.Cut(t.resource, "/")
	return rbac.Request{Verb: t.verb, Group: t.group, Resource: name, Subresource: sub, Name: t.name, Namespace: namespace}
}

func (t thing) String() string {
	r := t.request("")
	if r.Group == rbacv1.APIGroupAll && r.Resource == rbacv1.ResourceAll {
		r.Group = ""
	}
	return r.String()
}
