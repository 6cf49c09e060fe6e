package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

// netMapFormats are the forms of the map: wide names every peer, and the last three are
// those of net graph.
var netMapFormats = []string{"table", "wide", "json", "yaml", "csv", "md", "dot", "svg", "html"}

func newNetMap(env *Env) *cobra.Command {
	q := &netInquiry{}
	q.forms = netMapFormats
	exposure := false
	c := &cobra.Command{
		Use:   "map",
		Short: "List all connections that are allowed",
		Long: `Map lists who may talk to whom: of each workload, by which ports it may be reached and
by whom, and which addresses outside the cluster are reached by whom. Replicas of a
workload that may reach one another stand in its own line.

The table says "everybody" and "all of NAMESPACE" where that is so; -o wide names every
workload and block of addresses, and -o csv has a line for every pair.

A second table lists the ways in: Services, Ingresses, Gateways and ports of nodes, the
workloads and ports that they lead to, from where they can be used, and whether policies
let that in. -o wide has Services that only the cluster reaches as well, and where each is
written, its hosts, and what is not known. What leads nowhere is listed last.

-o dot, svg and html draw the map, as net graph does.`,
		Example: `  bulkhead net map
  bulkhead net map -f deploy/ -o csv
  bulkhead net map -n shop -o wide
  bulkhead net map -f deploy/ -o html --output-file net.html`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			run := runNetMap
			if exposure {
				run = runNetExposure
			}
			return q.toFile(env, func(env *Env) error { return run(c.Context(), env, q) })
		},
	}
	addNetFlags(c.Flags(), q)
	c.Flags().BoolVar(&exposure, "exposure", false, "list instead which pods that do not exist yet could reach each workload: by their labels, in the namespaces that there are and in new ones")
	return c
}

func runNetMap(ctx context.Context, env *Env, q *netInquiry) error {
	if q.drawn() {
		return runNetGraph(ctx, env, &netGraphFlags{netInquiry: *q})
	}
	c, w, err := q.cluster(ctx, env)
	if err != nil {
		return err
	}
	e := reach.New(c)
	flows := e.Map()
	points := entry.New(w, e)
	why := append(unread(c, w), unreadEntries(points)...)
	if q.in != "" {
		flows = slices.DeleteFunc(flows, func(f reach.Flow) bool {
			return (f.To == nil || f.To.Namespace != q.in) && !slices.ContainsFunc(f.From.Workloads, func(w *reach.Workload) bool { return w.Namespace == q.in })
		})
		points = pointsIn(points, q.in)
	}
	m := netMap{flows, e.Workloads(), c, points}
	switch q.format {
	case "table", "wide":
		err = m.table(env.Stdout, q.format == "wide")
	case "csv":
		err = m.csv(env.Stdout)
	case "md":
		err = m.markdown(env.Stdout)
	default:
		err = answer(env.Stdout, q.format, m.json())
	}
	if err == nil && len(why) > 0 {
		return no(strings.Join(why, "; "))
	}
	return err
}

// netMap is what is allowed, and among whom.
type netMap struct {
	flows     []reach.Flow
	workloads []*reach.Workload
	cluster   *reach.Cluster
	points    *entry.Points
}

// to names who is reached.
func to(f reach.Flow) string {
	if f.To != nil {
		return f.To.String()
	}
	return addressText(f.Addresses)
}

// fewAddresses is how many blocks are named in a table.
const fewAddresses = 4

// addressText names blocks of addresses: internet for all that there are.
func addressText(blocks []netip.Prefix) string {
	all := func(text string) bool { return slices.Contains(blocks, netip.MustParsePrefix(text)) }
	switch {
	case len(blocks) == 0:
		return ""
	case all("0.0.0.0/0") && all("::/0"):
		return "any address"
	case len(blocks) > fewAddresses:
		return fmt.Sprintf("%s and %d more blocks", blockList(blocks[:fewAddresses-1]), len(blocks)-fewAddresses+1)
	}
	return blockList(blocks)
}

func blockList(blocks []netip.Prefix) string {
	var out []string
	for _, b := range blocks {
		out = append(out, b.String())
	}
	return strings.Join(out, ", ")
}

