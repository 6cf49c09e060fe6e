package cli

import (
	"encoding/csv"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

const (
	// maxTold bounds how many changes are told to people, and maxListedChanges to machines.
	maxTold, maxListedChanges = 200, 1000
	// maxDiffExplained bounds how many changes are explained.
	maxDiffExplained = 100
	// maxNames bounds how many workloads of a side are named to people, and maxEnds to
	// machines.
	maxNames, maxEnds = 6, 1000
	// maxPairLines bounds the lines of pairs.
	maxPairLines = 100_000
)

// setNames names sets of workloads in few words.
type setNames struct {
	all   int
	total map[string]int
	// every says that each is to be named.
	every bool
}

func newSetNames(workloads []*reach.Workload) *setNames {
	n := &setNames{all: len(workloads), total: map[string]int{}}
	for _, w := range workloads {
		n.total[w.Namespace]++
	}
	return n
}

// of names who is in a set: all workloads, all of a namespace, or some.
func (n *setNames) of(s reach.Set) string {
	if n.every {
		return everyName(s)
	}
	var parts []string
	if all := s.Len(); all == n.all && all > 1 {
		parts = append(parts, fmt.Sprintf("all %d workloads", all))
	} else {
		parts = append(parts, n.byNamespace(s)...)
	}
	if s.HasAddresses() {
		parts = append(parts, addressText(s.Addresses()))
	}
	return strings.Join(parts, ", ")
}

func (n *setNames) byNamespace(s reach.Set) (out []string) {
	members := map[string]int{}
	for w := range s.Workloads() {
		members[w.Namespace]++
	}
	said, named, more := map[string]bool{}, 0, 0
	for w := range s.Workloads() {
		count, text := 1, w.String()
		if total := n.total[w.Namespace]; total > 1 && members[w.Namespace] == total {
			if said[w.Namespace] {
				continue
			}
			said[w.Namespace] = true
			count, text = total, fmt.Sprintf("all %d of %s", total, w.Namespace)
		}
		if named++; named > maxNames {
			more += count
			continue
		}
		out = append(out, text)
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("%d more", more))
	}
	return out
}

// summary is the difference in a line or two.
func (d *netDiff) summary() string {
	gained, lost := d.count(reach.Gained, false), d.count(reach.Lost, false)
	fresh, gone := d.count(reach.Gained, true), d.count(reach.Lost, true)
	if gained+lost+fresh+gone+len(d.New)+len(d.Gone)+len(d.ways) == 0 {
		if len(d.unknown) > 0 {
			return "No difference was found; not everything could be read."
		}
		return "Everybody may talk to whom they could talk to before."
	}
	text := fmt.Sprintf("%s gained, %d lost.", plural(gained, "connection is", "connections are"), lost)
	if len(d.New) > 0 {
		text += fmt.Sprintf(" %s new, with %s.", plural(len(d.New), "workload is", "workloads are"), plural(fresh, "connection", "connections"))
	}
	if len(d.Gone) > 0 {
		text += fmt.Sprintf(" %s gone, with %s.", plural(len(d.Gone), "workload is", "workloads are"), plural(gone, "connection", "connections"))
	}
	return text + d.waysSummary()
}

// heading says what the changes of a lot have in common.
func (l netLot) heading() string {
	return map[bool]map[reach.Part]string{
		false: {reach.Gained: "Gained", reach.Lost: "Lost"},
		true:  {reach.Gained: "Of workloads that are new", reach.Lost: "Of workloads that are gone"},
	}[l.fresh][l.part]
}

var partSigns = map[reach.Part]string{reach.Gained: "+", reach.Lost: "-"}

func (d *netDiff) writeText(w io.Writer) error {
	var out strings.Builder
	out.WriteString(d.summary() + "\n")
	told := 0
	for _, l := range d.lots {
		if len(l.changes) > 0 && told < d.mostTold() {
			fmt.Fprintf(&out, "\n%s:\n", l.heading())
		}
		for i, c := range l.changes {
			if told == d.mostTold() {
				fmt.Fprintf(&out, "  and %d more\n", len(l.changes)-i)
				break
			}
			told++
			names := d.names[l.part]
			fmt.Fprintf(&out, "  %s %s -> %s: %s\n", partSigns[l.part], report.Printable(names.of(c.From)), report.Printable(names.of(c.To)), c.Ports)
			for _, line := range d.because(c).lines(c.Part) {
				fmt.Fprintf(&out, "      %s\n", report.Printable(line))
			}
		}
	}
	d.writeWays(&out)
	_, err := io.WriteString(w, out.String())
	return err
}

