package intent

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// party is one side of a claim about pods that do not exist yet: those that may be made,
// and those that are there.
type party struct {
	made  reach.Prospects
	there set
}

// prospect is a claim about pairs of which one at least does not exist yet.
type prospect struct {
	kind     claimKind
	from, to party
	ports    reach.Ports
	breaks   string
}

// foresee proves an assertion for pods that do not exist yet.
func (c *checker) foresee(a *Assertion, r *Result) {
	prospects, err := c.prospects(a)
	if err != nil {
		return // it was said of the pods that are there
	}
	f := reach.NewForesight(c.engine.Cluster)
	for _, p := range prospects {
		found := collectorOfFuture{result: r, of: p, seen: map[[2]string]bool{}}
		for _, pair := range c.pairsOf(p) {
			f.Arrives(pair[0], pair[1], p.ports, p.kind == all, found.take)
		}
	}
	if r.Verdict == Holds {
		if r.Why = f.Unknown(); len(r.Why) > 0 {
			r.Verdict = Unknown
		}
	}
	r.Why = unique(r.Why)
}

// collectorOfFuture takes examples.
type collectorOfFuture struct {
	result *Result
	of     prospect
	seen   map[[2]string]bool
}

func (c *collectorOfFuture) take(t reach.FutureTraffic) bool {
	r := c.result
	key := [2]string{}
	for i, side := range []reach.Side{t.From, t.To} {
		if side.Pod != nil { // one address of all is enough
			key[i] = side.String()
		}
	}
	if c.seen[key] {
		return true
	}
	c.seen[key] = true
	if r.Verdict == Refuted && len(r.Counterexamples) == maxCounterexamples {
		r.More = true
		return false
	}
	x := Counterexample{From: t.From, To: t.To, Ports: t.Ports, Stopped: c.of.kind == all, Breaks: c.of.breaks, Doubts: t.Cluster.Doubts(t.From, t.To), Future: &t}
	x.Protocol, x.Port = firstOf(t.Ports)
	if len(x.Doubts) > 0 {
		if r.Verdict == Holds {
			r.Verdict, r.Why, r.Counterexamples = Unknown, x.Doubts, []Counterexample{x}
		}
		return len(c.seen) < maxDoubted
	}
	if r.Verdict != Refuted {
		r.Verdict, r.Why, r.Counterexamples = Refuted, nil, nil
	}
	r.Why = append(r.Why, c.of.breaks+", if a pod were made: "+t.Describe(newEnd(t)))
	r.Counterexamples = append(r.Counterexamples, x)
	return true
}

// newEnd is the side of an example that does not exist yet, the sender first.
func newEnd(t reach.FutureTraffic) reach.Side {
	if t.From.Pod != nil && t.From.Pod.Object == nil {
		return t.From
	}
	return t.To
}

// pairsOf are the parties of a claim, one pair after the other: pods to be made with those
// that are there, both ways, and with one another.
func (c *checker) pairsOf(p prospect) (out [][2]reach.Party) {
	from, to := reach.Party{New: &p.from.made}, reach.Party{New: &p.to.made}
	if len(p.from.made.Of) > 0 {
		for _, s := range c.each(p.to.there) {
			out = append(out, [2]reach.Party{from, {Side: s}})
		}
	}
	if len(p.to.made.Of) > 0 {
		for _, s := range c.each(p.from.there) {
			out = append(out, [2]reach.Party{{Side: s}, to})
		}
	}
	if len(p.from.made.Of) > 0 && len(p.to.made.Of) > 0 {
		out = append(out, [2]reach.Party{from, to})
	}
	return out
}

// each is one of a set for each end of the engine: a pod of each class, and an address of
// each piece.
func (c *checker) each(of set) (out []reach.Side) {
	s := &search{checker: c}
	c.engine.Numbers(of.pods, of.addresses).Iterate(func(n uint32) bool {
		for side := range s.sides(c.engine.EndOf(n), of) {
			out = append(out, side)
			break
		}
		return true
	})
	return out
}

