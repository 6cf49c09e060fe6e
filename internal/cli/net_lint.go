package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/network"
)

func newNetLint(env *Env) *cobra.Command {
	f := &scanFlags{}
	var files []string
	c := &cobra.Command{
		Use:   "lint",
		Short: "Find network policies that do not do what they say",
		Long: `Lint runs the controls about policies that select nothing, rules that others cover or
hide, egress without DNS, ports that no pod names, blocks of addresses that hold pods,
cluster network policies of one priority that contradict, plugins that enforce nothing,
namespaces that are half isolated, and pods that reach the cloud's metadata service.

They are controls like all others: bulkhead scan runs them with --profile all,
bulkhead explain tells about each, waivers hold for them, and bulkhead fix removes what
can be removed without changing what anybody may reach.

A rule is said to change nothing where that holds for all pods, those that are not there
yet included. In files what is missing is reported only where all is known: in a
namespace whose Namespace is given, or with --complete.`,
		Example: `  # the cluster of the current context, and files
  bulkhead net lint
  bulkhead net lint -f deploy/ -f charts/shop

  # for a pull request, and for other programs
  bulkhead net lint -f deploy/ -o github
  bulkhead net lint -f deploy/ -o sarif=lint.sarif --fail-on none

  # remove the rules that allow nothing
  bulkhead fix deploy/ --control no-covered-network-rules`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.checkInput(c, files); err != nil {
				return err
			}
			if len(f.controls) == 0 {
				f.controls = slices.DeleteFunc(network.Lints(), func(name string) bool { return slices.Contains(f.skip, name) })
			}
			return runScan(c.Context(), env, f, files)
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.StringArrayVarP(&files, "filename", "f", nil, "file, folder, chart or snapshot to judge instead of the cluster, or - for standard input; repeatable")
	fs.StringArrayVarP(&f.outputs, "output", "o", nil, "report format, or FORMAT=FILE; repeatable: "+formatNames())
	fs.StringVar(&f.failOn, "fail-on", "low", "exit with 1 for findings of at least this severity: low, medium, high, critical, or none")
	fs.StringSliceVar(&f.skip, "skip", nil, "do not run these controls")
	fs.StringVarP(&f.namespace, "namespace", "n", "", "of a cluster: read only this namespace (default all); of files: namespace of objects that name none (default \"default\")")
	fs.StringVar(&f.kubernetesVersion, "kubernetes-version", "", "Kubernetes release to judge for (default that of the cluster)")
	fs.BoolVar(&f.complete, "complete", false, "the files are all there is: what they lack does not exist")
	addChartFlags(fs, &f.helm)
	fs.StringArrayVar(&f.waivers, "waivers", nil, "file with Waiver objects; repeatable")
	fs.StringVar(&f.baseline, "baseline", "", "earlier result (-o json); only findings that it lacks are reported")
	fs.BoolVar(&f.withFix, "with-fix", false, "propose a fix with each finding")
	fs.BoolVar(&f.allowIncomplete, "allow-incomplete", false, "do not exit with 3 when something could not be read")
	fs.StringVar(&f.config, "config", "", "configuration file (default "+configName+" in the working folder, if there is one)")
	addLiveFlags(fs, f)
	return c
}
