package entry

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

func world(t testing.TB, text string, o model.WorldOptions) *model.World {
	t.Helper()
	file := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text))
	for _, p := range file.Problems {
		t.Fatalf("line %d: %s", p.Location.Line, p.Message)
	}
	o.Namespace = "shop"
	return model.NewWorld(file.Objects, o)
}

func points(t testing.TB, text string, o model.WorldOptions) *Points {
	t.Helper()
	w := world(t, text, o)
	return New(w, reach.New(reach.NewCluster(w, reach.Upstream)))
}

// deployment is a workload of some labels, whose only container has some ports.
func deployment(name, ports string) string {
	return fmt.Sprintf(`
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec: {selector: {matchLabels: {app: %[1]s}}, template: {metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: c, image: i, ports: [%[2]s]}]}}}
`, name, ports)
}

func service(name, spec string) string {
	return fmt.Sprintf("\n---\n{apiVersion: v1, kind: Service, metadata: {name: %s}, spec: {%s}}\n", name, spec)
}

func policy(name, spec string) string {
	return fmt.Sprintf("\n---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: %s}, spec: {%s}}\n", name, spec)
}

const web = `{name: http, containerPort: 8080}, {name: dns, containerPort: 5353, protocol: UDP}`

// lines write what was found, each backend and each thing that leads nowhere in a line.
// Services of the cluster are left out where there are others.
func lines(p *Points, of ...string) (out []string) {
	for _, e := range p.Entries {
		if len(of) > 0 && !slices.Contains(of, e.Type) && !slices.Contains(of, e.Kind) {
			continue
		}
		name := fmt.Sprintf("%s %s %s", e.String(), e.Type, e.Exposure)
		if e.Exposure == Addresses {
			name += " " + joined(e.Sources)
		}
		if len(e.Hosts) > 0 {
			name += " " + strings.Join(e.Hosts, ",")
		}
		for _, b := range e.Backends {
			text := fmt.Sprintf("%s: %s %d -> %s:%d %s", name, e.Protocol, e.Port, b.Workload(), b.Port, b.Verdict)
			if len(b.Admitted) > 0 {
				text += " " + joined(b.Admitted)
			}
			out = append(out, text)
		}
	}
	for _, d := range p.Dangling {
		word := "lost"
		if !d.Sure {
			word = "lost?"
		}
		out = append(out, fmt.Sprintf("%s %d: %s", word, d.Location().Line, d.Reason))
	}
	return out
}

