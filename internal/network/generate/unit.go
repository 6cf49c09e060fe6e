package generate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// namespaceName is the label that the platform gives every namespace.
const namespaceName = corev1.LabelMetadataName

// unit is what an end is in a cluster: whom it means, and how a policy names it.
type unit struct {
	End
	// members are the numbers of its pods. Of blocks they are those at its addresses.
	members   *roaring.Bitmap
	addresses *netipx.IPSet
	// selector names its pods.
	selector *metav1.LabelSelector
	// blocks name its addresses.
	blocks []networkingv1.NetworkPolicyPeer
	// parts are what a rule names one by one: each of its blocks, else the unit itself.
	parts []*unit
	// unnamed says why no rule can name it as a peer.
	unnamed error
	// twins are workloads that no selector can tell apart from it.
	twins []string
}

// units are those of a cluster, each made once.
type units struct {
	cluster *reach.Cluster
	nodes   []string
	// selects are the labels that workloads select their pods by.
	selects map[End]map[string]string
	// in are the numbers of the pods of a namespace that labels choose.
	in         map[string][]int
	byWorkload map[End][]int
	known      map[End]*unit
	failed     map[End]error
}

func newUnits(c *reach.Cluster, w *model.World) *units {
	u := &units{cluster: c, selects: selectsOf(w), in: map[string][]int{}, byWorkload: map[End][]int{}, known: map[End]*unit{}, failed: map[End]error{}}
	for i, p := range c.Pods {
		end := WorkloadOf(p)
		u.byWorkload[end] = append(u.byWorkload[end], i)
		if u.selectable(p) {
			u.in[p.Namespace] = append(u.in[p.Namespace], i)
		}
	}
	return u
}

// selectable reports whether labels choose a pod as a peer: of those in the network of
// their node only where the network plugin has it so.
func (u *units) selectable(p *reach.Pod) bool {
	return !p.HostNetwork || u.cluster.Profile.SelectorsMatchHostPods
}

// of finds the unit of an end. The error says why no policy can name it.
func (u *units) of(e End) (*unit, error) {
	if known, ok := u.known[e]; ok {
		return known, u.failed[e]
	}
	out, err := u.make(e)
	if err == nil && len(out.parts) == 0 {
		out.parts = []*unit{out}
	}
	u.known[e], u.failed[e] = out, err
	return out, err
}

func (u *units) make(e End) (*unit, error) {
	out := &unit{End: e, members: roaring.New(), addresses: &netipx.IPSet{}}
	switch e.Kind {
	case Workload:
		return out, u.workload(out)
	case Selected:
		return out, u.selected(out)
	case Namespace:
		out.selector = &metav1.LabelSelector{}
		for _, i := range u.in[e.Namespace] {
			out.members.Add(uint32(i))
		}
		return out, nil
	case Block:
		block, err := netip.ParsePrefix(e.Name)
		if err != nil {
			return nil, fmt.Errorf("%s is no block of addresses: %w", e.Name, err)
		}
		return out, u.blocks(out, networkingv1.IPBlock{CIDR: block.Masked().String()})
	case Internet:
		return out, u.blocks(out, internetBlocks()...)
	}
	out.members.AddRange(0, uint64(len(u.cluster.Pods)))
	var b netipx.IPSetBuilder
	b.AddPrefix(netip.MustParsePrefix("0.0.0.0/0"))
	b.AddPrefix(netip.MustParsePrefix("::/0"))
	var err error
	out.addresses, err = b.IPSet()
	return out, err
}

// workload finds the pods of a workload, and a selector for them.
func (u *units) workload(out *unit) error {
	pods := u.byWorkload[out.End]
	if len(pods) == 0 {
		return fmt.Errorf("there is no pod of %s", out.End)
	}
	if u.cluster.Pods[pods[0]].HostNetwork && !u.cluster.Profile.SelectorsMatchHostPods {
		return u.hosts(out, pods)
	}
	for _, i := range pods {
		out.members.Add(uint32(i))
	}
	out.selector, out.twins = u.choose(pods)
	return nil
}

// hosts names pods in the network of their nodes by the addresses of nodes. Those whose
// address is not known are left out: what is said is about nodes.
func (u *units) hosts(out *unit, pods []int) error {
	for _, i := range pods {
		if len(u.cluster.Pods[i].Addresses) > 0 {
			out.members.Add(uint32(i))
		}
	}
	if !u.cluster.Profile.BlocksMatchNodes {
		out.unnamed = fmt.Errorf("%s is in the network of its node, which no NetworkPolicy can name for %s", out.End, u.cluster.Profile.Name)
		return nil
	}
	var blocks []networkingv1.IPBlock
	for _, n := range u.nodes {
		blocks = append(blocks, networkingv1.IPBlock{CIDR: n})
	}
	if len(blocks) == 0 {
		out.unnamed = fmt.Errorf("%s is in the network of its node: name the addresses of nodes with --nodes CIDR", out.End)
		return nil
	}
	return u.blocks(out, blocks...)
}

