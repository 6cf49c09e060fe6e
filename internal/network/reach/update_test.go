package reach

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

// updatesVariable is the environment variable that says how many random sequences of
// changes are tried, from a random seed; make fuzz-net sets it.
const updatesVariable = "BULKHEAD_NET_UPDATES"

// TestUpdate changes random clusters again and again, and compares the engine that was
// updated with one that is built anew, and the one before with what it was.
func TestUpdate(t *testing.T) {
	sequences, seed := 60, uint64(1)
	if text := os.Getenv(updatesVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s is no number: %v", updatesVariable, err)
		}
		sequences, seed = n, uint64(time.Now().UnixNano())
	}
	t.Logf("seeds from %d", seed)
	steps, updated := 0, 0
	for i := range uint64(sequences) {
		profile := Profiles[i%uint64(len(Profiles))]
		c := newChanger(seed+i, profile)
		e := New(c.cluster)
		for step := range 25 {
			before := e
			was := slices.Concat(allAllowed(before), flowsOf(before))
			what := c.change()
			if u := newUpdate(e, c.cluster); u.make() {
				updated++
			}
			e = e.Update(c.cluster)
			steps++
			if !sameEngine(t, e, New(c.cluster)) || !slices.Equal(was, slices.Concat(allAllowed(before), flowsOf(before))) {
				t.Fatalf("seed %d, step %d, %s: %s", seed+i, step, profile.Name, what)
			}
		}
	}
	t.Logf("%d steps, of which %d were not built anew", steps, updated)
	if updated < steps/2 || updated == steps {
		t.Error("the changes are all alike")
	}
}

// changer changes a cluster, of which all states share what did not change.
type changer struct {
	*dealer
	cluster *Cluster
	named   int
}

func newChanger(seed uint64, profile Profile) *changer {
	c := &changer{dealer: deal(seed, profile)}
	c.cluster = c.dealer.cluster()
	return c
}

// change makes one to three changes.
func (c *changer) change() (what []string) {
	next := *c.cluster
	c.cluster = &next
	for range 1 + c.IntN(3) {
		changes := map[string]func(){"pods come": c.addPods, "pods go": c.removePods, "a pod changes": c.changePod, "policies come": c.addPolicies, "policies go": c.removePolicies,
			"a namespace changes": c.changeNamespace, "tiers come": c.addTiers, "tiers go": c.removeTiers, "a node changes": c.changeNode}
		names := slices.Sorted(maps.Keys(changes))
		name := pick(c.dealer, names)
		if name == "a node changes" && c.chance(60) {
			continue // it mostly means that all is built anew
		}
		changes[name]()
		what = append(what, name)
	}
	c.sortPods()
	return what
}

// dealt are what another cluster has, whose names are others.
func (c *changer) dealt() *Cluster {
	c.named++
	d := &dealer{Rand: rand.New(rand.NewPCG(c.Uint64(), 9))}
	d.deal(c.cluster.Profile)
	for _, o := range d.objects {
		if o.Kind != "Namespace" && o.Kind != "Node" && o.Kind != "BaselineAdminNetworkPolicy" {
			o.Name = fmt.Sprint(o.Name, "-", c.named)
		}
	}
	return NewCluster(model.NewWorld(d.objects, model.WorldOptions{Live: true}), c.cluster.Profile)
}

func (c *changer) addPods() {
	added := c.dealt()
	c.Shuffle(len(added.Pods), func(i, j int) { added.Pods[i], added.Pods[j] = added.Pods[j], added.Pods[i] })
	for _, p := range added.Pods[:min(len(added.Pods), 1+c.IntN(3))] {
		c.addNamespace(added.Namespaces[p.Namespace])
		c.cluster.Pods = append(slices.Clip(c.cluster.Pods), p)
		if c.chance(40) { // a replica
			twin := *p
			c.cluster.Pods = append(slices.Clip(c.cluster.Pods), &twin)
		}
	}
}

func (c *changer) addNamespace(n *Namespace) {
	if c.cluster.Namespaces[n.Name] == nil {
		c.cluster.Namespaces = maps.Clone(c.cluster.Namespaces)
		c.cluster.Namespaces[n.Name] = n
	}
}

// fewer leaves out some.
func fewer[T any](c *changer, of []T) []T {
	out := slices.Clone(of)
	for range min(len(out), 1+c.IntN(2)) {
		i := c.IntN(len(out))
		out = slices.Delete(out, i, i+1)
	}
	return out
}

