package reach

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Pod is a pod, or all pods that one template makes.
type Pod struct {
	Namespace string
	// Kind and Name are those of the workload that made it, or its own.
	Kind, Name string
	Labels     map[string]string
	// HostNetwork pods are their node, as far as the network can tell.
	HostNetwork bool
	// Addresses are known of pods that run.
	Addresses []netip.Addr
	// Node is the name of the node that it runs on, as far as that is known.
	Node string
	// Named are its container ports that have a name. A name may stand for a port of
	// each protocol.
	Named map[NamedPort]uint16
	// Ambiguous are names that stand for several ports; the first one is in Named.
	Ambiguous []NamedPort
	// Object is where it is written.
	Object *model.Object
}

// NamedPort is the name of a container port; it is resolved by name and protocol.
type NamedPort struct {
	Protocol Protocol
	Name     string
}

// Workload is how people name what makes the pod: Deployment/web.
func (p *Pod) Workload() string { return p.Kind + "/" + p.Name }

func (p *Pod) String() string { return p.Namespace + "/" + p.Workload() }

// Namespace is a namespace and its labels.
type Namespace struct {
	Name   string
	Labels map[string]string
	// Seen says that the labels are all: in files, a namespace may be there whose object
	// is not.
	Seen bool
}

// Node is a node, and the addresses that it says it has.
type Node struct {
	Name      string
	Labels    map[string]string
	Addresses []netip.Addr
}

// Cluster is what decides who reaches whom.
type Cluster struct {
	Pods       []*Pod
	Namespaces map[string]*Namespace
	// Nodes are those that there are, by name; files seldom have any.
	Nodes    map[string]*Node
	Policies []*Policy
	Admin    []*TierPolicy
	Baseline []*TierPolicy
	Profile  Profile
	// Problems are policies, or parts of them, that the API server would refuse, and that
	// count for nothing.
	Problems []Problem
	// Unknown are policies of network plugins that are not understood, and of tiers that
	// are not valid although an API server takes them.
	Unknown []*model.Object
	// Unread are kinds that decide, and that could not all be read.
	Unread []model.Unobserved
}

// Problem is a part of an object that does not count.
type Problem struct {
	Object finding.Ref
	At     *finding.Location
	Reason string
}

// NewCluster reads a world as a network plugin does.
func NewCluster(w *model.World, profile Profile) *Cluster {
	c := &Cluster{Namespaces: map[string]*Namespace{}, Nodes: map[string]*Node{}, Profile: profile}
	for _, o := range w.Kind(nodeKind) {
		c.Nodes[o.Name] = newNode(o)
	}
	for _, name := range w.Namespaces() {
		c.namespace(w, name)
	}
	c.readPods(w)
	for _, o := range c.latest(w.Kind(networkPolicyKind)) {
		c.namespace(w, o.Namespace)
		c.Policies = append(c.Policies, c.readPolicy(o)...)
	}
	c.readTiers(w)
	for _, u := range w.Coverage() {
		if decides(u.GroupKind) {
			c.Unread = append(c.Unread, u)
		}
	}
	for _, gk := range PluginPolicies {
		c.Unknown = append(c.Unknown, w.Kind(gk)...)
	}
	return c
}

func (c *Cluster) namespace(w *model.World, name string) {
	if c.Namespaces[name] == nil {
		labels, seen := w.NamespaceLabels(name)
		c.Namespaces[name] = &Namespace{name, labels, seen}
	}
}

// readPods lists the pods of the world: those that run, and where none are seen what
// would make them.
func (c *Cluster) readPods(w *model.World) {
	var all []*model.Object
	makers := map[model.ID]*model.Object{}
	for _, o := range w.Objects {
		if o.Pod() != nil {
			all = append(all, o)
			makers[o.ID()] = o
		}
	}
	all = c.latest(all)
	running := map[*model.Object]bool{}
	for _, o := range all {
		if o.GroupKind == podKind && !o.Ended() {
			top := topOf(o, makers, func(maker *model.Object) { running[maker] = true })
			c.Pods = append(c.Pods, c.newPod(o, top.Kind, top.Name))
		}
	}
	for _, o := range all {
		if o.GroupKind == podKind || o.Ended() || running[o] || scaledToNothing(w, o) {
			continue
		}
		made := false
		top := topOf(o, makers, func(*model.Object) { made = true })
		if !made {
			c.Pods = append(c.Pods, c.newPod(o, top.Kind, top.Name))
		}
	}
	for _, p := range c.Pods {
		c.namespace(w, p.Namespace)
	}
	slices.SortStableFunc(c.Pods, comparePods)
}

