package reach

import (
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// clustersVariable is the environment variable that says how many random clusters are
// compared, from a random seed; make fuzz-net sets it.
const clustersVariable = "BULKHEAD_NET_CLUSTERS"

// counts are what was compared.
type counts struct{ clusters, pairs, answers, yes, explained, refused int }

// TestTwin compares the engine with the plain evaluator on random clusters.
func TestTwin(t *testing.T) {
	clusters, seed := 400, uint64(1)
	if text := os.Getenv(clustersVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s is no number: %v", clustersVariable, err)
		}
		clusters, seed = n, uint64(time.Now().UnixNano())
	}
	t.Logf("seeds from %d", seed)
	var n counts
	for i := range uint64(clusters) {
		profile := Profiles[i%uint64(len(Profiles))]
		if d := deal(seed+i, profile); !compare(t, d, &n) {
			t.Fatalf("seed %d, %s", seed+i, profile.Name)
		}
	}
	t.Logf("%+v", n)
	if n.refused == 0 || n.yes == 0 || n.yes == n.answers {
		t.Error("the clusters are all alike")
	}
}

// sides are the ends of a cluster: what the twin and what the engine have.
type sides struct {
	twin twinSide
	side Side
	end  End
}

// compare asks both about every pair of sides at every port where an answer may change.
func compare(t *testing.T, d *dealer, n *counts) bool {
	c := d.cluster()
	e := New(c)
	all := d.sides(t, e)
	d.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:min(len(all), 28)]
	if len(c.Problems) != len(d.refused) {
		t.Errorf("refused %v, the problems are %v", d.refused, c.Problems)
	}
	ports := portsOf(d)
	n.clusters++
	n.refused += len(d.refused)
	for _, from := range all {
		for _, to := range all {
			if from.twin.pod == nil && to.twin.pod == nil {
				continue
			}
			n.pairs++
			allowed := e.Allowed(from.end, to.end)
			for _, port := range ports {
				for i, protocol := range protocolNames {
					egress, ingress := d.w.reaches(from.twin, to.twin, protocol, port)
					want := egress.allowed && ingress.allowed
					n.answers++
					if want {
						n.yes++
					}
					if got := allowed.Contains(Protocol(i), uint16(port)); got != want {
						t.Errorf("%v to %v by %s %d: the engine says %v, the twin %v: %+v, %+v", from.twin, to.twin, protocol, port, got, want, egress, ingress)
						return false
					}
					if (n.answers+i)%7 == 0 {
						n.explained++
						if !sameReasons(t, d, c, from, to, protocol, port, egress, ingress) {
							return false
						}
					}
				}
			}
		}
	}
	return sameConnections(t, e) && !t.Failed()
}

// sides pairs what the twin knows with what the engine has.
func (d *dealer) sides(t *testing.T, e *Engine) (out []sides) {
	if len(e.Cluster.Pods) != len(d.w.pods) {
		t.Fatalf("%d pods of the engine, %d of the twin", len(e.Cluster.Pods), len(d.w.pods))
	}
	for i := range d.w.pods {
		p := &d.w.pods[i]
		n := slices.IndexFunc(e.Cluster.Pods, func(x *Pod) bool {
			return x.Namespace == p.Namespace && x.Object.Name == p.Name && x.Object.Kind == p.kind
		})
		if n < 0 {
			t.Fatalf("the engine has no pod %s/%s", p.Namespace, p.Name)
		}
		out = append(out, sides{twinSide{pod: p}, Side{Pod: e.Cluster.Pods[n]}, e.PodEnd(n)})
	}
	addresses := d.addresses()
	d.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	addresses = addresses[:15]
	for _, a := range dealtNodes {
		addresses = append(addresses, netip.MustParseAddr(a))
	}
	for _, a := range addresses {
		out = append(out, sides{twinSide{address: a}, Side{Address: a}, e.AddressEnd(a)})
	}
	return out
}

// portsOf are the ports at which an answer may change: all bounds are dealt ones.
func portsOf(d *dealer) (out []int32) {
	for _, p := range dealtPorts {
		for _, n := range []int32{p - 1, p, p + 1} {
			if n >= 1 && n <= lastPort && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	d.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:9]
}

// sameReasons compares an explanation with what the twin names.
func sameReasons(t *testing.T, d *dealer, c *Cluster, from, to sides, protocol corev1.Protocol, port int32, egress, ingress twinReason) bool {
	p, err := ParseProtocol(protocol)
	if err != nil {
		t.Fatal(err)
	}
	got := c.Explain(from.side, to.side, p, uint16(port))
	exempt := d.w.exempt(from.twin, to.twin)
	if want := exempt || egress.allowed && ingress.allowed; got.Allowed != want {
		t.Errorf("%v to %v by %s %d: explained as %v, the twin says %v (exempt %v)", from.twin, to.twin, protocol, port, got.Allowed, want, exempt)
		return false
	}
	for _, of := range []struct {
		name string
		got  Reason
		want twinReason
	}{{"egress", got.Egress, egress}, {"ingress", got.Ingress, ingress}} {
		var rules, isolated []string
		for _, r := range of.got.Rules {
			rules = append(rules, nameOf(r))
		}
		passed := ""
		for _, r := range of.got.Passed {
			passed += nameOf(r)
		}
		for _, p := range of.got.Isolated {
			isolated = append(isolated, p.Namespace+"/"+p.Name)
		}
		for _, names := range [][]string{rules, isolated, of.want.rules, of.want.isolated} {
			slices.Sort(names)
		}
		if of.got.Allowed != of.want.allowed || passed != of.want.passed || of.got.Basis != of.want.basis || !slices.Equal(rules, of.want.rules) || !slices.Equal(isolated, of.want.isolated) {
			t.Errorf("%s of %v to %v by %s %d: explained by %v, %v, %v, %v; the twin says %+v", of.name, from.twin, to.twin, protocol, port, of.got.Allowed, of.got.Basis, rules, isolated, of.want)
			return false
		}
	}
	return true
}

func nameOf(r RuleRef) string {
	if r.Tier != nil {
		return ruleName(r.Tier.Object.Kind, r.Tier.Name, r.Rule.Index)
	}
	return ruleName("NetworkPolicy", r.Policy.Namespace+"/"+r.Policy.Name, r.Rule.Index)
}

// sameConnections compares the map with the answers for each pair.
func sameConnections(t *testing.T, e *Engine) bool {
	ends := int(e.everybody.GetCardinality())
	visited := 0
	e.Connections(func(to End, from []Cell) {
		visited++
		seen := map[string]bool{}
		for _, c := range from {
			if c.Ports.Empty() || c.Peers.IsEmpty() || seen[c.Ports.String()] {
				t.Errorf("to %d: a cell is empty, or there twice: %v", to.number, c.Ports)
			}
			seen[c.Ports.String()] = true
		}
		for it := e.everybody.Iterator(); it.HasNext(); {
			i := it.Next()
			var got Ports
			for _, c := range from {
				if c.Peers.Contains(i) {
					got = got.Union(c.Ports)
				}
			}
			if want := e.Allowed(End{i}, to); !got.Equal(want) {
				t.Errorf("from %d to %d: the map says %v, the answer is %v", i, to.number, got, want)
			}
		}
	})
	if visited != ends {
		t.Errorf("visited %d ends of %d", visited, ends)
	}
	return !t.Failed()
}
