package reach

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"bulkhead.dev/bulkhead/internal/model"
)

// sides are who is asked in one direction, and about whom.
func (t *turner) sides(d Direction) (subject, peer Side) {
	if d == Egress {
		return t.from, t.to
	}
	return t.to, t.from
}

// openings are changes that may let the traffic through in one direction.
func (t *turner) openings(d Direction) (out []Edit) {
	subject, peer := t.sides(d)
	if t.direction(d, subject, peer, t.to).has(t.ports) {
		return nil
	}
	of := t.about(d, subject.Pod)
	accepted, rest := t.tier(d, of.admin, AllPorts, peer, t.to)
	if !accepted.Union(rest).has(t.ports) {
		return append(t.precede(d, of.admin, Accept, Pass), t.withoutRules(d, of.admin, Deny)...)
	}
	if len(of.policies) == 0 {
		out = append(t.precede(d, of.baseline, Accept), t.withoutRules(d, of.baseline, Deny)...)
		return append(out, t.newPolicy(d)...)
	}
	for _, p := range of.policies {
		if p.Object == nil || len(out) > maxCandidates {
			continue
		}
		for _, peers := range peerContents(p.Namespace, peer) {
			at := model.Path{}.Keys("spec", d.String()).Append(model.Index(len(p.Object.List("spec", d.String()))))
			e := Edit{Operation: Add, Object: p.Object, Path: at, Value: ruleContent(d, peers, t.ports), direction: d,
				Text: fmt.Sprintf("add a rule for %s to NetworkPolicy %s/%s%s", d, p.Namespace, p.Name, widely(peers))}
			if _, isList := p.Object.Get("spec", d.String()).([]any); !isList {
				e.Path, e.Value = model.Path{}.Keys("spec", d.String()), []any{e.Value}
			}
			out = append(out, e)
		}
		out = append(out, t.widened(d, p)...)
	}
	return append(out, t.newPolicy(d)...)
}

// widely says that a rule without peers is for everybody.
func widely(peers []any) string {
	if peers == nil {
		return ", for all peers"
	}
	return ""
}

// widened are rules that are about the peer but not the ports, or the other way around,
// with what they lack.
func (t *turner) widened(d Direction, p *Policy) (out []Edit) {
	_, peer := t.sides(d)
	for _, r := range p.Rules[d] {
		if len(out) > maxCandidates {
			break
		}
		at := model.Path{}.Keys("spec", d.String()).Append(model.Index(r.Index))
		name := fmt.Sprintf("rule %d of NetworkPolicy %s/%s", r.Index+1, p.Namespace, p.Name)
		add := func(field string, count int, values []any, text string) {
			if len(values) != 1 || count == 0 {
				return // an empty list is everything
			}
			out = append(out, Edit{Operation: Add, Object: p.Object, Path: at.Keys(field).Append(model.Index(count)), Value: values[0], direction: d, Text: text})
		}
		missing := t.ports.Minus(r.portsTo(t.to.Pod))
		switch isPeer := t.matchesPeer(p.Namespace, r, peer); {
		case isPeer && !missing.Empty():
			add("ports", len(r.Ports), portContents(missing), fmt.Sprintf("add %s to %s", missing, name))
		case !isPeer && missing.Empty():
			for _, peers := range peerContents(p.Namespace, peer) {
				add(d.peersField(), len(r.Peers), peers, fmt.Sprintf("add a peer to %s", name))
			}
			out = append(out, t.unexcepted(d, p, r, at, name)...)
		}
	}
	return out
}

// unexcepted are blocks of a rule without the exception that an address is in.
func (t *turner) unexcepted(d Direction, p *Policy, r *Rule, at model.Path, name string) (out []Edit) {
	_, peer := t.sides(d)
	for _, item := range r.Peers {
		var in []int
		for i, e := range item.Except {
			if slices.ContainsFunc(addressesOfSide(peer), e.Contains) {
				in = append(in, i)
			}
		}
		if len(in) == 1 {
			out = append(out, Edit{Operation: Remove, Object: p.Object, Path: at.Keys(d.peersField()).Append(model.Index(item.Index)).Keys("ipBlock", "except").Append(model.Index(in[0])), direction: d,
				Text: fmt.Sprintf("take the exception %s out of %s", item.Except[in[0]], name)})
		}
	}
	return out
}

// newPolicy allows the traffic beside what other policies allow.
func (t *turner) newPolicy(d Direction) (out []Edit) {
	subject, peer := t.sides(d)
	verb := [...]string{"from", "to"}[d]
	name := t.freeName(subject.Pod.Namespace, "allow", nameOfSide(subject), verb, nameOfSide(peer))
	for _, peers := range peerContents(subject.Pod.Namespace, peer) {
		of := policyContent(name, subject.Pod, d, []any{ruleContent(d, peers, t.ports)})
		if e, ok := created(of, d, fmt.Sprintf("add NetworkPolicy %s/%s%s", subject.Pod.Namespace, name, widely(peers))); ok {
			out = append(out, e)
		}
	}
	return out
}

