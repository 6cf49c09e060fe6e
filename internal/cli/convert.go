package cli

import (
	"github.com/spf13/cobra"
)

func newConvert(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "convert",
		Short:   "Turn policies that no API server serves any more into what replaced them",
		Example: "  bulkhead convert psp policies.yaml",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newConvertPSP(env))
	return c
}
