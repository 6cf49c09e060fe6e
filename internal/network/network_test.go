package network

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

func world(t *testing.T, text string, o model.WorldOptions) *model.World {
	t.Helper()
	return model.NewWorld(decoded(t, text), o)
}

func decoded(tb testing.TB, text string) []*model.Object {
	tb.Helper()
	file := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text))
	for _, p := range file.Problems {
		tb.Fatalf("line %d: %s", p.Location.Line, p.Message)
	}
	return file.Objects
}

// verdicts writes what a control says of each object in one line.
func verdicts(t *testing.T, judge func(*check.Input) []check.Judgement, w *model.World) []string {
	t.Helper()
	var out []string
	for _, j := range judge(&check.Input{World: w, Version: 37}) {
		ref := j.Ref
		if j.Object != nil {
			ref = j.Object.Ref()
		}
		line := fmt.Sprintf("%s %s", ref, j.Verdict)
		for _, v := range j.Violations {
			line += ": " + v.Detail
		}
		if j.Reason != "" {
			line += ": " + j.Reason
		}
		out = append(out, line)
	}
	return out
}

func compare(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const shop = `{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {tenant: a}}}
---
`

func deployment(name, labels string) string {
	return fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: %s, namespace: shop},
  spec: {template: {metadata: {labels: {%s}}, spec: {containers: []}}}}
---
`, name, labels)
}

func networkPolicy(name, spec string) string {
	return fmt.Sprintf(`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: %s, namespace: shop}, spec: {%s}}
---
`, name, spec)
}

func clusterPolicyText(kind, name, spec string) string {
	return fmt.Sprintf(`{apiVersion: policy.networking.k8s.io/v1alpha1, kind: %s, metadata: {name: %s}, spec: {%s}}
