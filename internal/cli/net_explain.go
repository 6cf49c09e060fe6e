package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

func newNetExplain(env *Env) *cobra.Command {
	q := &netInquiry{}
	q.forms = netCanFormats
	c := &cobra.Command{
		Use:   "explain FROM TO[:PORT[/PROTOCOL]] | WORKLOAD",
		Short: "Say which policies and rules are asked, one by one",
		Long: `Explain tells of two ends which policies are asked, in order: those of the Admin tier, the
NetworkPolicies of the namespace, those of the Baseline tier. Of each rule it says whether
it is about the traffic, and if not what differs: a label, a namespace, a port.

Of one workload it tells which policies are about it and what their rules allow to whom,
which ways lead to it from outside, and which pods that do not exist yet could reach it or
be reached by it.

-o wide tells of all pairs and names all workloads that a rule is about, -o csv has a line
for each rule that is asked, and -o md is a comment for a pull request.

Ends are those of bulkhead net can. The exit code is 0, and 3 where something is not known.`,
		Example: `  bulkhead net explain shop/web shop/db:5432
  bulkhead net explain shop/db -f deploy/
  bulkhead net explain internet svc/shop/web:80 -o html --output-file why.html`,
		RunE: func(c *cobra.Command, args []string) error {
			switch len(args) {
			case 1:
				return q.toFile(env, func(env *Env) error { return runNetExplainOne(c.Context(), env, q, args[0]) })
			case 2:
				return q.toFile(env, func(env *Env) error { return runNetExplain(c.Context(), env, q, args[0], args[1]) })
			}
			return usageError{errors.New("name two ends, such as shop/web shop/db:5432, or one workload\nSee bulkhead net explain --help")}
		},
	}
	addNetFlags(c.Flags(), q)
	return c
}

// netExplanation is what is asked about pairs, as machines read it.
type netExplanation struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Pairs      []netTraceJSON `json:"pairs"`
	// PairsAsked counts all pairs of the ends.
	PairsAsked int `json:"pairsAsked"`
}

// netTraceJSON is one pair: the answer, and each step to it.
type netTraceJSON struct {
	Allowed bool `json:"allowed"`
	// Port is the one that is explained.
	Port string `json:"port"`
	netPairJSON
	EgressSteps  []netStepJSON `json:"egressSteps,omitempty"`
	IngressSteps []netStepJSON `json:"ingressSteps,omitempty"`
}

// netStepJSON is a policy that is asked.
type netStepJSON struct {
	By       string            `json:"by"`
	Policy   string            `json:"policy"`
	Location *finding.Location `json:"location,omitempty"`
	// About says whether it is about the pod, and Why why it is not.
	About bool   `json:"about"`
	Why   string `json:"why,omitempty"`
	// Decided says that it is not asked: policies before it have decided.
	Decided bool              `json:"decidedBefore,omitempty"`
	Rules   []netRuleStepJSON `json:"rules,omitempty"`
}

type netRuleStepJSON struct {
	// Rule counts from one, as people do.
	Rule     int               `json:"rule"`
	Action   string            `json:"action"`
	Location *finding.Location `json:"location,omitempty"`
	Peers    string            `json:"peers"`
	Ports    string            `json:"ports"`
	Matches  bool              `json:"matches"`
	Decides  bool              `json:"decides,omitempty"`
	Why      []string          `json:"why,omitempty"`
}

// maxTraced bounds how many pairs are told step by step, and maxTracedWide in the forms
// that tell of all.
const maxTraced, maxTracedWide = 5, 200

// most is how many are told: few, or many in the forms that cut nothing.
func (q *netInquiry) most(few, many int) int {
	if q.format == "wide" || q.format == "csv" {
		return many
	}
	return few
}

func runNetExplain(ctx context.Context, env *Env, q *netInquiry, from, to string) error {
	ends, _, err := q.ends(ctx, env, from, to)
	if err != nil {
		return err
	}
	yes, denied := ends.ask()
	switch {
	case q.drawn():
		err = q.draw(env.Stdout, newNetAnswer(ends, yes, denied, maxExplained).drawing())
	default:
		err = newNetExplanation(ends, yes, denied, q.most(maxTraced, maxTracedWide)).as(env.Stdout, q.format)
	}
	if why := ends.doubts(yes, denied); err == nil && len(why) > 0 {
		return no(strings.Join(why, "; "))
	}
	return err
}

