package reach

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Step is a policy that was asked, or that would have been, about one direction of some
// traffic.
type Step struct {
	// Basis is ByAdmin, ByPolicies or ByBaseline.
	Basis  Basis
	Policy *Policy
	Tier   *TierPolicy
	// About says that it is about the pod; Why says why it is not.
	About bool
	Why   string
	// Decided says that earlier ones have decided, so that it is not asked.
	Decided bool
	Rules   []RuleStep
}

// RuleStep is a rule of a policy that is about the pod.
type RuleStep struct {
	RuleRef
	// Matches says that it is about the traffic; Why says why it is not.
	Matches bool
	Why     []string
	// Decides says that the answer is its.
	Decides bool
}

// maxAside bounds how many policies are told that are not about the pod.
const maxAside = 30

// Trace asks every policy of one direction in order: the Admin tier, NetworkPolicies of the
// pod's namespace, the Baseline tier. Policies with no rules for the direction are left out,
// and so are those beyond thirty of each kind that are not about the pod.
func (c *Cluster) Trace(d Direction, from, to Side, protocol Protocol, port uint16) (out []Step) {
	subject, peer := to, from
	if d == Egress {
		subject, peer = from, to
	}
	if subject.Pod == nil || subject.Pod.HostNetwork {
		return nil
	}
	t := &tracer{c, d, subject.Pod, peer, to, protocol, port}
	decided := false
	out, decided = t.tier(ByAdmin, c.Admin, false)
	out, isolated := t.policies(out, decided)
	last, _ := t.tier(ByBaseline, c.Baseline, decided || isolated)
	return append(out, last...)
}

type tracer struct {
	*Cluster
	direction Direction
	subject   *Pod
	peer, to  Side
	protocol  Protocol
	port      uint16
}

// tier asks one tier; decided says that the answer is found before, and then within.
func (t *tracer) tier(basis Basis, policies []*TierPolicy, decided bool) (out []Step, _ bool) {
	passed, aside := false, 0
	for _, p := range policies {
		if len(p.Rules[t.direction]) == 0 {
			continue
		}
		s := Step{Basis: basis, Tier: p, About: t.selects(p.Namespaces, p.Pods, t.subject), Decided: decided || passed}
		if !s.About {
			if s.Why = t.missed(p.Namespaces, p.Pods, t.subject); aside < maxAside {
				out = append(out, s)
			}
			aside++
			continue
		}
		for _, r := range p.Rules[t.direction] {
			step := t.rule("", RuleRef{Tier: p, Rule: r})
			if step.Matches && !decided && !passed {
				step.Decides = true
				passed = r.Action == Pass
				decided = !passed
			}
			s.Rules = append(s.Rules, step)
		}
		out = append(out, s)
	}
	return out, decided
}

func (t *tracer) policies(out []Step, decided bool) (_ []Step, isolated bool) {
	aside := 0
	for _, p := range t.Policies {
		if p.Namespace != t.subject.Namespace || !p.Isolates[t.direction] {
			continue
		}
		s := Step{Basis: ByPolicies, Policy: p, About: p.Subject.Matches(labels.Set(t.subject.Labels)), Decided: decided}
		if !s.About {
			if s.Why = missing(t.subject.String(), p.Subject, t.subject.Labels); aside < maxAside {
				out = append(out, s)
			}
			aside++
			continue
		}
		isolated = true
		for _, r := range p.Rules[t.direction] {
			step := t.rule(p.Namespace, RuleRef{Policy: p, Rule: r})
			step.Decides = step.Matches && !decided
			s.Rules = append(s.Rules, step)
		}
		out = append(out, s)
	}
	return out, isolated
}

// rule says whether a rule is about the traffic, and if not, why.
func (t *tracer) rule(own string, of RuleRef) RuleStep {
	out := RuleStep{RuleRef: of}
	peer, port := t.matchesPeer(own, of.Rule, t.peer), matchesPort(of.Rule, t.to, t.protocol, t.port)
	out.Matches = peer && port
	if !peer {
		for _, p := range of.Rule.Peers {
			out.Why = append(out.Why, t.whyNotPeer(own, p))
		}
		if len(of.Rule.Peers) == 0 {
			out.Why = append(out.Why, "it is about nobody: a kind of peer in it is not known")
		}
	}
	if !port {
		out.Why = append(out.Why, t.whyNotPort(of.Rule))
	}
	return out
}

