package generate

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// Proof is what is found of policies that were generated, read back from what was written.
type Proof struct {
	// Wanted is how many connections are wanted, and Stopped are those that do not pass.
	Wanted int `json:"wanted"`
	// Open is how many of them need no rule: policies of others let them through, or none
	// is about them.
	Open    int       `json:"openAlready"`
	Stopped []Failure `json:"stopped,omitempty"`
	// Excess are connections that are open and neither wanted nor let through by policies
	// of others.
	Excess []Failure `json:"excess,omitempty"`
	// Pairs is how many pairs of ends were compared for that.
	Pairs uint64 `json:"pairsCompared"`
	// Rules is how many there are, each with one peer and one range of ports, and Unneeded
	// are those without which all that is wanted still passes.
	Rules    int      `json:"rules"`
	Unneeded []string `json:"unneeded,omitempty"`
	// Left are how many pairs of ends policies of others leave open beyond what is wanted.
	Left uint64 `json:"leftOpenByOthers"`
	// Unknown says why some of this may not be so.
	Unknown []string `json:"unknown,omitempty"`
}

// Failure is a connection that is not as it should be.
type Failure struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Ports string `json:"ports"`
	Why   string `json:"why"`
	// Wanted says why it is wanted, if it is.
	Wanted []Evidence `json:"wanted,omitempty"`
}

func (f Failure) String() string {
	text := fmt.Sprintf("%s -> %s by %s: %s", f.From, f.To, f.Ports, f.Why)
	for i, e := range f.Wanted {
		text += [2]string{"; wanted as ", ", "}[min(i, 1)] + e.String()
	}
	return text
}

// Failed reports whether something is not proven.
func (p *Proof) Failed() bool { return len(p.Stopped)+len(p.Excess)+len(p.Unneeded) > 0 }

// Bounds of what a proof lists.
const (
	maxFailures = 50
	maxUnknown  = 20
)

// prover holds what was written against what is wanted.
type prover struct {
	*Set
	out     *Proof
	after   *reach.Cluster
	engine  *reach.Engine
	oneWay  [2]*reach.Engine
	before  *reach.Engine
	written []*networkingv1.NetworkPolicy
	// most is how many failures are listed.
	most     int
	numbered map[End]*numbers
}

// Prove reads the policies back from their text, and proves of the cluster with them that
// each want passes, that nothing else is open, and that each rule is needed.
func (s *Set) Prove() (*Proof, error) {
	p, err := s.prover()
	if err != nil {
		return nil, err
	}
	p.before = reach.New(s.denied)
	p.out.Wanted, p.out.Open = distinct(s.Wants), distinct(s.Open)
	for _, w := range s.Wants {
		if err := p.passes(w); err != nil {
			return nil, err
		}
	}
	p.nothingElse()
	if err := p.needed(); err != nil {
		return nil, err
	}
	for _, o := range p.after.Unknown {
		p.unknown(fmt.Sprintf("%s is not understood", o.Ref()))
	}
	for _, u := range p.after.Unread {
		p.unknown(fmt.Sprintf("%s could not all be read: %s", u.GroupKind, u.Reason))
	}
	return p.out, nil
}

// distinct is how many wants there are, whatever their evidence.
func distinct(wants []*Want) int {
	seen := map[string]bool{}
	for _, w := range wants {
		seen[w.String()] = true
	}
	return len(seen)
}

// Breaks says which of some other wants do not pass with the policies.
func (s *Set) Breaks(wants []*Want) ([]Failure, error) {
	p, err := s.prover()
	if err != nil {
		return nil, err
	}
	p.most = len(wants)
	for _, w := range merged(wants) {
		if _, err := p.units.of(w.From); err != nil {
			continue
		}
		if _, err := p.units.of(w.To); err != nil {
			continue
		}
		if err := p.passes(w); err != nil {
			return nil, err
		}
	}
	return p.out.Stopped, nil
}

