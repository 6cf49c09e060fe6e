package entry

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// Controller are the pods, or the load balancers outside of the cluster, that serve an
// Ingress or a Gateway: backends see their addresses, and not those of clients.
type Controller struct {
	// Name is that of the software, or else that of the class.
	Name string
	// Pods are empty where they are not in the input, or are none.
	Pods []*reach.Pod
	// Outside are the addresses that a load balancer of the cloud sends from.
	Outside []netip.Prefix
	// Internal says that it is not reached from the internet.
	Internal bool
	// Proxy says that a proxy of the network plugin serves it, which no policy can name.
	Proxy bool
	// Doubts say why it may be another one.
	Doubts []string
}

// software is a controller that is known.
type software struct {
	name string
	// controllers are the names that an IngressClass (spec.controller) or a GatewayClass
	// (spec.controllerName) calls it by.
	controllers []string
	// classes are names that classes of it usually have.
	classes []string
	// pods are labels of those that serve, as its chart and its manifests have them.
	pods []map[string]string
	// outside are the addresses that traffic comes from, where a cloud serves it. Those of
	// Google are documented ("Firewall rules for load balancers"); those of others are
	// private ones.
	outside []netip.Prefix
	proxy   bool
}

var known = []software{
	{name: "ingress-nginx", controllers: []string{"k8s.io/ingress-nginx"}, classes: []string{"nginx"},
		pods: []map[string]string{{"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller"}, {"app": "ingress-nginx"}}},
	{name: "NGINX Ingress Controller", controllers: []string{"nginx.org/ingress-controller"},
		pods: []map[string]string{{"app.kubernetes.io/name": "nginx-ingress"}, {"app": "nginx-ingress"}}},
	{name: "NGINX Gateway Fabric", controllers: []string{"gateway.nginx.org/nginx-gateway-controller"}, pods: []map[string]string{{"app.kubernetes.io/name": "nginx-gateway"}, {"app.kubernetes.io/name": "nginx-gateway-fabric"}}},
	{name: "Traefik", controllers: []string{"traefik.io/ingress-controller", "traefik.io/gateway-controller"}, classes: []string{"traefik"},
		pods: []map[string]string{{"app.kubernetes.io/name": "traefik"}, {"app": "traefik"}}},
	{name: "Contour", controllers: []string{"projectcontour.io/ingress-controller", "projectcontour.io/gateway-controller", "projectcontour.io/projectcontour/contour"}, classes: []string{"contour"},
		pods: []map[string]string{{"app.kubernetes.io/name": "contour", "app.kubernetes.io/component": "envoy"}, {"app": "envoy"}}},
	{name: "HAProxy Ingress", controllers: []string{"haproxy-ingress.github.io/controller", "haproxy-ingress.github.io/controller/haproxy"},
		pods: []map[string]string{{"app.kubernetes.io/name": "haproxy-ingress"}, {"run": "haproxy-ingress"}}},
	{name: "HAProxy Kubernetes Ingress Controller", controllers: []string{"haproxy.org/ingress-controller", "haproxy.org/ingress-controller/haproxy"}, classes: []string{"haproxy"},
		pods: []map[string]string{{"app.kubernetes.io/name": "kubernetes-ingress"}, {"run": "haproxy-ingress"}, {"app.kubernetes.io/name": "haproxy-ingress"}}},
	{name: "Istio", controllers: []string{"istio.io/ingress-controller", "istio.io/gateway-controller"}, classes: []string{"istio"},
		pods: []map[string]string{{"istio": "ingressgateway"}, {"istio": "ingress"}}},
	{name: "Kong", controllers: []string{"ingress-controllers.konghq.com/kong", "konghq.com/kic-gateway-controller", "konghq.com/gateway-operator"}, classes: []string{"kong"},
		pods: []map[string]string{{"app.kubernetes.io/name": "kong"}, {"app.kubernetes.io/name": "gateway"}, {"app": "proxy-kong"}, {"app": "ingress-kong"}}},
	{name: "Envoy Gateway", controllers: []string{"gateway.envoyproxy.io/gatewayclass-controller"}, pods: []map[string]string{{"app.kubernetes.io/name": "envoy", "app.kubernetes.io/managed-by": "envoy-gateway"}}},
	{name: "Emissary", controllers: []string{"getambassador.io/ingress-controller"}, classes: []string{"ambassador"}, pods: []map[string]string{{"app.kubernetes.io/name": "emissary-ingress"}}},
	{name: "OpenShift router", controllers: []string{"openshift.io/ingress-to-route", "openshift.io/gateway-controller/v1"}, classes: []string{"openshift-default"},
		pods: []map[string]string{{"ingresscontroller.operator.openshift.io/deployment-ingresscontroller": "default"}}},
	{name: "Cilium", controllers: []string{"cilium.io/ingress-controller", "io.cilium/gateway-controller"}, classes: []string{"cilium"}, proxy: true},
	{name: "AWS load balancer", controllers: []string{"ingress.k8s.aws/alb", "gateway.k8s.aws/alb", "gateway.k8s.aws/nlb", "eks.amazonaws.com/alb"}, classes: []string{"alb"}, outside: private},
	{name: "Google load balancer", controllers: []string{"k8s.io/ingress-gce", "networking.gke.io/gateway"}, classes: []string{"gce", "gce-internal", "gce-regional-external"},
		outside: blocks("35.191.0.0/16", "130.211.0.0/22")},
	{name: "Azure Application Gateway", controllers: []string{"azure/application-gateway", "alb.networking.azure.io/alb-controller"}, classes: []string{"azure-application-gateway", "azure/application-gateway", "azure-alb-external"}, outside: private},
}

