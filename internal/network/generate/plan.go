package generate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// atom is the smallest part of what is written: that a subject may send to one peer, or
// receive from it, by one range of ports or one name.
type atom struct {
	direction     reach.Direction
	subject, peer *unit
	port          portItem
	why           []Evidence
}

// atomKey tells atoms apart.
type atomKey struct {
	direction     reach.Direction
	subject, peer End
	port          portItem
}

// portItem is one item of ports. All says that it is every port of every protocol.
type portItem struct {
	all      bool
	protocol reach.Protocol
	from, to uint16
	name     string
}

func comparePorts(a, b portItem) int {
	return cmp.Or(cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), strings.Compare(a.name, b.name))
}

// planner makes atoms of wants.
type planner struct {
	*units
	// engines answer for one direction alone what policies of others allow, with
	// everything else denied.
	engines    [2]*reach.Engine
	namespaces []string
	atoms      []*atom
	at         map[atomKey]*atom
	set        *Set
}

// Generate makes the policies of a request.
func Generate(r *Request) (*Set, error) {
	set := &Set{Notes: slices.Clone(r.Notes), namespaces: r.Namespaces}
	set.before, set.Replaced = withoutMarked(withPods(r.Cluster, r.Assumed))
	defaults := denials(set.before, r.Namespaces)
	denied, err := read(defaults, set.before.Profile)
	if err != nil {
		return nil, err
	}
	set.denied = withPolicies(set.before, denied)
	set.units = newUnits(set.before, r.World)
	set.units.nodes = r.Nodes
	for _, a := range r.Assumed {
		set.units.selects[a.End()] = a.Selector
	}
	p := &planner{units: set.units, namespaces: r.Namespaces, at: map[atomKey]*atom{}, set: set}
	for _, d := range []reach.Direction{reach.Ingress, reach.Egress} {
		p.engines[d] = reach.New(oneWay(set.denied, d))
	}
	for _, w := range merged(r.Wants) {
		p.want(w)
	}
	if err := p.prune(); err != nil {
		return nil, err
	}
	for _, d := range defaults {
		set.Policies = append(set.Policies, &Policy{NetworkPolicy: d, Why: []string{"What no policy lets through is denied" + bothWays(d) + ", also to pods that do not exist yet."}})
	}
	p.write()
	set.name(r.Cluster)
	return set, nil
}

func bothWays(p *networkingv1.NetworkPolicy) string {
	if len(p.Spec.PolicyTypes) == 2 {
		return ", both ways"
	}
	return " for " + strings.ToLower(string(p.Spec.PolicyTypes[0]))
}

// denials deny everything in some namespaces that policies of others do not deny there.
func denials(c *reach.Cluster, namespaces []string) (out []*networkingv1.NetworkPolicy) {
	for _, ns := range namespaces {
		p := &networkingv1.NetworkPolicy{ObjectMeta: meta(ns, "default-deny")}
		for d, name := range map[reach.Direction]networkingv1.PolicyType{reach.Ingress: networkingv1.PolicyTypeIngress, reach.Egress: networkingv1.PolicyTypeEgress} {
			if !slices.ContainsFunc(c.Policies, func(p *reach.Policy) bool { return p.Namespace == ns && p.Isolates[d] && p.Subject.Empty() }) {
				p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, name)
			}
		}
		if slices.Sort(p.Spec.PolicyTypes); len(p.Spec.PolicyTypes) > 0 {
			slices.Reverse(p.Spec.PolicyTypes) // Ingress first, as people write it
			out = append(out, p)
		}
	}
	return out
}

// merged are wants in order, each pair of ends and ports once, with all evidence.
func merged(wants []*Want) []*Want {
	out := slices.Clone(wants)
	slices.SortStableFunc(out, func(a, b *Want) int {
		return cmp.Or(compareEnds(a.From, b.From), compareEnds(a.To, b.To), strings.Compare(a.portText(), b.portText()), strings.Compare(a.Why.String(), b.Why.String()))
	})
	return slices.CompactFunc(out, func(a, b *Want) bool {
		return a.From == b.From && a.To == b.To && a.portText() == b.portText() && a.Why.String() == b.Why.String()
	})
}

// want makes the atoms of a want, of each direction that is not open for it already.
func (p *planner) want(w *Want) {
	from, err := p.of(w.From)
	to, err2 := p.of(w.To)
	if err = cmp.Or(err, err2); err == nil && !w.From.pods() && !w.To.pods() {
		err = errors.New("no policy is about traffic between addresses")
	}
	if err == nil && len(w.Names) > 0 && !w.To.pods() {
		err = errors.New("the name of a port is one of pods, and not of addresses")
	}
	var need []needs
	for _, side := range []needs{{reach.Egress, from, to, nil}, {reach.Ingress, to, from, nil}} {
		if err == nil && side.subject.pods() && side.peer.members.IsEmpty() {
			err = side.peer.unnamed // nobody can tell what it passes
		}
		if err != nil || !side.subject.pods() || !slices.Contains(p.namespaces, side.subject.Namespace) {
			continue
		}
		for _, part := range side.peer.parts {
			if items := p.rest(w, side.direction, side.subject, part); len(items) > 0 {
				need = append(need, needs{side.direction, side.subject, part, items})
				err = cmp.Or(err, part.unnamed)
			}
		}
	}
	if err != nil {
		p.set.Uncovered = append(p.set.Uncovered, Note{Evidence{Text: fmt.Sprintf("%v; it is wanted as %s", err, w.Why.Text), At: w.Why.At}, w.String()})
		return
	}
	p.set.Wants = append(p.set.Wants, w)
	if len(need) == 0 {
		p.set.Open = append(p.set.Open, w)
	}
	for _, n := range need {
		p.add(n, w.Why)
	}
}