// prover reads the policies back from their text.
func (s *Set) prover() (*prover, error) {
	var text bytes.Buffer
	if err := WriteYAML(&text, s.Policies); err != nil {
		return nil, err
	}
	written, err := ReadYAML(text.Bytes())
	if err != nil {
		return nil, err
	}
	if len(written) != len(s.Policies) {
		return nil, fmt.Errorf("%d policies were written, and %d are read back", len(s.Policies), len(written))
	}
	policies, err := read(written, s.before.Profile)
	if err != nil {
		return nil, err
	}
	p := &prover{Set: s, out: &Proof{}, most: maxFailures, after: withPolicies(s.before, policies), written: written, numbered: map[End]*numbers{}}
	p.engine = reach.New(p.after)
	for _, d := range []reach.Direction{reach.Ingress, reach.Egress} {
		p.oneWay[d] = reach.New(oneWay(p.after, d))
	}
	return p, nil
}

// After is the cluster with the policies.
func (s *Set) After() (*reach.Cluster, error) {
	var typed []*networkingv1.NetworkPolicy
	for _, p := range s.Policies {
		typed = append(typed, p.NetworkPolicy)
	}
	policies, err := read(typed, s.before.Profile)
	if err != nil {
		return nil, err
	}
	return withPolicies(s.before, policies), nil
}

func (p *prover) unknown(why string) {
	if len(p.out.Unknown) < maxUnknown && !slices.Contains(p.out.Unknown, why) {
		p.out.Unknown = append(p.out.Unknown, why)
	}
}

// passes looks for a pair of a want that does not pass. Of ends that are addresses or
// everybody, pods are no more than who may come by: what these may send is not asked.
func (p *prover) passes(w *Want) error {
	from, err := p.units.of(w.From)
	to, err2 := p.units.of(w.To)
	if err = cmp.Or(err, err2); err != nil {
		return err
	}
	doubted := false
	for _, side := range []struct {
		d             reach.Direction
		subject, peer *unit
	}{{reach.Egress, from, to}, {reach.Ingress, to, from}} {
		if !side.subject.pods() {
			continue
		}
		for a := range sides(p.oneWay[side.d], side.subject) {
			for b := range sides(p.oneWay[side.d], side.peer) {
				x, y := a, b
				if side.d == reach.Ingress {
					x, y = b, a
				}
				missing := wanted(w, y).Minus(p.allowed(side.d, x, y))
				if !missing.Empty() {
					if x, y, found := p.asked(side.d, from, to, x, y); found {
						p.stopped(w, x, y, missing, side.d)
						return nil
					}
					continue
				}
				if !doubted {
					doubted = true
					for _, why := range p.doubts(side.d, x, y, wanted(w, y)) {
						p.unknown(w.String() + ": " + why)
					}
				}
			}
		}
	}
	return nil
}

// allowed are the ports that policies let through in one direction.
func (p *prover) allowed(d reach.Direction, from, to reach.Side) reach.Ports {
	e := p.oneWay[d]
	a, ok := e.End(from)
	b, ok2 := e.End(to)
	if !ok || !ok2 {
		return reach.Ports{}
	}
	return e.Allowed(a, b)
}

// asked finds two sides that policies are asked about, as no policy can tell them from two
// others. There may be none: a pod reaches itself whatever they say.
func (p *prover) asked(d reach.Direction, from, to *unit, x, y reach.Side) (reach.Side, reach.Side, bool) {
	if !p.after.Exempt(x, y) {
		return x, y, true
	}
	for a := range p.alike(d, from, x) {
		for b := range p.alike(d, to, y) {
			if !p.after.Exempt(a, b) {
				return a, b, true
			}
		}
	}
	return x, y, false
}

// alike are the pods of a unit that no policy can tell from one, or an address itself.
func (p *prover) alike(d reach.Direction, u *unit, of reach.Side) func(func(reach.Side) bool) {
	return func(visit func(reach.Side) bool) {
		end, ok := p.oneWay[d].End(of)
		if of.Pod == nil || !ok {
			visit(of)
			return
		}
		for _, n := range p.oneWay[d].Pods(end) {
			if u.members.Contains(uint32(n)) && !visit(reach.Side{Pod: p.oneWay[d].Cluster.Pods[n]}) {
				return
			}
		}
	}
}

