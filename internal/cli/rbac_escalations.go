package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/rbac"
	"bulkhead.dev/bulkhead/internal/report"
)

type escalationsFlags struct {
	inquiry
	groups []string
}

func newEscalations(env *Env) *cobra.Command {
	q := &escalationsFlags{inquiry: inquiry{forms: withPictures()}}
	c := &cobra.Command{
		Use:   "escalations [SUBJECT]",
		Short: "List who becomes cluster admin, and whom somebody can become",
		Long: `Escalations follows permissions that make somebody of somebody else: a token that may
be minted, a pod that may run as another account, a role that may be bound. It lists
every subject that becomes cluster admin, with a shortest chain: each step with the
requests that it makes, and the binding and rule that allow them. Steps may be taken by
one identity each, or by several together. Where the search for those is cut off, a short
chain is shown, and what none is shorter than.

Those that are powerful in every cluster, system:masters and controllers of the control
plane, stand apart at the end. With a SUBJECT, everybody is listed whom it can become.

The exit code is 1 where a subject that is not meant to becomes cluster admin, and 3
where there may be more, because something could not be read.`,
		Example: `  # of the cluster, and of files
  bulkhead rbac escalations
  bulkhead rbac escalations -f deploy/

  # whom one account can become, and a person who is in a group
  bulkhead rbac escalations sa/shop/web
  bulkhead rbac escalations jane --in-group dev -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{errors.New("name one subject, or none for all: jane, Group/dev or sa/shop/web\nSee bulkhead rbac escalations --help")}
			}
			return q.toFile(env, func(env *Env) error { return runEscalations(c.Context(), env, q, args) })
		},
	}
	fs := c.Flags()
	fs.StringArrayVar(&q.groups, "in-group", nil, "a group that SUBJECT is in; repeatable")
	addInquiryFlags(fs, &q.inquiry)
	fs.StringVar(&q.kubernetesVersion, "kubernetes-version", "", fmt.Sprintf("Kubernetes release to judge for (default that of the cluster; of files 1.%d)", kubernetesMinor))
	return c
}

func runEscalations(ctx context.Context, env *Env, q *escalationsFlags, args []string) error {
	var subject rbac.Subject
	if len(args) > 0 {
		var err error
		if subject, err = rbac.ParseSubject(args[0]); err != nil {
			return usageError{err}
		}
	} else if len(q.groups) > 0 {
		return usageError{errors.New("--in-group says what groups a SUBJECT is in: name one")}
	}
	a, _, err := q.access(ctx, env, rbac.EscalationKinds()...)
	if err != nil {
		return err
	}
	e, err := a.Escalations(q.minor)
	if err != nil {
		return err
	}
	found, unknown := e.ToAdmin(), e.Unknown()
	if len(args) > 0 {
		found, unknown = e.From(subject, q.groups)
	}
	switch {
	case q.drawn():
		title := "Who becomes cluster admin"
		if len(args) > 0 {
			title = fmt.Sprintf("Whom %s can become", subject)
		}
		err = q.draw(env.Stdout, drawEscalations(a, title, found, unknown, len(args) > 0))
	case q.format != "table":
		err = answer(env.Stdout, q.format, newEscalationsJSON(a, found, unknown, len(args) > 0))
	case len(args) > 0:
		err = writeBecomes(env.Stdout, subject, found)
	default:
		err = writeEscalations(env.Stdout, a, found)
	}
	switch {
	case err != nil:
		return err
	case len(unknown) > 0:
		return no(strings.Join(unknown, "; "))
	case slices.ContainsFunc(found, func(x rbac.Escalation) bool { return x.ToAdmin() && !x.Meant }):
		return no("")
	}
	return nil
}

// writeEscalations writes the chains of those who are not meant to be powerful, and of
// the others a line.
func writeEscalations(w io.Writer, a *rbac.Access, all []rbac.Escalation) error {
	meant := slices.IndexFunc(all, func(e rbac.Escalation) bool { return e.Meant })
	if meant < 0 {
		meant = len(all)
	}
	var out strings.Builder
	if meant == 0 {
		out.WriteString("Nobody becomes cluster admin who is not meant to.\n")
	} else {
		fmt.Fprintf(&out, "%s cluster admin and %s not meant to:\n", plural(meant, "subject becomes", "subjects become"), map[bool]string{true: "is", false: "are"}[meant == 1])
	}
	for _, e := range all[:meant] {
		fmt.Fprintf(&out, "\n%s: %s\n", report.Printable(withMembers(a, e.From)), stepCount(e))
		writeChain(&out, e)
	}
	if _, err := io.WriteString(w, out.String()); err != nil || meant == len(all) {
		return err
	}
	fmt.Fprintf(w, "\nMeant to be powerful:\n")
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, e := range all[meant:] {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", report.Printable(e.From.String()), stepCount(e), report.Printable(shortChain(e)))
	}
	return t.Flush()
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func stepCount(e rbac.Escalation) string {
	if len(e.Steps) == 0 {
		return "is cluster admin"
	}
	if !e.Shortest() {
		return fmt.Sprintf("%d steps; there may be a shorter way, of %d or more", len(e.Steps), e.AtLeast)
	}
	return plural(len(e.Steps), "step", "steps")
}

// writeChain writes a step a line, and under it what it needs.
func writeChain(w io.Writer, e rbac.Escalation) {
	for i, s := range e.Steps {
		waits := ""
		if s.Waits {
			waits = ", once somebody else writes something"
		}
		as := ""
		if i > 0 && s.By.String() != e.Steps[i-1].To.String() {
			as = ", by " + s.By.String()
		}
		if s.For != nil {
			as += ", for " + s.For.String()
		}
		fmt.Fprintf(w, "  %d. %s: %s%s%s\n", i+1, s.Name, report.Printable(s.To.String()), report.Printable(as), waits)
		for _, n := range s.Needs {
			fmt.Fprintf(w, "       %s, by %s\n", report.Printable(n.String()), report.Printable(neededChain(n)))
		}
	}
	if e.Admin != nil {
		fmt.Fprintf(w, "  %s is cluster admin by %s\n", report.Printable(e.Last().String()), report.Printable(chain(*e.Admin)))
	}
}

// neededChain says by what a step's request is allowed.
func neededChain(n rbac.Needed) string {
	switch {
	case n.Grant == nil && n.Given == nil:
		return fmt.Sprintf("what step %d gives", n.Before)
	case n.Grant == nil:
		return fmt.Sprintf("%s %s, which step %d gives", n.Given.Kind, n.Given.Name, n.Before)
	case n.As != nil:
		return fmt.Sprintf("%s, as %s", chain(*n.Grant), n.As)
	}
	return chain(*n.Grant)
}

// shortChain names the steps.
func shortChain(e rbac.Escalation) string {
	var parts []string
	for _, s := range e.Steps {
		parts = append(parts, s.Name+": "+s.To.String())
	}
	if len(parts) == 0 {
		return chain(*e.Admin)
	}
	return strings.Join(parts, "; ")
}

// writeBecomes writes how a subject becomes cluster admin, and a line for everybody
// whom it can become: the last step of the chain, and who takes it.
func writeBecomes(w io.Writer, s rbac.Subject, all []rbac.Escalation) error {
	var out strings.Builder
	name := report.Printable(s.String())
	i := slices.IndexFunc(all, rbac.Escalation.ToAdmin)
	switch {
	case i < 0 && len(all) == 0:
		fmt.Fprintf(&out, "%s becomes nobody else.\n", name)
	case i < 0:
		fmt.Fprintf(&out, "%s does not become cluster admin.\n", name)
	case len(all[i].Steps) == 0:
		fmt.Fprintf(&out, "%s is cluster admin by %s.\n", name, report.Printable(chain(*all[i].Admin)))
		_, err := io.WriteString(w, out.String())
		return err
	default:
		fmt.Fprintf(&out, "%s becomes cluster admin: %s\n", name, stepCount(all[i]))
		writeChain(&out, all[i])
	}
	if _, err := io.WriteString(w, out.String()); err != nil || len(all) == 0 {
		return err
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "STEPS\tBECOMES\tAS\tBY")
	for _, e := range all {
		last := e.Steps[len(e.Steps)-1]
		as := last.By.String()
		var needs []string
		for _, n := range last.Needs {
			needs = append(needs, fmt.Sprintf("%s (%s)", n.Request, neededChain(n)))
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s: %s\n", len(e.Steps), report.Printable(last.To.String()), report.Printable(as), last.Name, report.Printable(strings.Join(needs, " and ")))
	}
	return t.Flush()
}

type neededJSON struct {
	Request string `json:"request"`
	// By is nil where an earlier step of the chain has given it.
	By    *grantJSON `json:"by,omitempty"`
	Given string     `json:"given,omitempty"`
	// As is who makes the request, where that is not who takes the step.
	As string `json:"as,omitempty"`
	// Impersonator says that it is who impersonates that needs it.
	Impersonator bool `json:"impersonator,omitempty"`
}

type stepJSON struct {
	*rbac.Primitive
	By    string       `json:"by"`
	Needs []neededJSON `json:"needs"`
	To    string       `json:"to"`
	// For is who gains by the step, where that is another than who takes it.
	For string `json:"for,omitempty"`
}

type escalationJSON struct {
	Subject      subjectJSON `json:"subject"`
	To           string      `json:"to"`
	ClusterAdmin bool        `json:"clusterAdmin"`
	Meant        bool        `json:"meant"`
	Steps        []stepJSON  `json:"steps"`
	// Shortest says that no chain has fewer steps; where that is not known, none has fewer
	// than AtLeast.
	Shortest bool       `json:"shortest"`
	AtLeast  int        `json:"atLeast,omitempty"`
	AdminBy  *grantJSON `json:"adminBy,omitempty"`
}

type escalationsJSON struct {
	APIVersion  string           `json:"apiVersion"`
	Kind        string           `json:"kind"`
	Escalations []escalationJSON `json:"escalations"`
	Unknown     []string         `json:"unknown,omitempty"`
}

func newEscalationsJSON(a *rbac.Access, all []rbac.Escalation, unknown []string, ofOne bool) escalationsJSON {
	out := escalationsJSON{APIVersion: finding.APIVersion, Kind: "Escalations", Escalations: []escalationJSON{}, Unknown: unknown}
	for _, e := range all {
		to := "cluster admin"
		if ofOne {
			to = e.Last().String()
		}
		one := escalationJSON{Subject: newSubjectJSON(a, e.From), To: to, ClusterAdmin: e.ToAdmin(), Meant: e.Meant, Steps: []stepJSON{}, Shortest: e.Shortest()}
		if !one.Shortest {
			one.AtLeast = e.AtLeast
		}
		for _, s := range e.Steps {
			step := stepJSON{Primitive: s.Primitive, By: s.By.String(), To: s.To.String()}
			if s.For != nil {
				step.For = s.For.String()
			}
			for _, n := range s.Needs {
				needed := neededJSON{Request: n.String(), Impersonator: n.Impersonator}
				if n.As != nil {
					needed.As = n.As.String()
				}
				if n.Grant != nil {
					by := newGrantJSON(*n.Grant)
					needed.By = &by
				} else {
					needed.Given = neededChain(n)
				}
				step.Needs = append(step.Needs, needed)
			}
			one.Steps = append(one.Steps, step)
		}
		if e.Admin != nil {
			by := newGrantJSON(*e.Admin)
			one.AdminBy = &by
		}
		out.Escalations = append(out.Escalations, one)
	}
	return out
}