// needs are the ports that a subject lacks with a peer.
type needs struct {
	direction     reach.Direction
	subject, peer *unit
	items         []portItem
}

// add adds atoms, those of the same ends and ports together.
func (p *planner) add(n needs, why Evidence) {
	for _, item := range n.items {
		key := atomKey{n.direction, n.subject.End, n.peer.End, item}
		a := p.at[key]
		if a == nil {
			a = &atom{direction: n.direction, subject: n.subject, peer: n.peer, port: item}
			p.at[key] = a
			p.atoms = append(p.atoms, a)
		}
		if !slices.ContainsFunc(a.why, func(e Evidence) bool { return e.String() == why.String() }) {
			a.why = append(a.why, why)
		}
	}
}

// rest are the ports of a want that some pair of its ends has not yet in one direction.
// Names of ports are kept only where pods differ in what they stand for.
func (p *planner) rest(w *Want, d reach.Direction, subject, peer *unit) []portItem {
	e := p.engines[d]
	var rest reach.Ports
	named := len(w.Names) > 0
	receivers := subject
	if d == reach.Egress {
		receivers = peer
	}
	same := samePorts(p.cluster, w, receivers)
	isNamed := false
	peers := e.Numbers(peer.members, peer.addresses).ToArray()
	seen := map[reach.End]bool{}
	subject.members.Iterate(func(s uint32) bool {
		pod := p.cluster.Pods[s]
		end := e.PodEnd(int(s))
		if pod.HostNetwork || seen[end] && (!named || same) {
			return true
		}
		seen[end] = true
		if named && !same { // pod by pod: they differ
			isNamed = isNamed || p.lacksNamed(w, d, s, peer)
			return true
		}
		wanted := wantedPorts(p.cluster, w, receivers)
		for _, n := range peers {
			a, b := end, e.EndOf(n)
			if d == reach.Ingress {
				a, b = b, a
			}
			rest = rest.Union(wanted.Minus(e.Allowed(a, b)))
		}
		return !rest.Equal(wanted)
	})
	if isNamed {
		var out []portItem
		for _, n := range w.Names {
			out = append(out, portItem{protocol: n.Protocol, name: n.Name})
		}
		return append(out, itemsOf(w.Ports)...)
	}
	return itemsOf(rest)
}

// lacksNamed reports whether a pod lacks some port of a want that goes by name.
func (p *planner) lacksNamed(w *Want, d reach.Direction, subject uint32, peer *unit) bool {
	e, lacks := p.engines[d], false
	peer.members.Iterate(func(n uint32) bool {
		a, b := subject, n
		if d == reach.Ingress {
			a, b = b, a
		}
		lacks = !portsOf(w, p.cluster.Pods[b]).Minus(e.Allowed(e.PodEnd(int(a)), e.PodEnd(int(b)))).Empty()
		return !lacks
	})
	if receiver := p.cluster.Pods[subject]; d == reach.Ingress && !lacks {
		for _, n := range e.Numbers(noPods(), peer.addresses).ToArray() {
			lacks = lacks || !portsOf(w, receiver).Minus(e.Allowed(e.EndOf(n), e.PodEnd(int(subject)))).Empty()
		}
	}
	return lacks
}

// portsOf are the ports of a want at a pod that receives.
func portsOf(w *Want, receiver *reach.Pod) reach.Ports {
	out := w.Ports
	for _, n := range w.Names {
		if port := receiver.Named[n]; port != 0 {
			out = out.Union(reach.OnePort(n.Protocol, port))
		}
	}
	return out
}

// samePorts reports whether the ports of a want are the same at all who receive.
func samePorts(c *reach.Cluster, w *Want, receivers *unit) bool {
	same := true
	var first *reach.Pod
	receivers.members.Iterate(func(n uint32) bool {
		if first == nil {
			first = c.Pods[n]
		}
		same = portsOf(w, first).Equal(portsOf(w, c.Pods[n]))
		return same
	})
	return same
}

// wantedPorts are the ports of a want that are the same at all who receive.
func wantedPorts(c *reach.Cluster, w *Want, receivers *unit) reach.Ports {
	if len(w.Names) == 0 || receivers.members.IsEmpty() {
		return w.Ports
	}
	return portsOf(w, c.Pods[receivers.members.Minimum()])
}

func itemsOf(ports reach.Ports) (out []portItem) {
	if ports.All() {
		return []portItem{{all: true}}
	}
	ports.Each(func(p reach.Protocol, from, to uint16) { out = append(out, portItem{protocol: p, from: from, to: to}) })
	return out
}
