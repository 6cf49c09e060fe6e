package cli

import (
	"fmt"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/graph"
	"bulkhead.dev/bulkhead/internal/persona"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// drawWhoCan draws everybody who may make a request, and by what.
func drawWhoCan(a *rbac.Access, r rbac.Request, grants []rbac.Grant, unknown string) *graph.Drawing {
	d := newAccessDrawing(a, "Who can "+r.String())
	d.Description = fmt.Sprintf("Who may %s, by which binding, role and rule. Members of system:masters may do everything.", r)
	d.request(r)
	for _, g := range grants {
		for _, s := range g.Subjects {
			d.grant(g, s, d.Goal, r.Verb)
		}
	}
	if len(grants) == 0 {
		d.Notes = append(d.Notes, "Nobody may.")
	}
	d.unknown(unknown)
	return d.picture()
}

// request draws what is asked, as the goal.
func (d *accessDrawing) request(r rbac.Request) {
	place := "Whole cluster, or wherever the role holds"
	if r.Namespace != "" {
		place = where(r.Namespace)
	}
	d.Goal = d.node(graph.Node{ID: "request", Label: r.String(), Kind: "request", Details: []graph.Detail{{Name: "Request", Value: r.String()}, {Name: "Where", Value: place}}})
}

func (d *accessDrawing) unknown(reasons ...string) {
	for _, reason := range reasons {
		if reason != "" {
			d.Notes = append(d.Notes, "There may be more: "+reason)
		}
	}
}

// drawVerdict draws the answer to a yes/no question.
func drawVerdict(a *rbac.Access, r rbac.Request, s rbac.Subject, g rbac.Grant, allowed bool, unknown string) *graph.Drawing {
	d := newAccessDrawing(a, fmt.Sprintf("Can %s %s", s, r))
	d.subject(s)
	d.request(r)
	switch {
	case allowed:
		d.Description = fmt.Sprintf("Yes: %s may %s.", s, r)
		by := g.Subjects[0]
		d.member(s, by)
		if g.Binding == nil {
			d.edge(graph.Edge{From: d.subject(by), To: d.Goal, Kind: "rule", Label: "all", Details: []graph.Detail{{Name: "By", Value: masters}}})
		} else {
			d.grant(g, by, d.Goal, r.Verb)
		}
	case unknown != "":
		d.Description = fmt.Sprintf("Unknown whether %s may %s.", s, r)
		d.unknown(unknown)
	default:
		d.Description = fmt.Sprintf("No: nothing allows %s to %s.", s, r)
	}
	return d.picture()
}

// drawPermissions draws all that a subject may do by itself and by its groups.
func drawPermissions(a *rbac.Access, s rbac.Subject, permissions []rbac.Permission, namespace, unknown string) *graph.Drawing {
	d := newAccessDrawing(a, fmt.Sprintf("What %s can do", s))
	d.Description = "By itself and by its groups: bindings, roles and what these reach."
	d.subject(s)
	d.permissions(s, permissions, namespace)
	d.unknown(unknown)
	return d.picture()
}

func (d *accessDrawing) permissions(s rbac.Subject, permissions []rbac.Permission, namespace string) {
	as := map[rbac.Subject]bool{}
	for _, p := range permissions {
		for _, g := range p.Grants {
			if by := g.Subjects[0]; !as[by] {
				as[by] = true
				d.member(s, by)
			}
			if g.Binding == nil {
				d.bind(g.Subjects[0], nil, nil, nil)
			}
		}
	}
	for _, b := range d.access.Bindings() {
		if namespace == "" || b.Ref.Namespace == "" || b.Ref.Namespace == namespace {
			d.draw(&b, func(s rbac.Subject) bool { return as[s] })
		}
	}
}

// drawEscalations draws chains: who becomes whom by which step, and who at the end is
// cluster admin by what.
func drawEscalations(a *rbac.Access, title string, all []rbac.Escalation, unknown []string, ofOne bool) *graph.Drawing {
	d := newAccessDrawing(a, title)
	d.namespaces = 0 // the steps say what stands left and right
	d.Description = "Each red arrow is a step by which somebody becomes somebody else, or gains rights."
	meant := 0
	for _, e := range all {
		// Those that are powerful in every cluster are no news.
		if e.Meant && !ofOne {
			meant++
			continue
		}
		d.escalation(e)
	}
	if meant > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("Not drawn: %s of every cluster, meant to be powerful.", plural(meant, "subject", "subjects")))
	}
	if len(all) == 0 {
		d.Notes = append(d.Notes, "No steps were found.")
	}
	d.unknown(unknown...)
	return d.picture()
}

