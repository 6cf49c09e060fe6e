package entry

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// TestTwin compares the ways into random clusters with those that are found by going
// through them pod by pod, port by port and, of addresses, bound by bound.
func TestTwin(t *testing.T) {
	verdicts := map[string]int{}
	for seed := range uint64(600) {
		text := randomWorld(rand.New(rand.NewPCG(seed, 3)))
		w := world(t, text, model.WorldOptions{})
		c := reach.NewCluster(w, reach.Upstream)
		e := reach.New(c)
		var got []string
		for _, way := range New(w, e).Entries {
			for _, b := range way.Backends {
				for _, p := range b.Pods {
					line := fmt.Sprintf("%s %s %d -> %s:%d %s", way.String(), way.Type, way.Port, p, b.Port, b.Verdict)
					got = append(got, line)
					verdicts[b.Verdict.String()]++
				}
			}
		}
		want := (&twin{c, e, w, bounds(c)}).entries()
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			for _, line := range got {
				if !slices.Contains(want, line) {
					t.Errorf("seed %d: only the reader has %s", seed, line)
				}
			}
			for _, line := range want {
				if !slices.Contains(got, line) {
					t.Errorf("seed %d: only the twin has %s", seed, line)
				}
			}
			t.Fatalf("of %s", text)
		}
	}
	t.Log(verdicts)
	for _, v := range []Verdict{Allowed, Denied, Unknown} {
		if verdicts[v.String()] < 500 {
			t.Errorf("only %d are %s: the clusters say little", verdicts[v.String()], v)
		}
	}
}

// randomWorld has pods of three namespaces, one with the pods of ingress-nginx, policies,
// Services and Ingresses.
func randomWorld(r *rand.Rand) string {
	var out strings.Builder
	one := func(n int) bool { return r.IntN(n) == 0 }
	of := func(texts ...string) string { return texts[r.IntN(len(texts))] }
	write := func(format string, a ...any) { fmt.Fprintf(&out, "\n---\n"+format+"\n", a...) }
	spaces := []string{"a", "b"}
	for _, ns := range append(spaces, "ingress") {
		write("{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {team: %s}}}", ns, of("red", "blue"))
	}
	write("{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx}, spec: {controller: k8s.io/ingress-nginx}}")
	pod := func(ns, name, labels string) {
		hostNetwork := ""
		if one(12) {
			hostNetwork = "hostNetwork: true, "
		}
		hostPort := ""
		if one(5) {
			hostPort = fmt.Sprintf(", hostPort: %d", 8080+r.IntN(2))
		}
		if hostNetwork != "" {
			hostPort = ""
		}
		write("{apiVersion: apps/v1, kind: Deployment, metadata: {name: %s, namespace: %s}, spec: {template: {metadata: {labels: {%s}}, spec: {%scontainers: [{name: c, image: i, ports: [{name: %s, containerPort: %d%s}]}]}}}}",
			name, ns, labels, hostNetwork, of("http", "web"), 8080+r.IntN(2), hostPort)
	}
	for _, ns := range spaces {
		for i := range 3 {
			pod(ns, fmt.Sprint("d", i), fmt.Sprintf("app: %s, tier: %s", of("p", "q"), of("front", "back")))
		}
	}
	if !one(4) {
		pod("ingress", "nginx", "app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller")
		write("{apiVersion: v1, kind: Service, metadata: {name: nginx, namespace: ingress}, spec: {type: LoadBalancer, allocateLoadBalancerNodePorts: false, externalTrafficPolicy: %s, selector: {app.kubernetes.io/name: ingress-nginx}, ports: [{port: 80, targetPort: %d}]}}",
			of("Local", "Cluster"), 8080+r.IntN(2))
	}
	block := func() string { return of("0.0.0.0/0", "203.0.113.0/24", "198.51.0.0/16", "10.0.0.0/8", "5.0.0.0/8") }
	for i := range r.IntN(6) {
		peer := of("podSelector: {}", "podSelector: {matchLabels: {app: p}}", "namespaceSelector: {}", "namespaceSelector: {matchLabels: {team: red}}", "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}", "ipBlock: {cidr: "+block()+"}", "ipBlock: {cidr: "+block()+"}")
		rule := of("", "{}", "{from: [{"+peer+"}]}", "{from: [{"+peer+"}]}", "{from: [{"+peer+"}], ports: [{port: "+of("8080", "8081", "http", "web")+"}]}")
		types, direction := "Ingress", "ingress"
		if one(4) {
			types, direction, rule = "Egress", "egress", strings.Replace(rule, "from", "to", 1)
		}
		write("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: n%d, namespace: %s}, spec: {podSelector: {%s}, policyTypes: [%s], %s: [%s]}}",
			i, of("a", "b", "a", "b", "ingress"), of("", "matchLabels: {app: p}", "matchLabels: {tier: back}"), types, direction, rule)
	}
	for i := range 4 {
		extra := of("", "type: NodePort, ", "type: LoadBalancer, ", "type: LoadBalancer, loadBalancerSourceRanges: ["+of("203.0.113.0/25", "198.51.7.0/24", "0.0.0.0/0")+"], ")
		if strings.Contains(extra, "type") && one(2) {
			extra += "externalTrafficPolicy: Local, "
		}
		if one(5) {
			extra += "externalIPs: [" + of("198.51.100.1", "9.9.9.9", "10.1.1.1") + "], "
		}
		write("{apiVersion: v1, kind: Service, metadata: {name: s%d, namespace: %s}, spec: {%sselector: {%s}, ports: [{name: one, port: 80, targetPort: %s}]}}",
			i, of("a", "b"), extra, of("app: p", "app: q", "tier: front", "app: p, tier: back"), of("8080", "8081", "http", "web"))
		write("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i%d, namespace: %s}, spec: {ingressClassName: nginx, defaultBackend: {service: {name: s%d, port: {name: one}}}}}", i, of("a", "b"), r.IntN(4))
	}
	return out.String()
}

