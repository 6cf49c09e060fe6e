package entry

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// changeLines write changes, each in a line.
func changeLines(of []Change) (out []string) {
	for _, c := range of {
		e, b := c.Ways[0].Entry, c.Ways[0].Backend
		text := map[reach.Part]string{reach.Gained: "+", reach.Lost: "-"}[c.Part]
		if !c.Certain {
			text += "?"
		}
		from := joined(c.From)
		if from == "0.0.0.0/0,::/0" {
			from = "all"
		}
		if c.Node {
			from += " by a node"
		}
		text += fmt.Sprintf(" %s -> %s %s:%d -> %s:%d", from, e.String(), e.Type, e.Port, b.Workload(), b.Port)
		if len(c.Hosts) > 0 {
			text += " as " + strings.Join(c.Hosts, ",")
		}
		if c.Inside {
			text += " (cluster)"
		}
		out = append(out, text)
	}
	return out
}

func TestCompare(t *testing.T) {
	const (
		ports = "selector: {app: web}, ports: [{port: 80, targetPort: 8080}]"
		local = "externalTrafficPolicy: Local, allocateLoadBalancerNodePorts: false, "
		lb    = "type: LoadBalancer, " + local
		class = "\n---\n{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx}, spec: {controller: k8s.io/ingress-nginx}}\n"
		all   = "+ all -> Service shop/web LoadBalancer:80 -> shop/Deployment/web:8080"
	)
	ingress := func(hosts ...string) string {
		backend := "{service: {name: web, port: {number: 80}}}"
		spec := "defaultBackend: " + backend
		if len(hosts) > 0 {
			spec = "rules: ["
			for _, h := range hosts {
				spec += fmt.Sprintf("{host: %q, http: {paths: [{path: /, pathType: Prefix, backend: %s}]}}, ", h, backend)
			}
			spec += "]"
		}
		return fmt.Sprintf("%s\n---\n{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {ingressClassName: nginx, %s}}\n", class, spec)
	}
	base := deployment("web", web)
	only := func(block string) string {
		return policy("web", "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "+block+"}}]}]")
	}
	deny := policy("web", "podSelector: {}")
	inside := base + service("web", ports)
	open := base + service("web", lb+ports)
	node := func(port string) string {
		return base + service("web", "type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080"+port+"}]")
	}
	const nodePort = "Service shop/web NodePort:0 -> shop/Deployment/web:8080"
	cluster := base + service("web", "type: LoadBalancer, allocateLoadBalancerNodePorts: false, "+ports)
	public := "\n---\n{apiVersion: v1, kind: Node, metadata: {name: n}, status: {addresses: [{type: ExternalIP, address: 203.0.113.1}]}}\n"
	tests := []struct {
		name, before, after string
		want                []string
	}{
		{"nothing changes", open, open, nil},
		{"ways of the cluster alone are none", base, inside, nil},
		{"a Service becomes a load balancer", inside, open, []string{all + " (cluster)"}},
		{"and one of the cluster again", open, inside, []string{strings.Replace(all, "+", "-", 1) + " (cluster)"}},
		{"another object makes it", "", open, []string{all}},
		{"wider sources", base + service("web", lb+"loadBalancerSourceRanges: [203.0.113.0/25], "+ports), base + service("web", lb+"loadBalancerSourceRanges: [203.0.113.0/24], "+ports), []string{
			"+ 203.0.113.128/25 -> Service shop/web LoadBalancer:80 -> shop/Deployment/web:8080"}},
		{"an internal one becomes public, with a policy for all", base + service("web", lb+"loadBalancerSourceRanges: [10.0.0.0/8], "+ports), open + only("0.0.0.0/1"), []string{
			"+ 0.0.0.0/5,8.0.0.0/7,11.0.0.0/8,12.0.0.0/6,16.0.0.0/4,32.0.0.0/3,64.0.0.0/2 -> Service shop/web LoadBalancer:80 -> shop/Deployment/web:8080"}},
		{"policies", open + only("203.0.113.0/24"), open + only("203.0.112.0/24"), []string{
			"+ 203.0.112.0/24 -> Service shop/web LoadBalancer:80 -> shop/Deployment/web:8080",
			"- 203.0.113.0/24 -> Service shop/web LoadBalancer:80 -> shop/Deployment/web:8080"}},
		{"a policy that stops all goes", open + deny, open, []string{all}},
		{"one that stops all comes with the load balancer", inside, open + deny, nil},
		{"what a policy sees is not known", cluster, cluster + deny, []string{"-? all -> Service shop/web LoadBalancer:80 -> shop/Deployment/web:8080"}},
		{"nor was it", cluster + deny, cluster, []string{"+? all -> Service shop/web LoadBalancer:80 -> shop/Deployment/web:8080"}},
		{"not known whether it is gained", inside + deny, cluster + deny, []string{"+? all -> Service shop/web LoadBalancer:80 -> shop/Deployment/web:8080 (cluster)"}},
		{"not known whether it is lost", cluster + deny, inside + deny, []string{"-? all -> Service shop/web LoadBalancer:80 -> shop/Deployment/web:8080 (cluster)"}},
		{"both unknown", cluster + deny, cluster + policy("other", "podSelector: {}"), nil},
		{"the rest is not known", cluster, cluster + only("128.0.0.0/1"), []string{"-? 0.0.0.0/1,::/0 -> Service shop/web LoadBalancer:80 -> shop/Deployment/web:8080"}},
		{"a new workload behind it", open, base + strings.ReplaceAll(strings.ReplaceAll(deployment("db", web), "name: db", "name: db"), "app: db", "app: web") + service("web", lb+ports), []string{
			"+ all -> Service shop/web LoadBalancer:80 -> shop/Deployment/db:8080"}},
		{"another port of the pods", open, base + service("web", strings.Replace(lb+ports, "targetPort: 8080", "targetPort: 9090", 1)), []string{
			"+ all -> Service shop/web LoadBalancer:80 -> shop/Deployment/web:9090",
			"- all -> Service shop/web LoadBalancer:80 -> shop/Deployment/web:8080"}},
		{"a node's port that is given", node(""), node(", nodePort: 30080"), nil},
		{"another port of nodes", node(", nodePort: 30080"), node(", nodePort: 30081"), []string{
			"+ all by a node -> " + strings.Replace(nodePort, "0", "30081", 1), "- all by a node -> " + strings.Replace(nodePort, "0", "30080", 1)}},
		{"a port of nodes", inside, node(""), []string{"+ all by a node -> " + nodePort + " (cluster)"}},
		{"nodes get an address of the internet", node(""), node("") + public, []string{"+ all -> " + nodePort}},
		{"and lose it", node("") + public, node(""), []string{"- all -> " + nodePort}},
		{"hostPort, and the network of the node", deployment("web", "{containerPort: 8080, hostPort: 8080}"), strings.Replace(deployment("web", "{containerPort: 8080}"), "spec: {containers", "spec: {hostNetwork: true, containers", 1), nil},
		{"a host more", inside + ingress("a.example"), inside + ingress("a.example", "b.example"), []string{
			"+ all -> Ingress shop/web nginx:80 -> shop/Deployment/web:8080 as b.example"}},
		{"any host has each", inside + ingress(), inside + ingress("a.example"), []string{
			"- all -> Ingress shop/web nginx:80 -> shop/Deployment/web:8080"}},
		{"a wildcard has one label", inside + ingress("*.example"), inside + ingress("a.example", "a.b.example"), []string{
			"+ all -> Ingress shop/web nginx:80 -> shop/Deployment/web:8080 as a.b.example",
			"- all -> Ingress shop/web nginx:80 -> shop/Deployment/web:8080 as *.example"}},
		{"an Ingress to nobody that is known", inside + deny, inside + ingress() + deny, []string{
			"+? all -> Ingress shop/web nginx:80 -> shop/Deployment/web:8080"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, after := points(t, tt.before, model.WorldOptions{}), points(t, tt.after, model.WorldOptions{})
			changes := Compare(before, after)
			compare(t, changeLines(changes), tt.want...)
			for _, c := range changes {
				if c.Certain != (len(c.Unknown) == 0) {
					t.Errorf("certain is %t, and not known %q", c.Certain, c.Unknown)
				}
			}
			back := Compare(after, before)
			if len(back) != len(changes) || slices.ContainsFunc(back, func(c Change) bool {
				return !slices.ContainsFunc(changes, func(d Change) bool {
					return c.Part != d.Part && c.Certain == d.Certain && slices.Equal(c.From, d.From) && slices.Equal(c.Hosts, d.Hosts)
				})
			}) {
				t.Errorf("the other way round it is\n\t%s", strings.Join(changeLines(back), "\n\t"))
			}
		})
	}
}