// missed says why selectors of namespaces and pods do not choose a pod.
func (t *tracer) missed(namespaces, pods labels.Selector, p *Pod) string {
	if p.HostNetwork {
		return fmt.Sprintf("%s is in the network of its node", p)
	}
	var out []string
	if ns := t.Namespaces[p.Namespace]; ns == nil {
		out = append(out, fmt.Sprintf("nothing is known of namespace %s", p.Namespace))
	} else if why := missing("namespace "+p.Namespace, namespaces, ns.Labels); why != "" {
		out = append(out, why)
	}
	if why := missing(p.String(), pods, p.Labels); why != "" {
		out = append(out, why)
	}
	return strings.Join(out, "; ")
}

// missing says what labels lack that a selector asks for; empty if nothing.
func missing(whose string, s labels.Selector, set map[string]string) string {
	requirements, selectable := s.Requirements()
	if !selectable {
		return whose + ": the selector chooses nothing"
	}
	var out []string
	for _, r := range requirements {
		if r.Matches(labels.Set(set)) {
			continue
		}
		value, has := set[r.Key()]
		switch {
		case !has:
			out = append(out, fmt.Sprintf("lacks %s", r.String()))
		case r.Operator() == selection.DoesNotExist:
			out = append(out, fmt.Sprintf("has %s=%s", r.Key(), value))
		default:
			out = append(out, fmt.Sprintf("has %s=%s, not %s", r.Key(), value, r.String()))
		}
	}
	if len(out) == 0 {
		return ""
	}
	return whose + " " + strings.Join(out, " and ")
}

func (t *tracer) whyNotPeer(own string, p Peer) string {
	pod := t.peer.Pod
	switch {
	case p.Block.IsValid():
		return t.whyNotBlock(p)
	case p.Nodes != nil:
		return fmt.Sprintf("%s is none of the nodes that %q chooses", t.peer, p.Nodes)
	case len(p.Names) > 0:
		return "domain names are not resolved: " + strings.Join(p.Names, ", ")
	case pod == nil:
		return fmt.Sprintf("%s is no pod", t.peer)
	case pod.HostNetwork:
		return fmt.Sprintf("%s is in the network of its node, which selectors do not choose", pod)
	case p.Namespaces == nil && pod.Namespace != own:
		return fmt.Sprintf("%s is not in namespace %s, and the peer has no namespaceSelector", pod, own)
	case p.Namespaces == nil:
		return missing(pod.String(), p.Pods, pod.Labels)
	}
	return t.missed(p.Namespaces, p.Pods, pod)
}

func (t *tracer) whyNotBlock(p Peer) string {
	at := addressesOfSide(t.peer)
	switch {
	case t.peer.Pod != nil && !p.Tier && !t.peer.Pod.HostNetwork && !t.Profile.BlocksMatchPods:
		return fmt.Sprintf("for %s blocks are not about pods", t.Profile.Name)
	case !p.Tier && !t.Profile.BlocksMatchNodes && (t.peer.Pod != nil || slices.ContainsFunc(at, t.isNode)):
		return fmt.Sprintf("for %s blocks are not about nodes", t.Profile.Name)
	case len(at) == 0:
		return fmt.Sprintf("the address of %s is not known, and %s has not all private ones", t.peer, p.Block)
	}
	for _, e := range p.Except {
		if slices.ContainsFunc(at, e.Contains) {
			return fmt.Sprintf("%s is in the exception %s of %s", addressTexts(at), e, p.Block)
		}
	}
	return fmt.Sprintf("%s is not in %s", addressTexts(at), p.Block)
}

