package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/rollout"
)

type rolloutFlags struct {
	exportFlags
	enforce     enforceFlags
	all         bool
	others      bool
	clusterWide bool
	auditLog    string
}

func newPolicyRollout(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "rollout",
		Short: "Go from audit to warn to deny, namespace by namespace, and back",
		Long: `Rollout moves namespaces from one step to another: off, audit, warn, deny. Every move
says first what of that which is there would be refused. The policies are those that
policy apply applied; a move changes their bindings and nothing else.

The steps are in the cluster itself: a policy has a binding for each step, which
selects namespaces by the label kubernetes.io/metadata.name, and one for all others.
  kubectl get validatingadmissionpolicybindings -l ` + rollout.OwnerLabel + `=` + rollout.OwnerValue + `

To deny, where there are objects that would be refused, is for --allow-violations: they
stay, and their pods are made anew, but they cannot be created again or get worse.`,
		Example: `  bulkhead policy apply --mode audit
  bulkhead policy rollout status
  bulkhead policy rollout next shop
  bulkhead policy rollout to deny shop --dry-run=server
  bulkhead policy rollout back shop`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newRolloutStatus(env),
		newRolloutMove(env, "next", "One step on: off, audit, warn, deny", (*rollout.State).Next),
		newRolloutMove(env, "back", "One step back: deny, warn, audit, off", stepping(rollout.Step.Back)),
		newRolloutTo(env))
	return c
}

// move says which steps a target is moved to.
type move func(*rollout.State, rollout.Target) rollout.Steps

func stepping(step func(rollout.Step) rollout.Step) move {
	return func(s *rollout.State, t rollout.Target) rollout.Steps { return s.Steps.Moved(t, step) }
}

func addRolloutFlags(fs *pflag.FlagSet, f *rolloutFlags) {
	fs.SortFlags = false
	fs.BoolVar(&f.all, "all", false, "move every namespace, those to come and what belongs to the whole cluster; namespaces of the system only if they have a step")
	fs.BoolVar(&f.others, "others", false, "move the namespaces that have no step of their own, those to come too")
	fs.BoolVar(&f.clusterWide, "cluster-wide", false, "move what belongs to no namespace")
	addJudgingFlags(fs, f)
	addChangeFlags(fs, &f.enforce, &f.scanFlags)
	addClusterFlags(fs, &f.live)
}

// addJudgingFlags adds those that say what the policies were made with, so that what
// is said of them is true.
func addJudgingFlags(fs *pflag.FlagSet, f *rolloutFlags) {
	fs.StringArrayVar(&f.waivers, "waivers", nil, "file with the Waiver objects that the policies were applied with; repeatable")
	fs.BoolVar(&f.annotated, "annotation-waivers", false, "the policies were applied with this flag")
	fs.StringVar(&f.auditLog, "audit-log", "", "audit log of the API server, one event a line (- for standard input): say, too, how many requests the policies found fault with")
	fs.StringVar(&f.config, "config", "", "configuration file (default "+configName+" in the working folder, if there is one)")
}

func newRolloutMove(env *Env, name, short string, to move) *cobra.Command {
	f := &rolloutFlags{}
	c := &cobra.Command{
		Use:   name + " NAMESPACE...",
		Short: short,
		Long: short + `.

Says what would be refused of that which is there, tries everything in a dry run of the
API server, and moves. What is at the end already stays.`,
		Example: `  bulkhead policy rollout ` + name + ` shop blog
  bulkhead policy rollout ` + name + ` --all --dry-run=server
  bulkhead policy rollout ` + name + ` --cluster-wide`,
		RunE: func(c *cobra.Command, args []string) error {
			return runRolloutMove(c, env, f, args, to)
		},
	}
	addRolloutFlags(c.Flags(), f)
	return c
}

func newRolloutTo(env *Env) *cobra.Command {
	f := &rolloutFlags{}
	c := &cobra.Command{
		Use:   "to STEP NAMESPACE...",
		Short: "Straight to off, audit, warn or deny",
		Long: `To moves namespaces to a step, whatever step they are at.

A namespace that is named has that step as its own from then on, and no longer that
of all others.`,
		Example: `  bulkhead policy rollout to deny shop
  bulkhead policy rollout to off shop
  bulkhead policy rollout to warn --others`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("name the step: off, audit, warn or deny\nSee %s --help", c.CommandPath())}
			}
			step, err := rollout.ParseStep(args[0])
			if err != nil {
				return usageError{err}
			}
			return runRolloutMove(c, env, f, args[1:], stepping(func(rollout.Step) rollout.Step { return step }))
		},
	}
	addRolloutFlags(c.Flags(), f)
	return c
}

