package reach

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bulkhead.dev/bulkhead/internal/model"
)

// dealer makes random clusters: as objects, and as what the twin reads. The twin does not
// get what the API server would refuse.
type dealer struct {
	*rand.Rand
	w       twin
	objects []*model.Object
	// refused are the names of policies that count for nothing.
	refused []string
	// plain leaves out what the second opinion does not model: tiers, nodes and pods in
	// their network, pods of no or of two addresses, empty values of labels, NotIn where a
	// label is not there, and what the API server refuses or sets itself.
	plain bool
}

var (
	dealtCIDRs = []string{"0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/7", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.9/24", "10.1.2.3/32", "10.1.2.4/31", "172.16.0.0/12", "192.168.0.0/16", "192.168.1.0/24",
		"203.0.113.0/24", "0.0.0.0/1", "128.0.0.0/1", "8.8.8.8/32", "0.0.0.0/32", "255.255.255.255/32", "::/0", "fd00::/8", "fd00:1::/32", "fd00:1::3/128", "2001:db8::/32"}
	dealtAddresses = []string{"10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.3.1", "10.9.0.1", "172.16.0.9", "192.168.1.7", "203.0.113.4", "fd00:1::3", "fd00:2::4"}
	dealtNodes     = []string{"192.168.1.20", "192.168.1.21", "198.51.100.7", "fd00:1::20"}
	dealtPorts     = []int32{1, 53, 80, 81, 443, 8080, 65535}
	dealtNames     = []string{"http", "dns", "web"}
	protocolNames  = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
)

func pick[T any](d *dealer, of []T) T { return of[d.IntN(len(of))] }

func (d *dealer) chance(percent int) bool { return d.IntN(100) < percent }

// up to n of what make makes.
func some[T any](d *dealer, n int, one func() T) (out []T) {
	for range d.IntN(n + 1) {
		out = append(out, one())
	}
	return out
}

// deal makes a cluster.
func deal(seed uint64, profile Profile) *dealer {
	d := &dealer{Rand: rand.New(rand.NewPCG(seed, 6))}
	d.deal(profile)
	return d
}

func (d *dealer) deal(profile Profile) {
	d.w = twin{profile: profile, namespaces: map[string]map[string]string{}}
	names := []string{"a", "b", "c", "d"}[:1+d.IntN(4)]
	for _, name := range names {
		d.w.namespaces[name] = map[string]string{}
		if d.chance(85) {
			labels := d.labels("team", "env")
			d.w.namespaces[name] = labels
			d.add("v1", "Namespace", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: clone(labels)}})
		}
		// The platform adds this one, whether or not the object is there.
		d.w.namespaces[name][corev1.LabelMetadataName] = name
	}
	for i := range d.IntN(3) {
		if d.plain {
			break
		}
		d.node(fmt.Sprint("node-", i))
	}
	pods := 1 + d.IntN(8)
	if d.chance(8) {
		pods += 70 // enough for the ways of many classes
	}
	for i := range pods {
		d.pod(pick(d, names), fmt.Sprint("pod-", i))
	}
	for i := range d.IntN(6) {
		d.policy(pick(d, names), fmt.Sprint("policy-", i))
	}
	if d.chance(60) && !d.plain {
		for i := range d.IntN(4) {
			d.clusterPolicy(fmt.Sprint("tier-", i))
		}
		for i := range d.IntN(3) {
			d.adminPolicy(fmt.Sprint("admin-", i))
		}
		if d.chance(25) {
			d.baselinePolicy()
		}
	}
	d.Shuffle(len(d.objects), func(i, j int) { d.objects[i], d.objects[j] = d.objects[j], d.objects[i] })
	d.samplePrivate()
}

// cluster is what the engine makes of the objects.
func (d *dealer) cluster() *Cluster {
	return NewCluster(model.NewWorld(d.objects, model.WorldOptions{Live: d.chance(50)}), d.w.profile)
}

// blocks are all that some policy names, refused ones left out.
func (d *dealer) blocks() []netip.Prefix {
	out := slices.Clone(private)
	for _, c := range dealtCIDRs {
		out = append(out, netip.MustParsePrefix(c).Masked())
	}
	for _, a := range slices.Concat(dealtAddresses, dealtNodes) {
		ip := netip.MustParseAddr(a)
		out = append(out, netip.PrefixFrom(ip, ip.BitLen()))
	}
	return out
}