func compare(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestServices(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"numbers, names and the default", deployment("web", web) + service("web", "selector: {app: web}, ports: [{name: a, port: 80, targetPort: http}, {name: b, port: 81, targetPort: 9000}, {name: c, port: 8080}]"), []string{
			"Service shop/web ClusterIP cluster: TCP 80 -> shop/Deployment/web:8080 allowed",
			"Service shop/web ClusterIP cluster: TCP 81 -> shop/Deployment/web:9000 allowed",
			"Service shop/web ClusterIP cluster: TCP 8080 -> shop/Deployment/web:8080 allowed"}},
		{"a name is one of a protocol", deployment("web", web) + service("web", "selector: {app: web}, ports: [{port: 53, targetPort: dns, protocol: UDP}, {port: 54, targetPort: dns}]"), []string{
			"Service shop/web ClusterIP cluster: UDP 53 -> shop/Deployment/web:5353 allowed",
			"lost 9: shop/Deployment/web has no TCP port with the name dns, so that Service shop/web sends it nothing by port 54"}},
		{"targetPort 0 is none", deployment("web", web) + service("web", "selector: {app: web}, ports: [{port: 80, targetPort: 0}]"), []string{
			"Service shop/web ClusterIP cluster: TCP 80 -> shop/Deployment/web:80 allowed"}},
		{"an empty selector chooses nobody", deployment("web", web) + service("web", "selector: {}, ports: [{port: 80}]"), []string{
			"lost? 9: Service shop/web has no selector, and nobody wrote endpoints for it"}},
		{"no selector", deployment("web", web) + service("web", "ports: [{port: 80}]"), []string{
			"lost? 9: Service shop/web has no selector, and nobody wrote endpoints for it"}},
		{"pods of another namespace are not meant", strings.Replace(deployment("web", web), "name: web}", "name: web, namespace: other}", 1) + service("web", "selector: {app: web}, ports: [{port: 80}]"), []string{
			"lost? 9: the selector of Service shop/web chooses no pod"}},
		{"all labels count", deployment("web", web) + service("web", "selector: {app: web, tier: x}, ports: [{port: 80}]"), []string{
			"lost? 9: the selector of Service shop/web chooses no pod"}},
		{"headless, without ports", deployment("web", web) + service("web", "selector: {app: web}, clusterIP: None"), []string{
			"Service shop/web ClusterIP cluster: TCP 0 -> shop/Deployment/web:0 allowed"}},
		{"ExternalName", deployment("web", web) + service("web", "type: ExternalName, selector: {app: web}, externalName: example.com, ports: [{port: 80}]"), nil},
		{"a load balancer opens ports of nodes too", deployment("web", web) + service("web", "type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: http, nodePort: 30080}]"), []string{
			"Service shop/web LoadBalancer internet: TCP 80 -> shop/Deployment/web:8080 allowed",
			"Service shop/web NodePort node: TCP 30080 -> shop/Deployment/web:8080 allowed",
			"Service shop/web ClusterIP cluster: TCP 80 -> shop/Deployment/web:8080 allowed"}},
		{"unless it is told not to", deployment("web", web) + service("web", "type: LoadBalancer, allocateLoadBalancerNodePorts: false, selector: {app: web}, ports: [{port: 80}], loadBalancerSourceRanges: [203.0.113.0/24]"), []string{
			"Service shop/web LoadBalancer addresses 203.0.113.0/24: TCP 80 -> shop/Deployment/web:80 allowed",
			"Service shop/web ClusterIP cluster: TCP 80 -> shop/Deployment/web:80 allowed"}},
		{"addresses that it claims", deployment("web", web) + service("web", "selector: {app: web}, externalIPs: [198.51.100.7, 10.0.0.9], ports: [{port: 80}]"), []string{
			"Service shop/web externalIPs internet: TCP 80 -> shop/Deployment/web:80 allowed",
			"Service shop/web externalIPs addresses " + joined(private) + ": TCP 80 -> shop/Deployment/web:80 allowed",
			"Service shop/web ClusterIP cluster: TCP 80 -> shop/Deployment/web:80 allowed"}},
		{"a label that the platform adds", strings.NewReplacer("Deployment", "StatefulSet").Replace(deployment("db", web)) + service("db-0", "selector: {statefulset.kubernetes.io/pod-name: db-0}, ports: [{port: 80}]"), []string{
			"Service shop/db-0 ClusterIP cluster: TCP 80 -> shop/StatefulSet/db:80 allowed"}},
		{"but not of another", strings.NewReplacer("Deployment", "StatefulSet").Replace(deployment("db", web)) + service("db-0", "selector: {statefulset.kubernetes.io/pod-name: web-0}, ports: [{port: 80}]"), []string{
			"lost? 9: the selector of Service shop/db-0 chooses no pod"}},
		{"what the server refuses", deployment("web", web) + service("web", "selector: {app: web}, ports: [{port: 0}, {port: 80, protocol: ICMP}, {port: 81, targetPort: \"8080\"}]"), []string{
			"lost 9: port 1 is not valid, and the API server would refuse it",
			"lost 9: port 2 is not valid, and the API server would refuse it",
			`lost 9: targetPort "8080" is a number in quotes, which the API server would refuse`}},
		{"a selector that is no text chooses nobody", deployment("web", web) + service("web", "selector: {app: 5}, ports: [{port: 80}]"), []string{
			"lost 9: a value of the selector is no text, and the API server would refuse it",
			"lost? 9: the selector of Service shop/web chooses no pod"}},
		{"ports of nodes", deployment("web", "{containerPort: 8080, hostPort: 80}, {containerPort: 9000, hostPort: 90, hostIP: 127.0.0.1}, {containerPort: 9001, hostPort: 91, hostIP: 203.0.113.9}, {containerPort: 9002, hostPort: 92, hostIP: 10.0.0.1, protocol: UDP}"), []string{
			"Deployment shop/web hostPort node: TCP 80 -> shop/Deployment/web:8080 allowed",
			"Deployment shop/web hostPort internet: TCP 91 -> shop/Deployment/web:9001 allowed",
			"Deployment shop/web hostPort addresses " + joined(private) + ": UDP 92 -> shop/Deployment/web:9002 allowed"}},
		{"the network of the node", strings.Replace(deployment("web", web), "{containers", "{hostNetwork: true, containers", 1) + policy("none", "podSelector: {}, policyTypes: [Ingress]"), []string{
			"Deployment shop/web hostNetwork node: TCP 8080 -> shop/Deployment/web:8080 allowed",
			"Deployment shop/web hostNetwork node: UDP 5353 -> shop/Deployment/web:5353 allowed"}},
		{"with ports that nobody wrote", strings.Replace(deployment("web", ""), "{containers", "{hostNetwork: true, containers", 1), []string{
			"Deployment shop/web hostNetwork node: TCP 0 -> shop/Deployment/web:0 allowed"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			compare(t, lines(points(t, test.text, model.WorldOptions{})), test.want...)
		})
	}
}

