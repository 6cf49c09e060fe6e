package intent

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// dealer writes random clusters and random assertions.
type dealer struct {
	*rand.Rand
	out strings.Builder
}

func (d *dealer) of(texts ...string) string { return texts[d.IntN(len(texts))] }

func (d *dealer) chance(percent int) bool { return d.IntN(100) < percent }

func (d *dealer) object(format string, a ...any) {
	fmt.Fprintf(&d.out, format+"\n---\n", a...)
}

func (d *dealer) label(key string) string { return key + ": " + d.of("x", "v", "z") }

func (d *dealer) selector(keys ...string) string {
	switch d.IntN(5) {
	case 0:
		return "{}"
	case 1:
		return fmt.Sprintf("{matchExpressions: [{key: %s, operator: %s}]}", d.of(keys...), d.of("Exists", "DoesNotExist", "NotIn, values: [x]", "In, values: [x, v]"))
	}
	return fmt.Sprintf("{matchLabels: {%s}}", d.label(d.of(keys...)))
}

func (d *dealer) peer() string {
	switch d.IntN(5) {
	case 0:
		return "{podSelector: " + d.selector("app", "tier") + "}"
	case 1:
		return "{namespaceSelector: " + d.selector("team") + "}"
	case 2:
		return "{namespaceSelector: " + d.selector("team") + ", podSelector: " + d.selector("app", "tier") + "}"
	}
	return "{ipBlock: {cidr: " + d.of("0.0.0.0/0", "10.0.0.0/8", "8.8.8.0/24", "10.1.0.0/16", "::/0", "0.0.0.0/0, except: [10.0.0.0/8]") + "}}"
}

