package reach

import (
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// changed is a cluster, and what becomes of it: objects go, others come, some stay under
// their name with what another has.
func changed(seed uint64, profile Profile) (before, after *Cluster, addresses []netip.Addr) {
	d, other := deal(seed, profile), deal(seed+1_000_000, profile)
	kept := slices.DeleteFunc(slices.Clone(d.objects), func(*model.Object) bool { return d.chance(15) })
	for _, o := range other.objects {
		if d.chance(25) {
			kept = append(kept, o)
		}
	}
	cluster := func(objects []*model.Object) *Cluster {
		return NewCluster(model.NewWorld(objects, model.WorldOptions{Live: true}), profile)
	}
	return cluster(d.objects), cluster(kept), append(d.addresses(), other.addresses()...)
}

// askedEnd is somebody that is asked about in both states, pod by pod.
type askedEnd struct {
	name    string
	address netip.Addr
}

// ends are those of it in a state.
func (a askedEnd) ends(e *Engine) (out []End) {
	if a.name == "" {
		return []End{e.AddressEnd(a.address)}
	}
	for i, p := range e.Cluster.Pods {
		if p.String() == a.name {
			out = append(out, e.PodEnd(i))
		}
	}
	return out
}

func allowedBetween(e *Engine, from, to askedEnd) (out Ports) {
	for _, a := range from.ends(e) {
		for _, b := range to.ends(e) {
			out = out.Union(e.Allowed(a, b))
		}
	}
	return out
}

func (a askedEnd) in(s Set) bool {
	if a.name == "" {
		return slices.ContainsFunc(s.Addresses(), func(p netip.Prefix) bool { return p.Contains(a.address) })
	}
	for w := range s.Workloads() {
		if w.String() == a.name {
			return true
		}
	}
	return false
}

// members are the asked who are in the sets of a change.
type members struct {
	Change
	from, to []bool
}

func membersOf(changes []Change, asked []askedEnd) (out []members) {
	for _, c := range changes {
		m := members{Change: c}
		for _, a := range asked {
			m.from, m.to = append(m.from, a.in(c.From)), append(m.to, a.in(c.To))
		}
		out = append(out, m)
	}
	return out
}

// told are the ports that changes tell of a pair; it fails where one is told twice.
func told(t *testing.T, changes []members, from, to int) (out Ports) {
	for _, c := range changes {
		if c.from[from] && c.to[to] {
			if !out.Intersect(c.Ports).Empty() {
				t.Errorf("%v is told twice", c.Ports)
			}
			out = out.Union(c.Ports)
		}
	}
	return out
}

func TestDifference(t *testing.T) {
	clusters := 150
	if n, err := strconv.Atoi(os.Getenv("BULKHEAD_TEST_DIFFERENCES")); err == nil {
		clusters = n
	}
	pairs, differ, fresh := 0, 0, 0
	for seed := range clusters {
		profile := Profiles[seed%len(Profiles)]
		before, after, addresses := changed(uint64(seed), profile)
		if len(before.Pods)+len(after.Pods) > 40 {
			continue
		}
		d := Compare(New(before), New(after))
		var asked []askedEnd
		for _, c := range []*Cluster{before, after} {
			for _, p := range c.Pods {
				if a := (askedEnd{name: p.String()}); !slices.Contains(asked, a) {
					asked = append(asked, a)
				}
			}
		}
		pods := len(asked)
		for i, a := range addresses {
			if i%3 == 0 {
				asked = append(asked, askedEnd{address: a})
			}
		}
		var parts [3][]members
		for part := range parts {
			parts[part] = membersOf(d.Changes(Part(part)), asked)
		}
		var halves [2][]members
		for part := range halves {
			var all []Change
			for _, c := range d.Changes(Part(part)) {
				old, new := c.Fresh()
				fresh += len(new)
				all = append(append(all, old...), new...)
			}
			halves[part] = membersOf(all, asked)
		}
		for i, from := range asked {
			for j, to := range asked {
				if i >= pods && j >= pods {
					continue
				}
				pairs++
				old, now := allowedBetween(d.Before, from, to), allowedBetween(d.After, from, to)
				want := [3]Ports{now.Minus(old), old.Minus(now), now.Intersect(old)}
				if !want[0].Empty() || !want[1].Empty() {
					differ++
				}
				for part := range parts {
					if got := told(t, parts[part], i, j); !got.Equal(want[part]) {
						t.Errorf("seed %d, part %d, %v -> %v: told %v, is %v", seed, part, from, to, got, want[part])
					}
				}
				for part := range halves {
					if got := told(t, halves[part], i, j); !got.Equal(want[part]) {
						t.Errorf("seed %d, part %d, %v -> %v: told %v once divided, is %v", seed, part, from, to, got, want[part])
					}
				}
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d clusters, %d pairs, %d differ, %d changes of new or gone workloads", clusters, pairs, differ, fresh)
	if differ < pairs/50 || fresh == 0 {
		t.Error("too little differs to prove anything")
	}
}

// A cluster does not differ from itself.
func TestDifferenceOfSame(t *testing.T) {
	for seed := range uint64(60) {
		e, again := New(deal(seed, Upstream).cluster()), New(deal(seed, Upstream).cluster())
		for _, d := range []*Difference{Compare(e, e), Compare(e, again)} {
			if gained, lost := d.Changes(Gained), d.Changes(Lost); len(gained)+len(lost)+len(d.New)+len(d.Gone) > 0 {
				t.Fatalf("seed %d: %v %v %v %v", seed, gained, lost, d.New, d.Gone)
			}
		}
	}
}

// An example is true: one state lets it through, and says by what, and the other does not.
func TestExamples(t *testing.T) {
	explained, missing := 0, 0
	for seed := range uint64(150) {
		before, after, _ := changed(seed, Profiles[seed%uint64(len(Profiles))])
		d := Compare(New(before), New(after))
		for _, part := range []Part{Gained, Lost, Kept} {
			for _, c := range d.Changes(part) {
				x, ok := c.Example()
				if !ok {
					missing++
					continue
				}
				explained++
				allowed, other := x.After, x.Before
				if part == Lost {
					allowed, other = x.Before, x.After
				}
				if allowed == nil || !allowed.Allowed {
					t.Errorf("seed %d: %v -> %v %v %d is not allowed: %+v", seed, x.From, x.To, x.Protocol, x.Port, allowed)
				}
				if other != nil && other.Egress.Allowed && other.Ingress.Allowed && part != Kept {
					t.Errorf("seed %d: %v -> %v %v %d is allowed by both", seed, x.From, x.To, x.Protocol, x.Port)
				}
			}
		}
	}
	t.Logf("%d explained, %d not", explained, missing)
	if missing > explained/50 || explained < 1000 {
		t.Error("too little is explained")
	}
}