// TestCompareTwin compares what is told of two random clusters with what the twin finds,
// address by address.
func TestCompareTwin(t *testing.T) {
	told := map[string]int{}
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 5))
		texts := [2]string{randomWorld(r), randomWorld(r)}
		if seed%3 > 0 { // the same, but for some objects
			objects, others := strings.Split(texts[0], "\n---\n"), strings.Split(texts[1], "\n---\n")
			for range 4 {
				i, k := r.IntN(len(objects)), r.IntN(len(others))
				same := func(o string) bool { return metadataOf(o) == metadataOf(others[k]) }
				if replaceable(objects[i]) && replaceable(others[k]) && (same(objects[i]) || !slices.ContainsFunc(objects, same)) {
					objects[i] = others[k]
				}
			}
			texts[1] = strings.Join(objects, "\n---\n")
		}
		var twins [2]*twin
		var all [2]*Points
		for i, text := range texts {
			w := world(t, text, model.WorldOptions{})
			e := reach.New(reach.NewCluster(w, reach.Upstream))
			twins[i], all[i] = &twin{e.Cluster, e, w, bounds(e.Cluster)}, New(w, e)
		}
		changes := Compare(all[0], all[1])
		addresses := append(twins[0].bounds, twins[1].bounds...)
		slices.SortFunc(addresses, netip.Addr.Compare)
		for _, a := range slices.Compact(addresses) {
			want := twinChanges(twins, a)
			got := map[string]string{}
			for _, line := range changesAt(changes, a) {
				name, change, _ := strings.Cut(line, "\x00")
				if got[name] != "" {
					t.Fatalf("seed %d: %s is told twice, as %s and %s", seed, name, got[name], change)
				}
				got[name] = change
			}
			for name := range want {
				if got[name] != want[name] {
					t.Fatalf("seed %d: of %s by %s is told %q, and the twin finds %q\nof %s\nand %s", seed, a, name, got[name], want[name], texts[0], texts[1])
				}
				told[want[name]]++
			}
			for name := range got {
				if want[name] == "" {
					t.Fatalf("seed %d: of %s by %s is told %q, and the twin finds nothing", seed, a, name, got[name])
				}
			}
		}
	}
	t.Log(told)
	for _, change := range []string{"gained", "lost", "perhaps gained", "perhaps lost"} {
		if told[change] < 500 {
			t.Errorf("only %d are %s: the clusters say little", told[change], change)
		}
	}
}

