package reach

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// futureEnd is one end of a question about pods that do not exist yet: a side that is there, or
// all pods that may be made in a namespace.
type futureEnd struct {
	// side is who is there; of pods that are not, a pod without labels and addresses.
	side Side
	// open says that it stands for pods that are not there; inNew that their namespace is
	// not either.
	open, inNew        bool
	ofNamespace, ofPod space
}

func (a *asker) future(namespace string, inNew bool, from bool) futureEnd {
	p := futureEnd{side: Side{Pod: &Pod{Namespace: namespace, Kind: futureKind, Named: map[NamedPort]uint16{}}}, open: true, inNew: inNew, ofNamespace: toNamespace, ofPod: toPod}
	if from {
		p.ofNamespace, p.ofPod = fromNamespace, fromPod
	}
	return p
}

// region are pods of which the same is decided so far.
type region struct {
	cube
	// undecided are the ports that no rule of a tier was about yet, passed those left to
	// NetworkPolicies, allowed those that are accepted.
	undecided, passed, allowed Ports
	// isolated says that some NetworkPolicy is about them, and granted what these allow.
	isolated bool
	granted  Ports
}

// answer are pods that have the same ports.
type answered struct {
	cube
	ports Ports
}

// Bounds of what is worked out: regions of one namespace, and cuts of regions in all.
const maxRegions, maxSteps = 2000, 20_000_000

// decider works out which pods may talk that do not exist yet. Nothing is enumerated: what
// selectors ask for cuts all labels that there may be into regions.
type decider struct {
	*asker
	// bounded says that there were more regions than are looked at.
	bounded bool
	// doubts say what is not known of what was asked.
	doubts map[string]bool
	// steps counts cuts.
	steps int
}

func newDecider(c *Cluster) *decider {
	d := &decider{asker: newAsker(c).indexed(), doubts: map[string]bool{}}
	for _, o := range c.Unknown {
		d.doubts[fmt.Sprintf("%s is not understood, and may be about pods that do not exist yet", o.Ref())] = true
	}
	for _, u := range c.Unread {
		d.doubts[fmt.Sprintf("%s could not all be read: %s", u.GroupKind, u.Reason)] = true
	}
	return d
}

// unsure notes that a selector asks for labels of a namespace that are not known.
func (d *decider) unsure(namespaces labels.Selector, name string) {
	if namespaces != nil && d.unclear(namespaces, name) {
		d.doubts[fmt.Sprintf("the labels of namespace %s are not known, and policies ask for them", name)] = true
	}
}

// between are the ports by which two parties may talk, for all labels in a cube.
func (d *decider) between(from, to futureEnd, in cube) (out []answered) {
	first, second := Egress, Ingress
	if from.open && !to.open { // who is there tells what may matter at all
		first, second = second, first
	}
	for _, a := range d.direction(first, from, to, in) {
		if a.ports.Empty() {
			continue
		}
		for _, b := range d.direction(second, from, to, a.cube) {
			if ports := a.ports.Intersect(b.ports); !ports.Empty() {
				out = append(out, answered{b.cube, ports})
			}
		}
		if len(out) > maxRegions {
			d.bounded = true
			return out
		}
	}
	return out
}

// direction asks the policies of one direction.
func (d *decider) direction(way Direction, from, to futureEnd, in cube) (out []answered) {
	subject, peer := to, from
	if way == Egress {
		subject, peer = from, to
	}
	if subject.side.Pod == nil || subject.side.Pod.HostNetwork {
		return []answered{{in, AllPorts}}
	}
	regions := d.tier(way, d.Admin, subject, peer, to, []region{{cube: in, undecided: AllPorts}})
	for i := range regions {
		regions[i].undecided, regions[i].passed = regions[i].undecided.Union(regions[i].passed), Ports{}
	}
	regions = d.policies(way, subject, peer, to, regions)
	var free []region
	for _, r := range regions {
		if r.isolated {
			out = append(out, answered{r.cube, r.allowed.Union(r.undecided.Intersect(r.granted))})
		} else {
			free = append(free, r)
		}
	}
	for _, r := range d.tier(way, d.Baseline, subject, peer, to, free) {
		out = append(out, answered{r.cube, r.allowed.Union(r.undecided).Union(r.passed)})
	}
	return out
}