func TestInternalBalancers(t *testing.T) {
	tests := []struct {
		annotations, spec string
		internal          bool
	}{
		{"", "", false},
		{`service.beta.kubernetes.io/aws-load-balancer-scheme: internal`, "", true},
		{`service.beta.kubernetes.io/aws-load-balancer-scheme: internet-facing`, "loadBalancerClass: service.k8s.aws/nlb,", false},
		{"", "loadBalancerClass: service.k8s.aws/nlb,", true},
		{`service.beta.kubernetes.io/aws-load-balancer-internal: "true"`, "", true},
		{`service.beta.kubernetes.io/aws-load-balancer-internal: "false"`, "", false},
		{`networking.gke.io/load-balancer-type: Internal`, "", true},
		{`service.beta.kubernetes.io/azure-load-balancer-internal: "true"`, "", true},
	}
	for _, test := range tests {
		text := deployment("web", web) + fmt.Sprintf("\n---\n{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {%s}}, spec: {%s type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}}", test.annotations, test.spec)
		want := Internet
		if test.internal {
			want = Addresses
		}
		if got := points(t, text, model.WorldOptions{}).Entries[0].Exposure; got != want {
			t.Errorf("%s %s: got %s, want %s", test.annotations, test.spec, got, want)
		}
	}
}

// TestPolicies is about what policies see of traffic from outside.
func TestPolicies(t *testing.T) {
	const deny = "podSelector: {}, policyTypes: [Ingress]"
	from := func(block string) string {
		return "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: " + block + "}}], ports: [{port: 8080}]}]"
	}
	tests := []struct{ name, spec, policy, want string }{
		{"nothing is let in, and the address is kept", "type: LoadBalancer, externalTrafficPolicy: Local,", deny, "denied"},
		{"nothing is let in, but nodes may put theirs", "type: LoadBalancer,", deny, "unknown"},
		{"some addresses", "type: LoadBalancer, externalTrafficPolicy: Local,", from("198.18.0.0/15"), "allowed 198.18.0.0/15"},
		{"other addresses than those of the ranges", "type: LoadBalancer, loadBalancerSourceRanges: [203.0.113.0/24], externalTrafficPolicy: Local,", from("198.18.0.0/15"), "denied"},
		{"some of the ranges", "type: LoadBalancer, loadBalancerSourceRanges: [203.0.113.0/24], externalTrafficPolicy: Local,", from("203.0.113.128/25"), "allowed 203.0.113.128/25"},
		{"all of them", "type: LoadBalancer, loadBalancerSourceRanges: [203.0.113.0/24], externalTrafficPolicy: Local,", from("203.0.0.0/16"), "allowed"},
		{"one of two ranges", "type: LoadBalancer, loadBalancerSourceRanges: [203.0.113.0/24, 192.0.2.0/24], externalTrafficPolicy: Local,", from("203.0.0.0/16"), "allowed 203.0.113.0/24"},
		{"pods only", "type: NodePort, externalTrafficPolicy: Local,", "podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]", "denied"},
		{"in the cluster, pods", "", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}]", "allowed"},
		{"in the cluster, nobody", "", deny, "denied"},
		{"by the Service's port it is not", "type: LoadBalancer, externalTrafficPolicy: Local,", "podSelector: {}, ingress: [{ports: [{port: 80}]}]", "denied"},
		{"by that of the pod, and its name", "type: LoadBalancer,", "podSelector: {}, ingress: [{ports: [{port: http}]}]", "allowed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := deployment("web", web) + service("web", test.spec+"selector: {app: web}, ports: [{port: 80, targetPort: http}]") + policy("p", test.policy)
			b := points(t, text, model.WorldOptions{}).Entries[0].Backends[0]
			got := b.Verdict.String()
			if len(b.Admitted) > 0 {
				got += " " + joined(b.Admitted)
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if (b.Verdict == Unknown) != (len(b.Unknown) > 0) {
				t.Errorf("%s, and unknown is %q", b.Verdict, b.Unknown)
			}
		})
	}
}

