package network

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// analyses are the controls that ask the engine: the lints, and those about what is reached.
func analyses() (out []*check.Control) {
	for _, c := range append([]check.Control{limitedBlastRadius, noExposedWorkloads, noNodeAccess, noOpenInternetEgress}, lints...) {
		out = append(out, &c)
	}
	return out
}

// judged runs controls over a world, and returns "control object: message" of each finding,
// sorted; what is not known has "unknown" before its message.
func judged(tb testing.TB, w *model.World, controls ...*check.Control) []string {
	tb.Helper()
	out, err := check.Run(tb.Context(), &model.Snapshot{Worlds: []*model.World{w}}, check.Options{Controls: controls, Version: 37,
		Settings: check.Settings{},
		Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
			return admission.Compile(cs, p, v)
		}})
	if err != nil {
		tb.Fatal(err)
	}
	var got []string
	for _, f := range out.Findings {
		unknown := ""
		if f.Verdict == finding.Unknown {
			unknown = "unknown: "
		}
		got = append(got, fmt.Sprintf("%s %s: %s%s", f.Control, f.Object, unknown, f.Message))
	}
	slices.Sort(got)
	return got
}

func node(name, providerID, address string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: Node, metadata: {name: %s}, spec: {providerID: %q, podCIDR: 10.244.1.0/24}, status: {addresses: [{type: InternalIP, address: %s}]}}\n---\n", name, providerID, address)
}

func podAt(name, namespace, labels, address string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s, labels: {%s}}, spec: {containers: []}, status: {podIP: %q}}\n---\n", name, namespace, labels, address)
}

func daemonSet(name, container string) string {
	return fmt.Sprintf("{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: %s, namespace: kube-system}, spec: {template: {metadata: {labels: {k8s-app: %s}}, spec: {hostNetwork: true, containers: [%s]}}}}\n---\n", name, name, container)
}

const dns = `{apiVersion: v1, kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, ports: [{port: 53, protocol: UDP, targetPort: 5353}, {port: 53, protocol: TCP, targetPort: 5353}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: coredns, namespace: kube-system, labels: {k8s-app: kube-dns}}, spec: {containers: []}}
---
`

const balancer = `{apiVersion: v1, kind: Service, metadata: {name: lb, namespace: shop}, spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: a}, ports: [{port: 443, targetPort: 8443}]}}
---
`

