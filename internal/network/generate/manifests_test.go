package generate

import (
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// world reads manifests.
func world(t *testing.T, text string) (*model.World, *reach.Cluster) {
	t.Helper()
	file := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text))
	for _, p := range file.Problems {
		t.Fatalf("%s:%d: %s", p.Location.File, p.Location.Line, p.Message)
	}
	w := model.NewWorld(file.Objects, model.WorldOptions{})
	return w, reach.NewCluster(w, reach.Upstream)
}

// app is a Deployment of namespace shop with one container.
func app(name, container string, more ...string) string {
	return "\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name + ", namespace: shop}\nspec: {selector: {matchLabels: {app: " + name + "}}, template: {metadata: {labels: {app: " + name +
		"}}, spec: {containers: [{name: c, image: i" + container + "}]" + strings.Join(more, "") + "}}}\n"
}

// service is a Service of it.
func service(name, ports string, more ...string) string {
	return "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: shop}\nspec: {selector: {app: " + name + "}, ports: [" + ports + "]" + strings.Join(more, "") + "}\n"
}

// TestManifests: what each way to name somebody derives, and what is told instead.
func TestManifests(t *testing.T) {
	db := app("db", ", ports: [{name: pg, containerPort: 5433}]") + service("db", "{port: 5432, targetPort: pg}")
	const web = "shop/Deployment/web -> shop/Deployment/db by TCP 5433"
	for _, c := range []struct {
		name, text string
		options    ManifestOptions
		want       []string
		// note is part of what is told.
		note string
	}{
		{name: "a variable with a port", text: db + app("web", ", env: [{name: DB, value: 'db:5432'}]"), want: []string{web}},
		{name: "the long name in an address", text: db + app("web", ", env: [{name: X, value: 'postgres://u:p@db.shop.svc.cluster.local:5432/x?y=z'}]"), want: []string{web}},
		{name: "another domain", text: db + app("web", ", args: ['--db=db.shop.svc.corp.example:5432']"), want: []string{web}},
		{name: "a plain name where the variable says host", text: db + app("web", ", env: [{name: DB_HOST, value: db}]"), want: []string{web}},
		{name: "with a port beside it", text: app("db", "") + service("db", "{name: a, port: 5432}, {name: b, port: 9000}") + app("web", ", env: [{name: DB_HOST, value: db}, {name: DB_PORT, value: '9000'}]"), want: nil, note: ""},
		{name: "a plain name that may be anything", text: db + app("web", ", env: [{name: KIND, value: db}]"), note: "may mean something else"},
		{name: "an option and its value", text: db + app("web", ", args: ['--db-host', db]"), want: []string{web}},
		{name: "variables in variables", text: db + app("web", ", env: [{name: H, value: db}, {name: P, value: '5432'}, {name: U, value: 'tcp://$(H):$(P)'}]"), want: []string{web}, note: "may mean something else"},
		{name: "the namespace of the pod", text: db + app("web", ", env: [{name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}, {name: ME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}], args: ['--db=db.$(NS).svc:5432', '--me=$(ME).db.svc:1']"), want: []string{web}},
		{name: "a variable of the kubelet", text: db + app("web", ", command: [sh, -c, 'psql -h $DB_SERVICE_HOST']"), want: []string{web}},
		{name: "a ConfigMap", text: db + app("web", ", envFrom: [{configMapRef: {name: conf}}]") + "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf, namespace: shop}\ndata: {url: 'http://db:5432'}\n", want: []string{web}},
		{name: "a file", text: db + app("web", "", ", volumes: [{name: v, configMap: {name: conf}}]") + "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf, namespace: shop}\ndata: {app.yaml: \"db:\\n  address: db.shop:5432\\n\"}\n", want: []string{web}},
		{name: "a Secret", text: db + app("web", ", env: [{name: U, valueFrom: {secretKeyRef: {name: s, key: url}}}]") + "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData: {url: 'http://db:5432', other: 'https://hunter2.example.net'}\n", want: []string{web}},
		{name: "nothing else of a Secret is told", text: db + app("web", ", env: [{name: S, valueFrom: {secretKeyRef: {name: s, key: x}}}, {name: U, value: 'https://$(S).example.net/'}], envFrom: [{secretRef: {name: s}}]") + "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData: {x: hunter2, y: 'https://hunter2.example.net', z: 'hunter2.shop.svc:80', a: '192.0.2.7:80', db: db}\n"},
		{name: "a password is no host", text: db + app("web", ", env: [{name: U, value: 'http://hunter2.a@b.c@db:5432'}, {name: V, value: 'http://x.y:123@db:5432'}]"), want: []string{web}},
		{name: "an image is no host", text: db + app("web", ", env: [{name: IMAGE, value: 'registry/db:5432'}]")},
		{name: "a longer word is none", text: db + app("web", ", env: [{name: X, value: 'my-db:5432'}, {name: Y, value: 'x.db:5432'}]")},
		{name: "no such port", text: db + app("web", ", env: [{name: DB, value: 'db:1'}]"), note: "has no port TCP 1"},
		{name: "no such Service", text: app("web", ", env: [{name: DB, value: 'db.shop.svc:1'}]"), note: "a Service that is not in the input"},
		{name: "outside", text: app("web", ", env: [{name: PAY, value: 'https://api.example.net/v1'}]"), note: "names api.example.net outside of the cluster"},
		{name: "an address", text: app("web", ", env: [{name: DB, value: '192.0.2.7:5432'}]"), want: []string{"shop/Deployment/web -> 192.0.2.7/32 by TCP 5432"}},
		{name: "what it listens on is none", text: app("web", ", args: ['--listen=0.0.0.0:80', '--admin=127.0.0.1:81', '--v6=[::]:82']")},
		{name: "a cluster address", text: app("db", "") + service("db", "{port: 5432}", ", clusterIP: 10.96.0.9") + app("web", ", env: [{name: DB, value: '10.96.0.9:5432'}]"), want: []string{"shop/Deployment/web -> shop/Deployment/db by TCP 5432"}},
		{name: "a load balancer", text: app("web", "") + service("web", "{port: 80, targetPort: 8080}", ", type: LoadBalancer"), want: []string{"everybody -> shop/Deployment/web by TCP 8080"}},
		{name: "an Ingress without its controller", text: app("web", "") + service("web", "{port: 80, targetPort: 8080}") + ingress, note: "whose pods are not in the input"},
		{name: "an Ingress with its controller", text: app("web", "") + service("web", "{port: 80, targetPort: 8080}") + ingress + controller, want: []string{"ingress-nginx/Deployment/nginx -> shop/Deployment/web by TCP 8080"}},
		{name: "a webhook", text: app("hook", "") + service("hook", "{port: 443, targetPort: 9443}") + webhook, want: []string{"everybody -> shop/Deployment/hook by TCP 9443"}},
		{name: "a webhook, from where the API server is", text: app("hook", "") + service("hook", "{port: 443, targetPort: 9443}") + webhook, options: ManifestOptions{APIServer: []string{"10.0.0.1/32"}},
			want: []string{"10.0.0.1/32 -> shop/Deployment/hook by TCP 9443"}},
		{name: "an aggregated API", text: app("hook", "") + service("hook", "{port: 443, targetPort: 9443}") + "\n---\napiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1.x}\nspec: {service: {name: hook, namespace: shop}}\n",
			want: []string{"everybody -> shop/Deployment/hook by TCP 9443"}},
		{name: "an account that is granted something", text: app("op", "", ", serviceAccountName: op") + binding, note: "name it with --api-server CIDR"},
		{name: "with the API server", text: app("op", "", ", serviceAccountName: op") + binding, options: ManifestOptions{APIServer: []string{"10.0.0.1/32"}}, want: []string{"shop/Deployment/op -> 10.0.0.1/32 by TCP 443,6443"}},
		{name: "without its token", text: app("op", "", ", serviceAccountName: op, automountServiceAccountToken: false") + binding},
		{name: "a monitor", text: db + monitor + prometheus, want: []string{"shop/Deployment/prometheus -> shop/Deployment/db by TCP 5433"}},
		{name: "a monitor of nobody", text: db + monitor, note: "no pods of Prometheus are in the input"},
	} {
		w, cluster := world(t, c.text)
		c.options.Namespaces = []string{"shop"}
		d := FromManifests(w, cluster, c.options)
		var got []string
		for _, w := range d.Wants {
			if s := w.String(); !slices.Contains(got, s) {
				got = append(got, s)
			}
			if w.Why.At == nil || w.Why.At.File != "test.yaml" || w.Why.At.Line == 0 {
				t.Errorf("%s: %s is written nowhere", c.name, w)
			}
		}
		if c.name == "with a port beside it" {
			c.want = []string{"shop/Deployment/web -> shop/Deployment/db by TCP 9000"}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v; notes %v", c.name, got, c.want, d.Notes)
		}
		notes := ""
		for _, n := range d.Notes {
			notes += n.String() + "\n"
		}
		if c.note == "" && notes != "" || !strings.Contains(notes, c.note) {
			t.Errorf("%s: told %q, want %q", c.name, notes, c.note)
		}
	}
}

const (
	ingress = `
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec: {ingressClassName: nginx, defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx}
spec: {controller: k8s.io/ingress-nginx}
`
	controller = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: nginx, namespace: ingress-nginx}
spec: {selector: {matchLabels: {app: n}}, template: {metadata: {labels: {app: n, app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller}}, spec: {containers: [{name: c, image: i}]}}}
`
	webhook = `
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hook}
webhooks: [{name: a.example.com, clientConfig: {service: {name: hook, namespace: shop, path: /v}}}]
`
	binding = `
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: op, namespace: shop}
subjects: [{kind: ServiceAccount, name: op}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: op}
`
	monitor = `
---
apiVersion: v1
kind: Service
metadata: {name: metrics, namespace: shop, labels: {metrics: "yes"}}
spec: {selector: {app: db}, ports: [{name: m, port: 80, targetPort: pg}]}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: m, namespace: shop}
spec: {selector: {matchLabels: {metrics: "yes"}}, endpoints: [{port: m}]}
`
	prometheus = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: prometheus, namespace: shop}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b, app.kubernetes.io/name: prometheus}}, spec: {containers: [{name: c, image: i}]}}}
`
)

