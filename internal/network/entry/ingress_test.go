package entry

import (
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// controllerPods are those of ingress-nginx in a namespace of their own, behind a load
// balancer.
const controllerPods = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: nginx, namespace: ingress}
spec:
  selector: {matchLabels: {app: nginx}}
  template:
    metadata: {labels: {app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller}}
    spec: {containers: [{name: c, image: i, args: [--controller-class=k8s.io/ingress-nginx], ports: [{name: http, containerPort: 80}, {name: https, containerPort: 443}, {name: metrics, containerPort: 10254}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: nginx, namespace: ingress}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {app.kubernetes.io/name: ingress-nginx}, ports: [{name: http, port: 80, targetPort: http}, {name: https, port: 443, targetPort: https}]}
---
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx}, spec: {controller: k8s.io/ingress-nginx}}
`

const shopWeb = `
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}}
`

func ingress(spec string) string {
	return "\n---\n{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {" + spec + "}}\n"
}

const (
	toWeb     = "{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}"
	ruleToWeb = "rules: [{host: shop.example, http: {paths: [" + toWeb + "]}}]"
	nginx     = "ingressClassName: nginx, "
	allowed   = "Ingress shop/web nginx internet shop.example: TCP 80 -> shop/Deployment/web:8080 allowed"
	denied    = "Ingress shop/web nginx internet shop.example: TCP 80 -> shop/Deployment/web:8080 denied"
	unknown   = "Ingress shop/web nginx internet shop.example: TCP 80 -> shop/Deployment/web:8080 unknown"
)

func TestIngresses(t *testing.T) {
	web := deployment("web", web) + shopWeb
	fromIngress := policy("in", "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}], ports: [{port: 8080}]}]")
	fromOther := strings.ReplaceAll(fromIngress, "name: ingress}", "name: other}")
	closedController := strings.Replace(policy("closed", "podSelector: {}, policyTypes: [Ingress]"), "name: closed", "name: closed, namespace: ingress", 1)
	tests := []struct {
		name, text string
		want       []string
	}{
		{"through the controller", web + controllerPods + ingress(nginx+ruleToWeb), []string{allowed}},
		{"which policies let in", web + controllerPods + fromIngress + ingress(nginx+ruleToWeb), []string{allowed}},
		{"or not", web + controllerPods + fromOther + ingress(nginx+ruleToWeb), []string{denied}},
		{"a controller that is shut itself", web + controllerPods + closedController + ingress(nginx+ruleToWeb), []string{denied}},
		{"a controller of which only another port is open", web + controllerPods + strings.Replace(policy("metrics", "podSelector: {}, ingress: [{ports: [{port: 10254}]}]"), "name: metrics", "name: metrics, namespace: ingress", 1) +
			"\n---\n{apiVersion: v1, kind: Service, metadata: {name: metrics, namespace: ingress}, spec: {type: NodePort, selector: {app.kubernetes.io/name: ingress-nginx}, ports: [{port: 10254, nodePort: 30254}]}}\n" + ingress(nginx+ruleToWeb), []string{denied}},
		{"the default class", web + strings.Replace(controllerPods, "metadata: {name: nginx}, spec: {controller", `metadata: {name: nginx, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}, spec: {controller`, 1) + fromOther + ingress(ruleToWeb), []string{denied}},
		{"the class by its annotation", web + controllerPods + fromOther + strings.Replace(ingress(ruleToWeb), "{name: web}", "{name: web, annotations: {kubernetes.io/ingress.class: nginx}}", 1), []string{denied}},
		{"another controller of the same software", web + strings.Replace(controllerPods, "--controller-class=k8s.io/ingress-nginx", "--controller-class=k8s.io/other", 1) + fromOther + ingress(nginx+ruleToWeb), []string{unknown}},
		{"no controller, and all is open", web + ingress(nginx+ruleToWeb), []string{allowed}},
		{"no controller, and one namespace may", web + fromIngress + ingress(nginx+ruleToWeb), []string{unknown}},
		{"no controller, and nobody may", web + policy("none", "podSelector: {}, policyTypes: [Ingress]") + ingress(nginx+ruleToWeb), []string{unknown}},
		{"no controller, and all namespaces may", web + policy("all", "podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]") + ingress(nginx+ruleToWeb), []string{allowed}},
		{"a balancer of Amazon, of private addresses", web + policy("private", "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]") + ingress("ingressClassName: alb, "+ruleToWeb), []string{
			"Ingress shop/web alb addresses " + joined(private) + " shop.example: TCP 80 -> shop/Deployment/web:8080 unknown 10.0.0.0/8"}},
		{"the same of Google, of known ones", web + policy("google", "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 35.191.0.0/16}}, {ipBlock: {cidr: 130.211.0.0/22}}]}]") + ingress("ingressClassName: gce, "+ruleToWeb), []string{
			"Ingress shop/web gce internet shop.example: TCP 80 -> shop/Deployment/web:8080 allowed"}},
		{"Cilium, which no policy can name", web + fromIngress + ingress("ingressClassName: cilium, "+ruleToWeb), []string{
			"Ingress shop/web cilium internet shop.example: TCP 80 -> shop/Deployment/web:8080 unknown"}},
		{"TLS, a name of a port, several hosts", web + ingress(nginx+"tls: [{hosts: [a.example]}], rules: [{host: a.example, http: {paths: ["+toWeb+"]}}, {host: b.example, http: {paths: ["+strings.Replace(toWeb, "number: 80", "name: http", 1)+", "+toWeb+"]}}]"), []string{
			"Ingress shop/web nginx internet a.example,b.example: TCP 443 -> shop/Deployment/web:8080 allowed",
			"Ingress shop/web nginx internet b.example: TCP 443 -> shop/Deployment/web:8080 allowed"}},
		{"the default backend is for any host", web + ingress(nginx+"defaultBackend: {service: {name: web, port: {number: 80}}}, "+ruleToWeb), []string{
			"Ingress shop/web nginx internet: TCP 80 -> shop/Deployment/web:8080 allowed"}},
		{"a Service that is not there", ingress(nginx + ruleToWeb), []string{"lost? 3: Ingress shop/web leads to Service shop/web, which is not there"}},
		{"in a namespace that is all there", "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n" + ingress(nginx+ruleToWeb), []string{"lost 4: Ingress shop/web leads to Service shop/web, which is not there"}},
		{"a port that is not there", web + ingress(nginx+strings.Replace(ruleToWeb, "80", "81", 1)), []string{"lost 12: Ingress shop/web leads to port 81 of Service shop/web, which has no such TCP port"}},
		{"a Service that is a name", service("web", "type: ExternalName, externalName: example.com, ports: [{port: 80}]") + ingress(nginx+ruleToWeb), []string{"lost 6: Ingress shop/web leads to Service shop/web, which stands for the name example.com"}},
		{"what is no Service", ingress(nginx + "defaultBackend: {resource: {apiGroup: example.com, kind: Bucket, name: b}}"), []string{"lost? 3: Bucket b is what it leads to, which is not understood"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := points(t, test.text, model.WorldOptions{})
			compare(t, lines(p, "Ingress"), test.want...)
			for _, e := range p.Entries {
				for _, b := range e.Backends {
					if (b.Verdict == Unknown) != (len(b.Unknown) > 0) {
						t.Errorf("%s is %s, and unknown is %q", e.String(), b.Verdict, b.Unknown)
					}
				}
			}
		})
	}
}

// TestIngressWay is the way that an Ingress opens: from the internet to the controller, and
// from there.
func TestIngressWay(t *testing.T) {
	p := points(t, deployment("web", web)+shopWeb+controllerPods+ingress(nginx+ruleToWeb), model.WorldOptions{})
	for _, e := range p.Entries {
		if e.Kind != "Ingress" {
			continue
		}
		hops := e.Backends[0].Hops
		if len(hops) != 2 || hops[0].From.Pod != nil || hops[0].To.Pod.Name != "nginx" || hops[0].Port != 80 || hops[1].From.Pod.Name != "nginx" || hops[1].To.Pod.Name != "web" || hops[1].Port != 8080 {
			t.Errorf("the way is %v", hops)
		}
		return
	}
	t.Error("there is no Ingress")
}

func TestLetIn(t *testing.T) {
	tests := []struct{ spec, want string }{
		{"podSelector: {}, policyTypes: [Ingress]", "the node that it is on"},
		{"podSelector: {}, ingress: [{from: [{podSelector: {}}]}]", "any pod of namespace shop"},
		{"podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {a: b}}}]}]", "pods with a=b of namespace shop"},
		{"podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}]}]", "any pod of namespace ingress"},
		{"podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: x}}, podSelector: {matchLabels: {a: b}}}, {ipBlock: {cidr: 10.0.0.0/8}}]}]", "pods with a=b of namespaces with team=x; addresses 10.0.0.0/8"},
		{"podSelector: {}, ingress: [{ports: [{port: 80}], from: [{podSelector: {}}]}, {ports: [{port: http}], from: [{namespaceSelector: {}, podSelector: {matchLabels: {a: b}}}]}]", "pods with a=b of any namespace"},
		{"podSelector: {}, ingress: [{}]", anyPod},
		{"podSelector: {matchLabels: {app: other}}, policyTypes: [Ingress]", anyPod},
		{"podSelector: {}, policyTypes: [Egress]", anyPod},
	}
	for _, test := range tests {
		p := points(t, deployment("web", web)+shopWeb+ingress(nginx+ruleToWeb)+policy("p", test.spec), model.WorldOptions{})
		for _, e := range p.Entries {
			if got := strings.Join(e.Backends[0].LetIn, "; "); e.Kind == "Ingress" && got != test.want {
				t.Errorf("%s: got %s, want %s", test.spec, got, test.want)
			}
		}
	}
}

// TestLetInTiers is about policies that decide before NetworkPolicies, or after them: they
// leave it open whom pods let in.
func TestLetInTiers(t *testing.T) {
	tier := func(tier string) string {
		return "\n---\n{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: c}, spec: {tier: " + tier + ", priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {a: b}}}]}]}}\n"
	}
	all := policy("all", "podSelector: {}, ingress: [{}]")
	for _, test := range []struct {
		policies string
		want     Verdict
	}{{tier("Admin"), Unknown}, {tier("Admin") + all, Unknown}, {tier("Baseline"), Unknown}, {tier("Baseline") + all, Allowed}} {
		p := points(t, deployment("web", web)+shopWeb+ingress(nginx+ruleToWeb)+test.policies, model.WorldOptions{})
		for _, e := range p.Entries {
			if e.Kind == "Ingress" && e.Verdict() != test.want {
				t.Errorf("%s: got %s, want %s", test.policies, e.Verdict(), test.want)
			}
		}
	}
}

// TestControllerOnNode is about a controller in the network of its node: a pod lets in its
// own node.
func TestControllerOnNode(t *testing.T) {
	pod := func(namespace, name, labels, node, spec string) string {
		return "\n---\n{apiVersion: v1, kind: Pod, metadata: {name: " + name + ", namespace: " + namespace + ", labels: {" + labels + "}}, spec: {nodeName: " + node + ", " + spec + "containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}, status: {phase: Running}}\n"
	}
	controller := pod("ingress", "nginx", "app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller", "one", "hostNetwork: true, ")
	shut := policy("none", "podSelector: {}, policyTypes: [Ingress]")
	for node, want := range map[string]Verdict{"one": Allowed, "two": Denied, "''": Unknown} {
		p := points(t, controller+pod("shop", "web", "app: web", node, "")+shopWeb+shut+ingress(nginx+ruleToWeb), model.WorldOptions{Live: true, Complete: true})
		for _, e := range p.Entries {
			if e.Kind == "Ingress" && e.Verdict() != want {
				t.Errorf("on node %s: got %s, want %s", node, e.Verdict(), want)
			}
		}
	}
}