// TestAnalyses holds one control at a time against worlds that it is about, and against
// such as look like them.
func TestAnalyses(t *testing.T) {
	live, complete := model.WorldOptions{Live: true}, model.WorldOptions{Complete: true}
	a, b := deployment("a", "app: a"), deployment("b", "app: b")
	out := func(rules string) string {
		return networkPolicy("out", "podSelector: {}, policyTypes: [Egress], egress: ["+rules+"]")
	}
	in := func(name, selector, rules string) string {
		return networkPolicy(name, "podSelector: {"+selector+"}, ingress: ["+rules+"]")
	}
	const toDNS = "{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}], ports: [{port: 5353, protocol: UDP}, {port: 5353, protocol: TCP}]}"
	tier := func(name string, priority int, spec string) string {
		return clusterPolicyText("AdminNetworkPolicy", name, fmt.Sprintf("priority: %d, subject: {namespaces: {}}, %s", priority, spec))
	}
	for _, test := range []struct {
		name    string
		control check.Control
		text    string
		options model.WorldOptions
		want    []string
	}{
		{"the cluster has no metadata service", noMetadataAccess, shop + a + node("n", "kind://docker/x/n", "10.0.0.1"), live, nil},
		{"nodes of no provider", noMetadataAccess, shop + a + node("n", "", "10.0.0.1"), live, nil},
		{"the metadata service of Azure has another address", noMetadataAccess, shop + a + node("n", "azure:///x", "10.0.0.1") + out("{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}"), live,
			[]string{"Namespace/shop: Deployment/a reaches 168.63.129.16"}},
		{"the same address on AWS", noMetadataAccess, shop + a + node("n", "aws:///eu/i-1", "10.0.0.1") + out("{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}"), live, nil},
		{"by IPv6 only, and pods have none", noMetadataAccess, shop + podAt("a", "shop", "", "10.244.1.5") + node("n", "aws:///eu/i-1", "10.0.0.1") + out(`{to: [{ipBlock: {cidr: "::/0"}}]}`), live, nil},
		{"by IPv6 only, and pods have it", noMetadataAccess, shop + podAt("a", "shop", "", "fd00::5") + node("n", "aws:///eu/i-1", "10.0.0.1") + out(`{to: [{ipBlock: {cidr: "::/0"}}]}`), live,
			[]string{"Namespace/shop: Pod/a reaches fd00:ec2::254"}},
		{"one of four workloads is kept from it", noMetadataAccess, shop + a + b + deployment("c", "app: c") + deployment("d", "app: d") + deployment("e", "app: e") + networkPolicy("a", "podSelector: {matchLabels: {app: a}}, policyTypes: [Egress]"), live,
			[]string{"Namespace/shop: Deployment/b, Deployment/c and 2 more reach 169.254.169.254 and fd00:ec2::254"}},
		{"another port of it", noMetadataAccess, shop + a + out("{ports: [{port: 443}]}"), live, nil},
		{"a policy that is not understood", noMetadataAccess, shop + a + "{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: x, namespace: shop}, spec: {endpointSelector: {}}}", live,
			[]string{"Namespace/shop: unknown: shop/CiliumNetworkPolicy/x is a policy of a network plugin, which is not understood; it may be about shop/Deployment/a"}},
		{"one workload surely, another not", noMetadataAccess, shop + a + b + "{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: x, namespace: shop}, spec: {endpointSelector: {matchLabels: {app: a}}}}", live,
			[]string{"Namespace/shop: Deployment/b reaches 169.254.169.254 and fd00:ec2::254"}},
		{"a policy that no server takes", noMetadataAccess, shop + a + networkPolicy("odd", "podSelector: []"), model.WorldOptions{},
			[]string{"Namespace/shop: unknown: NetworkPolicy odd is not understood: the API server would refuse it: cannot restore struct from: slice"}},
		{"no Namespace, in files", noMetadataAccess, a, model.WorldOptions{}, nil},
		{"no pods", noMetadataAccess, shop, live, nil},

		{"nodes", noNodeAccess, shop + a + node("n", "", "10.0.0.1") + node("m", "", "10.0.0.2"), live, []string{"Namespace/shop: Deployment/a reaches the kubelet of nodes: 10.0.0.1 and 10.0.0.2"}},
		{"one of the nodes", noNodeAccess, shop + a + node("n", "", "10.0.0.1") + node("m", "", "10.0.0.2") + out("{to: [{ipBlock: {cidr: 10.0.0.2/32}}]}"), live, []string{"Namespace/shop: Deployment/a reaches the kubelet of nodes: 10.0.0.2"}},
		{"not the port of the kubelet", noNodeAccess, shop + a + node("n", "", "10.0.0.1") + out("{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 9100}]}"), live, nil},

		{"the internet but for some", noOpenInternetEgress, shop + a + out("{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [203.0.113.0/24, 10.0.0.0/8]}}], ports: [{port: 443}]}"), live,
			[]string{"Namespace/shop: Deployment/a reaches the whole internet"}},
		{"two halves of it", noOpenInternetEgress, shop + a + out("{to: [{ipBlock: {cidr: 0.0.0.0/1}}]}, {to: [{ipBlock: {cidr: 128.0.0.0/1}}]}"), live, []string{"Namespace/shop: Deployment/a reaches the whole internet"}},
		{"one half of it", noOpenInternetEgress, shop + a + out("{to: [{ipBlock: {cidr: 0.0.0.0/1}}]}"), live, nil},
		{"DNS only", noOpenInternetEgress, shop + a + out("{ports: [{port: 53, protocol: UDP}, {port: 53}]}"), live, nil},

		{"a resolver that is reached", dnsAllowed, shop + a + dns + out("{to: [{podSelector: {}}]}, "+toDNS), live, nil},
		{"by the port of the Service", dnsAllowed, shop + a + dns + out("{to: [{podSelector: {}}]}, {ports: [{port: 53, protocol: UDP}, {port: 53}]}"), live,
			[]string{"shop/NetworkPolicy/out: Deployment/a may send to others, and does not reach the resolver by UDP and TCP"}},
		{"by UDP only", dnsAllowed, shop + a + b + dns + out("{to: [{podSelector: {}}]}, {ports: [{port: 5353, protocol: UDP}]}"), live,
			[]string{"shop/NetworkPolicy/out: Deployment/a and Deployment/b may send to others, and do not reach the resolver by TCP, which long answers need"}},
		{"nothing is sent", dnsAllowed, shop + a + dns + out(""), live, nil},
		{"to addresses only", dnsAllowed, shop + a + dns + out("{to: [{ipBlock: {cidr: 10.9.0.0/16}}]}"), live, nil},
		{"no isolation", dnsAllowed, shop + a + dns, live, nil},
		{"the resolver lets nobody in", dnsAllowed, shop + a + dns + "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny, namespace: kube-system}, spec: {podSelector: {}}}", live,
			[]string{"kube-system/NetworkPolicy/deny: Deployment/a may send to others, and does not reach the resolver by UDP and TCP"}},
		{"a tier denies it", dnsAllowed, shop + a + dns + tier("no-dns", 1, "egress: [{action: Deny, to: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]}]"), live,
			[]string{"AdminNetworkPolicy/no-dns: Deployment/a may send to others, and does not reach the resolver by UDP and TCP"}},
		{"a tier accepts it before", dnsAllowed, shop + a + dns + out("{to: [{podSelector: {}}]}") + tier("dns", 1, "egress: [{action: Allow, to: [{namespaces: {}}], ports: [{portNumber: {port: 5353, protocol: UDP}}, {portNumber: {port: 5353, protocol: TCP}}]}]"), live, nil},
		{"a cache on each node", dnsAllowed, shop + a + dns + daemonSet("node-local-dns", "") + out("{to: [{podSelector: {}}]}, {to: [{ipBlock: {cidr: 169.254.20.10/32}}], ports: [{port: 53, protocol: UDP}, {port: 53}]}"), live, nil},
		{"its node's resolver", dnsAllowed, shop + dns + "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop}, spec: {dnsPolicy: Default, containers: []}}\n---\n" + out("{to: [{podSelector: {}}]}"), live, nil},
		{"no resolver is seen, a named port may be it", dnsAllowed, shop + a + out("{to: [{podSelector: {}}]}, {ports: [{port: dns, protocol: UDP}, {port: dns}]}"), model.WorldOptions{}, nil},
		{"no resolver is seen, a range has it", dnsAllowed, shop + a + out("{to: [{podSelector: {}}]}, {ports: [{port: 1, endPort: 1024, protocol: UDP}, {port: 50, endPort: 60}]}"), model.WorldOptions{}, nil},

		{"a name that one of the pods has", namedPortsExist, shop + a + `{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}}
---
` + in("p", "", "{ports: [{port: http}]}"), live, nil},
		{"a name that only a peer has", namedPortsExist, shop + a + b + in("p", "matchLabels: {app: a}", "{ports: [{port: http}]}"), live,
			[]string{"shop/NetworkPolicy/p: it is about 1 pod, and none has a port http of TCP"}},
		{"of no pods", namedPortsExist, shop + in("p", "matchLabels: {app: a}", "{ports: [{port: http}]}"), live, nil},
		{"the name of a peer for egress", namedPortsExist, shop + a + b + out("{to: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: http}]}"), live,
			[]string{"shop/NetworkPolicy/out: it is about 1 pod, and none has a port http of TCP"}},
		{"of all peers, in files", namedPortsExist, shop + a + out("{ports: [{port: http}]}"), model.WorldOptions{}, nil},

		{"a block with a pod", blocksWithoutPods, shop + podAt("p", "shop", "", "10.1.2.3") + out("{to: [{ipBlock: {cidr: 10.1.0.0/16}}]}"), live, []string{"shop/NetworkPolicy/out: 10.1.0.0/16 has 10.1.2.3, which is shop/Pod/p"}},
		{"but for the pod", blocksWithoutPods, shop + podAt("p", "shop", "", "10.1.2.3") + out("{to: [{ipBlock: {cidr: 10.1.0.0/16, except: [10.1.2.0/24]}}]}"), live, nil},
		{"where there are no pods", blocksWithoutPods, shop + podAt("p", "shop", "", "10.1.2.3") + out("{to: [{ipBlock: {cidr: 10.2.0.0/16}}]}"), live, nil},
		{"IPv6 beside pods of IPv4", blocksWithoutPods, shop + podAt("p", "shop", "", "10.1.2.3") + out(`{to: [{ipBlock: {cidr: "::/0"}}]}`), live, nil},
		{"IPv6, and nothing is known", blocksWithoutPods, shop + a + out(`{to: [{ipBlock: {cidr: "::/0"}}]}`), model.WorldOptions{}, nil},
		{"the address of a node's pod", blocksWithoutPods, shop + "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop}, spec: {hostNetwork: true, containers: []}, status: {podIP: 10.1.2.3}}\n---\n" + out("{to: [{ipBlock: {cidr: 10.1.0.0/16}}]}"), live, nil},

		{"flannel, and no policy", networkPoliciesEnforced, daemonSet("kube-flannel-ds", ""), live, nil},
		{"flannel beside Calico", networkPoliciesEnforced, shop + daemonSet("kube-flannel-ds", "") + daemonSet("calico-node", "") + in("p", "", ""), live, nil},
		{"flannel alone", networkPoliciesEnforced, shop + daemonSet("kube-flannel-ds", "") + in("p", "", ""), live,
			[]string{"kube-system/DaemonSet/kube-flannel-ds: it connects pods and enforces no policies, and nothing else is seen that does: 1 NetworkPolicies do nothing"}},
		{"in files the rest may be elsewhere", networkPoliciesEnforced, shop + daemonSet("kube-flannel-ds", "") + in("p", "", ""), model.WorldOptions{}, nil},
		{"an old kindnet", networkPoliciesEnforced, shop + daemonSet("kindnet", "{name: k, image: 'docker.io/kindest/kindnetd:v20240513-cd2ac642'}") + in("p", "", ""), live,
			[]string{"kube-system/DaemonSet/kindnet: it connects pods and enforces no policies, and nothing else is seen that does: 1 NetworkPolicies do nothing"}},
		{"a new kindnet", networkPoliciesEnforced, shop + daemonSet("kindnet", "{name: k, image: 'docker.io/kindest/kindnetd:v20250214-acbabc1a'}") + in("p", "", ""), live, nil},
		{"AWS without its agent", networkPoliciesEnforced, shop + daemonSet("aws-node", "{name: aws-node}, {name: aws-eks-nodeagent, args: [--enable-network-policy=false]}") + in("p", "", ""), live,
			[]string{"kube-system/DaemonSet/aws-node: it connects pods and enforces no policies, and nothing else is seen that does: 1 NetworkPolicies do nothing"}},
		{"AWS with it", networkPoliciesEnforced, shop + daemonSet("aws-node", "{name: aws-node}, {name: aws-eks-nodeagent, args: [--enable-network-policy=true]}") + in("p", "", ""), live, nil},
		{"a plugin that is not known", networkPoliciesEnforced, shop + in("p", "", ""), live,
			[]string{"shop/NetworkPolicy/p: unknown: which network plugin the cluster has is not known, and whether it enforces NetworkPolicies"}},

		{"all isolated one by one", noHalfIsolatedNamespaces, shop + a + networkPolicy("a", "podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress, Egress]"), live, nil},
		{"the other direction by a baseline", noHalfIsolatedNamespaces, shop + a + in("a", "", "") + clusterPolicyText("BaselineAdminNetworkPolicy", "default", "subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]"), live, nil},
		{"some of them in one direction", noHalfIsolatedNamespaces, shop + a + b + networkPolicy("a", "podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress, Egress]") + in("b", "", ""), live,
			[]string{"Namespace/shop: policies limit the egress of some pods, and not that of Deployment/b"}},

		{"ports of another protocol", noCoveredNetworkRules, in("p", "", "{ports: [{port: 80, protocol: UDP}]}, {ports: [{port: 80}]}"), model.WorldOptions{}, nil},
		{"a range", noCoveredNetworkRules, in("p", "", "{ports: [{port: 80, endPort: 90}]}, {ports: [{port: 85}]}"), model.WorldOptions{},
			[]string{"shop/NetworkPolicy/p: rule 2 of ingress allows nothing that rule 1 does not"}},
		{"a name may be any port", noCoveredNetworkRules, in("p", "", "{ports: [{port: 80}, {port: http}]}, {ports: [{port: 80, protocol: TCP}, {port: web}]}"), model.WorldOptions{}, nil},
		{"two blocks together", noCoveredNetworkRules, in("p", "", "{from: [{ipBlock: {cidr: 10.0.0.0/9}}]}, {from: [{ipBlock: {cidr: 10.128.0.0/9}}]}, {from: [{ipBlock: {cidr: 10.0.0.0/8}}]}"), model.WorldOptions{},
			[]string{"shop/NetworkPolicy/p: rule 1 of ingress allows nothing that rule 3 does not", "shop/NetworkPolicy/p: rule 2 of ingress allows nothing that rule 3 does not"}},
		{"a block and its hole", noCoveredNetworkRules, in("p", "", "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}, {from: [{ipBlock: {cidr: 10.1.0.0/24}}]}"), model.WorldOptions{}, nil},
		{"all addresses are not all pods for every plugin", noCoveredNetworkRules, in("p", "", `{from: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: "::/0"}}]}, {from: [{podSelector: {}}]}`), model.WorldOptions{}, nil},
		{"all labels that there are", noCoveredNetworkRules, in("p", "", "{from: [{podSelector: {matchExpressions: [{key: app, operator: Exists}]}}]}, {from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [a, b]}]}}]}"), model.WorldOptions{},
			[]string{"shop/NetworkPolicy/p: rule 2 of ingress allows nothing that rule 1 does not"}},

		{"the same policy twice", noRedundantNetworkRules, in("p", "", "{from: [{podSelector: {}}]}") + in("q", "", "{from: [{podSelector: {}}]}"), model.WorldOptions{},
			[]string{"shop/NetworkPolicy/q: rule 1 of ingress allows nothing that rule 1 of NetworkPolicy p does not, for all pods that it is about"}},
		{"decided by a tier", noRedundantNetworkRules, shop + in("p", "", "{from: [{podSelector: {}}]}") + tier("deny", 1, "ingress: [{action: Deny, from: [{namespaces: {matchLabels: {tenant: a}}}]}]"), complete,
			[]string{"shop/NetworkPolicy/p: rule 1 of ingress is never asked: rule 1 of AdminNetworkPolicy deny decides all that it is about"}},
		{"passed on by a tier", noRedundantNetworkRules, shop + in("p", "", "{from: [{podSelector: {}}]}") + tier("pass", 1, "ingress: [{action: Pass, from: [{namespaces: {}}]}]"), complete, nil},

		{"the later of one priority is not hidden", noShadowedNetworkRules, tier("a", 1, "ingress: [{action: Deny, from: [{namespaces: {}}]}]") + tier("b", 1, "ingress: [{action: Deny, from: [{namespaces: {}}]}]"), model.WorldOptions{}, nil},
		{"hidden in the baseline by the Admin tier", noShadowedNetworkRules, tier("a", 1, "ingress: [{action: Deny, from: [{namespaces: {}}]}]") + clusterPolicyText("BaselineAdminNetworkPolicy", "default", "subject: {namespaces: {matchLabels: {tenant: a}}}, ingress: [{action: Allow, from: [{namespaces: {}}]}]"), model.WorldOptions{},
			[]string{"BaselineAdminNetworkPolicy/default: rule 1 of ingress is never asked: rule 1 of AdminNetworkPolicy a decides all that it is about (Deny)"}},
		{"passed on to the baseline", noShadowedNetworkRules, tier("a", 1, "ingress: [{action: Pass, from: [{namespaces: {}}]}]") + clusterPolicyText("BaselineAdminNetworkPolicy", "default", "subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {}}]}]"), model.WorldOptions{}, nil},

		{"a load balancer", noExposedWorkloads, shop + a + b + balancer, live, []string{"shop/Deployment/a: the internet reaches it by Service shop/lb (LoadBalancer)"}},
		{"a load balancer, in files without the Namespace", noExposedWorkloads, a + balancer, model.WorldOptions{}, nil},
		{"policies let nobody in", noExposedWorkloads, shop + a + balancer + in("a", "", ""), live, nil},
		{"policies let one block in", noExposedWorkloads, shop + a + balancer + in("a", "", "{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}"), live, nil},
		{"policies let nearly all in", noExposedWorkloads, shop + a + balancer + in("a", "", "{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}"), live, []string{"shop/Deployment/a: the internet reaches it by Service shop/lb (LoadBalancer)"}},
		{"a way in that is not read", noExposedWorkloads, shop + a + "{apiVersion: route.openshift.io/v1, kind: Route, metadata: {name: r, namespace: shop}, spec: {}}", live,
			[]string{"shop/Deployment/a: unknown: whether shop/Route/r leads to it is not known: its kind is not read"}},
		{"a port of nodes", noExposedWorkloads, shop + a + strings.Replace(balancer, "LoadBalancer", "NodePort", 1), live, nil},

		{"other ports of one priority", distinctTierPriorities, tier("a", 1, "ingress: [{action: Deny, ports: [{portNumber: {port: 80}}], from: [{namespaces: {}}]}]") + tier("b", 1, "ingress: [{action: Allow, ports: [{portNumber: {port: 81}}], from: [{namespaces: {}}]}]"), model.WorldOptions{}, nil},
		{"other directions of one priority", distinctTierPriorities, tier("a", 1, "ingress: [{action: Deny, from: [{namespaces: {}}]}]") + tier("b", 1, "egress: [{action: Allow, to: [{namespaces: {}}]}]"), model.WorldOptions{}, nil},

		{"a subject that nobody is", networkPolicySelectsPods, shop + a + clusterPolicyText("AdminNetworkPolicy", "x", "priority: 1, subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: z}}}}"), live,
			[]string{"AdminNetworkPolicy/x: no pod matches app=z in the namespaces that it is about"}},
		{"a namespace that is not there", networkPolicySelectsPods, shop + a + clusterPolicyText("AdminNetworkPolicy", "x", "priority: 1, subject: {namespaces: {matchLabels: {tenant: z}}}"), live,
			[]string{"AdminNetworkPolicy/x: no namespace matches tenant=z"}},
		{"the same in files", networkPolicySelectsPods, shop + a + clusterPolicyText("AdminNetworkPolicy", "x", "priority: 1, subject: {namespaces: {matchLabels: {tenant: z}}}"), model.WorldOptions{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want []string
			for _, text := range test.want {
				want = append(want, test.control.Name+" "+text)
			}
			compare(t, judged(t, world(t, test.text, test.options), &test.control), want...)
		})
	}
}

