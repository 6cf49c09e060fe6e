package reach

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

func clusterOf(t testing.TB, text string, o model.WorldOptions, profile Profile) *Cluster {
	t.Helper()
	file := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text))
	for _, p := range file.Problems {
		t.Fatalf("line %d: %s", p.Location.Line, p.Message)
	}
	return NewCluster(model.NewWorld(file.Objects, o), profile)
}

// pair is pods web of namespace shop and db of namespace data, of which nobody knows more.
const pair = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: db, namespace: data}, spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c}]}}}}
---
`

const seen = `{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: data, labels: {team: b}}}
---
`

// policyOfDB is a NetworkPolicy that lets who is named in.
func policyOfDB(from string) string {
	return "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: data}, spec: {podSelector: {}, ingress: [{from: [" + from + "]}]}}\n---\n"
}

func policyOfWeb(to string) string {
	return "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: shop}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [" + to + "]}]}}\n---\n"
}

func tierOfWeb(name, rule string) string {
	return "{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: " + name + "}, spec: {tier: Admin, priority: 5, subject: {namespaces: {}}, egress: [" + rule + "]}}\n---\n"
}

func TestDoubts(t *testing.T) {
	address := netip.MustParseAddr("93.184.216.34")
	for _, c := range []struct {
		name, text string
		// to is an address; db where it is not valid.
		to   netip.Addr
		want string
	}{
		{name: "nothing", text: pair},
		{name: "labels of a namespace", text: pair + policyOfDB("{namespaceSelector: {matchLabels: {team: a}}}"), want: "the labels of namespace shop are not known"},
		{name: "labels of a namespace that is seen", text: pair + seen + policyOfDB("{namespaceSelector: {matchLabels: {team: a}}}")},
		{name: "the name of a namespace", text: pair + policyOfDB("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}")},
		{name: "the name of another namespace", text: pair + policyOfDB("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other, team: a}}}")},
		{name: "labels of a namespace, and a pod that is not meant", text: pair + policyOfDB("{namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: none}}}")},
		{name: "labels of a namespace, and no way out", text: pair + policyOfDB("{namespaceSelector: {matchLabels: {team: a}}}") +
			"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: q, namespace: shop}, spec: {podSelector: {}, policyTypes: [Egress]}}\n"},
		{name: "labels of a namespace, and a policy that allows all", text: pair + policyOfDB("{namespaceSelector: {matchLabels: {team: a}}}") +
			"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: q, namespace: data}, spec: {podSelector: {}, ingress: [{}]}}\n"},
		{name: "labels of the subject's namespace", text: pair + strings.Replace(tierOfWeb("t", "{action: Deny, to: [{namespaces: {}}]}"), "subject: {namespaces: {}}", "subject: {namespaces: {matchLabels: {team: a}}}", 1),
			want: "the labels of namespace shop are not known"},
		{name: "a block of some private addresses", text: pair + policyOfWeb("{ipBlock: {cidr: 10.0.0.0/8}}"), want: "the address of data/Deployment/db is not known"},
		{name: "a block of all addresses", text: pair + policyOfWeb("{ipBlock: {cidr: 0.0.0.0/0}}")},
		{name: "a block of all addresses of IPv6", text: pair + policyOfWeb("{ipBlock: {cidr: '::/0'}}"), want: "the address of data/Deployment/db is not known"},
		{name: "blocks of all addresses of both families", text: pair + policyOfWeb("{ipBlock: {cidr: '::/0'}}, {ipBlock: {cidr: 0.0.0.0/0}}")},
		{name: "a block and a selector that has the pod", text: pair + policyOfWeb("{ipBlock: {cidr: 10.0.0.0/8}}, {namespaceSelector: {}}")},
		{name: "labels of a namespace and a selector that has the pod", text: pair + policyOfDB("{namespaceSelector: {matchLabels: {team: a}}}, {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}")},
		{name: "a block of no private address", text: pair + policyOfWeb("{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]}}")},
		{name: "a block but for some private addresses", text: pair + policyOfWeb("{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}"), want: "the address of data/Deployment/db is not known"},
		{name: "a block outside", text: pair + policyOfWeb("{ipBlock: {cidr: 8.8.8.8/32}}")},
		{name: "one of two addresses", text: `{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: data}, spec: {containers: []}, status: {podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}}
