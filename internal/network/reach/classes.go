package reach

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"k8s.io/apimachinery/pkg/labels"
)

// class are pods of a namespace that no policy can tell apart.
type class struct {
	namespace   string
	labels      labels.Set
	named       map[NamedPort]uint16
	hostNetwork bool
	// pieces are those of its pods' addresses; empty where they are not known.
	pieces []int
	pods   []int
}

// classify sorts the pods into classes: by namespace, by the labels that some selector
// asks for, by the names of ports that some policy has, and by address where some block
// is about it. The classes of a namespace stand together.
func (b *builder) classify() {
	keys, names := b.asked()
	pieces := len(b.blocks) > 0
	known := map[string]int{}
	var key strings.Builder
	// Lengths keep apart what hostile names would run together.
	write := func(mark byte, text string) {
		key.WriteByte(mark)
		key.WriteString(strconv.Itoa(len(text)))
		key.WriteByte(':')
		key.WriteString(text)
	}
	for _, i := range byNamespace(b.cluster.Pods) {
		p := b.cluster.Pods[i]
		key.Reset()
		write('s', p.Namespace)
		for n, k := range keys {
			if v, ok := p.Labels[k]; ok {
				key.WriteString(strconv.Itoa(n))
				write('l', v)
			}
		}
		c := &class{namespace: p.Namespace, labels: p.Labels, hostNetwork: p.HostNetwork}
		if p.HostNetwork {
			key.WriteByte('h')
		}
		for nth, n := range names {
			if port, ok := p.Named[n]; ok {
				if c.named == nil {
					c.named = map[NamedPort]uint16{}
				}
				c.named[n] = port
				key.WriteString("n" + strconv.Itoa(nth) + "=" + strconv.Itoa(int(port)))
			}
		}
		if pieces {
			for _, a := range p.Addresses {
				piece := b.addresses.piece(a)
				c.pieces = append(c.pieces, piece)
				key.WriteString("a" + strconv.Itoa(piece))
			}
		}
		at, ok := known[key.String()]
		if !ok {
			at = len(b.classes)
			known[key.String()] = at
			b.classes = append(b.classes, c)
		}
		b.classes[at].pods = append(b.classes[at].pods, i)
	}
	b.indexClasses()
}

// indexClasses notes the class of each pod, and the classes of each namespace, which stand
// together because pods were taken by namespace.
func (b *builder) indexClasses() {
	b.classOf = make([]int, len(b.cluster.Pods))
	b.in = map[string][2]uint32{}
	b.hosts = roaring.New()
	for i, c := range b.classes {
		for _, p := range c.pods {
			b.classOf[p] = i
		}
		bounds, ok := b.in[c.namespace]
		if !ok {
			bounds[0] = uint32(i)
		}
		bounds[1] = uint32(i) + 1
		b.in[c.namespace] = bounds
		if c.hostNetwork {
			b.hosts.Add(uint32(i))
		}
	}
}

// byNamespace are the numbers of pods, those of a namespace together.
func byNamespace(pods []*Pod) []int {
	out := make([]int, len(pods))
	for i := range out {
		out[i] = i
	}
	slices.SortStableFunc(out, func(a, b int) int { return strings.Compare(pods[a].Namespace, pods[b].Namespace) })
	return out
}

// asked are the labels and names of ports that policies ask for.
func (b *builder) asked() (keys []string, names []NamedPort) {
	labelKeys, ports := map[string]bool{}, map[NamedPort]bool{}
	selector := func(s labels.Selector) {
		if s == nil {
			return
		}
		requirements, _ := s.Requirements()
		for _, r := range requirements {
			labelKeys[r.Key()] = true
		}
	}
	rules := func(of [directions][]*Rule) {
		for _, rules := range of {
			for _, r := range rules {
				for _, p := range r.Peers {
					selector(p.Pods)
				}
				for _, p := range r.Ports {
					for _, protocol := range p.named() {
						ports[NamedPort{protocol, p.Name}] = true
					}
				}
			}
		}
	}
	for _, p := range b.cluster.Policies {
		selector(p.Subject)
		rules(p.Rules)
	}
	for _, tier := range [][]*TierPolicy{b.cluster.Admin, b.cluster.Baseline} {
		for _, p := range tier {
			selector(p.Pods)
			rules(p.Rules)
		}
	}
	names = slices.SortedFunc(maps.Keys(ports), func(a, b NamedPort) int {
		return strings.Compare(a.Protocol.String()+a.Name, b.Protocol.String()+b.Name)
	})
	return slices.Sorted(maps.Keys(labelKeys)), names
}

// named are the protocols for which a pod may have the port's name.
func (p PortRule) named() []Protocol {
	switch {
	case p.Name == "":
		return nil
	case p.AnyProtocol:
		return []Protocol{TCP, UDP, SCTP}
	}
	return []Protocol{p.Protocol}
}
