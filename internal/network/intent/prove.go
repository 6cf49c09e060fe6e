package intent

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/RoaringBitmap/roaring/v2"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// checker holds assertions against one cluster.
type checker struct {
	engine  *reach.Engine
	world   *model.World
	numbers map[*reach.Pod]uint32
	found   map[string]set
	// received is who reaches each end, by its number; it is nil until it is asked for.
	received      [][]reach.Cell
	screen        *reach.Screen
	doubtful      map[reach.Direction]map[uint32]reach.Doubt
	nodeAddresses []netip.Addr
	all           set
}

// Prove holds assertions against a cluster, of the world that it was read of. Incomplete
// says what of the cluster was not read; where there is something, nothing holds.
func Prove(e *reach.Engine, w *model.World, assertions []*Assertion, incomplete []string) []Result {
	c := &checker{engine: e, world: w, numbers: map[*reach.Pod]uint32{}, found: map[string]set{}, screen: reach.NewScreen(e.Cluster),
		doubtful: map[reach.Direction]map[uint32]reach.Doubt{reach.Ingress: {}, reach.Egress: {}}}
	for i, p := range e.Cluster.Pods {
		c.numbers[p] = uint32(i)
	}
	for _, n := range e.Cluster.Nodes {
		c.nodeAddresses = append(c.nodeAddresses, n.Addresses...)
	}
	c.all = c.everybody()
	var out []Result
	for _, a := range assertions {
		r := c.assertion(a)
		if r.Verdict == Holds && len(incomplete) > 0 {
			r.Verdict, r.Why = Unknown, incomplete
		}
		out = append(out, r)
	}
	return out
}

// incoming is who reaches an end.
func (c *checker) incoming(n uint32) []reach.Cell {
	if c.received == nil {
		c.engine.Connections(func(to reach.End, from []reach.Cell) {
			at := int(c.engine.Number(to))
			for len(c.received) <= at {
				c.received = append(c.received, nil)
			}
			c.received[at] = from
		})
	}
	return c.received[n]
}

func (c *checker) assertion(a *Assertion) Result {
	r := Result{Assertion: a, Verdict: Holds}
	claims, err := c.claims(a)
	if err != nil {
		r.Verdict, r.Why = Unknown, []string{"nothing is proven: " + err.Error()}
		return r
	}
	var unknown outcome
	for _, of := range claims {
		switch o := c.prove(of); {
		case o.verdict == Refuted:
			r.Verdict = Refuted
			r.Why = append(r.Why, o.why...)
			r.More = r.More || o.more
			for _, x := range o.examples {
				if len(r.Counterexamples) < maxCounterexamples {
					r.Counterexamples = append(r.Counterexamples, x)
				} else {
					r.More = true
				}
			}
		case o.verdict == Unknown && unknown.verdict == "":
			unknown = o
		}
	}
	if r.Verdict == Holds && unknown.verdict != "" {
		r.Verdict, r.Why, r.Counterexamples = Unknown, unknown.why, unknown.examples
	}
	r.Why = unique(r.Why)
	if a.Future && r.Verdict != Refuted {
		c.foresee(a, &r)
	}
	return r
}

// claims are what an assertion says, all of it together.
func (c *checker) claims(a *Assertion) ([]claim, error) {
	switch a.Form {
	case Only, Deny, Allow:
		return c.flow(a)
	case Isolated:
		return c.isolated(a)
	case Tiers:
		return c.tiers(a)
	case InternetOnlyBy:
		return c.internet(a)
	}
	return c.dns(a)
}

func (c *checker) flow(a *Assertion) ([]claim, error) {
	from, err := c.find(a.From, a.Namespace)
	if err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	to, err := c.find(a.To, a.Namespace)
	if err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	if from.pods.IsEmpty() && to.pods.IsEmpty() {
		return nil, errors.New("neither from nor to has a pod: no policy is about traffic between addresses")
	}
	switch a.Form {
	case Deny:
		return []claim{{none, from, to, a.Ports, "traffic arrives that must not"}}, nil
	case Allow:
		return []claim{{all, from, to, a.Ports, "traffic is stopped that must arrive"}}, nil
	}
	out := []claim{{none, c.all.minus(from), to, reach.AllPorts, "others than " + a.From.String() + " reach " + a.To.String()}}
	if others := reach.AllPorts.Minus(a.Ports); !others.Empty() {
		out = append(out, claim{none, from, to, others, a.From.String() + " reaches " + a.To.String() + " by more than " + a.Ports.String()})
	}
	return append(out, claim{some, from, to, a.Ports, "not even " + a.From.String() + " reaches " + a.To.String() + ": write deny if that is meant"}), nil
}

func (c *checker) isolated(a *Assertion) ([]claim, error) {
	own := c.podsOf(a.In)
	if own.empty() {
		return nil, fmt.Errorf("there is no pod in namespace %s", a.In)
	}
	except, err := c.find(a.Except, a.Namespace)
	if err != nil {
		return nil, fmt.Errorf("except: %w", err)
	}
	others := c.all.minus(own).minus(except)
	out := []claim{{none, others, own, reach.AllPorts, "traffic enters namespace " + a.In}}
	if a.Egress {
		out = append(out, claim{none, own, others, reach.AllPorts, "traffic leaves namespace " + a.In})
	}
	return out, nil
}

func (c *checker) tiers(a *Assertion) (out []claim, err error) {
	sets := make([]set, len(a.Order))
	for i, names := range a.Order {
		if sets[i], err = c.find(names, a.Namespace); err != nil {
			return nil, fmt.Errorf("tier %d: %w", i+1, err)
		}
	}
	for i, from := range sets {
		for j, to := range sets {
			if j == i+1 || i == j && a.Within || from.pods.IsEmpty() && to.pods.IsEmpty() {
				continue
			}
			breaks := fmt.Sprintf("%s reaches %s, which is not the next tier", a.Order[i], a.Order[j])
			if i == j {
				breaks = fmt.Sprintf("%s reaches its own tier; within: true lets it", a.Order[i])
			}
			out = append(out, claim{none, from, to, reach.AllPorts, breaks})
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no tier has a pod")
	}
	return out, nil
}

func (c *checker) internet(a *Assertion) ([]claim, error) {
	may, err := c.find(a.From, a.Namespace)
	if err != nil {
		return nil, err
	}
	pods := set{c.all.pods, noAddresses()}
	if a.Namespace != "" {
		pods = c.podsOf(a.Namespace)
	}
	if pods.empty() {
		return nil, fmt.Errorf("there is no pod%s", a.scope())
	}
	to := set{roaring.New(), reach.PublicAddresses()}
	return []claim{{none, pods.minus(may), to, reach.AllPorts, "others reach the internet"}}, nil
}