func runRolloutMove(c *cobra.Command, env *Env, f *rolloutFlags, namespaces []string, to move) error {
	switch {
	case f.all && len(namespaces) > 0:
		return usageError{errors.New("--all moves every namespace: name none beside it")}
	case !f.all && !f.others && !f.clusterWide && len(namespaces) == 0:
		return usageError{fmt.Errorf("name the namespaces to move, or --all\nSee %s --help", c.CommandPath())}
	}
	ctx := c.Context()
	e, err := newEnforcement(ctx, env, &f.scanFlags, &f.enforce)
	if err != nil {
		return err
	}
	if len(e.state.Policies) == 0 {
		return usageError{errNothingApplied}
	}
	target, err := e.target(f, namespaces)
	if err != nil {
		return err
	}
	steps := to(e.state, *target)
	wanted, err := e.state.ToSteps(&steps)
	if err != nil {
		return err
	}
	r := newEnforcementReport()
	r.moves(rollout.Moves(&e.state.Steps, &steps))
	prediction, err := e.predictApplied(ctx, f, r)
	if err != nil {
		return err
	}
	r.predicted(prediction, &steps, e.state.Of, func(namespace string) bool {
		return e.state.Steps.Of(namespace) != steps.Of(namespace)
	})
	recorded, err := e.readAudit(ctx, f.auditLog, r)
	if err != nil {
		return err
	}
	r.recorded(recorded, func(namespace string) bool { return e.state.Steps.Of(namespace) != steps.Of(namespace) })
	if !slices.ContainsFunc(r.Moves, func(m enforcementMove) bool { return m.To != rollout.Off.String() }) {
		r.judged = nil // nothing is refused where the policies are off
	}
	return e.carryOut(ctx, wanted, r)
}

// target is what the arguments and flags name.
func (e *enforcement) target(f *rolloutFlags, namespaces []string) (*rollout.Target, error) {
	unknown := slices.DeleteFunc(slices.Clone(namespaces), func(name string) bool {
		_, ok := e.state.Steps.Named[name] // a namespace that is gone can be moved back
		return ok
	})
	if err := e.existing(unknown); err != nil {
		return nil, err
	}
	t := &rollout.Target{Namespaces: namespaces, Others: f.others || f.all, Cluster: f.clusterWide || f.all}
	if f.all {
		t.Namespaces = slices.Sorted(maps.Keys(e.state.Steps.Named))
	}
	slices.Sort(t.Namespaces)
	t.Namespaces = slices.Compact(t.Namespaces)
	return t, nil
}

// predictApplied says what the policies that are applied would refuse, as far as this
// release knows their controls, and notes what it cannot say.
func (e *enforcement) predictApplied(ctx context.Context, f *rolloutFlags, r *enforcementReport) (*rollout.Prediction, error) {
	all, err := catalog.Controls()
	if err != nil {
		return nil, err
	}
	r.Notes = append(r.Notes, e.state.Uneven...)
	var known, fixes []*check.Control
	for _, p := range e.state.Policies {
		i := slices.IndexFunc(all, func(c *check.Control) bool { return c.Name == p.Control && c.Object != nil })
		switch {
		case i < 0:
			r.Notes = append(r.Notes, fmt.Sprintf("this release knows no control %q, so that it cannot say what %s would refuse", p.Control, p.Object.GetName()))
		case p.Mutating():
			fixes = append(fixes, all[i])
		default:
			known = append(known, all[i])
			r.judged = append(r.judged, p.Control)
		}
	}
	f.mutate = len(fixes) > 0
	e.controls = known
	f.mode = string(admission.Warn) // policies are the same in every mode
	o, err := f.options(ctx, e.scan)
	if err != nil {
		return nil, err
	}
	if err := e.noteDiffering(known, o, r); err != nil {
		return nil, err
	}
	return e.predict(ctx, known, fixes, o, false)
}

// noteDiffering notes the policies in the cluster that are not those that would be
// applied now.
func (e *enforcement) noteDiffering(controls []*check.Control, o *admission.ExportOptions, r *enforcementReport) error {
	exported, err := admission.Export(controls, *o)
	if err != nil {
		return err
	}
	policies, err := rollout.Policies(exported.Policies)
	if err != nil {
		return err
	}
	if differing := e.state.Differing(policies); len(differing) > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("these policies were applied with other waivers or parameters, or by another release, so that they may refuse something else: %s; bulkhead policy apply brings them up to date",
			strings.Join(differing, ", ")))
	}
	return nil
}

// readAudit reads the audit log that is named; nil where none is.
func (e *enforcement) readAudit(ctx context.Context, path string, r *enforcementReport) (*rollout.Recorded, error) {
	if path == "" {
		return nil, nil
	}
	log := e.env.Stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, usageError{fmt.Errorf("read the audit log: %w", err)}
		}
		defer file.Close()
		log = file
	}
	recorded, err := e.state.ReadAudit(ctx, log)
	if err != nil {
		return nil, err
	}
	if recorded.Skipped > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s of the audit log could not be read as events of the API server", countOf(recorded.Skipped, "line", "lines")))
	}
	return recorded, nil
}