// TestCoveredRulesFix removes covered rules from random policies: nobody reaches more or
// less, no rule is left that another has all of, and a second run changes nothing.
func TestCoveredRulesFix(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	some := func(field string, of ...string) string {
		var items []string
		for range random.IntN(3) {
			items = append(items, one(of...))
		}
		if len(items) == 0 {
			return ""
		}
		return field + ": [" + strings.Join(items, ", ") + "]"
	}
	m, err := admission.CompileMutation(&noCoveredNetworkRules, nil)
	if err != nil {
		t.Fatal(err)
	}
	pods := shop + deployment("a", "app: a") + deployment("b", "app: b") + deployment("c", "app: a, tier: c")
	removed := 0
	for range 400 {
		rules := func(peers string) string {
			var out []string
			for range 1 + random.IntN(4) {
				var fields []string
				for _, f := range []string{some(peers, "{podSelector: {}}", "{podSelector: {matchLabels: {app: a}}}", "{namespaceSelector: {}}", "{ipBlock: {cidr: 10.0.0.0/8}}", "{ipBlock: {cidr: 10.1.0.0/16}}"),
					some("ports", "{port: 80}", "{port: 443}", "{port: 80, protocol: UDP}", "{port: 80, endPort: 500}", "{port: http}")} {
					if f != "" {
						fields = append(fields, f)
					}
				}
				out = append(out, "{"+strings.Join(fields, ", ")+"}")
			}
			return "[" + strings.Join(out, ", ") + "]"
		}
		text := networkPolicy("p", "podSelector: {"+one("", "matchLabels: {app: a}")+"}, "+one("", "policyTypes: [Ingress], ", "policyTypes: [Ingress, Egress], ")+"ingress: "+rules("from")+", egress: "+rules("to"))
		before := world(t, pods+text, model.WorldOptions{})
		fix := func(w *model.World) *model.World {
			var objects []*model.Object
			for _, o := range w.Objects {
				if m.Concerns(o) {
					content, err := m.Apply(t.Context(), o)
					if err != nil {
						t.Fatal(err)
					}
					o, _ = model.NewObject(content, nil, model.Source{})
				}
				objects = append(objects, o)
			}
			return model.NewWorld(objects, model.WorldOptions{})
		}
		after := fix(before)
		d := reach.Compare(engines.Of(before), engines.Of(after))
		if len(d.Changes(reach.Gained))+len(d.Changes(reach.Lost)) > 0 {
			t.Fatalf("the fix changes who reaches whom: %s", text)
		}
		was, is, again := judged(t, before, &noCoveredNetworkRules), judged(t, after, &noCoveredNetworkRules), judged(t, fix(after), &noCoveredNetworkRules)
		if removed += len(was) - len(is); len(is) > len(was) || !slices.Equal(is, again) {
			t.Fatalf("%s\nbefore %v\nafter %v\nagain %v", text, was, is, again)
		}
	}
	if removed < 100 {
		t.Errorf("the fix removed %d rules, too few to tell", removed)
	}
}