// prospects are what an assertion says of pods that do not exist yet: the same as of those
// that are there, by namespaces and labels; of names and addresses none is made.
func (c *checker) prospects(a *Assertion) ([]prospect, error) {
	everybody := party{reach.Prospects{Of: []reach.Choice{{Pods: labels.Everything()}}}, c.all}
	switch a.Form {
	case Only, Deny, Allow:
		from, err := c.party(a.From, a.Namespace)
		if err != nil {
			return nil, err
		}
		to, err := c.party(a.To, a.Namespace)
		if err != nil {
			return nil, err
		}
		switch a.Form {
		case Deny:
			return []prospect{{none, from, to, a.Ports, "traffic arrives that must not"}}, nil
		case Allow:
			return []prospect{{all, from, to, a.Ports, "traffic is stopped that must arrive"}}, nil
		}
		out := []prospect{{none, everybody.minus(from), to, reach.AllPorts, "others than " + a.From.String() + " reach " + a.To.String()}}
		if others := reach.AllPorts.Minus(a.Ports); !others.Empty() {
			out = append(out, prospect{none, from, to, others, a.From.String() + " reaches " + a.To.String() + " by more than " + a.Ports.String()})
		}
		return out, nil
	case Isolated:
		own := party{reach.Prospects{Of: []reach.Choice{{Namespace: a.In, Pods: labels.Everything()}}}, c.podsOf(a.In)}
		except, err := c.party(a.Except, a.Namespace)
		if err != nil {
			return nil, err
		}
		others := everybody.minus(own).minus(except)
		out := []prospect{{none, others, own, reach.AllPorts, "traffic enters namespace " + a.In}}
		if a.Egress {
			out = append(out, prospect{none, own, others, reach.AllPorts, "traffic leaves namespace " + a.In})
		}
		return out, nil
	case Tiers:
		return c.futureTiers(a)
	case InternetOnlyBy:
		may, err := c.party(a.From, a.Namespace)
		if err != nil {
			return nil, err
		}
		pods := party{reach.Prospects{Of: []reach.Choice{{Namespace: a.Namespace, Pods: labels.Everything()}}}, set{c.all.pods, noAddresses()}}
		to := party{there: set{roaring.New(), reach.PublicAddresses()}}
		return []prospect{{none, pods.minus(may), to, reach.AllPorts, "others reach the internet"}}, nil
	}
	return nil, fmt.Errorf("%s is not proven for pods that do not exist yet", a.Form)
}

func (c *checker) futureTiers(a *Assertion) (out []prospect, err error) {
	parties := make([]party, len(a.Order))
	for i, names := range a.Order {
		if parties[i], err = c.party(names, a.Namespace); err != nil {
			return nil, err
		}
	}
	for i, from := range parties {
		for j, to := range parties {
			if j != i+1 && (i != j || !a.Within) {
				out = append(out, prospect{none, from, to, reach.AllPorts, fmt.Sprintf("%s reaches %s, which is not the next tier", a.Order[i], a.Order[j])})
			}
		}
	}
	return out, nil
}

// party are all ends of some names.
func (c *checker) party(names Ends, namespace string) (party, error) {
	there, err := c.find(names, namespace)
	out := party{there: there}
	for _, name := range names {
		if choice, ok := choiceOf(name, namespace); ok {
			out.made.Of = append(out.made.Of, choice)
		}
	}
	return out, err
}

// choiceOf reads an end that new pods may be of; false for names and addresses.
func choiceOf(name, namespace string) (reach.Choice, bool) {
	if _, err := netip.ParsePrefix(name); err == nil || name == reach.Internet {
		return reach.Choice{}, false
	}
	if strings.ContainsAny(name, "=!(,") {
		s, err := labels.Parse(name)
		return reach.Choice{Namespace: namespace, Pods: s}, err == nil
	}
	if of, ok := strings.CutPrefix(name, "ns/"); ok && !strings.Contains(of, "/") {
		return reach.Choice{Namespace: of, Pods: labels.Everything()}, true
	}
	return reach.Choice{}, false
}

// minus is what of a party is not in another, which is of names alone.
func (p party) minus(other party) party {
	return party{reach.Prospects{Of: p.made.Of, But: append(p.made.But[:len(p.made.But):len(p.made.But)], other.made.Of...)}, p.there.minus(other.there)}
}
