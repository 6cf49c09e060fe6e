package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/fix/chart"
	"bulkhead.dev/bulkhead/internal/fix/files"
	"bulkhead.dev/bulkhead/internal/fix/overlay"
	"bulkhead.dev/bulkhead/internal/load/helm"
	"bulkhead.dev/bulkhead/internal/load/kustomize"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// chart plans changes of what a chart renders.
func (r *repair) chart(ctx context.Context, root string, changes []fix.Change) (*fix.Result, error) {
	p, err := r.planner(ctx, root)
	if err != nil {
		return refuseAll(changes, err.Error()), nil
	}
	result, err := p.Plan(ctx, changes)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return refuseAll(changes, err.Error()), nil
	}
	return result, nil
}

// planner returns the planner of a chart, which remembers what it has rendered.
func (r *repair) planner(ctx context.Context, root string) (*chart.Planner, error) {
	r.mu.Lock()
	p := r.planners[root]
	r.mu.Unlock()
	if p != nil {
		return p, nil
	}
	valuesPath := r.valuesFile
	if valuesPath == "" {
		valuesPath = filepath.Join(root, "values.yaml")
	}
	values, err := r.originals.read(valuesPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	effective, err := helm.Values(ctx, r.scan.env.Self, root, r.chartOptions(nil))
	if err != nil {
		return nil, err
	}
	templates, err := r.scan.config.templates()
	if err != nil {
		return nil, err
	}
	c := &chartRenderer{repair: r, root: root, templates: templates, decoded: map[string][]*model.Object{}}
	p = chart.New(chart.Chart{Path: root, ValuesPath: valuesPath, Values: values, Effective: effective, Render: c.render,
		EditTemplates: r.editTemplates, Template: r.originals.read})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.planners == nil {
		r.planners = map[string]*chart.Planner{}
	}
	r.planners[root] = p
	return p, nil
}

// chartOptions are those of the scan, with some files standing in.
func (r *repair) chartOptions(standIns map[string][]byte) helm.Options {
	o := r.scan.helm
	o.Namespace, o.IncludeCRDs, o.Overlay = r.scan.namespace, true, standIns
	o.KubeVersion = fmt.Sprintf("v1.%d.0", r.scan.minor)
	o.ValuesFiles = r.valuesFiles(standIns)
	return o
}

// valuesFiles are those that the user named, and last the one that values are
// written to, once it is there.
func (r *repair) valuesFiles(standIns map[string][]byte) []string {
	if r.valuesFile == "" || slices.Contains(r.namedValues, r.valuesFile) {
		return r.namedValues
	}
	_, standsIn := standIns[absolutePath(r.valuesFile)]
	if _, err := os.Stat(r.valuesFile); err != nil && !standsIn {
		return r.namedValues
	}
	return append(slices.Clip(r.namedValues), r.valuesFile)
}

// absolutePaths are the contents that stand in for files, as loading has them.
func absolutePaths(standIns map[string][]byte) map[string][]byte {
	out := make(map[string][]byte, len(standIns))
	for path, data := range standIns {
		out[absolutePath(path)] = data
	}
	return out
}

func absolutePath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// chartRenderer renders one chart many times.
type chartRenderer struct {
	*repair
	root      string
	templates []model.PodTemplate
	// decoded are the objects of documents by template and content: most are the
	// same in every rendering.
	decoded map[string][]*model.Object
}

func (c *chartRenderer) render(ctx context.Context, overlay map[string][]byte, overrides []map[string]any) ([]chart.Rendering, error) {
	renderings, err := helm.RenderEach(ctx, c.scan.env.Self, c.root, c.chartOptions(absolutePaths(overlay)), overrides)
	if err != nil {
		return nil, err
	}
	out := make([]chart.Rendering, len(renderings))
	d := manifest.NewDecoder()
	for i, rendering := range renderings {
		if out[i].Err = rendering.Err; rendering.Err != nil {
			continue
		}
		for _, doc := range rendering.Documents {
			key := doc.Template + "\x00" + string(doc.Content)
			objects, ok := c.decoded[key]
			if !ok {
				f := d.Decode(model.Source{File: doc.Template}, doc.Content)
				if len(f.Problems) > 0 {
					out[i].Err = fmt.Errorf("%s:%d: %s", doc.Template, f.Problems[0].Location.Line, f.Problems[0].Message)
					break
				}
				objects = f.Objects
				c.decoded[key] = objects
			}
			out[i].Objects = append(out[i].Objects, objects...)
		}
		// A world gives the objects the namespaces that the scan's have.
		model.NewWorld(out[i].Objects, model.WorldOptions{Root: c.root, Namespace: c.scan.namespace, PodTemplates: c.templates})
	}
	return out, nil
}

// kustomization plans changes of what a kustomization builds.
func (r *repair) kustomization(ctx context.Context, root string, changes []fix.Change) (*fix.Result, error) {
	k := overlay.Kustomization{Dir: root,
		Existing: func(name string) ([]byte, bool) {
			data, err := r.originals.read(filepath.Join(root, name))
			return data, err == nil
		},
		Render: func(ctx context.Context, files map[string][]byte) ([]map[string]any, error) {
			return r.build(ctx, root, files)
		}}
	for _, name := range kustomize.FileNames() {
		path := filepath.Join(root, name)
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		data, err := r.originals.read(path)
		if err == nil {
			err = files.File{Path: path, Before: data}.Check()
		}
		if err != nil {
			return refuseAll(changes, err.Error()), nil
		}
		k.File, k.Text = path, data
		break
	}
	result, err := overlay.Plan(ctx, k, changes)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return refuseAll(changes, err.Error()), nil
	}
	return result, nil
}

// build builds a kustomization with files of its folder standing in.
func (r *repair) build(ctx context.Context, root string, standIns map[string][]byte) ([]map[string]any, error) {
	below := map[string][]byte{}
	for name, data := range standIns {
		below[absolutePath(name)] = data
	}
	built, err := kustomize.Render(ctx, r.scan.env.Self, root, kustomize.Options{Boundary: r.boundary(root), Overlay: below, ContentOnly: true})
	if err != nil {
		return nil, err
	}
	var out []map[string]any
	d := manifest.NewDecoder()
	for _, doc := range built.Documents {
		f := d.Decode(model.Source{File: doc.File}, doc.Content)
		if len(f.Problems) > 0 {
			return nil, fmt.Errorf("%s: %s", doc.File, f.Problems[0].Message)
		}
		for _, o := range f.Objects {
			out = append(out, o.Content)
		}
	}
	return out, nil
}

// boundary is the path that the user gave in which a root lies.
func (r *repair) boundary(root string) string {
	for _, p := range r.paths {
		if rel, err := filepath.Rel(absolutePath(p), absolutePath(root)); err == nil && filepath.IsLocal(rel) {
			return p
		}
	}
	return root
}
