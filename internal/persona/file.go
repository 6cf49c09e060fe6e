package persona

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/form"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// Kind is that of files with personas.
var Kind = model.GroupKind{Group: "bulkhead.dev", Kind: "Personas"}

// File is what an organisation says of who does what.
type File struct {
	// Name is what the generated roles and bindings start with.
	Name string
	// Personas are those of the teams, in order, and then those of the organisation.
	Personas []Persona
	object   *model.Object
}

// Persona is who holds a role, and where.
type Persona struct {
	// Name is the role's where the file names none. It is used once in a team.
	Name string
	// Team is empty for a persona of the whole organisation.
	Team string
	Role *Role
	// Namespaces are where it holds; none is the whole cluster.
	Namespaces []string
	Subjects   []rbac.Subject
	// Extra is what it may do beside its role.
	Extra []placed
	at    model.Path
}

// ClusterWide reports whether the persona is one of the whole organisation.
func (p *Persona) ClusterWide() bool { return p.Team == "" }

// Title names the persona: developer of shop.
func (p *Persona) Title() string {
	name := p.Name
	if p.Name != p.Role.Name {
		name += " (" + p.Role.Name + ")"
	}
	if p.Team != "" {
		name += " of " + p.Team
	}
	return name
}

// maxBindings bounds what one file makes.
const maxBindings = 20_000

// maxExtras bounds what the extras of one file list together.
const maxExtras = 50_000

// Parse reads an object of Kind. The error says all that is wrong with it, a line for
// each, with file and line.
func Parse(o *model.Object) (*File, error) {
	c, err := readCatalogue()
	if err != nil {
		return nil, err
	}
	r := &fileReader{reader: reader{form.Reader{Object: o}}, catalogue: c, file: &File{object: o}}
	r.read()
	if err := r.Err(); err != nil {
		return nil, err
	}
	return r.file, nil
}

type fileReader struct {
	reader
	catalogue *catalogue
	file      *File
	// extras counts what all of the file list.
	extras int
}

func (r *fileReader) read() {
	var spec map[string]any
	if r.file.Name, spec = r.header(Kind, "teams", "organisation"); spec == nil {
		return
	}
	at := model.Path{model.Key("spec")}
	teams := map[string]bool{}
	for i, item := range r.items(at.Keys("teams"), spec["teams"]) {
		r.team(at.Keys("teams").Append(model.Index(i)), item, teams)
	}
	names := map[string]bool{}
	for i, item := range r.items(at.Keys("organisation"), spec["organisation"]) {
		r.persona(at.Keys("organisation").Append(model.Index(i)), item, "", nil, names)
	}
	if len(r.file.Personas) == 0 && !r.Failed() {
		r.Fail(at, "has no persona: list teams, or personas of the organisation")
	}
	bindings := 0
	for _, p := range r.file.Personas {
		bindings += 2 * max(1, len(p.Namespaces))
	}
	if bindings > maxBindings {
		r.Fail(at, "would make %d bindings, and %d are the most: make several files of it", bindings, maxBindings)
	}
	if !r.Failed() {
		r.conflicts()
	}
}

func (r *fileReader) team(at model.Path, v any, known map[string]bool) {
	m := r.Fields(at, v, "name", "namespaces", "personas")
	if m == nil {
		return
	}
	name := r.Label(at.Keys("name"), m["name"], "name the team")
	if name != "" && known[name] {
		r.Fail(at.Keys("name"), "is %q, and another team is called that", name)
	}
	known[name] = true
	namespaces := r.labels(at.Keys("namespaces"), m["namespaces"], "name a namespace")
	if len(namespaces) == 0 {
		r.Fail(at.Keys("namespaces"), "has no namespace: list those of the team")
	}
	personas := r.items(at.Keys("personas"), m["personas"])
	if len(personas) == 0 {
		r.Fail(at.Keys("personas"), "is empty: say who does what, like role: developer, groups: [%s-developers]", form.Cut(name))
	}
	names := map[string]bool{}
	for i, item := range personas {
		r.persona(at.Keys("personas").Append(model.Index(i)), item, name, namespaces, names)
	}
}

