package persona

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// Set is what a file of personas makes.
type Set struct {
	// Objects are roles and bindings, roles first.
	Objects []*model.Object
	Check   *Check
	// Summaries are one for each persona, in the order of the file.
	Summaries []Summary
	// Notes are faults of style that Prove has found, which give nobody anything.
	Notes []string

	file *File
	// origins say of which persona an object is; nil for a role that several share.
	origins map[*model.Object]*origin
}

// origin is where a generated object comes from.
type origin struct {
	persona *Persona
	role    *Role
	// extra says of each rule which extra it is, in a role of extras.
	extra []int
}

// Summary is a persona in figures.
type Summary struct {
	Persona *Persona
	// InNamespace counts single verbs on single resources that the persona may do in each
	// of its namespaces, InCluster those in the whole cluster.
	InNamespace, InCluster int
	// Can is what they count.
	Can []Action
}

// Generate makes roles and bindings of a file, and the check that goes with them. Nothing
// is proven yet: Prove does that.
func Generate(f *File) (*Set, error) {
	c, err := readCatalogue()
	if err != nil {
		return nil, err
	}
	g := &generator{catalogue: c, set: &Set{file: f, Check: &Check{Name: f.Name}, origins: map[*model.Object]*origin{}}, made: map[string]bool{}}
	for i := range f.Personas {
		g.persona(&f.Personas[i])
	}
	if g.err != nil {
		return nil, g.err
	}
	slices.SortStableFunc(g.set.Objects, func(a, b *model.Object) int { return rank(a) - rank(b) })
	slices.SortFunc(g.set.Check.Holders, compareHolders)
	return g.set, nil
}

// rank puts what others refer to first: the API server lets who writes a binding only
// bind what they have themselves, and asks the role.
func rank(o *model.Object) int {
	return slices.Index([]string{"ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"}, o.Kind)
}

type generator struct {
	catalogue *catalogue
	set       *Set
	made      map[string]bool
	err       error
}

// Names of what is generated. Colons keep them apart from those that people choose, and
// put all of one file together.
func (g *generator) name(parts ...string) string {
	return strings.Join(append([]string{g.set.file.Name}, parts...), ":")
}

const apiVersion = rbacv1.GroupName + "/v1"

func (g *generator) persona(p *Persona) {
	can := slices.Clone(p.Role.Namespaced)
	for _, x := range p.Extra {
		can = append(can, x.Action)
	}
	switch {
	case p.Role.BoundTo != "":
		can = []Action{everything, everyURL}
		g.bind(p, "", p.Name, "ClusterRole", p.Role.BoundTo)
	case p.ClusterWide():
		can = append(can, p.Role.Cluster...)
		g.bind(p, "", p.Name, "ClusterRole", g.shared(p, "", p.Role.Namespaced))
		if len(p.Role.Cluster) > 0 {
			g.bind(p, "", p.Name+":cluster", "ClusterRole", g.shared(p, ":cluster", p.Role.Cluster))
		}
		if len(p.Extra) > 0 {
			g.bind(p, "", p.Name+":extra", "ClusterRole", g.extra(p, ""))
		}
	default:
		role := g.shared(p, "", p.Role.Namespaced)
		for _, ns := range p.Namespaces {
			g.bind(p, ns, p.Team+":"+p.Name, "ClusterRole", role)
			if len(p.Extra) > 0 {
				g.bind(p, ns, p.Team+":"+p.Name+":extra", "Role", g.extra(p, ns))
			}
		}
	}
	g.check(p, can)
	count := map[thing]bool{}
	for _, a := range can {
		for _, t := range a.things() {
			count[t] = true
		}
	}
	s := Summary{Persona: p, Can: can, InNamespace: len(count)}
	if p.ClusterWide() {
		s.InNamespace, s.InCluster = 0, len(count)
	}
	g.set.Summaries = append(g.set.Summaries, s)
}

var (
	everything = Action{Verbs: []string{"*"}, Resources: []rbac.Resource{{Group: "*", Name: "*", Namespaced: true, Known: true}}}
	everyURL   = Action{Verbs: []string{"*"}, URLs: []string{"/*"}}
)

// shared makes the ClusterRole that all personas of a role are bound to.
func (g *generator) shared(p *Persona, part string, actions []Action) string {
	name := g.name(p.Role.Name) + part
	if !g.made[name] {
		g.made[name] = true
		role := &rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "ClusterRole"}, ObjectMeta: g.meta("", name, "every "+p.Role.Name), Rules: mergeRules(actions)}
		g.add(role, &origin{role: p.Role})
	}
	return name
}

