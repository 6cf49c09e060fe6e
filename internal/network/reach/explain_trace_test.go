package reach

import (
	"slices"
	"testing"
)

// TestTrace compares the steps to an answer with the answer: the same rules decide, the
// same policies are about the pod, and whatever is not about the traffic says why.
func TestTrace(t *testing.T) {
	asked, decided, aside := 0, 0, 0
	for seed := range uint64(120) {
		d := deal(seed, Profiles[seed%uint64(len(Profiles))])
		c := d.cluster()
		if len(c.Pods) == 0 || len(c.Pods) > 20 {
			continue
		}
		all := []Side{}
		for _, p := range c.Pods {
			all = append(all, Side{Pod: p})
		}
		for _, a := range d.addresses()[:3] {
			all = append(all, Side{Address: a})
		}
		for range 30 {
			from, to := pick(d, all), pick(d, all)
			protocol, port := pick(d, []Protocol{TCP, UDP, SCTP}), uint16(pick(d, dealtPorts))
			x := c.Explain(from, to, protocol, port)
			for way, reason := range map[Direction]Reason{Ingress: x.Ingress, Egress: x.Egress} {
				asked++
				var deciding, want []string
				var isolating []*Policy
				for _, s := range c.Trace(way, from, to, protocol, port) {
					if !s.About {
						if aside++; s.Why == "" {
							t.Errorf("seed %d: %s is not about %v, and does not say why", seed, s, to)
						}
						continue
					}
					if s.Policy != nil && !s.Decided {
						isolating = append(isolating, s.Policy)
					}
					for _, r := range s.Rules {
						switch {
						case r.Decides:
							decided++
							deciding = append(deciding, r.String())
						case !r.Matches && (len(r.Why) == 0 || slices.Contains(r.Why, "")):
							t.Errorf("seed %d: %s is not about %v to %v by %s %d, and does not say why: %q", seed, r, from, to, protocol, port, r.Why)
						}
					}
				}
				for _, r := range slices.Concat(reason.Passed, reason.Rules) {
					want = append(want, r.String())
				}
				slices.Sort(deciding)
				slices.Sort(want)
				if !slices.Equal(deciding, want) || !slices.Equal(isolating, reason.Isolated) {
					t.Fatalf("seed %d: %s of %v to %v by %s %d: decided by %q, explained by %q; %v, %v", seed, way, from, to, protocol, port, deciding, want, isolating, reason.Isolated)
				}
			}
		}
	}
	t.Logf("%d answers, %d rules decide, %d policies aside", asked, decided, aside)
	if decided == 0 || aside == 0 {
		t.Error("too little was asked")
	}
}
