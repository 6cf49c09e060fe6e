// Package chart changes what a Helm chart renders by changing its values.
//
// Which value drives a field is never guessed: a value is taken only after the
// chart was rendered with it changed, the field had what is wanted, and nothing
// else had changed but fields that are wanted too, or the same field of another
// object or container with the same content, which is told.
//
// Values whose names resemble the field are tried first. For what is left, every
// value is changed once, and every map given a key that nobody knows: that shows
// where in the rendering each of them ends up. See search.go and influence.go.
//
// # Limitations
//
//   - A value that does not exist is found only if its name is that of the field, or
//     the object's template or the chart's _helpers.tpl reads it as .Values.a.b.
//   - A field that needs two values at once is found only where one of them is a
//     switch (enabled, create) beside the other or above it.
//   - Only plain text is edited in templates: a line without {{ }}.
package chart

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/model"
)

// Chart is a chart and what may be changed of it.
type Chart struct {
	// Path is the chart's folder as the user named it.
	Path string
	// ValuesPath is the values file to edit: the chart's own values.yaml, or one
	// that is given to every rendering after all others. Values is its text, empty
	// where it is not there yet.
	ValuesPath string
	Values     []byte
	// Effective are the values that the chart is rendered with, its subcharts'
	// under their names: what there is to change.
	Effective map[string]any
	// Render renders the chart.
	Render Render
	// EditTemplates allows to change templates. Template returns the text of one,
	// by the path that the objects' locations name.
	EditTemplates bool
	Template      func(file string) ([]byte, error)
}

// Render renders a chart once for each of overrides, which are merged over its
// values as one more values file would be. overlay has contents that stand in
// for files, by the paths of ValuesPath and of locations. The result has a
// rendering for each override.
type Render func(ctx context.Context, overlay map[string][]byte, overrides []map[string]any) ([]Rendering, error)

// Rendering is what a chart comes to. Objects that are the same as in another
// rendering may be the same pointers, which makes comparing them cheap.
type Rendering struct {
	Objects []*model.Object
	Err     error
}

// Bounds of the search for values: how many renderings, and how long. They are
// there for charts with thousands of values; ingress-nginx has about 450.
const (
	maxRenderings = 2000
	maxTime       = 2 * time.Minute
)

// Planner plans changes of one chart. It remembers what it has rendered, so that
// a second plan for fewer changes is quick. It is not safe for concurrent use.
type Planner struct {
	chart Chart
	base  *base
	// seen are the renderings by their override as JSON.
	seen map[string]Rendering
	// rendered counts renderings, spent is what they took.
	rendered int
	spent    time.Duration
	// most is how many renderings the search may come to.
	most   int
	sites  []site
	probed bool
	// cutShort says that the bounds left renderings out.
	cutShort bool
}

// New returns a planner for the chart.
func New(c Chart) *Planner { return &Planner{chart: c, seen: map[string]Rendering{}} }

// Rendered is how many times the chart was rendered to find values.
func (p *Planner) Rendered() int { return p.rendered }

// Plan finds the values that make the wanted changes, and where it may, the
// lines of templates. What it returns was rendered. An error means that the
// chart could not be rendered at all.
func (p *Planner) Plan(ctx context.Context, wanted []fix.Change) (*fix.Result, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := p.renderBase(ctx); err != nil {
		return nil, err
	}
	g := newGoal(p.base, wanted)
	if err := p.search(ctx, g); err != nil {
		return nil, err
	}
	chosen, err := p.combine(ctx, g)
	if err != nil {
		return nil, err
	}
	files, err := p.write(ctx, g, chosen)
	if err != nil {
		return nil, err
	}
	if p.chart.EditTemplates {
		if err := p.editTemplates(ctx, g, files); err != nil {
			return nil, err
		}
	}
	return p.result(g, files), nil
}

func (p *Planner) check() error {
	switch path := p.chart.Path; {
	case strings.HasSuffix(path, ".tgz"), strings.HasSuffix(path, ".tar.gz"):
		return fmt.Errorf("%s is an archive, whose files cannot be changed; unpack it (tar -xzf %s) and fix the folder", path, path)
	case p.chart.ValuesPath == "":
		return fmt.Errorf("%s: there is no values file to write to", path)
	}
	if _, err := decodeValues(p.chart.Values); err != nil {
		return fmt.Errorf("%s: %w", p.chart.ValuesPath, err)
	}
	return nil
}

// base is the rendering that all others are compared with.
type base struct {
	objects map[key]map[string]any
	// volatile are places that differ from rendering to rendering by themselves.
	volatile map[place]bool
}

func (p *Planner) renderBase(ctx context.Context) error {
	if p.base != nil {
		return nil
	}
	out, err := p.render(ctx, nil, []map[string]any{{}, {}})
	if err != nil {
		return err
	}
	for _, r := range out {
		if r.Err != nil {
			return fmt.Errorf("render the chart %s: %w", p.chart.Path, r.Err)
		}
	}
	b := &base{objects: index(out[0].Objects), volatile: map[place]bool{}}
	for _, c := range differences(b, index(out[1].Objects)) {
		b.volatile[place{c.key, c.path.Pointer()}] = true
	}
	p.base = b
	return nil
}

// render renders with the values file as it is, or as files has it.
func (p *Planner) render(ctx context.Context, files map[string][]byte, overrides []map[string]any) ([]Rendering, error) {
	overlay := map[string][]byte{p.chart.ValuesPath: p.chart.Values}
	for name, data := range files {
		overlay[name] = data
	}
	started := time.Now()
	out, err := p.chart.Render(ctx, overlay, overrides)
	p.rendered += len(overrides)
	p.spent += time.Since(started)
	if err != nil {
		return nil, fmt.Errorf("render the chart %s with other values: %w", p.chart.Path, err)
	}
	if len(out) != len(overrides) {
		return nil, errors.New("render the chart " + p.chart.Path + " with other values: a rendering is missing")
	}
	return out, nil
}