// TestResolver: who is asked for names.
func TestResolver(t *testing.T) {
	coredns := `
---
apiVersion: v1
kind: Service
metadata: {name: dns-default, namespace: openshift-dns}
spec: {selector: {dns: default}, ports: [{name: dns, port: 53, protocol: UDP, targetPort: dns}, {name: dns-tcp, port: 53, protocol: TCP, targetPort: dns-tcp}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: dns, namespace: openshift-dns}
spec: {selector: {matchLabels: {dns: default}}, template: {metadata: {labels: {dns: default}}, spec: {containers: [{name: c, image: i, ports: [{name: dns, containerPort: 5353, protocol: UDP}, {name: dns-tcp, containerPort: 5353, protocol: TCP}]}]}}}
`
	cache := `
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: cache, namespace: kube-system}
spec: {selector: {matchLabels: {k8s-app: node-local-dns}}, template: {metadata: {labels: {k8s-app: node-local-dns}}, spec: {hostNetwork: true, containers: [{name: c, image: i, args: ["-localip", "169.254.20.10,10.96.0.10", "-conf", "/etc/Corefile"]}]}}}
`
	for _, c := range []struct {
		name, text, note string
		want             []string
	}{
		{"none", app("web", ""), "no resolver is in the input", []string{"all pods of shop -> kube-system/assumed/kube-dns by TCP 53, UDP 53"}},
		{"OpenShift's, by the ports of its pods", app("web", "") + coredns, "", []string{"all pods of shop -> openshift-dns/DaemonSet/dns by TCP 5353, UDP 5353"}},
		{"a cache on the node", app("web", "") + coredns + cache, "", []string{"all pods of shop -> openshift-dns/DaemonSet/dns by TCP 5353, UDP 5353",
			"all pods of shop -> 169.254.20.10/32 by TCP 53, UDP 53", "all pods of shop -> 10.96.0.10/32 by TCP 53, UDP 53"}},
		{"servers of its own", app("web", "") + app("own", "", ", dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.53]}") + coredns, "",
			[]string{"shop/Deployment/own -> 192.0.2.53/32 by TCP 53, UDP 53", "shop/Deployment/web -> openshift-dns/DaemonSet/dns by TCP 5353, UDP 5353"}},
		{"that of the node", app("own", "", ", dnsPolicy: Default") + coredns, "it asks the resolver of the node", nil},
	} {
		w, cluster := world(t, c.text)
		d := FromResolver(w, cluster, []string{"shop"})
		var got []string
		for _, w := range d.Wants {
			got = append(got, w.String())
		}
		notes := ""
		for _, n := range d.Notes {
			notes += n.String() + "\n"
		}
		if !slices.Equal(got, c.want) || c.note == "" && notes != "" || !strings.Contains(notes, c.note) {
			t.Errorf("%s: %q, want %q; told %q, want %q", c.name, got, c.want, notes, c.note)
		}
	}
}