// bounds are addresses at which something may change: the first and last of each block, and
// their neighbours.
func bounds(c *reach.Cluster) (out []netip.Addr) {
	all := blocks("0.0.0.0/0", "::/0", "203.0.113.0/25", "198.51.7.0/24", "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
	for _, p := range c.Policies {
		for _, r := range append(p.Rules[reach.Ingress], p.Rules[reach.Egress]...) {
			for _, peer := range r.Peers {
				if peer.Block.IsValid() {
					all = append(all, peer.Block)
				}
			}
		}
	}
	for _, b := range all {
		for _, a := range []netip.Addr{b.Addr(), b.Addr().Prev(), netipx.PrefixLastIP(b), netipx.PrefixLastIP(b).Next()} {
			if a.IsValid() {
				out = append(out, a)
			}
		}
	}
	return out
}

// twin finds ways in by going through everything.
type twin struct {
	cluster *reach.Cluster
	// engine says what is not known of two pods.
	engine *reach.Engine
	world  *model.World
	bounds []netip.Addr
}

type twinService struct {
	object *model.Object
	target string
}

func (s *twinService) led(c *reach.Cluster) map[*reach.Pod]uint16 {
	out := map[*reach.Pod]uint16{}
	for _, p := range c.Pods {
		if p.Namespace != s.object.Namespace || !labels.SelectorFromSet(model.StringMap(s.object.Get("spec", "selector"))).Matches(labels.Set(p.Labels)) {
			continue
		}
		switch s.target {
		case "8080":
			out[p] = 8080
		case "8081":
			out[p] = 8081
		default:
			if port := p.Named[reach.NamedPort{Protocol: reach.TCP, Name: s.target}]; port != 0 {
				out[p] = port
			}
		}
	}
	return out
}

// fromAddresses reports whether some address of some blocks is let in.
func (t *twin) fromAddresses(of []netip.Prefix, to *reach.Pod, port uint16) Verdict {
	for _, a := range t.bounds {
		if slices.ContainsFunc(of, func(p netip.Prefix) bool { return p.Contains(a) }) && t.cluster.Explain(reach.Side{Address: a}, reach.Side{Pod: to}, reach.TCP, port).Allowed {
			return Allowed
		}
	}
	return Denied
}

// some reports whether an address that is asked about is in some blocks.
func (t *twin) some(of []netip.Prefix) bool {
	return slices.ContainsFunc(t.bounds, func(a netip.Addr) bool {
		return slices.ContainsFunc(of, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

func (t *twin) fromPods(of []*reach.Pod, to *reach.Pod, port uint16) (v Verdict) {
	for _, p := range of {
		certain := len(t.engine.UnknownBetween(reach.Side{Pod: p}, reach.Side{Pod: to})) == 0
		if certain && t.cluster.Explain(reach.Side{Pod: p}, reach.Side{Pod: to}, reach.TCP, port).Allowed {
			return Allowed
		}
		if !certain {
			v = Unknown
		}
	}
	return v
}

func (t *twin) entries() (out []string) {
	services := map[string]*twinService{}
	for _, o := range t.world.Kind(serviceKind) {
		services[o.Namespace+"/"+o.Name] = &twinService{o, fmt.Sprint(model.Get(o.List("spec", "ports")[0], "targetPort"))}
	}
	add := func(name, kind string, port uint16, p *reach.Pod, inside uint16, v Verdict) {
		out = append(out, fmt.Sprintf("%s %s %d -> %s:%d %s", name, kind, port, p, inside, v))
	}
	front := Denied
	for key, s := range services {
		for p, port := range s.led(t.cluster) {
			name := "Service " + key
			outside := func(kind string, number uint16, of []netip.Prefix) Verdict {
				v := t.fromAddresses(of, p, port)
				if v == Denied && t.some(of) && s.object.Text("spec", "externalTrafficPolicy") != "Local" {
					v = Unknown
				}
				add(name, kind, number, p, port, v)
				return v
			}
			if s.object.Text("spec", "type") == "LoadBalancer" {
				of := everywhere
				if ranges := model.Strings(s.object.Get("spec", "loadBalancerSourceRanges")); len(ranges) > 0 && ranges[0] != "0.0.0.0/0" {
					of = blocks(ranges...)
				}
				if v := outside("LoadBalancer", 80, of); key == "ingress/nginx" {
					front = max(front, v)
				}
			}
			if kind := s.object.Text("spec", "type"); kind == "NodePort" || kind == "LoadBalancer" && key != "ingress/nginx" {
				outside("NodePort", 0, everywhere)
			}
			for _, ip := range model.Strings(s.object.Get("spec", "externalIPs")) {
				of := everywhere
				if strings.HasPrefix(ip, "10.") {
					of = private
				}
				outside("externalIPs", 80, of)
			}
			add(name, "ClusterIP", 80, p, port, t.fromPods(t.cluster.Pods, p, port))
		}
	}
	var controllers []*reach.Pod
	for _, p := range t.cluster.Pods {
		for c := range p.Object.Pod().Containers() {
			port, _ := portOf(model.Get(c.Content["ports"].([]any)[0], "containerPort"))
			host, opens := portOf(model.Get(c.Content["ports"].([]any)[0], "hostPort"))
			kind := HostPort
			if p.HostNetwork {
				host, opens, kind = port, true, HostNetwork
			}
			if opens {
				add("Deployment "+p.Namespace+"/"+p.Name, kind, host, p, port, t.fromAddresses(everywhere, p, port))
			}
		}
		if p.Namespace == "ingress" {
			controllers = append(controllers, p)
		}
	}
	for _, o := range t.world.Kind(ingressKind) {
		s := services[o.Namespace+"/"+o.Text("spec", "defaultBackend", "service", "name")]
		if s == nil {
			continue
		}
		for p, port := range s.led(t.cluster) {
			add("Ingress "+o.Namespace+"/"+o.Name, "nginx", 80, p, port, t.ingress(controllers, front, p, port))
		}
	}
	return out
}

// ingress is what becomes of traffic by an Ingress.
func (t *twin) ingress(controllers []*reach.Pod, front Verdict, p *reach.Pod, port uint16) Verdict {
	if len(controllers) > 0 {
		v := t.fromPods(controllers, p, port)
		if v == Denied && controllers[0].HostNetwork { // it may be on the same node
			v = Unknown
		}
		return min(front, v)
	}
	isolated := false
	for _, policy := range t.cluster.Policies {
		if policy.Namespace != p.Namespace || !policy.Isolates[reach.Ingress] || !policy.Subject.Matches(labels.Set(p.Labels)) {
			continue
		}
		isolated = true
		for _, r := range policy.Rules[reach.Ingress] {
			everybody := r.AllPeers || slices.ContainsFunc(r.Peers, func(peer reach.Peer) bool {
				return peer.Namespaces != nil && peer.Namespaces.Empty() && peer.Pods.Empty()
			})
			// A pod of which nothing is known is one that this lets in alone.
			if everybody && t.anyPort(r, p, port) {
				return Allowed
			}
		}
	}
	if !isolated || p.HostNetwork {
		return Allowed
	}
	return Unknown
}

func (t *twin) anyPort(r *reach.Rule, p *reach.Pod, port uint16) bool {
	if r.AllPorts {
		return true
	}
	for _, item := range r.Ports {
		if item.Name == "" && item.From == port || item.Name != "" && p.Named[reach.NamedPort{Protocol: reach.TCP, Name: item.Name}] == port {
			return true
		}
	}
	return false
}
