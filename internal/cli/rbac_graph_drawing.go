package cli

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/graph"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// accessDrawing draws who may do what. A role stands where it is bound: a ClusterRole
// that is bound in two namespaces is there twice, because what it reaches from there
// are different things. So each path in the drawing is true.
type accessDrawing struct {
	access *rbac.Access
	graph.Drawing
	nodes map[string]int
	known map[string]bool
	// reached are the resources that a node stands for.
	reached map[string][]string
	// namespaces is the column of namespaces, as that of a Kind.
	namespaces int
}

const (
	peopleID  = "people"
	clusterID = "cluster"
	// adminID is the node of everything.
	adminID = "reach//everything"
)

func newAccessDrawing(a *rbac.Access, title string) *accessDrawing {
	return &accessDrawing{access: a, nodes: map[string]int{}, known: map[string]bool{}, reached: map[string][]string{}, namespaces: -1,
		Drawing: graph.Drawing{
			Title: title,
			Kinds: []graph.Kind{
				{Name: "user", Title: "User", Tone: graph.Blue, Shape: graph.Pill, Column: -4},
				{Name: "group", Title: "Group", Tone: graph.Blue, Shape: graph.Hexagon, Column: -3},
				{Name: "account", Title: "Service account", Tone: graph.Teal, Shape: graph.Round, Column: -4},
				{Name: "gained", Title: "Rights gained by a step", Tone: graph.Amber, Shape: graph.Hexagon, Column: -5},
				{Name: "role", Title: "Role", Tone: graph.Violet, Shape: graph.Cut, Column: 1},
				{Name: "clusterrole", Title: "ClusterRole", Tone: graph.Violet, Shape: graph.Box, Column: 1},
				{Name: "reach", Title: "Resources", Tone: graph.Grey, Shape: graph.Box, Column: 2},
				{Name: "sensitive", Title: "Sensitive resource", Tone: graph.Amber, Shape: graph.Box, Column: 2},
				{Name: "everything", Title: "Everything", Tone: graph.Red, Shape: graph.Hexagon, Column: 3},
				{Name: "request", Title: "Request", Tone: graph.Amber, Shape: graph.Cut, Column: 3},
			},
			EdgeKinds: []graph.EdgeKind{
				{Name: "binding", Title: "is bound to", Tone: graph.Violet, Line: graph.Solid},
				{Name: "rule", Title: "allows", Tone: graph.Grey, Line: graph.Solid},
				{Name: "member", Title: "is a member of", Tone: graph.Blue, Line: graph.Dotted},
				{Name: "step", Title: "can become", Tone: graph.Red, Line: graph.Dashed},
				{Name: "part", Title: "takes part in a step to", Tone: graph.Amber, Line: graph.Dashed, Aside: true},
			},
		}}
}

// picture is the drawing, with the names of what has been collected.
func (d *accessDrawing) picture() *graph.Drawing {
	for id, resources := range d.reached {
		n := &d.Nodes[d.nodes[id]]
		slices.Sort(resources)
		resources = slices.Compact(resources)
		n.Details = append(n.Details, graph.Detail{Name: "Resources", Value: strings.Join(resources, ", ")})
		switch len(resources) {
		case 1:
			n.Label = resources[0]
		case 2:
			n.Label = resources[0] + ", " + resources[1]
		default:
			n.Label = fmt.Sprintf("%s and %d more", resources[0], len(resources)-1)
		}
	}
	if _, drawn := d.nodes[adminID]; drawn && d.Goal == "" {
		d.Goal = adminID
	}
	return &d.Drawing
}

