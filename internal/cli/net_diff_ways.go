package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

// everyAddress are the blocks of all.
var everyAddress = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// wayLot are changes of ways in that are told together: gained, lost, or not known.
type wayLot struct {
	heading, sign string
	rows          []*wayChange
}

// wayChange is a line about ways in: one entry, one workload, and what becomes of them.
type wayChange struct {
	way, to, from, hosts string
	ports                []string
	// perhaps is empty for what is certain.
	perhaps string
	why     []string
}

func (w *wayChange) portsText() string { return strings.Join(w.ports, ", ") }

// text is the line, but for its sign.
func (w *wayChange) text() string {
	text := fmt.Sprintf("%s -> %s: %s, by %s", w.from, w.to, w.portsText(), w.way)
	if w.perhaps != "" {
		text = w.perhaps + ": " + text
	}
	if w.hosts != "" {
		text += " as " + w.hosts
	}
	return text
}

// changeFrom names the addresses of a change; every one of them where that is asked for.
func changeFrom(c *entry.Change, every bool) string {
	text := addressText(c.From)
	if every {
		text = blockList(c.From)
	}
	switch {
	case slices.Equal(c.From, everyAddress):
		text = "internet"
	case slices.Equal(c.From, entry.PrivateAddresses()):
		text = "private addresses"
	}
	switch {
	case !c.Node:
		return text
	case text == "internet":
		return "who reaches a node"
	}
	return "who reaches a node from " + text
}

// perhapsText says what may have become of a way in; nothing where that is certain.
func perhapsText(c *entry.Change) string {
	switch {
	case c.Certain:
		return ""
	case c.Part == reach.Gained:
		return "may be gained"
	}
	return "may be lost"
}

// wayLots sort the changes of ways in. Ports of which the same is told are one line.
func (d *netDiff) wayLots() []*wayLot {
	gained, lost := &wayLot{heading: "Ways in that are gained", sign: "+"}, &wayLot{heading: "Ways in that are lost", sign: "-"}
	perhaps := &wayLot{heading: "Ways in of which it is not known", sign: "?"}
	known := map[string]*wayChange{}
	for i := range d.ways {
		c := &d.ways[i]
		lot := perhaps
		if c.Certain {
			lot = map[reach.Part]*wayLot{reach.Gained: gained, reach.Lost: lost}[c.Part]
		}
		first := c.Ways[0]
		row := &wayChange{way: wayText(first.Entry), to: first.Backend.Workload(), from: changeFrom(c, d.wide), hosts: strings.Join(c.Hosts, ", "), perhaps: perhapsText(c)}
		id := strings.Join([]string{lot.sign, row.text(), strings.Join(c.Unknown, ";")}, "\x00")
		if known[id] == nil {
			row.why = d.whyWay(c)
			known[id] = row
			lot.rows = append(lot.rows, row)
		}
		if port := portText(first.Entry, first.Backend); !slices.Contains(known[id].ports, port) {
			known[id].ports = append(known[id].ports, port)
		}
	}
	return []*wayLot{gained, lost, perhaps}
}

// whyWay says where a way in is written, what lets it in, and what of it the other state
// has.
func (d *netDiff) whyWay(c *entry.Change) (out []string) {
	has, other, was := d.After.Cluster, d.Before.Cluster, "was"
	if c.Part == reach.Lost {
		has, other, was = other, has, "is"
	}
	first := c.Ways[0]
	if at := first.Entry.Location(); at != nil {
		out = append(out, fmt.Sprintf("written in %s:%d", at.File, at.Line))
	}
	if d.said++; d.said <= d.mostExplained() {
		for _, h := range first.Backend.Hops {
			if hop := newHop(has, h); hop.Allowed {
				out = append(out, inTense(hop.Why, c.Part)...)
			}
		}
	}
	switch {
	case c.Inside:
		out = append(out, was+" for the cluster only")
	case len(c.Other) > 0:
		out = append(out, d.otherWay(c.Other[0], other, was)...)
	}
	for _, text := range c.Unknown {
		out = append(out, "not known: "+text)
	}
	return out
}

// otherWay says what becomes of a way in in the other state.
func (d *netDiff) otherWay(w entry.Way, cluster *reach.Cluster, was string) (out []string) {
	switch w.Backend.Verdict {
	case entry.Unknown:
		return nil // what is not known is told for both states
	case entry.Allowed:
		return []string{was + " open to " + admittedText(w.Entry, w.Backend)}
	}
	if d.said > d.mostExplained() {
		return nil
	}
	for _, h := range w.Backend.Hops {
		if hop := newHop(cluster, h); !hop.Allowed {
			for _, why := range hop.Why {
				out = append(out, was+" "+why)
			}
		}
	}
	return out
}

// inTense says of what is lost how it was let in.
func inTense(lines []string, part reach.Part) []string {
	out := slices.Clone(lines)
	for i, line := range out {
		if verb, rest, _ := strings.Cut(line, " "); part == reach.Lost {
			out[i] = map[string]string{"leaves": "left ", "enters": "entered "}[verb] + rest
		}
	}
	return out
}

// countWays is how many ways in, each of one port, are gained or lost for certain, or
// perhaps.
func (d *netDiff) countWays(part reach.Part, certain bool) (n int) {
	for i := range d.ways {
		if d.ways[i].Part == part && d.ways[i].Certain == certain {
			n++
		}
	}
	return n
}

