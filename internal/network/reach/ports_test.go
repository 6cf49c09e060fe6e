package reach

import (
	"math/rand/v2"
	"testing"
)

// bits are all ports of all protocols, one by one.
type bits [protocols][lastPort + 1]bool

func dealPorts(r *rand.Rand) (Ports, *bits) {
	var p Ports
	b := new(bits)
	for range r.IntN(6) {
		protocol := Protocol(r.IntN(int(protocols)))
		from := uint16(1 + r.IntN(lastPort))
		if r.IntN(3) == 0 {
			from = uint16(1 + r.IntN(20))
		}
		to := uint16(min(int(from)+r.IntN(30), lastPort))
		if r.IntN(5) == 0 {
			to = lastPort
		}
		p = p.Union(PortRange(protocol, from, to))
		for i := int(from); i <= int(to); i++ {
			b[protocol][i] = true
		}
	}
	return p, b
}

func (b *bits) combine(c *bits, with func(x, y bool) bool) *bits {
	out := new(bits)
	for p := range b {
		for i := 1; i <= lastPort; i++ {
			out[p][i] = with(b[p][i], c[p][i])
		}
	}
	return out
}

func samePorts(t *testing.T, name string, got Ports, want *bits) {
	t.Helper()
	seen, last := new(bits), [protocols]int{}
	got.Each(func(p Protocol, from, to uint16) {
		if int(from) <= last[p] || to < from {
			t.Fatalf("%s: spans of %v overlap, meet or are out of order", name, got)
		}
		last[p] = int(to) + 1
		for i := int(from); i <= int(to); i++ {
			seen[p][i] = true
		}
	})
	if *seen != *want {
		t.Fatalf("%s: %v is wrong", name, got)
	}
}

// TestPorts compares sets of ports with what is made of them port by port.
func TestPorts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		p, a := dealPorts(r)
		q, b := dealPorts(r)
		before := p.String()
		samePorts(t, "itself", p, a)
		samePorts(t, "union", p.Union(q), a.combine(b, func(x, y bool) bool { return x || y }))
		samePorts(t, "intersection", p.Intersect(q), a.combine(b, func(x, y bool) bool { return x && y }))
		samePorts(t, "difference", p.Minus(q), a.combine(b, func(x, y bool) bool { return x && !y }))
		if p.String() != before {
			t.Fatalf("%s became %v", before, p)
		}
		if p.Equal(q) != (*a == *b) || p.Empty() != (*a == bits{}) || p.Minus(AllPorts).String() != "none" || !AllPorts.Minus(p).Union(p).All() {
			t.Fatalf("%v and %v", p, q)
		}
		port, protocol := uint16(1+r.IntN(lastPort)), Protocol(r.IntN(int(protocols)))
		if p.Contains(protocol, port) != a[protocol][port] {
			t.Fatalf("%v: %v %d", p, protocol, port)
		}
	}
}

func TestPortsString(t *testing.T) {
	for want, p := range map[string]Ports{
		"none": {}, "all": AllPorts, "TCP": PortRange(TCP, 1, lastPort), "TCP 80,443-445, UDP 53": OnePort(TCP, 80).Union(PortRange(TCP, 443, 445)).Union(OnePort(UDP, 53)),
		"SCTP 1-65534": PortRange(SCTP, 1, lastPort-1), "TCP 80-82": OnePort(TCP, 80).Union(OnePort(TCP, 82)).Union(OnePort(TCP, 81)),
	} {
		if p.String() != want {
			t.Errorf("%v, should be %s", p, want)
		}
	}
	if !PortRange(TCP, 2, 1).Empty() {
		t.Error("a range that ends before it starts has ports")
	}
}
