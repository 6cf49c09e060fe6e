package helm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"

	"bulkhead.dev/bulkhead/internal/load/child"
)

// render does a request: it is what runs in the child.
func render(ctx context.Context, r request) (response, error) {
	started := time.Now()
	r.Options.Limits = r.Options.Limits.withDefaults()
	logged := &warningLog{}
	slog.SetDefault(slog.New(logged)) // the SDK warns through log and slog
	switch {
	case r.Effective:
		return r.effective()
	case r.Each != nil:
		return r.renderEach(ctx, started)
	}
	c, err := r.render(ctx, started)
	if c != nil {
		c.Warnings = unique(append(c.Warnings, logged.lines...))
	}
	return respond(c, err)
}

func (r request) render(ctx context.Context, started time.Time) (*Chart, error) {
	t, err := r.loadTree()
	if err != nil {
		return nil, err
	}
	values, err := r.mergeValues()
	if err != nil {
		return nil, err
	}
	caps, rendered, err := t.run(ctx, values)
	if err != nil {
		return nil, err
	}
	var lines map[string][]int
	// A second rendering takes as long as the first.
	if time.Since(started) < r.Options.Limits.Timeout/3 {
		lines = t.lines(ctx, values, caps, rendered)
	}
	c := &Chart{Name: t.chart.Name(), Version: t.chart.Metadata.Version, Warnings: t.warnings}
	t.collect(c, rendered, lines)
	return c, nil
}

// run renders all templates, whose results are by the engine's names.
func (t *tree) run(ctx context.Context, values map[string]any) (*common.Capabilities, map[string]string, error) {
	if err := t.settle(values); err != nil {
		return nil, nil, err
	}
	caps, err := t.capabilities()
	if err != nil {
		return nil, nil, err
	}
	rendered, err := t.execute(ctx, values, caps)
	if err != nil {
		return nil, nil, err
	}
	size := 0
	for _, content := range rendered {
		size += len(content)
	}
	if most := t.request.Options.Limits.OutputBytes; int64(size) > most {
		return nil, nil, t.request.errorf("the templates write %d MiB, more than the %d MiB allowed; look for a template that repeats or includes itself",
			size>>20, most>>20)
	}
	return caps, rendered, nil
}

// settle decides which subcharts there are and checks that the chart can be
// rendered at all, as `helm template` does.
func (t *tree) settle(values map[string]any) error {
	metadata := t.chart.Metadata
	if metadata.Type == "library" {
		e := t.request.errorf("a library chart (type: library) renders nothing of its own; scan the chart that uses it")
		e.err = ErrLibrary
		return e
	}
	if name := t.request.Options.ReleaseName; name != "" {
		if err := chartutil.ValidateReleaseName(name); err != nil {
			return t.request.errorf("the release name %q: %s", name, err)
		}
	}
	if metadata.Deprecated {
		t.warnings = append(t.warnings, fmt.Sprintf("the chart %s is deprecated", metadata.Name))
	}
	if err := chartutil.ProcessDependencies(t.chart, values); err != nil {
		return t.request.valuesError(err)
	}
	if missing := missingDependencies(t.chart); len(missing) > 0 {
		return t.request.errorf("Chart.yaml names the dependencies %s, which charts/ does not hold; run: helm dependency build %s",
			strings.Join(missing, ", "), t.request.Path)
	}
	for _, c := range allSubcharts(t.chart) {
		if missing := missingDependencies(c); len(missing) > 0 {
			t.warnings = append(t.warnings, fmt.Sprintf("the subchart %s is packed without its dependencies %s", c.Name(), strings.Join(missing, ", ")))
		}
	}
	t.index()
	return nil
}

// missingDependencies names the dependencies that are enabled and not there.
// Helm wants disabled ones to be there too, but renders nothing of them.
func missingDependencies(c *chart.Chart) []string {
	var missing []string
	for _, d := range c.Metadata.Dependencies {
		there := slices.ContainsFunc(c.Dependencies(), func(sub *chart.Chart) bool { return sub.Name() == d.Name })
		if !there {
			missing = append(missing, d.Name)
		}
	}
	return missing
}

func allSubcharts(c *chart.Chart) []*chart.Chart {
	var all []*chart.Chart
	for _, sub := range c.Dependencies() {
		all = append(append(all, sub), allSubcharts(sub)...)
	}
	return all
}

