package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"bulkhead.dev/bulkhead/internal/graph"
	"bulkhead.dev/bulkhead/internal/network/intent"
	"bulkhead.dev/bulkhead/internal/report"
)

// question asks about the traffic by itself.
func (x counterexampleJSON) question() string {
	protocol, port, _ := strings.Cut(x.Port, " ")
	to := x.To
	if strings.Contains(strings.TrimPrefix(to, "new:"), ":") {
		to = "[" + to + "]" // an address of IPv6
	}
	return fmt.Sprintf("bulkhead net can %s %s", quoted(x.From), quoted(to+":"+port+"/"+protocol))
}

// text is the traffic in a line.
func (x counterexampleJSON) text() string {
	if x.Arrives {
		return x.From + " reaches " + x.To
	}
	return x.From + " does not reach " + x.To
}

// rules are all that decide, of both directions.
func (x counterexampleJSON) rules() (out []string) {
	for _, d := range []struct {
		verb string
		of   *netReasonJSON
	}{{"leaves", x.Egress}, {"enters", x.Ingress}} {
		for _, rule := range d.of.Rules {
			out = append(out, d.verb+": "+rule)
		}
		switch {
		case !d.of.Allowed && len(d.of.Rules) == 0 && len(d.of.Isolated) > 0:
			out = append(out, d.verb+": no rule of "+strings.Join(d.of.Isolated, ", ")+" allows it")
		case len(d.of.Rules) == 0:
			out = append(out, d.verb+": "+d.of.Why)
		}
	}
	return out
}

// csv has a line for each assertion, with the first counterexample.
func (r netCheckJSON) csv(w io.Writer) error {
	var rows [][]string
	for _, a := range r.Assertions {
		file, line := "", 0
		if a.Location != nil {
			file, line = a.Location.File, a.Location.Line
		}
		row := append([]string{a.Name, string(a.Form), string(a.Verdict)}, placeCells(file, line)...)
		row = append(row, strings.Join(a.Why, "; "), strconv.Itoa(len(a.Counterexamples)), strconv.FormatBool(a.More))
		if len(a.Counterexamples) > 0 {
			x := a.Counterexamples[0]
			row = append(row, x.From, x.To, x.Ports, strconv.FormatBool(x.Arrives), strings.Join(x.rules(), "; "))
		} else {
			row = append(row, "", "", "", "", "")
		}
		rows = append(rows, row)
	}
	return writeCells(w, []string{"assertion", "form", "verdict", "file", "line", "why", "counterexamples", "more", "from", "to", "ports", "arrives", "rules"}, rows)
}

// markdown writes a comment for a pull request: what is refuted first, then what is not
// known, then what holds.
func (r netCheckJSON) markdown(w io.Writer) error {
	c := &report.Comment{}
	c.Add(fmt.Sprintf("### What is asserted of the network\n\n%s: %d hold, **%d refuted**, %d unknown.\n", plural(len(r.Assertions), "assertion", "assertions"), r.Holds, r.Refuted, r.Unknown), 0)
	var rows [][]string
	for _, verdict := range []intent.Verdict{intent.Refuted, intent.Unknown, intent.Holds} {
		for _, a := range r.Assertions {
			if a.Verdict == verdict {
				rows = append(rows, a.markdownRow())
			}
		}
	}
	c.Table([]string{"Verdict", "Assertion", "Counterexample", "By", "Where"}, rows, "assertions")
	_, err := c.WriteTo(w)
	return err
}

func (a netAssertionJSON) markdownRow() []string {
	verdict, example, by, place := string(a.Verdict), "", "", ""
	if a.Verdict != intent.Holds {
		verdict = "**" + verdict + "**"
		var why []string
		for _, text := range a.Why {
			why = append(why, markdown(text))
		}
		example = strings.Join(why, "<br>")
	}
	if len(a.Counterexamples) > 0 {
		x := a.Counterexamples[0]
		example = markdown(x.text()) + ", ports: " + x.Ports
		if more := len(a.Counterexamples) - 1; more > 0 || a.More {
			example += "<br>and others"
		}
		var rules []string
		for _, rule := range x.rules() {
			rules = append(rules, markdown(rule))
		}
		by = strings.Join(rules, "<br>")
	}
	if a.Location != nil {
		place = markdownPlace(a.Location.File, a.Location.Line)
	}
	return []string{verdict, markdown(a.Name), example, by, place}
}

// maxEdgePorts is how many characters there is room for along an edge.
const maxEdgePorts = 12

// drawing draws what breaks assertions: each leads to who sends, and from there by policies
// and rules to who receives, or to what stops it.
func (r netCheckJSON) drawing() *graph.Drawing {
	d := newWhyDrawing(fmt.Sprintf("%s: %d hold, %d refuted, %d unknown", plural(len(r.Assertions), "assertion", "assertions"), r.Holds, r.Refuted, r.Unknown))
	d.Description = "From left to right: the assertion that is broken, who sends the traffic that breaks it, the policies and rules that are asked about it, and who receives."
	d.Kinds = append(d.Kinds,
		graph.Kind{Name: "assertion", Title: "Assertion that is refuted", Tone: graph.Red, Shape: graph.Pill, Column: -2},
		graph.Kind{Name: "unknown", Title: "Assertion that is not known", Tone: graph.Amber, Shape: graph.Pill, Column: -2})
	d.EdgeKinds = append(d.EdgeKinds, graph.EdgeKind{Name: "breaks", Title: "is broken by", Tone: graph.Red, Line: graph.Dashed})
	for _, a := range r.Assertions {
		if a.Verdict != intent.Holds {
			d.assertion(a)
		}
	}
	if r.Refuted+r.Unknown == 0 {
		d.Notes = append(d.Notes, "All assertions hold.")
	}
	return &d.Drawing
}

func (d *whyDrawing) assertion(a netAssertionJSON) {
	kind := "assertion"
	if a.Verdict == intent.Unknown {
		kind = "unknown"
	}
	details := []graph.Detail{{Name: "Form", Value: string(a.Form)}}
	details = appendPlace(details, a.Location)
	for _, why := range a.Why {
		details = append(details, graph.Detail{Name: "Why", Value: why})
	}
	id := d.node(kind, a.Name, details...)
	for _, x := range a.Counterexamples {
		from, to := d.node("from", x.From), d.node("to", x.To)
		ports := x.Ports
		if len(ports) > maxEdgePorts {
			ports = x.Port + ", …"
		}
		d.edge(id, from, "breaks", ports)
		d.pair(from, to, x.why)
	}
	if a.More {
		d.Notes = append(d.Notes, fmt.Sprintf("%s is broken by more traffic than is drawn.", a.Name))
	}
	if len(a.Counterexamples) == 0 && len(a.Why) > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%s: %s.", a.Name, a.Why[0]))
	}
}
