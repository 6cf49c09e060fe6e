package cli

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

// netBlastFormats are the forms of the radii.
var netBlastFormats = []string{"table", "wide", "json", "yaml", "csv", "md", "dot", "svg", "html"}

// worstBlasts is how many workloads are told, unless all are asked for.
const worstBlasts = 10

type netBlastFlags struct {
	netInquiry
	all bool
	// compare is an older state.
	compare []string
}

func newNetBlast(env *Env) *cobra.Command {
	f := &netBlastFlags{}
	f.forms = netBlastFormats
	c := &cobra.Command{
		Use:   "blast",
		Short: "Tell how far whoever takes over a workload gets",
		Long: `Blast counts, for each workload, the others that it may talk to by any port, and those
that are reached in any number of steps, by way of others: what an attacker who takes it
over may try next, and after that. Namespaces are those other than its own.

It is about network policies alone: a connection that is allowed is no break-in yet. The
ten that reach the most are listed, or all with --all. With --compare there is a state
before, and the counts of both. -o wide names what each of them reaches, and -o dot, svg
and html draw it, by namespace.`,
		Example: `  bulkhead net blast
  bulkhead net blast -f deploy/ --all -o csv
  bulkhead net blast -n shop

  # what do the policies bring?
  bulkhead net blast --compare deploy/ -f deploy/ -f policies/ -o md`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.toFile(env, func(env *Env) error { return runNetBlast(c.Context(), env, f) })
		},
	}
	fs := c.Flags()
	addNetFlags(fs, &f.netInquiry)
	fs.BoolVar(&f.all, "all", false, "list all workloads, and not only the ten that reach the most")
	fs.StringArrayVar(&f.compare, "compare", nil, "file, folder, chart or snapshot with the state before; repeatable")
	return c
}

func runNetBlast(ctx context.Context, env *Env, f *netBlastFlags) error {
	if err := f.pageForBrowser(env); err != nil {
		return err
	}
	var before, after *reach.Engine
	var unknown []string
	if len(f.compare) > 0 {
		compared, err := compareNetworks(ctx, env, &f.netInquiry, f.compare, f.files)
		if err != nil {
			return err
		}
		before, after, unknown = compared.Before, compared.After, compared.unknown
	} else {
		var w *model.World
		c, w, err := f.cluster(ctx, env)
		if err != nil {
			return err
		}
		after, unknown = reach.New(c), unread(c, w)
	}
	b := newNetBlastJSON(before, after, f.in, f.all)
	var err error
	switch f.format {
	case "table":
		err = b.table(env.Stdout, nil)
	case "wide":
		err = b.table(env.Stdout, b.wide(before, after))
	case "dot", "svg", "html":
		err = f.draw(env.Stdout, b.drawing(before, after))
	case "csv":
		err = b.csv(env.Stdout)
	case "md":
		err = b.markdown(env.Stdout)
	default:
		err = answer(env.Stdout, f.format, b)
	}
	if err == nil && len(unknown) > 0 {
		return no(strings.Join(unknown, "; "))
	}
	return err
}

// netBlastJSON are the radii, as machines read them.
type netBlastJSON struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Workloads and Namespaces are how many there are, Before how many there were.
	Workloads  int              `json:"workloads"`
	Namespaces int              `json:"namespaces"`
	Before     *netTotalsJSON   `json:"before,omitempty"`
	Radii      []netRadiusJSON  `json:"radii"`
	Total      netExtentSumJSON `json:"sum"`

	compared bool
	// listed is how many are told, of more.
	more int
}

type netTotalsJSON struct {
	Workloads  int              `json:"workloads"`
	Namespaces int              `json:"namespaces"`
	Total      netExtentSumJSON `json:"sum"`
}

// netExtentSumJSON are sums over all workloads: pairs of workloads of which one reaches the
// other.
type netExtentSumJSON struct {
	Direct     int `json:"direct"`
	Transitive int `json:"transitive"`
}

type netRadiusJSON struct {
	Workload string `json:"workload"`
	// Now is missing for a workload that is gone, Before for one that is new or where
	// nothing is compared.
	Now    *netExtentsJSON `json:"now,omitempty"`
	Before *netExtentsJSON `json:"before,omitempty"`
}

type netExtentsJSON struct {
	Direct     netExtentJSON `json:"direct"`
	Transitive netExtentJSON `json:"transitive"`
}

type netExtentJSON struct {
	Workloads  int `json:"workloads"`
	Namespaces int `json:"namespaces"`
}

func newExtents(r reach.Radius) *netExtentsJSON {
	return &netExtentsJSON{netExtentJSON{r.Direct.Workloads, r.Direct.Namespaces}, netExtentJSON{r.Transitive.Workloads, r.Transitive.Namespaces}}
}

