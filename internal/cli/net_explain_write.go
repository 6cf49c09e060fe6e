package cli

import (
	"io"
	"strconv"
	"strings"

	"bulkhead.dev/bulkhead/internal/report"
)

// tracedRow is a rule that is asked about a pair; a policy without a rule for the direction
// has a row of its own.
type tracedRow struct {
	direction string
	netStepJSON
	rule *netRuleStepJSON
}

func (p netTraceJSON) rows() (out []tracedRow) {
	for _, d := range []struct {
		name  string
		steps []netStepJSON
	}{{"egress", p.EgressSteps}, {"ingress", p.IngressSteps}} {
		for _, s := range d.steps {
			for i := range s.Rules {
				out = append(out, tracedRow{d.name, s, &s.Rules[i]})
			}
			if len(s.Rules) == 0 {
				out = append(out, tracedRow{d.name, s, nil})
			}
		}
	}
	return out
}

// result says in a word what became of a rule, and why.
func (r tracedRow) result() (word, why string) {
	switch {
	case !r.About:
		return "not about the end", r.Why
	case r.rule == nil:
		return "allows nothing", "it has no rule for this direction"
	case r.rule.Decides:
		return "decides", ""
	case r.rule.Matches && r.Decided:
		return "matches", "others have decided before"
	case r.rule.Matches:
		return "matches", ""
	}
	return "does not match", strings.Join(r.rule.Why, "; ")
}

// place is where the rule stands, or its policy.
func (r tracedRow) place() (file string, line int) {
	at := r.Location
	if r.rule != nil && r.rule.Location != nil {
		at = r.rule.Location
	}
	if at == nil {
		return "", 0
	}
	return at.File, at.Line
}

// cells are the number, action, peers and ports of the rule.
func (r tracedRow) cells() []string {
	if r.rule == nil {
		return []string{"", "", "", ""}
	}
	return []string{strconv.Itoa(r.rule.Rule), r.rule.Action, r.rule.Peers, r.rule.Ports}
}

// csv has a line for each rule that is asked.
func (x netExplanation) csv(w io.Writer) error {
	var rows [][]string
	for _, p := range x.Pairs {
		head := []string{p.From, p.To, p.Port, strconv.FormatBool(p.Allowed)}
		traced := p.rows()
		for _, r := range traced {
			word, why := r.result()
			row := append(append(append([]string{}, head...), r.direction, r.By, r.Policy), r.cells()...)
			rows = append(rows, append(append(row, word, why), placeCells(r.place())...))
		}
		if len(traced) == 0 { // no policy is asked, and that is an answer
			why := p.Exempt
			if why == "" {
				why = p.Egress.Why
			}
			rows = append(rows, append(append([]string{}, head...), "", "", "", "", "", "", "", "", why, "", ""))
		}
	}
	return writeCells(w, []string{"from", "to", "port", "allowed", "direction", "by", "policy", "rule", "action", "peers", "ports", "result", "why", "file", "line"}, rows)
}

// markdown writes a comment for a pull request: of each pair the verdict, all rules that are
// asked, and the smallest change.
func (x netExplanation) markdown(w io.Writer) error {
	c := &report.Comment{}
	told := 0
	for i, p := range x.Pairs {
		head := p.markdownHead(p.Allowed, p.Port, i == 0)
		if p.Exempt != "" {
			head += "\n" + markdown(p.Exempt) + "\n"
		} else {
			head += "\nIt leaves: " + markdownReason(p.Egress) + ". It enters: " + markdownReason(p.Ingress) + ".\n"
		}
		if !c.Add(head, commentReserve) {
			break
		}
		told++
		var rows [][]string
		for _, r := range p.rows() {
			word, why := r.result()
			if why != "" {
				word += ": " + why
			}
			cells := r.cells()
			rows = append(rows, []string{r.direction, markdown(r.Policy), cells[0], markdown(strings.Trim(cells[1]+" "+cells[2]+", "+cells[3], " ,")), markdown(word), markdownPlace(r.place())})
		}
		c.Table([]string{"Direction", "Policy", "Rule", "Says", "Result", "Where"}, rows, "rules")
		c.Add(p.markdownTurns(p.Allowed, x.PairsAsked > 1), commentReserve)
	}
	if more := x.PairsAsked - told; more > 0 {
		c.Add("\nand "+plural(more, "more pair", "more pairs")+", of the same workloads or others\n", 0)
	}
	_, err := c.WriteTo(w)
	return err
}

