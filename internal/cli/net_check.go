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
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/intent"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

// netCheckFormats are the forms of the verdicts.
var netCheckFormats = []string{"table", "wide", "json", "yaml", "junit", "csv", "md", "dot", "svg", "html"}

func newNetCheck(env *Env) *cobra.Command {
	q := &netInquiry{}
	q.forms = netCheckFormats
	example := false
	c := &cobra.Command{
		Use:   "check ASSERTIONS.yaml...",
		Short: "Prove what a team says of the network, or show what breaks it",
		Long: `Check reads files of kind NetworkCheck: that only these pods reach those, that nothing of
these reaches those, that a namespace is isolated. It proves each assertion for all pods
and addresses, or shows traffic that breaks it, with the rules that let it through.

With future: true, of an assertion or under spec, it is proven for all pods that may ever
be made too, whatever their labels, in the namespaces that there are and in new ones.

-o wide has each part of an assertion that is broken, every rule about the traffic, and
the example that bulkhead net can asks about; -o csv a line for each assertion; -o md is a
comment for a pull request. -o dot, svg and html draw what breaks them.

The exit code is 0 where all hold, 1 where one does not, 2 where a file is wrong, and 3
where something is not known. An assertion about pods that are not there is not known.`,
		Example: `  # start from an example
  bulkhead net check --example > network.yaml

  # the cluster, and files before they are applied
  bulkhead net check network.yaml
  bulkhead net check network.yaml -f deploy/ -o junit --output-file network.xml

  # only frontend pods reach backend pods, on this port
  cat > one.yaml <<END
  apiVersion: bulkhead.dev/v1
  kind: NetworkCheck
  spec:
    assertions:
      - only: {from: app=frontend, to: app=backend, ports: [8080]}
  END
  bulkhead net check one.yaml -f deploy/`,
		RunE: func(c *cobra.Command, args []string) error {
			if example {
				_, err := io.WriteString(env.Stdout, intent.Example)
				return err
			}
			if len(args) == 0 {
				return usageError{errors.New("name files of kind NetworkCheck, or - for standard input; --example prints one\nSee bulkhead net check --help")}
			}
			return q.toFile(env, func(env *Env) error { return runNetCheck(c.Context(), env, q, args) })
		},
	}
	addNetFlags(c.Flags(), q)
	c.Flags().BoolVar(&example, "example", false, "print a file to start from")
	return c
}

func runNetCheck(ctx context.Context, env *Env, q *netInquiry, paths []string) error {
	if err := q.pageForBrowser(env); err != nil {
		return err
	}
	objects, err := readKind(ctx, env, paths, intent.Kind)
	if err != nil {
		return err
	}
	var assertions []*intent.Assertion
	for _, o := range objects {
		of, err := intent.Parse(o, q.in)
		if err != nil {
			return usageError{shown{err}}
		}
		assertions = append(assertions, of...)
	}
	c, w, err := q.cluster(ctx, env)
	if err != nil {
		return err
	}
	results := newNetCheckJSON(c, intent.Prove(reach.New(c), w, assertions, unseen(w)))
	switch q.format {
	case "table", "wide":
		err = results.write(env.Stdout, q.format == "wide")
	case "junit":
		err = results.junit(env.Stdout)
	case "csv":
		err = results.csv(env.Stdout)
	case "md":
		err = results.markdown(env.Stdout)
	case "dot", "svg", "html":
		err = q.draw(env.Stdout, results.drawing())
	default:
		err = answer(env.Stdout, q.format, results)
	}
	switch {
	case err != nil:
		return err
	case results.Refuted > 0:
		return no("")
	case results.Unknown > 0:
		return no(plural(results.Unknown, "assertion is", "assertions are") + " not known")
	}
	return nil
}

// unseen says which pods could not all be read: where some are missing, nothing is proven.
// What else could not be read is a doubt about the pods that it is about.
func unseen(w *model.World) (out []string) {
	carriers := []model.GroupKind{{Kind: "Pod"}}
	for _, t := range model.PodTemplates() {
		carriers = append(carriers, t.GroupKind)
	}
	for _, u := range w.Coverage() {
		if slices.Contains(carriers, u.GroupKind) {
			out = append(out, fmt.Sprintf("%s could not all be read: %s", u.GroupKind, u.Reason))
		}
	}
	return out
}

