package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is set when a release is built.
var Version = ""

// version is the release, or what the Go toolchain knows of the build.
func version() string {
	if Version != "" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// kubernetesMinor is the minor version of Kubernetes 1 that is judged for when
// nobody names one: that of the libraries in use.
const kubernetesMinor = 37

func newVersion(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  bulkhead version",
		Args:    noArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(env.Stdout, "bulkhead %s\nKubernetes 1.%d (policies and standards)\n%s %s/%s\n", version(), kubernetesMinor, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no arguments, got %q\nSee %s --help", c.CommandPath(), args[0], c.CommandPath())}
	}
	return nil
}
