package reach

import "net/netip"

// Example is one pair of ends and one port that a change is about, and why each state
// allows it, or does not.
type Example struct {
	From, To Side
	Protocol Protocol
	Port     uint16
	// Before and After are nil where one of the ends is not there.
	Before, After *Explanation
}

// maxTried bounds how many pods of a workload are tried to find two that talk.
const maxTried = 32

// Example explains a change by the first workload of it that talks to another, or by an
// address of it. It reports false where the change has no ends, or where too many pods
// of the workloads differ to find two that talk.
func (c Change) Example() (Example, bool) {
	d := c.From.of
	state := d.After
	if c.Part == Lost {
		state = d.Before
	}
	var out Example
	if !c.firstPort(&out) {
		return out, false
	}
	for _, from := range c.From.sides(state) {
		for _, to := range c.To.sides(state) {
			if from.Pod == nil && to.Pod == nil {
				continue
			}
			a, _ := state.End(from)
			b, _ := state.End(to)
			if state.Allowed(a, b).Contains(out.Protocol, out.Port) {
				out.From, out.To = from, to
				out.Before, out.After = out.explain(d.Before), out.explain(d.After)
				return out, true
			}
		}
	}
	return out, false
}

func (c Change) firstPort(out *Example) (found bool) {
	c.Ports.Each(func(p Protocol, from, _ uint16) {
		if !found {
			out.Protocol, out.Port, found = p, from, true
		}
	})
	return found
}

// sides are pods of the first workload of the set, one of each class; of a set without
// workloads it is an address.
func (s Set) sides(state *Engine) (out []Side) {
	for i := range s.partyNumbers() {
		p := s.of.parties[i]
		workloads := p.after
		if state == s.of.Before {
			workloads = p.before
		}
		if len(workloads) == 0 {
			continue
		}
		seen := map[int]bool{}
		for _, pod := range workloads[0].Pods {
			if class := state.classOf[pod]; !seen[class] && len(out) < maxTried {
				seen[class] = true
				out = append(out, Side{Pod: state.Cluster.Pods[pod]})
			}
		}
		return out
	}
	if blocks := s.Addresses(); len(blocks) > 0 {
		out = append(out, Side{Address: typical(blocks)})
	}
	return out
}

// typical is an address of blocks: one of the internet, if there is one.
func typical(blocks []netip.Prefix) netip.Addr {
	for _, b := range blocks {
		// The first blocks of each family are for no host.
		if a := netip.MustParseAddr("1.1.1.1"); b.Contains(a) {
			return a
		}
	}
	return blocks[0].Addr()
}

// explain asks one state about the pair, by the names of its workloads.
func (x *Example) explain(e *Engine) *Explanation {
	from, known := e.same(x.From)
	to, alsoKnown := e.same(x.To)
	if !known || !alsoKnown {
		return nil
	}
	out := e.Cluster.Explain(from, to, x.Protocol, x.Port)
	return &out
}

// same is a side in this state: the pod itself, the one of its name, or the first of the
// same workload.
func (e *Engine) same(s Side) (out Side, found bool) {
	if s.Pod == nil {
		return s, true
	}
	if _, known := e.podNumbers()[s.Pod]; known {
		return s, true
	}
	for _, p := range e.Cluster.Pods {
		if p.Namespace != s.Pod.Namespace || p.Name != s.Pod.Name || p.Kind != s.Pod.Kind {
			continue
		}
		if !found || p.Object != nil && s.Pod.Object != nil && p.Object.Name == s.Pod.Object.Name {
			out, found = Side{Pod: p}, true
		}
	}
	return out, found
}
