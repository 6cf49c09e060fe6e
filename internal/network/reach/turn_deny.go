package reach

import (
	"fmt"
	"maps"
	"slices"

	"bulkhead.dev/bulkhead/internal/model"
)

// firstPriority is that of a new policy of the Admin tier that no other has to precede.
const firstPriority = 100

// closings are changes that may stop the traffic in one direction.
func (t *turner) closings(d Direction) (out [][]Edit) {
	subject, peer := t.sides(d)
	if subject.Pod == nil || subject.Pod.HostNetwork {
		return nil
	}
	of := t.about(d, subject.Pod)
	single := func(edits []Edit) {
		for _, e := range edits {
			out = append(out, []Edit{e})
		}
	}
	for _, tier := range [][]*TierPolicy{of.admin, of.baseline} {
		single(t.precede(d, tier, Deny))
		single(t.withoutRules(d, tier, Accept))
		single(t.withoutRules(d, tier, Pass))
	}
	if len(of.policies) == 0 {
		single(t.isolating(d))
	} else {
		out = append(out, t.withoutAllowing(d, of.policies)...)
	}
	// A tier is proposed to who has some: elsewhere its kinds may not be installed.
	if len(t.Admin)+len(t.Baseline) > 0 {
		if rule := tierRuleContent(clusterPolicyKind.Kind, d, Deny, peer, t.ports); rule != nil {
			kind, priority := clusterPolicyKind.Kind, int32(firstPriority)
			for _, p := range t.Admin {
				if p.Object != nil {
					kind = p.Object.Kind
				}
			}
			rule = tierRuleContent(kind, d, Deny, peer, t.ports)
			free := true
			for _, p := range of.admin {
				if len(t.touching(p.Rules[d], "", peer, t.to, t.ports)) > 0 {
					priority, free = freePriority(t.Admin, p.Priority)
					break
				}
			}
			name := t.freeName("", "deny", nameOfSide(subject), d.peersField(), nameOfSide(peer))
			if e, ok := created(tierContent(kind, name, false, priority, subject.Pod, d, rule), d, fmt.Sprintf("add %s %s (Deny)", kind, name)); ok && free {
				out = append(out, []Edit{e})
			}
		}
	}
	return out
}

// isolating are new policies for a pod that none is about: one that keeps all other ports,
// and one that keeps nothing.
func (t *turner) isolating(d Direction) (out []Edit) {
	subject, _ := t.sides(d)
	name := t.freeName(subject.Pod.Namespace, "isolate", nameOfSide(subject), d.String())
	if others := AllPorts.Minus(t.ports); !others.Empty() {
		of := policyContent(name, subject.Pod, d, []any{ruleContent(d, nil, others)})
		if e, ok := created(of, d, fmt.Sprintf("add NetworkPolicy %s/%s, which allows all other ports", subject.Pod.Namespace, name)); ok {
			out = append(out, e)
		}
	}
	of := policyContent(name, subject.Pod, d, []any{})
	if e, ok := created(of, d, fmt.Sprintf("add NetworkPolicy %s/%s, which allows nothing", subject.Pod.Namespace, name)); ok {
		out = append(out, e)
	}
	return out
}

// withoutAllowing take out of policies what allows the traffic: each rule as a whole, or
// of each as little as it takes.
func (t *turner) withoutAllowing(d Direction, policies []*Policy) (out [][]Edit) {
	_, peer := t.sides(d)
	var whole, part []Edit
	for _, p := range policies {
		for _, r := range t.touching(p.Rules[d], p.Namespace, peer, t.to, t.ports) {
			if p.Object == nil {
				return nil
			}
			at := model.Path{}.Keys("spec", d.String()).Append(model.Index(r.Index))
			name := fmt.Sprintf("rule %d of NetworkPolicy %s/%s", r.Index+1, p.Namespace, p.Name)
			e := Edit{Operation: Remove, Object: p.Object, Path: at, direction: d, Text: "remove " + name}
			whole = append(whole, e)
			if value, text := t.narrowed(d, p, r, at); value != nil {
				e = Edit{Operation: Replace, Object: p.Object, Path: at, Value: value, direction: d, Text: text + " " + name}
			}
			part = append(part, e)
		}
	}
	if len(whole) == 0 {
		return nil
	}
	out = append(out, whole)
	if slices.ContainsFunc(part, func(e Edit) bool { return e.Operation == Replace }) {
		out = append(out, part)
	}
	return out
}

// narrowed is a rule without the peers that are the one asked about, with an exception for
// its address, or without the ports; nil where that would leave nothing.
func (t *turner) narrowed(d Direction, p *Policy, r *Rule, at model.Path) (content, string) {
	_, peer := t.sides(d)
	found, _ := at.Lookup(p.Object.Content)
	written, _ := found.(map[string]any)
	if written == nil {
		return nil, ""
	}
	if peer.Pod == nil {
		if out := t.excepted(d, p, r, written); out != nil {
			return out, fmt.Sprintf("except %s from", peer.Address)
		}
	}
	var others []any
	list, _ := written[d.peersField()].([]any)
	for i, item := range list {
		if !slices.ContainsFunc(r.Peers, func(q Peer) bool { return q.Index == i && t.matchesPeer(p.Namespace, &Rule{Peers: []Peer{q}}, peer) }) {
			others = append(others, item)
		}
	}
	if len(others) > 0 && len(others) < len(list) {
		out := maps.Clone(written)
		out[d.peersField()] = others
		return out, "take the peer out of"
	}
	if left := r.portsTo(t.to.Pod).Minus(t.ports); !left.Empty() && !slices.ContainsFunc(r.Ports, func(p PortRule) bool { return p.Name != "" }) {
		out := maps.Clone(written)
		out["ports"] = portContents(left)
		return out, fmt.Sprintf("take %s out of", t.ports)
	}
	return nil, ""
}

// excepted is a rule whose blocks leave an address out; nil where other items are about it.
func (t *turner) excepted(d Direction, p *Policy, r *Rule, written content) content {
	_, peer := t.sides(d)
	address := peer.Address.Unmap().WithZone("")
	list, _ := written[d.peersField()].([]any)
	list = slices.Clone(list)
	for _, q := range r.Peers {
		if !t.matchesPeer(p.Namespace, &Rule{Peers: []Peer{q}}, peer) {
			continue
		}
		if !q.Block.IsValid() || q.Block.IsSingleIP() || q.Index >= len(list) {
			return nil
		}
		item, _ := list[q.Index].(map[string]any)
		block, _ := item["ipBlock"].(map[string]any)
		block = maps.Clone(block)
		except, _ := block["except"].([]any)
		single, err := address.Prefix(address.BitLen())
		if err != nil {
			return nil
		}
		block["except"] = append(slices.Clone(except), single.String())
		list[q.Index] = content{"ipBlock": block}
	}
	if len(list) == 0 {
		return nil // it is about everybody
	}
	out := maps.Clone(written)
	out[d.peersField()] = list
	return out
}
