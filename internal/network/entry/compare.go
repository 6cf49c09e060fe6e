package entry

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// Way is one thing that an entry leads to.
type Way struct {
	Entry   *Entry
	Backend *Backend
}

// Change is what some addresses outside get to in one of two states, and not in the other.
type Change struct {
	// Part is Gained or Lost.
	Part reach.Part
	// Certain is false where one of the states does not say whether policies let them in:
	// it may be gained, or lost. Unknown says why.
	Certain bool
	Unknown []string
	// From are the addresses; Node says that they need to reach a node as well.
	From []netip.Prefix
	Node bool
	// Hosts are the names that are asked for; empty for any.
	Hosts []string
	// Ways are those of the state that has it: the later one for what is gained. There is
	// at least one, and the first is the most open.
	Ways []Way
	// Other are the same ways in the other state, where these are stopped, or open to fewer,
	// or where that is not known; empty where there are none.
	Other []Way
	// Inside says that in the other state only the cluster has it.
	Inside bool
}

// means are ways that are the same for whoever uses them: a port of a node is one, whatever
// opens it, and so is an Ingress, whatever serves it.
func means(e *Entry) string {
	switch {
	case e.Controller != nil:
		return ""
	case e.Type == HostPort || e.Type == HostNetwork:
		return "node"
	}
	return e.Type
}

// wayKey tells ways apart, whoever may use them.
type wayKey struct {
	kind, namespace, name, means, to string
	protocol, toProtocol             reach.Protocol
	port, servicePort, toPort        uint16
}

// comparison pairs the ways of two states.
type comparison struct {
	// ungiven are ports of nodes that one of the states does not write: there they are given
	// when the Service is created, or stay what they are.
	ungiven map[wayKey]bool
	pairs   map[wayKey]*pair
	order   []wayKey
	// inside are the ways that the cluster has, of each state, by whoever they lead to, and
	// outside those that others have.
	inside, outside [2]map[wayKey]bool
}

// pair are the ways of both states that are the same, by the names that are asked for.
type pair [2]map[string][]Way

