package rbac

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// newestTable is the minor version of Kubernetes 1 up to which serverResources is
// known to be complete.
const newestTable = 37

var apiServiceKind = model.GroupKind{Group: "apiregistration.k8s.io", Kind: "APIService"}

// served is what the API of a world serves, as far as the world tells.
type served struct {
	// defined are the custom resources, by group.
	defined map[string]map[string]bool
	// elsewhere are groups of which another server answers.
	elsewhere map[string]bool
	// live says that a group which is not there does not exist.
	live bool
	// told are answers of lookup, by what was asked: what is misspelt once is often
	// misspelt in many roles, and takes a search.
	told sync.Map
}

type lookedUp struct {
	group, resource string
	version         int
}

// missing says why a resource of a group does not exist; empty where it does, or may.
func (s *served) missing(group, resource string, version int) string {
	key := lookedUp{group, resource, version}
	if why, ok := s.told.Load(key); ok {
		return why.(string)
	}
	why := s.lookup(group, resource, version)
	s.told.Store(key, why)
	return why
}

var servedBy = model.NewFact(func(w *model.World) *served {
	s := &served{defined: map[string]map[string]bool{}, elsewhere: map[string]bool{}, live: w.Live}
	for _, o := range w.Kind(model.DefinitionKind) {
		r := model.DefinedResource(o)
		if s.defined[r.Group] == nil {
			s.defined[r.Group] = map[string]bool{}
		}
		s.defined[r.Group][r.Name] = true
	}
	for _, o := range w.Kind(apiServiceKind) {
		if o.Map("spec", "service") != nil {
			s.elsewhere[o.Text("spec", "group")] = true
		}
	}
	return s
})

func (s *served) lookup(group, resource string, version int) string {
	name, sub, hasSub := strings.Cut(resource, "/")
	if name != "*" && name != strings.ToLower(name) && (group == rbacv1.APIGroupAll || !isServerGroup(group)) {
		return fmt.Sprintf("names of resources are in lower case, and %q is not", name)
	}
	switch {
	case hasSub && (sub == "*" || sub == ""):
		return fmt.Sprintf("%q stands for nothing: %s", resource, starAdvice(name))
	case name == "*" || group == rbacv1.APIGroupAll:
		return ""
	case isServerGroup(group):
		return lookupServer(group, name, sub, version)
	case s.elsewhere[group]:
		return ""
	case s.defined[group] != nil:
		return s.lookupDefined(group, name)
	case s.unserved(group):
		return "the cluster serves no group " + group
	}
	return ""
}

// unserved reports whether a group is of nobody's.
func (s *served) unserved(group string) bool {
	return s.live && group != rbacv1.APIGroupAll && !isServerGroup(group) && !s.elsewhere[group] && s.defined[group] == nil && !slices.Contains(definedGroups, group)
}

func starAdvice(name string) string {
	if name == "*" {
		return "* covers subresources"
	}
	return "write each subresource, such as " + name + "/status"
}

// lookupServer looks in a group of the API server. Any resource may have finalizers,
// which the API server asks about, and what else programs of the cluster's own ask
// about is not known: a subresource has to look like one that there is.
func lookupServer(group, name, sub string, version int) string {
	known := serverResources()[group]
	switch {
	case !known[name]:
		advice := adviseResource(group, name)
		if advice == "" && version > newestTable {
			return ""
		}
		return fmt.Sprintf("%s has no resource %q%s", groupName(group), name, advice)
	case sub == "" || known[name+"/"+sub] || slices.Contains([]string{"status", "scale", "finalizers"}, sub):
		return ""
	}
	// What has subresources of any name: an extra attribute of a user, for one.
	subs := []string{"finalizers"}
	for other := range known {
		if resource, s, ok := strings.Cut(other, "/"); ok && resource == name {
			subs = append(subs, s)
		}
	}
	slices.Sort(subs)
	if near := nearest(strings.ToLower(sub), subs); near != "" {
		return fmt.Sprintf("%s have no subresource %q; did you mean %s/%s?", name, sub, name, near)
	}
	return ""
}

func (s *served) lookupDefined(group, name string) string {
	if s.defined[group][name] {
		return ""
	}
	near := nearest(name, slices.Sorted(maps.Keys(s.defined[group])))
	switch {
	case s.live && near == "":
		return fmt.Sprintf("group %s has no resource %q", group, name)
	case s.live || near != "" && (near == name+"s" || near == name+"es"):
		return fmt.Sprintf("group %s has no resource %q; did you mean %s?", group, name, near)
	}
	return ""
}

