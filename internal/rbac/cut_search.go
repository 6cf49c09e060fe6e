package rbac

import (
	"context"
	"fmt"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
)

// constraint is a chain of which something has to go.
type constraint struct {
	uses []use
	// without are changes that had been made when the chain was found: they do not end it.
	without map[int]bool
	// elements are all other changes that touch it.
	elements []int
	of       map[Subject]bool
	// certain says that every cut has to end the chain.
	certain bool
}

// number is that of the change that ends a use; -1 where it is not to be made.
func (c *cutter) number(u use) int {
	key := changeKey{object: u.object, subject: u.subject}
	if u.ofBinding() {
		if b := c.bindingOf[u.object]; b == nil || !c.mayRemove(b, u.subject) {
			return -1
		}
	} else {
		if r := c.roleOf[u.object]; r == nil || !c.mayNarrow(r) {
			return -1
		}
		key = taking(u, c.ruleOf(u.object, u.rule))
	}
	id, known := c.byKey[key]
	if known {
		return id
	}
	ch := &change{changeKey: key, cells: u.cells}
	if !c.unpriced {
		ch.weight = c.priceOf(ch)
	}
	id = len(c.changes)
	c.changes, c.weights, c.byKey[key] = append(c.changes, ch), append(c.weights, ch.weight), id
	if !u.ofBinding() {
		at := ruleKey{u.object, u.rule}
		c.byRule[at] = append(c.byRule[at], id)
		for _, k := range c.usedBy[at] {
			k.touchedBy(c, id)
		}
	}
	return id
}

// touchedBy adds a change to a chain that it may end.
func (k *constraint) touchedBy(c *cutter, id int) {
	ch := c.changes[id]
	if k.without[id] || slices.Contains(k.elements, id) {
		return
	}
	if slices.ContainsFunc(k.uses, func(u use) bool { return u.object == ch.object && ch.touches(u, c.ruleFor(u)) }) {
		k.elements = append(k.elements, id)
	}
}

// constrain notes that one of the changes that touch a chain has to be made, beside
// those that have been; it reports false where there is none.
func (c *cutter) constrain(t *trial, x Escalation) (*constraint, bool) {
	k := &constraint{uses: t.usesOf(x), without: t.made, of: map[Subject]bool{x.From: true}, certain: !c.mayBeMeant(x.From)}
	for _, u := range k.uses {
		id := c.number(u)
		if id >= 0 {
			k.touchedBy(c, id)
		}
		if !u.ofBinding() {
			for _, other := range c.byRule[ruleKey{u.object, u.rule}] {
				k.touchedBy(c, other)
			}
		}
	}
	if len(k.elements) == 0 {
		return k, false
	}
	slices.Sort(k.elements)
	key := fmt.Sprint(k.elements)
	if known := c.known[key]; known != nil {
		known.of[x.From] = true
		known.certain = known.certain || k.certain
		return known, true
	}
	c.known[key] = k
	c.constraints = append(c.constraints, k)
	for _, u := range k.uses {
		if !u.ofBinding() {
			at := ruleKey{u.object, u.rule}
			c.usedBy[at] = append(c.usedBy[at], k)
		}
	}
	return k, true
}

// look makes changes, and notes the chains that are left.
func (c *cutter) look(made []int) ([]*constraint, error) {
	t, err := c.try(made)
	if err != nil {
		return nil, err
	}
	left, err := c.offenders(t)
	if err != nil {
		return nil, err
	}
	var found []*constraint
	for _, x := range left {
		k, ok := c.constrain(t, x)
		if !ok {
			c.lost[x.From] = x
			continue
		}
		found = append(found, k)
		t.alternatives(x, func(other Escalation) {
			if k, ok := c.constrain(t, other); ok {
				found = append(found, k)
			}
		})
	}
	return found, nil
}

// mayBeMeant reports whether the subject could turn out to be meant by other changes: its
// first step would have to be by what every cluster grants it, which is there when all
// else is taken away.
func (c *cutter) mayBeMeant(s Subject) bool {
	if !s.system() {
		return false
	}
	for _, to := range c.access.index.defaults.granted {
		if to[s] {
			becomes, _ := c.barest.From(s, nil)
			return len(becomes) > 0
		}
	}
	return false
}

// complete adds changes until nobody is left, each time those that cut most for their
// price.
func (c *cutter) complete(ctx context.Context, made []int) ([]int, error) {
	for ctx.Err() == nil {
		found, err := c.look(made)
		if err != nil || len(found) == 0 {
			return made, err
		}
		made = slices.Concat(made, c.cheaply(found))
	}
	return nil, ctx.Err()
}

func (c *cutter) cheaply(of []*constraint) []int {
	b := &branching{hitting: &hitting{weights: c.weights}, in: map[int][]int{}}
	for i, k := range of {
		b.sets = append(b.sets, k.elements)
		for _, e := range k.elements {
			b.in[e] = append(b.in[e], i)
		}
	}
	return b.greedy().chosen
}

// maxChoices bounds the search for the cheapest choice of one round.
const maxChoices = 200_000

// search returns a cut, and what none can be cheaper than.
func (c *cutter) search(ctx context.Context) (best []int, bound int64, err error) {
	best, err = c.complete(ctx, nil)
	for err == nil {
		found := c.cheapest(ctx, c.constraints)
		bound = max(bound, found.bound)
		if bound >= c.weigh(best) || c.late() {
			break
		}
		before := len(c.constraints)
		var made []int
		if made, err = c.complete(ctx, found.chosen); err == nil && c.weigh(made) < c.weigh(best) {
			best = made
		}
		if len(c.constraints) == before {
			break // what was chosen is a cut
		}
	}
	// The cheapest choice may have ended chains that no cut has to.
	certain := slices.DeleteFunc(slices.Clone(c.constraints), func(k *constraint) bool { return !k.certain })
	if err == nil && len(certain) < len(c.constraints) {
		bound = c.cheapest(ctx, certain).bound
	}
	return best, bound, err
}

func (c *cutter) cheapest(ctx context.Context, of []*constraint) hitSet {
	h := &hitting{weights: c.weights, nodes: maxChoices, ended: func() bool { return ctx.Err() != nil || c.late() }}
	for _, k := range of {
		h.sets = append(h.sets, k.elements)
	}
	return h.solve()
}

func (c *cutter) weigh(made []int) (total int64) {
	for _, id := range made {
		total += c.weights[id]
	}
	return total
}

func (c *cutter) late() bool { return !c.until.IsZero() && time.Now().After(c.until) }

// ruleFor is the rule of a use; nil for one of a binding.
func (c *cutter) ruleFor(u use) *rbacv1.PolicyRule {
	if u.ofBinding() {
		return nil
	}
	return c.ruleOf(u.object, u.rule)
}