---
`, kind, name, spec)
}

func TestDefaultDeny(t *testing.T) {
	denyAll := networkPolicy("deny", "podSelector: {}, policyTypes: [Ingress, Egress]")
	everyNamespace := "subject: {namespaces: {}}, "
	for _, test := range []struct {
		name, text      string
		options         model.WorldOptions
		ingress, egress string
	}{
		{name: "nothing", text: shop,
			ingress: "fail: no policy denies ingress by default", egress: "fail: no policy denies egress by default"},
		{name: "three open workloads", text: shop + deployment("a", "app: a") + deployment("b", "app: b") + deployment("c", "app: c") + networkPolicy("c", "podSelector: {matchLabels: {app: c}}, egress: [{}]"),
			ingress: "fail: no policy limits the ingress of Deployment/a and Deployment/b", egress: "fail: no policy limits the egress of Deployment/a and Deployment/b"},
		{name: "each isolated on its own", text: shop + deployment("a", "app: a") + networkPolicy("a", "podSelector: {matchExpressions: [{key: app, operator: Exists}]}, policyTypes: [Egress]"),
			ingress: "fail: no policy limits the ingress of Deployment/a",
			egress:  "fail: no policy denies egress by default: the pods of today are isolated one by one, a new one is not"},
		{name: "denied", text: shop + denyAll, ingress: "pass", egress: "pass"},
		{name: "same namespace only", text: shop + networkPolicy("own", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}]"),
			ingress: "pass", egress: "fail: no policy denies egress by default"},
		{name: "every pod of the cluster allowed", text: shop + denyAll + networkPolicy("open", "podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]}]"),
			ingress: "fail: NetworkPolicy open allows all ingress of every pod", egress: "pass"},
		{name: "everything allowed on some ports", text: shop + denyAll + networkPolicy("dns", "podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53}]}]"),
			ingress: "pass", egress: "pass"},
		{name: "allowed to egress without saying so in policyTypes", text: shop + networkPolicy("odd", "podSelector: {}, policyTypes: [Ingress], egress: [{}]"),
			ingress: "pass", egress: "fail: no policy denies egress by default"},
		{name: "not a NetworkPolicy", text: shop + networkPolicy("odd", "podSelector: []"),
			ingress: "unknown: NetworkPolicy odd is not understood: the API server would refuse it: cannot restore struct from: slice",
			egress:  "unknown: NetworkPolicy odd is not understood: the API server would refuse it: cannot restore struct from: slice"},
		{name: "no Namespace object, everything seen", text: deployment("a", ""), options: model.WorldOptions{Complete: true},
			ingress: "fail: no policy limits the ingress of Deployment/a", egress: "fail: no policy limits the egress of Deployment/a"},
		{name: "policies not read", text: shop, options: model.WorldOptions{Live: true, Unobserved: []model.Unobserved{{GroupKind: networkPolicyKind, Namespace: "shop", Reason: "forbidden"}}},
			ingress: "unknown: its NetworkPolicies were not read: forbidden", egress: "unknown: its NetworkPolicies were not read: forbidden"},
		{name: "an admin policy denies before all others", text: shop + networkPolicy("open", "podSelector: {}, ingress: [{}]") +
			clusterPolicyText("AdminNetworkPolicy", "deny", "priority: 5, "+everyNamespace+"ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
			ingress: "pass", egress: "fail: no policy denies egress by default"},
		{name: "the lower number wins", text: shop + denyAll +
			clusterPolicyText("AdminNetworkPolicy", "deny", "priority: 5, "+everyNamespace+"ingress: [{action: Deny, from: [{namespaces: {}}]}]") +
			clusterPolicyText("AdminNetworkPolicy", "allow", "priority: 4, "+everyNamespace+"ingress: [{action: Allow, from: [{pods: {namespaceSelector: {}, podSelector: {}}}]}]"),
			ingress: "fail: AdminNetworkPolicy allow allows all ingress before any NetworkPolicy is asked", egress: "pass"},
		{name: "pass leaves it to the namespace", text: shop + denyAll +
			clusterPolicyText("AdminNetworkPolicy", "pass", "priority: 4, "+everyNamespace+"ingress: [{action: Pass, from: [{namespaces: {}}]}, {action: Deny, from: [{namespaces: {}}]}]"),
			ingress: "pass", egress: "pass"},
		{name: "a denial of some is no default", text: shop +
			clusterPolicyText("AdminNetworkPolicy", "some", "priority: 4, "+everyNamespace+"ingress: [{action: Deny, from: [{namespaces: {matchLabels: {tenant: b}}}]}, {action: Deny, ports: [{portNumber: {port: 1}}], from: [{namespaces: {}}]}]"),
			ingress: "fail: no policy denies ingress by default", egress: "fail: no policy denies egress by default"},
		{name: "a baseline of other namespaces", text: shop +
			clusterPolicyText("BaselineAdminNetworkPolicy", "default", "subject: {namespaces: {matchLabels: {tenant: b}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
			ingress: "fail: no policy denies ingress by default", egress: "fail: no policy denies egress by default"},
		{name: "a baseline that denies pods only says nothing of the internet", text: shop +
			clusterPolicyText("BaselineAdminNetworkPolicy", "default", everyNamespace+"ingress: [{action: Deny, from: [{namespaces: {}}]}], egress: [{action: Deny, to: [{namespaces: {}}]}]"),
			ingress: "pass", egress: "fail: no policy denies egress by default"},
		{name: "labels of the namespace not seen", text: deployment("a", "") +
			clusterPolicyText("BaselineAdminNetworkPolicy", "default", "subject: {namespaces: {matchLabels: {tenant: a}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
			options: model.WorldOptions{Complete: true},
			ingress: "unknown: the Namespace object was not read, so that it is not known whether BaselineAdminNetworkPolicy default selects it",
			egress:  "fail: no policy limits the egress of Deployment/a"},
		{name: "policies of a network plugin", text: shop + "{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: deny, namespace: shop}}",
			ingress: "unknown: CiliumNetworkPolicy deny may deny ingress by default; policies of network plugins are not judged",
			egress:  "unknown: CiliumNetworkPolicy deny may deny egress by default; policies of network plugins are not judged"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := world(t, test.text, test.options)
			compare(t, verdicts(t, judgeDefaultDeny(reach.Ingress), w), "Namespace/shop "+test.ingress)
			compare(t, verdicts(t, judgeDefaultDeny(reach.Egress), w), "Namespace/shop "+test.egress)
		})
	}
}

func TestOpenWorld(t *testing.T) {
	w := world(t, deployment("a", "app: a")+networkPolicy("b", "podSelector: {matchLabels: {app: b}}"), model.WorldOptions{})
	compare(t, verdicts(t, judgeDefaultDeny(reach.Ingress), w))
	compare(t, verdicts(t, judgeSelectsPods, w), "shop/NetworkPolicy/b not-applicable")
}

func TestSelectsPods(t *testing.T) {
	text := shop + networkPolicy("b", "podSelector: {matchLabels: {app: b}}")
	fail := "shop/NetworkPolicy/b fail: no pod of namespace shop matches app=b"
	compare(t, verdicts(t, judgeSelectsPods, world(t, text+deployment("a", "app: a"), model.WorldOptions{})), fail)
	compare(t, verdicts(t, judgeSelectsPods, world(t, text+deployment("a", "app: b"), model.WorldOptions{})), "shop/NetworkPolicy/b pass")
	// The controller of a custom resource may make the pods; on a cluster they are there.
	custom := "{apiVersion: example.com/v1, kind: Database, metadata: {name: b, namespace: shop}}\n"
	compare(t, verdicts(t, judgeSelectsPods, world(t, text+custom, model.WorldOptions{})), "shop/NetworkPolicy/b not-applicable")
	compare(t, verdicts(t, judgeSelectsPods, world(t, text+custom, model.WorldOptions{Live: true})), fail)
}

func TestWorkloads(t *testing.T) {
	pod := func(name, owner, phase string) string {
		return fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: shop, labels: {app: a, pod-template-hash: x}, ownerReferences: [%s]}, spec: {}, status: {phase: %q}}
---
`, name, owner, phase)
	}
	owner := func(kind, name string) string {
		return fmt.Sprintf("{apiVersion: x/v1, kind: %s, name: %s, controller: true}", kind, name)
	}
	w := world(t, deployment("a", "app: a")+
		`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: a-1, namespace: shop, ownerReferences: [`+owner("Deployment", "a")+`]}, spec: {template: {spec: {}}}}
---
`+pod("a-1-x", owner("ReplicaSet", "a-1"), "Running")+pod("db-1", owner("Database", "db"), "Running")+pod("db-2", owner("Database", "db"), "Running")+
		pod("done", "", "Succeeded")+pod("lone", "", "Running"), model.WorldOptions{Live: true})
	var names []string
	for _, l := range workloads.Of(w)["shop"] {
		names = append(names, l.name)
	}
	compare(t, names, "Deployment/a", "Database/db", "Pod/lone")
	compare(t, verdicts(t, judgeDistinguishable, w), "shop/Pod/db-1 pass",
		"shop/Deployment/a fail: its pods have the very labels of those of Database/db", "shop/Pod/lone fail: its pods have the very labels of those of Database/db")
}

