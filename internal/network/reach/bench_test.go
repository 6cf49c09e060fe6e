package reach

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// shape is a cluster of namespaces that are all alike: so many pods and policies in each.
type shape struct {
	name                       string
	namespaces, pods, policies int
	// mixed adds blocks, named ports, expressions, addresses and policies of tiers.
	mixed bool
	// spread gives each namespace blocks of its own, and a peer that is named.
	spread bool
	// fenced gives each namespace a block of its own, out of which its pods may send to all
	// but it.
	fenced bool
}

// shapes are those that others were timed on, and one with all that takes time.
var shapes = []shape{
	{name: "1k pods, 400 policies", namespaces: 100, pods: 10, policies: 4},
	{name: "10k pods, 3k policies", namespaces: 750, pods: 13, policies: 4},
	{name: "10k pods, 3k policies, mixed", namespaces: 750, pods: 13, policies: 4, mixed: true},
	{name: "10k pods, 3k policies, spread", namespaces: 750, pods: 13, policies: 4, mixed: true, spread: true},
	{name: "100k pods, 75k policies", namespaces: 25000, pods: 4, policies: 3},
	{name: "100k pods, 75k policies, fenced", namespaces: 25000, pods: 4, policies: 3, fenced: true},
}

func labelled1(key, value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

// cluster makes the pods and policies.
func (s shape) cluster(tb testing.TB) *Cluster {
	c := &Cluster{Namespaces: map[string]*Namespace{}, Nodes: map[string]*Node{}, Profile: Upstream}
	for i := range s.namespaces {
		ns := fmt.Sprintf("ns-%05d", i)
		team := fmt.Sprint("t", i%10)
		c.Namespaces[ns] = &Namespace{ns, map[string]string{"kubernetes.io/metadata.name": ns, "team": team}, true}
		for j := range s.pods {
			p := &Pod{Namespace: ns, Kind: "Deployment", Name: fmt.Sprintf("app-%d", j), Named: map[NamedPort]uint16{{TCP, "http"}: 8080},
				Labels: map[string]string{"app": fmt.Sprintf("app-%d", j), "tier": []string{"front", "back", "db"}[j%3]}}
			if s.mixed || s.fenced {
				p.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), byte(j)})}
			}
			if s.mixed {
				p.Named[NamedPort{TCP, "http"}] = uint16(8080 + j%3)
			}
			c.Pods = append(c.Pods, p)
		}
		for n, spec := range s.specs(i, team) {
			p, _, err := newPolicy(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprint("p", n)}, Spec: spec})
			if err != nil {
				tb.Fatal(err)
			}
			c.Policies = append(c.Policies, p)
		}
	}
	if s.mixed {
		for i := range 20 {
			all, tenth := labels.Everything(), labels.SelectorFromSet(labels.Set{"team": fmt.Sprint("t", i%10)})
			p := &TierPolicy{Name: fmt.Sprint("tier-", i), Priority: int32(i), Namespaces: tenth, Pods: all}
			p.Rules[Ingress] = []*Rule{{Action: Action(i % 3), Peers: []Peer{{Namespaces: tenth, Pods: labels.SelectorFromSet(labels.Set{"tier": "db"}), Tier: true}}, Ports: []PortRule{{Protocol: TCP, From: 5432, To: 5432}}}}
			p.Rules[Egress] = []*Rule{{Action: Deny, AllPorts: true, Peers: []Peer{{Block: netip.MustParsePrefix("169.254.169.254/32"), Tier: true}}}}
			c.Admin = append(c.Admin, p)
		}
	}
	return c
}