// key is an identifier of parts that may hold anything.
func key(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

func (d *accessDrawing) node(n graph.Node) string {
	if _, drawn := d.nodes[n.ID]; !drawn {
		d.nodes[n.ID] = len(d.Nodes)
		d.Nodes = append(d.Nodes, n)
	}
	return n.ID
}

// edge draws an edge, once.
func (d *accessDrawing) edge(e graph.Edge) {
	id := key(e.From, e.To, e.Kind, e.Label, fmt.Sprint(e.Details))
	if !d.known[id] {
		d.known[id] = true
		d.Edges = append(d.Edges, e)
	}
}

// place is the compartment of what holds in a namespace, or in the whole cluster.
func (d *accessDrawing) place(namespace string) string {
	if namespace == "" {
		return d.compartment(clusterID, "Whole cluster", 1)
	}
	return d.compartment(key("namespace", namespace), namespace, d.namespaces)
}

func (d *accessDrawing) compartment(id, label string, column int) string {
	if !d.known["\x00"+id] {
		d.known["\x00"+id] = true
		d.Compartments = append(d.Compartments, graph.Compartment{ID: id, Label: label, Column: column})
	}
	return id
}

func (d *accessDrawing) subject(s rbac.Subject) string {
	n := graph.Node{ID: key(s.Kind, s.Namespace, s.Name), Label: s.Name, Details: []graph.Detail{{Name: s.Kind, Value: s.Name}}}
	namespaceGroup := "system:serviceaccounts:"
	switch {
	case s.Kind == rbacv1.ServiceAccountKind:
		n.Kind, n.Compartment = "account", d.place(s.Namespace)
		n.Details = append(n.Details, graph.Detail{Name: "Namespace", Value: s.Namespace})
	case s.Kind == rbacv1.GroupKind && strings.HasPrefix(s.Name, namespaceGroup):
		n.Kind, n.Compartment = "group", d.place(strings.TrimPrefix(s.Name, namespaceGroup))
	default:
		n.Kind, n.Compartment = strings.ToLower(s.Kind), d.compartment(peopleID, "Users and groups", -2)
	}
	if members := d.access.Members(s); members != nil {
		n.Details = append(n.Details, graph.Detail{Name: "Members", Value: plural(len(members), "service account", "service accounts")})
	}
	return d.node(n)
}

// member draws that a subject is in a group.
func (d *accessDrawing) member(s, group rbac.Subject) {
	if s != group {
		d.edge(graph.Edge{From: d.subject(s), To: d.subject(group), Kind: "member"})
	}
}

// role draws a role where it is bound.
func (d *accessDrawing) role(role *finding.Ref, namespace string) string {
	n := graph.Node{ID: key(role.Kind, role.Namespace, role.Name, namespace), Label: role.Name, Kind: strings.ToLower(role.Kind), Compartment: d.place(namespace),
		Details: []graph.Detail{{Name: role.Kind, Value: role.Name}, {Name: "Holds in", Value: where(namespace)}}}
	return d.node(n)
}

// bind draws that a subject is bound to a role, and returns the node of the role.
func (d *accessDrawing) bind(s rbac.Subject, binding, role *finding.Ref, at *finding.Location) string {
	if binding == nil {
		d.edge(graph.Edge{From: d.subject(s), To: d.everything(""), Kind: "rule", Label: "all", Details: []graph.Detail{{Name: "By", Value: masters}}})
		return ""
	}
	to := d.role(role, binding.Namespace)
	e := graph.Edge{From: d.subject(s), To: to, Kind: "binding", Details: []graph.Detail{{Name: binding.Kind, Value: binding.Name}, {Name: "Holds in", Value: where(binding.Namespace)}}}
	e.Details = appendPlace(e.Details, at)
	d.edge(e)
	return to
}

// appendPlace tells where something is written.
func appendPlace(details []graph.Detail, at *finding.Location) []graph.Detail {
	if at == nil {
		return details
	}
	return append(details, graph.Detail{Name: "Written in", Value: fmt.Sprintf("%s:%d", at.File, at.Line)})
}

// grant draws by what somebody may do something, up to the node of it.
func (d *accessDrawing) grant(g rbac.Grant, s rbac.Subject, to, label string) {
	role := d.bind(s, g.Binding, g.Role, g.BoundAt)
	if g.Binding == nil {
		return
	}
	d.edge(graph.Edge{From: role, To: to, Kind: "rule", Label: label, Details: ruleDetails(g.Role, g.Written, g.Rule, g.At)})
}

func ruleDetails(role, written *finding.Ref, number int, at *finding.Location) []graph.Detail {
	details := []graph.Detail{{Name: "Rule", Value: fmt.Sprintf("%d of %s %s", number+1, written.Kind, written.Name)}}
	if *role != *written {
		details = append(details, graph.Detail{Name: "Aggregated into", Value: role.Name})
	}
	return appendPlace(details, at)
}

// everything is the node of all that can be done in a namespace, or in the cluster.
func (d *accessDrawing) everything(namespace string) string {
	if namespace == "" {
		return d.node(graph.Node{ID: adminID, Label: "Cluster admin", Kind: "everything", Compartment: d.place("")})
	}
	return d.node(graph.Node{ID: key("reach", namespace, "everything"), Label: "Everything in " + namespace, Kind: "everything", Compartment: d.place(namespace)})
}

// draw draws a binding with all that it reaches, for those of its subjects that are wanted.
func (d *accessDrawing) draw(b *rbac.Binding, wanted func(rbac.Subject) bool) {
	for _, s := range b.Subjects {
		if wanted(s) {
			role := d.bind(s, b.Ref, b.Role, b.At)
			d.reach(role, b)
		}
	}
}

// reach draws what a role reaches where a binding holds: all rules about the same as one
// edge a rule.
func (d *accessDrawing) reach(role string, b *rbac.Binding) {
	if d.known["\x00reach "+role] {
		return
	}
	d.known["\x00reach "+role] = true
	for _, r := range b.Rules {
		targets := map[string][]string{}
		var order []string
		for _, t := range d.targets(&r, b.Ref.Namespace) {
			if targets[t.node] == nil {
				order = append(order, t.node)
			}
			targets[t.node] = append(targets[t.node], t.resource)
		}
		for _, to := range order {
			details := append(ruleDetails(b.Role, r.Written, r.Number, r.At), graph.Detail{Name: "Allows", Value: strings.Join(r.Verbs, ", ") + " on " + strings.Join(targets[to], ", ")})
			if len(r.ResourceNames) > 0 {
				details = append(details, graph.Detail{Name: "Only named", Value: strings.Join(r.ResourceNames, ", ")})
			}
			d.edge(graph.Edge{From: role, To: to, Kind: "rule", Label: verbSummary(r.Verbs), Details: details})
		}
	}
}

// target is a resource that a rule reaches, and the node that stands for it.
type target struct{ node, resource string }

func (d *accessDrawing) targets(r *rbac.Rule, namespace string) []target {
	var out []target
	if namespace == "" {
		for _, u := range r.NonResourceURLs {
			if u == "*" {
				u = "all URLs"
			}
			out = append(out, d.target(namespace, "urls", u))
		}
	}
	for _, group := range r.APIGroups {
		for _, resource := range r.Resources {
			name := resourceName(group, resource)
			switch {
			case group == "*" && resource == "*" && slices.Contains(r.Verbs, "*") && len(r.ResourceNames) == 0:
				out = append(out, target{d.everything(namespace), "everything"})
			case sensitive(group, resource, r.Verbs):
				id := d.node(graph.Node{ID: key("reach", namespace, "sensitive", name), Label: name, Kind: "sensitive", Compartment: d.place(namespace)})
				out = append(out, target{id, name})
			default:
				out = append(out, d.target(namespace, "group "+group, name))
			}
		}
	}
	return out
}

// resourceName says what a rule means by a resource.
func resourceName(group, resource string) string {
	switch {
	case resource == "*" && group == "*":
		return "all resources"
	case resource == "*" && group == "":
		return "all core resources"
	case resource == "*":
		return "all of " + group
	}
	return rbac.Qualified(group, resource)
}

// target collects a resource in the node that stands for its like.
func (d *accessDrawing) target(namespace, like, name string) target {
	id := d.node(graph.Node{ID: key("reach", namespace, like), Kind: "reach", Compartment: d.place(namespace)})
	d.reached[id] = append(d.reached[id], name)
	return target{id, name}
}

// verbSummary says in a word or two what verbs there are.
func verbSummary(verbs []string) string {
	if slices.Contains(verbs, "*") {
		return "all"
	}
	var words []string
	add := func(word string) {
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	for _, v := range verbs {
		switch v {
		case "get", "list", "watch":
			add("read")
		case "create", "update", "patch", "delete", "deletecollection":
			add("write")
		default:
			add(v)
		}
	}
	rank := map[string]int{"read": -2, "write": -1}
	slices.SortFunc(words, func(a, b string) int { return cmp.Or(rank[a]-rank[b], cmp.Compare(a, b)) })
	return strings.Join(words, ", ")
}
