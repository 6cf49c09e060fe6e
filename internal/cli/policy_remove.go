package cli

import (
	"context"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/rollout"
)

type removeFlags struct {
	live    liveFlags
	enforce enforceFlags
}

func newPolicyRemove(env *Env) *cobra.Command {
	f := &removeFlags{}
	c := &cobra.Command{
		Use:   "remove",
		Short: "Take away what policy apply applied, and nothing else",
		Long: `Remove deletes the policies and bindings that policy apply and policy rollout
applied, and gives up the labels that they set on namespaces. An object is theirs if
it carries the label ` + rollout.OwnerLabel + `=` + rollout.OwnerValue + ` and their field manager applied it. Bindings go
before their policies. Each is deleted only as it was read: one that somebody changes
meanwhile stays, and is reported.

A label that somebody else applied as well stays. No namespace is deleted.`,
		Example: `  # what would go
  bulkhead policy remove --dry-run=server

  bulkhead policy remove`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runPolicyRemove(c.Context(), env, f) },
	}
	fs := c.Flags()
	fs.SortFlags = false
	addDryRunFlag(fs, &f.enforce)
	fs.StringVarP(&f.enforce.format, "output", "o", "table", "table or json")
	addClusterFlags(fs, &f.live)
	return c
}

func runPolicyRemove(ctx context.Context, env *Env, f *removeFlags) error {
	e, err := connectEnforcement(ctx, env, &f.live, &f.enforce)
	if err != nil {
		return err
	}
	r := newEnforcementReport()
	r.moves(rollout.Moves(&e.state.Steps, &rollout.Steps{}))
	return e.carryOut(ctx, e.state.ToNothing(), r)
}