// extra makes the role of what one persona may do beside its role.
func (g *generator) extra(p *Persona, namespace string) string {
	from := &origin{persona: p, role: p.Role}
	var rules []rbacv1.PolicyRule
	for i, x := range p.Extra {
		for _, rule := range x.Rules() {
			rules, from.extra = append(rules, rule), append(from.extra, i)
		}
	}
	if namespace == "" {
		name := g.name(p.Name, "extra")
		g.add(&rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "ClusterRole"}, ObjectMeta: g.meta("", name, p.Title()+", beside the role"), Rules: rules}, from)
		return name
	}
	name := g.name(p.Team, p.Name)
	g.add(&rbacv1.Role{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "Role"}, ObjectMeta: g.meta(namespace, name, p.Title()+", beside the role"), Rules: rules}, from)
	return name
}

// mergeRules are the rules of actions, one for those that differ in resources only.
func mergeRules(actions []Action) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for _, a := range actions {
		for _, rule := range a.Rules() {
			i := slices.IndexFunc(out, func(r rbacv1.PolicyRule) bool {
				return slices.Equal(r.Verbs, rule.Verbs) && slices.Equal(r.APIGroups, rule.APIGroups) && slices.Equal(r.ResourceNames, rule.ResourceNames)
			})
			if i < 0 {
				out = append(out, rule)
				continue
			}
			out[i].Resources = append(out[i].Resources, rule.Resources...)
			out[i].NonResourceURLs = append(out[i].NonResourceURLs, rule.NonResourceURLs...)
		}
	}
	return out
}

// emergency is said on what gives everything.
const emergency = "For emergencies: the group is empty until then. Report every request of a member, and take members out afterwards."

func (g *generator) bind(p *Persona, namespace, name, roleKind, role string) {
	meta := g.meta(namespace, g.name(name), p.Title())
	if p.Role.BoundTo != "" {
		meta.Annotations["bulkhead.dev/note"] = emergency
	}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: roleKind, Name: role}
	var subjects []rbacv1.Subject
	for _, s := range p.Subjects {
		subject := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: s.Kind, Name: s.Name, Namespace: s.Namespace}
		if s.Kind == rbacv1.ServiceAccountKind {
			subject.APIGroup = ""
		}
		subjects = append(subjects, subject)
	}
	if p.Role.BoundTo == "" {
		g.set.Check.Holders = append(g.set.Check.Holders, Holder{RoleKind: roleKind, Role: role, Namespace: namespace, Subjects: p.Subjects})
	}
	if namespace == "" {
		g.add(&rbacv1.ClusterRoleBinding{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "ClusterRoleBinding"}, ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, &origin{persona: p, role: p.Role})
		return
	}
	g.add(&rbacv1.RoleBinding{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "RoleBinding"}, ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, &origin{persona: p, role: p.Role})
}

func (g *generator) meta(namespace, name, about string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: namespace,
		Labels:      map[string]string{"app.kubernetes.io/managed-by": "bulkhead", "bulkhead.dev/personas": g.set.file.Name},
		Annotations: map[string]string{"bulkhead.dev/persona": about}}
}

// add keeps an object as the content that is written.
func (g *generator) add(v any, from *origin) {
	data, err := json.Marshal(v)
	var content map[string]any
	if err == nil {
		err = json.Unmarshal(data, &content)
	}
	if err != nil {
		g.err = fmt.Errorf("make a role of %s: %w", g.set.file.Name, err)
		return
	}
	delete(content["metadata"].(map[string]any), "creationTimestamp")
	o, _ := model.NewObject(content, nil, model.Source{})
	g.set.Objects = append(g.set.Objects, o)
	g.set.origins[o] = from
}

// check adds what the persona may and must not do.
func (g *generator) check(p *Persona, can []Action) {
	e := Entry{About: p.Title(), Subjects: p.Subjects, Namespaces: p.Namespaces, Can: can, NothingElse: true, At: g.set.file.locate(p.at)}
	if p.Role.BoundTo != "" {
		g.set.Check.Entries = append(g.set.Check.Entries, e)
		return
	}
	e.Becomes = true
	if p.Role.Powerful {
		e.AccountsOf = p.Namespaces
	}
	somewhere := Entry{About: p.Title(), Subjects: p.Subjects}
	for _, primitive := range g.catalogue.primitives {
		for _, a := range primitive.Actions {
			switch {
			case slices.ContainsFunc(can, a.overlaps):
				// A powerful persona is meant to.
			case len(primitive.Namespaces) == 0:
				e.Cannot = append(e.Cannot, a)
			case p.ClusterWide() || slices.ContainsFunc(primitive.Namespaces, func(ns string) bool { return slices.Contains(p.Namespaces, ns) }):
				somewhere.Namespaces, somewhere.Cannot = primitive.Namespaces, append(somewhere.Cannot, a)
			}
		}
	}
	g.set.Check.Entries = append(g.set.Check.Entries, e)
	if len(somewhere.Cannot) > 0 {
		somewhere.At = e.At
		g.set.Check.Entries = append(g.set.Check.Entries, somewhere)
	}
}