const slice = `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1]}, {addresses: [10.0.0.5]}]
ports: [{name: sql, port: 5432}, {name: other, port: 1}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: db}
subsets: [{addresses: [{ip: 192.0.2.1}, {ip: 192.0.2.2}], ports: [{name: sql, port: 5432}]}]
---
{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i}]}, status: {phase: Running, podIP: 10.0.0.5}}
`

// TestWrittenEndpoints is about Services without a selector.
func TestWrittenEndpoints(t *testing.T) {
	p := points(t, service("db", "ports: [{name: sql, port: 5000}, {name: none, port: 1}]")+slice, model.WorldOptions{})
	compare(t, lines(p),
		"Service shop/db ClusterIP cluster: TCP 5000 -> 192.0.2.1:5432 allowed",
		"Service shop/db ClusterIP cluster: TCP 5000 -> 192.0.2.2:5432 allowed",
		"Service shop/db ClusterIP cluster: TCP 5000 -> shop/Pod/p:5432 denied", // there is no other pod
		"lost 3: no endpoint of Service shop/db is for its port 1")
}

// TestLeads is what a question about a Service needs.
func TestLeads(t *testing.T) {
	text := deployment("web", web) + service("web", "selector: {app: web}, ports: [{port: 80, targetPort: http}, {port: 53, targetPort: dns, protocol: UDP}]") +
		service("pods", "clusterIP: None, selector: {app: web}, ports: [{port: 80, targetPort: http}]") + service("name", "type: ExternalName, externalName: web.other.svc.cluster.local") +
		policy("none", "podSelector: {}, policyTypes: [Ingress]")
	w := world(t, text, model.WorldOptions{})
	c := reach.NewCluster(w, reach.Upstream)
	e := reach.New(c)
	all := NewServices(w, c)
	lead := func(name string, protocol reach.Protocol, port uint16) string {
		s, err := all.Find(name, "shop")
		if err != nil {
			return err.Error()
		}
		targets, err := s.Leads(protocol, port)
		if err != nil {
			return err.Error()
		}
		var out []string
		for _, target := range targets {
			out = append(out, fmt.Sprintf("%s %s %d", target.Pods[0], target.Protocol, target.Port))
		}
		return strings.Join(out, ", ")
	}
	for _, test := range []struct {
		name     string
		protocol reach.Protocol
		port     uint16
		want     string
	}{
		{"svc/shop/web", reach.TCP, 80, "shop/Deployment/web TCP 8080"},
		{"svc/web", reach.UDP, 53, "shop/Deployment/web UDP 5353"},
		{"svc/web", reach.TCP, 0, "shop/Deployment/web TCP 8080, shop/Deployment/web UDP 5353"},
		{"svc/web", reach.TCP, 8080, "service shop/web has no port TCP 8080"},
		{"svc/pods", reach.TCP, 80, "shop/Deployment/web TCP 80"},
		{"svc/pods", reach.TCP, 9, "shop/Deployment/web TCP 9"},
		{"svc/name", reach.TCP, 80, "service shop/name stands for the name web.other.svc.cluster.local, which is not in the cluster"},
		{"svc/other/web", reach.TCP, 80, "there is no Service other/web"},
		{"web", reach.TCP, 80, `"web" is no Service: write svc/NAMESPACE/NAME`},
	} {
		if got := lead(test.name, test.protocol, test.port); got != test.want {
			t.Errorf("%s %s %d: got %s, want %s", test.name, test.protocol, test.port, got, test.want)
		}
	}
	s := all.Get("shop", "web")
	targets, _ := s.Leads(reach.TCP, 80)
	if got := s.DoubtsFrom(e, reach.Side{Pod: c.Pods[0]}, targets[0]); len(got) != 1 || !strings.Contains(got[0], "reaches itself through a Service") {
		t.Errorf("a pod that reaches itself through a Service: %q", got)
	}
}

