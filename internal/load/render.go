package load

import (
	"context"
	"errors"
	"path/filepath"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/helm"
	"bulkhead.dev/bulkhead/internal/load/kustomize"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

func (r *reader) chart(ctx context.Context, path string) root {
	out := root{path: filepath.ToSlash(path)}
	options := r.Helm
	options.Namespace = r.World.Namespace
	options.IncludeCRDs = true
	options.Overlay = r.StandIns
	chart, err := helm.Render(ctx, r.Self, path, options)
	if err != nil {
		var e *helm.Error
		switch {
		case errors.Is(err, helm.ErrLibrary):
			return out // holds nothing by itself; the charts that use it are read
		case errors.As(err, &e):
			file := e.File
			if file == "" {
				file = filepath.Join(path, filepath.FromSlash(e.Template))
			}
			out.fail(file, e.Line, "%s", e.Message)
		default:
			out.fail(path, 0, "%v", err)
		}
		return out
	}
	d := manifest.NewDecoder()
	for _, doc := range chart.Documents {
		name := doc.SourceFile
		if name == "" {
			name = path + "!" + doc.Template
		}
		locate := func(s model.Span) finding.Location {
			return finding.Location{File: name, Line: doc.Line(int(s.Line))}
		}
		out.decode(d, model.Source{File: name, Locate: locate}, doc.Content)
	}
	return out
}

func (r *reader) kustomization(ctx context.Context, s source) root {
	out := root{path: filepath.ToSlash(s.path)}
	result, err := kustomize.Render(ctx, r.Self, s.path, kustomize.Options{Boundary: s.top, Overlay: r.StandIns})
	if err != nil {
		for _, err := range each(err) {
			var e *kustomize.Error
			if errors.As(err, &e) && e.File != "" {
				out.fail(e.File, e.Line, "%s", e.Message)
			} else {
				out.fail(s.path, 0, "%v", err)
			}
		}
		return out
	}
	d := manifest.NewDecoder()
	for _, doc := range result.Documents {
		locate := func(at model.Span) finding.Location {
			place := doc.Locate(int(at.Line))
			return finding.Location{File: place.File, Line: place.Line}
		}
		out.decode(d, model.Source{File: doc.File, Locate: locate}, doc.Content)
	}
	return out
}

// each takes apart what errors.Join joined.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// decode adds what a rendered file holds. Problems in it are told at their place
// in the source.
func (r *root) decode(d *manifest.Decoder, s model.Source, content []byte) {
	f := d.Decode(s, content)
	r.files++
	r.objects = append(r.objects, f.Objects...)
	for _, p := range f.Problems {
		p.Location = s.Locate(model.Span{Line: uint32(max(p.Location.Line, 0)), Column: uint32(max(p.Location.Column, 0))})
		p.Message = "rendered: " + p.Message
		r.problems = append(r.problems, p)
	}
}
