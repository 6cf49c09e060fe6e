package generate

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// casesVariable is the environment variable that says how many random cases are tried,
// from a random seed.
const casesVariable = "BULKHEAD_GENERATE_CASES"

// plainPod is a pod as the plain evaluator sees it.
type plainPod struct {
	namespace, kind, name string
	labels                map[string]string
	host                  bool
	address               string // empty: it does not run yet
	named                 map[string]int32
}

// plainEnd is a pod or an address.
type plainEnd struct {
	pod     *plainPod
	address string
}

// dealt is a random case: a cluster with policies of others, and what is wanted of it.
type dealt struct {
	*rand.Rand
	pods     []*plainPod
	policies []networkingv1.NetworkPolicy
	objects  []*model.Object
	wants    []*Want
	in       []string
	profile  reach.Profile
}

var (
	testPorts     = []uint16{53, 80, 81, 443, 8080}
	testAddresses = []string{"10.1.0.1", "10.2.0.1", "192.0.2.1", "192.0.2.9", "192.0.2.200", "198.51.100.7", "2001:db8::1", "8.8.8.8", "2606:4700::1"}
	testBlocks    = []string{"192.0.2.0/24", "192.0.2.128/25", "192.0.2.1/32", "198.51.100.0/24", "0.0.0.0/0", "2001:db8::/32", "10.1.0.0/16"}
	testNames     = []string{"http", "dns"}
)

func deal(seed uint64) *dealt {
	d := &dealt{Rand: rand.New(rand.NewPCG(seed, 9)), profile: reach.Profiles[seed%uint64(len(reach.Profiles))]}
	names := []string{"a", "b", "c"}[:1+d.IntN(3)]
	for _, ns := range names {
		d.add("v1", "Namespace", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
		if d.IntN(5) > 0 {
			d.in = append(d.in, ns)
		}
	}
	for i := range 1 + d.IntN(6) {
		d.workload(one(d, names), fmt.Sprint("w", i))
	}
	for i := range d.IntN(4) {
		d.policy(one(d, names), fmt.Sprint("p", i))
	}
	for range d.IntN(8) {
		d.want()
	}
	return d
}

func one[T any](d *dealt, of []T) T { return of[d.IntN(len(of))] }

func (d *dealt) add(apiVersion, kind string, typed any) {
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
}

// workload adds a Deployment, or pods that run; labels may be the same as another's.
func (d *dealt) workload(namespace, name string) {
	labels := map[string]string{}
	for _, k := range []string{"app", "tier", "version"} {
		if d.IntN(3) > 0 {
			labels[k] = one(d, []string{"x", "y", "z"})
		}
	}
	if d.IntN(3) > 0 { // most can be told apart
		labels["id"] = name
	}
	if len(d.pods) > 0 && d.IntN(20) == 0 { // nothing tells it from another
		labels = maps.Clone(one(d, d.pods).labels)
	}
	spec := corev1.PodSpec{HostNetwork: d.IntN(12) == 0, Containers: []corev1.Container{{Name: "c", Image: "i"}}}
	named := map[string]int32{}
	for _, n := range testNames {
		if d.IntN(2) == 0 {
			named[n] = int32(one(d, testPorts))
			spec.Containers[0].Ports = append(spec.Containers[0].Ports, corev1.ContainerPort{Name: n, ContainerPort: named[n]})
		}
	}
	p := &plainPod{namespace: namespace, kind: "Deployment", name: name, labels: labels, host: spec.HostNetwork, named: named}
	if d.IntN(3) == 0 {
		p.kind = "Pod"
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}, Spec: spec}
		if d.IntN(2) == 0 {
			p.address = one(d, []string{"10.1.0.9", "10.2.0.9"})
			pod.Status = corev1.PodStatus{PodIP: p.address, PodIPs: []corev1.PodIP{{IP: p.address}}}
		}
		d.add("v1", "Pod", pod)
	} else {
		w := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		w.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
		w.Spec.Template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}
		d.add("apps/v1", "Deployment", w)
	}
	d.pods = append(d.pods, p)
}

func (d *dealt) selector() *metav1.LabelSelector {
	if d.IntN(3) == 0 {
		return &metav1.LabelSelector{}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{one(d, []string{"app", "tier"}): one(d, []string{"x", "y", "z"})}}
}

