package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/graph"
	"bulkhead.dev/bulkhead/internal/model"
)

// lint is a command that runs some controls of the catalogue, about what does not do what
// it says.
type lint struct {
	controls             []string
	title                string
	short, long, example string
}

func newLint(env *Env, l lint) *cobra.Command {
	f := &scanFlags{drawing: func(s *model.Snapshot, r *finding.Result) *graph.Drawing { return drawLint(l.title, s, r) }}
	var files []string
	c := &cobra.Command{
		Use:     "lint",
		Short:   l.short,
		Long:    l.long,
		Example: l.example,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.checkInput(c, files); err != nil {
				return err
			}
			if len(f.controls) == 0 {
				f.controls = slices.DeleteFunc(l.controls, func(name string) bool { return slices.Contains(f.skip, name) })
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
