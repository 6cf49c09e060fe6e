package rbac

import (
	"cmp"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

// nodeKind is what a node of the graph stands for.
type nodeKind int

const (
	// adminNode is whoever may do everything.
	adminNode nodeKind = iota
	// subjectNode is a subject.
	subjectNode
	// gainedNode is a role that a step has given, everything where it has no name.
	gainedNode
	// gainedSomewhereNode is the same in a namespace of one's choice.
	gainedSomewhereNode
	// assumedNode is a subject whom by impersonates, constrained.
	assumedNode
	// someNode is whoever some object of a list leads to, in a namespace or anywhere.
	someNode
)

// nodeKey tells nodes apart.
type nodeKey struct {
	kind            nodeKind
	list            int
	subjectKind     string
	namespace, name string
	// roleIn is the namespace of a role that was gained.
	roleIn string
	// by tells apart who impersonates.
	by string
}

func (k nodeKey) compare(o nodeKey) int {
	return cmp.Or(cmp.Compare(k.kind, o.kind), cmp.Compare(k.list, o.list), cmp.Compare(k.subjectKind, o.subjectKind),
		cmp.Compare(k.namespace, o.namespace), cmp.Compare(k.name, o.name), cmp.Compare(k.roleIn, o.roleIn), cmp.Compare(k.by, o.by))
}

var adminKey = nodeKey{kind: adminNode}

func subjectKey(s Subject) nodeKey {
	return nodeKey{kind: subjectNode, subjectKind: s.Kind, namespace: s.Namespace, name: s.Name}
}

func (k nodeKey) subject() Subject { return Subject{k.subjectKind, k.namespace, k.name} }

// gainedKey is the node of a role that holds in a namespace, or in the whole cluster;
// without a role it is everything.
func gainedKey(namespace string, r *role) nodeKey {
	full := r == nil || r.full && r.namespace == "" && slices.ContainsFunc(r.stored, allowsEverything)
	switch {
	case full && namespace == "":
		return adminKey
	case full:
		return nodeKey{kind: gainedNode, namespace: namespace}
	}
	return nodeKey{kind: gainedNode, namespace: namespace, name: r.name, roleIn: r.namespace}
}

// gainedIn is the same where an empty namespace is any that one chooses.
func (g *graph) gainedIn(namespace string, r *role) nodeKey {
	key := gainedKey(cmp.Or(namespace, "any"), r)
	if namespace == "" {
		key.kind, key.namespace = gainedSomewhereNode, ""
	}
	return key
}

func allowsEverything(r rbacv1.PolicyRule) bool {
	return len(r.ResourceNames) == 0 && slices.Contains(r.Verbs, rbacv1.VerbAll) && slices.Contains(r.APIGroups, rbacv1.APIGroupAll) && slices.Contains(r.Resources, rbacv1.ResourceAll)
}

// node is somebody, or whoever one may choose among some.
type node struct {
	nodeKey
	powers *powers
	// own are the roles that are one's own, and rewritten for oneself.
	own   *powers
	steps []edge
	// groups take steps that are this one's, too.
	groups  []*node
	choices []place
	// admin is why the node may do everything, by itself.
	admin *held
	// unknown says why some choices may be missing.
	unknown string
	// joined is what a chain holds beside, where the node is one of its identities.
	joined *joined
	// distance is the number of steps to adminNode; unreachable without any.
	distance int
}

const unreachable = 1 << 30

// edge is a step of one node.
type edge struct {
	primitive *Primitive
	to        *node
	at        place
	needs     []*held
	// of is the role that the step rewrites: whoever is bound to it gains by it.
	of *holding
}

// graph is who can become whom in a world, in one version.
type graph struct {
	index      *index
	abilities  *[abilities][]Request
	primitives []*Primitive
	// joined are those of them that several take together.
	joined []*Primitive
	bound  map[Subject][]*binding
	// clusterBindings and bindings are those that one may be added to; under the empty
	// namespace all of the latter.
	clusterBindings []*binding
	bindings        map[string][]*binding
	namespaces      map[string]bool
	rules           map[*role]*roleRules
	good            map[*role]*roleAbilities
	holdings        map[Subject]*powers
	lists           []*places
	changed         map[model.GroupKind]*places
	nodes           map[nodeKey]*node
	assumed         map[nodeKey]*assumed
	// cut says that there is more than can be followed.
	cut   bool
	queue []*node
	// joins counts how often somebody was looked at together with others.
	joins int

	users, groups, commonGroups   *places
	accounts, anyAccounts, tokens *places
	// turned are the accounts of namespaces that have a token which may be turned over.
	turned, turnedToAny      *places
	running, namespacedRoles *places
}

func newGraph(a *Access, version int) *graph {
	g := &graph{index: a.index, abilities: newAbilities(version), bound: map[Subject][]*binding{}, bindings: map[string][]*binding{}, namespaces: map[string]bool{},
		rules: map[*role]*roleRules{}, good: map[*role]*roleAbilities{}, holdings: map[Subject]*powers{}, changed: map[model.GroupKind]*places{}, nodes: map[nodeKey]*node{}, assumed: map[nodeKey]*assumed{}}
	for _, p := range primitives() {
		if p.since > version {
			continue
		}
		g.primitives = append(g.primitives, p)
		if p.joins {
			g.joined = append(g.joined, p)
		}
	}
	for r, rules := range a.rules {
		g.rules[r] = rules
	}
	g.readBindings(a)
	g.findPlaces()
	g.node(adminKey)
	g.node(subjectKey(Subject{Kind: rbacv1.GroupKind, Name: mastersGroup}))
	for s := range g.bound {
		g.node(subjectKey(s))
	}
	for _, at := range g.anyAccounts.all {
		g.node(at.to)
	}
	g.expand()
	return g
}

// readBindings lists who is bound. In files, what every cluster binds is added.
func (g *graph) readBindings(a *Access) {
	there := map[roleKey]bool{}
	for _, b := range g.index.bindings {
		there[roleKey{b.namespace, b.ref.Name}] = true
		r := g.index.roles[b.role]
		if b.problem == "" && a.rules[r] != nil {
			g.addBinding(b)
		}
	}
	if !g.index.world.Live {
		for _, b := range defaultBindings(g.index) {
			if !there[roleKey{b.namespace, b.ref.Name}] && g.index.roles[b.role] != nil {
				g.addBinding(b)
			}
		}
	}
	for _, ns := range g.index.world.Namespaces() {
		g.namespaces[ns] = true
	}
	byName := func(a, b *binding) int { return cmp.Compare(a.ref.Name, b.ref.Name) }
	slices.SortStableFunc(g.clusterBindings, byName)
	for _, in := range g.bindings {
		slices.SortStableFunc(in, byName)
	}
}

func (g *graph) addBinding(b *binding) {
	if r := g.index.roles[b.role]; g.rules[r] == nil {
		g.rules[r] = newRoleRules(g.index, r)
	}
	for i, s := range b.subjects {
		if !slices.Contains(b.subjects[:i], s) {
			g.bound[s] = append(g.bound[s], b)
		}
		if ns, whole := s.wholeNamespace(); whole {
			g.namespaces[ns] = true
		} else if s.Namespace != "" {
			g.namespaces[s.Namespace] = true
		}
	}
	if b.namespace == "" {
		g.clusterBindings = append(g.clusterBindings, b)
		return
	}
	g.namespaces[b.namespace] = true
	g.bindings[b.namespace] = append(g.bindings[b.namespace], b)
	g.bindings[""] = append(g.bindings[""], b)
}

// role returns a role that there is.
func (g *graph) role(key roleKey) *role {
	r := g.index.roles[key]
	if r != nil && r.object == nil && g.index.world.Live && g.index.world.Unobserved(clusterRoleKind, "") == "" && key != (roleKey{"", clusterAdmin}) {
		return nil
	}
	return r
}

// abilitiesOf says what a role is good for; nil is a role that allows everything.
func (g *graph) abilitiesOf(r *role) *roleAbilities {
	known := g.good[r]
	if known == nil {
		known = newRoleAbilities(r, g.rulesOf(r), g.abilities)
		g.good[r] = known
	}
	return known
}

func (g *graph) rulesOf(r *role) *roleRules {
	if r == nil {
		return everyRule
	}
	if g.rules[r] == nil {
		g.rules[r] = newRoleRules(g.index, r)
	}
	return g.rules[r]
}

// everyRule is what whoever may do everything in a namespace has.
var everyRule = &roleRules{byResource: map[string][]*heldRule{rbacv1.ResourceAll: {{PolicyRule: &rbacv1.PolicyRule{
	Verbs: []string{rbacv1.VerbAll}, APIGroups: []string{rbacv1.APIGroupAll}, Resources: []string{rbacv1.ResourceAll}}}}}}

// boundPowers are what the bindings of a subject give, and of nobody else.
func (g *graph) boundPowers(s Subject) *powers {
	known := g.holdings[s]
	if known == nil {
		known = &powers{}
		for _, b := range g.bound[s] {
			known.add(&holding{g.abilitiesOf(g.index.roles[b.role]), b, s, b.namespace, nil})
		}
		g.holdings[s] = known
	}
	return known
}

// powersOf are what the API server lets an identity do: by its name, and by its groups.
func (g *graph) powersOf(who Identity) *powers {
	subjects := who.subjects()
	out := *g.boundPowers(subjects[0])
	for _, s := range subjects[1:] {
		if own := g.boundPowers(s); own.has != 0 || len(g.bound[s]) > 0 {
			out.inherited = append(out.inherited, own)
			out.has |= own.has
		}
	}
	return &out
}

// node returns the node of a key, and has it looked at if it is new.
func (g *graph) node(key nodeKey) *node {
	n := g.nodes[key]
	if n == nil {
		n = &node{nodeKey: key, distance: unreachable}
		g.nodes[key] = n
		g.queue = append(g.queue, n)
	}
	return n
}

// maxNodes bounds the graph: each role that may be bound wherever one likes is a node in
// every namespace.
const maxNodes = 500_000

// expand looks at all nodes that are new, and at those that they lead to.
func (g *graph) expand() {
	for len(g.queue) > 0 {
		if len(g.nodes) > maxNodes {
			g.cut, g.queue = true, nil
			return
		}
		n := g.queue[0]
		g.queue = g.queue[1:]
		switch n.kind {
		case subjectNode:
			g.expandIdentity(n, IdentityOf(n.subject()))
		case gainedNode:
			var r *role
			if n.name != "" {
				r = g.index.roles[roleKey{n.roleIn, n.name}]
			}
			n.powers = &powers{}
			n.powers.add(&holding{g.abilitiesOf(r), nil, Subject{}, n.namespace, nil})
			n.own = n.powers
			g.findSteps(n)
		case assumedNode:
			a := g.assumed[n.nodeKey]
			n.powers, n.own = g.restrict(a), a.by.own
			g.findSteps(n)
		case gainedSomewhereNode:
			for ns := range g.namespaces {
				to := n.nodeKey
				to.kind, to.namespace = gainedNode, ns
				n.choices = append(n.choices, place{ns, "", to})
			}
			slices.SortFunc(n.choices, func(a, b place) int { return cmp.Compare(a.namespace, b.namespace) })
		case someNode:
			list := g.lists[n.list]
			n.choices = list.within(n.namespace)
			if list.unobserved != nil {
				n.unknown = list.unobserved(n.namespace)
			}
		}
		for _, c := range n.choices {
			g.node(c.to)
		}
	}
}

// expandIdentity finds what somebody may do, and the steps that follow.
func (g *graph) expandIdentity(n *node, who Identity) {
	n.powers = g.powersOf(who)
	n.own = n.powers
	if slices.Contains(who.Groups, mastersGroup) {
		n.admin = &held{}
		return
	}
	if n.admin = (view{n.powers, ""}).find(everything, ""); n.admin != nil {
		return
	}
	for _, s := range who.subjects()[1:] {
		if len(g.bound[s]) > 0 {
			n.groups = append(n.groups, g.node(subjectKey(s)))
		}
	}
	if len(n.powers.everywhere) > 0 || len(n.powers.in) > 0 {
		g.findSteps(n)
	}
}

// allSteps visits the steps that a node may take, those of its groups last, until visit
// returns false.
func (n *node) allSteps(visit func(*edge) bool) {
	for i := range n.steps {
		if !visit(&n.steps[i]) {
			return
		}
	}
	for _, group := range n.groups {
		for i := range group.steps {
			if !visit(&group.steps[i]) {
				return
			}
		}
	}
}

// findSteps notes every step that a node may take by itself.
func (g *graph) findSteps(n *node) { n.steps = g.stepsOf(n, n.powers, g.primitives) }

// stepsOf are those of some kinds that a node may take; what of a step others may do as
// well, all together may do.
func (g *graph) stepsOf(n *node, together *powers, kinds []*Primitive) (out []edge) {
	if n.powers.has == 0 {
		return nil
	}
	seen := map[*Primitive]map[nodeKey]bool{}
	look := func(p *Primitive, namespace string) {
		if n.joined != nil && p.toAccounts && n.joined.holdsAll(namespace) {
			return
		}
		s := &seeker{view: view{n.powers, namespace}, together: together, graph: g, primitive: p, from: n}
		s.emit = func(to nodeKey, at place, needs []*held) {
			// What holds everywhere was found before any namespace was looked at.
			if namespace != "" && !p.own && !slices.ContainsFunc(needs, func(h *held) bool { return h.namespace != "" }) {
				return
			}
			if seen[p] == nil {
				seen[p] = map[nodeKey]bool{}
			}
			if !seen[p][to] && to != n.nodeKey {
				seen[p][to] = true
				out = append(out, edge{p, g.node(to), at, needs, s.of})
			}
		}
		p.find(s)
	}
	own, shared := n.namespaces()
	for _, p := range kinds {
		look(p, "")
		if p.cluster {
			continue
		}
		for _, ns := range own {
			look(p, ns)
		}
		if p.mixes || n.powers.wide&(1<<createAccounts) != 0 {
			for _, ns := range shared {
				look(p, ns)
			}
		}
	}
	return out
}

// namespaces are those in which a node has roles of its own, and the others, in which
// only groups have: there its rights of the whole cluster matter together with theirs.
func (n *node) namespaces() (own, shared []string) {
	if n.joined != nil {
		return n.joined.namespaces(n.powers), nil
	}
	seen := map[string]bool{}
	for _, p := range []*powers{n.powers, n.own} {
		for ns := range p.in {
			seen[ns] = true
		}
	}
	own = slices.Sorted(maps.Keys(seen))
	if n.powers.wide&mixable != 0 {
		shared = append(n.powers.allNamespaces(), n.own.allNamespaces()...)
		slices.Sort(shared)
		shared = slices.DeleteFunc(slices.Compact(shared), func(ns string) bool { return seen[ns] })
	}
	return own, shared
}