func markdownReason(r *netReasonJSON) string {
	if r.Allowed {
		return "yes, " + markdown(r.Why)
	}
	return "no, " + markdown(r.Why)
}

// ruleRow is a rule of a policy about a workload; empty but for the direction where no
// policy is about it.
type ruleRow struct {
	workload, direction string
	isolated            bool
	policy              netAboutJSON
	rule                netAboutRuleJSON
}

func (x netWorkloads) rows() (out []ruleRow) {
	for _, w := range x.Workloads {
		for _, d := range []struct {
			name string
			of   netDirectionJSON
		}{{"ingress", w.Ingress}, {"egress", w.Egress}} {
			if len(d.of.Policies) == 0 {
				out = append(out, ruleRow{workload: w.Workload, direction: d.name})
			}
			for _, p := range d.of.Policies {
				for _, r := range p.Rules {
					out = append(out, ruleRow{w.Workload, d.name, d.of.Isolated, p, r})
				}
				if len(p.Rules) == 0 {
					out = append(out, ruleRow{w.Workload, d.name, d.of.Isolated, p, netAboutRuleJSON{Location: p.Location}})
				}
			}
		}
	}
	return out
}

// says is the rule in words; a workload without policies, and a policy without rules, say
// something too.
func (r ruleRow) says() string {
	switch {
	case r.policy.Policy == "":
		return "everything: no policy is about it"
	case r.rule.Rule == 0:
		return "nothing: it has no rule for this direction"
	}
	return r.rule.Action + " " + r.rule.Peers + ", " + r.rule.Ports
}

func (r ruleRow) place() (file string, line int) {
	if at := r.rule.Location; at != nil {
		return at.File, at.Line
	}
	return "", 0
}

func (r ruleRow) number() string {
	if r.rule.Rule == 0 {
		return ""
	}
	return strconv.Itoa(r.rule.Rule)
}

// csv has a line for each rule about each workload, and for each way in.
func (x netWorkloads) csv(w io.Writer) error {
	var rows [][]string
	for _, r := range x.rows() {
		row := []string{r.workload, r.direction, strconv.FormatBool(r.isolated), r.policy.By, r.policy.Policy, r.number(), r.rule.Action, r.rule.Peers, r.rule.Ports, strings.Join(r.rule.Workloads, " ")}
		rows = append(rows, append(row, placeCells(r.place())...))
	}
	for _, one := range x.Workloads {
		for _, e := range one.Entries {
			file, line := "", 0
			if e.Location != nil {
				file, line = e.Location.File, e.Location.Line
			}
			rows = append(rows, append([]string{one.Workload, "way in", "", e.Type, e.Entry, "", e.Verdict, e.Exposure, e.Port, ""}, placeCells(file, line)...))
		}
	}
	return writeCells(w, []string{"workload", "direction", "isolated", "by", "policy", "rule", "action", "peers", "ports", "workloads", "file", "line"}, rows)
}

// markdown writes a comment for a pull request: of each workload the rules about it, the
// ways in, and the pods that would reach it if they were made.
func (x netWorkloads) markdown(w io.Writer) error {
	c := &report.Comment{}
	c.Add("### What decides about workloads\n", 0)
	var rules, entries, futures [][]string
	for _, r := range x.rows() {
		rules = append(rules, []string{markdown(r.workload), r.direction, markdown(r.policy.Policy), r.number(), markdown(r.says()), markdownPlace(r.place())})
	}
	for _, one := range x.Workloads {
		for _, e := range one.Entries {
			entries = append(entries, []string{markdown(one.Workload), markdown(e.Entry), markdown(e.Type), e.Exposure, e.Port, e.Verdict})
		}
		for _, f := range one.Exposure.From {
			futures = append(futures, []string{markdown(one.Workload), markdown(f.Pods), f.Ports, strconv.Itoa(f.Like)})
		}
	}
	c.Table([]string{"Workload", "Direction", "Policy", "Rule", "Says", "Where"}, rules, "rules")
	c.Table([]string{"Workload", "Way in", "Type", "From", "Port", "Verdict"}, entries, "ways in")
	c.Table([]string{"Workload", "Pods that could reach it, if they were made", "Ports", "There"}, futures, "kinds of pods")
	if x.more > 0 {
		c.Add("\nand "+plural(x.more, "more workload", "more workloads")+": name fewer\n", 0)
	}
	_, err := c.WriteTo(w)
	return err
}