// doubts say why traffic that passes in one direction may not. What is not known of other
// rules does not matter where one lets it through for certain.
func (p *prover) doubts(d reach.Direction, from, to reach.Side, ports reach.Ports) (out []string) {
	protocol, port := firstOf(ports)
	x := p.after.Explain(from, to, protocol, port)
	reason := x.Egress
	if d == reach.Ingress {
		reason = x.Ingress
	}
	if reason.Basis != reach.ByPolicies {
		return p.engine.UnknownBetween(from, to)
	}
	for _, r := range reason.Rules {
		one := *r.Policy
		one.Rules = [2][]*reach.Rule{}
		one.Rules[d], one.Isolates = []*reach.Rule{r.Rule}, [2]bool{}
		one.Isolates[d] = true
		c := *p.after
		c.Policies = []*reach.Policy{&one}
		if out = c.Doubts(from, to); len(out) == 0 {
			return nil
		}
	}
	return out
}

// wanted are the ports of a want at who receives.
func wanted(w *Want, to reach.Side) reach.Ports {
	if to.Pod == nil {
		return w.Ports
	}
	return portsOf(w, to.Pod)
}

// sides are one pod of each class of a unit, and one address of each piece. Pods whose
// names of ports differ are of different classes only where a rule asks for the name, so
// that these are told apart as well.
func sides(e *reach.Engine, u *unit) func(func(reach.Side) bool) {
	type key struct {
		end   reach.End
		named string
	}
	return func(visit func(reach.Side) bool) {
		seen := map[key]bool{}
		more := true
		u.members.Iterate(func(n uint32) bool {
			pod := e.Cluster.Pods[n]
			k := key{e.PodEnd(int(n)), fmt.Sprint(pod.Named)}
			if !seen[k] {
				seen[k] = true
				more = visit(reach.Side{Pod: pod})
			}
			return more
		})
		for _, n := range e.Numbers(noPods(), u.addresses).ToArray() {
			if !more {
				return
			}
			r, _ := e.RangeOf(e.EndOf(n))
			i := slices.IndexFunc(u.addresses.Ranges(), r.Overlaps)
			if i < 0 {
				continue
			}
			first := u.addresses.Ranges()[i].From()
			if first.Less(r.From()) {
				first = r.From()
			}
			more = visit(reach.Side{Address: first})
		}
	}
}

// stopped notes that a want does not pass, and what stops it.
func (p *prover) stopped(w *Want, from, to reach.Side, ports reach.Ports, d reach.Direction) {
	if len(p.out.Stopped) >= p.most {
		return
	}
	protocol, port := firstOf(ports)
	x := p.after.Explain(from, to, protocol, port)
	reason, who := x.Egress, from.String()+" may not send it"
	if d == reach.Ingress {
		reason, who = x.Ingress, to.String()+" does not receive it"
	}
	var by []string
	switch reason.Basis {
	case reach.ByPolicies:
		for _, q := range reason.Isolated {
			by = append(by, "NetworkPolicy "+q.Namespace+"/"+q.Name)
		}
	default:
		for _, r := range reason.Rules {
			if r.Tier != nil {
				by = append(by, r.Tier.String())
			}
		}
	}
	f := Failure{w.From.String(), w.To.String(), ports.String(), fmt.Sprintf("%s, by %s", who, strings.Join(by, ", ")), []Evidence{w.Why}}
	if i := slices.IndexFunc(p.out.Stopped, func(g Failure) bool { return f.From == g.From && f.To == g.To && f.Ports == g.Ports && f.Why == g.Why }); i >= 0 {
		p.out.Stopped[i].Wanted = append(p.out.Stopped[i].Wanted, w.Why)
		return
	}
	p.out.Stopped = append(p.out.Stopped, f)
	for _, why := range p.engine.UnknownBetween(from, to) {
		p.unknown(why)
	}
}

func firstOf(ports reach.Ports) (protocol reach.Protocol, port uint16) {
	ports.Each(func(p reach.Protocol, from, _ uint16) {
		if port == 0 {
			protocol, port = p, from
		}
	})
	return protocol, port
}
