package generate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// rule is all that a subject may do with one peer, by some ports.
type rule struct {
	peers []*unit
	items []portItem
	why   []Evidence
}

// write makes one policy of all atoms of a subject.
func (p *planner) write() {
	bySubject := map[End][]*atom{}
	for _, a := range p.atoms {
		bySubject[a.subject.End] = append(bySubject[a.subject.End], a)
	}
	var subjects []End
	for e := range bySubject {
		subjects = append(subjects, e)
	}
	slices.SortFunc(subjects, func(a, b End) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), -cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
	for _, e := range subjects {
		atoms := bySubject[e]
		subject := atoms[0].subject
		out := &Policy{NetworkPolicy: &networkingv1.NetworkPolicy{ObjectMeta: meta(e.Namespace, "")}, Why: []string{"About " + e.String() + "."}, about: e}
		if len(subject.twins) > 0 {
			out.Why = append(out.Why, "No label that stays tells it from "+strings.Join(subject.twins, ", ")+".")
		}
		out.Spec.PodSelector = *subject.selector.DeepCopy()
		for _, d := range []reach.Direction{reach.Ingress, reach.Egress} {
			rules := rulesOf(atoms, d)
			if len(rules) > 0 {
				out.Spec.PolicyTypes = append(out.Spec.PolicyTypes, policyType(d))
			}
			for _, r := range rules {
				out.add(d, e.Namespace, r)
			}
		}
		p.set.Policies = append(p.set.Policies, out)
	}
	slices.SortStableFunc(p.set.Policies, func(a, b *Policy) int { return strings.Compare(a.Namespace, b.Namespace) })
}

func (p *Policy) add(d reach.Direction, own string, r rule) {
	var peers []networkingv1.NetworkPolicyPeer
	for _, u := range r.peers {
		peers = append(peers, u.peers(own)...)
	}
	var ports []networkingv1.NetworkPolicyPort
	for _, i := range r.items {
		ports = append(ports, i.ports()...)
	}
	if d == reach.Ingress {
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: peers, Ports: ports})
		p.Ingress = append(p.Ingress, r.why)
		return
	}
	p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: peers, Ports: ports})
	p.Egress = append(p.Egress, r.why)
}

// rulesOf joins atoms: the ports of each peer, and then peers of the same ports. Everybody
// has a rule of its own, as it has no peers.
func rulesOf(atoms []*atom, d reach.Direction) (out []rule) {
	byPeer := map[End]*rule{}
	for _, a := range atoms {
		if a.direction != d {
			continue
		}
		r := byPeer[a.peer.End]
		if r == nil {
			r = &rule{peers: []*unit{a.peer}}
			byPeer[a.peer.End] = r
		}
		r.items = append(r.items, a.port)
		r.why = append(r.why, a.why...)
	}
	byPorts := map[string]*rule{}
	for _, r := range byPeer {
		slices.SortFunc(r.items, comparePorts)
	}
	for _, r := range slices.SortedFunc(maps.Values(byPeer), func(a, b *rule) int { return compareEnds(a.peers[0].End, b.peers[0].End) }) {
		key := fmt.Sprintf("%+v", r.items)
		if r.peers[0].Kind == Everybody {
			key = ""
		}
		if same := byPorts[key]; same != nil {
			same.peers = append(same.peers, r.peers...)
			same.why = append(same.why, r.why...)
			continue
		}
		byPorts[key] = r
	}
	for _, r := range byPorts {
		slices.SortStableFunc(r.why, func(a, b Evidence) int { return strings.Compare(a.String(), b.String()) })
		r.why = slices.CompactFunc(r.why, func(a, b Evidence) bool { return a.String() == b.String() })
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b rule) int {
		return cmp.Or(compareEnds(a.peers[0].End, b.peers[0].End), comparePorts(a.items[0], b.items[0]))
	})
	return out
}

// maxName is how long the name of a NetworkPolicy may be.
const maxName = 253

// name names the policies: after what they are about, and as nothing else is named there.
func (s *Set) name(c *reach.Cluster) {
	taken := map[string]bool{}
	for _, p := range s.before.Policies {
		taken[p.Namespace+"/"+p.Name] = true
	}
	for _, problem := range c.Problems { // what counts for nothing may still be there
		taken[problem.Object.Namespace+"/"+problem.Object.Name] = true
	}
	for _, p := range s.Policies {
		p.Name = free(p, func(name string) bool { return taken[p.Namespace+"/"+name] })
		taken[nameOf(p.NetworkPolicy)] = true
	}
	for _, name := range s.Replaced {
		if !slices.ContainsFunc(s.Policies, func(p *Policy) bool { return nameOf(p.NetworkPolicy) == name }) {
			s.Stale = append(s.Stale, name)
		}
	}
}

// free is a name for a policy that is not taken.
func free(p *Policy, taken func(string) bool) string {
	base, kind := p.Name, ""
	if base == "" {
		base, kind = p.slug()
	}
	names := []string{base}
	if kind != "" {
		names = append(names, base+"-"+kind)
	}
	for _, name := range names {
		if !taken(name) {
			return name
		}
	}
	for i := 2; ; i++ {
		if name := fmt.Sprintf("%s-%d", base, i); !taken(name) {
			return name
		}
	}
}

// slug is what a policy is called by what it is about.
func (p *Policy) slug() (name, kind string) {
	switch p.about.Kind {
	case Workload:
		kind, name, _ = strings.Cut(p.about.Name, "/")
		kind = strings.ToLower(kind)
	case Selected:
		name = p.about.Name
	default:
		name = "all-pods"
		if onlyDNS(p.Ingress, p.Egress) {
			name = "allow-dns"
		}
	}
	return dashed(name), dashed(kind)
}

// dashed is a text as the name of an object: RFC 1123.
func dashed(text string) string {
	var out strings.Builder
	for _, c := range strings.ToLower(text) {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.':
			out.WriteRune(c)
		case !strings.HasSuffix(out.String(), "-"):
			out.WriteByte('-')
		}
	}
	name := out.String()
	return strings.Trim(name[:min(len(name), maxName-40)], "-.")
}

func onlyDNS(ingress, egress [][]Evidence) bool {
	for _, rule := range egress {
		for _, e := range rule {
			if !e.DNS {
				return false
			}
		}
	}
	return len(ingress) == 0
}