// TestNodes is about clusters whose nodes and balancers are known.
func TestNodes(t *testing.T) {
	node := func(address string) string {
		return "\n---\n{apiVersion: v1, kind: Node, metadata: {name: one}, status: {addresses: [{type: InternalIP, address: " + address + "}]}}\n"
	}
	balancer := func(status string) string {
		return deployment("web", web) + "\n---\n{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}, status: {loadBalancer: {ingress: [" + status + "]}}}\n"
	}
	exposures := func(text string) string {
		p := points(t, text, model.WorldOptions{Live: true, Complete: true})
		return p.Entries[0].Exposure.String() + " " + p.Entries[1].Exposure.String()
	}
	for _, test := range []struct{ text, want string }{
		{balancer("{hostname: a.example}") + node("10.0.0.1"), "internet node"},
		{balancer("{ip: 203.0.113.1}") + node("192.0.2.9"), "internet internet"},
		{balancer("{ip: 10.0.0.9}"), "addresses node"},
		{balancer("{ip: 10.0.0.9}, {ip: 198.18.0.1}"), "internet node"},
	} {
		if got := exposures(test.text); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
	p := points(t, balancer("")+node("10.0.0.1")+policy("some", "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 198.18.0.0/15}}]}]"), model.WorldOptions{Live: true, Complete: true})
	if b := p.Entries[0].Backends[0]; b.Verdict != Allowed || len(b.Doubts) != 1 || !strings.Contains(b.Doubts[0], "(10.0.0.1 of one)") {
		t.Errorf("got %s, %q", b.Verdict, b.Doubts)
	}
}

// TestAddressBehindService is about what pods send to an endpoint outside of the cluster.
func TestAddressBehindService(t *testing.T) {
	text := deployment("web", web) + service("db", "ports: [{name: sql, port: 5000}]") + slice
	closed := policy("none", "podSelector: {}, policyTypes: [Egress]")
	for text, want := range map[string]Verdict{text: Allowed, text + closed: Denied} {
		if got := points(t, text, model.WorldOptions{}).Entries[0].Backends[0].Verdict; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// FuzzEntries reads whatever somebody may write.
func FuzzEntries(f *testing.F) {
	f.Add(deployment("web", web) + service("web", "type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: http}]") + slice)
	f.Add(deployment("web", web) + shopWeb + controllerPods + ingress(nginx+ruleToWeb) + policy("p", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}]"))
	f.Add(deployment("web", web) + shopWeb + gateway(httpListener) + route("HTTPRoute", "name: r", parent+backend))
	f.Fuzz(func(_ *testing.T, text string) {
		file := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text))
		w := model.NewWorld(file.Objects, model.WorldOptions{})
		c := reach.NewCluster(w, reach.Upstream)
		p := New(w, reach.New(c))
		for _, e := range p.Entries {
			_ = e.Location()
			for _, b := range e.Backends {
				for _, h := range b.Hops {
					c.Explain(h.From, h.To, h.Protocol, h.Port)
				}
			}
		}
		for _, d := range p.Dangling {
			_ = d.Location()
		}
	})
}