func (d *dealt) policy(namespace, name string) {
	p := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	p.Spec.PodSelector = *d.selector()
	p.Spec.PolicyTypes = one(d, [][]networkingv1.PolicyType{{"Ingress"}, {"Egress"}, {"Ingress", "Egress"}})
	peers := func() (out []networkingv1.NetworkPolicyPeer) {
		for range d.IntN(3) {
			switch d.IntN(3) {
			case 0:
				out = append(out, networkingv1.NetworkPolicyPeer{PodSelector: d.selector()})
			case 1:
				out = append(out, networkingv1.NetworkPolicyPeer{PodSelector: d.selector(), NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{namespaceName: one(d, []string{"a", "b"})}}})
			default:
				out = append(out, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: one(d, testBlocks)}})
			}
		}
		return out
	}
	ports := func() (out []networkingv1.NetworkPolicyPort) {
		for range d.IntN(3) {
			port := intstr.FromInt32(int32(one(d, testPorts)))
			if d.IntN(4) == 0 {
				port = intstr.FromString(one(d, testNames))
			}
			out = append(out, networkingv1.NetworkPolicyPort{Port: &port})
		}
		return out
	}
	for range d.IntN(3) {
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: peers(), Ports: ports()})
		p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: peers(), Ports: ports()})
	}
	d.policies = append(d.policies, p)
	d.add("networking.k8s.io/v1", "NetworkPolicy", &p)
}

func (d *dealt) end() End {
	p := one(d, d.pods)
	switch d.IntN(12) {
	case 0:
		return End{Kind: Block, Name: one(d, testBlocks)}
	case 1:
		return End{Kind: Internet}
	case 2:
		return End{Kind: Everybody}
	case 3:
		return End{Namespace, p.namespace, ""}
	case 4:
		return End{Selected, p.namespace, "app in (x,y)"}
	}
	return End{Workload, p.namespace, p.kind + "/" + p.name}
}

func (d *dealt) want() {
	w := &Want{From: d.end(), To: d.end(), Why: Evidence{Text: fmt.Sprint("want ", len(d.wants))}}
	switch d.IntN(8) {
	case 0:
		w.Ports = reach.AllPorts
	case 1:
		w.Ports = reach.PortRange(reach.TCP, 80, 443)
	case 2:
		w.Names = []reach.NamedPort{{Protocol: reach.TCP, Name: one(d, testNames)}}
	default:
		w.Ports = reach.OnePort(reach.TCP, one(d, testPorts)).Union(reach.OnePort(one(d, []reach.Protocol{reach.TCP, reach.UDP}), one(d, testPorts)))
	}
	d.wants = append(d.wants, w)
}

// TestRandom generates policies for random wants in random clusters, and asks a plain
// evaluator, which shares no code with what made them, about every pair and port.
func TestRandom(t *testing.T) {
	cases, seed := 1000, uint64(1)
	if text := os.Getenv(casesVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s is no number: %v", casesVariable, err)
		}
		cases, seed = n, uint64(time.Now().UnixNano())
	}
	t.Logf("seeds from %d", seed)
	var n tally
	for i := range uint64(cases) {
		if !try(t, deal(seed+i), &n) {
			t.Fatalf("seed %d", seed+i)
		}
	}
	t.Logf("%+v", n)
	if n.rules == 0 || n.open == 0 || n.stopped == 0 || n.twins == 0 || n.answers == n.yes {
		t.Error("the cases are all alike")
	}
}

// tally is what was seen.
type tally struct{ wants, open, stopped, twins, rules, pairs, answers, yes int }

func try(t *testing.T, d *dealt, n *tally) bool {
	w := model.NewWorld(d.objects, model.WorldOptions{})
	c := reach.NewCluster(w, d.profile)
	set, err := Generate(&Request{Cluster: c, World: w, Namespaces: d.in, Wants: d.wants})
	if err != nil {
		t.Error(err)
		return false
	}
	proof, err := set.Prove()
	if err != nil {
		t.Error(err)
		return false
	}
	var text bytes.Buffer
	if err := WriteYAML(&text, set.Policies); err != nil {
		t.Error(err)
		return false
	}
	var written []*networkingv1.NetworkPolicy
	if len(set.Policies) > 0 {
		if written, err = ReadYAML(text.Bytes()); err != nil {
			t.Errorf("%v\n%s", err, text.String())
			return false
		}
	}
	n.wants += len(d.wants)
	n.open += len(set.Open)
	n.rules += proof.Rules
	n.stopped += len(proof.Stopped)
	if len(proof.Unneeded) > 0 {
		t.Errorf("not needed: %v\n%s", proof.Unneeded, text.String())
	}
	twins := slices.ContainsFunc(set.Policies, func(p *Policy) bool { return p.twins() > 0 }) || anyTwins(set)
	if twins {
		n.twins++
	}
	if len(proof.Excess) > 0 && !twins {
		t.Errorf("excess: %v\n%s", proof.Excess, text.String())
	}
	d.judge(t, set, proof, written, twins, n)
	if t.Failed() {
		t.Logf("wants:")
		for _, w := range d.wants {
			t.Logf("  %s", w)
		}
		t.Logf("in %v; stopped %v, excess %v, notes %v\n%s", d.in, proof.Stopped, proof.Excess, set.Uncovered, text.String())
	}
	return !t.Failed()
}

