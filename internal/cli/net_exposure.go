package cli

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

// exposureJSON are the pods that do not exist yet and that could reach a workload, or be
// reached by it.
type exposureJSON struct {
	From []futureJSON `json:"from"`
	To   []futureJSON `json:"to"`
	// Bounded says that there are more.
	Bounded bool `json:"bounded,omitempty"`
	// Unknown says why it may be wrong.
	Unknown []string `json:"unknown,omitempty"`
}

// futureJSON are such pods, by what their labels have to be.
type futureJSON struct {
	Pods string `json:"pods"`
	// Namespaces are those that exist; NewNamespace says that it is one that does not.
	Namespaces   []string `json:"namespaces,omitempty"`
	NewNamespace bool     `json:"newNamespace,omitempty"`
	Ports        string   `json:"ports"`
	// Like counts the pods that are such ones already.
	Like int `json:"like"`
	// Example is one of them, as bulkhead net can asks about it.
	Example string `json:"example"`
}

func newExposure(of reach.Exposure) *exposureJSON {
	return &exposureJSON{newFutures(of.From), newFutures(of.To), of.Bounded, of.Doubts}
}

// newFutures puts those first that nobody is like.
func newFutures(of []reach.Future) []futureJSON {
	out := []futureJSON{}
	for _, f := range of {
		out = append(out, futureJSON{f.String(), f.Namespaces, len(f.Namespaces) == 0, f.Ports.String(), f.Like, f.Witness()})
	}
	slices.SortStableFunc(out, func(a, b futureJSON) int { return min(a.Like, 1) - min(b.Like, 1) })
	return out
}

// maxFutures is how many kinds of pods a table tells of one workload.
const maxFutures = 8

// write tells both ways, a line for each kind of pods; wide tells all, with an example.
func (x *exposureJSON) write(out *strings.Builder, indent string, wide bool) {
	tell := func(title string, of []futureJSON) {
		if len(of) == 0 {
			return
		}
		fmt.Fprintf(out, "%s%s\n", indent, title)
		for i, f := range of {
			if i == maxFutures && !wide {
				fmt.Fprintf(out, "%s  and %d more kinds of pods\n", indent, len(of)-maxFutures)
				break
			}
			example := ""
			if wide {
				example = ", such as " + f.Example
			}
			fmt.Fprintf(out, "%s  %s\n", indent, report.Printable(f.text()+example))
		}
	}
	tell("pods that could reach it, if they were made:", x.From)
	tell("pods that it could reach, if they were made:", x.To)
	if x.Bounded {
		fmt.Fprintf(out, "%sthere are more: labels are cut into more regions than are looked at\n", indent)
	}
	for _, why := range x.Unknown {
		fmt.Fprintf(out, "%snot known of pods that do not exist yet: %s\n", indent, report.Printable(why))
	}
}

func (f futureJSON) text() string {
	now := "none is there yet"
	if f.Like > 0 {
		now = plural(f.Like, "is there", "are there")
	}
	return fmt.Sprintf("%s, ports: %s (%s)", f.Pods, f.Ports, now)
}

// workloadExposureJSON is the exposure of one workload.
type workloadExposureJSON struct {
	Workload string `json:"workload"`
	*exposureJSON
}

// netExposure is the answer of net map --exposure, as machines read it.
type netExposure struct {
	APIVersion string                 `json:"apiVersion"`
	Kind       string                 `json:"kind"`
	Workloads  []workloadExposureJSON `json:"workloads"`
}

// maxExposed bounds the work: workloads, times the namespaces in which pods may be made.
const maxExposed = 200_000