func TestGatewayTLS(t *testing.T) {
	const http, https = "{name: plain, port: 80, protocol: HTTP%s}", "{name: secure, port: 443, protocol: HTTPS}"
	gateway := func(more string, listeners ...string) string {
		return fmt.Sprintf("{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: shop%s}, spec: {listeners: [%s]}}\n---\n", more, strings.Join(listeners, ", "))
	}
	plain := func(more string) string { return fmt.Sprintf(http, more) }
	route := func(kind, namespace, parent, spec string) string {
		return fmt.Sprintf("{apiVersion: gateway.networking.k8s.io/v1, kind: %s, metadata: {name: r, namespace: %s}, spec: {parentRefs: [{name: g%s}], %s}}\n---\n", kind, namespace, parent, spec)
	}
	const redirect, serve = "rules: [{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}]", "rules: [{backendRefs: [{name: web, port: 80}]}]"
	const pass, served = "shop/Gateway/g pass", "shop/Gateway/g fail: listener plain serves HTTPRoute shop/r in plain text"
	for _, test := range []struct{ name, text, want string }{
		{"no listener has TLS", gateway("", plain("")), "shop/Gateway/g fail: listener plain is plain HTTP and no listener has TLS"},
		{"no route seen", gateway("", plain(""), https), pass},
		{"only a redirect", gateway("", plain("")) + route("HTTPRoute", "shop", "", redirect), pass},
		{"a redirect to another host in plain text", gateway("", plain(""), https) + route("HTTPRoute", "shop", "", "rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: b.example.com}}]}]"), served},
		{"a redirect for one path only", gateway("", plain(""), https) + route("HTTPRoute", "shop", "", "rules: [{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}, {backendRefs: []}]"), served},
		{"no rules", gateway("", plain(""), https) + route("HTTPRoute", "shop", "", "hostnames: []"), served},
		{"gRPC", gateway("", plain(""), https) + route("GRPCRoute", "shop", "", serve), "shop/Gateway/g fail: listener plain serves GRPCRoute shop/r in plain text"},
		{"other section", gateway("", plain(""), https) + route("HTTPRoute", "shop", ", sectionName: secure", serve), pass},
		{"other port", gateway("", plain(""), https) + route("HTTPRoute", "shop", ", port: 443", serve), pass},
		{"its port", gateway("", plain(""), https) + route("HTTPRoute", "shop", ", port: 80", serve), served},
		{"a Service of that name", gateway("", plain(""), https) + route("HTTPRoute", "shop", `, kind: Service, group: ""`, serve), pass},
		{"other hosts", gateway("", plain(`, hostname: "*.example.com"`), https) + route("HTTPRoute", "shop", "", "hostnames: [example.com, a.example.org], "+serve), pass},
		{"a host of the wildcard", gateway("", plain(`, hostname: "*.example.com"`), https) + route("HTTPRoute", "shop", "", "hostnames: [a.b.example.com], "+serve), served},
		{"a wildcard of hosts", gateway("", plain(`, hostname: a.example.com`), https) + route("HTTPRoute", "shop", "", `hostnames: ["*.example.com"], `+serve), served},
		{"from another namespace", gateway("", plain(""), https) + route("HTTPRoute", "other", ", namespace: shop", serve), pass},
		{"from all namespaces", gateway("", plain(", allowedRoutes: {namespaces: {from: All}}"), https) + route("HTTPRoute", "other", ", namespace: shop", serve),
			"shop/Gateway/g fail: listener plain serves HTTPRoute other/r in plain text"},
		{"by a label that is not there", gateway("", plain(", allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}"), https) + shop + route("HTTPRoute", "shop", "", serve), pass},
		{"by a label", gateway("", plain(", allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {tenant: a}}}}"), https) + shop + route("HTTPRoute", "shop", "", serve), served},
		{"other kinds only", gateway("", plain(", allowedRoutes: {kinds: [{kind: GRPCRoute}]}"), https) + route("HTTPRoute", "shop", "", serve), pass},
		{"TLS ends before it", gateway(`, annotations: {"service.beta.kubernetes.io/aws-load-balancer-ssl-cert": "arn:x"}`, plain("")) + route("HTTPRoute", "shop", "", serve), pass},
		{"TCP", gateway("", "{name: db, port: 5432, protocol: TCP}"), pass},
	} {
		t.Run(test.name, func(t *testing.T) {
			compare(t, verdicts(t, judgeGateways, world(t, test.text, model.WorldOptions{})), test.want)
		})
	}
}