---
` + strings.SplitAfter(pair, "---\n")[0] + policyOfWeb("{ipBlock: {cidr: 10.0.0.0/8}}"), want: "one of the addresses of data/Pod/db only"},
		{name: "domain names", text: pair + tierOfWeb("t", "{action: Accept, to: [{domainNames: [example.com]}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}"), to: address, want: "domain names"},
		{name: "domain names are no pods", text: pair + tierOfWeb("t", "{action: Accept, to: [{domainNames: [example.com]}]}")},
		{name: "nodes that are not known", text: pair + tierOfWeb("t", "{action: Deny, to: [{nodes: {}}]}"), to: address, want: "about nodes, and which there are is not known"},
		{name: "nodes that are known", text: pair + tierOfWeb("t", "{action: Deny, to: [{nodes: {}}]}") + "{apiVersion: v1, kind: Node, metadata: {name: n}}\n", to: address},
		{name: "the same priority", text: pair + tierOfWeb("t", "{action: Deny, to: [{namespaces: {}}]}") + tierOfWeb("u", "{action: Accept, to: [{namespaces: {}}]}"), want: "have the same priority"},
		{name: "the same priority and the same action", text: pair + tierOfWeb("t", "{action: Deny, to: [{namespaces: {}}]}") + tierOfWeb("u", "{action: Deny, to: [{namespaces: {}}]}")},
		{name: "the same priority and other ports", text: pair + tierOfWeb("t", "{action: Deny, to: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}") +
			tierOfWeb("u", "{action: Accept, to: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 81}}}]}")},
		{name: "a name of two ports", text: strings.Replace(pair, "metadata: {labels: {app: db}}, spec: {containers: [{name: c}]}",
			"metadata: {labels: {app: db}}, spec: {containers: [{name: c, ports: [{name: sql, containerPort: 1}]}, {name: d, ports: [{name: sql, containerPort: 2}]}]}", 1) +
			"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: data}, spec: {podSelector: {}, ingress: [{ports: [{port: sql}]}]}}\n", want: "a name that data/Deployment/db gives to several ports"},
		{name: "a policy of Cilium", text: pair + "{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: c, namespace: data}, spec: {endpointSelector: {matchLabels: {'k8s:app': db}}}}\n", want: "policy of a network plugin"},
		{name: "a policy of Cilium about others", text: pair + "{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: c, namespace: data}, spec: {endpointSelector: {matchLabels: {'k8s:app': other}}}}\n"},
		{name: "a policy of Cilium elsewhere", text: pair + "{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: c, namespace: else}, spec: {endpointSelector: {}}}\n"},
		{name: "a policy of Cilium about nodes", text: pair + "{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: c}, spec: {nodeSelector: {}}}\n"},
		{name: "a policy of Calico", text: pair + "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: c}, spec: {selector: all()}}\n", want: "policy of a network plugin"},
		{name: "a policy of Antrea about others", text: pair + "{apiVersion: crd.antrea.io/v1beta1, kind: ClusterNetworkPolicy, metadata: {name: c}, spec: {appliedTo: [{podSelector: {matchLabels: {app: other}}}]}}\n"},
		{name: "a policy of Antrea about groups", text: pair + "{apiVersion: crd.antrea.io/v1beta1, kind: ClusterNetworkPolicy, metadata: {name: c}, spec: {appliedTo: [{group: g}]}}\n", want: "policy of a network plugin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := clusterOf(t, c.text, model.WorldOptions{}, Upstream)
			e := New(cluster)
			pod := func(name string) Side {
				i := slices.IndexFunc(cluster.Pods, func(p *Pod) bool { return p.Name == name })
				return Side{Pod: cluster.Pods[i]}
			}
			from, to := pod("web"), Side{Address: c.to}
			if !c.to.IsValid() {
				to = pod("db")
			}
			a, _ := e.End(from)
			b, _ := e.End(to)
			got := e.Unknown(a, b)
			if c.want == "" && len(got) > 0 || c.want != "" && (len(got) == 0 || !strings.Contains(got[0], c.want)) {
				t.Errorf("unknown %q, should be %q", got, c.want)
			}
			if all := cluster.Doubts(from, to); len(all) < len(got) {
				t.Errorf("the cluster doubts %q, the engine %q", all, got)
			}
		})
	}
}

func TestUnread(t *testing.T) {
	c := clusterOf(t, pair, model.WorldOptions{Live: true, Unobserved: []model.Unobserved{
		{GroupKind: networkPolicyKind, Namespace: "data", Reason: "forbidden"}, {GroupKind: model.GroupKind{Kind: "Service"}, Reason: "forbidden"}}}, Upstream)
	if got := c.Doubts(Side{Pod: c.Pods[1]}, Side{Pod: c.Pods[0]}); !slices.Equal(got, []string{"networking.k8s.io/NetworkPolicy could not all be read: forbidden"}) {
		t.Errorf("%q", got)
	}
	if got := c.Doubts(Side{Pod: c.Pods[1]}, Side{Pod: c.Pods[1]}); got != nil {
		t.Errorf("of another namespace: %q", got)
	}
}

// TestProfiles has each rule that plugins differ in, and who differs.
func TestProfiles(t *testing.T) {
	if _, err := ParseProfile("weave"); err == nil || !strings.Contains(err.Error(), "upstream, calico, cilium, ovn, antrea") {
		t.Errorf("no list of names: %v", err)
	}
	const cluster = seen + `
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 192.168.1.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: data, labels: {app: db}}, spec: {nodeName: n1, containers: []}, status: {podIP: 10.0.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {nodeName: n1, containers: []}, status: {podIP: 10.0.0.2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: agent, namespace: shop, labels: {app: agent}}, spec: {hostNetwork: true, nodeName: n2, containers: []}, status: {podIP: 192.168.1.2}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {addresses: [{type: InternalIP, address: 192.168.1.2}]}}
---
`
	node := Side{Address: netip.MustParseAddr("192.168.1.1")}
	for _, c := range []struct {
		name, policy, from string
		// to is a pod; the node of web where it is empty.
		to string
		// yes are the profiles that let it through.
		yes []string
	}{
		{"a block of pods", policyOfWeb("{ipBlock: {cidr: 10.0.0.0/8}}"), "web", "db", []string{"upstream", "calico", "ovn", "antrea"}},
		{"a block of nodes", policyOfWeb("{ipBlock: {cidr: 192.168.0.0/16}}"), "web", "agent", []string{"upstream", "calico", "ovn", "antrea"}},
		{"a podSelector for a pod on a node's network", policyOfDB("{namespaceSelector: {}, podSelector: {}}"), "agent", "db", []string{"ovn"}},
		{"a namespaceSelector for a pod on a node's network", policyOfDB("{namespaceSelector: {}}"), "agent", "db", nil},
		{"a pod to its own node", policyOfWeb("{podSelector: {}}"), "web", "", []string{"upstream"}},
		{"a pod to the address of its own node in a block", policyOfWeb("{ipBlock: {cidr: 192.168.0.0/16}}"), "web", "", []string{"upstream", "calico", "ovn", "antrea"}},
		{"a tier's network of pods", strings.Replace(tierOfWeb("t", "{action: Accept, to: [{networks: [10.0.0.0/8]}]}, {action: Deny, to: [{namespaces: {}}]}"), "\n---", "\n---", 1), "web", "db", ProfileNames()},
		{"a tier and a pod on a node's network", tierOfWeb("t", "{action: Deny, to: [{pods: {podSelector: {}}}]}"), "web", "agent", ProfileNames()},
	} {
		var yes []string
		for _, p := range Profiles {
			world := clusterOf(t, cluster+c.policy, model.WorldOptions{}, p)
			side := func(name string) Side {
				i := slices.IndexFunc(world.Pods, func(p *Pod) bool { return p.Name == name })
				if i < 0 {
					return node
				}
				return Side{Pod: world.Pods[i]}
			}
			allowed := New(world).Between(side(c.from), side(c.to)).Contains(TCP, 80)
			if allowed {
				yes = append(yes, p.Name)
			}
			for _, other := range world.Disagree(side(c.from), side(c.to), TCP, 80) {
				if slices.Contains(c.yes, other) == allowed {
					t.Errorf("%s: %s does not disagree with %s", c.name, other, p.Name)
				}
			}
		}
		if !slices.Equal(yes, c.yes) {
			t.Errorf("%s: yes by %v, should be %v", c.name, yes, c.yes)
		}
	}
}