func (c *changer) removePods() {
	c.cluster.Pods = fewer(c, c.cluster.Pods)
	if c.chance(10) {
		c.cluster.Pods = nil
	}
}

func (c *changer) changePod() {
	if len(c.cluster.Pods) == 0 {
		return
	}
	c.cluster.Pods = slices.Clone(c.cluster.Pods)
	i := c.IntN(len(c.cluster.Pods))
	p := *c.cluster.Pods[i]
	switch other := pick(c.dealer, c.cluster.Pods); c.IntN(4) {
	case 0:
		p.Labels = c.labels("app", "tier", "none")
	case 1:
		p.Addresses = other.Addresses
	case 2:
		p.Named, p.Ambiguous = other.Named, other.Ambiguous
	case 3:
		p.HostNetwork = !p.HostNetwork
	}
	c.cluster.Pods[i] = &p
}

func (c *changer) addPolicies() {
	added := c.dealt()
	for _, p := range added.Policies[:min(len(added.Policies), 1+c.IntN(3))] {
		c.addNamespace(added.Namespaces[p.Namespace])
		c.cluster.Policies = append(slices.Clip(c.cluster.Policies), p)
	}
	if len(c.cluster.Policies) > 1 && c.chance(50) { // one changes in its place
		i := c.IntN(len(c.cluster.Policies))
		c.cluster.Policies = slices.Clone(c.cluster.Policies)
		c.cluster.Policies[i] = c.within(c.cluster.Policies[i])
	}
}

// within makes a policy that is about its own namespace only, and may ask for a label that
// no other asks for.
func (c *changer) within(p *Policy) *Policy {
	from := c.selector("none", "app", "tier")
	out, _, err := newPolicy(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: c.selector("none", "app"),
		Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &from}}}}}})
	if err != nil {
		panic(err)
	}
	out.Object = p.Object
	return out
}

func (c *changer) removePolicies() {
	c.cluster.Policies = fewer(c, c.cluster.Policies)
	if c.chance(15) { // so that nothing is asked for
		c.cluster.Policies, c.cluster.Admin, c.cluster.Baseline = nil, nil, nil
	}
}

func (c *changer) changeNamespace() {
	name := pick(c.dealer, slices.Sorted(maps.Keys(c.cluster.Namespaces)))
	c.cluster.Namespaces = maps.Clone(c.cluster.Namespaces)
	if c.chance(15) {
		delete(c.cluster.Namespaces, name)
		if len(c.cluster.Namespaces) > 0 {
			return
		}
	}
	set := c.labels("team", "env")
	set["kubernetes.io/metadata.name"] = name
	c.cluster.Namespaces[name] = &Namespace{name, set, c.chance(80)}
}

func (c *changer) addTiers() {
	added := c.dealt()
	admin := slices.Concat(c.cluster.Admin, added.Admin[:min(len(added.Admin), 2)])
	slices.SortStableFunc(admin, compareTiers)
	c.cluster.Admin = admin
	baseline := slices.Concat(c.cluster.Baseline, added.Baseline[:min(len(added.Baseline), 1)])
	slices.SortStableFunc(baseline, compareTiers)
	c.cluster.Baseline = baseline
}

func (c *changer) removeTiers() {
	if c.chance(50) {
		c.cluster.Admin = fewer(c, c.cluster.Admin)
	} else {
		c.cluster.Baseline = fewer(c, c.cluster.Baseline)
	}
	if len(c.cluster.Admin) > 1 && c.chance(40) { // which no cluster does by itself
		c.cluster.Admin = slices.Clone(c.cluster.Admin)
		slices.Reverse(c.cluster.Admin)
	}
}

func (c *changer) changeNode() {
	nodes := maps.Clone(c.cluster.Nodes)
	for name := range nodes {
		n := *nodes[name]
		n.Labels = c.labels("role", "zone")
		nodes[name] = &n
		break
	}
	c.cluster.Nodes = nodes
}

func (c *changer) sortPods() {
	pods := slices.Clone(c.cluster.Pods)
	slices.SortStableFunc(pods, comparePods)
	c.cluster.Pods = pods
}

// allAllowed are the answers for all pairs of pods.
func allAllowed(e *Engine) (out []string) {
	for from := range e.Cluster.Pods {
		for to := range e.Cluster.Pods {
			out = append(out, e.Allowed(e.PodEnd(from), e.PodEnd(to)).String())
		}
	}
	return out
}

