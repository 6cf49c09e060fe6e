package network

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// senders says who may send to each piece of addresses, which are in order.
type senders struct {
	ends  []reach.End
	cells map[reach.End][]reach.Cell
}

var outside = model.NewFact(func(w *model.World) *senders {
	e := engines.Of(w)
	s := &senders{cells: map[reach.End][]reach.Cell{}}
	e.Connections(func(to reach.End, from []reach.Cell) {
		if _, ok := e.RangeOf(to); ok {
			s.ends, s.cells[to] = append(s.ends, to), from
		}
	})
	return s
})

// by are the classes that may send to a piece by some of the ports.
func (s *senders) by(to reach.End, some func(reach.Ports) bool) *roaring.Bitmap {
	var sets []*roaring.Bitmap
	for _, c := range s.cells[to] {
		if some(c.Ports) {
			sets = append(sets, c.Peers)
		}
	}
	return roaring.FastOr(sets...)
}

// exit is a place outside of the cluster's pods, and the classes of pods that reach it.
type exit struct {
	name    string
	classes *roaring.Bitmap
	// ends are pieces of addresses that stand for it, of which doubts are asked.
	ends []reach.End
}

// addressExits are single addresses, by one port.
func addressExits(w *model.World, addresses []netip.Addr, protocol reach.Protocol, port uint16) []exit {
	e, known := engines.Of(w), map[*reach.Cell]*roaring.Bitmap{}
	var out []exit
	for _, a := range addresses {
		end := e.AddressEnd(a)
		cells := outside.Of(w).cells[end]
		if len(cells) == 0 {
			continue
		}
		classes := known[&cells[0]] // many nodes are alike
		if classes == nil {
			classes = outside.Of(w).by(end, func(p reach.Ports) bool { return p.Contains(protocol, port) })
			known[&cells[0]] = classes
		}
		out = append(out, exit{a.String(), classes, []reach.End{end}})
	}
	return out
}

// leaving are the pods of a namespace that reach some exits.
type leaving struct {
	pods []*reach.Pod
	to   map[string]bool
}

// judgeExits judges every namespace by whether its pods reach some exits. One is enough that
// surely does; where none does, and of one it is not known, that is said.
func judgeExits(in *check.Input, exits []exit, detail func(workloads, to string) string) []check.Judgement {
	w := in.World
	doubts, doubted := exitDoubts(w, exits)
	by := map[string]*leaving{}
	note := newLeavers(w, by, doubted)
	for _, x := range exits {
		note(x.name, x.classes)
	}
	return eachNamespace(func(w *model.World, name string) check.Judgement {
		r := by[name]
		switch why := unreadable(w, name); {
		case len(podsIn.Of(w)[name]) == 0:
			return check.Inapplicable(nil)
		case why != "":
			return check.Unobserved(nil, "%s", why)
		case r != nil:
			return exposed(detail(fewOf(workloadNames(r.pods)), fewOf(slices.Sorted(maps.Keys(r.to)))))
		case doubts[name] != "":
			return check.Unobserved(nil, "%s", doubts[name])
		}
		return check.Passed(nil)
	})(in)
}

// newLeavers notes the pods of classes by their namespaces, but for those of which it is not
// known. Classes that were noted already add only where they lead.
func newLeavers(w *model.World, by map[string]*leaving, doubted *roaring.Bitmap) func(to string, classes *roaring.Bitmap) {
	c, e := clusters.Of(w), engines.Of(w)
	noted := roaring.New()
	return func(to string, classes *roaring.Bitmap) {
		classes.Iterate(func(n uint32) bool {
			for _, i := range e.Pods(e.EndOf(n)) {
				p := c.Pods[i]
				if p.HostNetwork {
					break // all of a class are
				}
				if doubted.Contains(uint32(i)) {
					continue
				}
				r := by[p.Namespace]
				if r == nil {
					r = &leaving{to: map[string]bool{}}
					by[p.Namespace] = r
				}
				if r.to[to] = true; noted.Contains(n) {
					break
				}
				r.pods = append(r.pods, p)
			}
			return true
		})
		noted.Or(classes)
	}
}

// fewDoubts is of how many addresses of an exit doubts are asked: they are much the same.
const fewDoubts = 4

// screened are the pods of which it may not be known which addresses they reach.
var screened = model.NewFact(func(w *model.World) (out []int) {
	c := clusters.Of(w)
	screen := reach.NewScreen(c)
	for i, p := range c.Pods {
		if !p.HostNetwork && screen.Of(reach.Egress, p).Addresses {
			out = append(out, i)
		}
	}
	return out
})

// exitDoubts says of each namespace why it may not be known what reaches some exits, and of
// which pods it is not.
func exitDoubts(w *model.World, exits []exit) (map[string]string, *roaring.Bitmap) {
	c, e := clusters.Of(w), engines.Of(w)
	var ends []reach.Side
	for _, x := range exits {
		for _, end := range x.ends {
			if r, ok := e.RangeOf(end); ok && len(ends) < fewDoubts {
				ends = append(ends, reach.Side{Address: r.From()})
			}
		}
	}
	why, doubted := map[string]string{}, roaring.New()
	for _, i := range screened.Of(w) {
		p := c.Pods[i]
		for _, to := range ends {
			if said := e.UnknownBetween(reach.Side{Pod: p}, to); len(said) > 0 {
				doubted.Add(uint32(i))
				if why[p.Namespace] == "" {
					why[p.Namespace] = said[0]
				}
				break
			}
		}
	}
	return why, doubted
}

// reaches is how the pods of a namespace that reach something are told.
func reaches(what string) func(workloads, to string) string {
	return func(workloads, to string) string {
		verb := "reaches"
		if strings.Contains(workloads, " and ") {
			verb = "reach"
		}
		return fmt.Sprintf("%s %s %s", workloads, verb, fmt.Sprintf(what, to))
	}
}