// Compare tells what is gained and lost by addresses outside of the cluster: ways that only
// the cluster has are none. What is not known of one of the states is told as such. It is
// in the order of the entries' names; what is gained comes first, and what is certain.
func Compare(before, after *Points) (out []Change) {
	c := &comparison{ungiven: map[wayKey]bool{}, pairs: map[wayKey]*pair{}, inside: [2]map[wayKey]bool{{}, {}}, outside: [2]map[wayKey]bool{{}, {}}}
	for _, p := range []*Points{before, after} {
		for i := range p.Entries {
			if e := &p.Entries[i]; e.nodePort() && e.Port == 0 {
				c.ungiven[c.nodePortKey(e)] = true
			}
		}
	}
	for state, p := range []*Points{before, after} {
		for i := range p.Entries {
			c.add(state, &p.Entries[i])
		}
	}
	slices.SortStableFunc(c.order, wayKey.compare)
	for _, key := range c.order {
		if p := c.pairs[key]; !p.same() {
			out = append(out, c.changes(key, p)...)
		}
	}
	slices.SortStableFunc(out, func(a, b Change) int {
		return cmp.Or(bit(!a.Certain)-bit(!b.Certain), int(a.Part)-int(b.Part))
	})
	return out
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (k wayKey) compare(l wayKey) int {
	return cmp.Or(strings.Compare(k.namespace, l.namespace), strings.Compare(k.kind, l.kind), strings.Compare(k.name, l.name),
		cmp.Compare(k.servicePort, l.servicePort), cmp.Compare(k.port, l.port), strings.Compare(k.means, l.means),
		strings.Compare(k.to, l.to), cmp.Compare(k.toPort, l.toPort), cmp.Compare(k.protocol, l.protocol))
}

func (e *Entry) nodePort() bool { return e.Kind == "Service" && e.Type == "NodePort" }

// nodePortKey tells ports of a Service apart.
func (c *comparison) nodePortKey(e *Entry) wayKey {
	port, _ := e.At.Lookup(e.Object.Content)
	number, _ := portOf(model.Get(port, "port"))
	return wayKey{namespace: e.Namespace, name: e.Name, protocol: e.Protocol, servicePort: number}
}

func (c *comparison) add(state int, e *Entry) {
	key := wayKey{kind: e.Kind, namespace: e.Namespace, name: e.Name, means: means(e), protocol: e.Protocol, port: e.Port}
	if e.nodePort() {
		if of := c.nodePortKey(e); c.ungiven[of] {
			key.port, key.servicePort = 0, of.servicePort
		}
	}
	for i := range e.Backends {
		b := &e.Backends[i]
		key.to, key.toProtocol, key.toPort = b.Workload(), b.Protocol, b.Port
		if e.Exposure == Cluster {
			c.inside[state][key.inside()] = true
			continue
		}
		c.outside[state][key.inside()] = true
		p := c.pairs[key]
		if p == nil {
			p = &pair{{}, {}}
			c.pairs[key] = p
			c.order = append(c.order, key)
		}
		hosts := e.Hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, host := range hosts {
			p[state][host] = append(p[state][host], Way{e, b})
		}
	}
}

// inside leaves out by which port and means something is reached.
func (k wayKey) inside() wayKey {
	k.means, k.port, k.servicePort = "", 0, 0
	return k
}

// same reports whether nobody can tell the states apart.
func (p *pair) same() bool {
	if len(p[0]) != len(p[1]) {
		return false
	}
	for host, before := range p[0] {
		if !slices.EqualFunc(before, p[1][host], func(a, b Way) bool {
			return a.Entry.Exposure == b.Entry.Exposure && a.Backend.Verdict == b.Backend.Verdict && a.Backend.Others == b.Backend.Others &&
				slices.Equal(a.Entry.Sources, b.Entry.Sources) && slices.Equal(a.Backend.Admitted, b.Backend.Admitted)
		}) {
			return false
		}
	}
	return true
}

// covered are the ways of a state by which a host is served as well: its own, those of
// wildcards, and those of any host. A wildcard of an Ingress stands for one label, and one
// of a Gateway for several (APIs of Ingress and of Gateway, host names).
func (p *pair) covered(state int, kind, host string) (out []Way) {
	out = append(out, p[state][host]...)
	if host == "" {
		return out
	}
	name, wildcard := strings.CutPrefix(host, "*.")
	const longest = 253 // of a name, RFC 1035: no more is looked at
	for len(name) <= longest {
		_, rest, ok := strings.Cut(name, ".")
		if !ok || wildcard && kind == "Ingress" {
			break
		}
		if name = rest; "*."+name != host {
			out = append(out, p[state]["*."+name]...)
		}
		if kind == "Ingress" {
			break
		}
	}
	return append(out, p[state][""]...)
}

// changes are those of a pair. Hosts of which the same is told are one change.
func (c *comparison) changes(key wayKey, p *pair) (out []Change) {
	type told struct {
		part                  reach.Part
		certain, node, inside bool
		from                  string
	}
	at := map[told]int{}
	for state, part := range []reach.Part{reach.Lost, reach.Gained} {
		for _, host := range sortedHosts(p[state]) {
			ways, other := p.covered(state, key.kind, host), p.covered(1-state, key.kind, host)
			for _, one := range extentOf(ways).beyond(extentOf(other)) {
				one.Part, one.Inside = part, c.inside[1-state][key.inside()] && !c.outside[1-state][key.inside()]
				same := told{one.Part, one.Certain, one.Node, one.Inside, joined(one.From)}
				i, known := at[same]
				if !known {
					i = len(out)
					at[same] = i
					out = append(out, one)
				}
				out[i].Hosts = append(out[i].Hosts, host)
				out[i].Ways, out[i].Other = addWays(out[i].Ways, ways), addWays(out[i].Other, other)
			}
		}
	}
	for i := range out {
		out[i].finish()
	}
	return out
}

func sortedHosts(of map[string][]Way) (out []string) {
	for host := range of {
		out = append(out, host)
	}
	slices.Sort(out)
	return out
}

func addWays(to, ways []Way) []Way {
	for _, w := range ways {
		if !slices.Contains(to, w) {
			to = append(to, w)
		}
	}
	return to
}

// finish says what is not known, and puts what is most open first.
func (c *Change) finish() {
	if slices.Contains(c.Hosts, "") {
		c.Hosts = nil
	}
	for _, ways := range [][]Way{c.Ways, c.Other} {
		slices.SortStableFunc(ways, func(a, b Way) int {
			return cmp.Or(int(b.Backend.Verdict)-int(a.Backend.Verdict), int(b.Entry.Exposure)-int(a.Entry.Exposure))
		})
		for _, w := range ways {
			if c.Certain {
				break
			}
			why := w.Backend.Unknown
			if w.Backend.Verdict == Allowed && w.Backend.Others == Unknown {
				why = w.Backend.Doubts
			}
			for _, text := range why {
				if !slices.Contains(c.Unknown, text) {
					c.Unknown = append(c.Unknown, text)
				}
			}
		}
	}
}

// extent is who gets to something, for certain or perhaps: the addresses that do, and those
// that do where they reach a node, the first of which are among the second.
type extent struct{ yes, maybe [2]*netipx.IPSet }

func extentOf(ways []Way) (out extent) {
	var sets [2][3]netipx.IPSetBuilder // by Verdict
	for _, w := range ways {
		e, b := w.Entry, w.Backend
		for level := bit(e.Exposure == Node); level < len(sets); level++ {
			if len(b.Admitted) == 0 || b.Others == b.Verdict {
				addPrefixes(&sets[level][b.Verdict], e.Sources)
				continue
			}
			addPrefixes(&sets[level][b.Others], e.Sources)
			addPrefixes(&sets[level][b.Verdict], b.Admitted)
		}
	}
	for level := range sets {
		out.yes[level] = built(&sets[level][Allowed])
		sets[level][Unknown].RemoveSet(out.yes[level])
		out.maybe[level] = built(&sets[level][Unknown])
	}
	return out
}

func addPrefixes(to *netipx.IPSetBuilder, of []netip.Prefix) {
	for _, p := range of {
		to.AddPrefix(p)
	}
}

// built is a set of blocks that are valid, as all are that were parsed.
func built(b *netipx.IPSetBuilder) *netipx.IPSet {
	set, err := b.IPSet()
	if err != nil {
		return &netipx.IPSet{}
	}
	return set
}

// beyond are those who get to something and do not get to it by another extent, each with
// whether that is certain.
func (x extent) beyond(y extent) (out []Change) {
	var told [2]*netipx.IPSet
	for level := range x.yes {
		for i, certain := range []bool{true, false} {
			var b netipx.IPSetBuilder
			if certain {
				b.AddSet(x.yes[level])
				b.RemoveSet(y.maybe[level])
			} else { // yes, and perhaps before; or perhaps, and not before
				b.AddSet(x.yes[level])
				b.Intersect(y.maybe[level])
				var perhaps netipx.IPSetBuilder
				perhaps.AddSet(x.maybe[level])
				perhaps.RemoveSet(y.maybe[level])
				b.AddSet(built(&perhaps))
			}
			b.RemoveSet(y.yes[level])
			if told[i] != nil { // by addresses alone
				b.RemoveSet(told[i])
			} else {
				told[i] = built(&b)
			}
			if set := built(&b); len(set.Ranges()) > 0 {
				out = append(out, Change{Certain: certain, Node: level == 1, From: set.Prefixes()})
			}
		}
	}
	return out
}
