package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load"
	"bulkhead.dev/bulkhead/internal/psp"
	"bulkhead.dev/bulkhead/internal/report"
)

type convertFlags struct {
	format, mode, level, kubernetesVersion string
	namespaces, excluded, labelled         []string
	extensions, ephemeral, all             bool
}

func newConvertPSP(env *Env) *cobra.Command {
	f := &convertFlags{}
	c := &cobra.Command{
		Use:   "psp FILE...",
		Short: "Convert PodSecurityPolicies",
		Long: `Convert reads PodSecurityPolicies from files, folders, recorded snapshots or standard
input (-), and shows beside each the nearest level of Pod Security: field by field,
what the level loosens and tightens.

With -o yaml it writes admission policies that keep what the PodSecurityPolicies did,
for kubectl apply -f -: who may use which by the RBAC verb use, for the user or the
pod's service account, the choice among several, and under --mode deny what they fill
in. Roles and bindings stay as they are. What is not kept is said on standard error.`,
		Example: `  # what a level of Pod Security would change
  bulkhead convert psp policies.yaml

  # the same semantics in the cluster: first as warnings, then for good
  bulkhead convert psp policies.yaml -o yaml | kubectl apply -f -
  bulkhead convert psp policies.yaml -o yaml --mode deny | kubectl apply -f -

  # straight from an old cluster, for two namespaces of a new one
  kubectl --context old get podsecuritypolicies -o yaml |
    bulkhead convert psp - -o yaml --mode deny --namespaces shop,blog

  # labels of the nearest level instead
  bulkhead convert psp policies.yaml -o yaml --mode deny --namespace-labels shop`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name the files with PodSecurityPolicies, or - for standard input")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return runConvertPSP(c.Context(), env, f, args) },
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.StringVarP(&f.format, "output", "o", "table", "table, or admission policies as yaml or json")
	fs.StringVar(&f.mode, "mode", string(admission.Warn), "what becomes of a pod that no policy admits: audit, warn or deny; deny also fills pods in")
	fs.StringVar(&f.kubernetesVersion, "kubernetes-version", "", fmt.Sprintf("Kubernetes release of the API server that is to take the policies (default 1.%d)", kubernetesMinor))
	fs.StringSliceVar(&f.namespaces, "namespaces", nil, "act only in these namespaces; a namespace of the system must be named here")
	fs.StringSliceVar(&f.excluded, "exclude-namespaces", nil, "do not act in these namespaces")
	fs.StringSliceVar(&f.labelled, "namespace-labels", nil, "write these namespaces with labels of the nearest level, and no policies; of several policies the loosest counts")
	fs.BoolVar(&f.extensions, "extensions-group", false, fmt.Sprintf("honour grants of use in the API group extensions too; for at most %d policies", psp.MaxPolicies(true)))
	fs.BoolVar(&f.ephemeral, "ephemeral-containers", false, "judge ephemeral containers when they are added, which PodSecurityPolicies did not")
	fs.StringVar(&f.level, "level", "", "show this level beside the policies instead of the nearest: privileged, baseline or restricted")
	fs.BoolVar(&f.all, "all-fields", false, "show the fields too that fare the same under the level")
	return c
}

func runConvertPSP(ctx context.Context, env *Env, f *convertFlags, paths []string) error {
	if !slices.Contains([]string{"table", "yaml", "json"}, f.format) {
		return usageError{fmt.Errorf("unknown output format %q: use table, yaml or json", f.format)}
	}
	mode, err := admission.ParseMode(f.mode)
	if err != nil {
		return usageError{err}
	}
	minor, err := parseMinor(f.kubernetesVersion)
	if err != nil {
		return err
	}
	policies, roles, err := readPSPs(ctx, env, paths)
	if err != nil {
		return err
	}
	comparisons, err := compareLevels(ctx, policies, minor)
	if err != nil {
		return err
	}
	if len(f.labelled) > 0 {
		objects, err := f.labels(comparisons, mode, minor)
		if err != nil {
			return usageError{err}
		}
		return f.write(env.Stdout, comparisons, objects)
	}
	out, err := psp.Export(policies, psp.ExportOptions{Mode: mode, Minor: minor, Namespaces: f.namespaces, ExcludeNamespaces: f.excluded, Extensions: f.extensions, Ephemeral: f.ephemeral})
	if err != nil && (f.format != "table" || !errors.Is(err, psp.ErrTooMany) && !errors.Is(err, psp.ErrUnusable)) {
		return usageError{err}
	}
	if out == nil { // the table can be shown all the same
		fmt.Fprintf(env.Stderr, "No admission policies: %s\n\n", report.Printable(err.Error()))
		return f.write(env.Stdout, comparisons, nil)
	}
	if f.format != "table" {
		fmt.Fprintf(env.Stderr, "PodSecurityPolicies: %d, mode %s.\n", len(policies), mode)
	}
	fmt.Fprint(env.Stderr, notKept(out.NotKept, roles))
	return f.write(env.Stdout, comparisons, out.Objects())
}

// compareLevels sets each policy beside the levels of Pod Security. One that 1.24 could
// not use has none.
func compareLevels(ctx context.Context, policies []*psp.Policy, minor int) ([]comparison, error) {
	out := make([]comparison, len(policies))
	for i, p := range policies {
		if out[i].policy = p; p.Unusable != "" {
			continue
		}
		var err error
		if out[i].levels, out[i].nearest, err = psp.Compare(ctx, p, minor); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (f *convertFlags) write(w io.Writer, comparisons []comparison, objects []any) error {
	if f.format != "table" {
		return writeObjects(w, f.format, objects)
	}
	for i := range comparisons {
		c := &comparisons[i]
		if i > 0 {
			fmt.Fprintln(w)
		}
		if c.levels == nil {
			fmt.Fprintf(w, "PodSecurityPolicy %s: Kubernetes 1.24 admitted no pod by it, because %s\n", report.Printable(c.policy.Name), report.Printable(c.policy.Unusable))
			continue
		}
		shown, err := c.shown(f.level)
		if err != nil {
			return usageError{err}
		}
		c.write(w, shown, f.all)
	}
	return nil
}

// place is where a problem stands, for a message.
func place(l finding.Location) string {
	switch {
	case l.File == "":
		return ""
	case l.Line == 0:
		return l.File + ": "
	}
	return fmt.Sprintf("%s:%d: ", l.File, l.Line)
}

// labels are namespaces with the level of the loosest policy: a stricter one would
// refuse what that admits.
func (f *convertFlags) labels(comparisons []comparison, mode admission.Mode, minor int) ([]any, error) {
	var loosest *psp.Comparison
	most := -1
	for _, c := range comparisons {
		if c.levels != nil && c.nearest > most { // they go from the strictest to the loosest
			loosest, most = c.levels[c.nearest], c.nearest
		}
	}
	if loosest == nil {
		return nil, psp.ErrUnusable
	}
	return (&podSecurityLabels{level: loosest.Level, mode: mode, minor: minor}).namespaces(f.labelled)
}

// readPSPs reads the policies, and which of the roles beside them grant their use in
// the API group extensions.
func readPSPs(ctx context.Context, env *Env, paths []string) (policies []*psp.Policy, roles []string, err error) {
	snapshot, err := load.Snapshot(ctx, load.Options{Paths: paths, Stdin: env.Stdin, Self: env.Self})
	if err != nil {
		return nil, nil, usageError{err}
	}
	problems := snapshot.Problems
	for _, w := range snapshot.Worlds {
		for _, o := range w.Objects {
			if psp.GrantsExtensions(o) {
				roles = append(roles, o.Ref().String())
			}
			if !psp.IsPolicy(o) {
				continue
			}
			p, wrong := psp.Parse(o)
			problems = append(problems, wrong...)
			if p != nil {
				policies = append(policies, p)
			}
		}
	}
	if len(problems) > 0 {
		lines := make([]string, len(problems))
		for i, p := range problems {
			lines[i] = report.Printable(place(p.Location) + p.Message)
		}
		return nil, nil, usageError{fmt.Errorf("the input is not what Kubernetes 1.24 would have stored:\n  %s", strings.Join(lines, "\n  "))}
	}
	if len(policies) == 0 {
		return nil, nil, usageError{fmt.Errorf("there is no PodSecurityPolicy in %s", strings.Join(paths, ", "))}
	}
	policies, err = psp.Sort(policies)
	if err != nil {
		return nil, nil, usageError{err}
	}
	return policies, roles, nil
}