// TestBlastRadiusTellsTen makes more wide workloads than are told.
func TestBlastRadiusTellsTen(t *testing.T) {
	var text strings.Builder
	for i := range 14 {
		ns := fmt.Sprintf("ns-%02d", i)
		fmt.Fprintf(&text, "{apiVersion: v1, kind: Namespace, metadata: {name: %[1]s}}\n---\n"+
			"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: %[1]s}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [ns-%02[2]d]}]}}]}]}}\n---\n", ns, (i+1)%14)
		text.WriteString(podAt("p", ns, "", ""))
	}
	got := judged(t, world(t, text.String(), model.WorldOptions{}), &limitedBlastRadius)
	if len(got) != worstRadii {
		t.Fatalf("%d findings:\n%s", len(got), strings.Join(got, "\n"))
	}
	if !strings.HasPrefix(got[0], "limited-blast-radius ns-00/Pod/p: it may talk to 12 of 13 other workloads, in 12 other namespaces; in several steps 13 are reached, in 13") ||
		!strings.HasSuffix(got[worstRadii-1], "; 4 workloads more reach too many namespaces and are not told: bulkhead net blast") {
		t.Error(strings.Join(got, "\n"))
	}
}

// hostile is a namespace of many pods and policies, some of which no server would take.
func hostile(policies, pods int) string {
	var text strings.Builder
	text.WriteString(shop)
	for i := range policies {
		switch i % 5 {
		case 0:
			text.WriteString(networkPolicy(fmt.Sprint("p", i), fmt.Sprintf("podSelector: {matchLabels: {app: a%d}}, ingress: [{from: [{podSelector: {matchLabels: {app: a%d}}}], ports: [{port: n%d}]}]", i, i+1, i%100)))
		case 1:
			text.WriteString(networkPolicy(fmt.Sprint("p", i), fmt.Sprintf("podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.%d.%d.0/24}}]}], egress: [{to: [{ipBlock: {cidr: 10.%d.0.0/16}}], ports: [{port: %d}]}]", i>>8&255, i&255, i&255, 1+i)))
		case 2:
			text.WriteString(networkPolicy(fmt.Sprint("p", i), "podSelector: {matchExpressions: [{key: app, operator: Near}]}"))
		case 3:
			text.WriteString(networkPolicy(fmt.Sprint("p", i), `podSelector: {matchExpressions: [{key: app, operator: NotIn, values: ["\u001b[31m"]}]}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/33}}]}]`))
		case 4:
			text.WriteString(clusterPolicyText("AdminNetworkPolicy", fmt.Sprint("t", i), fmt.Sprintf("priority: 7, subject: {namespaces: {matchLabels: {t%d: x}}}, ingress: [{action: %s, from: [{namespaces: {}}]}]", i%50, []string{"Allow", "Deny"}[i%2])))
		}
	}
	for i := range pods {
		text.WriteString(podAt(fmt.Sprint("p", i), "shop", fmt.Sprintf("app: a%d", i), ""))
	}
	return text.String()
}

