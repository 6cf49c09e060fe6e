package generate

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/intent"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// resolverPorts are those that a resolver is asked by.
var resolverPorts = reach.OnePort(reach.UDP, 53).Union(reach.OnePort(reach.TCP, 53))

// FromResolver wants that pods of some namespaces resolve names: by the pods behind the
// resolver's Service, by the address of a cache on each node, or by the servers that pods
// name themselves. Where no resolver is in the input, that of Kubernetes is assumed.
func FromResolver(w *model.World, c *reach.Cluster, namespaces []string) (d Derived) {
	r := dns{world: w, cluster: c}
	r.find()
	d.Assumed, d.Notes = r.Assumed, r.Notes
	for _, ns := range namespaces {
		d.Add(r.namespace(ns))
	}
	return d
}

// dns is what resolves names.
type dns struct {
	world   *model.World
	cluster *reach.Cluster
	servers []server
	Derived
}

// server is one end that answers.
type server struct {
	end   End
	ports reach.Ports
	why   Evidence
}

func (r *dns) find() {
	found, err := intent.Resolvers(r.cluster, r.world)
	seen := map[End]bool{}
	for _, one := range found {
		one.Pods.Iterate(func(n uint32) bool {
			p := r.cluster.Pods[n]
			if end := WorkloadOf(p); !seen[end] {
				seen[end] = true
				r.servers = append(r.servers, server{end, one.Ports, Evidence{Text: "names are resolved by " + end.String(), At: locate(p.Object), DNS: true}})
			}
			return true
		})
	}
	switch {
	case errors.Is(err, intent.ErrNoResolver):
		a := Assumed{Namespace: "kube-system", Name: "kube-dns", Labels: map[string]string{"k8s-app": "kube-dns"},
			Why: Evidence{Text: "no resolver is in the input: pods with k8s-app=kube-dns in kube-system are assumed to answer on port 53, as Kubernetes has it"}}
		r.Assumed = append(r.Assumed, a)
		r.Notes = append(r.Notes, Note{Evidence: a.Why})
		r.servers = append(r.servers, server{a.End(), resolverPorts, Evidence{Text: "names are resolved by k8s-app=kube-dns in kube-system, which is assumed: no resolver is in the input", DNS: true}})
	case err != nil:
		r.Notes = append(r.Notes, Note{Evidence: Evidence{Text: "names are not resolved: " + err.Error()}})
	}
	r.caches()
}

func locate(o *model.Object) (l *finding.Location) {
	if o != nil {
		l = o.Locate(nil)
	}
	return l
}

// caches finds NodeLocal DNSCache: in the network of nodes, on an address of its own that
// no pod has, by its argument -localip.
func (r *dns) caches() {
	for _, p := range r.cluster.Pods {
		if !p.HostNetwork || p.Object == nil || p.Object.Pod() == nil || p.Labels["k8s-app"] != "node-local-dns" {
			continue
		}
		for c := range p.Object.Pod().Containers() {
			list := slices.Concat(model.Strings(c.Content["command"]), model.Strings(c.Content["args"]))
			for i, arg := range list {
				value, ok := strings.CutPrefix(strings.TrimLeft(arg, "-"), "localip")
				if !ok {
					continue
				}
				if value == "" && i+1 < len(list) {
					value = list[i+1]
				}
				r.addresses(strings.Split(strings.TrimPrefix(value, "="), ","), Evidence{Text: "names are resolved by the cache on the node, " + p.String(), At: locate(p.Object), DNS: true})
			}
		}
	}
}

func (r *dns) addresses(list []string, why Evidence) {
	for _, s := range list {
		if a, err := netip.ParseAddr(strings.TrimSpace(s)); err == nil && !slices.ContainsFunc(r.servers, func(s server) bool { return s.end.Name == netipBlock(a) }) {
			r.servers = append(r.servers, server{End{Kind: Block, Name: netipBlock(a)}, resolverPorts, why})
		}
	}
}

// namespace wants that all pods of a namespace reach the resolver, or where some do not use
// it each that does.
func (r *dns) namespace(ns string) (d Derived) {
	var users []End
	all := true
	seen := map[End]bool{}
	for _, p := range r.cluster.Pods {
		end := WorkloadOf(p)
		if p.Namespace != ns || p.HostNetwork || seen[end] {
			continue
		}
		seen[end] = true
		switch policy := dnsPolicy(p); policy {
		case "None":
			all = false
			r.ownServers(&d, p, end)
		case "Default":
			all = false
			d.note(end.String(), "its dnsPolicy is Default: it asks the resolver of the node, whose address nothing says: it is not let through", p.Object, p.Object.Pod().SpecPath().Keys("dnsPolicy"))
		default:
			users = append(users, end)
		}
	}
	if all {
		users = []End{{Kind: Namespace, Namespace: ns}}
	}
	for _, from := range users {
		for _, s := range r.servers {
			d.want(from, s.end, s.ports, s.why)
		}
	}
	return d
}

func dnsPolicy(p *reach.Pod) string {
	if p.Object == nil || p.Object.Pod() == nil {
		return ""
	}
	policy, _ := p.Object.Pod().Spec["dnsPolicy"].(string)
	return policy
}

// ownServers wants the servers that a pod names itself.
func (r *dns) ownServers(d *Derived, p *reach.Pod, end End) {
	at := p.Object.Pod().SpecPath().Keys("dnsConfig", "nameservers")
	for _, s := range model.Strings(model.Get(p.Object.Pod().Spec, "dnsConfig", "nameservers")) {
		a, err := netip.ParseAddr(s)
		if err != nil {
			d.note(end.String(), fmt.Sprintf("its nameserver %q is no address", s), p.Object, at)
			continue
		}
		d.want(end, End{Kind: Block, Name: netipBlock(a)}, resolverPorts, Evidence{Text: fmt.Sprintf("its dnsConfig names %s", a), At: p.Object.Locate(at), DNS: true})
	}
}
