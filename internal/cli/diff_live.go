package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/cluster"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/report"
)

// diffLiveFlags are those of a comparison of manifests with a cluster.
type diffLiveFlags struct {
	scanFlags
	on bool
	// names are the flags that mean nothing for two results.
	names []string
}

func addDiffLiveFlags(fs *pflag.FlagSet, f *diffLiveFlags) {
	fs.BoolVar(&f.on, "live", false, "compare the manifests of the paths with the cluster of the kubeconfig")
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	own.SortFlags = false
	addSelectionFlags(own, &f.scanFlags)
	own.StringVarP(&f.namespace, "namespace", "n", "", "namespace of objects that name none (default \"default\")")
	own.StringVar(&f.kubernetesVersion, "kubernetes-version", "", "Kubernetes release to judge for (default that of the cluster)")
	own.BoolVar(&f.complete, "complete", false, "the manifests are all there is: what they lack does not exist")
	addChartFlags(own, &f.helm)
	own.StringArrayVar(&f.waivers, "waivers", nil, "file with Waiver objects; repeatable")
	own.BoolVar(&f.allowIncomplete, "allow-incomplete", false, "do not exit with 3 when something could not be read")
	own.StringVar(&f.config, "config", "", "configuration file (default "+configName+" in the working folder, if there is one)")
	addLiveFlags(own, &f.scanFlags)
	own.VisitAll(func(flag *pflag.Flag) { f.names = append(f.names, flag.Name) })
	fs.AddFlagSet(own)
}

// checkInput refuses flags that mean nothing for what is compared.
func (f *diffLiveFlags) checkInput(c *cobra.Command, args []string) error {
	if f.on {
		if len(args) == 0 {
			return usageError{errors.New("name the files, folders or charts to compare with the cluster\nSee bulkhead diff --help")}
		}
		return nil
	}
	for _, name := range f.names {
		if c.Flags().Changed(name) {
			return usageError{fmt.Errorf("--%s is for a comparison with a cluster; add --live\nSee bulkhead diff --help", name)}
		}
	}
	return exactly(2, "two results (-o json of scan), or paths with --live")(c, args)
}

func runDiffLive(ctx context.Context, env *Env, f *diffLiveFlags, paths []string, format string, threshold finding.Severity, never bool) error {
	if format != "table" && format != "json" {
		return unknownFormat(format)
	}
	d, err := f.compare(ctx, env, paths)
	if err != nil {
		return err
	}
	if err := writeDrift(env.Stdout, format, d); err != nil {
		return err
	}
	if n := len(d.Problems) + len(d.Unread) + len(d.Unjudged) + len(d.Ambiguous); n > 0 && !f.allowIncomplete {
		return outcomeError{exitIncomplete, fmt.Sprintf("bulkhead: %d objects or inputs could not be compared (--allow-incomplete accepts that)", n)}
	}
	if !never && reaches(d.OnlyInCluster, threshold) {
		return outcomeError{exitFindings, ""}
	}
	return nil
}

func unknownFormat(format string) error {
	return usageError{fmt.Errorf("unknown output format %q: use table or json", format)}
}

// compare judges the manifests and the cluster by the same controls, for the release
// of the cluster.
func (f *diffLiveFlags) compare(ctx context.Context, env *Env, paths []string) (*finding.Drift, error) {
	f.showPass = true
	s, err := newScanOf(env, &f.scanFlags)
	if err != nil {
		return nil, err
	}
	config, name, err := f.live.connect()
	if err != nil {
		return nil, err
	}
	if f.kubernetesVersion == "" {
		if s.minor, err = cluster.Version(ctx, config); err != nil {
			return nil, err
		}
		f.kubernetesVersion = fmt.Sprintf("1.%d", s.minor)
	}
	p := newProgress(env)
	defer p.done()
	snapshot, err := s.load(ctx, paths, p, nil)
	if err != nil {
		return nil, err
	}
	manifests := check.NewManifests(snapshot.Worlds)
	files, err := s.judgeWorlds(ctx, snapshot.Worlds, p, nil)
	if err != nil {
		return nil, err
	}
	of := *s
	flags := f.scanFlags
	of.scanFlags = &flags
	// A team may read its own namespace, and no other.
	flags.namespace = ""
	if namespaces := manifests.Namespaces(); len(namespaces) == 1 && !flags.live.allNamespaces {
		flags.namespace = namespaces[0]
	}
	p.what = "kinds"
	live, err := of.readCluster(ctx, p)
	if err != nil {
		return nil, err
	}
	w := live.Worlds[0]
	selected, err := s.selected()
	if err != nil {
		return nil, err
	}
	found, err := of.judgeWorlds(ctx, live.Worlds, p, func(o *model.Object) bool {
		if o == nil {
			return true
		}
		_, ours := manifests.Of(w, o)
		return ours && (selected == nil || selected(o))
	})
	if err != nil {
		return nil, err
	}
	templates, err := s.config.templates()
	if err != nil {
		return nil, err
	}
	d := manifests.Compare(check.Side{Worlds: snapshot.Worlds, Outcome: files}, check.Side{Worlds: live.Worlds, Outcome: found}, s.controls, clusterKinds(s.controls, templates), flags.namespace)
	d.APIVersion, d.Kind, d.Tool = finding.APIVersion, finding.DriftKind, finding.Tool{Name: "bulkhead", Version: version()}
	d.Inputs, d.Cluster, d.Rules = paths, name, rulesOf(s.controls, d)
	d.Problems = slices.Concat(snapshot.Problems, live.Problems)
	return d, nil
}

