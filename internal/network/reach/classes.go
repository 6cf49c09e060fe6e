package reach

import (
	"slices"
	"strconv"
	"strings"

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
	// pods are in the order of Cluster.Pods; a class of a free number has none.
	pods []*Pod
}

// free is the class of numbers that stand for none.
var free = &class{}

// classifier sorts pods into classes: by namespace, by the labels that some selector asks
// for, by the names of ports that some policy has, and by address where some block is about
// it.
type classifier struct {
	asked     *asked
	addresses *addresses
	names     []NamedPort
	key       strings.Builder
}

func newClassifier(a *asked, cuts *addresses) *classifier {
	k := &classifier{asked: a, addresses: cuts}
	for n := range a.names {
		k.names = append(k.names, n)
	}
	slices.SortFunc(k.names, func(a, b NamedPort) int {
		return strings.Compare(a.Protocol.String()+a.Name, b.Protocol.String()+b.Name)
	})
	return k
}

// keyOf is the same for pods of a namespace that are of one class.
func (k *classifier) keyOf(p *Pod) string {
	k.key.Reset()
	if len(k.asked.labels) <= len(p.Labels) {
		for _, l := range k.asked.labels {
			k.label(p, l)
		}
	} else {
		own := make([]string, 0, len(p.Labels))
		for l := range p.Labels {
			own = append(own, l)
		}
		slices.Sort(own)
		for _, l := range own {
			k.label(p, l)
		}
	}
	if p.HostNetwork {
		k.key.WriteByte('h')
	}
	for nth, n := range k.names {
		if port, ok := p.Named[n]; ok {
			k.key.WriteString("n" + strconv.Itoa(nth) + "=" + strconv.Itoa(int(port)))
		}
	}
	if len(k.asked.bounds) > 0 {
		for _, a := range p.Addresses {
			k.key.WriteString("a" + strconv.Itoa(k.addresses.piece(a)))
		}
	}
	return k.key.String()
}

// label adds a label of a pod as far as it is asked for.
func (k *classifier) label(p *Pod, key string) {
	v, ok := p.Labels[key]
	switch {
	case !ok:
	case k.asked.values[[2]string{key, v}] > 0:
		k.write('l', key)
		k.write('v', v)
	case k.asked.keys[key] > 0:
		k.write('k', key)
	}
}

// write adds a text. Its length keeps apart what hostile names would run together.
func (k *classifier) write(mark byte, text string) {
	k.key.WriteByte(mark)
	k.key.WriteString(strconv.Itoa(len(text)))
	k.key.WriteByte(':')
	k.key.WriteString(text)
}

// classOf is the class of a pod, without any pods.
func (k *classifier) classOf(p *Pod) *class {
	c := &class{namespace: p.Namespace, labels: p.Labels, hostNetwork: p.HostNetwork}
	for _, n := range k.names {
		if port, ok := p.Named[n]; ok {
			if c.named == nil {
				c.named = map[NamedPort]uint16{}
			}
			c.named[n] = port
		}
	}
	if len(k.asked.bounds) > 0 {
		for _, a := range p.Addresses {
			c.pieces = append(c.pieces, k.addresses.piece(a))
		}
	}
	return c
}

// byNamespace sorts numbers of pods so that those of a namespace stand together.
func byNamespace(pods []*Pod, numbers []int) {
	slices.SortStableFunc(numbers, func(a, b int) int { return strings.Compare(pods[a].Namespace, pods[b].Namespace) })
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
