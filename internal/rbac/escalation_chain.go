package rbac

import (
	"cmp"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
)

// measure counts the steps from every node to adminNode, by a breadth-first search
// from there. To choose among what one step leads to takes no step.
func (g *graph) measure() {
	type arc struct {
		from *node
		step int
	}
	into := map[*node][]arc{}
	for _, n := range g.nodes {
		n.distance = unreachable
		for _, e := range n.steps {
			into[e.to] = append(into[e.to], arc{n, 1})
		}
		for _, c := range n.choices {
			to := g.node(c.to)
			into[to] = append(into[to], arc{n, 0})
		}
		for _, group := range n.groups {
			into[group] = append(into[group], arc{n, 0})
		}
	}
	var now, next []*node
	reach := func(n *node, distance int) {
		if distance < n.distance {
			n.distance = distance
			now = append(now, n)
		}
	}
	for _, n := range g.nodes {
		if n.kind == adminNode || n.admin != nil {
			reach(n, 0)
		}
	}
	for distance := 0; len(now) > 0; distance++ {
		for len(now) > 0 {
			n := now[len(now)-1]
			now = now[:len(now)-1]
			if n.distance < distance {
				continue
			}
			for _, a := range into[n] {
				if a.step == 0 {
					reach(a.from, distance)
				} else if a.from.distance == unreachable {
					next = append(next, a.from)
				}
			}
		}
		for _, n := range next {
			reach(n, distance+1)
		}
		next = next[:0]
	}
}

// Party is who acts after a step: a subject, or oneself with a role that the step has
// given, or whoever may do everything.
type Party struct {
	// Subject is nil where one has gained a role.
	Subject *Subject
	// Constrained says that the subject is impersonated, for some requests only.
	Constrained bool
	// Role is what was gained; nil for everything.
	Role *finding.Ref
	// Namespace is where it holds; empty for the whole cluster.
	Namespace string
}

func (p Party) String() string {
	switch {
	case p.Constrained:
		return p.Subject.String() + ", constrained"
	case p.Subject != nil:
		return p.Subject.String()
	case p.Role == nil && p.Namespace == "":
		return "cluster admin"
	case p.Role == nil:
		return "admin of namespace " + p.Namespace
	case p.Namespace == "":
		return p.Role.Kind + " " + p.Role.Name
	}
	return p.Role.Kind + " " + p.Role.Name + " in namespace " + p.Namespace
}

// Step is one step of a chain.
type Step struct {
	*Primitive
	// Needs are all requests that the step makes.
	Needs []Needed
	To    Party
}

// Escalation is how a subject becomes somebody else.
type Escalation struct {
	From Subject
	// Steps is empty for a subject that is cluster admin by itself.
	Steps []Step
	// Admin is by what the last of the chain may do everything; nil where that is by no
	// grant, but by the last step.
	Admin *Grant
	// Meant says that the subject is powerful in every cluster.
	Meant bool
}

// Last is who acts at the end of the chain.
func (e Escalation) Last() Party {
	if len(e.Steps) == 0 {
		return Party{Subject: &e.From}
	}
	return e.Steps[len(e.Steps)-1].To
}

// ToAdmin reports whether the chain ends at cluster admin.
func (e Escalation) ToAdmin() bool { return e.Admin != nil || e.Last() == Party{} }

func (g *graph) party(n *node) Party {
	switch n.kind {
	case subjectNode, assumedNode:
		s := n.subject()
		return Party{Subject: &s, Constrained: n.kind == assumedNode}
	case gainedNode:
		p := Party{Namespace: n.namespace}
		if n.name != "" {
			p.Role = g.index.roles[roleKey{n.roleIn, n.name}].ref
		}
		return p
	}
	return Party{}
}

// toAdmin returns the steps from a node that reaches adminNode, and by what the last
// of them is admin.
func (g *graph) toAdmin(n *node) (steps []Step, admin *Grant) {
	for n.kind != adminNode && n.admin == nil {
		var e *edge
		n.allSteps(func(next *edge) bool {
			if next.to.distance == n.distance-1 {
				e = next
			}
			return e == nil
		})
		to, at := e.to, e.at
		for to.choices != nil {
			i := slices.IndexFunc(to.choices, func(c place) bool { return g.nodes[c.to].distance == to.distance })
			at = to.choices[i]
			to = g.nodes[at.to]
		}
		steps = append(steps, g.step(e, to, at))
		n = to
	}
	if n.admin != nil {
		admin = n.admin.grantOf()
	}
	return steps, admin
}

// step says what an edge needs once it is known whom it leads to: the namespace and
// the name of the object that it is about.
func (g *graph) step(e *edge, to *node, at place) Step {
	s := Step{Primitive: e.primitive, To: g.party(to)}
	for i, h := range e.needs {
		r := *h.request
		r.Name = h.name
		if r.Namespace = h.namespace; !e.primitive.cluster {
			r.Namespace = cmp.Or(r.Namespace, at.namespace)
		}
		if i == 0 && e.primitive.aboutTarget {
			r.Name = at.name
		}
		s.Needs = append(s.Needs, h.needed(r, false))
		if h.also != nil {
			r.Verb = h.also.request.Verb
			s.Needs = append(s.Needs, h.also.needed(r, true))
		}
	}
	return s
}

func (h *held) needed(r Request, impersonator bool) Needed {
	n := Needed{Request: r, Grant: h.grantOf(), Impersonator: impersonator}
	if h.by == nil && h.role != nil {
		n.Given = h.role.ref
	}
	return n
}

// grantOf is the grant of what is held, nil where an earlier step has given it.
func (h *held) grantOf() *Grant {
	if h.holding == nil {
		return &mastersGrant
	}
	if h.by == nil {
		return nil
	}
	g := h.rule.grant(h.by, []Subject{h.as})
	return &g
}

var mastersGrant = Grant{Subjects: []Subject{{Kind: "Group", Name: mastersGroup}}}
