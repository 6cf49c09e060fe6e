package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/report"
)

func newPolicy(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Have the API server enforce controls",
		Long: `Policy makes admission policies of controls, which the API server itself evaluates:
with the verdicts of a scan, and without a webhook that could fail.`,
		Example: "  bulkhead policy export --mode audit | kubectl apply -f -",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newPolicyExport(env), newPolicyApply(env), newPolicyRemove(env), newPolicyRollout(env), newPolicyTest(env))
	return c
}

type exportFlags struct {
	scanFlags
	format                         string
	mode                           string
	mutate, static, annotated      bool
	namespaces, excluded, labelled []string
}

func newPolicyExport(env *Env) *cobra.Command {
	f := &exportFlags{}
	c := &cobra.Command{
		Use:   "export",
		Short: "Write controls as admission policies",
		Long: `Export writes the controls of a profile that judge single objects as
ValidatingAdmissionPolicies with their bindings, for kubectl apply -f -. What cannot
be a policy is listed on standard error, with the reason.

An update is refused only for what it makes worse, and what the built-in controllers
make of a workload only where that is written, so that whatever ran before the
policies can go on. The namespaces of the system are exempt unless they are named.

The Pod Security Standards are enforced by labels of namespaces: --namespace-labels
writes those instead. Apply them server-side: a plain apply would take away other
labels that the namespace was applied with.`,
		Example: `  # what would be refused, as warnings to whoever writes it
  bulkhead policy export | kubectl apply -f -

  # refuse it, with the exceptions that the platform has granted
  bulkhead policy export --mode deny --waivers waivers.yaml | kubectl apply -f -

  # three controls in two namespaces, for an older cluster
  bulkhead policy export --control no-node-port,no-external-ips --namespaces shop,blog --kubernetes-version 1.30

  # the level of Pod Security that the profile amounts to, on a namespace
  bulkhead policy export --mode deny --namespace-labels shop | kubectl apply --server-side --field-manager bulkhead -f -

  # files that the API server reads before it serves
  bulkhead policy export --mode deny --static > validating/bulkhead.yaml
  bulkhead policy export --mutate --static --control no-service-links > mutating/bulkhead.yaml`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runPolicyExport(c.Context(), env, f) },
	}
	fs := c.Flags()
	fs.SortFlags = false
	addPolicyFlags(fs, f)
	fs.StringVar(&f.kubernetesVersion, "kubernetes-version", "", fmt.Sprintf("Kubernetes release of the API server that is to take the policies (default 1.%d)", kubernetesMinor))
	fs.BoolVar(&f.static, "static", false, "name the policies for files that the API server reads; with --mutate write only the mutating ones, which have a folder of their own")
	fs.StringVarP(&f.format, "output", "o", "yaml", "yaml or json")
	return c
}

// addPolicyFlags adds the flags that say which controls become policies, and what
// those do where.
func addPolicyFlags(fs *pflag.FlagSet, f *exportFlags) {
	fs.StringVar(&f.mode, "mode", string(admission.Warn), "what becomes of what a policy finds: audit, warn or deny")
	fs.StringVar(&f.profile, "profile", "", "which controls become policies: "+strings.Join(catalog.ProfileNames(), ", ")+` (default "default")`)
	fs.StringSliceVar(&f.controls, "control", nil, "take only these controls, whatever the profile")
	fs.StringSliceVar(&f.skip, "skip", nil, "leave these controls out")
	fs.StringSliceVar(&f.layers, "layer", nil, "take only controls of these layers: "+layerNames())
	fs.StringVar(&f.severity, "severity", "", "take only controls of at least this severity")
	fs.StringSliceVar(&f.namespaces, "namespaces", nil, "act only in these namespaces; a namespace of the system must be named here")
	fs.StringSliceVar(&f.excluded, "exclude-namespaces", nil, "do not act in these namespaces")
	fs.StringSliceVar(&f.labelled, "namespace-labels", nil, "label these namespaces for Pod Security, and leave policies out")
	fs.StringArrayVar(&f.waivers, "waivers", nil, "file with Waiver objects, which become part of the policies; repeatable")
	fs.BoolVar(&f.annotated, "annotation-waivers", false, "let objects waive controls by their own annotations, where the configuration allows it; whoever writes an object may then exempt it")
	fs.BoolVar(&f.mutate, "mutate", false, "have the fixes too, as MutatingAdmissionPolicies that change what is created")
	fs.StringVar(&f.config, "config", "", "configuration file (default "+configName+" in the working folder, if there is one)")
}

