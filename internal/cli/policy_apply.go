package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	psapi "k8s.io/pod-security-admission/api"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/rollout"
)

type applyFlags struct {
	exportFlags
	enforce enforceFlags
	// placed says that flags name a mode or namespaces: the steps are replaced.
	placed bool
}

func newPolicyApply(env *Env) *cobra.Command {
	f := &applyFlags{}
	c := &cobra.Command{
		Use:   "apply",
		Short: "Have the cluster of the kubeconfig enforce controls",
		Long: `Apply makes the policies of policy export, for the release of the API server, and
applies them server-side: first all of them in a dry run of the API server, so that
nothing is applied where one would be refused. Before that it says which objects of
the cluster each policy would have refused.

What apply applied earlier and no longer wants is deleted. Nothing else is touched:
its objects carry the label ` + rollout.OwnerLabel + `=` + rollout.OwnerValue + `, and one of the same name that
somebody else applied is an error.

Every namespace is at a step: off, audit, warn or deny. --mode, --namespaces and
--exclude-namespaces set them all anew. Without any of these flags the steps stay as
they are, and only the policies change; the first time, all namespaces but those of
the system are at warn. policy rollout moves single namespaces.

With --mutate, fixes act where the step is deny: what is milder changes nothing.

--namespace-labels sets the labels of Pod Security on namespaces instead, and takes
them off those that it labelled before and are not named.`,
		Example: `  # what would be refused, and what would be applied
  bulkhead policy apply --dry-run=server

  # begin in the audit log, everywhere, with the exceptions that the platform granted
  bulkhead policy apply --mode audit --waivers waivers.yaml

  # a new release, or other waivers: the namespaces stay at their steps
  bulkhead policy apply --waivers waivers.yaml

  # refuse in one namespace, and nowhere else
  bulkhead policy apply --mode deny --namespaces shop

  # Pod Security, by labels
  bulkhead policy apply --mode warn --namespace-labels shop,blog`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f.placed = slices.ContainsFunc([]string{"mode", "namespaces", "exclude-namespaces"}, c.Flags().Changed)
			return runPolicyApply(c.Context(), env, f)
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	addPolicyFlags(fs, &f.exportFlags)
	addChangeFlags(fs, &f.enforce, &f.scanFlags)
	addClusterFlags(fs, &f.live)
	return c
}

func runPolicyApply(ctx context.Context, env *Env, f *applyFlags) error {
	if _, err := admission.ParseMode(f.mode); err != nil {
		return usageError{err}
	}
	if len(f.labelled) > 0 && (f.mutate || f.namespaces != nil || f.excluded != nil) {
		return usageError{errors.New("--namespace-labels labels namespaces and applies no policies: leave out --mutate, --namespaces and --exclude-namespaces")}
	}
	e, err := newEnforcement(ctx, env, &f.scanFlags, &f.enforce)
	if err != nil {
		return err
	}
	if err := e.existing(slices.Concat(f.namespaces, f.excluded, f.labelled)); err != nil {
		return err
	}
	standards, controls := podSecurityControls(e.controls)
	o, err := f.options(ctx, e.scan)
	if err != nil {
		return err
	}
	o.Namespaces, o.ExcludeNamespaces = nil, nil // the steps say where
	labels := levelOf(standards, e.minor, o.Mode)
	if len(f.labelled) > 0 {
		return e.applyLabels(ctx, f, labels, o)
	}
	return e.applyPolicies(ctx, f, controls, labels, o)
}

func (e *enforcement) applyPolicies(ctx context.Context, f *applyFlags, controls []*check.Control, labels *podSecurityLabels, o *admission.ExportOptions) error {
	out, _, err := exportPolicies(controls, &e.settings, *o)
	if err != nil {
		return usageError{err}
	}
	out.LeftOut = append(out.LeftOut, labels.leftOut()...)
	out.Notes = append(out.Notes, labels.waived(o.Waivers)...)
	explainLeftOut(e.env.Stderr, out, labels, &f.exportFlags)
	if len(out.Policies) == 0 {
		return usageError{errors.New("none of the controls can be a policy")}
	}
	policies, err := rollout.Policies(out.Policies)
	if err != nil {
		return err
	}
	steps := f.steps(e.state, rollout.StepOf(o.Mode))
	wanted, err := e.state.ToPolicies(policies, &steps)
	if err != nil {
		return usageError{err}
	}
	r := newEnforcementReport()
	r.moves(rollout.Moves(&e.state.Steps, &steps))
	r.Notes = slices.Clone(e.state.Uneven)
	judged, fixes := policyControls(out.Policies)
	for _, c := range judged {
		r.judged = append(r.judged, c.Name)
	}
	prediction, err := e.predict(ctx, judged, fixes, o, false)
	if err != nil {
		return err
	}
	r.predicted(prediction, &steps, e.state.Of, everywhere)
	return e.carryOut(ctx, wanted, r)
}

// policyControls are the controls that policies judge by, and those whose fixes they make.
func policyControls(policies []admission.ExportedPolicy) (judged, fixes []*check.Control) {
	for _, p := range policies {
		if p.Validating != nil {
			judged = append(judged, p.Control)
		} else {
			fixes = append(fixes, p.Control)
		}
	}
	return judged, fixes
}

// steps are those that the flags ask for: the ones that are there, where none of the
// flags says otherwise.
func (f *applyFlags) steps(s *rollout.State, step rollout.Step) rollout.Steps {
	if !f.placed && len(s.Policies) > 0 {
		return s.Steps
	}
	steps := rollout.Steps{Named: map[string]rollout.Step{}}
	if f.namespaces == nil {
		steps.Others, steps.Cluster = step, step
	}
	for _, name := range f.namespaces {
		steps.Named[name] = step
	}
	for _, name := range f.excluded {
		steps.Named[name] = rollout.Off
	}
	return steps
}

// applyLabels labels namespaces for Pod Security.
func (e *enforcement) applyLabels(ctx context.Context, f *applyFlags, labels *podSecurityLabels, o *admission.ExportOptions) error {
	namespaces, err := labels.namespaces(f.labelled)
	if err != nil {
		return usageError{err}
	}
	explainExport(e.env.Stderr, &admission.Exported{LeftOut: labels.leftOut(), Notes: labels.waived(o.Waivers)}, labels, &f.exportFlags)
	var objects []*unstructured.Unstructured
	steps := rollout.Steps{Named: map[string]rollout.Step{}}
	for _, namespace := range namespaces {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(namespace)
		if err != nil {
			return err
		}
		u := &unstructured.Unstructured{Object: content}
		for _, field := range []string{"status", "spec"} {
			delete(content, field)
		}
		unstructured.RemoveNestedField(content, "metadata", "creationTimestamp")
		objects = append(objects, u)
		steps.Named[u.GetName()] = rollout.StepOf(labels.mode)
	}
	wanted, err := e.state.ToLabels(objects)
	if err != nil {
		return usageError{err}
	}
	enforced := slices.DeleteFunc(slices.Clone(labels.selected), func(c *check.Control) bool { return !slices.Contains(labels.controls, c.Name) })
	r := newEnforcementReport()
	r.lives = "What runs stays until its pods end. Under enforce Pod Security then refuses their\nsuccessors, too, whatever makes them."
	for _, c := range enforced {
		r.judged = append(r.judged, c.Name)
	}
	prediction, err := e.predict(ctx, enforced, nil, o, true)
	if err != nil {
		return err
	}
	r.predicted(prediction, &steps, func(_, namespace string) rollout.Step { return e.labelledStep(namespace, labels) }, everywhere)
	return e.carryOut(ctx, wanted, r)
}

// labelledStep is deny where a namespace has the labels that enforce already.
func (e *enforcement) labelledStep(namespace string, labels *podSecurityLabels) rollout.Step {
	o := e.state.Namespaces[namespace]
	if o == nil {
		return rollout.Off
	}
	for _, key := range []string{psapi.EnforceLevelLabel, psapi.EnforceVersionLabel} {
		if want := labels.labels()[key]; want == "" || o.GetLabels()[key] != want {
			return rollout.Off
		}
	}
	return rollout.Deny
}

var errNothingApplied = fmt.Errorf("no policies are applied: begin with bulkhead policy apply --mode audit")
