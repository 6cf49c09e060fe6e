// Package load reads paths into a Snapshot: plain files, charts and
// kustomizations, found by themselves in folders and mixed freely. Each rendered
// root becomes a world of its own; all plain files together are one more.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/helm"
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
	// StandIns are contents that stand in for those of files, by absolute path.
	StandIns map[string][]byte
	// World is given to every world; its Root is set here.
	World model.WorldOptions
	// Progress is told how many of the files and roots are read; nil for none. It
	// is called by many goroutines.
	Progress func(done, total int)
	// Ready is handed each world as soon as it is read, while others still are; nil
	// for none. It is called by many goroutines. Reading waits where it does, so
	// that worlds do not pile up.
	Ready func(*model.World)
}

// ErrNothing means that none of the paths could be read.
var ErrNothing = errors.New("nothing could be read")

// Snapshot reads the paths, all roots at once. What could not be read is among
// the snapshot's problems; an error means that there is nothing at all.
func Snapshot(ctx context.Context, o Options) (*model.Snapshot, error) {
	s := &model.Snapshot{Inputs: o.Paths}
	found := discover(o.Paths, o.StandIns)
	s.Problems = found.problems
	r := &reader{Options: o, total: len(found.files) + len(found.charts) + len(found.kustomizations) + len(found.snapshots)}
	if r.total == 0 {
		if len(s.Problems) > 0 {
			p := s.Problems[0]
			return s, fmt.Errorf("%w: %s: %s", ErrNothing, p.Location.File, p.Message)
		}
		return s, fmt.Errorf("%w: there is no manifest, chart or kustomization in %s", ErrNothing, strings.Join(o.Paths, ", "))
	}
	for _, root := range r.roots(ctx, found) {
		s.Problems = append(s.Problems, root.problems...)
		s.Files += root.files
		s.Worlds = append(s.Worlds, root.worlds...)
	}
	return s, ctx.Err()
}

// concurrentRoots bounds how many roots are rendered at once: each may take
// hundreds of megabytes.
const concurrentRoots = 4

// roots reads the plain files, which are the first root, and renders the others
// at the same time.
func (r *reader) roots(ctx context.Context, found *discovered) []root {
	charts, kustomizations, snapshots := 1, 1+len(found.charts), 1+len(found.charts)+len(found.kustomizations)
	out := make([]root, snapshots+len(found.snapshots))
	var g errgroup.Group
	g.SetLimit(1 + concurrentRoots)
	read := func(i int, root func() root) {
		g.Go(func() error {
			out[i] = root()
			r.finish(&out[i])
			return nil
		})
	}
	read(0, func() root { return r.read(ctx, found.plain()) })
	for i, s := range found.charts {
		read(charts+i, func() root { return r.chart(ctx, s.path) })
	}
	for i, s := range found.kustomizations {
		read(kustomizations+i, func() root { return r.kustomization(ctx, s) })
	}
	for i, s := range found.snapshots {
		read(snapshots+i, func() root { return r.snapshot(s.path) })
	}
	_ = g.Wait() // none fails: what is wrong is among the problems
	return out
}

// finish makes a world of what was read.
func (r *reader) finish(root *root) {
	if root.path != "" {
		r.progress()
	}
	if len(root.objects) > 0 {
		options := r.World
		options.Root = root.path
		root.worlds = append(root.worlds, model.NewWorld(root.objects, options))
	}
	if r.Ready == nil {
		return
	}
	for _, w := range root.worlds {
		r.Ready(w)
	}
}

// root is what one rendered root, or all plain files, came to.
type root struct {
	path     string
	objects  []*model.Object
	problems []finding.Problem
	// files counts those that were read.
	files int
	// worlds are made of the objects; a snapshot has several.
	worlds []*model.World
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