// netBecause is why one state allows what another does not, of one pair.
type netBecause struct {
	From string `json:"from"`
	To   string `json:"to"`
	Port string `json:"port"`
	// Allowed says by what the one state allows it, and Stopped what stops it in the
	// other; empty where an end is not there.
	Allowed []string `json:"allowedBy"`
	Stopped string   `json:"stoppedBy,omitempty"`
}

// because explains one pair of a change, as long as not too many have been.
func (d *netDiff) because(c reach.Change) *netBecause {
	if d.said++; d.said > d.mostExplained() {
		return nil
	}
	return explainChange(c)
}

func explainChange(c reach.Change) *netBecause {
	x, ok := c.Example()
	if !ok {
		return nil
	}
	allowed, other := x.After, x.Before
	if c.Part == reach.Lost {
		allowed, other = x.Before, x.After
	}
	out := &netBecause{From: x.From.String(), To: x.To.String(), Port: fmt.Sprintf("%s %d", x.Protocol, x.Port), Allowed: []string{}}
	out.Allowed = append(allowedBy("leaves", allowed.Egress), allowedBy("enters", allowed.Ingress)...)
	if other != nil && c.Part != reach.Kept {
		out.Stopped = stoppedBy("leaves", other.Egress)
		if out.Stopped == "" {
			out.Stopped = stoppedBy("enters", other.Ingress)
		}
	}
	return out
}

// maxRules bounds how many rules are named that allow the same.
const maxRules = 3

// allowedBy says by which rules traffic leaves, or enters.
func allowedBy(what string, r reach.Reason) (out []string) {
	for i, rule := range r.Rules {
		if i == maxRules {
			return append(out, fmt.Sprintf("%s by %d more rules", what, len(r.Rules)-maxRules))
		}
		out = append(out, what+" by "+ruleText(rule))
	}
	return out
}

// stoppedBy says what stops traffic; nothing where it is allowed.
func stoppedBy(what string, r reach.Reason) string {
	if r.Allowed {
		return ""
	}
	if len(r.Isolated) == 0 {
		return fmt.Sprintf("as it %s, by %s", what, ruleText(r.Rules[0]))
	}
	var names []string
	for i, p := range r.Isolated {
		if i == maxRules {
			names = append(names, fmt.Sprintf("%d more", len(r.Isolated)-maxRules))
			break
		}
		names = append(names, p.Namespace+"/"+p.Name)
	}
	return fmt.Sprintf("as it %s: no rule of %s allows it", what, strings.Join(names, ", "))
}

// lines tell it to people.
func (b *netBecause) lines(part reach.Part) (out []string) {
	if b == nil {
		return nil
	}
	out = append(out, inTense(b.Allowed, part)...)
	if b.Stopped != "" {
		out = append(out, map[reach.Part]string{reach.Gained: "was stopped ", reach.Lost: "is stopped "}[part]+b.Stopped)
	}
	return out
}

