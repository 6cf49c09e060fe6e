package cli

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"

	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

// unreadEntries says what of the ways in could not be read, or is not understood.
func unreadEntries(p *entry.Points) (out []string) {
	for _, u := range p.Unread {
		if !slices.Contains(reach.Kinds(), u.GroupKind) { // those are said already
			out = append(out, fmt.Sprintf("%s could not all be read: %s", u.GroupKind, u.Reason))
		}
	}
	for _, o := range p.NotUnderstood {
		out = append(out, fmt.Sprintf("%s opens a way in, and is not understood", o.Ref()))
	}
	return out
}

// pointsIn are the ways that begin or end in a namespace.
func pointsIn(p *entry.Points, namespace string) *entry.Points {
	out := *p
	out.Entries = slices.DeleteFunc(slices.Clone(p.Entries), func(e entry.Entry) bool {
		return e.Namespace != namespace && !slices.ContainsFunc(e.Backends, func(b entry.Backend) bool { return len(b.Pods) > 0 && b.Pods[0].Namespace == namespace })
	})
	out.Dangling = slices.DeleteFunc(slices.Clone(p.Dangling), func(d entry.Dangling) bool { return d.Object.Namespace != namespace })
	return &out
}

// wayIn is a line about ways in: one entry of a type, one workload.
type wayIn struct {
	// from is for people, source for machines.
	way, to, from, source string
	ports                 []string
	verdict               entry.Verdict
	// at is where it is written; notes say what is not known.
	at, hosts string
	notes     []string
}

func (w *wayIn) portsText() string { return strings.Join(w.ports, ", ") }

// ways are the lines about ways in; those that only the cluster has are left out unless
// they are asked for.
func (m netMap) ways(inside bool) (out []*wayIn) {
	known := map[string]*wayIn{}
	for i := range m.points.Entries {
		e := &m.points.Entries[i]
		if e.Exposure == entry.Cluster && !inside && e.Controller == nil {
			continue
		}
		for k := range e.Backends {
			b := &e.Backends[k]
			row := &wayIn{way: wayText(e), to: b.Workload(), from: fromText(e, b), source: admittedText(e, b), verdict: b.Verdict, hosts: strings.Join(e.Hosts, ", ")}
			key := strings.Join([]string{row.way, row.to, row.from, row.hosts, strings.Join(b.Unknown, ";")}, "\x00")
			if known[key] == nil {
				if at := e.Location(); at != nil {
					row.at = fmt.Sprintf("%s:%d", at.File, at.Line)
				}
				row.notes = slices.Concat(b.Unknown, b.Doubts, e.Doubts, letInText(b))
				known[key] = row
				out = append(out, row)
			}
			if port := portText(e, b); !slices.Contains(known[key].ports, port) {
				known[key].ports = append(known[key].ports, port)
			}
		}
	}
	return out
}

func letInText(b *entry.Backend) []string {
	if b.Verdict != entry.Allowed || len(b.LetIn) == 0 {
		return nil
	}
	return []string{"policies let in " + strings.Join(b.LetIn, ", ")}
}

// wayText names an entry, and what kind it is of.
func wayText(e *entry.Entry) string {
	kind := e.Type
	if e.Controller != nil {
		kind = "by " + e.Controller.Name
		if len(e.Controller.Pods) > 0 {
			kind += " " + e.Controller.Pods[0].String()
		}
	}
	return fmt.Sprintf("%s (%s)", e.String(), kind)
}

// fromText says from where an entry can be used, and whether policies let that in.
func fromText(e *entry.Entry, b *entry.Backend) string {
	text := sourceText(e)
	switch {
	case b.Verdict == entry.Denied:
		return "nobody: policies stop " + text
	case b.Verdict == entry.Unknown:
		return "not known: " + text
	}
	return admittedText(e, b)
}

// admittedText names those who may use an entry, or of them those that policies let in.
func admittedText(e *entry.Entry, b *entry.Backend) string {
	if b.Verdict == entry.Allowed && len(b.Admitted) > 0 {
		return addressText(b.Admitted)
	}
	return sourceText(e)
}