// newNetBlastJSON lists radii, the widest of either state first; before may be nil.
func newNetBlastJSON(before, after *reach.Engine, namespace string, all bool) *netBlastJSON {
	out := &netBlastJSON{APIVersion: finding.APIVersion, Kind: "NetworkBlast", Radii: []netRadiusJSON{}}
	at := map[string]int{}
	add := func(e *reach.Engine, set func(*netRadiusJSON, reach.Radius)) (t netTotalsJSON) {
		b := e.Blast()
		t.Workloads, t.Namespaces = len(b.Workloads), namespacesOf(b.Workloads)
		for _, r := range b.Radii {
			t.Total.Direct += r.Direct.Workloads
			t.Total.Transitive += r.Transitive.Workloads
			if namespace != "" && r.Workload.Namespace != namespace {
				continue
			}
			name := r.Workload.String()
			i, known := at[name]
			if !known {
				i = len(out.Radii)
				at[name] = i
				out.Radii = append(out.Radii, netRadiusJSON{Workload: name})
			}
			set(&out.Radii[i], r)
		}
		return t
	}
	if before != nil {
		t := add(before, func(j *netRadiusJSON, r reach.Radius) { j.Before = newExtents(r) })
		out.Before, out.compared = &t, true
	}
	t := add(after, func(j *netRadiusJSON, r reach.Radius) { j.Now = newExtents(r) })
	out.Workloads, out.Namespaces, out.Total = t.Workloads, t.Namespaces, t.Total
	slices.SortStableFunc(out.Radii, func(a, b netRadiusJSON) int {
		x, y := a.widest(), b.widest()
		return cmp.Or(cmp.Compare(y.Transitive.Workloads, x.Transitive.Workloads), cmp.Compare(y.Direct.Workloads, x.Direct.Workloads),
			cmp.Compare(y.Direct.Namespaces, x.Direct.Namespaces), cmp.Compare(b.directly(), a.directly()), strings.Compare(a.Workload, b.Workload))
	})
	if !all && len(out.Radii) > worstBlasts {
		out.more = len(out.Radii) - worstBlasts
		out.Radii = out.Radii[:worstBlasts]
	}
	return out
}

func namespacesOf(of []*reach.Workload) int {
	seen := map[string]bool{}
	for _, w := range of {
		seen[w.Namespace] = true
	}
	return len(seen)
}

// widest is what a workload reaches in the state in which that is more.
func (r netRadiusJSON) widest() netExtentsJSON {
	switch {
	case r.Before == nil:
		return *r.Now
	case r.Now == nil || r.Before.Transitive.Workloads >= r.Now.Transitive.Workloads:
		return *r.Before
	}
	return *r.Now
}

// directly is what a workload reaches directly now.
func (r netRadiusJSON) directly() int {
	if r.Now == nil {
		return 0
	}
	return r.Now.Direct.Workloads
}

// netBlastHeader names the columns.
var netBlastHeader = []string{"workload", "direct", "namespaces", "in steps", "namespaces"}

// rows are the cells of the table, in one form for people.
func (b *netBlastJSON) rows() (out [][]string) {
	for _, r := range b.Radii {
		cell := func(of func(*netExtentsJSON) int) string {
			text := func(x *netExtentsJSON) string {
				if x == nil {
					return "-"
				}
				return strconv.Itoa(of(x))
			}
			if b.compared {
				return text(r.Before) + " -> " + text(r.Now)
			}
			return text(r.Now)
		}
		out = append(out, []string{r.Workload,
			cell(func(x *netExtentsJSON) int { return x.Direct.Workloads }), cell(func(x *netExtentsJSON) int { return x.Direct.Namespaces }),
			cell(func(x *netExtentsJSON) int { return x.Transitive.Workloads }), cell(func(x *netExtentsJSON) int { return x.Transitive.Namespaces })})
	}
	return out
}

// summary says of how many, and what all workloads reach together.
func (b *netBlastJSON) summary() string {
	line := fmt.Sprintf("%s in %s; one reaches another directly in %d pairs, in steps in %d",
		plural(b.Workloads, "workload", "workloads"), plural(b.Namespaces, "namespace", "namespaces"), b.Total.Direct, b.Total.Transitive)
	if b.compared {
		line += fmt.Sprintf("; before in %d, and in steps in %d", b.Before.Total.Direct, b.Before.Total.Transitive)
	}
	if b.more > 0 {
		line += fmt.Sprintf("; %d more are listed with --all", b.more)
	}
	return line
}

// table has a line for each workload, and more lines below.
func (b *netBlastJSON) table(w io.Writer, more []string) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, strings.ToUpper(strings.Join(netBlastHeader, "\t")))
	for _, row := range b.rows() {
		fmt.Fprintln(t, report.Printable(row[0])+"\t"+strings.Join(row[1:], "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	out := b.summary() + "\n"
	if len(more) > 0 {
		out += "\n"
	}
	for _, line := range more {
		out += report.Printable(line) + "\n"
	}
	_, err := io.WriteString(w, out)
	return err
}

func (b *netBlastJSON) markdown(w io.Writer) error {
	var out strings.Builder
	out.WriteString("| " + strings.Join(netBlastHeader, " | ") + " |\n|" + strings.Repeat("---|", len(netBlastHeader)) + "\n")
	for _, row := range b.rows() {
		out.WriteString("| " + markdown(row[0]) + " | " + strings.Join(row[1:], " | ") + " |\n")
	}
	out.WriteString("\n" + b.summary() + "\n")
	_, err := io.WriteString(w, out.String())
	return err
}

// csv has the counts of both states beside one another, empty where there is none.
func (b *netBlastJSON) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	header := []string{"workload", "direct", "directNamespaces", "transitive", "transitiveNamespaces"}
	if b.compared {
		header = append(header, "directBefore", "directNamespacesBefore", "transitiveBefore", "transitiveNamespacesBefore")
	}
	if err := out.Write(header); err != nil {
		return err
	}
	for _, r := range b.Radii {
		row := append([]string{report.Cell(r.Workload)}, r.Now.cells()...)
		if b.compared {
			row = append(row, r.Before.cells()...)
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func (x *netExtentsJSON) cells() []string {
	if x == nil {
		return []string{"", "", "", ""}
	}
	return []string{strconv.Itoa(x.Direct.Workloads), strconv.Itoa(x.Direct.Namespaces), strconv.Itoa(x.Transitive.Workloads), strconv.Itoa(x.Transitive.Namespaces)}
}