func groupName(group string) string {
	if group == "" {
		return `the core group ""`
	}
	return "group " + group
}

// adviseResource says what may have been meant in a group of the API server: the
// plural, another group, or another spelling; empty where nothing is like it.
func adviseResource(group, name string) string {
	lower := strings.ToLower(name)
	if full := shortNames[lower]; full != "" {
		lower = full
	}
	for _, r := range model.BuiltinResources() {
		if r.Group == group && (strings.EqualFold(r.Kind, name) || r.Name == lower) {
			return "; did you mean " + r.Name + "?"
		}
	}
	var in []string
	for other, resources := range serverResources() {
		if resources[lower] && other != group {
			in = append(in, groupName(other))
		}
	}
	if len(in) > 0 {
		slices.Sort(in)
		return fmt.Sprintf("; %s are in %s", lower, strings.Join(in, " and "))
	}
	if near := nearest(lower, slices.Sorted(maps.Keys(serverResources()[group]))); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// findUnknownResources finds resources that are in none of the groups of their rule.
func findUnknownResources(in *check.Input, r *role) []check.Violation {
	s := servedBy.Of(in.World)
	var out []check.Violation
	for i := range r.stored {
		rule := &r.stored[i]
		// A token's audience stands where the resource does, whatever it is called.
		if slices.Contains(rule.Verbs, "request-serviceaccounts-token-audience") {
			continue
		}
		if len(rule.APIGroups) > 0 && !slices.ContainsFunc(rule.APIGroups, func(g string) bool { return !s.unserved(g) }) {
			out = append(out, check.Violation{Path: rulePath(i, model.Key("apiGroups"), model.Index(0)), Part: rulePath(i).String(),
				Detail: fmt.Sprintf("the cluster serves no group %s, so that the rule grants nothing", strings.Join(rule.APIGroups, ", "))})
			continue
		}
		for n, resource := range rule.Resources {
			why := ""
			for _, group := range rule.APIGroups {
				is := s.missing(group, resource, in.Version)
				if why == "" {
					why = is
				}
				if is == "" {
					why = ""
					break
				}
			}
			if why != "" {
				out = append(out, check.Violation{Path: rulePath(i, model.Key("resources"), model.Index(n)), Part: rulePath(i).String(), Detail: why})
			}
		}
	}
	return out
}

var noUnknownResources = check.Control{
	Rule: finding.Rule{
		Name: "no-unknown-resources", Title: "Rules name resources that exist", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "The API server takes any name in a rule. One that is misspelt, or stands in the wrong group, grants nothing: " +
			"the holder is refused, and the next person who looks into it grants *. One of an API that was removed is granted to its holder, unseen, when another API takes the name.",
		Remedy:    "Write the plural in lower case as kubectl api-resources prints it, with its own API group, and each subresource after a slash; remove what is no more.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which resource was meant; removing it changes nothing as long as there is none of that name.",
	Needs:   slices.Concat(grantKinds, []model.GroupKind{model.DefinitionKind, apiServiceKind}),
	World:   eachWrittenRule(findUnknownResources),
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: reader
rules:
  - apiGroups: [""]
    resources:
      - pod # want
      - Services # want
      - deployments # want
      - pods/logs # want
      - pods/* # want
      - secrets
    verbs: [get]
  - apiGroups: [apps, batch]
    resources:
      - cronjob # want
      - deployments
    verbs: [get]
  - apiGroups: [example.com]
    resources:
      - Widgets # want
    verbs: [get]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  # Each is in one of the groups.
  - {apiGroups: ["", apps], resources: [pods, pods/log, deployments, deployments/finalizers, nodes/metrics], verbs: [get]}
  # What these groups have the files do not say.
  - {apiGroups: [example.com, monitoring.coreos.com], resources: [widgets, pod], verbs: [get]}
  - {apiGroups: ["", example.com], resources: [deployments], verbs: [get]}
  - {apiGroups: ["*"], resources: ["*", "*/scale"], verbs: [get]}
  - {apiGroups: [""], resources: [users, groups, serviceaccounts], verbs: [impersonate]}
  - {apiGroups: [authentication.k8s.io], resources: [userextras/scopes], verbs: [impersonate]}
  - {apiGroups: [certificates.k8s.io], resources: [signers], verbs: [approve]}
  - {apiGroups: [""], resources: [Vault], verbs: [request-serviceaccounts-token-audience]}
  - {apiGroups: [extensions, networking.k8s.io], resources: [ingresses], verbs: [get]}
`},
	},
}
