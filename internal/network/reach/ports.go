package reach

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Protocol is one that network policies know.
type Protocol uint8

// The protocols of a NetworkPolicy.
const (
	TCP Protocol = iota
	UDP
	SCTP

	protocols
)

func (p Protocol) String() string { return [...]string{"TCP", "UDP", "SCTP"}[p] }

// ParseProtocol reads a protocol as the API has it; empty is TCP.
func ParseProtocol(name corev1.Protocol) (Protocol, error) {
	switch name {
	case corev1.ProtocolTCP, "":
		return TCP, nil
	case corev1.ProtocolUDP:
		return UDP, nil
	case corev1.ProtocolSCTP:
		return SCTP, nil
	}
	return 0, fmt.Errorf("unknown protocol %q: it is TCP, UDP or SCTP", string(name))
}

const lastPort = 65535

// span are the ports from one to another, both among them.
type span struct{ from, to uint16 }

// Ports is a set of ports of each protocol. The zero value is empty. It is immutable.
type Ports struct{ of [protocols][]span }

// AllPorts are all ports of all protocols.
var AllPorts = Ports{[protocols][]span{{{1, lastPort}}, {{1, lastPort}}, {{1, lastPort}}}}

// PortRange are ports of one protocol.
func PortRange(p Protocol, from, to uint16) (out Ports) {
	if from <= to {
		out.of[p] = []span{{from, to}}
	}
	return out
}

// OnePort is a port of one protocol.
func OnePort(p Protocol, port uint16) Ports { return PortRange(p, port, port) }

// Empty reports whether there is no port.
func (p Ports) Empty() bool { return len(p.of[TCP])+len(p.of[UDP])+len(p.of[SCTP]) == 0 }

// All reports whether every port is among them.
func (p Ports) All() bool { return p.Equal(AllPorts) }

// Equal reports whether two sets are the same.
func (p Ports) Equal(q Ports) bool {
	for i := range p.of {
		if !slices.Equal(p.of[i], q.of[i]) {
			return false
		}
	}
	return true
}

// compare orders sets by their spans, those of TCP first.
func (p Ports) compare(q Ports) int {
	for i := range p.of {
		if c := slices.CompareFunc(p.of[i], q.of[i], func(a, b span) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) }); c != 0 {
			return c
		}
	}
	return 0
}

// Contains reports whether a port is in the set.
func (p Ports) Contains(protocol Protocol, port uint16) bool {
	return slices.ContainsFunc(p.of[protocol], func(s span) bool { return s.from <= port && port <= s.to })
}

// Union returns the ports of both sets.
func (p Ports) Union(q Ports) (out Ports) {
	for i := range p.of {
		switch {
		case len(p.of[i]) == 0:
			out.of[i] = q.of[i]
		case len(q.of[i]) == 0:
			out.of[i] = p.of[i]
		default:
			out.of[i] = joinSpans(append(slices.Clone(p.of[i]), q.of[i]...))
		}
	}
	return out
}

// joinSpans sorts spans, and joins those that meet.
func joinSpans(all []span) []span {
	slices.SortFunc(all, func(a, b span) int { return int(a.from) - int(b.from) })
	out := all[:1]
	for _, s := range all[1:] {
		last := &out[len(out)-1]
		if int(s.from) <= int(last.to)+1 {
			last.to = max(last.to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// Intersect returns the ports that are in both sets.
func (p Ports) Intersect(q Ports) (out Ports) {
	for i := range p.of {
		for _, a := range p.of[i] {
			for _, b := range q.of[i] {
				if from, to := max(a.from, b.from), min(a.to, b.to); from <= to {
					out.of[i] = append(out.of[i], span{from, to})
				}
			}
		}
	}
	return out
}

// Minus returns the ports that are not in the other set.
func (p Ports) Minus(q Ports) (out Ports) {
	for i := range p.of {
		for _, a := range p.of[i] {
			from := int(a.from)
			for _, b := range q.of[i] {
				if int(b.to) < from || b.from > a.to {
					continue
				}
				if from < int(b.from) {
					out.of[i] = append(out.of[i], span{uint16(from), b.from - 1})
				}
				from = int(b.to) + 1
			}
			if from <= int(a.to) {
				out.of[i] = append(out.of[i], span{uint16(from), a.to})
			}
		}
	}
	return out
}

// Each visits the spans of each protocol, in order.
func (p Ports) Each(visit func(protocol Protocol, from, to uint16)) {
	for i := range p.of {
		for _, s := range p.of[i] {
			visit(Protocol(i), s.from, s.to)
		}
	}
}

// String is for people: "TCP 80,443-445, UDP 53", "all", "TCP" or "none".
func (p Ports) String() string {
	if p.Empty() {
		return "none"
	}
	if p.All() {
		return "all"
	}
	var out []string
	for i := range p.of {
		if len(p.of[i]) == 0 {
			continue
		}
		name := Protocol(i).String()
		if slices.Equal(p.of[i], AllPorts.of[i]) {
			out = append(out, name)
			continue
		}
		var spans []string
		for _, s := range p.of[i] {
			if s.from == s.to {
				spans = append(spans, fmt.Sprint(s.from))
			} else {
				spans = append(spans, fmt.Sprintf("%d-%d", s.from, s.to))
			}
		}
		out = append(out, name+" "+strings.Join(spans, ","))
	}
	return strings.Join(out, ", ")
}