// metadataOf is the kind and the name of an object of a random world.
func metadataOf(object string) string {
	_, text, _ := strings.Cut(object, "kind: ")
	text, _, _ = strings.Cut(text, "}")
	return text
}

// replaceable reports whether a random world may be without an object: the twin expects a
// controller to have its Service.
func replaceable(object string) bool {
	return strings.Contains(object, "kind: NetworkPolicy") || !strings.Contains(object, "namespace: ingress}") && (strings.Contains(object, "kind: Service") || strings.Contains(object, "kind: Ingress,"))
}

// twinChanges are the changes of what an address gets to.
func twinChanges(twins [2]*twin, a netip.Addr) map[string]string {
	var verdicts [2]map[string]Verdict
	for i, t := range twins {
		verdicts[i] = map[string]Verdict{}
		one := *t
		one.bounds = []netip.Addr{a}
		for _, line := range one.entries() {
			cut := strings.LastIndex(line, " ")
			name := strings.NewReplacer(" "+HostPort+" ", " node ", " "+HostNetwork+" ", " node ").Replace(line[:cut])
			v := Verdict(slices.IndexFunc([]Verdict{Denied, Unknown, Allowed}, func(v Verdict) bool { return v.String() == line[cut+1:] }))
			if !strings.Contains(name, " ClusterIP ") {
				verdicts[i][name] = max(verdicts[i][name], v)
			}
		}
	}
	out := map[string]string{}
	for i, was := range verdicts {
		for name, v := range was {
			other := verdicts[1-i][name]
			if v <= other {
				continue
			}
			word := "lost"
			if i == 1 {
				word = "gained"
			}
			if v != Allowed || other != Denied {
				word = "perhaps " + word
			}
			out[name] = word
		}
	}
	return out
}

// changesAt are those of an address, as the twin writes them.
func changesAt(changes []Change, a netip.Addr) (out []string) {
	for _, c := range changes {
		if !slices.ContainsFunc(c.From, func(p netip.Prefix) bool { return p.Contains(a) }) {
			continue
		}
		e, b := c.Ways[0].Entry, c.Ways[0].Backend
		word := "lost"
		if c.Part == reach.Gained {
			word = "gained"
		}
		if !c.Certain {
			word = "perhaps " + word
		}
		out = append(out, fmt.Sprintf("%s %s %d -> %s:%d\x00%s", e.String(), cmp.Or(means(e), e.Type), e.Port, b.Workload(), b.Port, word))
	}
	return out
}
