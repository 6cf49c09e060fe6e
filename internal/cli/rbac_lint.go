package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/rbac"
)

func newRBACLint(env *Env) *cobra.Command {
	f := &scanFlags{drawing: drawLint}
	var files []string
	c := &cobra.Command{
		Use:   "lint",
		Short: "Find roles and bindings that do not do what they say",
		Long: `Lint runs the controls about roles bound to nobody, bindings to nobody or to what does
not exist, duplicates, rules that another rule covers, resources and verbs that do not
exist, default service accounts with rights, and people bound one by one beside a group.

They are controls like all others: bulkhead scan runs them with --profile all,
bulkhead explain tells about each, waivers hold for them, and bulkhead fix removes what
can be removed without changing what anybody may do. What Kubernetes itself makes is not
judged.

In files a role that no binding names is reported only where all bindings are known: in
a namespace whose Namespace is given, or with --complete.

-o svg and -o dot draw the roles and bindings with what is wrong with them.`,
		Example: `  # the cluster of the current context, and files
  bulkhead rbac lint
  bulkhead rbac lint -f deploy/ -f charts/shop

  # for a pull request, and for other programs
  bulkhead rbac lint -f deploy/ -o github
  bulkhead rbac lint -f deploy/ -o sarif=lint.sarif -o svg=lint.svg --fail-on none

  # remove what grants nothing
  bulkhead fix deploy/ --control no-covered-rules,no-duplicate-subjects`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.checkInput(c, files); err != nil {
				return err
			}
			if len(f.controls) == 0 {
				f.controls = slices.DeleteFunc(rbac.Lints(), func(name string) bool { return slices.Contains(f.skip, name) })
			}
			return runScan(c.Context(), env, f, files)
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.StringArrayVarP(&files, "filename", "f", nil, "file, folder, chart or snapshot to judge instead of the cluster, or - for standard input; repeatable")
	fs.StringArrayVarP(&f.outputs, "output", "o", nil, "report format, or FORMAT=FILE; repeatable: "+formatNames()+", "+strings.Join(reportPictures, ", "))
	fs.StringVar(&f.failOn, "fail-on", "low", "exit with 1 for findings of at least this severity: low, medium, high, critical, or none")
	fs.StringSliceVar(&f.skip, "skip", nil, "do not run these controls")
	fs.StringVarP(&f.namespace, "namespace", "n", "", "of a cluster: read only this namespace (default all); of files: namespace of objects that name none (default \"default\")")
	fs.StringVar(&f.kubernetesVersion, "kubernetes-version", "", "Kubernetes release to judge for (default that of the cluster)")
	fs.BoolVar(&f.complete, "complete", false, "the files are all there is: what they lack does not exist")
	addChartFlags(fs, &f.helm)
	fs.StringArrayVar(&f.waivers, "waivers", nil, "file with Waiver objects; repeatable")
	fs.StringVar(&f.baseline, "baseline", "", "earlier result (-o json); only findings that it lacks are reported")
	fs.BoolVar(&f.withFix, "with-fix", false, "propose a fix with each finding")
	fs.BoolVar(&f.showPass, "show-pass", false, "keep a record of each pass, not only counts")
	fs.BoolVar(&f.allowIncomplete, "allow-incomplete", false, "do not exit with 3 when something could not be read")
	fs.StringVar(&f.config, "config", "", "configuration file (default "+configName+" in the working folder, if there is one)")
	addLiveFlags(fs, f)
	return c
}
