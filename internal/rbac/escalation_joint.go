package rbac

import (
	"maps"
	"slices"
)

// joined is what one holds who starts as a subject: everybody whom it became, and the
// roles that it gained. It follows first the steps that one identity takes, and then
// those that several take together: one makes a Secret that another reads, and a role
// that is gained may be bound to any of them.
type joined struct {
	graph *graph
	held  []*acquired
	known map[nodeKey]bool
	// gained are the roles that were gained, which may be bound to anybody held.
	gained []*holding
	// together is what any of them may do beside who takes a step, and owned are the roles
	// that they are bound to: each once.
	together, owned *powers
	covered         map[covering]bool
	// whole are namespaces whose accounts are all held, as far as is known.
	whole map[string]bool
	// counted is of how many that is known.
	counted int
	// providers are who has a role, the first of them.
	providers map[*holding]*acquired
	// unknown says why somebody may be missing.
	unknown map[string]bool
}

// acquired is somebody held, and the step that led there.
type acquired struct {
	node *node
	edge *edge
	at   place
	// by has taken the step, and others have made some of its requests.
	by     *acquired
	others []*acquired
	order  int
	steps  int
}

// covering is what is in together already: an ability in a namespace, or of objects of one
// name there; or a role in owned.
type covering struct {
	ability         ability
	namespace, name string
	role            *role
}

// maxJoins bounds how often somebody is looked at together with others, in all chains.
const maxJoins = 1_000_000

// join follows all steps from some nodes until somebody may do everything, or to the end
// where toEnd is true.
func (g *graph) join(toEnd bool, starts ...*node) *joined {
	j := &joined{graph: g, known: map[nodeKey]bool{}, together: &powers{}, owned: &powers{}, covered: map[covering]bool{}, providers: map[*holding]*acquired{}, unknown: map[string]bool{}}
	for _, n := range starts {
		j.known[n.nodeKey], j.known[subjectKey(n.subject())] = true, true
		j.hold(&acquired{node: n})
	}
	for looked := 0; ; {
		for ; looked < len(j.held); looked++ {
			j.follow(j.held[looked])
		}
		if !toEnd && j.admin() != nil || !j.joinSteps() {
			return j
		}
	}
}

// admin is the first who may do everything.
func (j *joined) admin() *acquired {
	i := slices.IndexFunc(j.held, func(a *acquired) bool { return a.isAdmin() })
	if i < 0 {
		return nil
	}
	return j.held[i]
}

func (a *acquired) isAdmin() bool { return a.node.kind == adminNode || a.node.admin != nil }

func (j *joined) hold(a *acquired) {
	a.order = len(j.held)
	j.held = append(j.held, a)
}

// follow takes the steps that one takes by itself.
func (j *joined) follow(a *acquired) {
	if a.isAdmin() {
		return // who may do everything needs no more steps
	}
	j.graph.expand()
	a.node.allSteps(func(e *edge) bool {
		j.take(a, a.node, e)
		return true
	})
}

// take holds everybody whom a step leads to.
func (j *joined) take(a *acquired, actor *node, e *edge) {
	if e.to.unknown != "" {
		j.unknown[e.to.unknown] = true
	}
	var others []*acquired
	if actor != a.node || a.node.kind == assumedNode {
		others = j.makers(a, e)
	}
	j.graph.choose(e, e.to, e.at, func(to *node, at place) {
		if !j.known[to.nodeKey] {
			j.known[to.nodeKey] = true
			j.hold(&acquired{node: to, edge: e, at: at, by: a, others: others, steps: a.steps + 1})
		}
	}, j.known)
}

// joinSteps takes the steps that those who are held take together, and says whether
// somebody new is held.
func (j *joined) joinSteps() bool {
	if !j.gather() {
		return false
	}
	before := len(j.held)
	for _, a := range j.held[:before] {
		if a.isAdmin() || a.node.powers == nil {
			continue
		}
		gained := j.useful(a)
		if len(gained) == 0 && !j.joins(a) {
			continue
		}
		if j.graph.joins++; j.graph.joins > maxJoins {
			j.graph.cut = true
			break
		}
		actor, kinds := j.actor(a, gained), j.graph.joined
		if len(gained) > 0 {
			kinds = j.graph.primitives
		}
		for _, e := range j.graph.stepsOf(actor, j.together, kinds) {
			j.graph.expand()
			j.take(a, actor, &e)
		}
	}
	return len(j.held) > before
}

// bits are those of abilities.
func bits(of ...ability) (out uint64) {
	for _, a := range of {
		out |= 1 << a
	}
	return out
}