// tier asks the policies of a tier in order.
func (d *decider) tier(way Direction, policies []*TierPolicy, subject, peer, to futureEnd, regions []region) []region {
	for _, p := range policies {
		if len(p.Rules[way]) == 0 {
			continue
		}
		about := d.chosen(p.Namespaces, p.Pods, "", subject)
		if about == nil {
			continue
		}
		in, out := d.split(regions, []cube{about})
		for _, r := range p.Rules[way] {
			ports := r.portsTo(to.side.Pod)
			if ports.Empty() {
				continue
			}
			hit, others := d.split(in, d.peers("", r, peer))
			for i := range hit {
				h := &hit[i]
				about := h.undecided.Intersect(ports)
				h.undecided = h.undecided.Minus(about)
				switch r.Action {
				case Accept:
					h.allowed = h.allowed.Union(about)
				case Pass:
					h.passed = h.passed.Union(about)
				}
			}
			in = slices.Concat(hit, others)
		}
		if regions = slices.Concat(in, out); len(regions) > maxRegions {
			d.bounded = true
			return regions[:maxRegions]
		}
	}
	return regions
}

// policies asks the NetworkPolicies of the subject's namespace; a new one has none.
func (d *decider) policies(way Direction, subject, peer, to futureEnd, regions []region) []region {
	if subject.inNew {
		return regions
	}
	for _, p := range d.byNamespace[subject.side.Pod.Namespace] {
		if !p.Isolates[way] {
			continue
		}
		about := d.chosen(nil, p.Subject, p.Namespace, subject)
		if about == nil {
			continue
		}
		in, out := d.split(regions, []cube{about})
		for i := range in {
			in[i].isolated = true
		}
		for _, r := range p.Rules[way] {
			ports := r.portsTo(to.side.Pod)
			if ports.Empty() {
				continue
			}
			hit, others := d.split(in, d.peers(p.Namespace, r, peer))
			for i := range hit {
				hit[i].granted = hit[i].granted.Union(ports)
			}
			in = slices.Concat(hit, others)
		}
		if regions = slices.Concat(in, out); len(regions) > maxRegions {
			d.bounded = true
			return regions[:maxRegions]
		}
	}
	return regions
}

// split cuts regions into what is in some cubes and what is not. Beyond the bound nothing is
// cut any more.
func (d *decider) split(regions []region, by []cube) (in, out []region) {
	out = regions
	if d.steps += len(regions) * len(by); d.steps > maxSteps {
		d.bounded = true
		return nil, regions
	}
	for _, c := range by {
		var rest []region
		for _, r := range out {
			both := r.cube.meet(c)
			if both == nil {
				rest = append(rest, r)
				continue
			}
			one := r
			one.cube = both
			in = append(in, one)
			for _, part := range r.cube.minus(c) {
				one.cube = part
				rest = append(rest, one)
			}
		}
		out = rest
	}
	return in, out
}

// chosen are the labels of a futureEnd that selectors choose: nil for none. Without a selector
// of namespaces they are of the own one.
func (d *decider) chosen(namespaces, pods labels.Selector, own string, p futureEnd) cube {
	pod := p.side.Pod
	if !p.inNew {
		d.unsure(namespaces, pod.Namespace)
	}
	switch {
	case !p.open && namespaces == nil:
		if pod.Namespace != own || pod.HostNetwork || !pods.Matches(labels.Set(pod.Labels)) {
			return nil
		}
		return cube{}
	case !p.open:
		if !d.selects(namespaces, pods, pod) {
			return nil
		}
		return cube{}
	case namespaces == nil && (p.inNew || pod.Namespace != own):
		return nil
	case namespaces != nil && p.inNew:
		of := cubeOf(p.ofNamespace, namespaces)
		if of == nil {
			return nil
		}
		if pods := cubeOf(p.ofPod, pods); pods != nil {
			return of.meet(pods)
		}
		return nil
	case namespaces != nil:
		ns := d.Namespaces[pod.Namespace]
		if ns == nil || !namespaces.Matches(labels.Set(ns.Labels)) {
			return nil
		}
	}
	return cubeOf(p.ofPod, pods)
}

// peers are the labels of a futureEnd that a rule is about.
func (d *decider) peers(own string, r *Rule, p futureEnd) (out []cube) {
	if !p.open {
		if d.matchesPeer(own, r, p.side) {
			return []cube{{}}
		}
		return nil
	}
	if r.AllPeers {
		return []cube{{}}
	}
	for _, item := range r.Peers {
		switch {
		case item.Block.IsValid() || item.Nodes != nil || item.Pods == nil:
			if d.matchesPeer(own, &Rule{Peers: []Peer{item}}, p.side) {
				return []cube{{}}
			}
			b := &doubter{Cluster: d.Cluster, peer: p.side}
			if b.block("", item); item.Block.IsValid() && len(b.out) > 0 {
				d.doubts[fmt.Sprintf("addresses of pods that do not exist yet are not known, and a rule is about %s", item.Block)] = true
			}
		default:
			if c := d.chosen(item.Namespaces, item.Pods, own, p); c != nil && !slices.ContainsFunc(out, func(o cube) bool { return o.text() == c.text() }) {
				out = append(out, c)
			}
		}
	}
	return out
}
