package rbac

import (
	"fmt"
	"maps"
	bitmath "math/bits"
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
	// gainedIn counts what they are good for in each namespace, under the empty one in the
	// whole cluster, and under anyName anywhere.
	gainedIn map[string]*abilityCount
	// full are the namespaces in which everything was gained.
	full map[string]bool
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
	// only are those who may be held, everybody where it is nil; beyond are the others that
	// a step leads to.
	only   map[nodeKey]bool
	beyond []*acquired
	// first are who is impersonated, constrained: with more roles that were gained they are
	// looked at again. made are the nodes for it.
	first map[nodeKey]*acquired
	made  []nodeKey
	// alone is how many were held before several took a step together, and spent counts the steps that were looked at.
	alone, spent int
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
	// who is the node, or, where somebody is impersonated, the same for all roles that were
	// gained; again is the first with it.
	who   nodeKey
	again *acquired
	// atLeast is what no chain to it has less steps than; 0 where its own is a shortest.
	atLeast int
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

// assumedJoins is for how many of these somebody counts who is impersonated, constrained, and
// joinCost for how many steps that were looked at.
const assumedJoins, joinCost = 50, 50

// join follows all steps from some nodes until somebody may do everything, or to the end
// where toEnd is true.
func (g *graph) join(toEnd bool, starts ...*node) *joined {
	j := g.newJoined(starts...)
	j.run(func() bool { return !toEnd && j.admin() != nil })
	g.joins += assumedJoins * len(j.made)
	return j
}

func (g *graph) newJoined(starts ...*node) *joined {
	j := &joined{graph: g, known: map[nodeKey]bool{}, gainedIn: map[string]*abilityCount{}, full: map[string]bool{}, together: &powers{}, owned: &powers{}, covered: map[covering]bool{}, providers: map[*holding]*acquired{}, unknown: map[string]bool{}, first: map[nodeKey]*acquired{}}
	for _, n := range starts {
		j.known[n.nodeKey], j.known[subjectKey(n.subject())] = true, true
		j.hold(&acquired{node: n, who: n.nodeKey})
	}
	return j
}

// run follows all steps, those that one takes alone before those of several, until it is
// done or nobody new is held.
func (j *joined) run(done func() bool) {
	defer j.forget()
	for looked := 0; ; {
		for ; looked < len(j.held); looked++ {
			j.follow(j.held[looked])
		}
		if j.alone == 0 {
			j.alone = looked
		}
		if done() || !j.joinSteps() {
			return
		}
	}
}

// forget takes the nodes out of the graph that are of use here only: another who holds as
// many roles does not hold the same ones.
func (j *joined) forget() {
	if len(j.made) == 0 {
		return
	}
	j.graph.expand()
	for _, key := range j.made {
		delete(j.graph.assumed, key)
		delete(j.graph.nodes, key)
	}
}

// admin is the first who may do everything.
func (j *joined) admin() *acquired {
	i := slices.IndexFunc(j.held, (*acquired).isAdmin)
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
	j.spent++
	j.graph.choose(e.to, e.at, func(to *node, at place) {
		j.spent++
		if j.known[to.nodeKey] {
			return
		}
		j.known[to.nodeKey] = true
		next := &acquired{node: to, edge: e, at: at, by: a, others: others, who: to.nodeKey}
		if to.kind == assumedNode {
			next.who.by = fmt.Sprint(j.graph.assumed[to.nodeKey].by.nodeKey)
			if next.again = j.first[next.who]; next.again == nil {
				j.first[next.who] = next
			}
		}
		if j.only != nil && !j.only[next.who] {
			j.beyond = append(j.beyond, next)
			return
		}
		j.hold(next)
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
		if j.only == nil {
			j.graph.joins++
		}
		if j.graph.joins > maxJoins {
			j.graph.cut = true
			break
		}
		j.spent += joinCost
		actor, kinds := j.actor(a, gained), j.graph.joined
		if len(gained) > 0 {
			kinds = j.graph.primitives
		}
		for _, e := range j.graph.stepsOf(actor, j.together, kinds) {
			if e.to.kind == assumedNode {
				j.made = append(j.made, e.to.nodeKey)
			}
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
// allows alone. What such roles do with each other, whoever was there first may do.
func (j *joined) useful(a *acquired) (out []*holding) {
	if a.node.kind != subjectNode {
		return nil // a role that was gained is no identity, and what is assumed is limited
	}
	own, found := a.node.powers.has, a.order == 0
	wide := a.node.powers.hasOnlyIn("")
	for _, h := range j.gained {
		if h.role != nil && j.full[h.namespace] {
			continue // whoever may do everything there needs it for nothing
		}
		meets := own
		if h.namespace != "" {
			meets = wide | a.node.powers.hasOnlyIn(h.namespace)
		}
		if j.combine(meets, h) {
			found = true
			out = append(out, h)
		} else if j.combine(j.meets(h), h) {
			out = append(out, h)
		}
	}
	if !found {
		return nil
	}
	return out
}

// abilityCount counts the roles that have each ability.
type abilityCount [64]int

func (c *abilityCount) add(has uint64) {
	for ; has != 0; has &= has - 1 {
		c[bitmath.TrailingZeros64(has)]++
	}
}

// others are the abilities of all but for one of them.
func (c *abilityCount) others(has uint64) (out uint64) {
	if c == nil {
		return 0
	}
	for i, n := range c {
		if n > int(has>>i&1) {
			out |= 1 << i
		}
	}
	return out
}

// meets are the abilities of the other roles that were gained where a role holds.
func (j *joined) meets(h *holding) uint64 {
	if h.namespace == "" {
		return j.gainedIn[anyName].others(h.meeting())
	}
	return j.gainedIn[""].others(0) | j.gainedIn[h.namespace].others(h.meeting())
}

// meeting are the abilities of a role that was gained which others may add to.
func (h *holding) meeting() uint64 {
	if h.role == nil && h.namespace != "" {
		return bits(impersonateAccounts)
	}
	return h.has
}

// gain adds a role to those that may be bound to anybody.
func (j *joined) gain(h *holding) {
	j.gained = append(j.gained, h)
	for _, in := range []string{h.namespace, anyName} {
		if j.gainedIn[in] == nil {
			j.gainedIn[in] = &abilityCount{}
		}
		j.gainedIn[in].add(h.meeting())
	}
	if h.role == nil {
		j.full[h.namespace] = true
	}
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

// hasOnlyIn are the abilities of roles that hold in a namespace only, or only everywhere
// where that is empty.
func (p *powers) hasOnlyIn(namespace string) (out uint64) {
	p.within(namespace, func(h *holding) bool {
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
			j.spent++
			if j.providers[h] != nil {
				return
			}
			j.providers[h] = a
			j.share(h)
			if a.node.kind == gainedNode {
				j.gain(h)
			}
		})
	}
	j.counted, j.whole = len(j.held), map[string]bool{}
	return j.counted > 1
}

// share adds what a role lets others do.
func (j *joined) share(h *holding) {
	// Who impersonates, constrained, gains little by a role of the other that is rewritten.
	if role := (covering{namespace: h.namespace, role: h.role}); h.whole == nil && !j.covered[role] {
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