func (d *dealer) list(n int, one func() string) string {
	var out []string
	for range d.IntN(n + 1) {
		out = append(out, one())
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func (d *dealer) rules(peers string) string {
	return d.list(2, func() string {
		return "{" + peers + ": " + d.list(2, d.peer) + ", ports: " + d.list(2, func() string {
			return d.of("{port: 80}", "{port: 53, protocol: UDP}", "{port: 80, endPort: 443}", "{protocol: TCP}", "{port: web}", "{port: 53}")
		}) + "}"
	})
}

func (d *dealer) cluster() string {
	namespaces := []string{"a", "b", "c"}[:1+d.IntN(3)]
	for _, ns := range namespaces {
		if d.chance(80) {
			d.object("{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {%s}}}", ns, d.label("team"))
		}
	}
	for i := range d.IntN(3) {
		d.object("{apiVersion: v1, kind: Node, metadata: {name: n%d}, status: {addresses: [{type: InternalIP, address: 192.168.0.%d}]}}", i, i)
	}
	for i := range 1 + d.IntN(7) {
		spec := "containers: [{name: c, image: i, ports: [{name: web, containerPort: " + d.of("80", "443") + "}" + d.of("", "", "", ", {name: web, containerPort: 81}") + "]}]"
		labels := "{" + d.label("app") + d.of("", ", "+d.label("tier")) + "}"
		ns := d.of(namespaces...)
		if d.chance(30) {
			d.object("{apiVersion: apps/v1, kind: Deployment, metadata: {name: p%d, namespace: %s}, spec: {template: {metadata: {labels: %s}, spec: {%s}}}}", i, ns, labels, spec)
			continue
		}
		status := d.of("{podIP: 10.1.0.%d}", "{podIP: 10.1.0.%d}", "{podIP: 10.2.0.%d}", "{phase: Pending, hostIP: 10.9.9.%d}", "{podIP: 10.1.0.%d, podIPs: [{ip: 'fd00::9'}]}")
		host := ""
		if d.chance(15) {
			host = ", hostNetwork: true"
		}
		d.object("{apiVersion: v1, kind: Pod, metadata: {name: p%d, namespace: %s, labels: %s}, spec: {nodeName: %s, %s%s}, status: %s}", i, ns, labels, d.of("n0", "n1"), spec, host, fmt.Sprintf(status, i))
	}
	for i := range d.IntN(6) {
		d.object("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: np%d, namespace: %s}, spec: {podSelector: %s, policyTypes: %s, ingress: %s, egress: %s}}",
			i, d.of(namespaces...), d.selector("app", "tier"), d.of("[Ingress]", "[Egress]", "[Ingress, Egress]"), d.rules("from"), d.rules("to"))
	}
	for i := range d.IntN(3) {
		if d.chance(40) {
			d.object("{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: t%d}, spec: {tier: %s, priority: %d, subject: {namespaces: %s}, ingress: [{action: %s, from: [{namespaces: %s}]}], egress: [{action: %s, to: [{%s}]}]}}",
				i, d.of("Admin", "Baseline"), d.IntN(2), d.selector("team"), d.of("Accept", "Deny", "Pass"), d.selector("team"), d.of("Deny", "Pass"), d.of("networks: [10.1.0.0/16]", "namespaces: "+d.selector("team")))
		}
	}
	if d.chance(8) {
		d.object("{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: c, namespace: a}, spec: {endpointSelector: %s}}", d.selector("app"))
	}
	return d.out.String()
}

func (d *dealer) end() string {
	return d.of("app=x", "app=v", "tier=x", "'app in (x,v)'", "ns/a", "ns/b", "a/p0", "internet", "10.1.0.0/16", "8.8.8.8", "10.1.0.1", "'!tier'")
}

func (d *dealer) ends() string {
	a, b := d.end(), d.end()
	if d.chance(60) || a == b {
		return a
	}
	return "[" + a + ", " + b + "]"
}

func (d *dealer) assertion() string {
	scope := d.of("", "", "namespace: a, ")
	ports := d.of("", ", ports: [80]", ", ports: [80, 53/UDP]", ", ports: [80-443]")
	switch d.IntN(9) {
	case 0, 1:
		return "{" + scope + "only: {from: " + d.ends() + ", to: " + d.ends() + ports + "}}"
	case 2, 3:
		return "{" + scope + "deny: {from: " + d.ends() + ", to: " + d.ends() + ports + "}}"
	case 4, 5:
		return "{" + scope + "allow: {from: " + d.ends() + ", to: " + d.ends() + d.of(", ports: [80]", ", ports: [80, 53/UDP]", ", ports: [80-443]") + "}}"
	case 6:
		return "{" + scope + "isolated: " + d.of("a", "{namespace: b, egress: true}", "{namespace: a, except: [internet]}") + "}"
	case 7:
		return "{" + scope + "tiers: " + d.of("[app=x, app=v, app=z]", "{order: [tier=x, tier=v], within: true}", "[ns/a, 'app in (v,z)']") + "}"
	}
	return "{" + scope + "internetOnlyBy: [" + d.of("", "app=x", "ns/a") + "]}"
}

func world(t *testing.T, text string) *model.World {
	t.Helper()
	file := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text))
	if len(file.Problems) > 0 {
		t.Fatalf("%+v in\n%s", file.Problems, text)
	}
	return model.NewWorld(file.Objects, model.WorldOptions{})
}

func parse(t *testing.T, text string) ([]*Assertion, error) {
	t.Helper()
	return Parse(world(t, text).Kind(Kind)[0], "")
}

// brute evaluates assertions pair by pair, port by port.
type brute struct {
	*reach.Cluster
	engine *reach.Engine
	all    []reach.Side
}

// addresses are at both sides of every bound that the dealer writes.
var addresses = []string{"0.0.0.1", "8.8.7.255", "8.8.8.0", "8.8.8.7", "8.8.8.8", "8.8.8.9", "8.8.9.0", "9.255.255.255", "10.0.0.0", "10.0.255.255", "10.1.0.1", "10.1.0.99", "10.1.255.255", "10.2.0.99", "10.255.255.255", "11.0.0.0",
	"172.16.0.1", "192.168.0.0", "192.168.0.1", "192.168.0.2", "192.168.0.9", "223.255.255.255", "255.255.255.255", "2000::1", "fd00::1", "2001:db8::1"}

var ports = []uint16{1, 52, 53, 54, 79, 80, 81, 100, 443, 444, 65535}

func newBrute(e *reach.Engine) *brute {
	b := &brute{Cluster: e.Cluster, engine: e}
	for _, p := range e.Cluster.Pods {
		b.all = append(b.all, reach.Side{Pod: p})
	}
	for _, a := range addresses {
		if slices.ContainsFunc(e.Cluster.Pods, func(p *reach.Pod) bool { return !p.HostNetwork && slices.Contains(p.Addresses, netip.MustParseAddr(a)) }) {
			continue
		}
		b.all = append(b.all, reach.Side{Address: netip.MustParseAddr(a)})
	}
	return b
}

