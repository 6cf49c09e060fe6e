package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// The three functions below answer as the API server's authorizer does: "*", the
// literal name and "*/subresource" match; a name is compared as it is written,
// and "*" of resources covers subresources. Each returns the index of the item
// that matches, -1 where none does.

func verbIndex(r *rbacv1.PolicyRule, verb string) int {
	return slices.IndexFunc(r.Verbs, func(v string) bool { return v == rbacv1.VerbAll || v == verb })
}

func groupIndex(r *rbacv1.PolicyRule, group string) int {
	return slices.IndexFunc(r.APIGroups, func(g string) bool { return g == rbacv1.APIGroupAll || g == group })
}

// resourceIndex takes a resource with its subresource, if it has one: pods/exec.
func resourceIndex(r *rbacv1.PolicyRule, resource string) int {
	_, sub, hasSub := strings.Cut(resource, "/")
	return slices.IndexFunc(r.Resources, func(s string) bool {
		return s == rbacv1.ResourceAll || s == resource || hasSub && s == "*/"+sub
	})
}

// fullAccess reports whether a rule grants everything that matters: every verb
// on every resource, of all groups or of the core one.
func fullAccess(r rbacv1.PolicyRule) bool {
	return slices.Contains(r.Verbs, rbacv1.VerbAll) && slices.Contains(r.Resources, rbacv1.ResourceAll) &&
		groupIndex(&r, "") >= 0 && len(r.ResourceNames) == 0
}

// What reads an object, what changes it, what makes one too, and what takes one away as well.
var (
	readVerbs   = []string{"get", "list", "watch"}
	changeVerbs = []string{"update", "patch"}
	writeVerbs  = []string{"create", "update", "patch"}
	alterVerbs  = []string{"create", "update", "patch", "delete", "deletecollection"}
)

// ofAnyName is for powers that a rule for single objects grants as well.
func ofAnyName([]string) bool { return true }

// power is something that a rule may grant.
type power struct {
	verbs []string
	group string
	// resources are nil for every resource of the group; of subresources only those
	// that are named count.
	resources []string
	// prefix is that of further resources, whatever follows it but *.
	prefix string
	// clusterScoped resources are out of reach of what is granted in a namespace.
	clusterScoped bool
	// namespace is set where only objects of one namespace matter.
	namespace string
	// named says whether a rule that is limited to these names still grants the
	// power; nil means that it does not.
	named func(names []string) bool
	// byVerb points a finding at the verb instead of the resource.
	byVerb bool
	// may says what the holder can do: "read Secrets".
	may string
}

// hit is where a rule grants a power: the item of a list of the rule.
type hit struct {
	field string
	index int
	may   string
}

// find returns where a rule grants the power.
func (p *power) find(r *rbacv1.PolicyRule) (hit, bool) {
	if groupIndex(r, p.group) < 0 || len(r.ResourceNames) > 0 && (p.named == nil || !p.named(r.ResourceNames)) {
		return hit{}, false
	}
	verb := firstIndex(p.verbs, func(v string) int { return verbIndex(r, v) })
	resource := firstIndex(p.resources, func(s string) int { return resourceIndex(r, s) })
	if resource < 0 && p.prefix != "" {
		resource = slices.IndexFunc(r.Resources, func(s string) bool {
			key, ok := strings.CutPrefix(s, p.prefix)
			return ok && key != "*"
		})
	}
	if p.resources == nil {
		resource = slices.IndexFunc(r.Resources, func(s string) bool { return !strings.Contains(s, "/") })
	}
	switch {
	case verb < 0 || resource < 0:
		return hit{}, false
	case p.byVerb:
		return hit{"verbs", verb, p.may}, true
	}
	return hit{"resources", resource, p.may}, true
}

// firstIndex returns the smallest index that one of the wanted names is found
// at, -1 where none is.
func firstIndex(wanted []string, index func(string) int) int {
	first := -1
	for _, w := range wanted {
		if i := index(w); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	return first
}