// comparePods is the order of Cluster.Pods.
func comparePods(a, b *Pod) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind))
}

// topOf is what made an object, and that, up to what people wrote. It visits those of them
// that are there. A node is no workload, although it owns its static pods.
func topOf(o *model.Object, makers map[model.ID]*model.Object, visit func(*model.Object)) model.ID {
	top := o.ID()
	for range 8 { // a Pod of a ReplicaSet of a Deployment; a bound, should owners form a ring
		owner, managed := o.Controller()
		if !managed || owner.GroupKind == nodeKind {
			break
		}
		top = owner.ID
		if o = makers[top]; o == nil {
			break
		}
		visit(o)
	}
	return top
}

// latest leaves out objects of which another of the same kind and name comes later, and
// takes their place.
func (c *Cluster) latest(of []*model.Object) []*model.Object {
	last := map[model.ID]*model.Object{}
	for _, o := range of {
		last[o.ID()] = o
	}
	return slices.DeleteFunc(slices.Clone(of), func(o *model.Object) bool {
		if last[o.ID()] == o || o.Text("metadata", "name") == "" { // names may be generated
			return false
		}
		c.Problems = append(c.Problems, Problem{o.Ref(), o.Locate(nil), "another of this name comes later, and takes its place"})
		return true
	})
}

// scaledToNothing reports whether a cluster has no pod of what could make some.
func scaledToNothing(w *model.World, o *model.Object) bool {
	replicas, set := o.Get("spec", "replicas").(int64)
	return w.Live && set && replicas == 0
}

var (
	nodeKind = model.GroupKind{Kind: "Node"}
	podKind  = model.GroupKind{Kind: "Pod"}
)

func newNode(o *model.Object) *Node {
	n := &Node{Name: o.Name, Labels: o.Labels()}
	for _, item := range o.List("status", "addresses") {
		text, _ := model.Get(item, "address").(string)
		n.Addresses = addAddress(n.Addresses, text) // some are names of hosts
	}
	return n
}

func (c *Cluster) newPod(o *model.Object, kind, name string) *Pod {
	p := o.Pod()
	out := &Pod{Namespace: o.Namespace, Kind: kind, Name: name, Labels: p.Labels(), Object: o, Named: map[NamedPort]uint16{}}
	out.HostNetwork, _ = model.Get(p.Spec, "hostNetwork").(bool)
	out.namePorts(p, func(c model.Container) bool { return c.List == model.Containers })
	out.namePorts(p, model.Container.Sidecar)
	if o.GroupKind == podKind {
		out.Node = o.Text("spec", "nodeName")
		out.Addresses = addressesOf(o)
		if node := c.Nodes[out.Node]; node != nil && out.HostNetwork && len(out.Addresses) == 0 {
			out.Addresses = node.Addresses
		}
	}
	return out
}

// namePorts notes the named ports of some containers. The first one of a name counts:
// those of containers come before those of sidecars, as for Services.
func (p *Pod) namePorts(of *model.Pod, are func(model.Container) bool) {
	for c := range of.Containers() {
		if !are(c) {
			continue
		}
		ports, _ := c.Content["ports"].([]any)
		for _, port := range ports {
			name, _ := model.Get(port, "name").(string)
			number, _ := model.Get(port, "containerPort").(int64)
			text, _ := model.Get(port, "protocol").(string)
			protocol, err := ParseProtocol(corev1.Protocol(text))
			if name == "" || err != nil || number < 1 || number > lastPort {
				continue
			}
			key := NamedPort{protocol, name}
			if known := p.Named[key]; known == 0 {
				p.Named[key] = uint16(number)
			} else if known != uint16(number) {
				p.Ambiguous = append(p.Ambiguous, key)
			}
		}
	}
}

func addressesOf(o *model.Object) []netip.Addr {
	out := addAddress(nil, o.Text("status", "podIP"))
	for _, item := range o.List("status", "podIPs") {
		text, _ := model.Get(item, "ip").(string)
		out = addAddress(out, text)
	}
	return out
}

// addAddress adds what is an address, and is not among them.
func addAddress(to []netip.Addr, text string) []netip.Addr {
	a, err := netip.ParseAddr(text)
	if a = a.Unmap().WithZone(""); err != nil || slices.Contains(to, a) {
		return to
	}
	return append(to, a)
}
