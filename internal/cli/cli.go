// Package cli is the command line: one file a verb, and all wiring. It gets its
// arguments, environment and streams handed in and returns an exit code.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Env is everything that a command knows of the outside.
type Env struct {
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Self is the path of this program, which it starts to render charts.
	Self string
	// Name is what this program was called as: kubectl-bulkhead, where kubectl runs it.
	Name string
	// MoreMemory, if there is any, is called by what is to be done soon at the price of
	// memory.
	MoreMemory func()
}

// Run executes a command and returns the exit code. What went wrong is written
// to Stderr.
func Run(ctx context.Context, env Env) int {
	root := newRoot(&env)
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if message := describe(err); message != "" {
		fmt.Fprintln(env.Stderr, message)
	}
	return exitCode(err)
}

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "bulkhead",
		Short: "Assess the security of Kubernetes, from manifests to clusters",
		Long: `Bulkhead finds what would let an attacker into a Kubernetes cluster, or further
once inside, and says how to mend it.

Exit codes: 0 clean, 1 findings at or above --fail-on, 2 nothing could be
assessed, 3 something could not be read or observed.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w\nSee %s --help", err, c.CommandPath())}
	})
	if strings.HasPrefix(filepath.Base(env.Name), "kubectl-") {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl bulkhead"}
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(newScan(env), newFix(env), newSnapshot(env), newReport(env), newDiff(env), newExplain(env), newControls(env), newRBACFor(env), newRBAC(env), newNet(env), newPolicy(env), newConvert(env), newVersion(env))
	root.AddCommand(newRenderers(env)...)
	return root
}

// terminal reports whether a stream is a terminal, and how wide it is.
func terminal(stream any) (width int, ok bool) {
	file, isFile := stream.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(file.Fd()))
	return width, err == nil
}
