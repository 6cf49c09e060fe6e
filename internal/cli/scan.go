package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/graph"
	"bulkhead.dev/bulkhead/internal/load"
	"bulkhead.dev/bulkhead/internal/load/helm"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/report"
	"bulkhead.dev/bulkhead/internal/userpolicy"
)

type scanFlags struct {
	outputs           []string
	config            string
	profile           string
	controls, skip    []string
	layers            []string
	severity          string
	failOn            string
	namespace         string
	onlyNamespaces    []string
	kubernetesVersion string
	complete          bool
	allowIncomplete   bool
	showPass, withFix bool
	skipManaged       bool
	waivers           []string
	auditWaivers      bool
	baseline          string
	helm              helm.Options
	live              liveFlags
	policies          ownPolicies
	// command is what was given, for advice.
	command report.Command
	// drawing draws what was found, where a command offers that as a report.
	drawing func(*model.Snapshot, *finding.Result) *graph.Drawing
}

func newScan(env *Env) *cobra.Command {
	f := &scanFlags{}
	c := &cobra.Command{
		Use:   "scan [PATH...]",
		Short: "Judge manifests, charts and kustomizations, or a cluster",
		Long: `Scan reads files and folders (recursively; hidden files and what a .bulkheadignore
lists are skipped), renders the charts and kustomizations that it finds, and
judges every object by the controls of a profile.

Each chart and each kustomization is a world of its own, and so are all plain
files together. What files do not show may still exist: a control about
something missing judges only namespaces whose Namespace object is given, unless
--complete says that nothing else exists.

Without a path the cluster of the kubeconfig is scanned: all of it, or with -n what
is in one namespace. Only kinds that a control reads are listed; what may not be
read makes the controls that need it unknown. Pods are judged at the Deployment, or
whatever makes them, unless they differ from its template. bulkhead rbac-for prints
the role that a scan needs.`,
		Example: `  # a folder of manifests, charts and kustomizations
  bulkhead scan deploy/

  # a rendered stream, for a pull request
  kubectl kustomize overlays/prod | bulkhead scan - --fail-on medium

  # a chart with values, a page for people and a file for machines
  bulkhead scan charts/shop --values prod.yaml -o html=report.html -o json=result.json -o table

  # the cluster of the current context, and one namespace of another
  bulkhead scan
  bulkhead scan --context prod -n shop

  # policies of your own beside the controls: CEL as the API server has it, or Gatekeeper's
  bulkhead scan deploy/ --policy policies/

  # only what is new since the last release
  bulkhead scan deploy/ --baseline last.json`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.checkInput(c, args); err != nil {
				return err
			}
			return runScan(c.Context(), env, f, args)
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.StringArrayVarP(&f.outputs, "output", "o", nil, "report format, or FORMAT=FILE; repeatable: "+formatNames())
	fs.StringVar(&f.failOn, "fail-on", "", "exit with 1 for findings of at least this severity: low, medium, high, critical, or none (default high)")
	addSelectionFlags(fs, f)
	addOwnPolicies(fs, &f.policies)
	fs.StringVarP(&f.namespace, "namespace", "n", "", "of a cluster: read only this namespace (default all); of files: namespace of objects that name none (default \"default\")")
	fs.StringSliceVar(&f.onlyNamespaces, "only-namespace", nil, "report only on objects of these namespaces")
	fs.StringVar(&f.kubernetesVersion, "kubernetes-version", "", fmt.Sprintf("Kubernetes release to judge for (default 1.%d)", kubernetesMinor))
	fs.BoolVar(&f.complete, "complete", false, "the input is all there is: what it lacks does not exist")
	addChartFlags(fs, &f.helm)
	fs.StringArrayVar(&f.waivers, "waivers", nil, "file with Waiver objects; repeatable")
	fs.BoolVar(&f.auditWaivers, "audit-waivers", false, "list what every waiver matched")
	fs.StringVar(&f.baseline, "baseline", "", "earlier result (-o json); only findings that it lacks are reported")
	fs.BoolVar(&f.skipManaged, "skip-managed", false, "of a cluster: leave out findings about objects that the platform manages, and say how many")
	fs.BoolVar(&f.showPass, "show-pass", false, "keep a record of each pass, not only counts")
	fs.BoolVar(&f.withFix, "with-fix", false, "propose a fix with each finding")
	fs.BoolVar(&f.allowIncomplete, "allow-incomplete", false, "do not exit with 3 when something could not be read")
	fs.StringVar(&f.config, "config", "", "configuration file (default "+configName+" in the working folder, if there is one)")
	addLiveFlags(fs, f)
	return c
}

// addSelectionFlags adds the flags that say which controls run.
func addSelectionFlags(fs *pflag.FlagSet, f *scanFlags) {
	fs.StringVar(&f.profile, "profile", "", "which controls run: "+strings.Join(catalog.ProfileNames(), ", ")+` (default "default")`)
	fs.StringSliceVar(&f.controls, "control", nil, "run only these controls, whatever the profile")
	fs.StringSliceVar(&f.skip, "skip", nil, "do not run these controls")
	fs.StringSliceVar(&f.layers, "layer", nil, "run only controls of these layers: "+layerNames())
	fs.StringVar(&f.severity, "severity", "", "run only controls of at least this severity")
}

// addChartFlags adds helm's flags for values, with helm's meanings.
func addChartFlags(fs *pflag.FlagSet, o *helm.Options) {
	fs.StringArrayVar(&o.ValuesFiles, "values", nil, "values file for charts; repeatable")
	fs.StringArrayVar(&o.Set, "set", nil, "value for charts, as helm has it: key=value")
	fs.StringArrayVar(&o.SetString, "set-string", nil, "the same, always a string")
	fs.StringArrayVar(&o.SetFile, "set-file", nil, "the same, from a file: key=PATH")
	fs.StringArrayVar(&o.SetJSON, "set-json", nil, "the same, as JSON: key=JSON")
}

func layerNames() string {
	var names []string
	for _, l := range finding.Layers() {
		names = append(names, string(l))
	}
	return strings.Join(names, ", ")
}

// scan is a scan with its settings resolved from flags and configuration.
type scan struct {
	*scanFlags
	env    *Env
	config *config
	// standIns are contents that stand in for files, by absolute path.
	standIns map[string][]byte
	// moreKinds are read of a cluster beside those that the controls need.
	moreKinds []model.GroupKind
	// snapshot is what was judged, kept for a drawing.
	snapshot *model.Snapshot
	outputs  []output
	controls []*check.Control
	settings check.Settings
	minor    int
	failOn   finding.Severity
	never    bool // --fail-on none
}

func runScan(ctx context.Context, env *Env, f *scanFlags, paths []string) error {
	if err := f.policies.read(ctx, env); err != nil {
		return err
	}
	s, err := newScanOf(env, f)
	if err != nil {
		return err
	}
	result, err := s.run(ctx, paths)
	if err != nil {
		return err
	}
	draw := func() *graph.Drawing { return f.drawing(s.snapshot, result) }
	if err := write(env, s.outputs, result, report.Options{ShowWaived: f.auditWaivers, Command: f.command}, draw); err != nil {
		return err
	}
	return s.outcome(result)
}

func newScanOf(env *Env, f *scanFlags) (*scan, error) {
	s := &scan{scanFlags: f, env: env}
	var err error
	var pictures []string
	if f.drawing != nil {
		pictures = reportPictures
	}
	if s.outputs, err = parseOutputs(f.outputs, pictures...); err != nil {
		return nil, err
	}
	if s.config, err = readConfig(f.config); err != nil {
		return nil, err
	}
	if s.minor, err = parseMinor(cmp.Or(f.kubernetesVersion, s.config.KubernetesVersion)); err != nil {
		return nil, err
	}
	if s.failOn, s.never, err = parseFailOn(cmp.Or(f.failOn, s.config.FailOn, "high")); err != nil {
		return nil, err
	}
	all, err := catalog.Controls()
	if err != nil {
		return nil, err
	}
	if s.settings, err = s.config.settings(); err != nil {
		return nil, err
	}
	if err := s.settings.Validate(append(all, f.policies.own()...)); err != nil {
		return nil, usageError{err}
	}
	s.controls, err = f.policies.selectControls(all, catalog.Selection{Profile: cmp.Or(f.profile, s.config.Profile, "default"), Only: f.controls,
		Skip: slices.Concat(s.config.Skip, f.skip), Layers: f.layers, Severity: f.severity, Settings: &s.settings, Pin: s.config.Controls})
	if err != nil {
		return nil, usageError{err}
	}
	return s, nil
}

// parseMinor reads 1.37, v1.37 or 1.37.2.
func parseMinor(text string) (int, error) {
	if text == "" {
		return kubernetesMinor, nil
	}
	parts := strings.Split(strings.TrimPrefix(text, "v"), ".")
	if len(parts) >= 2 && parts[0] == "1" {
		if minor, err := strconv.Atoi(parts[1]); err == nil && minor >= 0 && minor < 1000 {
			return minor, nil
		}
	}
	return 0, usageError{fmt.Errorf("%q is no Kubernetes version: write it like 1.%d", text, kubernetesMinor)}
}

func (s *scan) run(ctx context.Context, paths []string) (*finding.Result, error) {
	baseline, err := s.readBaseline()
	if err != nil {
		return nil, err
	}
	named, err := s.namedWaivers(ctx)
	if err != nil {
		return nil, err
	}
	snapshot, out, err := s.judgeInput(ctx, paths)
	if err != nil {
		return nil, err
	}
	if s.drawing != nil {
		s.snapshot = snapshot
	}
	if err := s.policyProblems(snapshot); err != nil {
		return nil, err
	}
	waivers, err := s.waiversOf(slices.Concat(snapshot.Worlds, named))
	if err != nil {
		return nil, err
	}
	audit := waivers.Apply(out, time.Now())
	if len(s.onlyNamespaces) > 0 {
		// Whether a waiver for elsewhere is of use was not looked at.
		audit = slices.DeleteFunc(audit, func(u finding.WaiverUse) bool { return u.State == "unused" })
	}
	skipped := 0
	if s.skipManaged {
		skipped = check.SkipManaged(out)
	}
	known := 0
	if baseline != nil {
		known = baseline.Apply(out)
	}
	if s.withFix || wants(s.outputs, "html") {
		if err := s.addFixes(ctx, out); err != nil {
			return nil, err
		}
	}
	result := check.Result(snapshot, s.controls, out)
	result.Tool = finding.Tool{Name: "bulkhead", Version: version()}
	result.Waivers = audit
	result.Summary.Baseline, result.Summary.SkippedManaged = known, skipped
	result.Frameworks, err = catalog.Scores(out.Counts)
	return result, err
}

// judgeInput judges the paths, or the cluster where there are none.
func (s *scan) judgeInput(ctx context.Context, paths []string) (*model.Snapshot, *check.Outcome, error) {
	if len(paths) == 0 {
		return s.judgeCluster(ctx)
	}
	return s.judge(ctx, paths)
}

// newRunner makes a runner of the controls; selected says which objects are judged,
// nil means all.
func (s *scan) newRunner(p *progress, selected func(*model.Object) bool) (*check.Runner, error) {
	o, err := s.runOptions(p)
	if err != nil {
		return nil, err
	}
	o.Selected = selected
	return check.NewRunner(o)
}

// runOptions are those of a run that judges all objects.
func (s *scan) runOptions(p *progress) (check.Options, error) {
	templates, err := s.config.templates()
	if err != nil {
		return check.Options{}, err
	}
	return check.Options{Controls: s.controls, Settings: s.settings, Version: s.minor,
		Namespaces: s.onlyNamespaces, KeepPasses: s.showPass, Progress: p.judged,
		Represented: represented, PodKinds: podKindsOf(templates),
		Compile: s.compile}, nil
}

// judge reads the paths and judges each world as soon as it is read.
func (s *scan) judge(ctx context.Context, paths []string) (*model.Snapshot, *check.Outcome, error) {
	p := newProgress(s.env)
	defer p.done()
	runner, err := s.newRunner(p, nil)
	if err != nil {
		return nil, nil, err
	}
	var snapshot *model.Snapshot
	worlds := make(chan *model.World)
	g, both := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(worlds)
		var err error
		snapshot, err = s.load(both, paths, p, func(w *model.World) {
			select {
			case worlds <- w:
			case <-both.Done():
			}
		})
		return err
	})
	g.Go(func() error {
		for w := range worlds {
			if err := runner.Judge(userpolicy.InWorld(both, w), w); err != nil {
				return err
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	return snapshot, runner.Outcome(), ctx.Err()
}

// load reads the paths; ready is handed each world as soon as it is read, nil for
// none.
func (s *scan) load(ctx context.Context, paths []string, p *progress, ready func(*model.World)) (*model.Snapshot, error) {
	templates, err := s.config.templates()
	if err != nil {
		return nil, err
	}
	s.helm.KubeVersion = fmt.Sprintf("v1.%d.0", s.minor)
	snapshot, err := load.Snapshot(ctx, load.Options{Paths: paths, Stdin: s.env.Stdin, Self: s.env.Self, Helm: s.helm, StandIns: s.standIns, Progress: p.read, Ready: ready,
		World: model.WorldOptions{Complete: s.complete || s.config.Complete, Namespace: s.namespace, PodTemplates: templates}})
	if errors.Is(err, load.ErrNothing) {
		err = usageError{err}
	}
	return snapshot, err
}

// outcome decides the exit code of a scan whose reports are written.
func (s *scan) outcome(r *finding.Result) error {
	if r.Summary.Objects == 0 && len(r.Problems) > 0 {
		return usageError{fmt.Errorf("nothing could be assessed: %s: %s", r.Problems[0].Location.File, r.Problems[0].Message)}
	}
	if n := len(r.Problems) + len(r.Unknown) + r.Summary.Unknown; n > 0 && !s.allowIncomplete {
		return outcomeError{exitIncomplete, fmt.Sprintf("bulkhead: %d inputs or observations are missing, so the result is incomplete (--allow-incomplete accepts that)", n)}
	}
	if !s.never && reaches(r.Findings, s.failOn) {
		return outcomeError{exitFindings, ""}
	}
	return nil
}
