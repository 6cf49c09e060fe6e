package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// twoStates are the flags of a question about two states: files, charts and snapshots, or a
// cluster and what it is once files are applied to it.
type twoStates struct {
	live   bool
	failOn []string
}

// addFlags adds them, and those by which the states are read.
func (s *twoStates) addFlags(fs *pflag.FlagSet, q *inquiry, failOn string) {
	fs.BoolVar(&s.live, "live", false, "compare the cluster of the kubeconfig with what it is once the paths are applied")
	fs.StringVarP(&q.format, "output", "o", "table", strings.Join(q.forms, ", "))
	addOutputFile(fs, q)
	fs.StringSliceVar(&s.failOn, "fail-on", nil, failOn)
	addChartFlags(fs, &q.helm)
	fs.StringVar(&q.config, "config", "", "configuration file (default "+configName+" in the working folder, if there is one)")
	addClusterFlags(fs, &q.live)
}

// check refuses what cannot be compared; reasons are those that --fail-on may name.
func (s *twoStates) check(c *cobra.Command, args []string, q *inquiry, reasons ...string) error {
	for _, what := range s.failOn {
		if what != "none" && !slices.Contains(reasons, what) {
			return usageError{fmt.Errorf("--fail-on %s: use %s or none", what, strings.Join(reasons, ", "))}
		}
	}
	if !slices.Contains(q.forms, q.format) {
		return usageError{fmt.Errorf("unknown output format %q: use %s", q.format, strings.Join(q.forms, ", "))}
	}
	if s.live && len(args) == 0 {
		return usageError{errors.New("name the files, folders or charts to compare with the cluster\nSee " + c.CommandPath() + " --help")}
	}
	if s.live {
		return nil
	}
	return exactly(2, "what there was and what there is: files, charts or snapshots, or paths with --live")(c, args)
}