// addresses are those at both sides of each bound of a block, but for those of pods.
func (d *dealer) addresses() (out []netip.Addr) {
	for _, b := range d.blocks() {
		first, last := b.Addr(), lastOf(b)
		for _, a := range []netip.Addr{first, first.Prev(), last, last.Next()} {
			if a.IsValid() && !slices.Contains(out, a) && !slices.Contains(dealtAddresses, a.String()) {
				out = append(out, a)
			}
		}
	}
	return out
}

// lastOf is the last address of a block.
func lastOf(b netip.Prefix) netip.Addr {
	bytes := b.Addr().AsSlice()
	for i := b.Bits(); i < b.Addr().BitLen(); i++ {
		bytes[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(bytes)
	return a
}

func (d *dealer) samplePrivate() {
	for _, b := range d.blocks() {
		for _, a := range []netip.Addr{b.Addr(), b.Addr().Prev(), lastOf(b), lastOf(b).Next()} {
			if a.IsValid() && slices.ContainsFunc(private, func(p netip.Prefix) bool { return p.Contains(a) }) {
				d.w.private = append(d.w.private, a)
			}
		}
	}
}

// add adds an object as it would be written.
func (d *dealer) add(apiVersion, kind string, typed any) map[string]any {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		panic(err)
	}
	content["apiVersion"], content["kind"] = apiVersion, kind
	o, ok := model.NewObject(content, nil, model.Source{})
	if !ok {
		panic("no object")
	}
	d.objects = append(d.objects, o)
	return content
}

func clone(of map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range of {
		out[k] = v
	}
	return out
}

func (d *dealer) labels(keys ...string) map[string]string {
	out := map[string]string{}
	for _, k := range keys {
		if d.chance(70) {
			out[k] = d.value()
		}
	}
	return out
}

func (d *dealer) value() string {
	values := []string{"x", "y", "z", ""}
	if d.plain {
		values = values[:3]
	}
	return pick(d, values)
}

func (d *dealer) selector(keys ...string) metav1.LabelSelector {
	s := metav1.LabelSelector{}
	if d.chance(25) {
		return s
	}
	if d.chance(60) {
		s.MatchLabels = map[string]string{pick(d, keys): d.value()}
	}
	for range d.IntN(2) {
		e := metav1.LabelSelectorRequirement{Key: pick(d, keys), Operator: pick(d, []metav1.LabelSelectorOperator{
			metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist})}
		if e.Operator == metav1.LabelSelectorOpIn || e.Operator == metav1.LabelSelectorOpNotIn {
			e.Values = append([]string{"x"}, some(d, 2, func() string { return pick(d, []string{"x", "y", "", "q"}) })...)
		}
		s.MatchExpressions = append(s.MatchExpressions, e)
		if d.plain && e.Operator == metav1.LabelSelectorOpNotIn {
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: e.Key, Operator: metav1.LabelSelectorOpExists})
		}
	}
	return s
}

func (d *dealer) pods() metav1.LabelSelector { return d.selector("app", "tier", "app") }

func (d *dealer) ofNamespaces() metav1.LabelSelector {
	if d.chance(25) {
		return metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: pick(d, []string{"a", "b", "c"})}}
	}
	return d.selector("team", "env")
}

func (d *dealer) node(name string) {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: d.labels("role", "zone")}}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}}
	if d.chance(85) {
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: dealtNodes[len(d.w.nodes)]})
		if d.chance(30) {
			n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: dealtNodes[2+len(d.w.nodes)]})
		}
	}
	d.w.nodes = append(d.w.nodes, n)
	d.add("v1", "Node", &n)
}

func (d *dealer) containers(n int) (out []corev1.Container) {
	for i := range n {
		c := corev1.Container{Name: fmt.Sprint("c", i)}
		for range d.IntN(4) {
			p := corev1.ContainerPort{ContainerPort: pick(d, dealtPorts)}
			if d.chance(80) {
				p.Name = pick(d, dealtNames)
			}
			if d.chance(60) {
				p.Protocol = pick(d, protocolNames)
			}
			c.Ports = append(c.Ports, p)
		}
		out = append(out, c)
	}
	return out
}