func sourceText(e *entry.Entry) string {
	switch e.Exposure {
	case entry.Internet:
		return "internet"
	case entry.Node:
		return "who reaches a node"
	case entry.Addresses:
		if slices.Equal(e.Sources, entry.PrivateAddresses()) {
			return "private addresses"
		}
		return addressText(e.Sources)
	}
	return "the cluster"
}

// portText says by which port traffic comes, and by which it arrives where that is another.
func portText(e *entry.Entry, b *entry.Backend) string {
	port, inside := fmt.Sprint(e.Port), fmt.Sprint(b.Port)
	switch {
	case e.Port == 0 && b.Port == 0:
		return "any"
	case e.Port == 0: // it is given when the Service is created
		port = "?"
	case b.Port == 0:
		inside = "any"
	}
	if port == inside {
		return fmt.Sprintf("%s %s", e.Protocol, port)
	}
	return fmt.Sprintf("%s %s -> %s", e.Protocol, port, inside)
}

// writeWays writes the tables of ways in, and of what leads nowhere.
func (m netMap) writeWays(w io.Writer, wide bool) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if rows := m.ways(wide); len(rows) > 0 {
		heading := "\nWAY IN\tLEADS TO\tPORTS\tFROM"
		if wide {
			heading += "\tHOSTS\tWRITTEN\tNOTES"
		}
		fmt.Fprintln(t, heading)
		for _, r := range rows {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s", report.Printable(r.way), report.Printable(r.to), report.Printable(r.portsText()), report.Printable(r.from))
			if wide {
				fmt.Fprintf(t, "\t%s\t%s\t%s", report.Printable(orDash(r.hosts)), report.Printable(orDash(r.at)), report.Printable(orDash(strings.Join(r.notes, "; "))))
			}
			fmt.Fprintln(t)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(m.points.Dangling) > 0 {
		fmt.Fprintln(t, "\nLEADS NOWHERE\tWHY")
		for i := range m.points.Dangling {
			d := newDangling(&m.points.Dangling[i])
			fmt.Fprintf(t, "%s\t%s\n", report.Printable(d.place()), report.Printable(d.text()))
		}
	}
	return t.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (m netMap) markdownWays(out *strings.Builder) {
	if rows := m.ways(false); len(rows) > 0 {
		out.WriteString("\n| way in | leads to | ports | from |\n|---|---|---|---|\n")
		for _, r := range rows {
			fmt.Fprintf(out, "| %s | %s | %s | %s |\n", markdown(r.way), markdown(r.to), markdown(r.portsText()), markdown(r.from))
		}
	}
	if len(m.points.Dangling) == 0 {
		return
	}
	out.WriteString("\n| leads nowhere | why |\n|---|---|\n")
	for i := range m.points.Dangling {
		d := newDangling(&m.points.Dangling[i])
		fmt.Fprintf(out, "| %s | %s |\n", markdown(d.place()), markdown(d.text()))
	}
}

type entryJSON struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Type is that of a Service, or the class of an Ingress or Gateway.
	Type string `json:"type"`
	// Controller serves an Ingress or a Gateway, by these workloads.
	Controller string        `json:"controller,omitempty"`
	ServedBy   []string      `json:"servedBy,omitempty"`
	Exposure   string        `json:"exposure"`
	Sources    []string      `json:"sources,omitempty"`
	Hosts      []string      `json:"hosts,omitempty"`
	Protocol   string        `json:"protocol"`
	Port       uint16        `json:"port,omitempty"`
	File       string        `json:"file,omitempty"`
	Line       int           `json:"line,omitempty"`
	Doubts     []string      `json:"doubts,omitempty"`
	Backends   []backendJSON `json:"backends"`
}

type backendJSON struct {
	To       string    `json:"to"`
	Pods     int       `json:"pods,omitempty"`
	Service  string    `json:"service,omitempty"`
	Protocol string    `json:"protocol"`
	Port     uint16    `json:"port,omitempty"`
	Verdict  string    `json:"verdict"`
	Admitted []string  `json:"admitted,omitempty"`
	LetIn    []string  `json:"policiesLetIn,omitempty"`
	Unknown  []string  `json:"unknown,omitempty"`
	Doubts   []string  `json:"doubts,omitempty"`
	Way      []hopJSON `json:"way,omitempty"`
}

// hopJSON is a step of an example of the way, and what decides about it.
type hopJSON struct {
	From    string   `json:"from"`
	To      string   `json:"to"`
	Port    string   `json:"port"`
	Allowed bool     `json:"allowed"`
	Why     []string `json:"why,omitempty"`
}

type danglingJSON struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Reason    string `json:"reason"`
	// MayExist says that what is missing may be outside of the input.
	MayExist bool `json:"mayExist,omitempty"`
}