// private are the addresses that do not come from the internet, of those above.
func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !netip.MustParsePrefix("2001:db8::/32").Contains(a) && a.String() != "0.0.0.1"
}

// matches reports whether a side is one of some ends, as one would read them.
func (b *brute) matches(s reach.Side, ends Ends, namespace string) bool {
	return slices.ContainsFunc(ends, func(end string) bool {
		if s.Pod == nil {
			if p, err := netip.ParsePrefix(end); err == nil {
				return p.Contains(s.Address)
			}
			return end == reach.Internet && public(s.Address) || end == s.Address.String()
		}
		l := s.Pod.Labels
		switch end {
		case "ns/a", "ns/b":
			return s.Pod.Namespace == end[3:]
		case "a/p0":
			return s.Pod.Namespace == "a" && s.Pod.Name == "p0"
		case "10.1.0.1":
			return slices.Contains(s.Pod.Addresses, netip.MustParseAddr(end))
		case "app in (x,v)", "app in (v,z)":
			return (namespace == "" || namespace == s.Pod.Namespace) && l["app"] != "" && strings.Contains(end[7:], l["app"])
		case "!tier":
			return (namespace == "" || namespace == s.Pod.Namespace) && l["tier"] == ""
		}
		key, value, selector := strings.Cut(end, "=")
		return selector && (namespace == "" || namespace == s.Pod.Namespace) && l[key] == value
	})
}

// sound are whether a claim is broken for sure, and whether it may be.
type sound struct{ broken, doubtful bool }

// pairs asks every pair of sides that two conditions choose; wrong says of a port whether
// that it arrives, or does not, breaks the claim.
func (b *brute) pairs(from, to func(reach.Side) bool, in func(reach.Protocol, uint16) bool, must bool) (out sound, some, doubts bool) {
	for _, f := range b.all {
		for _, t := range b.all {
			if !from(f) || !to(t) || f.Pod == nil && t.Pod == nil || b.Exempt(f, t) {
				continue
			}
			doubt := len(b.engine.UnknownBetween(f, t)) > 0
			doubts = doubts || doubt
			for _, protocol := range []reach.Protocol{reach.TCP, reach.UDP, reach.SCTP} {
				for _, port := range ports {
					if !in(protocol, port) {
						continue
					}
					x := b.Explain(f, t, protocol, port)
					arrives := x.Egress.Allowed && x.Ingress.Allowed
					some = some || arrives && !doubt
					out.broken = out.broken || arrives != must && !doubt
				}
			}
		}
	}
	out.doubtful = doubts
	return out, some, doubts
}