// newNetExplanation takes a pair of each two workloads, those that may talk first.
func newNetExplanation(n *netEnds, yes, denied []pair, most int) netExplanation {
	out := netExplanation{APIVersion: finding.APIVersion, Kind: "NetworkExplanation", Pairs: []netTraceJSON{}, PairsAsked: len(yes) + len(denied)}
	seen := map[[2]string]bool{}
	for i, p := range slices.Concat(yes, denied) {
		key := [2]string{p.from.String(), p.to.side.String()}
		if seen[key] || len(seen) == most {
			continue
		}
		seen[key] = true
		protocol, port := askedPort(p)
		c := n.engine.Cluster
		one := netTraceJSON{Allowed: i < len(yes), Port: reach.OnePort(protocol, port).String(), netPairJSON: n.explain(p)}
		if len(seen) <= maxTurned {
			one.SmallestChanges = n.turns(p)
		}
		one.EgressSteps = newSteps(c.Trace(reach.Egress, p.from, p.to.side, protocol, port))
		one.IngressSteps = newSteps(c.Trace(reach.Ingress, p.from, p.to.side, protocol, port))
		out.Pairs = append(out.Pairs, one)
	}
	return out
}

func newSteps(of []reach.Step) (out []netStepJSON) {
	for _, s := range of {
		one := netStepJSON{By: s.Basis.String(), Policy: s.String(), Location: s.Locate(), About: s.About, Why: s.Why, Decided: s.Decided}
		for _, r := range s.Rules {
			peers, ports := r.Rule.Says()
			one.Rules = append(one.Rules, netRuleStepJSON{r.Rule.Index + 1, r.Rule.Action.String(), r.Locate(), peers, ports, r.Matches, r.Decides, r.Why})
		}
		out = append(out, one)
	}
	return out
}

// as writes it in a form.
func (x netExplanation) as(w io.Writer, format string) error {
	switch format {
	case "table", "wide":
		return x.write(w, format == "wide")
	case "csv":
		return x.csv(w)
	case "md":
		return x.markdown(w)
	}
	return answer(w, format, x)
}

// write tells it; wide writes changes out.
func (x netExplanation) write(w io.Writer, wide bool) error {
	var out strings.Builder
	for i, p := range x.Pairs {
		if i > 0 {
			out.WriteString("\n")
		}
		word := "no"
		if p.Allowed {
			word = "yes"
		}
		fmt.Fprintf(&out, "%s: %s -> %s by %s\n", word, report.Printable(p.From), report.Printable(p.To), p.Port)
		if p.Exempt != "" {
			fmt.Fprintf(&out, "  %s\n", p.Exempt)
		} else {
			writeSteps(&out, "leaves "+p.From, p.Egress, p.EgressSteps)
			writeSteps(&out, "enters "+p.To, p.Ingress, p.IngressSteps)
		}
		if len(p.Otherwise) > 0 {
			fmt.Fprintf(&out, "  answered otherwise by %s\n", strings.Join(p.Otherwise, ", "))
		}
		for _, why := range p.Unknown {
			fmt.Fprintf(&out, "  not known: %s\n", report.Printable(why))
		}
		writeTurns(&out, p.SmallestChanges, p.Allowed, x.PairsAsked > 1, wide)
	}
	if more := x.PairsAsked - len(x.Pairs); more > 0 {
		fmt.Fprintf(&out, "\nand %d more pairs, of the same workloads or others\n", more)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// writeSteps tells one direction: the verdict, and below it each policy with its rules.
func writeSteps(out *strings.Builder, what string, r *netReasonJSON, steps []netStepJSON) {
	verb := "no"
	if r.Allowed {
		verb = "yes"
	}
	fmt.Fprintf(out, "  %s: %s, %s\n", report.Printable(what), verb, report.Printable(r.Why))
	for _, s := range steps {
		about := "is about it"
		switch {
		case !s.About:
			about = "is not about it: " + s.Why
		case s.Decided:
			about = "is not asked: others have decided"
		}
		fmt.Fprintf(out, "    %s%s %s\n", report.Printable(s.Policy), report.Printable(checkedAt(s.Location)), report.Printable(about))
		for _, r := range s.Rules {
			fmt.Fprintf(out, "      %s\n", report.Printable(r.text()))
		}
		if s.About && len(s.Rules) == 0 {
			out.WriteString("      it has no rule for this direction, and allows nothing\n")
		}
	}
}

func (r netRuleStepJSON) text() string {
	place := ""
	if r.Location != nil {
		place = fmt.Sprintf(" [line %d]", r.Location.Line)
	}
	text := fmt.Sprintf("rule %d%s (%s: %s, %s): ", r.Rule, place, r.Action, r.Peers, r.Ports)
	switch {
	case r.Decides:
		return text + "decides"
	case r.Matches:
		return text + "is about it too"
	}
	return text + "is not about it: " + strings.Join(r.Why, "; ")
}
