// Package load reads paths into a Snapshot: plain files, charts and
// kustomizations, found by themselves in folders and mixed freely. Each rendered
// root becomes a world of its own; all plain files together are one more.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/helm"
	"bulkhead.dev/bulkhead/internal/load/kustomize"
	"bulkhead.dev/bulkhead/internal/model"
)

// MaxFileSize is how many bytes a manifest file may have. The API server accepts
// 3 MiB a request; a file may hold many objects.
const MaxFileSize = 64 << 20

// Options say what to read and how.
type Options struct {
	// Paths are files, folders, charts, kustomizations, or - for Stdin.
	Paths []string
	Stdin io.Reader
	// Self is the program that renders charts when run with the argument
	// render-chart; rendering cannot be stopped from inside.
	Self string
	Helm helm.Options
	// World is given to every world; its Root is set here.
	World model.WorldOptions
	// Progress is told how many of the files and roots are read; nil for none. It
	// is called by many goroutines.
	Progress func(done, total int)
}

// ErrNothing means that none of the paths could be read.
var ErrNothing = errors.New("nothing could be read")

// Snapshot reads the paths. What could not be read is among the snapshot's
// problems; an error means that there is nothing at all.
func Snapshot(ctx context.Context, o Options) (*model.Snapshot, error) {
	s := &model.Snapshot{Inputs: o.Paths}
	found := discover(o.Paths)
	s.Problems = found.problems
	r := &reader{Options: o, total: len(found.files) + len(found.charts) + len(found.kustomizations)}
	if r.total == 0 {
		if len(s.Problems) > 0 {
			p := s.Problems[0]
			return s, fmt.Errorf("%w: %s: %s", ErrNothing, p.Location.File, p.Message)
		}
		return s, fmt.Errorf("%w: there is no manifest, chart or kustomization in %s", ErrNothing, strings.Join(o.Paths, ", "))
	}
	rendered := r.render(ctx, found)
	consumed := map[string]bool{}
	for _, c := range found.components {
		sources, _ := kustomize.Inspect(c.path, kustomize.Options{Boundary: c.top})
		for _, f := range sources.Files {
			consumed[absolute(f)] = true
		}
	}
	for _, w := range rendered {
		for _, f := range w.consumed {
			consumed[absolute(f)] = true
		}
	}
	plain := r.read(ctx, slices.DeleteFunc(found.files, func(f source) bool { return !f.named && consumed[absolute(f.path)] }))
	if err := ctx.Err(); err != nil {
		return s, err
	}
	for _, w := range append([]root{plain}, rendered...) {
		s.Problems = append(s.Problems, w.problems...)
		s.Files += w.files
		if len(w.objects) > 0 {
			options := o.World
			options.Root = w.path
			s.Worlds = append(s.Worlds, model.NewWorld(w.objects, options))
		}
	}
	return s, nil
}

// root is what one rendered root, or all plain files, came to.
type root struct {
	path     string
	objects  []*model.Object
	problems []finding.Problem
	// files counts those that were read.
	files int
	// consumed are files that a build read: they are not scanned alone.
	consumed []string
}

func (r *root) fail(file string, line int, format string, args ...any) {
	r.problems = append(r.problems, finding.Problem{Location: finding.Location{File: file, Line: line}, Message: fmt.Sprintf(format, args...)})
}

// reader reads what was found.
type reader struct {
	Options
	total int
	done  atomic.Int64
}

func (r *reader) progress() {
	if n := r.done.Add(1); r.Progress != nil {
		r.Progress(int(n), r.total)
	}
}