// judgeWorlds judges worlds that are read, and applies their waivers.
func (s *scan) judgeWorlds(ctx context.Context, worlds []*model.World, p *progress, selected func(*model.Object) bool) (*check.Outcome, error) {
	runner, err := s.newRunner(p, selected)
	if err != nil {
		return nil, err
	}
	for _, w := range worlds {
		if err := runner.Judge(ctx, w); err != nil {
			return nil, err
		}
	}
	named, err := s.namedWaivers(ctx)
	if err != nil {
		return nil, err
	}
	waivers, err := s.waiversOf(slices.Concat(worlds, named))
	if err != nil {
		return nil, err
	}
	out := runner.Outcome()
	waivers.Apply(out, time.Now())
	return out, ctx.Err()
}

// rulesOf are the controls whose findings are named.
func rulesOf(controls []*check.Control, d *finding.Drift) []finding.Rule {
	named := map[string]bool{}
	for _, f := range slices.Concat(d.OnlyInCluster, d.OnlyInManifests, d.Untold, d.Unjudged) {
		named[f.Control] = true
	}
	var rules []finding.Rule
	for _, c := range controls {
		if named[c.Name] {
			rules = append(rules, c.Rule)
		}
	}
	return rules
}

func writeDrift(w io.Writer, format string, d *finding.Drift) error {
	if format == "json" {
		whole := *d
		whole.OnlyInCluster, whole.OnlyInManifests, whole.Untold, whole.Unjudged = orEmpty(d.OnlyInCluster), orEmpty(d.OnlyInManifests), orEmpty(d.Untold), orEmpty(d.Unjudged)
		whole.Absent, whole.Ambiguous, whole.Rules = append([]finding.Ref{}, d.Absent...), append([]finding.Ref{}, d.Ambiguous...), append([]finding.Rule{}, d.Rules...)
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(&whole)
	}
	var out bytes.Buffer
	line := func(format string, a ...any) {
		fmt.Fprintln(&out, report.Printable(fmt.Sprintf(format, a...)))
	}
	for _, part := range []struct {
		sign     string
		findings []finding.Finding
	}{{"+", d.OnlyInCluster}, {"-", d.OnlyInManifests}, {"~", d.Untold}, {"?", d.Unjudged}} {
		for _, f := range part.findings {
			place := ""
			if f.Location != nil {
				place = fmt.Sprintf("  %s:%d", f.Location.File, f.Location.Line)
			}
			line("%s %-8s %s  %s  %s%s", part.sign, f.Severity, f.Object, f.Control, f.Message, place)
		}
	}
	for _, r := range d.Absent {
		line("! %s is not in the cluster", r)
	}
	for _, r := range d.Ambiguous {
		line("! %s is made by several of the charts, kustomizations or files, and was not compared: name one of them", r)
	}
	for _, u := range d.Unread {
		line("! %s could not be read: %s", u.What, u.Reason)
	}
	for _, p := range d.Problems {
		line("! %s:%d: %s", p.Location.File, p.Location.Line, p.Message)
	}
	line("%d only in the cluster (+), %d only in the manifests (-), %d in both; %d of which the manifests cannot tell (~), %d not judged in the cluster (?)",
		len(d.OnlyInCluster), len(d.OnlyInManifests), d.Both, len(d.Untold), len(d.Unjudged))
	line("%d objects compared with %s, %d not in the cluster%s", d.Compared, d.Cluster, len(d.Absent), notInManifests(d.NotInManifests))
	_, err := w.Write(out.Bytes())
	return err
}

// notInManifests counts what else there is in the namespaces, by kind.
func notInManifests(kinds map[string]int) string {
	if len(kinds) == 0 {
		return ""
	}
	total := 0
	var parts []string
	for _, kind := range slices.SortedFunc(maps.Keys(kinds), func(a, b string) int { return cmp.Or(kinds[b]-kinds[a], cmp.Compare(a, b)) }) {
		total += kinds[kind]
		parts = append(parts, fmt.Sprintf("%d %s", kinds[kind], kind))
	}
	return fmt.Sprintf("; %d more in these namespaces are not in the manifests: %s", total, strings.Join(parts, ", "))
}