func (r *fileReader) persona(at model.Path, v any, team string, namespaces []string, known map[string]bool) {
	allowed := []string{"role", "name", "groups", "users", "serviceAccounts", "extra"}
	if namespaces != nil {
		allowed = append(allowed, "namespaces")
	}
	m := r.Fields(at, v, allowed...)
	if m == nil {
		return
	}
	p := Persona{Team: team, Namespaces: namespaces, at: at, Role: r.role(at.Keys("role"), m["role"], namespaces != nil)}
	if p.Role == nil {
		return
	}
	p.Name = p.Role.Name
	if m["name"] != nil {
		p.Name = r.Label(at.Keys("name"), m["name"], "leave it out, or name the persona")
	}
	if known[p.Name] {
		r.Fail(at.Keys("name"), "is %q a second time: put who does the same into one persona, or give this one another name", p.Name)
	}
	known[p.Name] = true
	if m["namespaces"] != nil && namespaces != nil {
		p.Namespaces = r.labels(at.Keys("namespaces"), m["namespaces"], "name a namespace of the team")
		for i, ns := range p.Namespaces {
			if !slices.Contains(namespaces, ns) {
				r.Fail(at.Keys("namespaces").Append(model.Index(i)), "is %q, which is none of the team's namespaces", ns)
			}
		}
		if len(p.Namespaces) == 0 {
			r.Fail(at.Keys("namespaces"), "is empty: leave it out for all namespaces of the team")
		}
	}
	r.subjects(&p, m)
	r.extra(&p, m["extra"])
	r.file.Personas = append(r.file.Personas, p)
}

func (r *fileReader) role(at model.Path, v any, team bool) *Role {
	names := strings.Join(r.catalogue.names(team), ", ")
	text := r.Name(at, v, "write one of "+names)
	if text == "" {
		return nil
	}
	role := r.catalogue.role(text)
	switch {
	case role == nil:
		r.Fail(at, "is %q: write one of %s", form.Cut(text), names)
	case team && !role.team:
		r.Fail(at, "is %q, which is for the whole organisation: move it there, or write one of %s", text, names)
	case !team && !role.organisation:
		r.Fail(at, "is %q, which is for the namespaces of a team: move it to one, or write one of %s", text, names)
	default:
		return role
	}
	return nil
}

func (r *fileReader) subjects(p *Persona, m map[string]any) {
	add := func(at model.Path, s rbac.Subject, ok bool) {
		if ok && slices.Contains(p.Subjects, s) {
			r.Fail(at, "is %s a second time", s)
		} else if ok {
			p.Subjects = append(p.Subjects, s)
		}
	}
	for _, of := range [][2]string{{"groups", rbacv1.GroupKind}, {"users", rbacv1.UserKind}, {"serviceAccounts", rbacv1.ServiceAccountKind}} {
		field, kind := of[0], of[1]
		at := p.at.Keys(field)
		list := r.items(at, m[field])
		if len(list) > 0 && p.Role.GroupsOnly && field != "groups" {
			r.Fail(at, "cannot be %s: name a group that is empty until somebody has to be in it", p.Role.Name)
			continue
		}
		for i, item := range list {
			here := at.Append(model.Index(i))
			var s rbac.Subject
			var ok bool
			if field == "serviceAccounts" {
				s, ok = r.account(here, item)
			} else {
				s, ok = r.named(here, kind, item)
			}
			add(here, s, ok)
		}
	}
	slices.SortFunc(p.Subjects, compareSubjects)
	if len(p.Subjects) == 0 && !r.Failed() {
		r.Fail(p.at, "is nobody: list groups, users or serviceAccounts")
	}
}

func compareSubjects(a, b rbac.Subject) int { return strings.Compare(a.String(), b.String()) }