func (b *brute) verdict(a *Assertion) Verdict {
	anybody := func(ends Ends) bool {
		return !slices.ContainsFunc(ends, func(end string) bool {
			return !strings.Contains(end, ".") && end != reach.Internet && !slices.ContainsFunc(b.all, func(s reach.Side) bool { return b.matches(s, Ends{end}, a.Namespace) })
		})
	}
	is := func(ends Ends) func(reach.Side) bool {
		return func(s reach.Side) bool { return b.matches(s, ends, a.Namespace) }
	}
	ofNamespace := func(s reach.Side) bool { return s.Pod != nil && s.Pod.Namespace == a.In }
	outside := func(s reach.Side) bool { return !ofNamespace(s) && !b.matches(s, a.Except, a.Namespace) }
	all := func(reach.Protocol, uint16) bool { return true }
	var parts []sound
	add := func(from, to func(reach.Side) bool, in func(reach.Protocol, uint16) bool, must bool) {
		one, _, _ := b.pairs(from, to, in, must)
		parts = append(parts, one)
	}
	hasPod := func(ends Ends) bool {
		return slices.ContainsFunc(b.all, func(s reach.Side) bool { return s.Pod != nil && b.matches(s, ends, a.Namespace) })
	}
	switch a.Form {
	case Only, Deny, Allow:
		if !anybody(a.From) || !anybody(a.To) || !hasPod(a.From) && !hasPod(a.To) {
			return Unknown
		}
		if a.Form != Only {
			add(is(a.From), is(a.To), a.Ports.Contains, a.Form == Allow)
			break
		}
		add(func(s reach.Side) bool { return !b.matches(s, a.From, a.Namespace) }, is(a.To), all, false)
		if !a.Ports.All() {
			add(is(a.From), is(a.To), func(p reach.Protocol, n uint16) bool { return !a.Ports.Contains(p, n) }, false)
		}
		if one, some, doubts := b.pairs(is(a.From), is(a.To), a.Ports.Contains, true); !some {
			parts = append(parts, sound{one.broken && !doubts, doubts})
		}
	case Isolated:
		if !slices.ContainsFunc(b.all, ofNamespace) || !anybody(a.Except) {
			return Unknown
		}
		add(outside, ofNamespace, all, false)
		if a.Egress {
			add(ofNamespace, outside, all, false)
		}
	case Tiers:
		for i, from := range a.Order {
			if !anybody(from) {
				return Unknown
			}
			for j, to := range a.Order {
				if j != i+1 && (i != j || !a.Within) {
					add(is(from), is(to), all, false)
				}
			}
		}
	case InternetOnlyBy:
		of := func(s reach.Side) bool { return s.Pod != nil && (a.Namespace == "" || s.Pod.Namespace == a.Namespace) }
		if !anybody(a.From) || !slices.ContainsFunc(b.all, of) {
			return Unknown
		}
		add(func(s reach.Side) bool { return of(s) && !b.matches(s, a.From, a.Namespace) }, is(Ends{reach.Internet}), all, false)
	}
	verdict := Holds
	for _, p := range parts {
		if p.broken {
			return Refuted
		}
		if p.doubtful {
			verdict = Unknown
		}
	}
	return verdict
}

// TestVerdictsAreThoseOfEveryPair compares random assertions about random clusters with
// what is found by asking each pair of pods and addresses at each port.
func TestVerdictsAreThoseOfEveryPair(t *testing.T) {
	counts, examples := map[Form]map[Verdict]int{}, 0
	for seed := range uint64(600) {
		d := &dealer{Rand: rand.New(rand.NewPCG(seed, 7))}
		text := d.cluster()
		w := world(t, text)
		e := reach.New(reach.NewCluster(w, reach.Profiles[seed%uint64(len(reach.Profiles))]))
		var file strings.Builder
		file.WriteString("apiVersion: bulkhead.dev/v1\nkind: NetworkCheck\nspec:\n  assertions:\n")
		for range 12 {
			file.WriteString("    - " + d.assertion() + "\n")
		}
		assertions, err := parse(t, file.String())
		if err != nil {
			t.Fatalf("%v in\n%s", err, file.String())
		}
		b := newBrute(e)
		for _, r := range Prove(e, w, assertions, nil) {
			want := b.verdict(r.Assertion)
			if counts[r.Assertion.Form] == nil {
				counts[r.Assertion.Form] = map[Verdict]int{}
			}
			counts[r.Assertion.Form][want]++
			if r.Verdict != want {
				t.Fatalf("seed %d: %s (line %d, namespace %q): %s, want %s: %v %v\n%s\n%s", seed, r.Assertion.Name, r.Assertion.At.Line, r.Assertion.Namespace, r.Verdict, want, r.Why, r.Counterexamples, file.String(), text)
			}
			if r.Verdict != Refuted {
				continue
			}
			if len(r.Counterexamples) == 0 {
				t.Errorf("seed %d: %s is refuted by nothing: %v", seed, r.Assertion.Name, r.Why)
			}
			for _, x := range r.Counterexamples {
				examples++
				why := e.Cluster.Explain(x.From, x.To, x.Protocol, x.Port)
				if why.Allowed == x.Stopped || len(e.UnknownBetween(x.From, x.To)) > 0 {
					t.Errorf("seed %d: %s: %v to %v by %v %d is no counterexample: %+v", seed, r.Assertion.Name, x.From, x.To, x.Protocol, x.Port, why)
				}
			}
		}
	}
	t.Logf("%v, %d counterexamples", counts, examples)
	for form, of := range counts {
		if of[Holds] == 0 || of[Refuted] == 0 || of[Unknown] == 0 {
			t.Errorf("%s is all alike: %v", form, of)
		}
	}
}