// specs are a default deny, what the back end receives, a way to the resolver, and what the
// front end sends and receives.
func (s shape) specs(i int, team string) []networkingv1.NetworkPolicySpec {
	port, dns := intstr.FromInt32(8080), intstr.FromInt32(53)
	if s.mixed {
		port = intstr.FromString("http")
	}
	to := []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}
	if s.mixed {
		to = append(to, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8", fmt.Sprintf("172.16.%d.0/24", i%100)}}},
			networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}, PodSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "tier", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"db"}}, {Key: "app", Operator: metav1.LabelSelectorOpExists}}}})
	}
	if s.fenced {
		to = append(to, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{fmt.Sprintf("10.%d.%d.0/24", i>>8, i&255)}}})
	}
	from := []networkingv1.NetworkPolicyPeer{{NamespaceSelector: labelled1("team", team)}}
	if s.spread {
		from = append(from, networkingv1.NetworkPolicyPeer{NamespaceSelector: labelled1("kubernetes.io/metadata.name", fmt.Sprintf("ns-%05d", (i+7)%s.namespaces))})
		own := fmt.Sprintf("10.%d.%d.", i>>8, i&255)
		to = append(to, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: own + "1/32"}},
			networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{own + "2/32"}}})
	}
	return []networkingv1.NetworkPolicySpec{
		{PolicyTypes: []networkingv1.PolicyType{"Ingress", "Egress"}},
		{PodSelector: *labelled1("tier", "back"), Ingress: []networkingv1.NetworkPolicyIngressRule{{
			From: []networkingv1.NetworkPolicyPeer{{PodSelector: labelled1("tier", "front")}}, Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}}}},
		{PolicyTypes: []networkingv1.PolicyType{"Ingress", "Egress"}, PodSelector: *labelled1("tier", "front"),
			Ingress: []networkingv1.NetworkPolicyIngressRule{{From: from}},
			Egress:  []networkingv1.NetworkPolicyEgressRule{{To: to}}},
		{PolicyTypes: []networkingv1.PolicyType{"Egress"}, Egress: []networkingv1.NetworkPolicyEgressRule{{
			To: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: labelled1("kubernetes.io/metadata.name", "ns-00000")}}, Ports: []networkingv1.NetworkPolicyPort{{Port: &dns}}}}},
	}[:s.policies]
}

// BenchmarkConnections builds the engine and visits every connection. heap-MB is what the
// engine keeps, beside the cluster that it was made of; B/op is no less than it ever takes.
func BenchmarkConnections(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			c := s.cluster(b)
			before := heap()
			var e *Engine
			cells := 0
			b.ReportAllocs()
			for b.Loop() {
				cells = 0
				e = New(c)
				e.Connections(func(_ End, from []Cell) { cells += len(from) })
			}
			b.ReportMetric(float64(heap()-before)/(1<<20), "heap-MB")
			b.ReportMetric(float64(e.everybody.Rank(uint32(len(e.classes)-1))), "classes")
			b.ReportMetric(float64(cells), "cells")
			runtime.KeepAlive(c)
		})
	}
}

// BenchmarkMap builds the engine and lists all that is allowed by workloads. What is listed
// grows with flows and the peers of each.
func BenchmarkMap(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			c := s.cluster(b)
			before := heap()
			var flows []Flow
			b.ReportAllocs()
			for b.Loop() {
				flows = New(c).Map()
			}
			b.ReportMetric(float64(heap()-before)/(1<<20), "heap-MB")
			peers := 0
			for _, f := range flows {
				peers += len(f.From.Workloads) + len(f.From.Addresses) + len(f.Addresses)
			}
			b.ReportMetric(float64(len(flows)), "flows")
			b.ReportMetric(float64(peers), "peers")
			runtime.KeepAlive(c)
		})
	}
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkQuestion asks who may reach whom, by all ports, and for an explanation.
func BenchmarkQuestion(b *testing.B) {
	c := shapes[2].cluster(b)
	e := New(c)
	r := rand.New(rand.NewPCG(1, 2))
	b.Run("allowed", func(b *testing.B) {
		for b.Loop() {
			e.Allowed(e.PodEnd(r.IntN(len(c.Pods))), e.PodEnd(r.IntN(len(c.Pods))))
		}
	})
	b.Run("explained", func(b *testing.B) {
		for b.Loop() {
			c.Explain(Side{Pod: c.Pods[r.IntN(len(c.Pods))]}, Side{Pod: c.Pods[r.IntN(len(c.Pods))]}, TCP, 8080)
		}
	})
	b.Run("unknown", func(b *testing.B) {
		for b.Loop() {
			e.Unknown(e.PodEnd(r.IntN(len(c.Pods))), e.PodEnd(r.IntN(len(c.Pods))))
		}
	})
}