// capabilities are those of the cluster that the chart is rendered for.
func (t *tree) capabilities() (*common.Capabilities, error) {
	wanted := t.request.Options.KubeVersion
	if wanted == "" {
		wanted = DefaultKubeVersion
	}
	if strings.Count(wanted, ".") == 1 {
		wanted += ".0"
	}
	version, err := common.ParseKubeVersion(wanted)
	if err != nil {
		return nil, t.request.errorf("the Kubernetes version %q is not a version such as 1.37: %s", wanted, err)
	}
	if supported := t.chart.Metadata.KubeVersion; supported != "" && !chartutil.IsCompatibleRange(supported, version.String()) {
		text := fmt.Sprintf("the chart supports Kubernetes %s, not %s", supported, version.Version)
		if t.request.Options.KubeVersion != "" {
			return nil, t.request.errorf("%s; name a version that it supports", text)
		}
		t.warnings = append(t.warnings, text)
	}
	caps := common.DefaultCapabilities.Copy()
	caps.KubeVersion = *version
	caps.APIVersions = append(slices.Clone(caps.APIVersions), t.request.Options.APIVersions...)
	return caps, nil
}

// execute runs all templates. The result is by the engine's names.
func (t *tree) execute(ctx context.Context, values map[string]any, caps *common.Capabilities) (map[string]string, error) {
	top, err := t.topValues(values, caps)
	if err != nil {
		return nil, t.request.valuesError(err)
	}
	merged, _ := top["Values"].(common.Values)
	if err := t.checkSchemas(t.chart, merged); err != nil {
		return nil, err
	}
	hideNotes(t.chart)
	rendered, err := engine.Engine{}.RenderWithContext(ctx, t.chart, top)
	if err != nil {
		return nil, t.request.templateError(t, err)
	}
	return rendered, nil
}

// topValues are what templates see as ".". They are made anew for each
// rendering because templates change them (set, unset).
func (t *tree) topValues(values map[string]any, caps *common.Capabilities) (common.Values, error) {
	release := common.ReleaseOptions{
		Name:      orElse(t.request.Options.ReleaseName, DefaultReleaseName),
		Namespace: orElse(t.request.Options.Namespace, DefaultNamespace),
		Revision:  1,
		IsInstall: true,
	}
	return util.ToRenderValuesWithSchemaValidation(t.chart, values, release, caps, true)
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

const notes = "NOTES.txt"

// hideNotes makes partials of the notes: what they define can be included, but
// they are not rendered. They address a person and not the cluster.
func hideNotes(c *chart.Chart) {
	for _, f := range c.Templates {
		if path.Base(f.Name) == notes {
			f.Name = path.Join(path.Dir(f.Name), "_"+notes)
		}
	}
	for _, sub := range c.Dependencies() {
		hideNotes(sub)
	}
}

// collect adds the rendered files and the custom resource definitions to c.
func (t *tree) collect(c *Chart, rendered map[string]string, lines map[string][]int) {
	for name, content := range rendered {
		text, where, hooks := tidy(content, lines[name])
		c.TestHooks += hooks
		if strings.TrimSpace(text) != "" {
			c.Documents = append(c.Documents, Document{t.path(name), t.disk[name], []byte(text), where})
		}
	}
	if t.request.Options.IncludeCRDs {
		for _, crd := range t.chart.CRDObjects() {
			count := strings.Count(string(crd.File.Data), "\n") + 1
			same := make([]int, count)
			for i := range same {
				same[i] = i + 1
			}
			c.Documents = append(c.Documents, Document{t.path(crd.Filename), t.files[crd.File], crd.File.Data, same})
		}
	}
	slices.SortFunc(c.Documents, func(a, b Document) int { return strings.Compare(a.Template, b.Template) })
}

// warningsKept bounds the warnings of one chart.
const warningsKept = 50

func unique(lines []string) []string {
	var kept []string
	for _, line := range lines {
		line = child.OneLine(line)
		if !slices.Contains(kept, line) && len(kept) < warningsKept {
			kept = append(kept, line)
		}
	}
	return kept
}

// warningLog is a slog handler that keeps what the SDK warns about. What comes
// through package log arrives as information.
type warningLog struct{ lines []string }

func (w *warningLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

func (w *warningLog) Handle(_ context.Context, record slog.Record) error {
	if len(w.lines) >= 20*warningsKept {
		return errors.New("too many warnings")
	}
	text := strings.TrimPrefix(record.Message, "warning: ")
	record.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	w.lines = append(w.lines, child.OneLine(text))
	return nil
}

func (w *warningLog) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w *warningLog) WithGroup(string) slog.Handler      { return w }