// partners are abilities that do more together: of what one has by itself and what
// another has.
var partners = [][2]uint64{
	{bits(createSecrets, changeSecrets), bits(seeSecrets)},
	{bits(requestTokens, createWorkloads, createSecrets, changeSecrets), bits(createAccounts)},
	{bits(approveSigners), bits(createCSRs, readCSRs)},
	{bits(createPolicies, changePolicies), bits(writePolicyBindings)},
}

// takes are abilities of who takes a step that needs another's.
var takes = func() (out uint64) {
	for _, p := range partners {
		out |= p[0]
	}
	return out
}()

// boundTogether are those that do more when one identity has both: one's own, and one of a role
// that was gained.
var boundTogether = [][2]uint64{
	{bits(bindClusterRoles, bindRoles), bits(createClusterRoleBindings, changeClusterRoleBindings, createRoleBindings, changeRoleBindings)},
	{bits(escalateClusterRoles, escalateRoles), bits(createClusterRoles, changeClusterRoles, changeRoles)},
	{bits(impersonateGroups), bits(impersonateUsers, impersonateAccounts)},
	{bits(approveSigners), bits(updateApprovals)},
	{bits(createSecrets), bits(applySecrets)},
}

// joins reports whether somebody who is held could take a step together with others.
func (j *joined) joins(a *acquired) bool {
	own, all := a.node.powers.has, j.together.has
	for _, p := range partners {
		if own&p[0] != 0 && all&p[1] != 0 {
			return true
		}
	}
	// A role that another is bound to may be rewritten.
	return own&bits(escalateClusterRoles) != 0 && own&bits(createClusterRoles, changeClusterRoles) != 0 || own&bits(escalateRoles) != 0 && own&bits(changeRoles) != 0
}

// holdsAll reports whether all service accounts of a namespace are held, those too that
// are still to be made if somebody may make them.
func (j *joined) holdsAll(namespace string) bool {
	if !j.whole[namespace] && j.known[j.graph.accounts.key(namespace)] &&
		(j.known[j.graph.anyAccounts.key(namespace)] || !j.makesAccounts(namespace) && !j.makesAccounts("")) {
		j.whole[namespace] = true
	}
	return j.whole[namespace]
}

func (j *joined) makesAccounts(namespace string) bool {
	return j.covered[covering{ability: createAccounts, namespace: namespace, name: anyName}] || j.covered[covering{ability: createAccounts, namespace: namespace}]
}

