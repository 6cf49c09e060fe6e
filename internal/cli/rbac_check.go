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
	"bulkhead.dev/bulkhead/internal/persona"
	"bulkhead.dev/bulkhead/internal/rbac"
	"bulkhead.dev/bulkhead/internal/report"
)

func newRBACCheck(env *Env) *cobra.Command {
	q := &inquiry{forms: withPictures()}
	c := &cobra.Command{
		Use:   "check CHECK.yaml...",
		Short: "Hold a cluster against what is written of who may do what",
		Long: `Check compares who may do what with files of kind AccessCheck: those that bulkhead rbac
generate writes, or a few lines of your own. It tells what somebody may do that is
forbidden or listed nowhere, with the binding and the rule that allow it, whom they may
become, who is bound to a role and should not be, and what is missing.

The exit code is 0 where all is as the files say, 1 where something differs, and 3 where
that is not known, because something could not be read.`,
		Example: `  # the cluster, and files before they are applied
  bulkhead rbac check access.yaml
  bulkhead rbac check access.yaml -f deploy/ -o json

  # a check of one's own
  cat > pods.yaml <<END
  apiVersion: bulkhead.dev/v1
  kind: AccessCheck
  metadata: {name: ci}
  spec:
    checks:
      - subject: ServiceAccount/ci/runner
        namespaces: [shop]
        can: ["get,list pods"]
        cannot: [get secrets, create pods/exec]
        becomesAccountsOf: []
  END
  bulkhead rbac check pods.yaml`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name files of kind AccessCheck, or - for standard input\nSee bulkhead rbac check --help")}
			}
			return q.toFile(env, func(env *Env) error { return runRBACCheck(c.Context(), env, q, args) })
		},
	}
	fs := c.Flags()
	addInquiryFlags(fs, q)
	fs.StringVar(&q.kubernetesVersion, "kubernetes-version", "", fmt.Sprintf("Kubernetes release to judge for (default that of the cluster; of files 1.%d)", kubernetesMinor))
	return c
}

func runRBACCheck(ctx context.Context, env *Env, q *inquiry, paths []string) error {
	objects, err := readKind(ctx, env, paths, persona.CheckKind)
	if err != nil {
		return err
	}
	all := &persona.Check{}
	for _, o := range objects {
		one, err := persona.ParseCheck(o)
		if err != nil {
			return usageError{shown{err}}
		}
		all.Name = one.Name
		all.Entries, all.Holders = append(all.Entries, one.Entries...), append(all.Holders, one.Holders...)
	}
	kinds := []model.GroupKind{serviceAccountKind}
	if slices.ContainsFunc(all.Entries, func(e persona.Entry) bool { return e.Becomes }) {
		kinds = rbac.EscalationKinds()
	}
	access, w, err := q.access(ctx, env, kinds...)
	if err != nil {
		return err
	}
	result, err := all.Compare(w, q.minor)
	if err != nil {
		return err
	}
	switch {
	case q.drawn():
		err = q.draw(env.Stdout, drawDrift(access, result))
	case q.format == "table":
		err = writeDifferences(env.Stdout, result)
	default:
		err = answer(env.Stdout, q.format, newAccessDriftJSON(paths, result))
	}
	switch {
	case err != nil:
		return err
	case len(result.Unknown) > 0:
		return no(strings.Join(result.Unknown, "; "))
	case len(result.Differences) > 0:
		return no("")
	}
	return nil
}

// maxListed is how many resources of one kind of difference, by one binding, a table
// lists.
const maxListed = 12