func (d *dealer) pod(namespace, name string) {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: d.labels("app", "tier", "none")}}
	p.Spec.Containers = d.containers(1 + d.IntN(2))
	p.Spec.InitContainers = d.containers(d.IntN(2))
	if always := corev1.ContainerRestartPolicyAlways; d.chance(50) {
		for i := range p.Spec.InitContainers {
			p.Spec.InitContainers[i].RestartPolicy = &always
		}
	}
	p.Spec.HostNetwork = d.chance(20) && !d.plain
	if d.chance(25) && !d.plain {
		d.w.pods = append(d.w.pods, twinPod{p, "Deployment"})
		deployment := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		deployment.Spec.Template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.Labels}, Spec: p.Spec}
		d.add("apps/v1", "Deployment", &deployment)
		return
	}
	if len(d.w.nodes) > 0 && d.chance(70) {
		p.Spec.NodeName = pick(d, d.w.nodes).Name
	}
	d.address(&p)
	p.Status.Phase = pick(d, []corev1.PodPhase{"", corev1.PodRunning, corev1.PodRunning, corev1.PodPending, corev1.PodSucceeded, corev1.PodFailed})
	d.add("v1", "Pod", &p)
	if p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
		d.w.pods = append(d.w.pods, twinPod{p, "Pod"})
	}
}

func (d *dealer) address(p *corev1.Pod) {
	set := func(addresses ...string) {
		p.Status.PodIP = addresses[0]
		for _, a := range addresses {
			p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: a})
		}
	}
	switch {
	case p.Spec.HostNetwork:
		for _, n := range d.w.nodes {
			if at := nodeAddresses(n); n.Name == p.Spec.NodeName && len(at) > 0 && d.chance(60) {
				set(at[0].String())
			}
		}
	case d.chance(20) && !d.plain:
	case d.chance(20) && !d.plain:
		set(pick(d, dealtAddresses[:8]), pick(d, dealtAddresses[8:]))
	default:
		set(pick(d, dealtAddresses))
	}
}

func (d *dealer) block() *networkingv1.IPBlock {
	b := &networkingv1.IPBlock{CIDR: pick(d, dealtCIDRs)}
	outer := netip.MustParsePrefix(b.CIDR).Masked()
	for range d.IntN(3) {
		e := netip.MustParsePrefix(pick(d, dealtCIDRs))
		if e.Addr().Is4() == outer.Addr().Is4() && e.Bits() > outer.Bits() && outer.Contains(e.Addr()) {
			b.Except = append(b.Except, e.String())
		}
	}
	return b
}

func (d *dealer) peer() (p networkingv1.NetworkPolicyPeer) {
	pods, namespaces := d.pods(), d.ofNamespaces()
	switch d.IntN(5) {
	case 0:
		p.PodSelector = &pods
	case 1:
		p.NamespaceSelector = &namespaces
	case 2:
		p.PodSelector, p.NamespaceSelector = &pods, &namespaces
	default:
		p.IPBlock = d.block()
	}
	return p
}

func (d *dealer) port() (p networkingv1.NetworkPolicyPort) {
	if d.chance(60) {
		protocol := pick(d, protocolNames)
		p.Protocol = &protocol
	}
	switch port := intstr.FromInt32(pick(d, dealtPorts)); d.IntN(5) {
	case 0:
	case 1:
		name := intstr.FromString(pick(d, append(dealtNames, "nobody")))
		p.Port = &name
	case 2:
		end := max(port.IntVal, pick(d, dealtPorts))
		p.Port, p.EndPort = &port, &end
	default:
		p.Port = &port
	}
	return p
}

func (d *dealer) policy(namespace, name string) {
	p := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	p.Spec.PodSelector = d.pods()
	p.Spec.PolicyTypes = pick(d, [][]networkingv1.PolicyType{nil, nil, {"Ingress"}, {"Egress"}, {"Ingress", "Egress"}})
	p.Spec.Ingress = some(d, 2, func() networkingv1.NetworkPolicyIngressRule {
		return networkingv1.NetworkPolicyIngressRule{From: some(d, 3, d.peer), Ports: some(d, 2, d.port)}
	})
	p.Spec.Egress = some(d, 2, func() networkingv1.NetworkPolicyEgressRule {
		return networkingv1.NetworkPolicyEgressRule{To: some(d, 3, d.peer), Ports: some(d, 2, d.port)}
	})
	if d.plain && len(p.Spec.PolicyTypes) == 0 {
		p.Spec.PolicyTypes = []networkingv1.PolicyType{"Ingress"}
		if len(p.Spec.Egress) > 0 {
			p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, "Egress")
		}
	}
	content := d.add("networking.k8s.io/v1", "NetworkPolicy", &p)
	if d.chance(12) && !d.plain {
		spoil(d, content)
		d.refused = append(d.refused, name)
		return
	}
	d.w.policies = append(d.w.policies, p)
}
