package rbac

import (
	"cmp"
	"maps"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
)

// arc is a step to a node, or a choice that takes none.
type arc struct {
	from *node
	step int
}

// arcs lists what leads to each node.
func (g *graph) arcs() map[*node][]arc {
	into := map[*node][]arc{}
	for _, n := range g.nodes {
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
	return into
}

// measure counts the steps from every node to adminNode, by a breadth-first search
// from there. To choose among what one step leads to takes no step.
func (g *graph) measure(into map[*node][]arc) {
	var now, next []*node
	reach := func(n *node, distance int) {
		if distance < n.distance {
			n.distance = distance
			now = append(now, n)
		}
	}
	for _, n := range g.nodes {
		n.distance = unreachable
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
	// By is who takes the step.
	By Party
	// Needs are all requests that the step makes.
	Needs []Needed
	To    Party
	// For is who gains by the step, where that is another than who takes it.
	For *Party
}

// Escalation is how a subject becomes somebody else.
type Escalation struct {
	From Subject
	// Steps is empty for a subject that is cluster admin by itself.
	Steps []Step
	// Admin is by what the last of the chain may do everything; nil where that is by no
	// grant, but by the last step.
	Admin *Grant
	// AtLeast is what no chain has fewer steps than: the number of Steps where this is a
	// shortest, which is not always found.
	AtLeast int
	// Meant says that the subject is powerful in every cluster.
	Meant bool
}

// Shortest reports whether no chain has fewer steps.
func (e Escalation) Shortest() bool { return e.AtLeast >= len(e.Steps) }

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

// toAdmin returns who is reached at the end of a shortest chain of steps, each by one
// identity, from a node that reaches adminNode.
func (g *graph) toAdmin(n *node) *acquired {
	last := &acquired{node: n}
	for !last.isAdmin() {
		var e *edge
		last.node.allSteps(func(next *edge) bool {
			if next.to.distance == last.node.distance-1 {
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
		last = &acquired{node: to, edge: e, at: at, by: last, order: last.order + 1}
	}
	return last
}

// chain lists who was held on the way to somebody, in order, and no one else.
func (a *acquired) chain() []*acquired {
	seen := map[*acquired]bool{}
	var visit func(*acquired)
	visit = func(a *acquired) {
		if a.by == nil || seen[a] {
			return
		}
		if a.again != nil {
			visit(a.again)
			return
		}
		seen[a] = true
		visit(a.by)
		for _, o := range a.others {
			visit(o)
		}
	}
	visit(a)
	return slices.SortedFunc(maps.Keys(seen), func(a, b *acquired) int { return a.order - b.order })
}

// steps are those of the chain that ends at somebody.
func (g *graph) steps(last *acquired) (out []Step) {
	chain := last.chain()
	for _, a := range chain {
		s := Step{Primitive: a.edge.primitive, By: g.party(a.by.node), To: g.party(a.node)}
		if of := a.edge.of; of != nil {
			if m := a.makerOf(of, a.by); m != a.by {
				p := g.party(m.node)
				s.For = &p
			}
		}
		for i, h := range a.edge.needs {
			r := g.requestOf(a, h)
			if i == 0 && s.aboutTarget {
				r.Name = a.at.name
			}
			s.Needs = append(s.Needs, g.needed(a, a.by, chain, h, r))
			if h.also != nil {
				r.Verb = h.also.request.Verb
				also := g.needed(a, a.by.by, chain, h.also, r)
				also.Impersonator = true
				s.Needs = append(s.Needs, also)
			}
		}
		out = append(out, s)
	}
	return out
}

// requestOf is the request of a step once it is known whom it leads to: with the
// namespace and the name of the object that it is about.
func (g *graph) requestOf(a *acquired, h *held) Request {
	r := *h.request
	r.Name = h.name
	if r.Namespace = h.namespace; !a.edge.primitive.cluster {
		r.Namespace = cmp.Or(r.Namespace, a.at.namespace)
	}
	return r
}

// needed says by what a request of a step is allowed, which is who's or another's.
func (g *graph) needed(a, who *acquired, chain []*acquired, h *held, r Request) Needed {
	n := Needed{Request: r, Grant: h.grantOf()}
	maker := a.makerOf(h.holding, who)
	switch {
	case h.holding == nil:
	case h.by == nil:
		n.Before = slices.Index(chain, maker) + 1
		if h.role != nil {
			n.Given = h.role.ref
		}
	case maker != who:
		p := g.party(maker.node)
		n.As = &p
	}
	return n
}

// makerOf is who has what a request of the step needs.
func (a *acquired) makerOf(h *holding, who *acquired) *acquired {
	for _, o := range a.others {
		if o.node.powers.includes(h) || h.whole != nil && o.node.powers.includes(h.whole) {
			return o
		}
	}
	return who
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
