package intent

import (
	"errors"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// resolverNames are what the Service of the cluster's resolver is called: by Kubernetes
// and most distributions, by charts of CoreDNS, and by OpenShift, in its own namespace.
var resolverNames = map[string][]string{
	"kube-system":   {"kube-dns", "coredns", "rke2-coredns-rke2-coredns"},
	"openshift-dns": {"dns-default"},
}

const dnsPort = 53

// ErrNoResolver says that no pod of a resolver is in the input.
var ErrNoResolver = errors.New("no resolver is seen: there is no Service kube-system/kube-dns with pods, and no pod with k8s-app=kube-dns in kube-system; give its manifests with -f, or ask the cluster")

// dns are claims that all pods reach each pod behind the resolver's Service, by the ports
// that the Service sends them to. Pods in the network of their node are left out: they use
// the resolver of the node.
func (c *checker) dns(a *Assertion) ([]claim, error) {
	from := set{roaring.New(), noAddresses()}
	for i, p := range c.engine.Cluster.Pods {
		if !p.HostNetwork && (a.Namespace == "" || p.Namespace == a.Namespace) {
			from.pods.Add(uint32(i))
		}
	}
	if from.empty() {
		return nil, fmt.Errorf("there is no pod%s", a.scope())
	}
	resolvers, err := Resolvers(c.engine.Cluster, c.world)
	if err != nil {
		return nil, err
	}
	var out []claim
	for _, r := range resolvers {
		out = append(out, claim{all, from, set{r.Pods, noAddresses()}, r.Ports, "a pod does not reach the resolver"})
	}
	return out, nil
}

// Resolver are pods that answer by the same ports.
type Resolver struct {
	// Pods are numbers of Cluster.Pods.
	Pods  *roaring.Bitmap
	Ports reach.Ports
}

// Resolvers are the pods behind the Service of the resolver or, where there is none, those
// that Kubernetes labels as such. The cluster is that of the world. It fails with
// ErrNoResolver where none is seen, and where the Service sends nothing by UDP or by TCP.
func Resolvers(c *reach.Cluster, w *model.World) (out []Resolver, err error) {
	for _, o := range w.Kind(model.GroupKind{Kind: "Service"}) {
		selector := model.StringMap(o.Get("spec", "selector"))
		if !slices.Contains(resolverNames[o.Namespace], o.Name) || len(selector) == 0 {
			continue
		}
		for i, p := range c.Pods {
			if p.Namespace == o.Namespace && labels.SelectorFromSet(selector).Matches(labels.Set(p.Labels)) {
				ports := servicePorts(o, p)
				for _, protocol := range []reach.Protocol{reach.UDP, reach.TCP} {
					if ports.Intersect(reach.PortRange(protocol, 1, 65535)).Empty() {
						return nil, fmt.Errorf("service %s/%s sends nothing by %s %d to %s", o.Namespace, o.Name, protocol, dnsPort, p)
					}
				}
				out = addResolver(out, i, ports)
			}
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	for i, p := range c.Pods {
		if p.Namespace == "kube-system" && p.Labels["k8s-app"] == "kube-dns" {
			out = addResolver(out, i, reach.OnePort(reach.TCP, dnsPort).Union(reach.OnePort(reach.UDP, dnsPort)))
		}
	}
	if len(out) == 0 {
		return nil, ErrNoResolver
	}
	return out, nil
}

func addResolver(to []Resolver, pod int, ports reach.Ports) []Resolver {
	i := slices.IndexFunc(to, func(r Resolver) bool { return r.Ports.Equal(ports) })
	if i < 0 {
		i = len(to)
		to = append(to, Resolver{roaring.New(), ports})
	}
	to[i].Pods.Add(uint32(pod))
	return to
}

// servicePorts are the ports of a pod that a Service sends what asks for port 53 to.
func servicePorts(service *model.Object, p *reach.Pod) (out reach.Ports) {
	for _, item := range service.List("spec", "ports") {
		port, _ := model.Get(item, "port").(int64)
		text, _ := model.Get(item, "protocol").(string)
		protocol, err := reach.ParseProtocol(corev1.Protocol(text))
		if port != dnsPort || err != nil {
			continue
		}
		target := uint16(dnsPort)
		switch to := model.Get(item, "targetPort").(type) {
		case int64:
			if to < 1 || to > 65535 {
				continue
			}
			target = uint16(to)
		case string:
			target = p.Named[reach.NamedPort{Protocol: protocol, Name: to}]
		}
		if target != 0 {
			out = out.Union(reach.OnePort(protocol, target))
		}
	}
	return out
}