func (u *units) selected(out *unit) error {
	s, err := metav1.ParseToLabelSelector(out.Name)
	if err != nil {
		return fmt.Errorf("%q is no label selector that a policy can have: %w", out.Name, err)
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return fmt.Errorf("%q is no label selector that a policy can have: %w", out.Name, err)
	}
	out.selector = s
	for _, i := range u.in[out.Namespace] {
		if selector.Matches(labels.Set(u.cluster.Pods[i].Labels)) {
			out.members.Add(uint32(i))
		}
	}
	if out.members.IsEmpty() {
		return fmt.Errorf("there is no pod %s that a policy can be about", out.End)
	}
	return nil
}

// blocks names addresses, and finds the pods that have some of them: these are meant too.
func (u *units) blocks(out *unit, blocks ...networkingv1.IPBlock) error {
	var b netipx.IPSetBuilder
	for i := range blocks {
		out.blocks = append(out.blocks, networkingv1.NetworkPolicyPeer{IPBlock: &blocks[i]})
		block, err := netip.ParsePrefix(blocks[i].CIDR)
		if err != nil {
			return fmt.Errorf("%s is no block of addresses: %w", blocks[i].CIDR, err)
		}
		var one netipx.IPSetBuilder
		one.AddPrefix(block)
		for _, e := range blocks[i].Except {
			one.RemovePrefix(netip.MustParsePrefix(e))
		}
		set, err := one.IPSet()
		if err != nil {
			return err
		}
		b.AddSet(set)
	}
	if len(blocks) > 1 {
		return u.join(out, blocks)
	}
	var err error
	if out.addresses, err = b.IPSet(); err != nil {
		return err
	}
	// The engine is asked which pods they are about: plugins differ.
	const dummy = "x"
	probe := networkingv1.NetworkPolicy{ObjectMeta: meta(dummy, dummy)}
	probe.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
	probe.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: out.blocks}}
	policies, err := read([]*networkingv1.NetworkPolicy{&probe}, u.cluster.Profile)
	if err != nil {
		return err
	}
	c := &reach.Cluster{Policies: policies, Profile: u.cluster.Profile, Nodes: u.cluster.Nodes}
	from := reach.Side{Pod: &reach.Pod{Namespace: dummy}}
	for i, p := range u.cluster.Pods {
		if c.Explain(from, reach.Side{Pod: p}, reach.TCP, 1).Egress.Allowed {
			out.members.Add(uint32(i))
		}
	}
	return nil
}

// join makes a unit of several blocks, each of them a part.
func (u *units) join(out *unit, blocks []networkingv1.IPBlock) error {
	var b netipx.IPSetBuilder
	for _, one := range blocks {
		part := &unit{End: End{out.Kind, "", one.CIDR}, members: roaring.New()}
		if err := u.blocks(part, one); err != nil {
			return err
		}
		b.AddSet(part.addresses)
		out.members.Or(part.members)
		out.parts = append(out.parts, part)
	}
	var err error
	out.addresses, err = b.IPSet()
	return err
}

// internetBlocks name all addresses that are not private: all but for what is left out.
func internetBlocks() (out []networkingv1.IPBlock) {
	for _, all := range []string{"0.0.0.0/0", "::/0"} {
		block := networkingv1.IPBlock{CIDR: all}
		var b netipx.IPSetBuilder
		b.AddPrefix(netip.MustParsePrefix(all))
		b.RemoveSet(reach.PublicAddresses())
		rest, err := b.IPSet()
		if err != nil {
			return nil // all are valid: they are constants
		}
		for _, p := range rest.Prefixes() {
			block.Except = append(block.Except, p.String())
		}
		out = append(out, block)
	}
	return out
}

// peers are how a rule of a policy in a namespace names a unit; none is everybody.
func (u *unit) peers(own string) []networkingv1.NetworkPolicyPeer {
	if u.selector == nil {
		return u.blocks
	}
	peer := networkingv1.NetworkPolicyPeer{PodSelector: u.selector.DeepCopy()}
	if u.Namespace != own {
		peer.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{namespaceName: u.Namespace}}
	}
	return []networkingv1.NetworkPolicyPeer{peer}
}

// unstable are labels that controllers give to some pods of a workload only, or anew with
// each revision.
func unstable(key string) bool {
	return slices.Contains([]string{"pod-template-hash", "pod-template-generation", "controller-revision-hash", "controller-uid", "job-name",
		"batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index",
		"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"}, key)
}

// versioned are labels that change with a release: they are used only where nothing else
// tells pods apart.
func versioned(key string) bool {
	return key == "version" || strings.HasSuffix(key, "/version") || key == "chart" || key == "helm.sh/chart" || key == "heritage" || key == "release-revision"
}
