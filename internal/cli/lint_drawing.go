package cli

import (
	"cmp"
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/graph"
	"bulkhead.dev/bulkhead/internal/model"
)

// lintDrawing draws the objects that findings are about, each once, and beside them what is
// wrong. A binding is a node, as it may be at fault itself.
type lintDrawing struct {
	graph.Drawing
	objects map[model.ID]*model.Object
	known   map[string]bool
}

// drawLint draws the findings that stand.
func drawLint(title string, s *model.Snapshot, r *finding.Result) *graph.Drawing {
	d := &lintDrawing{objects: map[model.ID]*model.Object{}, known: map[string]bool{}, Drawing: graph.Drawing{
		Title:       title,
		Description: "What is wrong is on the left, and leads to what it is about.",
		Kinds: []graph.Kind{
			{Name: "control", Title: "What is wrong", Tone: graph.Red, Shape: graph.Hexagon, Column: -3},
			{Name: "subject", Title: "User, group or account", Tone: graph.Blue, Shape: graph.Round, Column: -2},
			{Name: "binding", Title: "Binding", Tone: graph.Teal, Shape: graph.Pill, Column: -1},
			{Name: "role", Title: "Role or ClusterRole", Tone: graph.Violet, Shape: graph.Cut, Column: 1},
			{Name: "policy", Title: "Policy", Tone: graph.Violet, Shape: graph.Cut},
			{Name: "object", Title: "Object", Tone: graph.Blue, Shape: graph.Box},
			{Name: "unread", Title: "Role that was not read", Tone: graph.Grey, Shape: graph.Cut, Column: 1},
		},
		EdgeKinds: []graph.EdgeKind{
			{Name: "finding", Title: "is found at", Tone: graph.Red, Line: graph.Dashed},
			{Name: "subject", Title: "is named by", Tone: graph.Blue, Line: graph.Dotted},
			{Name: "binding", Title: "is bound to", Tone: graph.Violet, Line: graph.Solid},
		},
	}}
	for _, w := range s.Worlds {
		for _, o := range w.Objects {
			d.objects[o.ID()] = o
		}
	}
	titles := map[string]string{}
	for _, rule := range r.Rules {
		titles[rule.Name] = rule.Title
	}
	unknown := 0
	for _, f := range r.Findings {
		switch {
		case f.Waived != nil:
		case f.Verdict != finding.Fail:
			unknown++
		default:
			d.finding(f, titles[f.Control])
		}
	}
	if len(d.Nodes) == 0 {
		d.Notes = append(d.Notes, "Nothing is wrong.")
	}
	if unknown > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("There may be more: %s could not be judged.", plural(unknown, "object", "objects")))
	}
	return &d.Drawing
}

func (d *lintDrawing) finding(f finding.Finding, title string) {
	from := d.node(graph.Node{ID: key("control", f.Control), Label: f.Control, Kind: "control", Details: []graph.Detail{{Name: "Control", Value: title}}})
	field := f.Path
	if field == "metadata.name" {
		field = "" // it is the object as a whole
	}
	e := graph.Edge{From: from, To: d.object(f.Object), Kind: "finding", Label: field, Details: []graph.Detail{{Name: "What is wrong", Value: f.Message}}}
	e.Details = appendPlace(e.Details, f.Location)
	d.Edges = append(d.Edges, e)
}

// node draws a node, once.
func (d *lintDrawing) node(n graph.Node) string {
	if !d.known[n.ID] {
		d.known[n.ID] = true
		d.Nodes = append(d.Nodes, n)
	}
	return n.ID
}

// object draws what a finding is about and, of a binding, whom and what it joins.
func (d *lintDrawing) object(r finding.Ref) string {
	n := d.nodeOf(r)
	if d.known[n.ID] {
		return n.ID
	}
	o := d.objects[idOf(r)]
	if o != nil {
		n.Details = appendPlace(n.Details, o.Locate(nil))
	}
	d.node(n)
	if n.Kind == "binding" && o != nil {
		d.joins(n.ID, o)
	}
	return n.ID
}

func idOf(r finding.Ref) model.ID {
	return model.ID{GroupKind: model.GroupKind{Group: r.Group, Kind: r.Kind}, Namespace: r.Namespace, Name: r.Name}
}

// nodeOf is the node of an object, in the compartment of its namespace.
func (d *lintDrawing) nodeOf(r finding.Ref) graph.Node {
	n := graph.Node{ID: key("object", r.Kind, r.Namespace, r.Name), Label: r.Name, Kind: "object", Compartment: d.place(r.InNamespace()), Details: []graph.Detail{{Name: r.Kind, Value: r.Name}}}
	switch {
	case r.Kind == rbacv1.ServiceAccountKind:
		n.Kind = "subject"
	case strings.HasSuffix(r.Kind, "NetworkPolicy"):
		n.Kind = "policy"
	case r.Group != rbacv1.GroupName:
		n.Label = r.Kind + "/" + r.Name
	case strings.HasSuffix(r.Kind, "Binding"):
		n.Kind = "binding"
	case strings.HasSuffix(r.Kind, "Role"):
		n.Kind = "role"
	}
	return n
}

func (d *lintDrawing) place(namespace string) string {
	c := graph.Compartment{ID: clusterID, Label: "Whole cluster"}
	if namespace != "" {
		c = graph.Compartment{ID: key("namespace", namespace), Label: namespace}
	}
	if !d.known["\x00"+c.ID] {
		d.known["\x00"+c.ID] = true
		d.Compartments = append(d.Compartments, c)
	}
	return c.ID
}

// joins draws the role and the subjects of a binding. A role of which nothing was read may
// be one that every cluster has.
func (d *lintDrawing) joins(id string, binding *model.Object) {
	role := finding.Ref{Group: rbacv1.GroupName, Kind: binding.Text("roleRef", "kind"), Name: binding.Text("roleRef", "name")}
	if role.Kind == "Role" {
		role.Namespace = binding.Namespace
	}
	n := d.nodeOf(role)
	n.Kind = "role"
	if d.objects[idOf(role)] == nil {
		n.Kind = "unread"
	}
	d.Edges = append(d.Edges, graph.Edge{From: id, To: d.node(n), Kind: "binding"})
	for _, item := range binding.List("subjects") {
		var s rbacv1.Subject
		content, _ := item.(map[string]any)
		if model.Decode(content, &s) != nil {
			continue
		}
		subject := finding.Ref{Kind: s.Kind, Name: s.Name}
		if s.Kind == rbacv1.ServiceAccountKind {
			subject.Namespace = cmp.Or(s.Namespace, binding.Namespace)
		}
		n := d.nodeOf(subject)
		if n.Kind = "subject"; s.Kind != rbacv1.ServiceAccountKind {
			n.Compartment = "" // users and groups are nowhere
		}
		if from := d.node(n); !d.known[from+"\x00"+id] {
			d.known[from+"\x00"+id] = true
			d.Edges = append(d.Edges, graph.Edge{From: from, To: id, Kind: "subject"})
		}
	}
}