// namespaces are those in which somebody could take a step with others: where it has
// roles, and where others have them if its own hold everywhere.
func (j *joined) namespaces(of *powers) []string {
	out := slices.Collect(maps.Keys(of.in))
	if of.wide&takes != 0 {
		out = append(out, j.together.allNamespaces()...)
	}
	if of.wide&bits(escalateRoles) != 0 {
		out = append(out, j.owned.allNamespaces()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// useful are the roles that were gained by which somebody could take a step that neither
// allows alone.
func (j *joined) useful(a *acquired) (out []*holding) {
	if a.node.kind != subjectNode {
		return nil // a role that was gained is no identity, and what is assumed is limited
	}
	own := a.node.powers.has
	for _, h := range j.gained {
		if j.combine(own, h) && j.combine(a.node.powers.hasIn(h.namespace), h) {
			out = append(out, h)
		}
	}
	return out
}

// combine reports whether abilities and a role do more for one identity than each.
func (j *joined) combine(own uint64, h *holding) bool {
	if h.role == nil && h.namespace != "" {
		// There it may do everything already: all that is left is to lend a name to a group.
		return own&bits(impersonateGroups) != 0
	}
	for _, p := range boundTogether {
		if own&p[0] != 0 && h.has&p[1] != 0 || own&p[1] != 0 && h.has&p[0] != 0 {
			return true
		}
	}
	// Constrained impersonation needs both to be allowed, by verbs that are no abilities.
	return (own|h.has)&bits(assumeUsers, assumeGroups, assumeAccounts) != 0
}

// hasIn are the abilities in a namespace.
func (p *powers) hasIn(namespace string) (out uint64) {
	view{p, namespace}.holdings(func(h *holding) bool {
		out |= h.has
		return true
	})
	return out
}

// gather adds what those held since the last time may do, and says whether there is
// anything to join.
func (j *joined) gather() bool {
	if j.counted == len(j.held) {
		return false
	}
	for _, a := range j.held[j.counted:] {
		if a.isAdmin() || a.node.powers == nil {
			continue
		}
		a.node.powers.all(func(h *holding) {
			if j.providers[h] != nil {
				return
			}
			j.providers[h] = a
			j.share(h)
			if a.node.kind == gainedNode {
				j.gained = append(j.gained, h)
			}
		})
	}
	j.counted, j.whole = len(j.held), map[string]bool{}
	return j.counted > 1
}

// share adds what a role lets others do.
func (j *joined) share(h *holding) {
	if role := (covering{namespace: h.namespace, role: h.role}); !j.covered[role] {
		j.covered[role] = true
		j.owned.add(h)
	}
	more := false
	for _, a := range shared {
		w := h.granted[a]
		if w == nil || a != createAccounts && j.covered[covering{ability: a, name: anyName}] || j.covered[covering{ability: a, namespace: h.namespace, name: anyName}] {
			continue
		}
		w.each(func(name string, _ *way) {
			if key := (covering{ability: a, namespace: h.namespace, name: name}); !j.covered[key] {
				j.covered[key], more = true, true
			}
		})
	}
	if more {
		j.together.add(h)
	}
}

// shared are abilities that another than who takes a step may have.
var shared = []ability{seeSecrets, createAccounts, createCSRs, readCSRs, writePolicyBindings}

// actor is somebody who is held, with roles that were gained bound to it.
func (j *joined) actor(a *acquired, gained []*holding) *node {
	n := &node{nodeKey: a.node.nodeKey, powers: &powers{}, own: j.owned, joined: j}
	a.node.powers.all(n.powers.add)
	for _, h := range gained {
		n.powers.add(h)
	}
	return n
}

// makers are those who made requests of a step, but for who took it.
func (j *joined) makers(a *acquired, e *edge) (out []*acquired) {
	var add func(h *holding)
	add = func(h *holding) {
		if h == nil {
			return
		}
		add(h.whole)
		if a.node.powers.includes(h) {
			return
		}
		if other := j.providers[h]; other != nil && !slices.Contains(out, other) {
			out = append(out, other)
		}
	}
	for _, h := range e.needs {
		add(h.holding)
		if h.also != nil {
			add(h.also.holding)
		}
	}
	add(e.of)
	return out
}

// joinAll follows the steps that identities take together, of everybody who does not
// become cluster admin without.
func (g *graph) joinAll(into map[*node][]arc) map[*node]*acquired {
	out := map[*node]*acquired{}
	reach := g.abilitiesReached(into)
	var starts []*node
	for _, n := range g.nodes {
		if n.kind == subjectNode && n.distance == unreachable && len(n.steps)+len(n.groups) > 0 && joinable(n, reach) {
			starts = append(starts, n)
		}
	}
	slices.SortFunc(starts, func(a, b *node) int { return a.compare(b.nodeKey) })
	g.joinSome(starts, out)
	return out
}

// joinSome looks at many at once: where all of them together do not become cluster admin,
// none of them does; where they do, at each half.
func (g *graph) joinSome(starts []*node, out map[*node]*acquired) {
	if len(starts) == 0 {
		return
	}
	last := g.join(false, starts...).admin()
	switch {
	case last == nil:
	case len(starts) == 1:
		out[starts[0]] = last
	default:
		half := len(starts) / 2
		g.joinSome(starts[:half], out)
		g.joinSome(starts[half:], out)
	}
}

// gainsRole stands beside abilities for that a role may be gained.
const gainsRole = 1 << 63

// abilitiesReached says of each node that does not reach adminNode what it, and whoever
// it leads to, may do.
func (g *graph) abilitiesReached(into map[*node][]arc) map[*node]uint64 {
	out := map[*node]uint64{}
	var queue []*node
	for _, n := range g.nodes {
		if n.distance != unreachable {
			continue
		}
		if n.powers != nil {
			out[n] = n.powers.has
		}
		if n.kind == gainedNode {
			out[n] |= gainsRole
		}
		if out[n] != 0 {
			queue = append(queue, n)
		}
	}
	for len(queue) > 0 {
		n := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, a := range into[n] {
			if more := out[a.from] | out[n]; more != out[a.from] {
				out[a.from] = more
				queue = append(queue, a.from)
			}
		}
	}
	return out
}

// joinable reports whether those whom a node leads to could do together what none of
// them does alone.
func joinable(n *node, reach map[*node]uint64) bool {
	var others uint64
	n.allSteps(func(e *edge) bool {
		others |= reach[e.to]
		return true
	})
	if others == 0 {
		return false
	}
	all := others | reach[n]
	if all&gainsRole != 0 {
		return true
	}
	for _, p := range partners {
		if all&p[0] != 0 && all&p[1] != 0 {
			return true
		}
	}
	return all&bits(escalateClusterRoles) != 0 && all&bits(createClusterRoles, changeClusterRoles) != 0 || all&bits(escalateRoles) != 0 && all&bits(changeRoles) != 0
}

// speaksFor reports whether a chain takes a right of the subject's own, and not only
// those of a group.
func (a *acquired) speaksFor(s Subject) bool {
	return slices.ContainsFunc(a.chain(), func(a *acquired) bool {
		return slices.ContainsFunc(a.edge.needs, func(h *held) bool { return h.holding != nil && h.as == s })
	})
}