// writeDifferences writes what differs, what is by the same binding together.
func writeDifferences(w io.Writer, r *persona.Result) error {
	var out strings.Builder
	var keys []string
	groups := map[string][]persona.Difference{}
	for i, d := range r.Differences {
		key := fmt.Sprintf("%s\x00%s\x00%s\x00%s\x00%q", d.Kind, d.Subject, d.Namespace, d.About, boundBy(d.Grants))
		if d.Kind == persona.Escalation || d.Kind == persona.UnknownHolder {
			key = fmt.Sprint(i)
		}
		if groups[key] == nil {
			keys = append(keys, key)
		}
		groups[key] = append(groups[key], d)
	}
	for _, key := range keys {
		writeDifference(&out, groups[key])
	}
	checked := fmt.Sprintf("%s, %s", plural(r.Subjects, "subject", "subjects"), plural(r.Things, "thing", "things"))
	switch n := len(r.Differences); {
	case n > 0:
		fmt.Fprintf(&out, "\n%s (%s checked)\n", plural(n, "difference", "differences"), checked)
	case len(r.Unknown) > 0:
		fmt.Fprintf(&out, "No difference in what could be read (%s checked)\n", checked)
	default:
		fmt.Fprintf(&out, "All is as it should be (%s checked)\n", checked)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// boundBy names the bindings of grants, without their rules.
func boundBy(grants []rbac.Grant) []string {
	var out []string
	for _, g := range grants {
		text := chain(g)
		if g.Binding != nil {
			text = fmt.Sprintf("%s %s -> %s %s", g.Binding.Kind, g.Binding.Name, g.Role.Kind, g.Role.Name)
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// permissionsOf writes permissions by resource, the verbs of each together.
func permissionsOf(all []persona.Difference) string {
	var order []string
	verbs := map[string][]string{}
	for _, d := range all {
		verb, what, _ := strings.Cut(d.What, " ")
		if verbs[what] == nil {
			order = append(order, what)
		}
		verbs[what] = append(verbs[what], verb)
	}
	var out []string
	listed := len(order)
	if all[0].Kind != persona.Forbidden { // what is forbidden is told in full
		listed = min(maxListed, listed)
	}
	for _, what := range order[:listed] {
		out = append(out, strings.Join(verbs[what], ",")+" "+what)
	}
	if more := len(order) - len(out); more > 0 {
		out = append(out, "and of "+plural(more, "resource more", "resources more"))
	}
	return strings.Join(out, "; ")
}

// grantLines say by what all of some differences are: with the rule, where it is one.
func grantLines(all []persona.Difference) []string {
	var with []string
	for _, g := range all[0].Grants {
		with = append(with, chain(g))
	}
	if slices.ContainsFunc(all, func(d persona.Difference) bool {
		return !slices.EqualFunc(d.Grants, with, func(g rbac.Grant, text string) bool { return chain(g) == text })
	}) {
		return boundBy(all[0].Grants)
	}
	return with
}

func writeDifference(out *strings.Builder, all []persona.Difference) {
	d := all[0]
	who, in := d.Subject.String(), where(d.Namespace)
	if d.About != "" {
		who += " (" + d.About + ")"
	}
	list := d.What
	if d.Kind != persona.Escalation && d.Kind != persona.UnknownHolder {
		list = permissionsOf(all)
	}
	line := map[persona.DifferenceKind]string{
		persona.Forbidden:     fmt.Sprintf("%s may in the %s, and must not: %s", who, in, list),
		persona.Extra:         fmt.Sprintf("%s may in the %s, which is listed nowhere: %s", who, in, list),
		persona.Escalation:    fmt.Sprintf("%s becomes %s", who, list),
		persona.UnknownHolder: fmt.Sprintf("%s is bound to %s in the %s, and is not to be", who, list, in),
		persona.Missing:       fmt.Sprintf("%s may not in the %s: %s", who, in, list),
	}[d.Kind]
	fmt.Fprintf(out, "%s: %s%s\n", d.Kind, report.Printable(line), report.Printable(checkedAt(d.At)))
	for _, text := range grantLines(all) {
		fmt.Fprintf(out, "    by %s\n", report.Printable(text))
	}
	if d.Chain != nil {
		writeChain(out, *d.Chain)
	}
	if d.Binding != nil {
		text := d.Binding.String()
		if d.BoundAt != nil {
			text += fmt.Sprintf(" (%s:%d)", d.BoundAt.File, d.BoundAt.Line)
		}
		fmt.Fprintf(out, "    by %s\n", report.Printable(text))
	}
}

// checkedAt is the place in the check, after a line.
func checkedAt(l *finding.Location) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf(" [%s:%d]", l.File, l.Line)
}

type differenceJSON struct {
	Kind      persona.DifferenceKind `json:"kind"`
	Subject   string                 `json:"subject"`
	About     string                 `json:"about,omitempty"`
	Namespace string                 `json:"namespace,omitempty"`
	// What is a permission, whom the subject becomes, or the role that it is bound to.
	What string      `json:"what"`
	By   []grantJSON `json:"by,omitempty"`
	// Steps are the names of those by which the subject becomes somebody else.
	Steps   []string          `json:"steps,omitempty"`
	Binding string            `json:"binding,omitempty"`
	BoundAt *finding.Location `json:"boundAt,omitempty"`
	Check   *finding.Location `json:"check,omitempty"`
}

type accessDriftJSON struct {
	APIVersion  string           `json:"apiVersion"`
	Kind        string           `json:"kind"`
	Checks      []string         `json:"checks"`
	Subjects    int              `json:"subjects"`
	Things      int              `json:"things"`
	Differences []differenceJSON `json:"differences"`
	Unknown     []string         `json:"unknown,omitempty"`
}

func newAccessDriftJSON(paths []string, r *persona.Result) accessDriftJSON {
	out := accessDriftJSON{APIVersion: finding.APIVersion, Kind: "AccessDrift", Checks: paths, Subjects: r.Subjects, Things: r.Things, Differences: []differenceJSON{}, Unknown: r.Unknown}
	for _, d := range r.Differences {
		x := differenceJSON{Kind: d.Kind, Subject: d.Subject.String(), About: d.About, Namespace: d.Namespace, What: d.What, BoundAt: d.BoundAt, Check: d.At}
		for _, g := range d.Grants {
			x.By = append(x.By, newGrantJSON(g))
		}
		if d.Chain != nil {
			for _, s := range d.Chain.Steps {
				x.Steps = append(x.Steps, s.Name+": "+s.To.String())
			}
		}
		if d.Binding != nil {
			x.Binding = d.Binding.String()
		}
		out.Differences = append(out.Differences, x)
	}
	return out
}