// runNetExposure tells of each workload which pods that do not exist yet could reach it or
// be reached by it.
func runNetExposure(ctx context.Context, env *Env, q *netInquiry) error {
	if q.drawn() {
		return usageError{errors.New("--exposure has no picture: use -o table, wide, csv, md, json or yaml, or bulkhead net explain WORKLOAD -o svg")}
	}
	c, w, err := q.cluster(ctx, env)
	if err != nil {
		return err
	}
	e := reach.New(c)
	out := netExposure{APIVersion: finding.APIVersion, Kind: "NetworkExposure", Workloads: []workloadExposureJSON{}}
	var of []*reach.Workload
	for _, one := range e.Workloads() {
		if q.in == "" || one.Namespace == q.in {
			of = append(of, one)
		}
	}
	if len(of)*len(c.Namespaces) > maxExposed {
		return fmt.Errorf("%d workloads and %d namespaces are more than are looked at: name a namespace with -n", len(of), len(c.Namespaces))
	}
	for _, one := range of {
		out.Workloads = append(out.Workloads, workloadExposureJSON{one.String(), newExposure(e.Exposure(one))})
	}
	switch q.format {
	case "table", "wide":
		err = out.table(env.Stdout, q.format == "wide")
	case "csv":
		err = out.csv(env.Stdout)
	case "md":
		err = out.markdown(env.Stdout)
	default:
		err = answer(env.Stdout, q.format, out)
	}
	if why := out.unknown(unread(c, w)); err == nil && len(why) > 0 {
		return no(strings.Join(why, "; "))
	}
	return err
}

// unknown adds what is not known of workloads, each once.
func (x netExposure) unknown(why []string) []string {
	for _, w := range x.Workloads {
		for _, u := range w.Unknown {
			if !slices.Contains(why, u) && len(why) < maxFutures {
				why = append(why, u)
			}
		}
	}
	return why
}

// exposureRow is a line: a workload, one kind of pods, and whether these send or receive.
type exposureRow struct {
	workload, direction string
	futureJSON
}

func (x netExposure) rows() (out []exposureRow) {
	for _, w := range x.Workloads {
		for _, f := range w.From {
			out = append(out, exposureRow{w.Workload, "from", f})
		}
		for _, f := range w.To {
			out = append(out, exposureRow{w.Workload, "to", f})
		}
	}
	return out
}

// table tells who could reach each workload; wide also whom it could reach, all kinds of
// pods, and an example of each.
func (x netExposure) table(w io.Writer, wide bool) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	heading := "WORKLOAD\t\tPODS, IF THEY WERE MADE\tPORTS\tTHERE"
	if wide {
		heading += "\tEXAMPLE"
	}
	fmt.Fprintln(t, heading)
	lines := map[string]int{}
	for _, r := range x.rows() {
		if !wide && r.direction == "to" {
			continue
		}
		if lines[r.workload]++; !wide && lines[r.workload] > maxFutures {
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d", report.Printable(r.workload), r.direction, report.Printable(r.Pods), r.Ports, r.Like)
		if wide {
			fmt.Fprintf(t, "\t%s", report.Printable(r.Example))
		}
		fmt.Fprintln(t)
	}
	for _, one := range x.Workloads {
		if more := len(one.From) - maxFutures; more > 0 && !wide {
			fmt.Fprintf(t, "%s\tfrom\t%d more kinds of pods, which -o wide has\t\t\n", report.Printable(one.Workload), more)
		}
		if len(one.From) == 0 {
			fmt.Fprintf(t, "%s\tfrom\tnobody\tnone\t0\n", report.Printable(one.Workload))
		}
		if one.Bounded {
			fmt.Fprintf(t, "%s\t\tmore than are looked at\t\t\n", report.Printable(one.Workload))
		}
	}
	return t.Flush()
}

func (x netExposure) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"workload", "direction", "pods", "namespaces", "ports", "there", "example"}); err != nil {
		return err
	}
	for _, r := range x.rows() {
		if err := out.Write([]string{report.Cell(r.workload), r.direction, report.Cell(r.Pods), report.Cell(strings.Join(r.Namespaces, " ")), r.Ports, strconv.Itoa(r.Like), report.Cell(r.Example)}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func (x netExposure) markdown(w io.Writer) error {
	var out strings.Builder
	out.WriteString("| workload | | pods, if they were made | ports | there |\n|---|---|---|---|---|\n")
	for _, r := range x.rows() {
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %d |\n", markdown(r.workload), r.direction, markdown(r.Pods), r.Ports, r.Like)
	}
	_, err := io.WriteString(w, out.String())
	return err
}