// precede puts a rule before the first of a tier that decides otherwise: into the same
// policy, or into a new one that is asked earlier.
func (t *turner) precede(d Direction, tier []*TierPolicy, actions ...Action) (out []Edit) {
	subject, peer := t.sides(d)
	for _, p := range tier {
		if p.Object == nil {
			continue
		}
		deciding := t.touching(p.Rules[d], "", peer, t.to, t.ports)
		wrong := Deny
		if !t.allow {
			wrong = Accept
		}
		i := slices.IndexFunc(deciding, func(r *Rule) bool { return r.Action == wrong || !t.allow && r.Action == Pass })
		if i < 0 {
			continue
		}
		for _, action := range actions {
			rule := tierRuleContent(p.Object.Kind, d, action, peer, t.ports)
			if rule == nil || action == Pass && p.Object.Kind == baselinePolicyKind.Kind {
				continue
			}
			out = append(out, Edit{Operation: Add, Object: p.Object, Path: model.Path{}.Keys("spec", d.String()).Append(model.Index(deciding[i].Index)), Value: rule, direction: d,
				Text: fmt.Sprintf("put a rule (%s) before rule %d of %s %s", rule["action"], deciding[i].Index+1, p.Object.Kind, p.Name)})
			baseline := slices.ContainsFunc(t.Baseline, func(b *TierPolicy) bool { return b == p })
			if priority, free := freePriority(tier, p.Priority); free && p.Object.Kind != baselinePolicyKind.Kind {
				name := t.freeName("", strings.ToLower(action.String()), nameOfSide(subject), d.peersField(), nameOfSide(peer))
				of := tierContent(p.Object.Kind, name, baseline, priority, subject.Pod, d, rule)
				if e, ok := created(of, d, fmt.Sprintf("add %s %s (%s), which is asked before %s", p.Object.Kind, name, rule["action"], p.Name)); ok {
					out = append(out, e)
				}
			}
		}
		return out
	}
	return out
}

// freePriority is one below another that no policy has: of two policies with the same
// priority it is not defined which one is asked first.
func freePriority(tier []*TierPolicy, below int32) (int32, bool) {
	for n := below - 1; n >= 0; n-- {
		if !slices.ContainsFunc(tier, func(p *TierPolicy) bool { return p.Priority == n }) {
			return n, true
		}
	}
	return 0, false
}

// withoutRules are policies of a tier without a rule that decides.
func (t *turner) withoutRules(d Direction, tier []*TierPolicy, action Action) (out []Edit) {
	_, peer := t.sides(d)
	for _, p := range tier {
		for _, r := range t.touching(p.Rules[d], "", peer, t.to, t.ports) {
			if r.Action == action && p.Object != nil {
				out = append(out, Edit{Operation: Remove, Object: p.Object, Path: model.Path{}.Keys("spec", d.String()).Append(model.Index(r.Index)), direction: d,
					Text: "remove " + RuleRef{Tier: p, Rule: r}.String()})
			}
		}
	}
	return out
}

// labelEdits give one end a label that it lacks and that some policy asks for.
func (t *turner) labelEdits() (out []Edit) {
	for _, s := range []Side{t.from, t.to} {
		if s.Pod == nil || s.Pod.Object == nil || s == t.to && t.from.Pod != nil && t.from.Pod.String() == s.Pod.String() {
			continue
		}
		var pods []*Pod
		for _, p := range t.Pods {
			if p.Namespace == s.Pod.Namespace && p.Kind == s.Pod.Kind && p.Name == s.Pod.Name {
				pods = append(pods, p)
			}
		}
		if len(pods) == 0 {
			continue // it is not there yet: name it with the label
		}
		for _, l := range t.askedLabels(s.Pod) {
			out = append(out, Edit{Operation: Add, Object: pods[0].Object, Path: labelPath(pods[0].Object, l[0]), Value: l[1], pods: pods, label: l, both: true,
				Text: fmt.Sprintf("label the pods of %s %s=%s", s.Pod, l[0], l[1])})
		}
	}
	return out
}

// askedLabels are labels that a pod lacks, and by which policies of either end choose.
func (t *turner) askedLabels(p *Pod) (out [][2]string) {
	add := func(s labels.Selector) {
		if s == nil {
			return
		}
		requirements, _ := s.Requirements()
		for _, r := range requirements {
			if _, has := p.Labels[r.Key()]; has || len(out) >= maxLabels {
				continue
			}
			values := r.ValuesUnsorted()
			switch r.Operator() {
			case selection.Exists:
				values = []string{"true"}
			case selection.In, selection.Equals, selection.DoubleEquals:
			default:
				continue
			}
			for _, v := range values {
				if l := [2]string{r.Key(), v}; !slices.Contains(out, l) && r.Key() != corev1.LabelMetadataName {
					out = append(out, l)
				}
			}
		}
	}
	rules := func(of [directions][]*Rule) {
		for _, list := range of {
			for _, r := range list {
				for _, peer := range r.Peers {
					add(peer.Pods)
				}
			}
		}
	}
	for _, policy := range t.Policies {
		if t.from.Pod != nil && policy.Namespace == t.from.Pod.Namespace || t.to.Pod != nil && policy.Namespace == t.to.Pod.Namespace {
			add(policy.Subject)
			rules(policy.Rules)
		}
	}
	for _, policy := range slices.Concat(t.Admin, t.Baseline) {
		add(policy.Pods)
		rules(policy.Rules)
	}
	return out
}