// writeMarkdown writes a comment for a pull request, as GitHub and GitLab render it.
func (d *netDiff) writeMarkdown(w io.Writer) error {
	var out strings.Builder
	out.WriteString("### Who may talk to whom\n\n" + d.summary() + "\n")
	told := 0
	for _, l := range d.lots {
		if len(l.changes) > 0 && told < maxTold {
			fmt.Fprintf(&out, "\n**%s**\n\n| | From | To | Ports | Why |\n|---|---|---|---|---|\n", l.heading())
		}
		for i, c := range l.changes {
			if told == maxTold {
				fmt.Fprintf(&out, "\nand %d more\n", len(l.changes)-i)
				break
			}
			told++
			var why []string
			for _, line := range d.because(c).lines(c.Part) {
				why = append(why, markdown(line))
			}
			names := d.names[l.part]
			fmt.Fprintf(&out, "| %s | %s | %s | %s | %s |\n", partSigns[l.part], markdown(names.of(c.From)), markdown(names.of(c.To)), c.Ports, strings.Join(why, "<br>"))
		}
	}
	d.markdownWays(&out)
	for _, u := range d.unknown {
		fmt.Fprintf(&out, "\nThere may be more: %s.\n", markdown(u))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// partNames are those of machines.
var partNames = map[reach.Part]string{reach.Gained: "gained", reach.Lost: "lost"}

// ends says of which workloads the changes of a lot are.
func (l netLot) ends() string {
	if !l.fresh {
		return "both"
	}
	return map[reach.Part]string{reach.Gained: "new", reach.Lost: "gone"}[l.part]
}

// eachEnd visits the names of a set: of workloads, and of blocks of addresses.
func eachEnd(s reach.Set, visit func(string) bool) bool {
	for w := range s.Workloads() {
		if !visit(w.String()) {
			return false
		}
	}
	for _, b := range s.Addresses() {
		if !visit(b.String()) {
			return false
		}
	}
	return true
}

// writeCSV writes a line for each pair.
func (d *netDiff) writeCSV(env *Env) error {
	out := csv.NewWriter(env.Stdout)
	lines, all := 0, 0
	err := out.Write([]string{"change", "workloads", "from", "to", "ports", "way"})
	for _, l := range d.lots {
		for _, c := range l.changes {
			all += c.Connections()
			eachEnd(c.From, func(from string) bool {
				return eachEnd(c.To, func(to string) bool {
					if _, e := netip.ParsePrefix(from); e == nil {
						if _, e := netip.ParsePrefix(to); e == nil {
							return true // addresses do not talk to one another here
						}
					}
					if lines++; lines > maxPairLines || err != nil {
						return false
					}
					err = out.Write([]string{partNames[l.part], l.ends(), report.Cell(from), report.Cell(to), c.Ports.String(), ""})
					return true
				})
			})
		}
	}
	d.csvWays(func(fields ...string) {
		all++
		if lines++; lines <= maxPairLines && err == nil {
			err = out.Write(fields)
		}
	})
	if out.Flush(); err == nil {
		err = out.Error()
	}
	if err == nil && lines > maxPairLines {
		fmt.Fprintf(env.Stderr, "bulkhead: %d connections and ways in are more than are listed: the first %d lines were written\n", all, maxPairLines)
	}
	return err
}

type netSetJSON struct {
	Workloads []string `json:"workloads,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	// More counts workloads that are not listed.
	More int `json:"more,omitempty"`
}

type netChangeJSON struct {
	Change string `json:"change"`
	// Of says whether the ends are in both states, or one of them is new or gone.
	Of          string      `json:"workloads"`
	From        netSetJSON  `json:"from"`
	To          netSetJSON  `json:"to"`
	Ports       string      `json:"ports"`
	Connections int         `json:"connections"`
	Example     *netBecause `json:"example,omitempty"`
}

type netDiffJSON struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Gained     int             `json:"gained"`
	Lost       int             `json:"lost"`
	New        []string        `json:"newWorkloads,omitempty"`
	Gone       []string        `json:"goneWorkloads,omitempty"`
	Changes    []netChangeJSON `json:"changes"`
	// More counts changes that are not listed.
	More int `json:"more,omitempty"`
	// WaysGained and WaysLost count ways in for certain, WaysUnknown those that may be.
	WaysGained  int             `json:"waysGained"`
	WaysLost    int             `json:"waysLost"`
	WaysUnknown int             `json:"waysUnknown"`
	Ways        []wayChangeJSON `json:"ways,omitempty"`
	// MoreWays counts those that are not listed.
	MoreWays int      `json:"moreWays,omitempty"`
	Unknown  []string `json:"unknown,omitempty"`
}

func newNetSetJSON(s reach.Set) (out netSetJSON) {
	for w := range s.Workloads() {
		if len(out.Workloads) == maxEnds {
			out.More = s.Len() - maxEnds
			break
		}
		out.Workloads = append(out.Workloads, w.String())
	}
	for _, b := range s.Addresses() {
		out.Addresses = append(out.Addresses, b.String())
	}
	return out
}

func (d *netDiff) json() netDiffJSON {
	out := netDiffJSON{APIVersion: finding.APIVersion, Kind: "NetworkDiff", Changes: []netChangeJSON{}, Unknown: d.unknown,
		Gained: d.count(reach.Gained, false) + d.count(reach.Gained, true), Lost: d.count(reach.Lost, false) + d.count(reach.Lost, true)}
	out.WaysGained, out.WaysLost = d.countWays(reach.Gained, true), d.countWays(reach.Lost, true)
	out.WaysUnknown = len(d.ways) - out.WaysGained - out.WaysLost
	for _, w := range d.New {
		out.New = append(out.New, w.String())
	}
	for _, w := range d.Gone {
		out.Gone = append(out.Gone, w.String())
	}
	for _, l := range d.lots {
		for i, c := range l.changes {
			if len(out.Changes) == maxListedChanges {
				out.More += len(l.changes) - i
				break
			}
			out.Changes = append(out.Changes, netChangeJSON{partNames[l.part], l.ends(), newNetSetJSON(c.From), newNetSetJSON(c.To), c.Ports.String(), c.Connections(), d.because(c)})
		}
	}
	out.Ways, out.MoreWays = d.waysJSON()
	return out
}