// serving finds the controller of a class, for an object with some annotations. It may be
// changed.
func (r *reader) serving(class, controller string, annotations map[string]string) *Controller {
	key := class + "\x00" + controller
	if r.controllers[key] == nil {
		r.controllers[key] = r.find(class, controller)
	}
	out := *r.controllers[key]
	out.Doubts = slices.Clip(out.Doubts)
	if out.Outside != nil {
		out.Internal = cloudInternal(out.Name, class, annotations)
	}
	return &out
}

// find finds the controller of a class: by the name that the class calls it by, or where
// there is no such object by the name of the class.
func (r *reader) find(class, controller string) *Controller {
	i := slices.IndexFunc(known, func(s software) bool { return controller != "" && slices.Contains(s.controllers, controller) })
	var doubts []string
	if i < 0 && controller == "" {
		if i = slices.IndexFunc(known, func(s software) bool { return slices.Contains(s.classes, class) }); i >= 0 {
			doubts = []string{fmt.Sprintf("the class %s is not in the input, and is taken to be one of %s by its name", class, known[i].name)}
		}
	}
	if i < 0 {
		return r.unlisted(class, controller)
	}
	s := known[i]
	out := &Controller{Name: s.name, Outside: s.outside, Proxy: s.proxy, Doubts: doubts}
	for _, selector := range s.pods {
		out.Pods = slices.DeleteFunc(r.labelled(selector), func(p *reach.Pod) bool {
			own := r.argument(p, "--controller-class")
			return own != "" && controller != "" && own != controller
		})
		if len(out.Pods) > 0 {
			break
		}
	}
	return out
}

// unlisted finds the controller of a class that is not known by the argument of its pods
// that names it.
func (r *reader) unlisted(class, controller string) *Controller {
	out := &Controller{Name: "class " + class}
	switch {
	case class == "" && controller == "":
		out.Name = "no class"
	case controller != "":
		out.Name = controller
		for _, s := range known {
			for _, selector := range s.pods {
				for _, p := range r.labelled(selector) {
					if r.argument(p, "--controller-class") == controller && !slices.Contains(out.Pods, p) {
						out.Name, out.Pods = s.name, append(out.Pods, p)
					}
				}
			}
		}
	}
	return out
}

