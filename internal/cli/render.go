package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/load/helm"
	"bulkhead.dev/bulkhead/internal/load/kustomize"
)

// newRenderers are the verbs of the child processes that render one chart or
// kustomization.
func newRenderers(env *Env) []*cobra.Command {
	verb := func(name, what string, child func(context.Context, io.Reader, io.Writer) error) *cobra.Command {
		return &cobra.Command{
			Use:    name,
			Short:  "Render the " + what + " that standard input describes (used by scan)",
			Hidden: true,
			Args:   noArgs,
			RunE:   func(c *cobra.Command, _ []string) error { return child(c.Context(), env.Stdin, env.Stdout) },
		}
	}
	return []*cobra.Command{verb(helm.Verb, "chart", helm.Child), verb(kustomize.Verb, "kustomization", kustomize.Child)}
}
