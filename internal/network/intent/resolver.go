package intent

import (
	"errors"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// resolverNames are what the Service of the cluster's resolver is called: by Kubernetes
// and most distributions, by charts of CoreDNS, and by OpenShift, in its own namespace.
var resolverNames = map[string][]string{
	"kube-system":   {"kube-dns", "coredns", "rke2-coredns-rke2-coredns"},
	"openshift-dns": {"dns-default"},
}

const dnsPort = 53

// both are the protocols that names are asked by: long answers come by TCP.
var both = []reach.Protocol{reach.UDP, reach.TCP}

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
	number := make(map[*reach.Pod]int, len(c.Pods))
	for i, p := range c.Pods {
		number[p] = i
	}
	for _, service := range entry.NewServices(w, c).All() {
		if !slices.Contains(resolverNames[service.Namespace], service.Name) || len(service.Selector) == 0 {
			continue
		}
		ports := map[*reach.Pod]reach.Ports{}
		for _, protocol := range both {
			targets, err := service.Leads(protocol, dnsPort)
			if err != nil {
				continue // it is said below of each pod
			}
			for _, t := range targets {
				for _, p := range t.Pods {
					ports[p] = ports[p].Union(reach.OnePort(t.Protocol, t.Port))
				}
			}
		}
		for _, p := range service.Pods {
			for _, protocol := range both {
				if ports[p].Intersect(reach.PortRange(protocol, 1, 65535)).Empty() {
					return nil, fmt.Errorf("service %s sends nothing by %s %d to %s", service, protocol, dnsPort, p)
				}
			}
			out = addResolver(out, number[p], ports[p])
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