func runPolicyExport(ctx context.Context, env *Env, f *exportFlags) error {
	if f.format != "yaml" && f.format != "json" {
		return usageError{fmt.Errorf("unknown output format %q: use yaml or json", f.format)}
	}
	if len(f.labelled) > 0 && (f.static || f.mutate || f.namespaces != nil || f.excluded != nil) {
		return usageError{errors.New("--namespace-labels writes namespaces and no policies: leave out --mutate, --static, --namespaces and --exclude-namespaces")}
	}
	s, err := newScanOf(env, &f.scanFlags)
	if err != nil {
		return err
	}
	options, err := f.options(ctx, s)
	if err != nil {
		return err
	}
	standards, controls := podSecurityControls(s.controls)
	labels := levelOf(standards, s.minor, options.Mode)
	out := &admission.Exported{}
	var objects []any
	if len(f.labelled) > 0 {
		objects, err = labels.namespaces(f.labelled)
	} else {
		out, objects, err = exportPolicies(controls, &s.settings, *options)
	}
	if err != nil {
		return usageError{err}
	}
	out.LeftOut = append(out.LeftOut, labels.leftOut()...)
	out.Notes = append(out.Notes, labels.waived(options.Waivers)...)
	explainExport(env.Stderr, out, labels, f)
	if len(objects) == 0 {
		return usageError{errors.New("none of the controls can be exported")}
	}
	return writeObjects(env.Stdout, f.format, objects)
}

func exportPolicies(controls []*check.Control, settings *check.Settings, o admission.ExportOptions) (*admission.Exported, []any, error) {
	controls, split := sameEverywhere(controls, settings)
	out, err := admission.Export(controls, o)
	if err != nil {
		return nil, nil, err
	}
	out.LeftOut = append(out.LeftOut, split...)
	var objects []any
	for i := range out.Policies {
		objects = append(objects, out.Policies[i].Objects()...)
	}
	return out, objects, nil
}

func (f *exportFlags) options(ctx context.Context, s *scan) (*admission.ExportOptions, error) {
	mode, err := admission.ParseMode(f.mode)
	if err != nil {
		return nil, usageError{err}
	}
	_, parameters := s.settings.ParametersFor("", s.controls)
	o := &admission.ExportOptions{Mode: mode, Minor: s.minor, Mutate: f.mutate, Static: f.static, Namespaces: f.namespaces,
		ExcludeNamespaces: f.excluded, Parameters: parameters, Now: time.Now()}
	if o.Waivers, err = s.exportWaivers(ctx); err != nil || !f.annotated {
		return o, err
	}
	annotations, err := s.annotationSettings()
	if err == nil && annotations.Off {
		err = usageError{errors.New("--annotation-waivers: the configuration switches waivers by annotation off (waivers.annotations)")}
	}
	o.Annotations = &annotations
	return o, err
}