func newDangling(d *entry.Dangling) danglingJSON {
	out := danglingJSON{Kind: d.Object.Kind, Namespace: d.Object.Namespace, Name: d.Object.Name, Reason: d.Reason, MayExist: !d.Sure}
	if at := d.Location(); at != nil {
		out.File, out.Line = at.File, at.Line
	}
	return out
}

func (d *danglingJSON) place() string {
	text := fmt.Sprintf("%s %s/%s", d.Kind, d.Namespace, d.Name)
	if d.File != "" {
		text += fmt.Sprintf(" (%s:%d)", d.File, d.Line)
	}
	return text
}

func (d *danglingJSON) text() string {
	if d.MayExist {
		return d.Reason + " in the input"
	}
	return d.Reason
}

func (m netMap) entriesJSON() (out []entryJSON, dangling []danglingJSON) {
	out = []entryJSON{}
	explained := map[entry.Hop]hopJSON{}
	for i := range m.points.Entries {
		e := &m.points.Entries[i]
		one := entryJSON{Kind: e.Kind, Namespace: e.Namespace, Name: e.Name, Type: e.Type, Exposure: e.Exposure.String(), Sources: prefixTexts(e.Sources), Hosts: e.Hosts,
			Protocol: e.Protocol.String(), Port: e.Port, Doubts: e.Doubts, Backends: []backendJSON{}}
		if at := e.Location(); at != nil {
			one.File, one.Line = at.File, at.Line
		}
		if e.Controller != nil {
			one.Controller = e.Controller.Name
			for _, p := range e.Controller.Pods {
				if name := p.String(); !slices.Contains(one.ServedBy, name) {
					one.ServedBy = append(one.ServedBy, name)
				}
			}
		}
		for _, b := range e.Backends {
			to := backendJSON{To: b.Workload(), Pods: len(b.Pods), Protocol: b.Protocol.String(), Port: b.Port, Verdict: b.Verdict.String(), Admitted: prefixTexts(b.Admitted), LetIn: b.LetIn, Unknown: b.Unknown, Doubts: b.Doubts}
			if b.Service != nil {
				to.Service = b.Service.String()
			}
			for _, h := range b.Hops {
				if _, ok := explained[h]; !ok {
					explained[h] = newHop(m.cluster, h)
				}
				to.Way = append(to.Way, explained[h])
			}
			one.Backends = append(one.Backends, to)
		}
		out = append(out, one)
	}
	for i := range m.points.Dangling {
		dangling = append(dangling, newDangling(&m.points.Dangling[i]))
	}
	return out, dangling
}

func prefixTexts(of []netip.Prefix) (out []string) {
	for _, p := range of {
		out = append(out, p.String())
	}
	return out
}

// newHop explains a step of a way.
func newHop(c *reach.Cluster, h entry.Hop) hopJSON {
	x := c.Explain(h.From, h.To, h.Protocol, h.Port)
	out := hopJSON{From: h.From.String(), To: h.To.String(), Port: fmt.Sprintf("%s %d", h.Protocol, h.Port), Allowed: x.Allowed}
	if x.Allowed {
		out.Why = append(allowedBy("leaves", x.Egress), allowedBy("enters", x.Ingress)...)
		return out
	}
	for _, stop := range []string{stoppedBy("leaves", x.Egress), stoppedBy("enters", x.Ingress)} {
		if stop != "" {
			out.Why = append(out.Why, "stopped "+stop)
		}
	}
	return out
}