func addressTexts(of []netip.Addr) string {
	var out []string
	for _, a := range of {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}

func (t *tracer) whyNotPort(r *Rule) string {
	var names []string
	for _, p := range r.Ports {
		if p.Name == "" {
			names = append(names, PortRange(p.Protocol, p.From, p.To).String())
			continue
		}
		text := fmt.Sprintf("%q, which %s does not have", p.Name, t.to)
		if t.to.Pod != nil {
			for _, protocol := range p.named() {
				if port := t.to.Pod.Named[NamedPort{protocol, p.Name}]; port != 0 {
					text = fmt.Sprintf("%q, which is %s", p.Name, OnePort(protocol, port))
				}
			}
		}
		names = append(names, text)
	}
	return fmt.Sprintf("its ports are %s, asked is %s", strings.Join(names, ", "), OnePort(t.protocol, t.port))
}

// Locate is where the rule is written; nil where it is in no file.
func (r RuleRef) Locate() *finding.Location {
	object, rules := (*model.Object)(nil), [directions][]*Rule{}
	if r.Policy != nil {
		object, rules = r.Policy.Object, r.Policy.Rules
	} else if r.Tier != nil {
		object, rules = r.Tier.Object, r.Tier.Rules
	}
	if object == nil {
		return nil
	}
	for d := range directions {
		if slices.Contains(rules[d], r.Rule) {
			return object.Locate(model.Path{}.Keys("spec", d.String()).Append(model.Index(r.Rule.Index)))
		}
	}
	return object.Locate(nil)
}

// String names the policy and the rule, counted from one.
func (r RuleRef) String() string {
	switch {
	case r.Policy != nil:
		return fmt.Sprintf("NetworkPolicy %s/%s, rule %d", r.Policy.Namespace, r.Policy.Name, r.Rule.Index+1)
	case r.Tier != nil && r.Tier.Object != nil:
		return fmt.Sprintf("%s %s, rule %d (%s)", r.Tier.Object.Kind, r.Tier.Name, r.Rule.Index+1, r.Rule.Action)
	}
	return fmt.Sprintf("rule %d", r.Rule.Index+1)
}

// About lists the policies that are about a pod in a direction, in the order in which they
// are asked, with their rules.
func (c *Cluster) About(d Direction, p *Pod) (out []Step) {
	of := newAsker(c).about(d, p)
	if p.HostNetwork {
		return nil
	}
	tier := func(basis Basis, policies []*TierPolicy) {
		for _, t := range policies {
			s := Step{Basis: basis, Tier: t, About: true}
			for _, r := range t.Rules[d] {
				s.Rules = append(s.Rules, RuleStep{RuleRef: RuleRef{Tier: t, Rule: r}})
			}
			out = append(out, s)
		}
	}
	tier(ByAdmin, of.admin)
	for _, n := range of.policies {
		s := Step{Basis: ByPolicies, Policy: n, About: true}
		for _, r := range n.Rules[d] {
			s.Rules = append(s.Rules, RuleStep{RuleRef: RuleRef{Policy: n, Rule: r}})
		}
		out = append(out, s)
	}
	tier(ByBaseline, of.baseline)
	return out
}

// Chooses are the pods that a rule is about, by its peers.
func (c *Cluster) Chooses(r RuleRef) (out []*Pod) {
	own := ""
	if r.Policy != nil {
		own = r.Policy.Namespace
	}
	for _, p := range c.Pods {
		if c.matchesPeer(own, r.Rule, Side{Pod: p}) {
			out = append(out, p)
		}
	}
	return out
}

// Says tells a rule's peers and ports: "podSelector app=web, TCP 80".
func (r *Rule) Says() (peers, ports string) {
	var texts []string
	for _, p := range r.Peers {
		texts = append(texts, p.says())
	}
	switch {
	case r.AllPeers:
		peers = "everybody"
	case len(texts) == 0:
		peers = "nobody"
	default:
		peers = strings.Join(texts, "; ")
	}
	if r.AllPorts {
		return peers, "all ports"
	}
	texts = nil
	for _, p := range r.Ports {
		if p.Name != "" {
			texts = append(texts, fmt.Sprintf("port %q", p.Name))
		} else {
			texts = append(texts, PortRange(p.Protocol, p.From, p.To).String())
		}
	}
	return peers, strings.Join(texts, ", ")
}

func (p *Peer) says() string {
	switch {
	case p.Block.IsValid() && len(p.Except) > 0:
		var except []string
		for _, e := range p.Except {
			except = append(except, e.String())
		}
		return fmt.Sprintf("%s but for %s", p.Block, strings.Join(except, ", "))
	case p.Block.IsValid():
		return p.Block.String()
	case p.Nodes != nil:
		return strings.TrimSpace("nodes " + p.Nodes.String())
	case len(p.Names) > 0:
		return "domains " + strings.Join(p.Names, ", ")
	}
	text := "all pods"
	if !p.Pods.Empty() {
		text = "pods with " + p.Pods.String()
	}
	switch {
	case p.Namespaces == nil:
		return text + " of its namespace"
	case p.Namespaces.Empty():
		return text + " of all namespaces"
	}
	return text + " of namespaces with " + p.Namespaces.String()
}

// Locate is where the policy is written; nil where it is in no file.
func (s Step) Locate() *finding.Location {
	switch {
	case s.Policy != nil && s.Policy.Object != nil:
		return s.Policy.Object.Locate(nil)
	case s.Tier != nil && s.Tier.Object != nil:
		return s.Tier.Object.Locate(nil)
	}
	return nil
}

// String names the policy.
func (s Step) String() string {
	switch {
	case s.Policy != nil:
		return "NetworkPolicy " + s.Policy.Namespace + "/" + s.Policy.Name
	case s.Tier != nil && s.Tier.Object != nil:
		return s.Tier.Object.Kind + " " + s.Tier.Name
	}
	return ""
}