// TestHostile judges thousands of policies, valid ones and others, in little time.
func TestHostile(t *testing.T) {
	w := world(t, hostile(4000, 2000), model.WorldOptions{Live: true})
	start := time.Now()
	got := judged(t, w, analyses()...)
	if took := time.Since(start); took > 60*time.Second {
		t.Errorf("it took %s", took)
	}
	if len(got) < 1000 {
		t.Errorf("%d findings, too few", len(got))
	}
}

// BenchmarkControls judges whole clusters by all controls that ask the engine, which is
// built anew each time. Time has to grow with the pods.
func BenchmarkControls(b *testing.B) {
	for _, namespaces := range []int{100, 1000} {
		objects := large(b, namespaces)
		b.Run(fmt.Sprintf("%d pods, %d policies", 10*namespaces, 4*namespaces), func(b *testing.B) {
			for b.Loop() {
				judged(b, model.NewWorld(slices.Clone(objects), model.WorldOptions{Live: true}), analyses()...)
			}
		})
	}
}

// large is a cluster of namespaces that are all alike: ten deployments and four policies.
func large(tb testing.TB, namespaces int) []*model.Object {
	var objects []*model.Object
	add := func(format string, a ...any) {
		objects = append(objects, decoded(tb, fmt.Sprintf(format, a...))...)
	}
	add(dns)
	for i := range namespaces {
		ns := fmt.Sprintf("ns-%04d", i)
		add("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", ns)
		for j := range 10 {
			add("{apiVersion: apps/v1, kind: Deployment, metadata: {name: a%[2]d, namespace: %[1]s}, spec: {template: {metadata: {labels: {app: a%[2]d}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}}}}", ns, j)
		}
		for n, spec := range []string{"podSelector: {}, policyTypes: [Ingress, Egress]",
			"podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 5353, protocol: UDP}, {port: 5353}]}]",
			"podSelector: {matchLabels: {app: a1}}, ingress: [{from: [{podSelector: {matchLabels: {app: a0}}}], ports: [{port: http}]}]",
			"podSelector: {matchLabels: {app: a0}}, ingress: [{}], egress: [{to: [{podSelector: {matchLabels: {app: a1}}}]}]"} {
			add("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p%d, namespace: %s}, spec: {%s}}", n, ns, spec)
		}
	}
	return objects
}
