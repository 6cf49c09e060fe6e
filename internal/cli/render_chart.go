package cli

import (
	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/load/helm"
)

// newRenderChart is the verb of the child process that renders one chart.
func newRenderChart(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:    helm.Verb,
		Short:  "Render the chart that standard input describes (used by scan)",
		Hidden: true,
		Args:   noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return helm.Child(c.Context(), env.Stdin, env.Stdout)
		},
	}
}