// sameEngine compares all that can be asked of two engines of one cluster.
func sameEngine(t *testing.T, got, want *Engine) bool {
	t.Helper()
	c := got.Cluster
	var ends [][2]End
	for i := range c.Pods {
		ends = append(ends, [2]End{got.PodEnd(i), want.PodEnd(i)})
	}
	for _, start := range want.addresses.starts {
		ends = append(ends, [2]End{got.AddressEnd(start), want.AddressEnd(start)})
	}
	if live := got.everybody.GetCardinality(); live != want.everybody.GetCardinality() {
		t.Errorf("%d classes and pieces, not %d", live, want.everybody.GetCardinality())
	}
	for d := range directions {
		for at, g := range got.groups[d] {
			for it := g.members.Iterator(); it.HasNext(); {
				if n := it.Next(); got.groupOfEnd(d, End{n}) != g || !got.everybody.Contains(n) {
					t.Errorf("group %d has member %d, which is another's", at, n)
				}
			}
		}
	}
	for _, from := range ends {
		if !slices.Equal(got.Pods(from[0]), want.Pods(from[1])) {
			t.Errorf("a class is of pods %v, not %v", got.Pods(from[0]), want.Pods(from[1]))
		}
		for _, to := range ends {
			if a, b := got.Allowed(from[0], to[0]), want.Allowed(from[1], to[1]); !a.Equal(b) {
				t.Errorf("%v to %v: %v, not %v", got.side(from[0]), got.side(to[0]), a, b)
				return false
			}
			if a, b := got.Unknown(from[0], to[0]), want.Unknown(from[1], to[1]); !slices.Equal(a, b) {
				t.Errorf("%v to %v is unknown for %v, not %v", got.side(from[0]), got.side(to[0]), a, b)
			}
		}
	}
	return sameMaps(t, got, want) && sameReaching(t, got) && sameFinds(t, got, want) && !t.Failed()
}

func flowsOf(e *Engine) (out []string) {
	for _, f := range e.Map() {
		text := fmt.Sprint(f.To, f.Addresses, " ", f.Ports, " ", f.From.Addresses)
		for _, w := range f.From.Workloads {
			text += " " + w.String()
		}
		out = append(out, text)
	}
	return out
}

func sameMaps(t *testing.T, got, want *Engine) bool {
	t.Helper()
	a, b := flowsOf(got), flowsOf(want)
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Errorf("the maps are not the same:\n%v\n%v", a[i:min(len(a), i+2)], b[i:min(len(b), i+2)])
			return false
		}
	}
	return true
}

// sameReaching compares what is asked of one end with the map of all.
func sameReaching(t *testing.T, e *Engine) bool {
	t.Helper()
	e.Connections(func(to End, from []Cell) {
		if got := e.Reaching(to); !sameCells(got, from) {
			t.Errorf("to %v come %v, not %v", e.side(to), got, from)
		}
	})
	for it := e.everybody.Iterator(); it.HasNext(); {
		from := e.EndOf(it.Next())
		reached := e.Reached(from)
		for it := e.everybody.Iterator(); it.HasNext(); {
			to := e.EndOf(it.Next())
			var ports Ports
			for _, c := range reached {
				if c.Peers.Contains(to.number) {
					ports = ports.Union(c.Ports)
				}
			}
			if !ports.Equal(e.Allowed(from, to)) {
				t.Errorf("%v reaches %v by %v", e.side(from), e.side(to), ports)
			}
		}
	}
	return !t.Failed()
}

func sameCells(a, b []Cell) bool {
	a, b = disjoint(a), disjoint(b)
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x Cell) bool {
		return !slices.ContainsFunc(b, func(y Cell) bool { return x.Ports.Equal(y.Ports) && x.Peers.Equals(y.Peers) })
	})
}

func sameFinds(t *testing.T, got, want *Engine) bool {
	t.Helper()
	for _, name := range []string{Internet, "10.0.0.0/8", "10.1.2.3", "ns/a", "app=x", "a/pod-0", "c/pod-3"} {
		a, errA := got.Find(name, "")
		b, errB := want.Find(name, "")
		if fmt.Sprint(a, errA) != fmt.Sprint(b, errB) {
			t.Errorf("%s is %v, %v, not %v, %v", name, a, errA, b, errB)
		}
		for _, s := range a {
			x, okX := got.End(s)
			y, okY := want.End(s)
			if okX != okY || okX && !slices.Equal(got.Pods(x), want.Pods(y)) {
				t.Errorf("%v is another end", s)
			}
		}
	}
	return !t.Failed()
}
