package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/fix/chart"
	"bulkhead.dev/bulkhead/internal/report"
)

type fixFlags struct {
	scanFlags
	only          []string
	minimum       string
	dryRun, risky bool
	interactive   bool
	generated     bool
	editTemplates bool
	valuesFile    string
	outputPatch   string
	cluster       fixLiveFlags
}

func newFix(env *Env) *cobra.Command {
	f := &fixFlags{}
	c := &cobra.Command{
		Use:   "fix {PATH... | --live}",
		Short: "Fix what a scan finds, in the files or in a cluster, and prove it",
		Long: `Fix changes the files that people keep: manifests where they stand, the values
of a chart, a patch in the folder of a kustomization. Comments, order and format
of everything else stay as they are.

Before anything is written, the changed files are scanned. A change that does not
remove its finding, or brings another one, is taken back and reported. All files
are replaced, each as a whole, or none. A second run changes nothing.

Fixes that may break a workload, such as a read-only root file system, need
--risky. What only a person can decide is listed with what there is to decide.

With --live the objects of the cluster are fixed: what server-side apply is to set
is printed, and nothing is sent. --dry-run has the API server say what it would make
of the changes, and judges that. --apply does so too, and then makes those changes
that were proven, of objects that are still what they were, and reads them again.

The exit code is 0 when all that can be fixed was, whatever else is left.`,
		Example: `  # what would change, as a patch
  bulkhead fix deploy/ --dry-run

  # fix all that cannot break anything
  bulkhead fix deploy/

  # one control, with what it may break in mind
  bulkhead fix deploy/ --control read-only-root-filesystem --risky

  # ask, finding by finding
  bulkhead fix deploy/ --risky --interactive

  # for a pull request: a patch that git applies, and a summary
  bulkhead fix charts/shop --risky --output-patch fix.patch --dry-run -o json

  # a namespace of the cluster: what to apply, what the API server says to it, and done
  bulkhead fix --live -n shop > fix.yaml
  bulkhead fix --live -n shop --dry-run
  bulkhead fix --live -n shop --apply`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.checkInput(c, args); err != nil {
				return err
			}
			if f.cluster.on {
				return runFixLive(c.Context(), env, f)
			}
			return runFix(c.Context(), env, f, args)
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.BoolVar(&f.dryRun, "dry-run", false, "change nothing; print the changes as a unified diff, or what to apply to the cluster")
	fs.BoolVar(&f.risky, "risky", false, "make fixes too that may break something")
	fs.BoolVarP(&f.interactive, "interactive", "i", false, "ask about each fix")
	fs.StringSliceVar(&f.only, "control", nil, "fix only what these controls find")
	fs.StringVar(&f.minimum, "severity", "", "fix only findings of at least this severity")
	fs.StringVar(&f.outputPatch, "output-patch", "", "write the changes to this file, as a patch that git applies")
	fs.StringArrayVarP(&f.outputs, "output", "o", nil, "report format, or FORMAT=FILE; repeatable: "+strings.Join(report.FixFormats(), ", "))
	fs.BoolVar(&f.generated, "generated", false, "change files too that say they are generated")
	fs.StringVar(&f.valuesFile, "values-file", "", "write values of charts to this file, which may be new, instead of their values.yaml")
	fs.BoolVar(&f.editTemplates, "edit-templates", false, "change templates of charts where a field is plain text there")
	fs.StringVar(&f.profile, "profile", "", `which controls judge (default "default")`)
	fs.StringSliceVar(&f.skip, "skip", nil, "leave these controls out")
	fs.StringSliceVar(&f.layers, "layer", nil, "judge only by controls of these layers: "+layerNames())
	fs.StringVarP(&f.namespace, "namespace", "n", "", "namespace of objects that name none (default \"default\")")
	fs.StringSliceVar(&f.onlyNamespaces, "only-namespace", nil, "fix only objects of these namespaces")
	fs.StringVar(&f.kubernetesVersion, "kubernetes-version", "", fmt.Sprintf("Kubernetes release to judge for (default 1.%d)", kubernetesMinor))
	fs.BoolVar(&f.complete, "complete", false, "the input is all there is: what it lacks does not exist")
	addChartFlags(fs, &f.helm)
	fs.StringArrayVar(&f.waivers, "waivers", nil, "file with Waiver objects; repeatable")
	fs.BoolVar(&f.allowIncomplete, "allow-incomplete", false, "do not exit with 3 when something could not be read")
	fs.StringVar(&f.config, "config", "", "configuration file (default "+configName+" in the working folder, if there is one)")
	addFixLiveFlags(fs, f)
	return c
}

// repair is a fix with its settings resolved.
type repair struct {
	*fixFlags
	scan    *scan
	reports []output
	rules   map[string]*check.Control
	atLeast finding.Severity
	paths   []string
	// originals are the texts that plans were made for, nil where a file is new.
	originals originals
	// namedValues are the values files that the user gave.
	namedValues []string
	mu          sync.Mutex
	planners    map[string]*chart.Planner
}

func runFix(ctx context.Context, env *Env, f *fixFlags, paths []string) error {
	r, err := newRepair(env, f)
	if err != nil {
		return err
	}
	switch {
	case len(paths) == 0:
		return usageError{errors.New("name the files, folders or charts to fix, or the cluster with --live\nSee bulkhead fix --help")}
	case slices.Contains(paths, "-"):
		return usageError{errors.New("standard input cannot be fixed where it stands: save it to a file first")}
	}
	r.paths = paths
	if env.MoreMemory != nil {
		env.MoreMemory()
	}
	task := r.task(paths)
	out, err := r.run(ctx, task)
	if out == nil || err != nil {
		return err
	}
	result, err := r.result(ctx, paths, out)
	if err != nil {
		return err
	}
	if err := r.write(ctx, out, result); err != nil {
		return err
	}
	if n := len(out.Problems) + len(out.Unknown); n > 0 && !f.allowIncomplete {
		return outcomeError{exitIncomplete, fmt.Sprintf("bulkhead: %d inputs could not be read or judged, so what is wrong in them is not fixed (--allow-incomplete accepts that)", n)}
	}
	return nil
}

func newRepair(env *Env, f *fixFlags) (*repair, error) {
	r := &repair{fixFlags: f, rules: map[string]*check.Control{}}
	for _, v := range f.outputs {
		format, file, named := strings.Cut(v, "=")
		if !slices.Contains(report.FixFormats(), format) || named && file == "" {
			return nil, usageError{fmt.Errorf("-o %q: use one of %s, or FORMAT=FILE", v, strings.Join(report.FixFormats(), ", "))}
		}
		r.reports = append(r.reports, output{format, file})
	}
	f.scanFlags.outputs = nil
	r.namedValues = f.helm.ValuesFiles
	var err error
	if r.scan, err = newScanOf(env, &f.scanFlags); err != nil {
		return nil, err
	}
	if err := r.addNamed(); err != nil {
		return nil, err
	}
	for _, c := range r.scan.controls {
		r.rules[c.Name] = c
	}
	if f.minimum != "" {
		if r.atLeast, err = finding.ParseSeverity(f.minimum); err != nil {
			return nil, usageError{err}
		}
	}
	return r, nil
}

// addNamed judges by the controls that --control names, whatever the profile. All
// others still judge, so that a fix which brings another finding is seen.
func (r *repair) addNamed() error {
	if len(r.only) == 0 {
		return nil
	}
	all, err := catalog.Controls()
	if err != nil {
		return err
	}
	named, err := catalog.Select(all, catalog.Selection{Only: r.only, Settings: &r.scan.settings})
	if err != nil {
		return usageError{err}
	}
	for _, c := range named {
		if !slices.ContainsFunc(r.scan.controls, func(o *check.Control) bool { return o.Name == c.Name }) {
			r.scan.controls = append(r.scan.controls, c)
		}
	}
	return nil
}

// choose says which findings are to be fixed.
func (r *repair) choose(f *finding.Finding, control string) (bool, finding.LeftCause, string) {
	if len(r.only) > 0 && !slices.Contains(r.only, control) || f.Severity < r.atLeast {
		return false, "", ""
	}
	c := r.rules[control]
	switch {
	case c == nil:
		return false, "", ""
	case c.FixSafety == finding.FixManual:
		return false, finding.LeftDecision, cmp.Or(c.FixNote, c.Remedy)
	case c.FixSafety == finding.FixRisky && !r.risky:
		return false, finding.LeftRisky, c.FixNote
	}
	return true, "", ""
}

// result assembles what the reports say.
func (r *repair) result(ctx context.Context, paths []string, out *fix.Outcome) (*finding.FixResult, error) {
	result := &finding.FixResult{APIVersion: finding.APIVersion, Kind: finding.FixResultKind, Tool: finding.Tool{Name: "bulkhead", Version: version()},
		Inputs: paths, Written: !r.dryRun, Left: out.Left, Notes: out.Notes, Problems: out.Problems, Unknown: out.Unknown}
	for _, f := range out.Fixed() {
		result.Fixed = append(result.Fixed, finding.FixedFinding{Finding: f.Finding})
	}
	result.Files = make([]finding.FileChange, len(out.Files))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, path := range out.Files.Paths() {
		g.Go(func() error {
			before := r.originals.of(path)
			result.Files[i] = finding.FileChange{Path: path, New: before == nil, Diff: fix.Patch(filepath.ToSlash(path), before, out.Files[path])}
			return nil
		})
	}
	_ = g.Wait() // none fails
	if slices.ContainsFunc(r.reports, func(o output) bool { return o.format == "sarif" }) {
		if err := r.replacements(ctx, out, result); err != nil {
			return nil, err
		}
	}
	named := map[string]bool{}
	for _, f := range out.Found {
		named[f.Control] = true
	}
	for _, c := range r.scan.controls {
		if named[c.Name] {
			result.Rules = append(result.Rules, c.Rule)
		}
	}
	result.Summary = finding.FixSummary{Found: len(out.Found), Fixed: len(result.Fixed), Left: len(result.Left), Objects: out.Objects, Files: len(result.Files)}
	return result, nil
}

// write writes the files, unless that is not wanted, and then the reports.
func (r *repair) write(ctx context.Context, out *fix.Outcome, result *finding.FixResult) error {
	patch := func(w io.Writer) error {
		for _, f := range result.Files {
			if _, err := io.WriteString(w, f.Diff); err != nil {
				return err
			}
		}
		return nil
	}
	if r.outputPatch != "" {
		if err := replaceFile(r.outputPatch, patch); err != nil {
			return err
		}
	}
	if !r.dryRun {
		if err := r.originals.replace(ctx, out.Files); err != nil {
			return fmt.Errorf("nothing was changed: %w", err)
		}
	}
	env := r.scan.env
	if len(r.reports) == 0 {
		// The diff alone goes to standard output, so that it can be piped.
		summary := env.Stdout
		if r.dryRun {
			summary = env.Stderr
			if err := patch(env.Stdout); err != nil {
				return err
			}
		}
		return r.reportTo(summary, "table", result)
	}
	return r.writeReports(result)
}

func (r *repair) reportTo(w io.Writer, format string, result *finding.FixResult) error {
	env := r.scan.env
	width, isTerminal := terminal(w)
	return report.WriteFix(w, format, result, report.Options{Width: width, Color: isTerminal && env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb"})
}