func anyTwins(s *Set) bool {
	for _, u := range s.units.known {
		if u != nil && len(u.twins) > 0 {
			return true
		}
	}
	return false
}

func (p *Policy) twins() int {
	if len(p.Why) > 1 {
		return 1
	}
	return 0
}

// judge goes through all pairs and ports.
func (d *dealt) judge(t *testing.T, set *Set, proof *Proof, written []*networkingv1.NetworkPolicy, twins bool, n *tally) {
	base := slices.Clone(d.policies) // of others, with everything else denied
	for _, ns := range d.in {
		base = append(base, networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns}, Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{"Ingress", "Egress"}}})
	}
	after := slices.Clone(d.policies)
	for _, w := range written {
		after = append(after, *w)
	}
	var ends []plainEnd
	for _, p := range d.pods {
		ends = append(ends, plainEnd{pod: p})
	}
	for _, a := range testAddresses {
		ends = append(ends, plainEnd{address: a})
	}
	stopped := map[string]bool{}
	excess := false
	for _, from := range ends {
		for _, to := range ends {
			if from.pod == nil && to.pod == nil || from.pod != nil && from.pod == to.pod && from.pod.kind == "Pod" {
				continue
			}
			n.pairs++
			for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
				for _, port := range append(slices.Clip(testPorts), 82) { // one between
					n.answers++
					out, in := d.passes(after, true, from, to, protocol, port), d.passes(after, false, from, to, protocol, port)
					before := d.passes(base, true, from, to, protocol, port) && d.passes(base, false, from, to, protocol, port)
					wanted := false
					for _, w := range set.Wants {
						if !d.has(w.From, from) || !d.has(w.To, to) || !wantsPort(w, to, protocol, port) {
							continue
						}
						wanted = true
						if w.From.pods() && !out || w.To.pods() && !in {
							stopped[w.String()+w.Why.Text] = true
						}
					}
					if out && in {
						n.yes++
					}
					if out && in && !wanted && !before {
						excess = true
						if !twins {
							t.Errorf("%v -> %v by %v %d is open, and not wanted", from, to, protocol, port)
							return
						}
					}
				}
			}
		}
	}
	if excess != (len(proof.Excess) > 0) {
		t.Errorf("excess is %v, and the proof says %v", excess, proof.Excess)
	}
	said := 0
	for _, f := range proof.Stopped {
		said += len(f.Wanted)
	}
	if len(stopped) != said {
		t.Errorf("stopped are %v, and the proof says %v", stopped, proof.Stopped)
	}
	for _, p := range d.in {
		if len(stopped) > 0 && len(d.in) == 3 && len(d.policies) == 0 {
			t.Errorf("in %s everything could be let through, and %v does not pass", p, stopped)
		}
	}
}

func (e plainEnd) String() string {
	if e.pod == nil {
		return e.address
	}
	return fmt.Sprintf("%s/%s/%s%v", e.pod.namespace, e.pod.kind, e.pod.name, e.pod.labels)
}

func wantsPort(w *Want, to plainEnd, protocol corev1.Protocol, port uint16) bool {
	p, _ := reach.ParseProtocol(protocol)
	if w.Ports.Contains(p, port) {
		return true
	}
	return to.pod != nil && slices.ContainsFunc(w.Names, func(n reach.NamedPort) bool { return n.Protocol == p && to.pod.named[n.Name] == int32(port) })
}