// from names who reaches, in few words: everybody, all of a namespace.
func (m netMap) from(f reach.Flow) string {
	if f.Ports.Empty() {
		return "nobody"
	}
	var parts []string
	if len(f.From.Workloads) == len(m.workloads) && len(m.workloads) > 1 {
		parts = append(parts, fmt.Sprintf("all %d workloads", len(m.workloads)))
	} else {
		parts = append(parts, m.byNamespace(f.From.Workloads)...)
	}
	if a := addressText(f.From.Addresses); a != "" {
		parts = append(parts, a)
	}
	return strings.Join(parts, ", ")
}

// byNamespace names all of a namespace together, if there are several.
func (m netMap) byNamespace(of []*reach.Workload) (out []string) {
	total, reached := map[string]int{}, map[string]int{}
	for _, w := range m.workloads {
		total[w.Namespace]++
	}
	for _, w := range of {
		reached[w.Namespace]++
	}
	said := map[string]bool{}
	for _, w := range of {
		switch whole := reached[w.Namespace] == total[w.Namespace] && total[w.Namespace] > 1; {
		case whole && said[w.Namespace]:
		case whole:
			said[w.Namespace] = true
			out = append(out, fmt.Sprintf("all %d of %s", total[w.Namespace], w.Namespace))
		default:
			out = append(out, w.String())
		}
	}
	return out
}

func (m netMap) table(w io.Writer, wide bool) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "TO\tPORTS\tFROM")
	for _, f := range m.flows {
		from := m.from(f)
		if wide {
			from = strings.Join(everyPeer(f), ", ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", report.Printable(to(f)), f.Ports, report.Printable(from))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return m.writeWays(w, wide)
}

// everyPeer names everybody who reaches.
func everyPeer(f reach.Flow) (out []string) {
	for _, w := range f.From.Workloads {
		out = append(out, w.String())
	}
	for _, b := range f.From.Addresses {
		out = append(out, b.String())
	}
	return out
}

func (m netMap) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"from", "to", "ports", "way", "verdict"}); err != nil {
		return err
	}
	for _, f := range m.flows {
		targets := []string{to(f)}
		if f.To == nil {
			targets = nil
			for _, b := range f.Addresses {
				targets = append(targets, b.String())
			}
		}
		for _, target := range targets {
			for _, from := range everyPeer(f) {
				if err := out.Write([]string{report.Cell(from), report.Cell(target), f.Ports.String(), "", entry.Allowed.String()}); err != nil {
					return err
				}
			}
		}
	}
	for _, r := range m.ways(false) {
		if err := out.Write([]string{report.Cell(r.source), report.Cell(r.to), r.portsText(), report.Cell(r.way), r.verdict.String()}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func (m netMap) markdown(w io.Writer) error {
	var out strings.Builder
	out.WriteString("| to | ports | from |\n|---|---|---|\n")
	for _, f := range m.flows {
		fmt.Fprintf(&out, "| %s | %s | %s |\n", markdown(to(f)), f.Ports, markdown(m.from(f)))
	}
	m.markdownWays(&out)
	_, err := io.WriteString(w, out.String())
	return err
}

type flowJSON struct {
	To        string   `json:"to,omitempty"`
	Addresses []string `json:"toAddresses,omitempty"`
	Ports     string   `json:"ports"`
	From      []string `json:"from,omitempty"`
	FromAddr  []string `json:"fromAddresses,omitempty"`
}

type netMapJSON struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Flows      []flowJSON `json:"flows"`
	// Entries are the ways in.
	Entries []entryJSON `json:"entries"`
	// Dangling lead nowhere.
	Dangling []danglingJSON `json:"dangling,omitempty"`
}

func (m netMap) json() netMapJSON {
	out := netMapJSON{APIVersion: finding.APIVersion, Kind: "NetworkMap", Flows: []flowJSON{}}
	texts := func(blocks []netip.Prefix) (out []string) {
		for _, b := range blocks {
			out = append(out, b.String())
		}
		return out
	}
	for _, f := range m.flows {
		one := flowJSON{Ports: f.Ports.String(), FromAddr: texts(f.From.Addresses), Addresses: texts(f.Addresses)}
		if f.To != nil {
			one.To = f.To.String()
		}
		for _, w := range f.From.Workloads {
			one.From = append(one.From, w.String())
		}
		out.Flows = append(out.Flows, one)
	}
	out.Entries, out.Dangling = m.entriesJSON()
	return out
}