// waysSummary is about the ways in; empty where they are as they were.
func (d *netDiff) waysSummary() string {
	if len(d.ways) == 0 {
		return ""
	}
	text := fmt.Sprintf(" %s gained, %d lost", plural(d.countWays(reach.Gained, true), "way in is", "ways in are"), d.countWays(reach.Lost, true))
	if n := d.countWays(reach.Gained, false) + d.countWays(reach.Lost, false); n > 0 {
		text += fmt.Sprintf(", and of %d it is not known", n)
	}
	return text + "."
}

// perhapsWays says that what --fail-on names may have happened to ways in.
func (d *netDiff) perhapsWays(failOn []string) string {
	for _, what := range failOn {
		if n := d.countWays(failParts[what], false); failParts[what] != reach.Kept && n > 0 {
			return fmt.Sprintf("of %s it is not known whether policies stop %s", plural(n, "way in", "ways in"), map[bool]string{true: "it", false: "them"}[n == 1])
		}
	}
	return ""
}

// writeWays writes them for people.
func (d *netDiff) writeWays(out *strings.Builder) {
	told := 0
	for _, lot := range d.wayLots() {
		if len(lot.rows) > 0 && told < d.mostTold() {
			fmt.Fprintf(out, "\n%s:\n", lot.heading)
		}
		for i, row := range lot.rows {
			if told == d.mostTold() {
				fmt.Fprintf(out, "  and %d more\n", len(lot.rows)-i)
				break
			}
			told++
			fmt.Fprintf(out, "  %s %s\n", lot.sign, report.Printable(row.text()))
			for _, line := range row.why {
				fmt.Fprintf(out, "      %s\n", report.Printable(line))
			}
		}
	}
}

// markdownWays writes them for a pull request.
func (d *netDiff) markdownWays(out *strings.Builder) {
	told := 0
	for _, lot := range d.wayLots() {
		if len(lot.rows) > 0 && told < maxTold {
			fmt.Fprintf(out, "\n**%s**\n\n| | Way in | From | To | Ports | Why |\n|---|---|---|---|---|---|\n", lot.heading)
		}
		for i, row := range lot.rows {
			if told == maxTold {
				fmt.Fprintf(out, "\nand %d more\n", len(lot.rows)-i)
				break
			}
			told++
			var why []string
			for _, line := range row.why {
				why = append(why, markdown(line))
			}
			sign, way := lot.sign, row.way
			if row.perhaps != "" {
				sign = row.perhaps
			}
			if row.hosts != "" {
				way += " as " + row.hosts
			}
			fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s |\n", sign, markdown(way), markdown(row.from), markdown(row.to), markdown(row.portsText()), strings.Join(why, "<br>"))
		}
	}
}

// csvWays are lines for each block of addresses.
func (d *netDiff) csvWays(write func(...string)) {
	for i := range d.ways {
		c := &d.ways[i]
		first := c.Ways[0]
		change := partNames[c.Part]
		if !c.Certain {
			change = "perhaps " + change
		}
		way := wayText(first.Entry)
		if c.Node {
			way += ", by a node"
		}
		if len(c.Hosts) > 0 {
			way += " as " + strings.Join(c.Hosts, " ")
		}
		for _, from := range c.From {
			write(change, "", from.String(), report.Cell(first.Backend.Workload()), portText(first.Entry, first.Backend), report.Cell(way))
		}
	}
}

// wayChangeJSON is a way in, by one port and to one workload, that is gained or lost.
type wayChangeJSON struct {
	Change string `json:"change"`
	// Certain is false where it may be so: Unknown says why.
	Certain   bool   `json:"certain"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Type is that of a Service, or the class of an Ingress or Gateway.
	Type       string `json:"type"`
	Controller string `json:"controller,omitempty"`
	Exposure   string `json:"exposure"`
	// From are the addresses; with byNode those of them that reach a node.
	From     []string `json:"from"`
	ByNode   bool     `json:"byNode,omitempty"`
	Hosts    []string `json:"hosts,omitempty"`
	Protocol string   `json:"protocol"`
	Port     uint16   `json:"port,omitempty"`
	To       string   `json:"to"`
	ToPort   uint16   `json:"toPort,omitempty"`
	// FromInside says that in the other state the cluster alone has it.
	FromInside bool     `json:"otherwiseForTheCluster,omitempty"`
	File       string   `json:"file,omitempty"`
	Line       int      `json:"line,omitempty"`
	Why        []string `json:"why,omitempty"`
	Unknown    []string `json:"unknown,omitempty"`
}

func (d *netDiff) waysJSON() (out []wayChangeJSON, more int) {
	for i := range d.ways {
		if i == maxListedChanges {
			return out, len(d.ways) - i
		}
		c := &d.ways[i]
		e, b := c.Ways[0].Entry, c.Ways[0].Backend
		one := wayChangeJSON{Change: partNames[c.Part], Certain: c.Certain, Kind: e.Kind, Namespace: e.Namespace, Name: e.Name, Type: e.Type, Exposure: e.Exposure.String(),
			From: prefixTexts(c.From), ByNode: c.Node, Hosts: c.Hosts, Protocol: e.Protocol.String(), Port: e.Port, To: b.Workload(), ToPort: b.Port, FromInside: c.Inside, Why: d.whyWay(c), Unknown: c.Unknown}
		if e.Controller != nil {
			one.Controller = e.Controller.Name
		}
		if at := e.Location(); at != nil {
			one.File, one.Line = at.File, at.Line
		}
		out = append(out, one)
	}
	return out, 0
}
