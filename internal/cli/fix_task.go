package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/fix/files"
	"bulkhead.dev/bulkhead/internal/load"
	"bulkhead.dev/bulkhead/internal/load/helm"
	"bulkhead.dev/bulkhead/internal/model"
)

// task wires what a fix asks of others.
func (r *repair) task(paths []string) fix.Task {
	t := fix.Task{Choose: r.choose, Mutate: r.mutate, Plain: r.plain, Root: r.root,
		Scan: func(ctx context.Context, standIns fix.Files) (*fix.Assessment, error) {
			return r.assess(ctx, paths, standIns)
		}}
	for _, c := range check.FixOrder(r.scan.controls) {
		t.Controls = append(t.Controls, c.Rule)
	}
	return t
}

// run makes the fixes that are wanted. There is no outcome where the user has quit.
func (r *repair) run(ctx context.Context, task fix.Task) (*fix.Outcome, error) {
	env := r.scan.env
	if r.interactive {
		var err error
		if task.Confirm, err = newPrompt(env, r.rules); err != nil {
			return nil, err
		}
	}
	out, err := fix.Run(ctx, task)
	if errors.Is(err, errQuit) {
		fmt.Fprintln(env.Stderr, "\nNothing was changed.")
		return nil, nil
	}
	return out, err
}

// assess scans the paths with some files standing in.
func (r *repair) assess(ctx context.Context, paths []string, standIns fix.Files) (*fix.Assessment, error) {
	s := r.scan
	s.standIns = absolutePaths(standIns)
	s.helm.ValuesFiles = r.valuesFiles(s.standIns)
	named, err := s.namedWaivers(ctx)
	if err != nil {
		return nil, err
	}
	snapshot, out, err := s.judge(ctx, paths)
	if err != nil {
		return nil, err
	}
	waivers, err := s.waiversOf(append(snapshot.Worlds, named...))
	if err != nil {
		return nil, err
	}
	waivers.Apply(out, time.Now())
	return assessmentOf(snapshot, out), nil
}

// assessmentOf is what a scan found.
func assessmentOf(snapshot *model.Snapshot, out *check.Outcome) *fix.Assessment {
	a := &fix.Assessment{Problems: snapshot.Problems, Unknown: out.Unmet, Findings: make([]fix.Found, len(out.Findings))}
	for i, f := range out.Findings {
		a.Findings[i] = fix.Found{Finding: f.Finding, Of: f.Of}
	}
	a.Sort()
	return a
}

// mutate makes a function that applies the fixes of controls; it is for one
// goroutine.
func (r *repair) mutate() fix.Mutate {
	fixers := map[string]*admission.Fixer{}
	return func(ctx context.Context, control string, o *model.Object) (map[string]any, error) {
		key, parameters := r.scan.settings.ParametersFor(o.Ref().InNamespace(), r.scan.controls)
		if fixers[key] == nil {
			fixers[key] = admission.NewFixer(parameters)
		}
		return fixers[key].Mutate(ctx, r.rules[control], o)
	}
}

func (r *repair) plain(_ context.Context, file string, changes []fix.Change) (*fix.Result, error) {
	data, err := r.originals.read(file)
	if err != nil {
		return refuseAll(changes, err.Error()), nil
	}
	if err := (files.File{Path: file, Before: data}).Check(); err != nil {
		return refuseAll(changes, err.Error()), nil
	}
	return fix.Plain(file, data, changes, r.generated), nil
}

// refuseAll is the result where nothing can be changed.
func refuseAll(changes []fix.Change, why string) *fix.Result {
	refused := map[int]string{}
	for i := range changes {
		refused[i] = why
	}
	return &fix.Result{Refused: refused}
}

func (r *repair) root(ctx context.Context, root string, changes []fix.Change) (*fix.Result, error) {
	plan := r.kustomization
	if helm.IsChart(root) {
		plan = r.chart
	}
	result, err := plan(ctx, root, changes)
	if err != nil {
		return nil, err
	}
	for path, data := range result.Files {
		before := r.originals.of(path)
		if err := (files.File{Path: path, Before: before, After: data}).Check(); err != nil {
			return refuseAll(changes, err.Error()), nil
		}
		if err := fix.ByHand(path, before); err != nil && !r.generated {
			return refuseAll(changes, err.Error()), nil
		}
	}
	return result, nil
}

// replacements says of each finding that stands in a plain file what its fix
// alone changes there.
func (r *repair) replacements(ctx context.Context, out *fix.Outcome, result *finding.FixResult) error {
	fixed := out.Fixed()
	next := make(chan int)
	g, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			mutate := r.mutate()
			for i := range next {
				f := fixed[i]
				if f.Root != "" || f.Of == nil || f.Of.Source.File == "" {
					continue
				}
				change, _ := fix.Compose(ctx, f.Of, []string{f.Control}, mutate)
				data := r.originals.of(f.Of.Source.File)
				if change == nil || data == nil {
					continue
				}
				alone := fix.Plain(f.Of.Source.File, data, []fix.Change{*change}, true)
				if edited, ok := alone.Files[f.Of.Source.File]; ok {
					result.Fixed[i].Replacements = fix.Replacements(f.Of.Source.File, data, edited)
				}
			}
			return ctx.Err()
		})
	}
	g.Go(func() error {
		defer close(next)
		for i := range fixed {
			select {
			case next <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return g.Wait()
}

// originals are the texts of files when they were first read. What is written
// must replace just those.
type originals struct {
	mu    sync.Mutex
	texts map[string][]byte
}

func (o *originals) read(path string) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if data, ok := o.texts[path]; ok {
		return data, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, load.MaxFileSize+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > load.MaxFileSize:
		return nil, fmt.Errorf("%s is larger than %d MiB", path, load.MaxFileSize>>20)
	}
	if o.texts == nil {
		o.texts = map[string][]byte{}
	}
	o.texts[path] = data
	return data, nil
}

// of is the text that a file had when it was read; nil for one that was not there.
func (o *originals) of(path string) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.texts[path]
}

// replace writes the files, all or none.
func (o *originals) replace(ctx context.Context, changed fix.Files) error {
	var all []files.File
	for _, path := range changed.Paths() {
		f := files.File{Path: path, Before: o.of(path), After: changed[path]}
		all = append(all, f)
	}
	return files.Replace(ctx, all)
}

var errNoTerminal = errors.New("--interactive asks on a terminal, and standard input is none; choose with --control and --severity instead")
