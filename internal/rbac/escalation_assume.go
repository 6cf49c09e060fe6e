package rbac

import (
	"fmt"
	"slices"
	"strings"
)

// assumeSince is the first minor version of Kubernetes 1 that has constrained
// impersonation without being asked to: KEP 5284.
const assumeSince = 36

// assumed is somebody whom another one impersonates, constrained to some requests.
type assumed struct {
	who  Identity
	mode string
	by   *node
	// gained are roles that may be bound to who is impersonated.
	gained []*holding
}

// maxAssumed bounds how many pairs of who impersonates whom are looked at.
const maxAssumed = 20_000

// assume impersonates, constrained: what is done in the other's name must be allowed to
// the other, and as impersonate-on:MODE:VERB to oneself. The API server refuses
// system:masters.
func assume(s *seeker) {
	if s.has&(1<<assumeUsers|1<<assumeAccounts) == 0 || s.from.kind == assumedNode {
		return
	}
	var users []place
	if s.anyOrNamed(assumeUsers) != nil {
		users = s.graph.users.all
	}
	for _, p := range users {
		if !strings.HasPrefix(p.name, "system:node:") {
			s.assumeOne("user-info", p, s.find(assumeUsers, p.name))
		}
	}
	if name := s.anyOrNamed(assumeUsers); name != nil {
		for _, p := range s.graph.commonGroups.all {
			s.assumeOne("user-info", p, s.find(assumeGroups, p.name), name)
		}
	}
	if s.anyOrNamed(assumeAccounts) != nil {
		s.assumeAccounts(s.graph.anyAccounts.all)
		return
	}
	for _, ns := range s.powers.allNamespaces() {
		s.assumeAccounts(s.graph.anyAccounts.in[ns])
	}
}

func (s *seeker) assumeAccounts(of []place) {
	for _, p := range of {
		s.assumeOne("serviceaccount", p, view{s.powers, p.namespace}.find(assumeAccounts, p.name))
	}
}

// assumeOne notes the step to one subject, if there is anything to gain.
func (s *seeker) assumeOne(mode string, p place, needs ...*held) {
	if slices.Contains(needs, nil) {
		return
	}
	if len(s.graph.assumed) >= maxAssumed {
		s.graph.cut = true
		return
	}
	who := IdentityOf(p.to.subject())
	key, a := p.to, &assumed{who: who, mode: mode, by: s.from}
	key.kind, key.by = assumedNode, fmt.Sprint(s.from.nodeKey)
	if j := s.from.joined; j != nil {
		a.gained = slices.Clip(j.gained)
		key.by += fmt.Sprint(j.held[0].node.nodeKey, len(j.gained))
	}
	if s.graph.powersOf(who).has == 0 && len(a.gained) == 0 || p.to == s.from.nodeKey {
		return
	}
	if s.graph.assumed[key] == nil {
		s.graph.assumed[key] = a
	}
	s.step(key, p, needs...)
}

// notAssumed are abilities that constrained impersonation does not pass on: it cannot be
// nested, and who may do everything as another may still do no more than he may
// impersonate on.
var notAssumed = []ability{everything, impersonateUsers, impersonateGroups, impersonateAccounts, assumeUsers, assumeGroups, assumeAccounts}

// virtual are verbs that are asked about the other alone: no request is made by them.
var virtual = map[string]bool{"bind": true, "escalate": true, "approve": true}

// restrict returns what of the powers of who is impersonated may be used.
func (g *graph) restrict(a *assumed) *powers {
	out := &powers{}
	add := func(h *holding) {
		scopes := []string{h.namespace}
		if h.namespace == "" {
			scopes = append(scopes, a.by.powers.allNamespaces()...)
		}
		for _, scope := range scopes {
			r := &roleAbilities{role: h.role, granted: map[ability]*ways{}}
			for of := range g.abilities {
				if h.has&(1<<of) != 0 && !slices.Contains(notAssumed, ability(of)) {
					for i := range g.abilities[of] {
						g.restrictRequest(r, ability(of), &g.abilities[of][i], a, h, scope)
					}
				}
			}
			if r.has != 0 {
				out.add(&holding{r, h.by, h.as, scope, h})
			}
		}
	}
	g.powersOf(a.who).all(add)
	for _, h := range a.gained {
		add(h)
	}
	return out
}

// restrictRequest adds how a request may be made in a namespace by a role of who is
// impersonated.
func (g *graph) restrictRequest(r *roleAbilities, of ability, request *Request, a *assumed, h *holding, scope string) {
	given := waysOf(g.rulesOf(h.role), request)
	if given == nil {
		return
	}
	if virtual[request.Verb] {
		given.each(func(name string, w *way) { r.addNamed(of, name, w) })
		return
	}
	on := *request
	on.Verb = "impersonate-on:" + a.mode + ":" + request.Verb
	view{a.by.powers, scope}.holdings(func(own *holding) bool {
		if own.namespace == "" && scope != "" && h.namespace == "" {
			return true // that is in the scope of the whole cluster
		}
		allowed := waysOf(g.rulesOf(own.role), &on)
		if allowed == nil {
			return true
		}
		given.each(func(name string, w *way) {
			allowed.each(func(also string, v *way) {
				narrower := name
				switch {
				case name == anyName:
					narrower = also
				case also != anyName && also != name:
					return
				}
				r.addNamed(of, narrower, &way{w.request, w.rule, &held{v, own, ""}})
			})
		})
		return true
	})
}

// anyName stands for all names: no object can have it.
const anyName = "\x00"

// each visits the ways, with the names that they are limited to, in order.
func (w *ways) each(visit func(name string, w *way)) {
	if w.all != nil {
		visit(anyName, w.all)
	}
	for _, name := range sortedNames(w.named) {
		visit(name, w.named[name])
	}
}

// waysOf says how rules allow a request; nil where they do not.
func waysOf(rules *roleRules, request *Request) *ways {
	r := &roleAbilities{granted: map[ability]*ways{}}
	r.read(0, request, rules)
	return r.granted[0]
}