// netCheckJSON are the verdicts, as machines read them.
type netCheckJSON struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Holds      int                `json:"holds"`
	Refuted    int                `json:"refuted"`
	Unknown    int                `json:"unknown"`
	Assertions []netAssertionJSON `json:"assertions"`
}

type netAssertionJSON struct {
	Name            string               `json:"name"`
	Form            intent.Form          `json:"form"`
	Verdict         intent.Verdict       `json:"verdict"`
	Location        *finding.Location    `json:"location,omitempty"`
	Why             []string             `json:"why,omitempty"`
	Counterexamples []counterexampleJSON `json:"counterexamples,omitempty"`
	// More says that there are others.
	More bool `json:"more,omitempty"`
}

type counterexampleJSON struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Port is one of Ports: TCP 80.
	Port  string `json:"port"`
	Ports string `json:"ports"`
	// Arrives says whether the traffic arrives, and should not.
	Arrives bool           `json:"arrives"`
	Breaks  string         `json:"breaks"`
	Egress  *netReasonJSON `json:"egress"`
	Ingress *netReasonJSON `json:"ingress"`
	// why is what was explained.
	why reach.Explanation
}

func newNetCheckJSON(c *reach.Cluster, results []intent.Result) netCheckJSON {
	out := netCheckJSON{APIVersion: finding.APIVersion, Kind: "NetworkCheckResult", Assertions: []netAssertionJSON{}}
	for _, r := range results {
		one := netAssertionJSON{Name: r.Assertion.Name, Form: r.Assertion.Form, Verdict: r.Verdict, Location: r.Assertion.At, Why: r.Why, More: r.More}
		for _, x := range r.Counterexamples {
			of := c
			if x.Future != nil {
				of = x.Future.Cluster
			}
			why := of.Explain(x.From, x.To, x.Protocol, x.Port)
			from, to := x.Names()
			one.Counterexamples = append(one.Counterexamples, counterexampleJSON{from, to, reach.OnePort(x.Protocol, x.Port).String(), x.Ports.String(), !x.Stopped,
				x.Breaks, newNetReason(x.From, why.Egress), newNetReason(x.To, why.Ingress), why})
		}
		switch r.Verdict {
		case intent.Holds:
			out.Holds++
		case intent.Refuted:
			out.Refuted++
		default:
			out.Unknown++
		}
		out.Assertions = append(out.Assertions, one)
	}
	return out
}

// write writes a line for each assertion, and what breaks it below.
func (r netCheckJSON) write(w io.Writer, wide bool) error {
	var out strings.Builder
	for _, a := range r.Assertions {
		fmt.Fprintf(&out, "%-8s %s%s\n", a.Verdict+":", report.Printable(a.Name), report.Printable(checkedAt(a.Location)))
		out.WriteString(a.details("    ", wide))
	}
	fmt.Fprintf(&out, "\n%s: %d hold, %d refuted, %d unknown\n", plural(len(r.Assertions), "assertion", "assertions"), r.Holds, r.Refuted, r.Unknown)
	_, err := io.WriteString(w, out.String())
	return err
}

// details say why an assertion does not hold, each line behind an indent; wide what each
// counterexample breaks as well, and how to ask about it.
func (a netAssertionJSON) details(indent string, wide bool) string {
	var out strings.Builder
	for _, why := range a.Why {
		fmt.Fprintf(&out, "%s%s\n", indent, report.Printable(why))
	}
	for _, x := range a.Counterexamples {
		verb := "does not reach"
		if x.Arrives {
			verb = "reaches"
		}
		fmt.Fprintf(&out, "%s%s %s %s, ports: %s\n", indent, report.Printable(x.From), verb, report.Printable(x.To), x.Ports)
		if wide {
			fmt.Fprintf(&out, "%s  breaks: %s\n%s  ask: %s\n", indent, report.Printable(x.Breaks), indent, report.Printable(x.question()))
		}
		var why strings.Builder
		x.Egress.write(&why, "  leaves ", x.From)
		x.Ingress.write(&why, "  enters ", x.To)
		for line := range strings.Lines(why.String()) {
			out.WriteString(indent + line)
		}
	}
	if a.More {
		fmt.Fprintf(&out, "%sand more\n", indent)
	}
	return out.String()
}