// has says whether somebody is meant by an end.
func (d *dealt) has(e End, who plainEnd) bool {
	switch e.Kind {
	case Everybody:
		return true
	case Internet:
		return who.pod == nil && (who.address == "8.8.8.8" || who.address == "2606:4700::1")
	case Block:
		return d.inBlock(e.Name, nil, who)
	}
	if who.pod == nil || who.pod.namespace != e.Namespace {
		return false
	}
	switch e.Kind {
	case Namespace:
		return !who.pod.host || d.profile.SelectorsMatchHostPods
	case Selected:
		s, err := labels.Parse(e.Name)
		return err == nil && (!who.pod.host || d.profile.SelectorsMatchHostPods) && s.Matches(labels.Set(who.pod.labels))
	}
	return e.Name == who.pod.kind+"/"+who.pod.name
}

// inBlock says whether somebody is at an address of a block; a pod that does not run yet
// is at a private one.
func (d *dealt) inBlock(cidr string, except []string, who plainEnd) bool {
	address := who.address
	if who.pod != nil {
		if who.pod.host && !d.profile.BlocksMatchNodes || !who.pod.host && !d.profile.BlocksMatchPods {
			return false
		}
		address = who.pod.address
	}
	if address == "" {
		return cidr == "0.0.0.0/0" && len(except) == 0
	}
	a := netip.MustParseAddr(address)
	return netip.MustParsePrefix(cidr).Contains(a) && !slices.ContainsFunc(except, func(e string) bool { return netip.MustParsePrefix(e).Contains(a) })
}

// passes says whether policies let traffic through in one direction.
func (d *dealt) passes(policies []networkingv1.NetworkPolicy, egress bool, from, to plainEnd, protocol corev1.Protocol, port uint16) bool {
	subject, peer, kind := to, from, networkingv1.PolicyTypeIngress
	if egress {
		subject, peer, kind = from, to, networkingv1.PolicyTypeEgress
	}
	if subject.pod == nil || subject.pod.host {
		return true
	}
	isolated, allowed := false, false
	for _, p := range policies {
		if p.Namespace != subject.pod.namespace || !slices.Contains(p.Spec.PolicyTypes, kind) || !plainMatches(&p.Spec.PodSelector, subject.pod.labels) {
			continue
		}
		isolated = true
		if egress {
			for _, r := range p.Spec.Egress {
				allowed = allowed || d.isPeer(r.To, p.Namespace, peer) && isPort(r.Ports, to, protocol, port)
			}
		} else {
			for _, r := range p.Spec.Ingress {
				allowed = allowed || d.isPeer(r.From, p.Namespace, peer) && isPort(r.Ports, to, protocol, port)
			}
		}
	}
	return !isolated || allowed
}

func (d *dealt) isPeer(peers []networkingv1.NetworkPolicyPeer, own string, who plainEnd) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		if p.IPBlock != nil {
			return d.inBlock(p.IPBlock.CIDR, p.IPBlock.Except, who)
		}
		if who.pod == nil || who.pod.host && !d.profile.SelectorsMatchHostPods {
			return false
		}
		if p.NamespaceSelector == nil && who.pod.namespace != own {
			return false
		}
		return (p.NamespaceSelector == nil || plainMatches(p.NamespaceSelector, map[string]string{namespaceName: who.pod.namespace})) &&
			(p.PodSelector == nil || plainMatches(p.PodSelector, who.pod.labels))
	})
}

func isPort(ports []networkingv1.NetworkPolicyPort, to plainEnd, protocol corev1.Protocol, port uint16) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		if p.Protocol != nil && *p.Protocol != protocol || p.Protocol == nil && protocol != corev1.ProtocolTCP {
			return false
		}
		switch {
		case p.Port == nil:
			return true
		case p.Port.Type == intstr.String:
			return protocol == corev1.ProtocolTCP && to.pod != nil && to.pod.named[p.Port.StrVal] == int32(port)
		case p.EndPort != nil:
			return p.Port.IntVal <= int32(port) && int32(port) <= *p.EndPort
		}
		return p.Port.IntVal == int32(port)
	})
}

func plainMatches(s *metav1.LabelSelector, has map[string]string) bool {
	for k, v := range s.MatchLabels {
		if w, ok := has[k]; !ok || v != w {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		v, ok := has[e.Key]
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			if !ok || !slices.Contains(e.Values, v) {
				return false
			}
		case metav1.LabelSelectorOpDoesNotExist:
			if ok {
				return false
			}
		default:
			panic(e.Operator)
		}
	}
	return true
}
