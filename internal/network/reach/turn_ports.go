package reach

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// asker puts questions to a cluster of which no engine is built: one that is changed, or
// one that a pod is added to. It remembers which policies are about a pod, and is for one
// goroutine.
type asker struct {
	*Cluster
	// byNamespace are the NetworkPolicies; nil where all are looked through.
	byNamespace map[string][]*Policy
	known       [directions]map[*Pod]*askedPolicies
}

// askedPolicies are those about a pod in one direction.
type askedPolicies struct {
	admin, baseline []*TierPolicy
	policies        []*Policy
}

// newAsker makes one for few questions; indexed makes it one for many.
func newAsker(c *Cluster) *asker {
	return &asker{Cluster: c, known: [directions]map[*Pod]*askedPolicies{{}, {}}}
}

func (a *asker) indexed() *asker {
	a.byNamespace = map[string][]*Policy{}
	for _, p := range a.Policies {
		a.byNamespace[p.Namespace] = append(a.byNamespace[p.Namespace], p)
	}
	return a
}

// Ports are those by which one side may reach another, of all policies asked one by one.
// Unlike those of an engine, pods need not be there yet.
func (c *Cluster) Ports(from, to Side) Ports { return newAsker(c).ports(from, to) }

func (a *asker) ports(from, to Side) Ports {
	if a.Exempt(from, to) {
		return AllPorts
	}
	egress := a.direction(Egress, from, to, to)
	if egress.Empty() {
		return egress
	}
	return egress.Intersect(a.direction(Ingress, to, from, to))
}

// direction are the ports that the policies of one direction allow.
func (a *asker) direction(d Direction, subject, peer, receiver Side) Ports {
	if subject.Pod == nil || subject.Pod.HostNetwork {
		return AllPorts
	}
	of := a.about(d, subject.Pod)
	accepted, rest := a.tier(d, of.admin, AllPorts, peer, receiver)
	switch {
	case len(of.policies) > 0:
		var allowed Ports
		for _, p := range of.policies {
			for _, r := range p.Rules[d] {
				if a.matchesPeer(p.Namespace, r, peer) {
					allowed = allowed.Union(r.portsTo(receiver.Pod))
				}
			}
		}
		return accepted.Union(rest.Intersect(allowed))
	case len(of.baseline) > 0:
		more, left := a.tier(d, of.baseline, rest, peer, receiver)
		return accepted.Union(more).Union(left)
	}
	return accepted.Union(rest)
}

// tier asks the rules of a tier in order: what is accepted, and what is left to others.
func (a *asker) tier(d Direction, policies []*TierPolicy, undecided Ports, peer, receiver Side) (accepted, rest Ports) {
	for _, p := range policies {
		for _, r := range p.Rules[d] {
			if undecided.Empty() {
				return accepted, rest
			}
			if !a.matchesPeer("", r, peer) {
				continue
			}
			hit := undecided.Intersect(r.portsTo(receiver.Pod))
			undecided = undecided.Minus(hit)
			switch r.Action {
			case Accept:
				accepted = accepted.Union(hit)
			case Pass:
				rest = rest.Union(hit)
			}
		}
	}
	return accepted, rest.Union(undecided)
}

func (a *asker) about(d Direction, p *Pod) *askedPolicies {
	if known := a.known[d][p]; known != nil {
		return known
	}
	out := &askedPolicies{}
	tier := func(policies []*TierPolicy) (about []*TierPolicy) {
		for _, t := range policies {
			if len(t.Rules[d]) > 0 && a.selects(t.Namespaces, t.Pods, p) {
				about = append(about, t)
			}
		}
		return about
	}
	out.admin, out.baseline = tier(a.Admin), tier(a.Baseline)
	own := a.Policies
	if a.byNamespace != nil {
		own = a.byNamespace[p.Namespace]
	}
	for _, n := range own {
		if n.Isolates[d] && n.Namespace == p.Namespace && n.Subject.Matches(labels.Set(p.Labels)) {
			out.policies = append(out.policies, n)
		}
	}
	a.known[d][p] = out
	return out
}

// portsTo are the ports of a rule, names of them as who receives has them.
func (r *Rule) portsTo(receiver *Pod) (out Ports) {
	if r.AllPorts {
		return AllPorts
	}
	for _, p := range r.Ports {
		if p.Name == "" {
			out = out.Union(PortRange(p.Protocol, p.From, p.To))
			continue
		}
		for _, protocol := range p.named() {
			if receiver == nil {
				continue
			}
			if port := receiver.Named[NamedPort{protocol, p.Name}]; port != 0 {
				out = out.Union(OnePort(protocol, port))
			}
		}
	}
	return out
}

// has reports whether every port of another set is in this one.
func (p Ports) has(q Ports) bool { return q.Minus(p).Empty() }

// touching are the rules about a peer that are about some of the ports.
func (a *asker) touching(rules []*Rule, own string, peer, receiver Side, ports Ports) []*Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r *Rule) bool {
		return !a.matchesPeer(own, r, peer) || r.portsTo(receiver.Pod).Intersect(ports).Empty()
	})
}