// extra reads what a persona may do beside its role. A primitive is refused to those that
// are not powerful: its holder would in effect be the admin of the namespace, whatever
// the file calls them.
func (r *fileReader) extra(p *Persona, v any) {
	for _, a := range r.actions(p.at.Keys("extra"), v) {
		if r.extras += len(a.things()); r.extras > maxExtras {
			r.Fail(a.at, "is too much: all extras of a file are at most %d things", maxExtras)
			return
		}
		if why := r.refused(p, a.Action); why != "" {
			r.Fail(a.at, "is %q: %s", a.Action, why)
			continue
		}
		p.Extra = append(p.Extra, a)
	}
}

func (r *fileReader) refused(p *Persona, a Action) string {
	if p.Role.BoundTo != "" {
		return fmt.Sprintf("%s may do everything already", p.Role.Name)
	}
	if a.star() {
		return "a star also stands for what is added later: name what is meant"
	}
	for _, res := range a.Resources {
		if !p.ClusterWide() && res.Known && !res.Namespaced && (res.Name != "namespaces" || res.Group != "") {
			return fmt.Sprintf("%s belong to the whole cluster, and a team has its namespaces: give it to a persona of the organisation", res.Name)
		}
	}
	if !p.ClusterWide() && len(a.URLs) > 0 {
		return "a URL belongs to the whole cluster, and a team has its namespaces: give it to a persona of the organisation"
	}
	if primitive := r.catalogue.primitive(a, p.Namespaces); primitive != nil && !p.Role.Powerful {
		instead := "do it by a pipeline that is reviewed, or in an emergency by break-glass"
		if !p.ClusterWide() {
			instead = "do it by a pipeline that is reviewed, or make them admin, which is what they would be in effect"
		}
		return fmt.Sprintf("who may do that may %s. Leave it out: %s", primitive.May, instead)
	}
	return ""
}

// conflicts refuses what would make a persona more than the file says.
func (r *fileReader) conflicts() {
	powerful := map[rbac.Subject][]*Persona{}
	admins := map[string]*Persona{}
	for i := range r.file.Personas {
		p := &r.file.Personas[i]
		if !p.Role.Powerful {
			continue
		}
		for _, s := range p.Subjects {
			powerful[s] = append(powerful[s], p)
		}
		for _, ns := range p.Namespaces {
			if admins[ns] = p; ns == "kube-system" {
				r.Fail(p.at, "is %s of kube-system, where the accounts of the control plane are: who becomes them is cluster admin. Leave the namespace out, or use break-glass", p.Role.Name)
			}
		}
	}
	for i := range r.file.Personas {
		p := &r.file.Personas[i]
		for _, s := range p.Subjects {
			for _, other := range powerful[s] {
				if other != p && other.meets(p) {
					r.Fail(p.at, "has %s, who is %s already: give the two to different groups; somebody may be in both", s, other.Title())
				}
			}
			// Who is admin of a namespace is every service account there.
			if a := admins[s.Namespace]; s.Kind == rbacv1.ServiceAccountKind && a != nil && !p.within(a.Namespaces) {
				r.Fail(p.at, "has %s, whom %s can become, and so have what the account has elsewhere: keep it in a namespace of its own", s, a.Title())
			}
		}
	}
}

// meets reports whether two personas hold in a same namespace.
func (p *Persona) meets(other *Persona) bool {
	return p.ClusterWide() || other.ClusterWide() || slices.ContainsFunc(p.Namespaces, func(ns string) bool { return slices.Contains(other.Namespaces, ns) })
}

func (p *Persona) within(namespaces []string) bool {
	return !p.ClusterWide() && !slices.ContainsFunc(p.Namespaces, func(ns string) bool { return !slices.Contains(namespaces, ns) })
}

// locate returns where a place of the file is written.
func (f *File) locate(at model.Path) *finding.Location { return f.object.Locate(at) }