// cloudInternal reports whether a load balancer of a cloud has a private address. AWS'
// are private unless they are told otherwise.
func cloudInternal(name, class string, annotations map[string]string) bool {
	switch name {
	case "AWS load balancer":
		return annotations["alb.ingress.kubernetes.io/scheme"] != "internet-facing"
	case "Google load balancer":
		return strings.Contains(class, "internal") || strings.Contains(class, "rilb")
	}
	return annotations["appgw.ingress.kubernetes.io/use-private-ip"] == "true"
}

// labelled are the pods of all namespaces with some labels.
func (r *reader) labelled(selector map[string]string) (out []*reach.Pod) {
	for _, namespace := range slices.Sorted(maps.Keys(r.Services.pods.byNamespace)) {
		found, _ := r.Services.pods.choose(namespace, selector)
		out = append(out, found.pods...)
	}
	return out
}

// argument is the value of an argument of some container of a pod; empty where there is
// none, or where it was left out of a snapshot.
func (r *reader) argument(p *reach.Pod, name string) string {
	if p.Object == nil || p.Object.Pod() == nil || r.world.Record() != nil {
		return ""
	}
	for c := range p.Object.Pod().Containers() {
		for _, list := range []string{"command", "args"} {
			for _, text := range model.Strings(c.Content[list]) {
				if value, ok := strings.CutPrefix(text, name+"="); ok {
					return value
				}
			}
		}
	}
	return ""
}

// front is how clients get to a controller.
type front struct {
	exposure Exposure
	sources  []netip.Prefix
	verdict  Verdict
	// admitted and others are those of the backend that the pods of the controller are.
	admitted []netip.Prefix
	others   Verdict
	hops     []Hop
	unknown  []string
	// said are the doubts of the backend, and doubts those of the entry.
	said, doubts []string
}

// frontOf is the most open way to a controller's pods by one of some ports, or by any if
// there is none by these.
func (r *reader) frontOf(c *Controller, ports ...uint16) front {
	if len(c.Pods) == 0 {
		return assumed(c.Internal)
	}
	workloads := map[string]bool{}
	for _, p := range c.Pods {
		workloads[p.String()] = true
	}
	var best *front
	exact := false
	for i := range r.Entries {
		e := &r.Entries[i]
		if e.Controller != nil {
			continue
		}
		fits := slices.Contains(ports, e.Port) || e.Type == "NodePort" && e.servicePort(ports)
		if exact && !fits {
			continue
		}
		for _, b := range e.Backends {
			if len(b.Pods) == 0 || !workloads[b.Pods[0].String()] {
				continue
			}
			f := &front{e.Exposure, e.Sources, b.Verdict, b.Admitted, b.Others, b.Hops, b.Unknown, b.Doubts, e.Doubts}
			if best == nil || fits && !exact || f.above(best) {
				best, exact = f, exact || fits
			}
		}
	}
	if best == nil || best.exposure == Cluster && !r.world.Closed(c.Pods[0].Namespace) {
		out := assumed(false)
		out.doubts = []string{"how clients get to " + c.Pods[0].String() + " is not in the input"}
		return out
	}
	return *best
}

// servicePort reports whether a port of a node stands for one of some ports.
func (e *Entry) servicePort(ports []uint16) bool {
	p, ok := portOf(model.Get(func() any { v, _ := e.At.Lookup(e.Object.Content); return v }(), "port"))
	return ok && slices.Contains(ports, p)
}

// above reports whether a way is more open than another.
func (f *front) above(g *front) bool {
	if (f.exposure == Cluster) != (g.exposure == Cluster) {
		return g.exposure == Cluster
	}
	if f.verdict != g.verdict {
		return f.verdict > g.verdict
	}
	return f.exposure > g.exposure
}

// assumed is the way to a controller that is not in the input.
func assumed(closed bool) front {
	if closed {
		return front{exposure: Addresses, sources: private, verdict: Allowed}
	}
	return front{exposure: Internet, sources: everywhere, verdict: Allowed}
}
