package rbac

import (
	"cmp"
	"slices"
	"strings"
)

// SubjectChange is what a subject may do in one of two worlds and not in the other, by
// bindings that name it. What the members of a group gain by it is the group's.
type SubjectChange struct {
	Subject      Subject
	Gained, Lost []Change
}

// Diff compares who may do what in two worlds: not roles and bindings, but the
// requests that they allow. Those that a subject may make anyway, by a group that
// every cluster puts it into, are neither gained nor lost. Subjects are in order.
func Diff(before, after *Access) []SubjectChange {
	keys := map[string]int{}
	old, now := newHolder(before, keys), newHolder(after, keys)
	subjects := slices.Concat(before.Subjects(), after.Subjects())
	slices.SortFunc(subjects, compareSubjects)
	var out []SubjectChange
	for _, s := range slices.Compact(subjects) {
		if s.Name == mastersGroup && s.Kind == "Group" {
			continue // nothing takes from it or adds to it
		}
		c := SubjectChange{s, now.beyond(old, s), old.beyond(now, s)}
		if len(c.Gained)+len(c.Lost) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// holder knows what the subjects of a world hold, in the form in which it is compared.
type holder struct {
	access *Access
	roles  map[*role]*roleAreas
	held   map[Subject]*holdings
	// keys number the rules and the roles that are alike in both worlds.
	keys map[string]int
}

// roleAreas are the rules of a role, with the requests that they allow. Equal keys
// are equal rules.
type roleAreas struct {
	key   int
	rules []ruleAreas
}

type ruleAreas struct {
	key   int
	rule  *heldRule
	areas []area
}

// holdings are what a subject holds by bindings that name it.
type holdings struct {
	// has tells roles and rules by their key, and where they hold.
	has map[heldKey]bool
	// everywhere and in are the areas by where they hold; nil until they are asked for.
	everywhere []*area
	in         map[string][]*area
}

type heldKey struct {
	namespace string
	key       int
}

func newHolder(a *Access, keys map[string]int) *holder {
	return &holder{a, map[*role]*roleAreas{}, map[Subject]*holdings{}, keys}
}

func (h *holder) number(text string) int {
	key, known := h.keys[text]
	if !known {
		key = len(h.keys)
		h.keys[text] = key
	}
	return key
}

func (h *holder) role(r *role) *roleAreas {
	if known := h.roles[r]; known != nil {
		return known
	}
	out := &roleAreas{}
	var keys []string
	for _, from := range h.access.index.written(r) {
		for i := range from.stored {
			rule := &from.stored[i]
			text := canonicalRule(rule)
			keys = append(keys, text)
			out.rules = append(out.rules, ruleAreas{h.number(text), &heldRule{rule, r, from, i}, areasOf(rule)})
		}
	}
	slices.Sort(keys)
	out.key = h.number("role\x02" + strings.Join(slices.Compact(keys), "\x02"))
	h.roles[r] = out
	return out
}

// bindings visits those that name a subject.
func (h *holder) bindings(s Subject, visit func(*binding, *roleAreas)) {
	to := h.access.bySubject[s]
	if to == nil {
		return
	}
	for _, b := range to.everywhere {
		visit(b, h.role(h.access.index.roles[b.role]))
	}
	for _, bindings := range to.in {
		for _, b := range bindings {
			visit(b, h.role(h.access.index.roles[b.role]))
		}
	}
}

func (h *holder) of(s Subject) *holdings {
	if known := h.held[s]; known != nil {
		return known
	}
	out := &holdings{has: map[heldKey]bool{}}
	h.bindings(s, func(b *binding, r *roleAreas) {
		out.has[heldKey{b.namespace, r.key}] = true
		for _, rule := range r.rules {
			out.has[heldKey{b.namespace, rule.key}] = true
		}
	})
	h.held[s] = out
	return out
}

// areasOf sorts what a subject holds by where it holds.
func (h *holder) areasOf(s Subject) *holdings {
	out := h.of(s)
	if out.in != nil {
		return out
	}
	out.in = map[string][]*area{}
	seen := map[heldKey]bool{}
	h.bindings(s, func(b *binding, r *roleAreas) {
		for _, rule := range r.rules {
			key := heldKey{b.namespace, rule.key}
			if seen[key] {
				continue
			}
			seen[key] = true
			for _, a := range rule.areas {
				if a, ok := a.within(b.namespace); !ok {
					continue
				} else if b.namespace == "" {
					out.everywhere = append(out.everywhere, &a)
				} else {
					out.in[b.namespace] = append(out.in[b.namespace], &a)
				}
			}
		}
	})
	return out
}

// beyond lists what a subject may do here by bindings that name it, and not there by
// whatever it has.
func (h *holder) beyond(there *holder, s Subject) []Change {
	if h.access.bySubject[s] == nil {
		return nil
	}
	var has []*holdings
	var as []Subject
	for _, s := range IdentityOf(s).subjects() {
		if there.access.bySubject[s] != nil {
			has, as = append(has, there.of(s)), append(as, s)
		}
	}
	held := func(namespace string, key int) bool {
		return slices.ContainsFunc(has, func(x *holdings) bool {
			return x.has[heldKey{"", key}] || x.has[heldKey{namespace, key}]
		})
	}
	var out []Change
	h.bindings(s, func(b *binding, r *roleAreas) {
		if held(b.namespace, r.key) {
			return
		}
		for _, rule := range r.rules {
			if held(b.namespace, rule.key) {
				continue
			}
			for _, s := range as {
				there.areasOf(s)
			}
			for _, a := range rule.areas {
				if a, ok := a.within(b.namespace); ok {
					out = append(out, changes(a, overlapping(&a, b.namespace, has), rule.rule.grant(b, []Subject{s}))...)
				}
			}
		}
	})
	return merge(out)
}

// overlapping are the areas that something of an area in a namespace is in.
func overlapping(a *area, namespace string, has []*holdings) []*area {
	var out []*area
	add := func(all []*area) {
		for _, b := range all {
			if a.overlaps(b) {
				out = append(out, b)
			}
		}
	}
	for _, x := range has {
		add(x.everywhere)
		if namespace != "" {
			add(x.in[namespace])
			continue
		}
		for _, in := range x.in {
			add(in)
		}
	}
	return out
}

// maxShown is how many pieces of one area are told one by one.
const maxShown = 2

// changes are what is left of an area without what was there: piece by piece, or the
// whole of it with what was there, whichever is shorter.
func changes(a area, was []*area, by Grant) []Change {
	pieces, whole := a.left(was)
	if whole || len(pieces) > maxShown {
		return []Change{{area: a, had: was, Grants: []Grant{by}}}
	}
	out := make([]Change, 0, len(pieces))
	for _, p := range pieces {
		out = append(out, Change{area: p, Grants: []Grant{by}})
	}
	return out
}

// maxMerged bounds how many changes of one subject are compared with each other.
const maxMerged = 1000

// merge joins changes that are the same by several grants, and leaves out those that
// another one covers.
func merge(all []Change) []Change {
	byKey := map[string]int{}
	var out []Change
	for _, c := range all {
		key := c.key()
		if i, ok := byKey[key]; ok {
			out[i].Grants = append(out[i].Grants, c.Grants...)
			continue
		}
		byKey[key] = len(out)
		out = append(out, c)
	}
	if all := out; len(all) <= maxMerged {
		// Of two that cover each other both would go; they would have the same key.
		out = slices.DeleteFunc(slices.Clone(all), func(c Change) bool {
			return slices.ContainsFunc(all, func(by Change) bool { return by.covers(&c) && !c.covers(&by) })
		})
	}
	for i := range out {
		slices.SortStableFunc(out[i].Grants, func(a, b Grant) int {
			return cmp.Or(cmp.Compare(a.Binding.Namespace, b.Binding.Namespace), cmp.Compare(a.Binding.Name, b.Binding.Name), cmp.Compare(a.Rule, b.Rule))
		})
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Or(cmp.Compare(a.Where(), b.Where()), cmp.Compare(a.key(), b.key())) })
	return out
}