func (d *accessDrawing) escalation(e rbac.Escalation) {
	d.subject(e.From)
	for _, s := range e.Steps {
		details := []graph.Detail{{Name: "Step", Value: s.Name}, {Name: "Why", Value: s.Why}}
		for _, n := range s.Needs {
			name := "Needs"
			if n.As != nil {
				name = "Needs, as " + n.As.String()
			}
			details = append(details, graph.Detail{Name: name, Value: n.String() + ", by " + neededChain(n)})
		}
		if s.Waits {
			details = append(details, graph.Detail{Name: "Waits", Value: "until somebody else writes something"})
		}
		by, to := d.party(s.By), d.party(s.To)
		d.edge(graph.Edge{From: by, To: to, Kind: "step", Label: s.Name, Details: details})
		for _, n := range s.Needs {
			if n.As == nil {
				continue
			}
			if from := d.party(*n.As); from != by {
				d.edge(graph.Edge{From: from, To: to, Kind: "part", Label: s.Name, Details: details})
			}
		}
	}
	if e.Admin == nil {
		return
	}
	by := e.Admin.Subjects[0]
	if last := e.Last().Subject; last != nil {
		d.member(*last, by)
	}
	d.grant(*e.Admin, by, d.everything(""), "all")
}

// party draws who acts after a step.
func (d *accessDrawing) party(p rbac.Party) string {
	switch {
	case p == rbac.Party{}:
		return d.everything("")
	case p.Subject != nil && !p.Constrained:
		return d.subject(*p.Subject)
	}
	n := graph.Node{ID: key("party", p.String()), Label: p.String(), Kind: "gained", Compartment: d.place(p.Namespace), Details: []graph.Detail{{Name: "Holds in", Value: where(p.Namespace)}}}
	if p.Constrained {
		n.Compartment, n.Details = d.Nodes[d.nodes[d.subject(*p.Subject)]].Compartment, []graph.Detail{{Name: "Constrained", Value: "only requests that both may make"}}
	}
	return d.node(n)
}

// drawAccess draws all bindings, or in focus those of a subject or a namespace.
func drawAccess(a *rbac.Access, f focus) *graph.Drawing {
	d := newAccessDrawing(a, f.title)
	d.Description = "Who is bound to which role, and what that role reaches where it is bound."
	if f.subject != nil {
		d.subject(*f.subject)
		d.permissions(*f.subject, f.permissions, f.namespace)
	} else {
		d.bindings(f)
	}
	for _, e := range f.escalations {
		if !e.Meant || f.defaults {
			d.escalation(e)
		}
	}
	d.unknown(f.unknown...)
	return d.picture()
}

// drawDrift draws the bindings by which something is as it should not be, and the steps to
// others.
func drawDrift(a *rbac.Access, r *persona.Result) *graph.Drawing {
	f := focus{title: "What is not as it should be", only: map[finding.Ref]bool{}, defaults: true, unknown: r.Unknown}
	missing := 0
	for _, d := range r.Differences {
		for _, g := range d.Grants {
			if g.Binding != nil {
				f.only[*g.Binding] = true
			}
		}
		switch {
		case d.Binding != nil:
			f.only[*d.Binding] = true
		case d.Chain != nil:
			f.escalations = append(f.escalations, *d.Chain)
		case len(d.Grants) == 0:
			missing++
		}
	}
	out := drawAccess(a, f)
	if missing > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("Not drawn: %s that should be granted.", plural(missing, "permission", "permissions")))
	}
	return out
}

// drawAccessDiff draws the bindings and rules that differ, default ones too.
func drawAccessDiff(before, after *rbac.Access, title string) *graph.Drawing {
	f := focus{title: title, defaults: true}
	d := graph.Compare(drawAccess(before, f), drawAccess(after, f))
	d.Description = "What was not there before, or is no longer."
	return d
}

// focus is what of the bindings is drawn.
type focus struct {
	title       string
	subject     *rbac.Subject
	permissions []rbac.Permission
	// namespace limits it to what is bound in it, and to what its accounts are bound to.
	namespace string
	// only limits it to bindings, where it is not nil.
	only map[finding.Ref]bool
	// defaults draws the bindings that every cluster has, too.
	defaults    bool
	escalations []rbac.Escalation
	unknown     []string
}

func (d *accessDrawing) bindings(f focus) {
	left := 0
	for _, b := range d.access.Bindings() {
		if f.only != nil && !f.only[*b.Ref] {
			continue
		}
		if b.Default && !f.defaults {
			left++
			continue
		}
		d.draw(&b, func(s rbac.Subject) bool {
			return f.namespace == "" || b.Ref.Namespace == f.namespace || s.Namespace == f.namespace || s.Name == "system:serviceaccounts:"+f.namespace
		})
	}
	if left > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("Not drawn: %s of every cluster. --defaults draws them.", plural(left, "default binding", "default bindings")))
	}
	d.members()
}

// members draws which accounts are in the groups that Kubernetes makes of those of one
// namespace. Of all accounts everybody is a member: that is not drawn.
func (d *accessDrawing) members() {
	for _, s := range d.access.Subjects() {
		members := d.access.Members(s)
		if _, drawn := d.nodes[key(s.Kind, s.Namespace, s.Name)]; !drawn || s.Name == "system:serviceaccounts" {
			continue
		}
		for _, m := range slices.Clip(members) {
			d.member(m, s)
		}
	}
}