// exportWaivers reads the waivers that flags and configuration name. A malformed one
// is an error: the policies would refuse what was meant to be let through.
func (s *scan) exportWaivers(ctx context.Context) ([]admission.ExportWaiver, error) {
	worlds, err := s.namedWaivers(ctx)
	if err != nil {
		return nil, err
	}
	all, err := catalog.Controls()
	if err != nil {
		return nil, err
	}
	known := func(name string) bool {
		return slices.ContainsFunc(all, func(c *check.Control) bool { return c.Name == name })
	}
	var out []admission.ExportWaiver
	for _, w := range worlds {
		for _, o := range w.Kind(check.WaiverKind) {
			if w.Root != "" {
				return nil, usageError{fmt.Errorf("waiver %s comes out of %s and waives only what does; a policy cannot tell: write it into a file", o.Ref(), w.Root)}
			}
			waiver, err := check.ParseWaiver(o, known)
			if err != nil {
				return nil, usageError{err}
			}
			e := admission.ExportWaiver{Waiver: waiver}
			if o.NamespaceWritten {
				e.Namespace = o.Namespace
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// sameEverywhere tells apart the controls that the configuration gives other
// parameters in some namespaces: one policy could not have both.
func sameEverywhere(controls []*check.Control, settings *check.Settings) (same []*check.Control, split []admission.LeftOut) {
	for _, c := range controls {
		differs := slices.ContainsFunc(settings.Namespaces, func(n check.NamespaceSettings) bool { return len(n.Parameters[c.Name]) > 0 })
		if !differs {
			same = append(same, c)
			continue
		}
		split = append(split, admission.LeftOut{Control: c.Name, Reason: "the configuration gives it other parameters in some namespaces, and a policy has one set"})
	}
	return same, split
}

// explainExport says on standard error what the policies do not do.
func explainExport(w io.Writer, out *admission.Exported, labels *podSecurityLabels, f *exportFlags) {
	if len(f.labelled) == 0 {
		fmt.Fprintf(w, "Policies: %d, mode %s.\n", len(out.Policies), f.mode)
	} else {
		fmt.Fprintf(w, "Namespaces: %d, mode %s: %s\n", len(f.labelled), f.mode, strings.Join(labels.pairs(), " "))
	}
	explainLeftOut(w, out, labels, f)
}

// explainLeftOut says which controls have no policy, and why.
func explainLeftOut(w io.Writer, out *admission.Exported, labels *podSecurityLabels, f *exportFlags) {
	byReason := map[string][]string{}
	for _, l := range out.LeftOut {
		what := "No policy"
		if l.Mutating {
			what = "No mutating policy"
		}
		reason := what + ", " + l.Reason
		byReason[reason] = append(byReason[reason], l.Control)
	}
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		names := byReason[reason]
		slices.Sort(names)
		fmt.Fprintf(w, "\n%s:\n%s\n", report.Printable(reason), indent(wrap(strings.Join(names, ", "), 78), "  "))
	}
	if labels.level != "" && len(f.labelled) == 0 {
		fmt.Fprintf(w, "\nEnforced by Pod Security, with labels of namespaces (--namespace-labels writes them):\n%s\n%s\n",
			indent(wrap(strings.Join(labels.pairs(), " "), 78), "  "), indent(wrap(strings.Join(labels.controls, ", "), 78), "  "))
	}
	if len(out.Notes) > 0 {
		fmt.Fprint(w, "\nNot in the policies:\n")
	}
	for _, n := range out.Notes {
		fmt.Fprintf(w, "  %s\n", report.Printable(n))
	}
}

// writeObjects writes what kubectl apply takes: YAML documents, or a List.
func writeObjects(w io.Writer, format string, objects []any) error {
	contents := make([]map[string]any, len(objects))
	for i, o := range objects {
		data, err := json.Marshal(o)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(data, &contents[i]); err != nil {
			return err
		}
		delete(contents[i], "status")
	}
	if format == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(struct {
			APIVersion string           `json:"apiVersion"`
			Kind       string           `json:"kind"`
			Items      []map[string]any `json:"items"`
		}{"v1", "List", contents})
	}
	for _, content := range contents {
		data, err := yaml.Marshal(content)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s", data); err != nil {
			return err
		}
	}
	return nil
}
